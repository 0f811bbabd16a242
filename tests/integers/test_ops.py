"""The ops beyond plain residual networks: against their definitions in loops, and quantized training against the
integer reference.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import detector_net, mbconv_net, of_each_op, sample
from plans import printable

import costmodel
from hls_export import qonnx
from hls_export.dataflow import emit
from tailor_jax import build, graph, model, ops, rewrite
from tailor_jax.build import builder
from tailor_jax.build.squeezenet import _fire, _pool
from tailor_jax.graph import Graph, GraphError, Node
from tailor_jax.integers import fixed, lower, qgraph, qnode
from tailor_jax.integers.fixed import Fixed
from tailor_jax.quantization import quant
from tailor_jax.quantization.spec import QuantSpec

NEW = ('leaky_relu', 'sigmoid', 'swish', 'scale', 'concat', 'avg_pool', 'upsample', 'flatten')
ONE_OP = {net.output.op: net for net in of_each_op()} | {
    # More telling than the plainest: an uneven window over the edge, inputs of different channels.
    'avg_pool': Graph(
        (
            Node('input', 'input', (), (5, 4, 2)),
            Node('x', 'avg_pool', ('input',), (3, 4, 2), (3, 2), (2, 1), (1, 1, 1, 0)),
        )
    ),
    'concat': Graph(
        (
            Node('input', 'input', (), (3, 2, 2)),
            Node('conv', 'conv', ('input',), (3, 2, 3), bias=True),
            Node('x', 'concat', ('conv', 'input', 'conv'), (3, 2, 8)),
        )
    ),
}


def by_definition(node: Node, inputs: list[np.ndarray], at: tuple[int, ...]) -> float:
    """The output of one node for image, row, column and channel `at`, in float64."""
    x, (image, h, w, c) = inputs[0].astype(np.float64), at
    match node.op:
        case 'leaky_relu':
            return x[at] if x[at] > 0 else node.slope * x[at]
        case 'sigmoid' | 'swish':
            return (x[at] if node.op == 'swish' else 1) / (1 + np.exp(-x[at]))
        case 'scale':
            return x[at] * inputs[1][image, 0, 0, c]
        case 'concat':
            for each in inputs:
                if c < each.shape[-1]:
                    return each[image, h, w, c]
                c -= each.shape[-1]
        case 'avg_pool':
            total = 0.0
            for row in range(
                h * node.stride[0] - node.padding[0], h * node.stride[0] - node.padding[0] + node.kernel[0]
            ):
                for column in range(
                    w * node.stride[1] - node.padding[2], w * node.stride[1] - node.padding[2] + node.kernel[1]
                ):
                    if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                        total += x[image, row, column, c]
            return total / (node.kernel[0] * node.kernel[1])
        case 'upsample':
            return x[image, h // node.factor[0], w // node.factor[1], c]
        case 'flatten':
            row, rest = divmod(c, x.shape[2] * x.shape[3])
            return x[image, row, rest // x.shape[3], rest % x.shape[3]]
    raise AssertionError(node.op)


def assert_training_equals_integers(folded, params, spec, images):
    """Every tensor of the quantized network, and the integer graph again after saving and loading."""
    integers = lower.lower(folded, params, dict(spec.activations), dict(spec.weights))
    names = tuple(node.name for node in folded)
    tensors = jax.jit(
        lambda p, x: model.Net(folded, spec).apply({'params': quant.quantize_params(folded, p, spec)}, x, capture=True)
    )(params, images)
    reference = qgraph.run_int(integers, qgraph.quantize_input(integers, images), keep=names)
    for name in names:
        kind = integers[name].out
        np.testing.assert_array_equal(
            np.asarray(tensors[name]), reference[name] * np.float32(kind.step), err_msg=f'{folded[name].op} {name}'
        )
        assert kind.lo <= reference[name].min() and reference[name].max() <= kind.hi
    return integers, reference


@pytest.mark.parametrize('op', NEW)
def test_the_model_computes_the_definition(op):
    net = ONE_OP[op]
    *_, tensors = sample(net, 1)
    got = tensors['x']
    expected = [
        by_definition(net.output, [tensors[name] for name in net.output.inputs], at) for at in np.ndindex(got.shape)
    ]
    np.testing.assert_allclose(got.ravel(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('op', NEW)
@pytest.mark.parametrize('bits', [2, 8, 11])
def test_one_op_in_integers(op, bits):
    """As the last node and as one before it, with a type of its own."""
    net = ONE_OP[op]
    followed = Graph((*net.nodes, Node('last', 'conv', ('x',), (*net.output.shape[:2], 2))))
    for tried in (net, followed):
        _, folded, params, spec, images, tensors = sample(tried, bits, (min(bits, 8), bits))
        integers, reference = assert_training_equals_integers(folded, params, spec, images)
        if bits > 8:
            # The integers stand for the real output, to the steps of the types and of the constants.
            scale = np.abs(tensors['x']).max()
            np.testing.assert_allclose(reference['x'] * integers['x'].out.step, tensors['x'], atol=0.04 * scale)


types = st.builds(Fixed, st.integers(2, 16), st.integers(-4, 12), st.booleans())


@pytest.mark.parametrize('op', NEW)
@given(data=st.data())
def test_one_op_in_integers_whatever_the_types(op, data):
    """Types that calibration would not choose: scales far apart, saturation, 16 bits; or lowering refuses them."""
    if op == 'concat':
        net = Graph(
            (
                Node('input', 'input', (), (2, 3, 2)),
                Node('y', 'leaky_relu', ('input',), (2, 3, 2)),
                Node('x', op, ('input', 'y'), (2, 3, 4)),
            )
        )
    elif op == 'scale':
        net = Graph(
            (
                *ONE_OP[op].nodes[:2],
                Node('y', 'sigmoid', ('pooled',), (1, 1, 4)),
                Node('x', op, ('input', 'y'), (4, 4, 4)),
            )
        )
    else:
        net = ONE_OP[op]
    kinds: dict[str, Fixed] = {}
    for node in net:
        kinds[node.name] = (
            qnode.passed_type(node, kinds[node.inputs[0]]) if node.op in ops.PASSED else data.draw(types, node.name)
        )
    try:
        integers = lower.lower(net, {}, kinds, {})
    except GraphError as error:
        assert 'exact only below' in str(error)
        return
    source = kinds['input']
    images = np.random.default_rng(0).integers(source.lo, source.hi + 1, (3, *net.input.shape))
    images[:1], images[1:2] = source.lo, source.hi
    reference = qgraph.run_int(integers, images, keep=('x',))['x']
    trained = model.Net(net, QuantSpec(tuple(kinds.items()), ())).apply(
        {}, (images * source.step).astype(np.float32), capture=True
    )['x']
    np.testing.assert_array_equal(np.asarray(trained), reference * np.float32(kinds['x'].step))


def fire_net() -> Graph:
    net = builder.Builder((6, 5, 2))
    tensor = _fire(net, 'fire1', 'input', 2, 3, bypass=False)
    tensor = _fire(net, 'fire2', _pool(net, 'pool', tensor), 2, 3, bypass=True)
    net.dense('dense', net.flatten('flatten', tensor), 3)
    return net.graph()


@pytest.mark.parametrize(
    'make, bits',
    [(fire_net, (8, 8)), (fire_net, (3, 4)), (mbconv_net, (8, 8)), (mbconv_net, (4, 5)), (detector_net, (4, 8))],
)
def test_small_networks_in_integers(make, bits, tmp_path):
    net = make()
    gates = dict(zip(net.gates, (1, 0, 1, 0)))
    _, folded, params, spec, images, _ = sample(rewrite.binarize(net, gates), 5, bits)
    integers, reference = assert_training_equals_integers(folded, params, spec, images)
    qgraph.save(integers, tmp_path / 'q.npz')
    again = qgraph.load(tmp_path / 'q.npz')
    x = qgraph.quantize_input(integers, images)
    np.testing.assert_array_equal(qgraph.run_int(again, x), reference[folded.output.name].reshape(len(x), -1))
    assert again.graph == folded and QuantSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize('make', [fire_net, mbconv_net, detector_net])
def test_small_networks_fold_and_prune_as_others_do(make):
    net = make()
    variables, folded, _, _, images, tensors = sample(rewrite.binarize(net, dict.fromkeys(net.gates, 1)), 2)
    whole = jax.jit(model.Net(net).apply)(variables, images)
    np.testing.assert_allclose(tensors[folded.output.name].reshape(len(images), -1), whole, rtol=1e-4, atol=1e-4)
    closed = rewrite.remove(net, net.gates)
    gated = jax.jit(model.Net(net).apply)(variables, images, {gate: jnp.float32(0) for gate in net.gates})
    np.testing.assert_allclose(
        gated, jax.jit(model.Net(closed).apply)(model.restrict(variables, closed), images), rtol=1e-4, atol=1e-4
    )


def test_shared_weights_are_one_set_of_parameters():
    """Against the same network with a copy of the weights for each node: outputs, gradients, parameters, integers."""
    net = detector_net()
    _, folded, params, spec, images, _ = sample(rewrite.binarize(net, dict.fromkeys(net.gates, 1)), 3, (4, 8))
    apart = Graph(tuple(dataclasses.replace(node, weights='') for node in folded))
    copies = {node.name: params[node.key] for node in folded if node.key in params}
    shared_size, apart_size = (sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in (params, copies))
    assert (shared_size, apart_size) == (graph.parameters(folded), graph.parameters(apart)) and shared_size < apart_size

    @functools.partial(jax.jit, static_argnums=(1, 2))
    @jax.value_and_grad
    def loss(tree, network, types):
        tree = quant.quantize_params(network, tree, types) if types else tree
        return (model.Net(network, types).apply({'params': tree}, images) ** 2).sum()

    for types in (None, spec):
        (value, gradient), (expected, parts) = loss(params, folded, types), loss(copies, apart, types)
        assert float(value) == pytest.approx(float(expected), rel=1e-5)
        total = parts['p3_box_conv1']['kernel'] + parts['p4_box_conv1']['kernel']
        np.testing.assert_allclose(gradient['box_conv1']['kernel'], total, rtol=1e-3, atol=1e-4 * np.abs(total).max())
    one, other = (
        lower.lower(each, tree, dict(spec.activations), dict(spec.weights))
        for each, tree in ((folded, params), (apart, copies))
    )
    x = qgraph.quantize_input(one, images)
    np.testing.assert_array_equal(qgraph.run_int(one, x), qgraph.run_int(other, x))


def test_what_is_left_of_a_network_keeps_the_shared_weights():
    net = detector_net()
    coarse = rewrite.dead_code(Graph(net.nodes[: net.nodes.index(net['p4_box_flatten']) + 1]))
    assert 'p3_box_conv1' not in coarse.by_name and 'p4_box_conv1' in coarse.by_name
    assert graph.parameters(coarse, coarse['p4_box_conv1']) == graph.parameters(net, net['p3_box_conv1']) > 0
    jax.tree.map(np.testing.assert_array_equal, model.restrict(model.init(net, 4), coarse), model.init(coarse, 4))


def test_a_pool_over_the_whole_map_is_a_global_pool():
    start = Node('input', 'input', (), (5, 3, 4))
    nets = [
        Graph((start, Node('x', op, ('input',), (1, 1, 4), kernel)))
        for op, kernel in (('avg_pool', (5, 3)), ('global_avg_pool', (1, 1)))
    ]
    images = np.random.default_rng(0).integers(-128, 128, (4, 5, 3, 4))
    one, other = (
        qgraph.run_int(lower.lower(net, {}, {'input': Fixed(8, 5), 'x': Fixed(8, 6)}, {}), images) for net in nets
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('name', ['squeezenet', 'efficientnet_b1', 'yolov3', 'retinanet_r50_fpn'])
def test_the_networks_trace_with_the_parameters_that_the_graph_counts(name):
    net = build.named(name)
    shapes = jax.eval_shape(model.Net(net).init, jax.random.key(0), np.zeros((1, *net.input.shape), np.float32))
    assert graph.parameters(net) == sum(leaf.size for leaf in jax.tree.leaves(shapes['params']))
    output = jax.eval_shape(model.Net(net).apply, shapes, np.zeros((1, *net.input.shape), np.float32))
    assert output.shape == (1, net.output.shape[2])


@given(st.integers(2, 16), st.booleans(), st.integers(-3, 16), st.floats(0, 0.99))
def test_slope_multiplier_is_the_nearest_that_stays_exact(bits, signed, frac, slope):
    source = Fixed(bits, frac, signed)
    multiplier, shift = fixed.slope_multiplier(slope, source)
    largest = max(-source.lo, source.hi)
    assert max(multiplier, 2**shift) * largest < 2**23
    assert abs(multiplier / 2**shift - slope) <= largest / 2**23
    assert shift == 0 or multiplier % 2 == 1


@pytest.mark.parametrize('op', ['sigmoid', 'swish'])
def test_tables_hold_the_nearest_integers_and_have_the_gradient_of_the_function(op):
    source, out = Fixed(7, 3), Fixed(8, 5, signed=op == 'swish')
    xs = np.arange(source.lo, source.hi + 1) * source.step
    smooth = np.array(
        [by_definition(Node('x', op, (), (1, 1, 1)), [np.full((1, 1, 1, 1), x)], (0, 0, 0, 0)) for x in xs]
    )
    table = lower.lookup_table(op, source, out)
    assert np.abs(table * out.step - np.clip(smooth, out.lo * out.step, out.hi * out.step)).max() <= out.step / 2
    np.testing.assert_array_equal(quant.lookup(xs.astype(np.float32), op, source, out), table * np.float32(out.step))
    gradient = jax.grad(lambda x: quant.lookup(x, op, source, out).sum())(xs.astype(np.float32))
    difference = np.gradient(smooth, xs)
    inside = smooth < (out.hi - 1) * out.step
    np.testing.assert_allclose(gradient[inside], difference[inside], atol=3e-3)
    np.testing.assert_array_equal(gradient[smooth > (out.hi + 1) * out.step], 0)


@pytest.mark.parametrize('op', ops.OPS[1:])
def test_every_walk_handles_an_op_or_refuses_it_by_name(op):
    """The model and the integers run what folding leaves; the dataflow cost and the exporters take those that the table
    says, and refuse the others and name the node.
    """
    net = ONE_OP[op]
    if op == 'batch_norm':
        for walk in (
            rewrite.fold,
            lambda net: quant.calibrate(net, {}, {'input': np.ones(3)}, 8, 8),
            lambda net: lower.lower(net, {}, {'input': Fixed(8, 4), 'x': Fixed(8, 4)}, {}),
        ):
            with pytest.raises(GraphError, match="'x'"):
                walk(Graph((*net.nodes, Node('last', 'relu', ('x',), net.output.shape))))
        return
    _, folded, params, spec, _, _ = sample(net, 0)
    integers = lower.lower(folded, params, dict(spec.activations), dict(spec.weights))
    walks = (
        (ops.STREAMED, lambda: costmodel.evaluate(net, costmodel.dataflow())),
        (ops.STREAMED, lambda: emit.source(integers, printable(folded))),
        (qonnx.TRANSLATED, lambda: qonnx.model(integers)),
    )
    for taken, walk in walks:
        if op not in taken:
            with pytest.raises(GraphError, match="'x'"):
                walk()
        else:
            walk()


def test_what_float32_cannot_compute_is_refused_by_name():
    wide = Fixed(16, 8)
    kinds = {'input': wide, 'pooled': wide}
    for op, change in (('scale', {}), ('concat', {'conv': Fixed(16, 20)})):
        net = ONE_OP[op]
        params = {'conv': {'kernel': np.zeros((1, 1, 2, 3), np.float32)}} if op == 'concat' else {}
        with pytest.raises(
            GraphError, match=rf"'x' \({op}\): its accumulator reaches .* fewer weight or activation bits"
        ):
            lower.lower(net, params, kinds | change, {'conv': Fixed(2, 0)})
    with pytest.raises(GraphError, match=r"'x' \(sigmoid\): its output has no quantization type"):
        lower.lower(ONE_OP['sigmoid'], {}, kinds, {})
    with pytest.raises(GraphError, match=r"'x' \(flatten\) passes its input on"):
        lower.lower(ONE_OP['flatten'], {}, kinds | {'x': fixed.Fixed(8, 8)}, {})
