"""A part of a streaming design without names: the form that schedules work on, hashable, equal for equal structure.

A part holds the actors that belong to the nodes behind one articulation node up to the next (`costmodel.expectation.groups`),
or those of a whole network. What enters it is a stream of words, of one reader.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from tailor_jax.dataflow.design import Actor, Design
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


def part(actors: Sequence[Actor], entering: str, words: int, latency_cycles: dict[str, int]) -> Part:
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


def whole(design: Design, latency_cycles: dict[str, int]) -> Part:
    """A network as one part."""
    height, width, channels = design.graph.input.shape
    words = height * width * channels // design.folding.lanes[design.graph.input.name]
    return part(design.actors, design.actors[0].inlets[0], words, latency_cycles)
