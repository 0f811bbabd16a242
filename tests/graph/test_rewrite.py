"""Rewrites against what the built-in skip variants give, and by their definitions."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailor_jax import build, rewrite
from tailor_jax.graph import Graph, GraphError, Node


def structure(net: Graph):
    """The nodes without their gates."""
    return [dataclasses.replace(node, gate='') for node in net]


@pytest.mark.parametrize('skips', ['long', 'short', 'short_pre', 'long+short'])
def test_all_gates_closed_is_the_network_built_without_skips(skips):
    net = build.resnet(20, skips=skips)
    assert structure(rewrite.remove(net, net.gates)) == structure(build.resnet(20, skips='none'))


def test_a_supernet_with_one_candidate_open_is_that_variant():
    supernet = build.resnet(14, skips='long+short')
    for kept in ('long', 'short'):
        chosen = rewrite.binarize(supernet, {gate: int(gate.rstrip('12').endswith(kept)) for gate in supernet.gates})
        variant = build.resnet(14, skips=kept)
        assert sorted(map(str, structure(chosen))) == sorted(map(str, structure(variant)))


@given(st.lists(st.integers(0, 1), min_size=9, max_size=9), st.integers(1, 8))
def test_binarizing_in_two_goes_is_binarizing_at_once(values, cut):
    net = build.resnet(20)
    settings = dict(zip(net.gates, values))
    first, second = dict(list(settings.items())[:cut]), dict(list(settings.items())[cut:])
    assert rewrite.binarize(rewrite.binarize(net, first), second) == rewrite.binarize(net, settings)


def test_a_projection_goes_with_its_skip_and_only_then():
    net = build.resnet(8)
    assert 's2b0_proj' not in rewrite.remove(net, ['s2b0_long']).by_name
    assert 's2b0_proj' in rewrite.remove(net, ['s1b0_long', 's3b0_long']).by_name
    shared = build.resnet(8, skips='long+short')
    assert 's2b0_proj' in rewrite.remove(shared, ['s2b0_long']).by_name
    assert 's2b0_proj' not in rewrite.remove(shared, ['s2b0_long', 's2b0_short1']).by_name


def test_binarize_refuses_what_is_no_setting():
    net = build.resnet(8)
    with pytest.raises(GraphError, match="no gate 's9b9_long'.*s1b0_long"):
        rewrite.binarize(net, {'s9b9_long': 1})
    with pytest.raises(GraphError, match="'s1b0_long': a setting must be 0 or 1, got 0.5"):
        rewrite.binarize(net, {'s1b0_long': 0.5})


def test_fold_leaves_no_batch_norm_and_no_fusible_relu():
    folded = rewrite.fold(build.resnet(20))
    assert {node.op for node in folded} == {'input', 'conv', 'add', 'global_avg_pool', 'dense'}
    assert all(node.bias for node in folded if node.op == 'conv')
    assert folded['s1b0_conv1'].relu and not folded['s1b0_conv2'].relu and folded['s1b0_long'].relu


def test_a_relu_of_a_shared_tensor_stays_a_node():
    nodes = (
        Node('input', 'input', (), (4, 4, 2)),
        Node('conv', 'conv', ('input',), (4, 4, 2)),
        Node('relu', 'relu', ('conv',), (4, 4, 2)),
        Node('sum', 'add', ('relu', 'conv'), (4, 4, 2)),
    )
    folded = rewrite.fold(Graph(nodes))
    assert folded['relu'].op == 'relu' and not folded['conv'].relu


def test_a_relu_that_alone_reads_another_is_that_one():
    shape = (4, 4, 2)
    nodes = [
        Node('input', 'input', (), shape),
        *(
            Node(name, 'relu', (source,), shape)
            for name, source in (('a', 'input'), ('b', 'a'), ('c', 'a'), ('d', 'c'))
        ),
    ]
    folded = rewrite.fold(Graph((*nodes, Node('sum', 'add', ('b', 'd'), shape))))
    assert [node.name for node in folded] == ['input', 'a', 'b', 'c', 'sum'] and folded['sum'].inputs == ('b', 'c')


def test_fold_refuses_a_batch_norm_it_cannot_fold():
    nodes = (
        Node('input', 'input', (), (4, 4, 2)),
        Node('conv', 'conv', ('input',), (4, 4, 2)),
        Node('bn', 'batch_norm', ('conv',), (4, 4, 2)),
        Node('sum', 'add', ('bn', 'conv'), (4, 4, 2)),
    )
    with pytest.raises(GraphError, match="'bn'.*only be folded"):
        rewrite.fold(Graph(nodes))


def test_fold_keeps_other_activations_and_refuses_a_batch_norm_over_shared_weights():
    start = Node('input', 'input', (), (4, 4, 2))
    conv, bn = Node('conv', 'conv', ('input',), (4, 4, 2), weights='w'), Node('bn', 'batch_norm', ('conv',), (4, 4, 2))
    leaky = Node('leaky', 'leaky_relu', ('bn',), (4, 4, 2), slope=0.25)
    folded = rewrite.fold(Graph((start, conv, bn, leaky)))
    assert (
        [node.name for node in folded] == ['input', 'conv', 'leaky']
        and folded['leaky'].slope == 0.25
        and not folded['conv'].relu
    )
    with pytest.raises(GraphError, match="'bn'.*shares no weights"):
        rewrite.fold(Graph((start, conv, bn, leaky, Node('again', 'conv', ('leaky',), (4, 4, 2), weights='w'))))


@pytest.mark.parametrize('depth', [7, 10, 2])
def test_a_depth_that_does_not_exist_suggests_the_nearest(depth):
    with pytest.raises(ValueError, match=f'got {depth}; the nearest is 8'):
        build.resnet(depth)


def test_unknown_skips():
    with pytest.raises(ValueError, match="got 'longest'"):
        build.resnet(8, skips='longest')
