"""The IR: validation, JSON, counting; and that every walk handles every op it claims."""

import dataclasses

import numpy as np
import pytest

from tailor_jax import build, graph, model, streaming
from tailor_jax.graph import Graph, GraphError, Node


def small(**changes) -> tuple[Node, ...]:
    """A conv and an add over it; `changes` replaces fields of the conv."""
    conv = Node('conv', 'conv', ('input',), (4, 4, 3), (3, 3), (1, 1), (1, 1, 1, 1))
    return (
        Node('input', 'input', (), (4, 4, 3)),
        dataclasses.replace(conv, **changes),
        Node('sum', 'add', ('conv', 'input'), (4, 4, 3), gate='skip'),
    )


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'op': 'convolve'}, "'conv': op 'convolve' is not one of"),
        ({'name': 'Conv'}, 'lower case words'),
        ({'name': 'for'}, 'no C\\+\\+ keyword'),
        ({'name': 'a__b'}, 'single underscores'),
        ({'inputs': ('sum',)}, "its input 'sum' is not a node before it"),
        ({'inputs': ('input', 'input')}, 'expected 1 inputs, got 2'),
        ({'shape': (4, 4, 0)}, 'three positive integers'),
        ({'shape': (5, 4, 3)}, r'given as \(5, 4, 3\), but its inputs and attributes give \(4, 4, 3\)'),
        ({'padding': (3, 1, 1, 1)}, 'must be smaller than the kernel'),
        ({'stride': (0, 1)}, 'must be positive'),
        ({'groups': 2}, '2 groups divide neither'),
        ({'gate': 'skip'}, 'only an add can have a gate'),
    ],
)
def test_a_broken_rule_is_named(changes, message):
    with pytest.raises(GraphError, match=message):
        Graph(small(**changes))


def test_add_of_different_shapes_names_both():
    nodes = small(shape=(4, 4, 5))
    with pytest.raises(GraphError, match=r"'conv' \(4, 4, 5\) and 'input' \(4, 4, 3\)"):
        Graph(nodes)


@pytest.mark.parametrize('skips', build.SKIPS)
def test_json_round_trip_and_hash(skips):
    net = build.resnet(14, (16, 12, 3), skips=skips)
    again = graph.from_json(graph.to_json(net))
    assert again == net
    assert hash(again) == hash(net)


@pytest.mark.parametrize(
    'text, message',
    [
        ('{', 'must be JSON'),
        ('{}', 'list of node objects'),
        ('[{"name": "a"}]', 'is missing'),
        ('[{"name": "input", "op": "input", "inputs": [], "shape": [1, 1, 1], "color": 3}]', "unknown field 'color'"),
    ],
)
def test_a_bad_graph_file_is_named(text, message):
    with pytest.raises(GraphError, match=message):
        graph.from_json(text)


@pytest.mark.parametrize('depth, published', [(20, 0.27e6), (32, 0.46e6), (44, 0.66e6), (56, 0.85e6), (110, 1.7e6)])
def test_parameter_counts_are_the_published_ones(depth, published):
    """He et al. 2016, table 6 (to the two figures printed there)."""
    assert graph.parameters(build.resnet(depth)) == pytest.approx(published, rel=0.03)


def test_parameters_equal_what_flax_makes():
    import jax

    net = build.resnet(8, (8, 8, 1), skips='long+short')
    shapes = jax.eval_shape(lambda key: model.Net(net).init(key, np.zeros((1, 8, 8, 1))), jax.random.key(0))
    assert graph.parameters(net) == sum(leaf.size for leaf in jax.tree.leaves(shapes['params']))


def test_macs_equal_the_work_of_the_windows():
    net = build.resnet(8, (10, 6, 3))
    by_hand = 0
    for node in net:
        if node.op == 'conv':
            rows = range(-node.padding[0], 10**6, node.stride[0])
            by_hand += (
                sum(1 for _, _ in zip(rows, range(node.shape[0])))
                * node.shape[1]
                * node.shape[2]
                * node.kernel[0]
                * node.kernel[1]
                * net.in_shape(node)[2]
            )
        elif node.op == 'dense':
            by_hand += net.in_shape(node)[2] * node.shape[2]
    assert graph.macs(net) == by_hand


def test_pretty_shows_every_node():
    net = build.resnet(8)
    lines = str(net).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == [node.name for node in net]
    assert '3 gates' in lines[-1]


def test_unknown_node_is_named():
    with pytest.raises(GraphError, match="no node 'nope'"):
        build.resnet(8)['nope']


def test_every_op_is_handled_or_refused_by_name():
    """A walk either handles an op or raises GraphError naming the node: no op falls through in silence."""
    inputs = {'input': (), 'add': ('input', 'input')}
    for op in graph.OPS:
        node = Node('x', op, inputs.get(op, ('input',)), (1, 1, 4))
        net = Graph((Node('input', 'input', (), (1, 1, 4)), node)) if op != 'input' else Graph((Node('x', op, (), (1, 1, 4)),))
        for walk in (graph.weight_shape, streaming.period_cycles):
            try:
                walk(net, node)
            except GraphError as error:
                assert "'x'" in str(error)
