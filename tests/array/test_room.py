"""Buffers of the PE array: the least that a network runs in is the error's, and more never costs more traffic.

The default run takes few graphs a law; HYPOTHESIS_PROFILE=thorough takes 1,000.
"""

import dataclasses
import itertools
import random
import re

import pytest
from array_cases import FEW, loop_nests, targets
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_graphs import nested_graphs

import costmodel
from costmodel.array import tiling
from costmodel.array.settings import BUFFERS
from tailor_jax import build
from tailor_jax.graph import Graph, Node

SAID = re.compile(r'(?:take|takes|takes at least) (\d+) bytes|sram_bytes that would do is (\d+)')


def least(price: object, graph: Graph, target: costmodel.PEArray) -> int:
    """What the error says that would do, where one byte does not."""
    with pytest.raises(costmodel.CostError) as caught:
        price(graph, dataclasses.replace(target, sram_bytes=1))
    found = SAID.search(str(caught.value))
    assert found, caught.value
    return int(found[1] or found[2])


@settings(max_examples=4 * FEW)
@given(nested_graphs(4), targets(), st.sampled_from([costmodel.evaluate, costmodel.tabulate]))
def test_the_least_buffer_that_an_error_names_is_the_least_that_runs(graph, target, price):
    try:
        price(graph, dataclasses.replace(target, sram_bytes=1 << 30))
    except costmodel.CostError as error:
        assert 'interact' in str(error)
        assume(False)
    enough = least(price, graph, target)
    assert enough > 1
    price(graph, dataclasses.replace(target, sram_bytes=enough))
    with pytest.raises(costmodel.CostError, match=str(enough)):
        price(graph, dataclasses.replace(target, sram_bytes=enough - 1))


@pytest.mark.parametrize('key', BUFFERS)
@pytest.mark.parametrize('network', ['resnet8', 'squeezenet'])
def test_the_least_separate_buffer_that_an_error_names_is_the_least_that_runs(network, key):
    graph = build.named(network, (32, 32, 3))

    def target(size: int) -> costmodel.PEArray:
        return costmodel.pe_array('vta', **dict.fromkeys(BUFFERS, 1 << 24) | {key: size})

    with pytest.raises(costmodel.CostError, match=rf'takes \d+ bytes and {key} is 1') as caught:
        costmodel.evaluate(graph, target(1))
    enough = int(SAID.search(str(caught.value))[1])
    costmodel.evaluate(graph, target(enough))
    with pytest.raises(costmodel.CostError, match=f'takes {enough} bytes'):
        costmodel.evaluate(graph, target(enough - 1))


MONOTONE = ('layer_by_layer', 'retain', 'shortcut_fusion')


def sizes(enough: int, rng: random.Random) -> list[int]:
    """Buffers from the least up: neighbours, where a step is most likely to go wrong, and some far apart."""
    begins = [enough, *(rng.randint(enough, 6 * enough) for _ in range(2))]
    return sorted({begin + step for begin in begins for step in range(8)} | {1 << 22})


@settings(max_examples=2 * FEW)
@given(nested_graphs(4), targets(), st.sampled_from(MONOTONE), st.integers(0, 1 << 32))
def test_a_larger_buffer_never_moves_more_bytes(graph, target, policy, seed):
    target = dataclasses.replace(target, policy=policy)
    enough = least(costmodel.evaluate, graph, target)
    priced = [
        (size, costmodel.evaluate(graph, dataclasses.replace(target, sram_bytes=size)).total)
        for size in sizes(enough, random.Random(seed))
    ]
    for (small, before), (large, after) in itertools.pairwise(priced):
        assert after['dram_bytes'] <= before['dram_bytes'], (small, large)
        assert after['buffer_bytes'] <= large


@settings(max_examples=FEW // 2)
@given(nested_graphs(4), targets(), st.integers(0, 1 << 32))
def test_a_larger_buffer_never_moves_more_bytes_in_expectation(graph, target, seed):
    """Each setting's traffic falls, so their mean does: also through the states between blocks."""
    target, rng = dataclasses.replace(target, policy='retain'), random.Random(seed)
    p = {gate: rng.uniform(0.05, 0.95) for gate in graph.gates}
    try:
        enough = least(costmodel.tabulate, graph, target)
    except AssertionError:
        assume(False)
    moved = [
        costmodel.expected(costmodel.tabulate(graph, dataclasses.replace(target, sram_bytes=size)), p)['dram_bytes']
        for size in sizes(enough, rng)[::4]
    ]
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(moved))


@pytest.mark.parametrize('op', ['conv', 'max_pool'])
def test_a_larger_buffer_never_moves_more_bytes_where_a_concat_has_a_tensor_twice(op):
    """Its tiles are chosen by what they move, and they move it once."""
    window = {'kernel': (5, 5), 'padding': (2, 2, 2, 2)}
    nodes = (
        Node('input', 'input', (), (8, 8, 4)),
        Node('half', 'conv', ('input',), (8, 8, 2), kernel=(3, 3), padding=(1, 1, 1, 1)),
        Node('twice', 'concat', ('half', 'half'), (8, 8, 4)),
        Node('wide', op, ('twice',), (8, 8, 4), **window),
        Node('last', 'conv', ('wide',), (8, 8, 4)),
    )
    for policy in ('layer_by_layer', 'retain'):
        target = costmodel.pe_array('tailor_2d', policy=policy, rereads=True)
        moved = [
            costmodel.evaluate(Graph(nodes), dataclasses.replace(target, sram_bytes=size)).total['dram_bytes']
            for size in range(450, 1300, 2)
        ]
        assert moved == sorted(moved, reverse=True)


@pytest.mark.parametrize('rereads', [False, True])
@pytest.mark.parametrize('network', ['resnet20', 'squeezenet', 'mobilenet_v2'])
def test_a_larger_buffer_never_moves_more_bytes_of_real_networks(network, rereads):
    graph, target = build.named(network, (64, 64, 3)), costmodel.pe_array('tailor_2d', policy='retain', rereads=rereads)
    enough, moved, maps = least(costmodel.evaluate, graph, target), [], []
    for step in range(14):
        total = costmodel.evaluate(graph, dataclasses.replace(target, sram_bytes=int(enough * 2**step))).total
        moved.append(total['dram_bytes'])
        maps.append(total['dram_feature_map_bytes'])
    assert moved == sorted(moved, reverse=True) and maps[-1] < 0.3 * maps[0]


@settings(max_examples=4 * FEW)
@given(loop_nests(), st.booleans(), st.booleans(), st.integers(1, 2), st.sampled_from([4, 8, 16]))
def test_the_calm_room_is_the_least_in_which_tiles_move_as_little_as_in_any(
    nest, on_chip, double_buffered, batch, bits
):
    target = costmodel.pe_array(double_buffered=double_buffered, batch=batch, activation_bits=bits)
    calm = tiling._calm_room(nest, on_chip, target)
    floor = tiling.search(nest, on_chip, target, 1 << 30).moved_bytes
    assert tiling.search(nest, on_chip, target, calm).moved_bytes == floor
    tighter = tiling.search(nest, on_chip, target, calm - 1)
    assert tighter is None or tighter.moved_bytes > floor
