"""A folded graph, or a stretch of one, on a settled target: its structure, its depths, a row of integers a node."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from costmodel import devices
from costmodel.streams.area import logic
from costmodel.streams.area.logic import Parts
from costmodel.streams.fifos import Sized, sized
from costmodel.streams.flow.depths import Leaving
from costmodel.streams.settings import Dataflow
from costmodel.streams.solved import options_of
from costmodel.streams.structure import Structure, pace, stream_bits, structure
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow.design import TENSOR, Design, Stream
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


@dataclasses.dataclass(frozen=True)
class Built:
    """See the module docstring."""

    structure: Structure
    sized: Sized
    rows: list[dict[str, Any]]


def built(
    folded: Graph, target: Dataflow, pace_cycles: int, before: Leaving | None = None, final: bool = True
) -> Built:
    """A folded graph on a target.

    Args:
      folded: the network, or a stretch of it whose input is the tensor before it.
      target: settled.
      pace_cycles: of the network.
      before: how words come in; None for a port.
      final: whether the graph's last node is the network's.
    """
    made = structure(folded, target, pace_cycles, final)
    found = sized(made, target, pace_cycles, before)
    return Built(made, found, _rows(made, found, target))


def pace_cycles(folded: Graph, target: Dataflow) -> int:
    """The period of what no gate takes away."""
    return pace(designs.design(folded, folding_of(target)))


def folding_of(target: Dataflow) -> Folding:
    """The folding of a settled target."""
    assert isinstance(target.folding, Folding), 'a target is settled before it is built'
    return target.folding


def _rows(made: Structure, found: Sized, target: Dataflow) -> list[dict[str, Any]]:
    design, part, options = made.design, devices.device(target.device), options_of(target)
    totals: dict[str, Parts] = collections.defaultdict(Parts)
    more: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    periods: dict[str, int] = collections.Counter()
    bits = stream_bits(design, made.bits)
    for actor in design.actors:
        row = found.row_of[actor.name]
        taken = logic.price(design, actor, made.bits, options, part)
        if host := made.absorbed.get(actor.name):
            layer = design.folding.layers[host]
            alone = logic.finish(design.graph, design.graph[host], layer, design.folding.lanes[host], made.bits)
            totals[host] += alone
            taken -= alone
        totals[row] += taken
        periods[row] = max(periods[row], period_cycles(actor.process))
    for stream in design.streams:
        if stream.name in found.depths:
            row, depth = found.row_of_fifo[stream.name], found.depths[stream.name]
            totals[row] += logic.stream(depth, bits[stream.name], part)
            more[row] += collections.Counter(
                fifo_bits=depth * bits[stream.name], stream_bits=_moved(design, stream, bits)
            )
    node = design.graph.input
    periods[node.name] = math.prod(node.shape) // design.folding.lanes[node.name]
    return [_row(each, totals[each.name], more[each.name], periods[each.name]) for each in design.graph.nodes]


def _moved(design: Design, stream: Stream, bits: Mapping[str, int]) -> int:
    """The bits that a stream between nodes moves for an image."""
    if stream.kind != TENSOR:
        return 0
    return math.prod(design.graph[stream.tensor].shape) // stream.lanes * bits[stream.name]


def _row(node: Node, total: Parts, more: Mapping[str, int], period_cycles: int) -> dict[str, Any]:
    known = total.rounded() | {'fifo_bits': 0, 'stream_bits': 0} | dict(more) | {'interval_cycles': period_cycles}
    labels = {'name': node.name, 'op': node.op, 'block': node.block}
    return labels | {resource: known[resource] for resource in REDUCTIONS}
