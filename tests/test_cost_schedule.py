"""FIFO depths, intervals and latencies against the token-by-token simulator, which shares no code with the schedule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_graphs import nested_graphs, same_rate

import costmodel
from costmodel.streams.simulate import simulate
from tailor_jax import build, rewrite
from tailor_jax.graph import Graph, Node

UNIT = costmodel.dataflow(reuse_factor=1)


def skip_over(convs: int, width: int, height: int = 6) -> Graph:
    """An input, a convolution, and a skip over `convs` 3x3 convolutions."""
    shape, window = (height, width, 2), {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}
    nodes = [Node('input', 'input', (), shape), Node('stem', 'conv', ('input',), shape, **window)]
    for index in range(convs):
        nodes.append(Node(f'conv{index}', 'conv', (nodes[-1].name,), shape, **window))
    return Graph((*nodes, Node('join', 'add', (nodes[-1].name, 'stem'), shape, gate='skip')))


def depths(cost: costmodel.Cost) -> dict[str, int]:
    return {row['name']: row['depth'] for row in cost.fifos}


@pytest.mark.parametrize('width', [5, 8, 32])
@pytest.mark.parametrize('convs', [1, 2, 3, 5])
def test_a_skip_over_n_convolutions_holds_n_rows_and_n_pixels_and_one(convs, width):
    """facts: W + 2 over one, 2 W + 3 over two, n (W + 1) + 1 over n, at equal rates."""
    cost = costmodel.evaluate(skip_over(convs, width), UNIT)
    assert depths(cost)['stem__join'] == convs * (width + 1) + 1
    assert all(depth == 2 for name, depth in depths(cost).items() if name != 'stem__join')


def test_reuse_adds_the_cycles_of_the_passes_to_the_depth():
    """Two convolutions of R cycles a token add 2 (R - 1) cycles of delay: from R = 2 on, one token more than at R = 1."""
    graph = skip_over(2, 8)
    for reuse in (2, 3, 6):
        assert depths(costmodel.evaluate(graph, costmodel.dataflow(reuse_factor=reuse)))['stem__join'] == 2 * 9 + 1 + (2 * (reuse - 1)) // reuse


def test_full_map_and_pow2():
    graph = skip_over(2, 8)
    assert set(depths(costmodel.evaluate(graph, costmodel.dataflow(fifo_policy='full_map'))).values()) == {48}
    assert depths(costmodel.evaluate(graph, costmodel.dataflow(fifo_policy='pow2', reuse_factor=1)))['stem__join'] == 32


def test_shortening_saves_no_bits_in_an_exactly_sized_pipeline():
    """facts/tailor.md: two short skips hold 2 (W + 2) tokens against 2 W + 3 of the long one."""
    bits = {}
    for skips in ('long', 'short'):
        cost = costmodel.evaluate(build.resnet(8, skips=skips), UNIT)
        bits[skips] = sum(row['depth'] for row in cost.fifos if row['node'].startswith('s1b0') and row['name'] in (
            'stem_conv__s1b0_long', 'stem_conv__s1b0_short1', 's1b0_short1__s1b0_short2'))
    assert bits == {'long': 2 * 32 + 3, 'short': 2 * (32 + 2)}


def paces(graph: Graph) -> list[dict]:
    height, width, _ = graph.input.shape
    return [{'reuse_factor': 1}, {}, {'interval_cycles': height * width}, {'interval_cycles': 5 * height * width}]


@given(nested_graphs(max_gates=6), st.integers(0, 3), st.data())
def test_at_the_depths_given_the_network_keeps_the_interval_of_its_slowest_process(graph, pace, data):
    graph = rewrite.binarize(graph, {gate: data.draw(st.integers(0, 1)) for gate in graph.gates})
    cost = costmodel.evaluate(graph, costmodel.dataflow(**paces(graph)[pace]))
    run = simulate(rewrite.fold(graph), cost.reuse_factors, depths(cost), images=24)
    assert not run.deadlocked
    assert run.interval_cycles == cost.total['interval_cycles']


@given(nested_graphs(max_gates=6), st.integers(0, 3))
def test_the_latency_is_that_of_the_machine_with_room_everywhere(graph, pace):
    """With bounded FIFOs the first image can come out later, never earlier."""
    cost = costmodel.evaluate(graph, costmodel.dataflow(**paces(graph)[pace]))
    folded = rewrite.fold(graph)
    assert simulate(folded, cost.reuse_factors, images=24).latency_cycles == cost.total['latency_cycles']
    assert simulate(folded, cost.reuse_factors, depths(cost), images=24).latency_cycles >= cost.total['latency_cycles']


@given(same_rate())
def test_a_skip_fifo_fills_to_its_depth_and_one_less_stops_the_network(graph):
    """Where every layer has the same rate there is no slack: each skip FIFO fills exactly, and a token less costs throughput or all."""
    cost = costmodel.evaluate(graph, UNIT)
    given_depths = depths(cost)
    names = {f'{node.inputs[1]}__{node.name}': node for node in graph.nodes if node.op == 'add'}
    run = simulate(graph, cost.reuse_factors, {**given_depths}, images=6)
    interval = cost.total['interval_cycles']
    assert run.interval_cycles == interval
    for name in names:
        if given_depths[name] > UNIT.stream_depth:
            assert run.occupancy[name] == given_depths[name], name
            less = simulate(graph, cost.reuse_factors, given_depths | {name: given_depths[name] - 1}, images=6)
            assert less.deadlocked or less.interval_cycles > interval, name


@pytest.mark.parametrize('skips', build.SKIPS)
@pytest.mark.parametrize('pace', [{'reuse_factor': 1}, {}, {'interval_cycles': 256}])
def test_resnets_run_at_the_predicted_interval_and_latency(skips, pace):
    graph = build.resnet(8, (16, 16, 3), width=4, skips=skips)
    cost = costmodel.evaluate(graph, costmodel.dataflow(**pace))
    run = simulate(rewrite.fold(graph), cost.reuse_factors, depths(cost))
    assert (run.interval_cycles, run.latency_cycles) == (cost.total['interval_cycles'], cost.total['latency_cycles'])


def test_without_room_for_bursts_a_strided_network_misses_its_interval():
    """Why plain FIFOs around strided layers are deeper than two: with two the same network is a tenth slower or more."""
    graph = build.resnet(8, (16, 16, 3), width=8)
    cost = costmodel.evaluate(graph, costmodel.dataflow())
    shallow = {name: depth if name.endswith('_long') else 2 for name, depth in depths(cost).items()}
    run = simulate(rewrite.fold(graph), cost.reuse_factors, shallow)
    assert not run.deadlocked and run.interval_cycles > 1.1 * cost.total['interval_cycles']


def test_the_simulator_reports_a_deadlock():
    run = simulate(rewrite.fold(skip_over(1, 5)), {}, {'stem__join': 6})
    assert run.deadlocked and run.interval_cycles is None
