"""The exact cost of a graph on the dataflow target.

    evaluate(graph, target)   rows of integers, blocks, totals, FIFOs, latency
    chains(graph, target)     the costs of every setting of the gates, stretch by stretch

A gated add is priced as open. Where skips close, the graph is another graph: `rewrite.binarize` it and evaluate that,
on the target of `settled`, whose folding is that of the network with every skip open.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Hashable, Mapping
from typing import Any

from costmodel import devices
from costmodel.cost import Cost, by_block, reduced
from costmodel.expectation.chain import Chain, Run, carried
from costmodel.expectation.stretches import Stretch, stretches
from costmodel.streams.area import fifo_area, logic
from costmodel.streams.area.logic import Parts
from costmodel.streams.fifos import Sized, sized
from costmodel.streams.flow import depths as flow
from costmodel.streams.flow.depths import Leaving
from costmodel.streams.flow.part import edges, whole
from costmodel.streams.settings import Dataflow
from costmodel.streams.solved import options_of, solved
from costmodel.streams.structure import Structure, pace, stream_bits, structure
from tailor_jax import rewrite
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow.design import TENSOR, Stream
from tailor_jax.dataflow.folding import Folding
from tailor_jax.dataflow.process import period_cycles
from tailor_jax.graph import Graph, Node

REDUCTIONS = {
    'bram18': 'sum',
    'uram': 'sum',
    'lut': 'sum',
    'ff': 'sum',
    'dsp': 'sum',
    'fifo_bits': 'sum',
    'weight_memory_bits': 'sum',
    'line_buffer_bits': 'sum',
    'stream_bits': 'sum',
    'macs': 'sum',
    'bops': 'sum',
    'interval_cycles': 'max',
}

_ALWAYS_MONOTONE = ('dsp', 'weight_memory_bits', 'line_buffer_bits', 'stream_bits', 'macs', 'bops', 'interval_cycles')


def monotone(target: Dataflow) -> tuple[str, ...]:
    """The resources that removing a skip can never raise.

    FIFOs are not among them: a removal can lengthen others (a skip that was the slow branch no longer delays its
    neighbour), so storage and logic fall as a rule, but not by law.
    """
    return _ALWAYS_MONOTONE


@dataclasses.dataclass(frozen=True)
class Built:
    """A folded graph, or a stretch of one, on a target: structure, depths, a row of integers a node."""

    structure: Structure
    sized: Sized
    rows: list[dict[str, Any]]


def settled(graph: Graph, target: Dataflow) -> Dataflow:
    """The target with the folding that the graph's layers have on it, whatever its gates do: the one given, or the one
    of least resources, with weights in block RAM as far as that lessens the greater share of the device, LUTs or block
    RAM.

    Raises:
      GraphError: for a node that is no streaming process, or a folding that does not fit.
      CostError: for an interval that cannot be met; the message names the node and the nearest interval.
    """
    if isinstance(target.folding, Folding):
        return target
    folded = rewrite.fold(graph)
    given = dataclasses.replace(target, folding=solved(folded, target))
    if target.folding:
        return given
    made, part = _built(folded, given, pace_cycles(folded, given)), devices.device(target.device)
    design, bits, streams = made.structure.design, made.structure.bits, Parts()
    for name, depth in made.sized.depths.items():
        streams += logic.stream(depth, stream_bits(design, bits)[name], part)
    options = dataclasses.replace(options_of(given), weights={})
    weights = logic.stored(design, bits, options, part, streams).weights
    folding = _folding(given)
    layers = {name: dataclasses.replace(layer, weights=weights[name]) for name, layer in folding.layers.items()}
    return dataclasses.replace(given, folding=dataclasses.replace(folding, layers=layers))


def evaluate(graph: Graph, target: Dataflow) -> Cost:
    """Prices a graph, with or without learnable gates (gated adds count as open).

    Raises:
      GraphError, CostError: for a node without a dataflow process, a folding that does not fit, an interval that cannot
        be met, FIFOs that cannot keep it.
    """
    built, target = built_whole(graph, target)
    total = reduced(built.rows, REDUCTIONS) | {'latency_cycles': _latency_cycles(built)}
    blocks = by_block(built.rows, REDUCTIONS)
    return Cost(target, total, built.rows, blocks, _fifo_rows(built, target), built.structure.design.folding)


def built_whole(graph: Graph, target: Dataflow) -> tuple[Built, Dataflow]:
    """A graph on a target, and the target with its folding. Raises as `evaluate`."""
    target, folded = settled(graph, target), rewrite.fold(graph)
    return _built(folded, target, pace_cycles(folded, target)), target


def pace_cycles(folded: Graph, target: Dataflow) -> int:
    """The period of what no gate takes away."""
    return pace(designs.design(folded, _folding(target)))


def chains(graph: Graph, target: Dataflow) -> list[Chain]:
    """The costs of every setting of the gates: a stretch hands on how words leave it."""
    target = settled(graph, target)
    folded = rewrite.fold(graph)
    cycles = pace_cycles(folded, target)

    def run(part: Stretch, first: bool, setting: Mapping[str, int], state: Hashable) -> tuple[dict[str, int], Hashable]:
        assert state is None or isinstance(state, Leaving)
        built = _built(rewrite.fold(rewrite.binarize(part.graph, setting)), target, cycles, state, part.final)
        rows = built.rows if first else built.rows[1:]  # the input of a stretch is a row of the one before
        return reduced(rows or [dict.fromkeys(REDUCTIONS, 0)], REDUCTIONS), built.sized.leaving

    parts: list[tuple[tuple[str, ...], Run]] = [
        (part.graph.gates, functools.partial(run, part, index == 0)) for index, part in enumerate(stretches(folded))
    ]
    return [carried(parts, None, REDUCTIONS)]


def _folding(target: Dataflow) -> Folding:
    assert isinstance(target.folding, Folding), 'a target is settled before it is built'
    return target.folding


def _built(
    folded: Graph, target: Dataflow, pace_cycles: int, before: Leaving | None = None, final: bool = True
) -> Built:
    made = structure(folded, target, pace_cycles, final)
    found = sized(made, target, pace_cycles, before)
    return Built(made, found, _rows(made, found, target))


def _rows(made: Structure, found: Sized, target: Dataflow) -> list[dict[str, Any]]:
    design, part, options = made.design, devices.device(target.device), options_of(target)
    totals: dict[str, Parts] = collections.defaultdict(Parts)
    more: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    periods: dict[str, int] = collections.Counter()
    bits = stream_bits(design, made.bits)
    for actor in design.actors:
        row = found.row_of[actor.name]
        totals[row] += logic.price(design, actor, made.bits, options, part)
        periods[row] = max(periods[row], period_cycles(actor.process))
    for stream in design.streams:
        if stream.name in found.depths:
            row, depth = found.row_of[stream.consumer], found.depths[stream.name]
            totals[row] += logic.stream(depth, bits[stream.name], part)
            more[row] += collections.Counter(
                fifo_bits=depth * bits[stream.name], stream_bits=_moved(design, stream, bits)
            )
    node = design.graph.input
    periods[node.name] = math.prod(node.shape) // design.folding.lanes[node.name]
    return [_row(each, totals[each.name], more[each.name], periods[each.name]) for each in design.graph.nodes]


def _moved(design: designs.Design, stream: Stream, bits: Mapping[str, int]) -> int:
    """The bits that a stream between nodes moves for an image."""
    if stream.kind != TENSOR:
        return 0
    return math.prod(design.graph[stream.tensor].shape) // stream.lanes * bits[stream.name]


def _row(node: Node, total: Parts, more: Mapping[str, int], period_cycles: int) -> dict[str, Any]:
    known = total.rounded() | {'fifo_bits': 0, 'stream_bits': 0} | dict(more) | {'interval_cycles': period_cycles}
    labels = {'name': node.name, 'op': node.op, 'block': node.block}
    return labels | {resource: known[resource] for resource in REDUCTIONS}


def _latency_cycles(built: Built) -> int:
    made = built.structure
    if not made.design.actors:  # the input is the output: a word a cycle
        return built.rows[0]['interval_cycles']
    names = edges(made.design.actors)
    depths = {edge: built.sized.depths[name] for edge, name in names.items() if name in built.sized.depths}
    interval_cycles = max(row['interval_cycles'] for row in built.rows)
    return flow.latency_cycles(whole(made.design, made.latency_cycles), interval_cycles, depths)


def _fifo_rows(built: Built, target: Dataflow) -> list[dict[str, Any]]:
    made, part = built.structure, devices.device(target.device)
    bits, rows = stream_bits(made.design, made.bits), []
    for stream in made.design.streams:
        if stream.name not in built.sized.depths:
            continue
        depth, width = built.sized.depths[stream.name], bits[stream.name]
        taken = logic.stream(depth, width, part).rounded()
        rows.append(
            {
                'name': stream.name,
                'node': built.sized.row_of[stream.consumer],
                'producer': stream.producer,
                'consumer': stream.consumer,
                'tensor': stream.tensor,
                'kind': stream.kind,
                'lanes': stream.lanes,
                'depth': depth,
                'width_bits': width,
                'fifo_bits': depth * width,
                'storage': fifo_area.choose(depth, width, part),
                **{resource: taken[resource] for resource in ('bram18', 'uram', 'lut', 'ff')},
            }
        )
    return rows
