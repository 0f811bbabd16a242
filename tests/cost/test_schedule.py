"""FIFO depths, intervals and latencies of priced networks against the word-by-word simulator, which shares no code with
the schedule.
"""

import dataclasses
import math
import random
import re

import pytest
from fifo_depths import built, inside, pruned, run_as_priced, steady
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import folded, unfolded
from random_graphs import same_rate

import costmodel
from costmodel.streams.flow import depths as flow
from costmodel.streams.flow.part import whole
from costmodel.streams.flow.simulate import simulate
from tailor_jax import build, rewrite
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow.design import Hand
from tailor_jax.dataflow.folding import Folding, Layer
from tailor_jax.dataflow.process import FORWARD_CYCLES, period_cycles
from tailor_jax.graph import Graph, Node

THOROUGH = settings.default.max_examples > 25
NETWORKS = settings(max_examples=settings.default.max_examples if THOROUGH else 10)
WINDOW = {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}


def skip_over(convs: int, width: int, height: int = 6, channels: int = 2, groups: int = 1) -> Graph:
    """An input, a convolution, and a skip over `convs` 3x3 convolutions."""
    shape = (height, width, channels)
    nodes = [Node('input', 'input', (), shape), Node('stem', 'conv', ('input',), shape, **WINDOW)]
    for index in range(convs):
        nodes.append(Node(f'conv{index}', 'conv', (nodes[-1].name,), shape, groups=groups, **WINDOW))
    return Graph((*nodes, Node('join', 'add', (nodes[-1].name, 'stem'), shape, gate='skip')))


def depths_at(design: designs.Design, latency: dict[str, int], interval: int | None = None) -> dict[str, int]:
    part = whole(design, latency)
    found = flow.depths(part, interval or flow.own_period(part))
    return {name: found.streams[edge] for edge, name in inside(design).items()}


@pytest.mark.parametrize('absorb', [True, False])
@pytest.mark.parametrize('lanes', [1, 4])
@pytest.mark.parametrize('convs', [1, 2, 3])
def test_a_skip_over_n_convolutions_holds_n_rows_and_n_pixels_and_what_their_pipelines_hold(convs, lanes, absorb):
    """A word a cycle everywhere, F words a pixel: n (W + 1) F + 1, and L + FORWARD_CYCLES for the clone and every
    process of the main branch before the add.
    """
    width, channels, rng = 7, 4, random.Random(convs)
    graph = skip_over(convs, width, channels=channels, groups=channels)
    layer = Layer('all', lanes, lanes)  # depthwise: a word in, a word out
    folding = Folding(
        dict.fromkeys(graph.by_name, lanes),
        {'stem': Layer('all', channels, channels)} | {f'conv{index}': layer for index in range(convs)},
    )
    design = designs.design(graph, folding, designs.absorbable(graph) if absorb else {})
    latency = {actor.name: rng.randrange(9) for actor in design.actors}
    before = [actor.name for actor in design.actors if actor.name != 'join' and not actor.name.startswith('stem')]
    assert len(before) == 3 * convs - absorb
    held = sum(latency[name] + FORWARD_CYCLES for name in ('stem__clone', *before))
    assert depths_at(design, latency)['stem__join'] == convs * (width + 1) * (channels // lanes) + held + 1


def test_full_map_and_pow2():
    graph = skip_over(2, 8)
    exact, full, rounded = (
        costmodel.evaluate(graph, costmodel.dataflow(fifo_policy=policy, folding=unfolded(graph), stream_depth=2))
        for policy in ('exact', 'full_map', 'pow2')
    )
    kinds = {row['name']: row['kind'] for row in exact.fifos}
    for name, depth in exact.depths.items():
        assert full.depths[name] == (6 * 8 if kinds[name] == 'tensor' else depth)
        assert rounded.depths[name] == 1 << math.ceil(math.log2(depth))
    assert exact.depths['stem__join'] > 2 * 9 and {'tensor', 'window', 'sums'} == set(kinds.values())


def test_a_whole_map_that_is_too_small_to_run_is_refused_with_the_fifo_and_the_depth_that_it_needs():
    """At 8x8 the last maps of a ResNet-14 are of 2x2 pixels, of less words than its pipelines hold."""
    graph = build.resnet(14, (8, 8, 3))
    target = dataclasses.replace(costmodel.settled(graph, costmodel.dataflow()), fifo_policy='full_map')
    with pytest.raises(costmodel.CostError) as caught:
        costmodel.evaluate(graph, target)
    with pytest.raises(costmodel.CostError, match="a whole map is .*; use fifo_policy='exact'"):
        costmodel.evaluate(graph, costmodel.dataflow(fifo_policy='full_map'))
    found = re.fullmatch(
        r"FIFO '(\w+)': a whole map is (\d+) words, and it needs (\d+) to run at (\d+) cycles an image; use "
        r"fifo_policy='exact'",
        str(caught.value),
    )
    exact = costmodel.evaluate(graph, dataclasses.replace(target, fifo_policy='exact'))
    name, least, interval = found[1], int(found[2]), int(found[4])
    assert exact.depths[name] == int(found[3]) > least and exact.total['interval_cycles'] == interval
    made = built(graph, exact.target)
    short = {each: min(depth, least if each == name else depth) for each, depth in made.sized.depths.items()}
    run = simulate(made.structure.design, made.structure.latency_cycles, short)
    assert run.deadlocked or run.interval_cycles > interval


@NETWORKS
@given(pruned())
def test_at_the_depths_given_the_network_keeps_the_interval_of_its_slowest_process(case):
    graph, target = case
    cost = costmodel.evaluate(graph, target)
    run = run_as_priced(graph, target)
    assert not run.deadlocked and run.occupancy.keys() == cost.depths.keys()
    if not run.interval_images:  # images of a few pixels, all in before the first is out
        run = run_as_priced(graph, target, images=200)
    assert run.interval_cycles == cost.total['interval_cycles']


@NETWORKS
@given(pruned())
def test_the_latency_is_that_of_the_machine_fed_evenly(case):
    graph, target = case
    cost, made = costmodel.evaluate(graph, target), built(graph, target)
    found = steady(
        made.structure.design, made.structure.latency_cycles, made.sized.depths, cost.total['interval_cycles']
    )
    assert found.latency_cycles == cost.total['latency_cycles']


@settings(max_examples=settings.default.max_examples if THOROUGH else 12)
@given(same_rate(), st.randoms(use_true_random=False))
def test_a_skip_fifo_fills_to_its_depth_and_one_less_stops_the_network(graph, rng):
    """Where every layer has the same rate there is no slack: each skip FIFO fills exactly, and a word less costs
    throughput or all.
    """
    design = designs.design(graph, unfolded(graph))
    latency = {actor.name: rng.choice([0, 1, 8]) for actor in design.actors}
    depths, interval = depths_at(design, latency), math.prod(graph.input.shape[:2])
    images = 6 + 3 * sum(depths.values()) // interval  # enough words to fill every FIFO
    run = simulate(design, latency, depths, images)
    assert run.interval_cycles == interval == max(period_cycles(actor.process) for actor in design.actors)
    for node in graph.nodes:
        name = f'{node.inputs[1]}__{node.name}' if node.op == 'add' else ''
        if depths.get(name, 1) > 1:
            assert run.occupancy[name] == depths[name], name
            less = simulate(design, latency, depths | {name: depths[name] - 1}, images)
            assert less.deadlocked or less.outputs[-1] > run.outputs[-1], name


@pytest.mark.parametrize(
    'skips, built_as',
    [
        ('long', {}),
        ('long', {'interval_cycles': 256}),
        ('short', {'add': 'separate', 'skip': 'clone'}),
        ('short_pre', {'stream_depth': 2}),
        ('long+short', {'interval_cycles': 256}),
        ('long_post+short', {'fifo_policy': 'pow2'}),
        ('none', {}),
    ],
)
def test_resnets_run_at_the_predicted_interval_and_latency(skips, built_as):
    graph = build.resnet(8, (8, 8, 1), width=4, skips=skips)
    cost = costmodel.evaluate(graph, costmodel.dataflow(**built_as))
    made, interval = built(graph, cost.target), cost.total['interval_cycles']
    run = run_as_priced(graph, cost.target, images=10)
    found = steady(made.structure.design, made.structure.latency_cycles, made.sized.depths, interval)
    assert (run.interval_cycles, found.latency_cycles) == (interval, cost.total['latency_cycles'])


def test_without_room_for_bursts_a_strided_network_misses_its_interval():
    """Why plain FIFOs around strided layers are deeper than others."""
    graph = build.resnet(8, (8, 8, 3), width=8)
    target = costmodel.settled(graph, costmodel.dataflow(stream_depth=1))
    cost = costmodel.evaluate(graph, target)
    shallow = {name: depth if name.endswith('_long') else min(depth, 2) for name, depth in cost.depths.items()}
    assert shallow != cost.depths
    run = run_as_priced(graph, target, depths=shallow)
    assert run.deadlocked or run.interval_cycles > cost.total['interval_cycles']


def test_depths_found_without_latency_lose_throughput_on_a_machine_that_has_it():
    graph = rewrite.fold(build.resnet(8, (8, 8, 1), width=8))
    design = designs.design(graph, folded(graph, s1b0_conv1=Layer('all', 1, 4)), designs.absorbable(graph))
    none, some = ({actor.name: latency for actor in design.actors} for latency in (0, 8))
    depths, interval = depths_at(design, none), flow.own_period(whole(design, none))
    assert simulate(design, none, depths).interval_cycles == interval
    run = simulate(design, some, depths)
    assert run.deadlocked or run.interval_cycles > interval


def test_the_simulator_reports_a_deadlock():
    graph = rewrite.fold(skip_over(1, 5))
    design = designs.design(graph, unfolded(graph))
    run = simulate(design, {actor.name: 0 for actor in design.actors}, {'stem__join': 6})
    assert run.deadlocked and run.interval_cycles is None and run.latency_cycles is None


def test_a_skip_from_the_line_buffer():
    """Over two 3x3 convolutions the first one's window hands the pixel on at its last use, 2 W + 2 visits late, just as
    the sum is due but for the pipelines.
    """
    graph = skip_over(2, 8)
    target = costmodel.dataflow(folding=unfolded(graph), stream_depth=1)
    tapped, cloned = (built(graph, dataclasses.replace(target, skip=skip)) for skip in ('line_buffer', 'clone'))
    assert tapped.structure.handed == {'stem': Hand('conv0', 2 * 8 + 2)} and not cloned.structure.handed
    assert {*cloned.sized.depths} - {*tapped.sized.depths} == {'stem__clone', 'stem__conv0'} - {*tapped.sized.depths}
    apart = cloned.sized.depths['stem__join'] - tapped.sized.depths['stem__join']
    clone = cloned.structure.latency_cycles['stem__clone'] + FORWARD_CYCLES
    window = tapped.structure.latency_cycles['conv0__window'] - cloned.structure.latency_cycles['conv0__window']
    assert apart == 2 * 8 + 2 + clone + window
    naive, handed = 32 * (3 + 3 - 2) + 3 + 3 - 1, 32 * (3 - 1) + 3 - 1  # NN2FPGA's own count of the two, in pixels
    assert round(handed / naive, 3) == 0.496


def test_no_add_is_absorbed_whose_convolution_others_read():
    window = {'kernel': (1, 3), 'padding': (0, 0, 1, 1)}
    nodes = (
        Node('input', 'input', (), (1, 8, 2)),
        Node('conv', 'conv', ('input',), (1, 8, 2), **window),
        Node('sum', 'add', ('conv', 'input'), (1, 8, 2)),
        Node('join', 'add', ('sum', 'conv'), (1, 8, 2)),
    )
    cost = costmodel.evaluate(Graph(nodes), costmodel.dataflow())
    run = run_as_priced(Graph(nodes), cost.target)
    assert built(Graph(nodes), cost.target).structure.absorbed == {}
    assert (run.deadlocked, run.interval_cycles) == (False, cost.total['interval_cycles'])


def test_an_absorbed_add_has_no_process_and_no_stream_before_it():
    graph = skip_over(2, 8)
    apart, within = (
        costmodel.evaluate(graph, costmodel.dataflow(folding=unfolded(graph), stream_depth=1, skip='clone', add=add))
        for add in ('separate', 'absorbed')
    )
    assert set(apart.depths) - set(within.depths) == {'conv1__join'}
    assert within.depths['stem__join'] < apart.depths['stem__join']
    assert within.total['lut'] < apart.total['lut']
