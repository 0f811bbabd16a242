"""The IR: validation, JSON, counting; and that every walk handles every op it claims."""

import dataclasses

import numpy as np
import pytest
from networks import of_each_op
from plans import folded

from tailor_jax import build, graph, model, ops, rewrite
from tailor_jax.dataflow import design as designs
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
        ({'op': 'convolve'}, "'conv' .*: op 'convolve' is not one of"),
        ({'name': 'Conv'}, 'lower case words'),
        ({'name': 'for'}, 'no C\\+\\+ keyword'),
        ({'name': 'a__b'}, 'single underscores'),
        ({'inputs': ('sum',)}, "its input 'sum' is not a node before it"),
        ({'inputs': ('input', 'input')}, 'expected 1 inputs, got 2'),
        ({'shape': (4, 4, 0)}, 'three positive integers'),
        ({'shape': (5, 4, 3)}, r'given as \(5, 4, 3\), but its inputs and attributes give \(4, 4, 3\)'),
        ({'padding': (3, 1, 1, 1)}, 'must be smaller than the kernel'),
        ({'stride': (0, 1)}, r'stride must be two positive integers of up to 1024, got \(0, 1\)'),
        ({'groups': 2}, '2 groups divide neither'),
        ({'gate': 'skip'}, "only add can have gate, got 'skip'"),
    ],
)
def test_a_broken_rule_is_named(changes, message):
    with pytest.raises(GraphError, match=message):
        Graph(small(**changes))


@pytest.mark.parametrize('name', ['all', 'none'])
def test_a_gate_is_not_called_as_all_gates_or_no_gate_are(name):
    *others, last = small()
    with pytest.raises(GraphError, match=f"'sum' .*: gate '{name}' has a name that says which gates are kept"):
        Graph((*others, dataclasses.replace(last, gate=name)))


def test_add_of_different_shapes_names_both():
    nodes = small(shape=(4, 4, 5))
    with pytest.raises(GraphError, match=r"'conv' \(4, 4, 5\) and 'input' \(4, 4, 3\)"):
        Graph(nodes)


@pytest.mark.parametrize(
    'node, message',
    [
        (Node('x', 'concat', ('input',), (4, 4, 3)), 'expected two inputs or more, got 1'),
        (
            Node('x', 'concat', ('input', 'pool'), (4, 4, 6)),
            r"'input' \(4, 4, 3\), 'pool' \(1, 1, 3\) differ in height or width",
        ),
        (
            Node('x', 'scale', ('input', 'input'), (4, 4, 3)),
            r"expected factors 'input' of shape \(1, 1, 3\), got \(4, 4, 3\)",
        ),
        (
            Node('x', 'upsample', ('input',), (4, 4, 3), factor=(0, 1)),
            r'factor must be two positive integers of up to 1024, got \(0, 1\)',
        ),
        (
            Node('x', 'upsample', ('input',), (8, 8, 3), factor=(2,)),
            r'factor must be two positive integers of up to 1024, got \(2,\)',
        ),
        (Node('x', 'conv', ('input',), (4, 4, 3), weights='pool'), "weights 'pool' is the name of a global_avg_pool"),
        (Node('x', 'upsample', ('input',), (8, 8, 3), factor=(2, 1)), r'give \(8, 4, 3\)'),
        (Node('x', 'flatten', ('input',), (1, 1, 47)), r'give \(1, 1, 48\)'),
        (Node('x', 'leaky_relu', ('input',), (4, 4, 3), slope=1.5), 'slope must be at least 0 and below 1, got 1.5'),
        (
            Node('x', 'avg_pool', ('input',), (4, 4, 3), padding=(1, 0, 0, 0)),
            'padding .* must be smaller than the kernel',
        ),
        (Node('x', 'dense', ('input',), (1, 1, 2)), 'pool or flatten it first'),
        (Node('x', 'relu', ('input',), (4, 4, 3), weights='w'), "only conv or dense can have weights, got 'w'"),
        (
            Node('x', 'conv', ('input',), (4, 4, 3), weights='conv'),
            "shares the weights 'conv' of 'conv', so .* must be .*, got",
        ),
    ],
)
def test_a_broken_rule_of_the_other_ops_is_named(node, message):
    conv = Node('conv', 'conv', ('input',), (4, 4, 5))
    with pytest.raises(GraphError, match=f"'x'.*{message}"):
        Graph(
            (Node('input', 'input', (), (4, 4, 3)), conv, Node('pool', 'global_avg_pool', ('input',), (1, 1, 3)), node)
        )


@pytest.mark.parametrize('skips', build.SKIPS)
def test_json_round_trip_and_hash(skips):
    net = build.resnet(14, (16, 12, 3), skips=skips)
    again = graph.from_json(graph.to_json(net))
    assert again == net
    assert hash(again) == hash(net)


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


@pytest.mark.parametrize('net', of_each_op(), ids=ops.OPS)
def test_every_op_is_handled_or_refused_by_name(net):
    """A walk either handles an op or raises GraphError naming the node: no op falls through in silence."""
    node = net.output
    assert node.op in ops.OPS
    assert graph.from_json(graph.to_json(net)) == net and node.op in str(net)
    assert rewrite.dead_code(net) == net and rewrite.binarize(net, {}) == net
    assert graph.parameters(net) >= 0 and graph.macs(net) >= 0
    for walk in (graph.weight_shape, lambda net, _: designs.design(net, folded(net))):
        try:
            walk(net, node)
        except GraphError as error:
            assert "'x'" in str(error)
