"""A part of a streaming design without names: the form that schedules work on, hashable, equal for equal structure.

A part holds the actors that belong to the nodes behind one articulation node up to the next
(`costmodel.expectation.groups`), or those of a whole network. What enters it is a stream of words, of one reader.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from costmodel.expectation.groups import Segment, segments
from tailor_jax.dataflow.design import CLONE, TENSOR, Actor, Design
from tailor_jax.dataflow.process import Process

Edge = tuple[int, int]  # of a stream: its reader (actors count from 1) and which inlet of it
OUTSIDE = 0


@dataclasses.dataclass(frozen=True)
class Placed:
    """An actor: its process, the latency of its pipeline, and for each inlet (writer, outlet of the writer)."""

    process: Process
    latency_cycles: int
    inlets: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class Part:
    """`words` come in for an image, from (OUTSIDE, 0); the first outlet of the last actor leaves."""

    words: int
    actors: tuple[Placed, ...]


def part(actors: Sequence[Actor], entering: str, words: int, latency_cycles: Mapping[str, int]) -> Part:
    """Actors in the order in which data flow, of which one reads the stream `entering` and the last one leaves."""
    writer = {entering: (OUTSIDE, 0)}
    placed = []
    for number, actor in enumerate(actors, 1):
        inlets = tuple(writer[name] for name in actor.inlets)
        placed.append(Placed(actor.process, latency_cycles[actor.name], inlets))
        writer |= {name: (number, outlet) for outlet, name in enumerate(actor.outlets)}
    return Part(words, tuple(placed))


def edges(actors: Iterable[Actor]) -> dict[Edge, str]:
    """The names of the streams of a part."""
    return {(number, slot): name for number, actor in enumerate(actors, 1) for slot, name in enumerate(actor.inlets)}


def whole(design: Design, latency_cycles: Mapping[str, int]) -> Part:
    """A network as one part."""
    height, width, channels = design.graph.input.shape
    words = height * width * channels // design.folding.lanes[design.graph.input.name]
    return part(design.actors, design.actors[0].inlets[0], words, latency_cycles)


@dataclasses.dataclass(frozen=True)
class DesignSegment:
    """The actors of a segment: those of its nodes, and the clone of the tensor that enters it."""

    segment: Segment
    actors: tuple[Actor, ...]
    part: Part


def design_segments(design: Design, latency_cycles: Mapping[str, int]) -> Iterator[DesignSegment]:
    """The segments of a design in order."""
    of_node: dict[tuple[str, bool], list[int]] = {}
    for index, actor in enumerate(design.actors):
        of_node.setdefault((actor.node, actor.part == CLONE), []).append(index)
    for segment in segments(design.graph):
        inside = {node.name for node in segment.nodes}
        cloned = inside - {segment.nodes[-1].name} | {segment.entry.name}
        held = [(name, False) for name in inside] + [(name, True) for name in cloned]
        actors = tuple(design.actors[index] for index in sorted(i for key in held for i in of_node.get(key, ())))
        entering = next(
            name
            for each in actors
            for name in each.inlets
            if design.by_name[name].tensor == segment.entry.name
            and design.by_name[name].kind == TENSOR
            and design.by_name[name].producer not in {other.name for other in actors}
        )
        words = math.prod(segment.entry.shape) // design.folding.lanes[segment.entry.name]
        yield DesignSegment(segment, actors, part(actors, entering, words, latency_cycles))
