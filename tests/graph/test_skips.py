"""Where skips go, from the structure alone: whatever nodes are called, and for networks that no builder made."""

import dataclasses

import pytest

from tailor_jax import build
from tailor_jax.build import Builder
from tailor_jax.graph import Graph
from tailor_jax.skips import Shortening, shortenings, skips


def renamed(net: Graph) -> Graph:
    """The same network with other names of nodes, gates and blocks."""
    new = {node.name: f'n{number}' for number, node in enumerate(net)}
    return Graph(
        tuple(
            dataclasses.replace(
                node,
                name=new[node.name],
                inputs=tuple(new[name] for name in node.inputs),
                gate=f'g_{new[node.gate]}' if node.gate else '',
                block='',
            )
            for node in net
        )
    )


@pytest.mark.parametrize('depth, layers', [(8, 2), (50, 3)])
def test_residual_networks(depth, layers):
    """Against what the builder's names say."""
    net = {where: build.resnet(depth, (32, 32, 3), width=4, skips=where) for where in ('long', 'short', 'long+short')}
    assert {skip.layers for skip in skips(net['long'])} == {layers}
    assert all(skip.before_relu and not skip.inside for skip in skips(net['long']))
    assert {(skip.layers, skip.before_relu, skip.inside) for skip in skips(net['short'])} == {(1, False, ())}
    for skip in skips(net['long+short']):
        assert skip.gate == skip.node and skip.layers == (layers if skip.node.endswith('long') else 1)
    assert not any(shortenings(each) for each in net.values())
    assert {skip.layers for skip in skips(build.resnet(8, skips='short_pre'))} == {1}


@pytest.mark.parametrize('depth', [8, 20, 50])
def test_blocks_that_shorten_are_found_whatever_they_are_called(depth):
    net = build.resnet(depth, (32, 32, 3), width=4, skips='long_post+short')
    blocks = {node.block: [] for node in net if node.gate}
    for node in net:
        if node.gate:
            blocks[node.block].append(node.gate)
    wanted = [Shortening(f'{block}_long_post', tuple(gates[:-1])) for block, gates in blocks.items()]
    assert list(shortenings(net)) == wanted and all(
        gates[-1] == f'{block}_long_post' for block, gates in blocks.items()
    )
    other = renamed(net)
    new = dict(zip(net.gates, other.gates))
    assert list(shortenings(other)) == [
        Shortening(new[each.long], tuple(new[gate] for gate in each.short)) for each in wanted
    ]


def nested(inner_layers: int) -> Graph:
    """A skip over two convolutions, and inside it one over the first or over both."""
    net = Builder((8, 8, 4))
    one = net.conv('one', 'input', 4)
    two = net.add('inner', net.conv('two', one, 4), 'input') if inner_layers == 2 else net.add('inner', one, 'input')
    if inner_layers == 1:
        two = net.conv('two', two, 4)
    net.head(net.add('outer', two, 'input'), 3)
    return net.graph()


def test_skips_in_one_another_shorten_only_where_they_are_one_after_another():
    for inner in (1, 2):
        found = {skip.node: skip for skip in skips(nested(inner))}
        assert (found['inner'].layers, found['outer'].layers, found['outer'].inside) == (inner, 2, ('inner',))
        assert {skip.fork for skip in found.values()} == {'input'} and not shortenings(nested(inner))


def test_forks_of_skips_that_pass_projections_and_decoders():
    net = Builder((8, 8, 2))
    fine = net.conv('fine', 'input', 4)
    coarse = net.conv('coarse', net.relu('between', fine), 8, stride=2)
    up = net.conv('narrow', net.upsample('up', net.conv('low', coarse, 8)), 4)
    net.head(net.add('skip', up, net.projection('proj', fine, 4, stride=1)), 3)
    (skip,) = skips(net.graph())
    assert (skip.fork, skip.layers, skip.before_relu) == ('fine', 3, False)
