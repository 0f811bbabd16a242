"""Streaming designs on the word-by-word simulator: random ones, their steady state, and whether they keep a pace."""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from hypothesis import strategies as st
from random_foldings import foldings
from random_graphs import nested_graphs

import costmodel
from costmodel.streams.built import Built
from costmodel.streams.evaluate import built_whole
from costmodel.streams.flow import depths as flow
from costmodel.streams.flow.part import Part, edges
from costmodel.streams.flow.simulate import Run, Time, simulate
from tailor_jax import rewrite
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow.design import IN_PORT, Design
from tailor_jax.dataflow.process import FORWARD_CYCLES
from tailor_jax.graph import Graph

BATCHES = (6, 30, 150)  # images, until the steady state shows
LONG = 16  # images that are not alike after so many never are


@st.composite
def random_designs(draw: st.DrawFn, max_gates: int = 3) -> tuple[Design, dict[str, int]]:
    """A design with a random folding, and a latency for each of its processes."""
    graph = draw(nested_graphs(max_gates))
    graph = rewrite.fold(rewrite.binarize(graph, {gate: draw(st.integers(0, 1)) for gate in graph.gates}))
    absorbed = designs.absorbable(graph) if draw(st.booleans()) else {}
    made = designs.design(graph, draw(foldings(graph)), absorbed)
    return made, {actor.name: draw(st.integers(0, 6)) for actor in made.actors}


@st.composite
def pruned(
    draw: st.DrawFn, max_gates: int = 4, depths: Sequence[int] = (1, 2, 32, 32)
) -> tuple[Graph, costmodel.Dataflow]:
    """A random graph with random skips removed, and a target that was settled when all were open."""
    graph = draw(nested_graphs(max_gates))
    height, width, _ = graph.input.shape
    target = costmodel.dataflow(
        add=draw(st.sampled_from(['separate', 'absorbed'])),
        skip=draw(st.sampled_from(['clone', 'line_buffer'])),
        stream_depth=draw(st.sampled_from(depths)),
        interval_cycles=draw(st.sampled_from([None, 4 * height * width, 40 * height * width])),
    )
    target = costmodel.settled(graph, target)
    return rewrite.binarize(graph, {gate: draw(st.integers(0, 1)) for gate in graph.gates}), target


@st.composite
def paces(draw: st.DrawFn, part: Part) -> int:
    """Cycles an image that a part can keep: those of its slowest process or some more, mostly whole cycles a word."""
    interval = flow.own_period(part) + draw(st.sampled_from([0, 0, 1, 7]))
    return interval if draw(st.integers(0, 3)) == 0 else -(-interval // part.words) * part.words


def inside(design: Design) -> dict[tuple[int, int], str]:
    """{edge: stream} of the FIFOs of a design as one part."""
    return {edge: name for edge, name in edges(design.actors).items() if name != IN_PORT}


@dataclasses.dataclass(frozen=True)
class Steady:
    """An image among many alike, its first word being there from cycle 0 on.

    Attributes:
      times: {stream: (cycles in which words take their places, cycles in which they are read)}.
      outputs: when the words that leave can be read.
    """

    times: Mapping[str, tuple[Sequence[Time], Sequence[Time]]]
    outputs: Sequence[Time]

    @property
    def latency_cycles(self) -> int:
        return math.ceil(self.outputs[-1])


def steady(design: Design, latency: Mapping[str, int], depths: Mapping[str, int], interval: int) -> Steady | None:
    """The steady state of a machine that is fed evenly; None where there is none: it falls behind or deadlocks."""
    for images in BATCHES:
        run = simulate(design, latency, depths, images, interval=interval)
        if run.deadlocked:
            return None
        driven = bisect.bisect_right(run.outputs[run.per_image - 1 :: run.per_image], run.driven_until)
        if driven < 4:  # images of a few pixels, all in before the first is out
            continue
        before, last = (_image(run, images, index, interval) for index in (driven - 3, driven - 2))
        if before == last:
            return last
        if driven >= LONG:
            return None
    raise AssertionError(f'{images} images show no steady state')


def _image(run: Run, images: int, index: int, interval: int) -> Steady:
    """One image of a batch, as if it came first."""

    def of(times: Sequence[Time]) -> list[Time]:
        count = len(times) // images
        return [time - index * interval for time in times[index * count : (index + 1) * count]]

    return Steady({name: (of(placed), of(read)) for name, (placed, read) in run.times.items()}, of(run.outputs))


def occupancy(placed: Sequence[Time], read: Sequence[Time], interval: int) -> int:
    """The most words in a FIFO at once, of times that repeat with the interval: a word is there from the cycle in
    which it takes its place to that of its read.
    """
    return _present(placed, [time + 1 for time in read], interval)


def burst(found: Steady, latency_cycles: int, interval: int) -> int:
    """The most words that have left and are not yet due, where they are passed on evenly, as early as none is late."""
    even = [Fraction(n * interval, len(found.outputs)) for n in range(len(found.outputs))]
    late = max(time - due for time, due in zip(found.outputs, even))
    placed = [time - latency_cycles - FORWARD_CYCLES for time in found.outputs]
    return _present(placed, [due + late for due in even], interval)


def _present(placed: Sequence[Time], free: Sequence[Time], interval: int) -> int:
    """The most words n with placed_n <= t < free_n over all times t: those placed before word n is gone, from it on."""
    count = 0
    for n, gone in enumerate(free):
        following = n
        while placed[following % len(placed)] + following // len(placed) * interval < gone:
            following += 1
        count = max(count, following - n)
    return count


def built(graph: Graph, target: costmodel.Dataflow) -> Built:
    return built_whole(graph, target)[0]


def run_as_priced(
    graph: Graph, target: costmodel.Dataflow, images: int = 12, depths: Mapping[str, int] | None = None
) -> Run:
    """The machine that the cost describes, as fast as it takes words."""
    made = built(graph, target)
    return simulate(made.structure.design, made.structure.latency_cycles, depths or made.sized.depths, images)
