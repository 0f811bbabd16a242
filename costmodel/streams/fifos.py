"""The depths of a design's FIFOs, and the row of the graph that every process and FIFO is charged to.

A segment's depths (`flow.depths`) follow from what is in it, from the pace of the network and, for the FIFO through
which words enter it, from how words leave the segment before, which is carried from one to the next. `exact` are these
depths, at least `stream_depth`; `pow2` rounds them up; `full_map` is a whole map for every tensor's stream.

Every process and FIFO is charged to one node's row, so that all rows that a gate changes lie in the gate's own segment:

    a process is charged to its node, a FIFO to the process that reads it; sums, and what finishes them, to their layer,
    to an add that is absorbed only what it adds to that
    a clone of k readers: to an add of its segment

The latter is always possible: in a segment the reads beyond the first of every tensor are as many as the adds, since
every node but an add has one input. The network's input and output are ports, no FIFOs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping

from costmodel.cost import CostError
from costmodel.streams.flow import depths as flow
from costmodel.streams.flow.depths import Leaving
from costmodel.streams.flow.part import DesignSegment, design_segments, edges
from costmodel.streams.settings import Dataflow
from costmodel.streams.structure import Structure
from tailor_jax.dataflow.design import CLONE, SUMS, TENSOR, Actor, Stream


@dataclasses.dataclass(frozen=True)
class Sized:
    """The depths of a design, or of a stretch of one.

    Attributes:
      depths: {stream: words}, of all FIFOs.
      row_of, row_of_fifo: {process: node whose row it is charged to}, the same of FIFOs.
      leaving: how words leave the last segment; what came in where there is none.
    """

    depths: Mapping[str, int]
    row_of: Mapping[str, str]
    row_of_fifo: Mapping[str, str]
    leaving: Leaving | None


def sized(built: Structure, target: Dataflow, pace_cycles: int, before: Leaving | None = None) -> Sized:
    """Depths of the FIFOs of a design; `before` says how words come in, from a port where it is None.

    Raises:
      CostError: where FIFOs of a whole map cannot keep the interval, naming one, its depth and the one it needs.
    """
    depths: dict[str, int] = {}
    row_of: dict[str, str] = {}
    row_of_fifo: dict[str, str] = {}
    streams = built.design.by_name
    for segment in design_segments(built.design, built.latency_cycles):
        period = max(pace_cycles, flow.own_period(segment.part))
        found = flow.depths(segment.part, period, target.stream_depth)
        words = dict(found.streams)
        entry = flow.entry(segment.part)
        if before is None:
            del words[entry]
        else:
            words[entry] = flow.behind(before, found, segment.part)
        names = edges(segment.actors)
        exact = {names[edge]: depth for edge, depth in words.items()}
        depths |= _by_policy(built, target, segment, exact, period)
        row_of |= _rows(built, segment)
        row_of_fifo |= {name: _row_of_fifo(streams[name], row_of) for name in exact}
        before = found.leaving
    return Sized(depths, row_of, row_of_fifo, before)


def _rows(built: Structure, segment: DesignSegment) -> dict[str, str]:
    adds = [node.name for node in segment.segment.nodes if node.op == 'add']
    found = {actor.name: actor.node for actor in segment.actors}
    for actor in segment.actors:
        if actor.part == CLONE:
            found[actor.name] = adds[0]
            del adds[: len(actor.outlets) - 1]
    return found


def _row_of_fifo(stream: Stream, row_of: Mapping[str, str]) -> str:
    return stream.tensor if stream.kind == SUMS else row_of[stream.consumer]


def _by_policy(
    built: Structure, target: Dataflow, segment: DesignSegment, exact: Mapping[str, int], period: int
) -> dict[str, int]:
    match target.fifo_policy:
        case 'pow2':
            return {name: 1 << (depth - 1).bit_length() for name, depth in exact.items()}
        case 'full_map':
            streams = {each.name: each for each in built.design.streams}
            chosen = {name: _full(built, streams[name], depth) for name, depth in exact.items()}
            _check_runs(segment, chosen, exact, period)
            return chosen
        case _:
            return dict(exact)


def _full(built: Structure, stream: Stream, exact: int) -> int:
    """The words of a whole map, of a stream between nodes."""
    return (
        max(2, math.prod(built.design.graph[stream.tensor].shape) // stream.lanes) if stream.kind == TENSOR else exact
    )


def _check_runs(segment: DesignSegment, chosen: Mapping[str, int], exact: Mapping[str, int], period: int) -> None:
    short = {name: depth for name, depth in chosen.items() if depth < exact[name]}
    if short and not flow.keeps(segment.part, period, _on_edges(segment.actors, chosen)):
        name = max(short, key=lambda each: exact[each] - short[each])
        raise CostError(
            f'FIFO {name!r}: a whole map is {short[name]} words, and it needs {exact[name]} to run at {period} cycles '
            f"an image; use fifo_policy='exact'"
        )


def _on_edges(actors: Iterable[Actor], depths: Mapping[str, int]) -> dict[tuple[int, int], int]:
    return {edge: depths[name] for edge, name in edges(actors).items() if name in depths}
