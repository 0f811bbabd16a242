"""FIFO depths, intervals and latencies against the token-by-token simulator, which shares no code with the schedule."""

import dataclasses
import math

import pytest
from fifo_depths import LATENCIES, keeps_interval, one_token_less, pruned, simulated
from hypothesis import example, given
from hypothesis import strategies as st
from random_graphs import same_rate

import costmodel
from costmodel.streams.settings import reuse_factors
from costmodel.streams.timing.deadlock import deadlock_free_depths
from costmodel.streams.timing.processes import process_segments
from costmodel.streams.timing.schedule import own_period
from costmodel.streams.timing.simulate import simulate
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


@pytest.mark.parametrize('width', [5, 8, 32])
@pytest.mark.parametrize('convs', [1, 2, 3, 5])
def test_a_skip_over_n_convolutions_holds_n_rows_and_n_pixels_and_one(convs, width):
    """facts: W + 2 over one, 2 W + 3 over two, n (W + 1) + 1 over n, at equal rates."""
    cost = costmodel.evaluate(skip_over(convs, width), UNIT)
    assert cost.depths['stem__join'] == convs * (width + 1) + 1
    assert all(depth == 2 for name, depth in cost.depths.items() if name != 'stem__join')


@pytest.mark.parametrize('latency', LATENCIES)
@pytest.mark.parametrize('convs', [1, 2, 3])
def test_each_convolution_under_a_skip_adds_its_latency_to_the_depth(convs, latency):
    cost = costmodel.evaluate(skip_over(convs, 8), costmodel.dataflow(reuse_factor=1, process_latency_cycles=latency))
    assert cost.depths['stem__join'] == convs * (8 + 1 + latency) + 1
    # The stem counts too; the clone and the add.
    assert cost.total['latency_cycles'] == 6 * 8 + (convs + 1) * (8 + 1 + latency) + 2 * latency


def test_reuse_adds_the_cycles_of_the_passes_to_the_depth():
    """Two convolutions of R cycles a token add 2 (R - 1) cycles of delay: for R > 1, one token more than at R = 1."""
    graph = skip_over(2, 8)
    for reuse in (2, 3, 6):
        assert (
            costmodel.evaluate(graph, costmodel.dataflow(reuse_factor=reuse)).depths['stem__join']
            == 2 * 9 + 1 + (2 * (reuse - 1)) // reuse
        )


def test_full_map_and_pow2():
    graph = skip_over(2, 8)
    assert set(costmodel.evaluate(graph, costmodel.dataflow(fifo_policy='full_map')).depths.values()) == {48}
    assert costmodel.evaluate(graph, costmodel.dataflow(fifo_policy='pow2', reuse_factor=1)).depths['stem__join'] == 32


def test_shortening_saves_no_bits_in_an_exactly_sized_pipeline():
    """facts/tailor.md: two short skips hold 2 (W + 2) tokens against 2 W + 3 of the long one."""
    bits = {}
    for skips in ('long', 'short'):
        cost = costmodel.evaluate(build.resnet(8, skips=skips), UNIT)
        bits[skips] = sum(
            row['depth']
            for row in cost.fifos
            if row['node'].startswith('s1b0')
            and row['name'] in ('stem_conv__s1b0_long', 'stem_conv__s1b0_short1', 's1b0_short1__s1b0_short2')
        )
    assert bits == {'long': 2 * 32 + 3, 'short': 2 * (32 + 2)}


@given(pruned())
def test_at_the_depths_given_the_network_keeps_the_interval_of_its_slowest_process(case):
    graph, target = case
    cost = costmodel.evaluate(graph, target)
    run = simulated(graph, cost)
    assert not run.deadlocked
    if not run.interval_images:  # images of a few pixels, all in before the first is out
        run = simulated(graph, cost, images=200)
    assert run.interval_cycles == cost.total['interval_cycles']
    assert set(cost.depths) == {name for name in run.occupancy if name.split('__')[0] != 'input' or name in cost.depths}


@given(pruned())
def test_the_latency_is_that_of_the_machine(case):
    """With its FIFOs as they are: where one is full, the first image can come out later than with room everywhere."""
    graph, target = case
    cost = costmodel.evaluate(graph, target)
    assert (
        simulated(graph, cost).latency_cycles
        == cost.total['latency_cycles']
        >= simulated(graph, cost, bounded=False).latency_cycles
    )


@st.composite
def fed(draw: st.DrawFn) -> tuple[Graph, costmodel.Dataflow]:
    """A segment of a random network behind a layer that writes one token every R cycles and can do no better, nothing
    in the segment being slower.
    """
    graph, target = draw(pruned())
    folded = rewrite.fold(graph)
    segment = draw(st.sampled_from(list(process_segments(folded, reuse_factors(folded, target)))))
    height, width, channels = segment.entry.shape
    pace = -(-own_period(segment.graph) // (height * width))
    pace += draw(st.integers(0, 2))
    entry = Node(segment.entry.name, 'conv', ('port',), (height, width, channels))
    reuse = {
        name: factor
        for name, factor in reuse_factors(folded, target).items()
        if name in {node.name for node in segment.nodes}
    }
    alone = Graph((Node('port', 'input', (), (height, width, pace)), entry, *segment.nodes))
    return alone, dataclasses.replace(
        target, reuse_factor=tuple(sorted({**reuse, entry.name: pace}.items())), interval_cycles=None
    )


def beside_a_tap() -> tuple[Graph, costmodel.Dataflow]:
    """A skip from the line buffer in pipelines as long as an image: depths found for speed count on tokens in them and
    alone would deadlock.
    """
    shape = (3, 3, 2)
    nodes = (
        Node('port', 'input', (), shape),
        Node('stem', 'conv', ('port',), shape),
        Node('conv', 'conv', ('stem',), shape, (3, 3), padding=(1, 1, 1, 1)),
        Node('skip', 'conv', ('stem',), shape),
        Node('join', 'add', ('conv', 'skip'), shape),
    )
    return Graph(nodes), costmodel.dataflow(
        reuse_factor={'stem': 1, 'conv': 1, 'skip': 1}, skip='line_buffer', process_latency_cycles=8
    )


@given(fed())
@example(beside_a_tap())
def test_one_token_less_in_any_fifo_costs_throughput(case):
    """Of a segment that is fed at the pace of the network: the interval grows or it deadlocks, the other FIFOs as they
    are.
    """
    graph, target = case
    cost = costmodel.evaluate(graph, target)
    assert keeps_interval(graph, cost)
    for row in cost.fifos:
        if row['depth'] > target.stream_depth:
            assert not keeps_interval(graph, one_token_less(cost, row['name'])), (row['name'], cost.depths)


@given(same_rate(), st.sampled_from(LATENCIES))
def test_a_skip_fifo_fills_to_its_depth_and_one_less_stops_the_network(graph, latency):
    """Where every layer has the same rate there is no slack: each skip FIFO fills exactly, and a token less costs
    throughput or all.
    """
    cost = costmodel.evaluate(graph, costmodel.dataflow(reuse_factor=1, process_latency_cycles=latency))
    given_depths = cost.depths
    names = {f'{node.inputs[1]}__{node.name}': node for node in graph.nodes if node.op == 'add'}
    images = 6 + 3 * sum(given_depths.values()) // math.prod(graph.input.shape[:2])  # enough tokens to fill every FIFO
    run = simulate(graph, cost.reuse_factors, {**given_depths}, images, process_latency_cycles=latency)
    interval = cost.total['interval_cycles']
    assert run.interval_cycles == interval
    for name in names:
        if given_depths[name] > UNIT.stream_depth:
            assert run.occupancy[name] == given_depths[name], name
            less = simulate(
                graph,
                cost.reuse_factors,
                given_depths | {name: given_depths[name] - 1},
                images,
                process_latency_cycles=latency,
            )
            # A lost cycle in many tokens need not show in the median interval.
            assert less.deadlocked or less.outputs[-1] > run.outputs[-1], name


@pytest.mark.parametrize('skips', build.SKIPS)
@pytest.mark.parametrize('latency', [0, 8])
@pytest.mark.parametrize('pace', [{'reuse_factor': 1}, {}, {'interval_cycles': 256}])
def test_resnets_run_at_the_predicted_interval_and_latency(skips, pace, latency):
    graph = build.resnet(8, (16, 16, 3), width=4, skips=skips)
    cost = costmodel.evaluate(graph, costmodel.dataflow(**pace, process_latency_cycles=latency))
    run = simulated(graph, cost, images=8)
    assert (run.interval_cycles, run.latency_cycles) == (cost.total['interval_cycles'], cost.total['latency_cycles'])


def test_without_room_for_bursts_a_strided_network_misses_its_interval():
    """Why plain FIFOs around strided layers are deeper than two: with two a network is a tenth slower or more."""
    graph = build.resnet(8, (16, 16, 3), width=8)
    cost = costmodel.evaluate(graph, costmodel.dataflow())
    shallow = {name: depth if name.endswith('_long') else 2 for name, depth in cost.depths.items()}
    run = simulate(rewrite.fold(graph), cost.reuse_factors, shallow)
    assert not run.deadlocked and run.interval_cycles > 1.1 * cost.total['interval_cycles']


@pytest.mark.parametrize('latency', [1, 8])
@pytest.mark.parametrize('pace', [{'reuse_factor': 1}, {}])
def test_depths_found_without_latency_lose_throughput_on_a_machine_that_has_it(pace, latency):
    graph = build.resnet(8, (8, 8, 1), width=8)
    cost = costmodel.evaluate(graph, costmodel.dataflow(**pace))
    run = simulate(rewrite.fold(graph), cost.reuse_factors, cost.depths, process_latency_cycles=latency)
    assert run.interval_cycles > cost.total['interval_cycles']


def test_the_simulator_reports_a_deadlock():
    run = simulate(rewrite.fold(skip_over(1, 5)), {}, {'stem__join': 6})
    assert run.deadlocked and run.interval_cycles is None


@given(pruned())
def test_deadlock_free_depths_run_and_one_less_does_not(case):
    graph, target = case
    latency = target.process_latency_cycles
    target = costmodel.dataflow(
        reuse_factor=target.reuse_factor, interval_cycles=target.interval_cycles, process_latency_cycles=latency
    )
    cost = costmodel.evaluate(graph, target)
    folded, full = rewrite.fold(graph), cost.depths
    for name, least in deadlock_free_depths(graph, target).items():
        assert least <= full[name]
        if least > 1:
            assert not simulate(
                folded, cost.reuse_factors, full | {name: least}, 12, process_latency_cycles=latency
            ).deadlocked, name
            assert simulate(
                folded, cost.reuse_factors, full | {name: least - 1}, 12, process_latency_cycles=latency
            ).deadlocked, name


def test_a_slow_projection_needs_more_for_throughput_than_against_deadlock():
    graph = build.resnet(8, (16, 16, 3), width=8)
    target = costmodel.dataflow()
    full, least = costmodel.evaluate(graph, target).depths, deadlock_free_depths(graph, target)
    assert least['stem_conv__s1b0_long'] == 2 * 16 + 3 == full['stem_conv__s1b0_long'] - 1
    assert all(least[name] <= full[name] for name in full)


def test_a_skip_from_the_line_buffer():
    """Over two 3x3 convolutions the first one's window hands the token on at its last use, 2 W + 2 iterations late,
    just as the sum is due.
    """
    graph = skip_over(2, 8)
    cost = costmodel.evaluate(graph, costmodel.dataflow(reuse_factor=1, skip='line_buffer'))
    row = next(row for row in cost.fifos if row['name'] == 'stem__join')
    assert (row['tap_host'], row['tap_lag'], row['depth']) == ('conv0', 2 * 8 + 2, 2)
    assert 'stem__clone' not in cost.depths
    naive, tapped = 32 * (3 + 3 - 2) + 3 + 3 - 1, 32 * (3 - 1) + 3 - 1  # NN2FPGA's own count of the two, in tokens
    assert round(tapped / naive, 3) == 0.496


@pytest.mark.parametrize('stream_depth', [2, 5])
def test_the_simulator_absorbs_no_add_whose_convolution_others_read(stream_depth):
    """The FIFO to the clone of a convolution and that from it to the add may have one depth; they are not one FIFO."""
    window = {'kernel': (1, 3), 'padding': (0, 0, 1, 1)}
    nodes = (
        Node('input', 'input', (), (1, 8, 2)),
        Node('conv', 'conv', ('input',), (1, 8, 2), **window),
        Node('sum', 'add', ('conv', 'input'), (1, 8, 2)),
        Node('join', 'add', ('sum', 'conv'), (1, 8, 2)),
    )
    cost = costmodel.evaluate(Graph(nodes), costmodel.dataflow(add='absorbed', stream_depth=stream_depth))
    run = simulated(Graph(nodes), cost)
    assert set(run.occupancy) == set(cost.depths)
    assert (run.deadlocked, run.interval_cycles, run.latency_cycles) == (
        False,
        cost.total['interval_cycles'],
        cost.total['latency_cycles'],
    )


def test_an_absorbed_add_has_no_process_and_no_stream_before_it():
    graph = skip_over(2, 8)
    apart, within = (
        costmodel.evaluate(graph, costmodel.dataflow(reuse_factor=1, add=add)) for add in ('separate', 'absorbed')
    )
    assert set(apart.depths) - set(within.depths) == {'conv1__join'}
    assert within.depths['stem__join'] == apart.depths['stem__join']
    assert within.total['lut'] < apart.total['lut']
