"""Networks for tests: one of each op, a detector's neck and heads, blocks with squeeze and excite; a sample of
parameters and tensors.
"""

import jax
import numpy as np

from tailor_jax import model, rewrite
from tailor_jax.build import builder, efficientnet, retinanet, yolo
from tailor_jax.graph import Graph, Node
from tailor_jax.ops import OPS
from tailor_jax.quantization import quant


def of_each_op() -> list[Graph]:
    """For each op, a graph whose last node, `x`, has it."""
    start = Node('input', 'input', (), (4, 4, 4))
    pooled = Node('pooled', 'global_avg_pool', ('input',), (1, 1, 4))
    special = {
        'dense': ((pooled,), Node('x', 'dense', ('pooled',), (1, 1, 4), bias=True)),
        'add': ((), Node('x', 'add', ('input', 'input'), (4, 4, 4))),
        'scale': ((pooled,), Node('x', 'scale', ('input', 'pooled'), (4, 4, 4))),
        'concat': ((), Node('x', 'concat', ('input', 'input', 'input'), (4, 4, 12))),
        'global_avg_pool': ((), Node('x', 'global_avg_pool', ('input',), (1, 1, 4))),
        'upsample': ((), Node('x', 'upsample', ('input',), (8, 12, 4), factor=(2, 3))),
        'flatten': ((), Node('x', 'flatten', ('input',), (1, 1, 64))),
    }
    graphs = [Graph((Node('x', 'input', (), (4, 4, 4)),))]
    for op in OPS[1:]:
        before, node = special.get(op, ((), Node('x', op, ('input',), (4, 4, 4))))
        graphs.append(Graph((start, *before, node)))
    return graphs


def sample(net: Graph, seed: int, bits: tuple[int, int] = (8, 8)):
    """A network with random parameters and statistics, folded: its graph, parameters, calibrated types, images and
    float tensors.
    """
    rng = np.random.default_rng(seed)
    variables = model.init(net, seed)
    variables = {
        kind: jax.tree.map(lambda leaf: leaf + rng.uniform(0, 0.3, leaf.shape).astype(np.float32), tree)
        for kind, tree in variables.items()
    }
    folded, params = rewrite.fold(net), model.fold_variables(net, variables)
    images = rng.normal(size=(6, *net.input.shape)).astype(np.float32)
    tensors = jax.device_get(
        jax.jit(lambda p, x: model.Net(folded).apply({'params': p}, x, capture=True))(params, images)
    )
    return variables, folded, params, quant.calibrate(folded, params, tensors, *bits), images, tensors


def mbconv_net() -> Graph:
    net = builder.Builder((5, 5, 4))
    tensor = efficientnet._block(net, 'b1', 'input', 1, 3, 1, 4, 'long')
    tensor = efficientnet._block(net, 'b2', tensor, 2, 5, 2, 8, 'long')
    net.head(efficientnet._block(net, 'b3', tensor, 2, 3, 1, 8, 'long'), 3)
    return net.graph()


def detector_net() -> Graph:
    """A YOLO-like top-down path, and on both its levels a subnet with shared weights."""
    net = builder.Builder((8, 8, 2))
    fine = yolo._block(net, 'b1', yolo._layer(net, 'stem', 'input', 4), 'long')
    coarse = yolo._layer(net, 'down', fine, 6, stride=2)
    fine = yolo._layer(
        net, 'merged', net.concat('concat', net.upsample('up', yolo._layer(net, 'lateral', coarse, 2, size=1)), fine), 6
    )
    levels = {'p3': fine, 'p4': coarse}
    levels = {level: net.conv(f'{level}_conv', source, 6, size=1, bias=True) for level, source in levels.items()}
    net.concat('boxes', *(retinanet._subnet(net, level, source, 'box', 2) for level, source in levels.items()))
    return net.graph()
