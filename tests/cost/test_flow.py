"""Folded streams: programs against loops, the machine against the simulator, depths that are enough, none too many."""

import dataclasses
import itertools

import numpy as np
import pytest
from fifo_depths import burst, inside, occupancy, paces, random_designs, steady
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.streams.flow import depths as flow
from costmodel.streams.flow.part import edges, whole
from costmodel.streams.flow.settle import settle
from costmodel.streams.flow.simulate import simulate, trips
from tailor_jax import build, rewrite
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow.design import IN_PORT, OUT_PORT, Hand
from tailor_jax.dataflow.process import Average, Convert, Mac, Window, Words, period_cycles, program
from tailor_jax.graph import GraphError

SMALL = st.integers(1, 4)
THOROUGH = settings.default.max_examples > 25
DESIGNS = settings(max_examples=settings.default.max_examples if THOROUGH else 10)
TRIED = 20 if THOROUGH else 1  # FIFOs of a random design that are tried with a word less


@st.composite
def windows(draw):
    kernel, stride = (draw(SMALL), draw(SMALL)), (draw(SMALL), draw(SMALL))
    size = tuple(draw(st.integers(side, 6)) for side in kernel)
    padding = [draw(st.integers(0, side - 1)) for side in kernel]
    out = tuple(draw(st.integers(1, 1 + (side - 1) // step)) for side, step in zip(size, stride))
    lag = (kernel[0] - 1 - padding[0]) * size[1] + kernel[1] - 1 - padding[1]
    words = draw(SMALL)
    emits = words * draw(st.sampled_from([1, kernel[1], kernel[0] * kernel[1]]))
    taps = tuple(draw(st.lists(st.integers(0, (kernel[0] - 1) * size[1] + kernel[1] - 1), max_size=2)))
    return Window(size, out, stride, lag, words, emits, taps)


PROCESSES = st.one_of(
    windows(),
    st.builds(Mac, SMALL, SMALL, SMALL),
    st.builds(
        lambda count, gather, further: Convert(count * gather, gather, 1, further), SMALL, SMALL, st.integers(0, 1)
    ),
    st.builds(lambda count, split, further: Convert(count, 1, split, further), SMALL, SMALL, st.integers(0, 1)),
    st.builds(Words, SMALL, st.integers(1, 2), SMALL),
    st.builds(Average, SMALL, SMALL, st.integers(0, 3)),
)


def looped(process, images):
    """[trips of the loops] (cycles, reads, writes), as `Program` has them."""
    found = list(trips(process, images))
    slots = [max((slot for trip in found for slot in trip[side]), default=-1) + 1 for side in (1, 2)]
    return [cost for cost, *_ in found], *(
        [[k for k, trip in enumerate(found) if slot in trip[side]] for slot in range(slots[side - 1])]
        for side in (1, 2)
    )


@given(PROCESSES)
def test_a_program_is_its_loops(process):
    cost, reads, writes = looped(process, 5)
    made = program(process, 5)
    count = len(made.cost)  # the loops flush behind
    np.testing.assert_array_equal(made.cost, cost[:count])
    for ours, theirs in itertools.chain(zip(made.reads, reads, strict=True), zip(made.writes, writes, strict=True)):
        np.testing.assert_array_equal(ours, [k for k in theirs if k < count])


@given(PROCESSES)
def test_one_image_of_many_is_the_program_of_an_endless_stream(process):
    cost, reads, writes = looped(process, 7)
    made = program(process)
    assert made.cost.sum() == period_cycles(process)
    for ours, theirs in itertools.chain(zip(made.reads, reads, strict=True), zip(made.writes, writes, strict=True)):
        first, third = (np.array(theirs[len(ours) * image : len(ours) * (image + 1)]) for image in (2, 3))
        np.testing.assert_array_equal(third - first, len(made.cost))
    # Trips count from the first visit of the image: of the words that are read, none comes before it.
    begin = reads[0][3 * len(made.reads[0])] - made.reads[0][0]
    np.testing.assert_array_equal(made.cost, cost[begin : begin + len(made.cost)])
    for ours, theirs in itertools.chain(zip(made.reads, reads), zip(made.writes, writes)):
        np.testing.assert_array_equal(ours + begin, theirs[3 * len(ours) : 4 * len(ours)])


def as_one_image(times, machine, interval):
    """Ticks of one of the equal parts of an image -> ticks of the image."""
    equal = machine.unit * interval // machine.period
    return (np.arange(equal)[:, None] * machine.period + times).ravel()


def in_ticks(times, machine):
    return [int(time * machine.unit) for time in times]


def check_alike(machine, found, design, interval):
    """Every word of every FIFO of an image takes its place and is read when it does in the simulator."""
    for edge, name in edges(design.actors).items():
        for ours, theirs in zip(machine.times(edge), found.times[name], strict=True):
            np.testing.assert_array_equal(as_one_image(ours, machine, interval), in_ticks(theirs, machine))
    np.testing.assert_array_equal(as_one_image(machine.left(), machine, interval), in_ticks(found.outputs, machine))


@DESIGNS
@given(random_designs(max_gates=2), st.data(), st.randoms(use_true_random=False))
def test_the_machine_is_the_simulator_in_its_steady_state(case, data, rng):
    """With room everywhere, and with FIFOs of random depths: the same times of all words, or neither keeps the pace."""
    design, latency = case
    part, names = whole(design, latency), inside(design)
    interval = data.draw(paces(part))
    machine, most = flow.unbounded(part, interval)
    found = steady(design, latency, {}, interval)
    check_alike(machine, found, design, interval)
    for edge, name in edges(design.actors).items():
        assert most.streams[edge] == occupancy(*found.times[name], interval)
    assert most.leaving.burst == burst(found, latency[design.actors[-1].name], interval)
    depths = {edge: max(1, most.streams[edge] - rng.choice([0, 0, 0, 1, 3])) for edge in names}
    bounded = steady(design, latency, {names[edge]: depth for edge, depth in depths.items()}, interval)
    assert settle(machine, depths) == flow.keeps(part, interval, depths) == (bounded is not None)
    if bounded:
        check_alike(machine, bounded, design, interval)


@DESIGNS
@given(random_designs(max_gates=2), st.data(), st.sampled_from([1, 1, 2, 32]), st.randoms(use_true_random=False))
def test_depths_keep_the_pace_and_none_could_be_less(case, data, floor, rng):
    """A word less in any one FIFO, and the machine falls behind, or more words must wait behind it to leave evenly."""
    design, latency = case
    part, names = whole(design, latency), inside(design)
    interval, last = data.draw(paces(part)), latency[design.actors[-1].name]
    found = flow.depths(part, interval, floor)
    depths = {name: found.streams[edge] for edge, name in names.items()}
    state = steady(design, latency, depths, interval)
    assert state.latency_cycles == flow.latency_cycles(
        part, interval, {edge: depths[name] for edge, name in names.items()}
    )
    assert found.streams[flow.entry(part)] == max(floor, occupancy(*state.times[IN_PORT], interval))
    waiting = burst(steady(design, latency, {}, interval), last, interval)
    assert burst(state, last, interval) == found.leaving.burst <= waiting
    deeper = [name for name, depth in depths.items() if depth > floor]
    for name in rng.sample(deeper, min(TRIED, len(deeper))):
        less = steady(design, latency, depths | {name: depths[name] - 1}, interval)
        assert less is None or burst(less, last, interval) > waiting, (name, depths)


def resnet(lanes, outputs):
    graph = rewrite.fold(build.resnet(8, (8, 8, 1), width=8))
    layers = {node.name: fold.Layer('all', 1, min(outputs, node.shape[2])) for node in graph.nodes if node.op == 'conv'}
    layers['head_dense'] = fold.Layer('all', 1, 1)
    made = fold.Folding(dict.fromkeys(graph.by_name, lanes), layers)
    return designs.design(graph, made, designs.absorbable(graph))


def test_one_word_less_in_any_fifo_costs_throughput():
    """Of the network as it runs, taking words as fast as it can."""
    design = resnet(1, 4)
    latency = {actor.name: 3 for actor in design.actors}
    part, names = whole(design, latency), inside(design)
    interval = flow.own_period(part)
    found = flow.depths(part, interval)
    depths = {name: found.streams[edge] for edge, name in names.items()}
    assert simulate(design, latency, depths, 8).interval_cycles == interval
    for name in depths:
        if depths[name] > 1:
            run = simulate(design, latency, depths | {name: depths[name] - 1}, 8)
            assert run.deadlocked or run.interval_cycles is None or run.interval_cycles > interval, name


def test_random_stalls_change_no_order_and_never_deadlock():
    design = resnet(1, 4)
    latency = {actor.name: 3 for actor in design.actors}
    part = whole(design, latency)
    found = flow.depths(part, flow.own_period(part), 1)
    depths = {name: found.streams[edge] for edge, name in inside(design).items()}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        run = simulate(
            design, latency, depths, 3, stall=lambda rng=rng: int(rng.integers(0, 20) == 0) * int(rng.integers(1, 40))
        )
        assert not run.deadlocked and max(run.occupancy.values()) <= max(depths.values())


def test_a_skip_that_a_window_hands_on_needs_no_clone():
    graph = rewrite.fold(build.resnet(8, (8, 8, 1), width=8))
    layers = {node.name: fold.Layer('all', 1, 4) for node in graph.nodes if node.op == 'conv'}
    layers['head_dense'] = fold.Layer('all', 1, 1)
    folding = fold.Folding(dict.fromkeys(graph.by_name, 1), layers)
    window = designs.design(graph, folding, designs.absorbable(graph), {'stem_conv': Hand('s1b0_conv1', 18)})
    cloned = designs.design(graph, folding, designs.absorbable(graph))
    assert {actor.name for actor in cloned.actors} - {actor.name for actor in window.actors} == {'stem_conv__clone'}
    depths = []
    for design in (cloned, window):
        part = whole(design, {actor.name: 3 for actor in design.actors})
        found = flow.depths(part, flow.own_period(part), 1)
        depths.append({name: found.streams[edge] for edge, name in inside(design).items()}['stem_conv__s1b0_long'])
    # Two rows and two pixels of eight words less, but for the time that a clone and the first reads take.
    assert 18 * 8 - 8 <= depths[0] - depths[1] <= 18 * 8 + 8


def test_a_folding_that_does_not_fit_names_the_node():
    graph = rewrite.fold(build.resnet(8, (8, 8, 1), width=8))
    good = resnet(1, 4).folding
    for change, message in (
        (
            {'lanes': dict(good.lanes) | {'s1b0_conv1': 3}},
            r"'s1b0_conv1' \(conv\): lanes must divide its 8 channels, got 3",
        ),
        ({'lanes': dict(good.lanes) | {'s1b0_long': 2}}, "'s1b0_long' .*must be equal"),
        (
            {'layers': dict(good.layers) | {'s1b0_conv1': fold.Layer('some', 1, 4)}},
            'taps must be one of all, column, one',
        ),
        (
            {'layers': dict(good.layers) | {'s1b0_conv1': fold.Layer('all', 1, 3)}},
            'outputs must divide its 8 channels, got 3',
        ),
    ):
        with pytest.raises(GraphError, match=message):
            designs.design(graph, dataclasses.replace(good, **change))
    assert {stream.name for stream in resnet(1, 4).streams} >= {IN_PORT, OUT_PORT}
