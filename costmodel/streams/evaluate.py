"""The exact cost of a graph on the dataflow target.

    rows(graph, target)       a row of integers per node of the folded graph: all that the expectation is made of
    evaluate(graph, target)   rows, blocks, totals, FIFOs, reuse factors, latency
    couplings(graph, target)  the gates whose rows depend on one another beyond a segment

A gated add is priced as open. Where skips close, the graph is another graph: `rewrite.binarize` it and evaluate that.
"""

from __future__ import annotations

import collections
import dataclasses
import math

from costmodel import devices
from costmodel.cost import Cost, by_block, reduced
from costmodel.expectation.groups import Segment, gate_groups, partition, segments
from costmodel.streams.area import logic, memory
from costmodel.streams.fifos import Fifo, Fork, built_segments, fifos, forks, smooths
from costmodel.streams.settings import Dataflow, reuse_factors
from costmodel.streams.timing import schedule
from costmodel.streams.timing.processes import ProcessSegment, absorbed
from tailor_jax import rewrite, streaming
from tailor_jax.graph import Graph
from tailor_jax.ops import FOLDING

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

    Under `full_map` all of them. Under `exact` and `pow2` a removal can lengthen other FIFOs (a skip that was the slow
    branch no longer delays its neighbour; a strided layer's bursts are smoothed in one more place), so storage and
    logic fall as a rule, but not by law.
    """
    return tuple(REDUCTIONS) if target.fifo_policy == 'full_map' else _ALWAYS_MONOTONE


def evaluate(graph: Graph, target: Dataflow) -> Cost:
    """Prices a graph, with or without learnable gates (gated adds count as open).

    Raises:
      GraphError, CostError: for a node without a dataflow process, an invalid reuse factor or an interval that cannot
        be met.
    """
    folded = rewrite.fold(graph)
    reuse = reuse_factors(folded, target)
    built = built_segments(folded, target, reuse)
    streams = fifos(folded, target, built)
    nodes = _rows(folded, target, reuse, built, streams)
    total = reduced(nodes, REDUCTIONS) | {'latency_cycles': _latency_cycles(folded, built, streams)}
    part = devices.device(target.device)
    return Cost(target, total, nodes, by_block(nodes, REDUCTIONS), [_fifo_row(each, part) for each in streams], reuse)


def _latency_cycles(folded: Graph, built: list[ProcessSegment], streams: list[Fifo]) -> int:
    if not built:  # the input is the output: a pixel a cycle
        return streaming.period_cycles(folded, folded.input)
    return schedule.latency_cycles(
        schedule.joined([segment.graph for segment in built]), {each.stream: each.depth for each in streams}
    )


def rows(graph: Graph, target: Dataflow) -> list[dict]:
    """A row per node of the folded graph: {name, op, block, resource: integer}, and 'relu', whether one is fused.

    Where a gate moves a ReLU onto a node and another gate can take that node away, the two interact, whatever the ReLU
    costs there.
    """
    folded = rewrite.fold(graph)
    reuse = reuse_factors(folded, target)
    built = built_segments(folded, target, reuse)
    found = _rows(folded, target, reuse, built, fifos(folded, target, built))
    return [row | {'relu': node.relu} for row, node in zip(found, folded.nodes, strict=True)]


def couplings(graph: Graph, target: Dataflow) -> list[tuple[str, ...]]:
    """The gate groups of the graph on this target.

    A segment whose maps change size sends bursts, and the FIFO behind it, which belongs to the next segment's first
    node, holds them. If gates decide both, they interact: such a segment's gates join the next's. Segments that folding
    or closed gates can reduce to nothing are passed over.
    """
    joined = gate_groups(graph)
    if target.fifo_policy == 'full_map' or not smooths(target):
        return joined
    found = segments(graph)
    for index, segment in enumerate(found):
        if segment.gates and any(node.inputs and graph.in_shape(node)[:2] != node.shape[:2] for node in segment.nodes):
            for following in found[index + 1 :]:
                joined = partition(graph.gates, [*joined, segment.gates + following.gates])
                if not _can_vanish(graph, following):
                    break
    return joined


def _can_vanish(graph: Graph, segment: Segment) -> bool:
    """Whether closed gates and folding can make the segment's last node stand for its entry."""
    node = segment.nodes[-1]
    while node.name != segment.entry.name and (node.gate or node.op in FOLDING):
        node = graph[node.inputs[0]]
    return node.name == segment.entry.name


def _rows(
    folded: Graph, target: Dataflow, reuse: dict[str, int], built: list[ProcessSegment], streams: list[Fifo]
) -> list[dict]:
    part = devices.device(target.device)
    charged: dict[str, list[Fifo]] = collections.defaultdict(list)
    for each in streams:
        charged[each.row].append(each)
    forked: dict[str, list[Fork]] = collections.defaultdict(list)
    for segment in built:
        for fork in forks(folded, segment):
            forked[fork.row].append(fork)
    hosts = absorbed(folded) if target.add == 'absorbed' else {}
    found = []
    for node in folded.nodes:
        if node.name in hosts:
            total = logic.absorbed_add(folded, node, folded[hosts[node.name]], target, reuse[hosts[node.name]])
        else:
            total = logic.parts(folded, node, target, reuse.get(node.name, 1))
        for fork in forked[node.name]:
            copy = logic.fork(fork.tensor, target, fork.tap)
            total.lut, total.ff = total.lut + copy.lut, total.ff + copy.ff
        for each in charged[node.name]:
            total.add_memory(memory.fifo(each.depth, each.width_bits, part))
        row = total.rounded()
        row['fifo_bits'] = sum(each.fifo_bits for each in charged[node.name])
        row['stream_bits'] = sum(
            math.prod(folded[each.producer].shape[:2]) * each.width_bits for each in charged[node.name]
        )
        row['interval_cycles'] = streaming.period_cycles(folded, node, reuse.get(node.name, 1))
        found.append(
            {
                'name': node.name,
                'op': node.op,
                'block': node.block,
                **{resource: row[resource] for resource in REDUCTIONS},
            }
        )
    return found


def _fifo_row(each: Fifo, part: devices.Device) -> dict:
    mapped = memory.fifo(each.depth, each.width_bits, part)
    return {
        'name': each.name,
        'node': each.row,
        'producer': each.producer,
        'consumer': each.consumer or 'clone',
        'depth': each.depth,
        'width_bits': each.width_bits,
        'fifo_bits': each.fifo_bits,
        **dataclasses.asdict(mapped),
        'tap_host': each.tap_host,
        'tap_lag': each.tap_lag,
    }
