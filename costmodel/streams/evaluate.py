"""The exact cost of a graph on the dataflow target.

    rows(graph, target)       a row of integers per node of the folded graph; all that the expectation over gates is made of
    evaluate(graph, target)   rows, blocks, totals, FIFOs, reuse factors, latency
    couplings(graph, target)  the gates whose rows depend on one another beyond a region

A gated add is priced as open. Where skips close, the graph is another graph: `rewrite.binarize` it and evaluate that.
"""

from __future__ import annotations

import collections
import dataclasses
import math

from costmodel import devices
from costmodel.cost import Cost, by_block, reduced
from costmodel.expectation.groups import Region, gate_groups, merge, regions
from costmodel.streams.area import logic, memory
from costmodel.streams.fifos import Fifo, Fork, fifos, forks, plan, smooths
from costmodel.streams.settings import Dataflow, reuse_factors
from costmodel.streams.timing import schedule
from costmodel.streams.timing.segments import Segment, absorbed
from tailor_jax import rewrite, streaming
from tailor_jax.graph import Graph
from tailor_jax.ops import FOLDING

KINDS = {
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
    return tuple(KINDS) if target.fifo_policy == 'full_map' else _ALWAYS_MONOTONE


def evaluate(graph: Graph, target: Dataflow) -> Cost:
    """Prices a graph, with or without learnable gates (gated adds count as open).

    Raises:
      GraphError, CostError: for a node without a dataflow process, an invalid reuse factor or an interval that cannot
        be met.
    """
    folded = rewrite.fold(graph)
    reuse = reuse_factors(folded, target)
    planned = plan(folded, target, reuse)
    streams = fifos(folded, target, planned)
    nodes = _rows(folded, target, reuse, planned, streams)
    total = reduced(nodes, KINDS) | {'latency_cycles': _latency_cycles(folded, planned, streams)}
    part = devices.device(target.device)
    return Cost(target, total, nodes, by_block(nodes, KINDS), [_fifo_row(each, part) for each in streams], reuse)


def _latency_cycles(folded: Graph, planned: list[Segment], streams: list[Fifo]) -> int:
    if not planned:  # the input is the output: a pixel a cycle
        return streaming.period_cycles(folded, folded.input)
    return schedule.latency_cycles(
        schedule.joined([segment.shape for segment in planned]), {each.stream: each.depth for each in streams}
    )


def rows(graph: Graph, target: Dataflow) -> list[dict]:
    """A row per node of the folded graph: {name, op, block, resource: integer}, and 'relu', whether one is fused onto
    it.

    Where a gate moves a ReLU onto a node and another gate can take that node away, the two interact, whatever the ReLU
    costs there.
    """
    folded = rewrite.fold(graph)
    reuse = reuse_factors(folded, target)
    planned = plan(folded, target, reuse)
    found = _rows(folded, target, reuse, planned, fifos(folded, target, planned))
    return [row | {'relu': node.relu} for row, node in zip(found, folded.nodes, strict=True)]


def couplings(graph: Graph, target: Dataflow) -> list[tuple[str, ...]]:
    """The gate groups of the graph on this target.

    A region whose maps change size sends bursts, and the FIFO behind it, which belongs to the next region's first node,
    holds them. If gates decide both, they interact: such a region's gates join the next's. Regions that folding or
    closed gates can reduce to nothing are passed over.
    """
    joined = gate_groups(graph)
    if target.fifo_policy == 'full_map' or not smooths(target):
        return joined
    found = regions(graph)
    for index, region in enumerate(found):
        if region.gates and any(node.inputs and graph.in_shape(node)[:2] != node.shape[:2] for node in region.nodes):
            for following in found[index + 1 :]:
                joined = merge(graph.gates, [*joined, region.gates + following.gates])
                if not _can_vanish(graph, following):
                    break
    return joined


def _can_vanish(graph: Graph, region: Region) -> bool:
    """Whether closed gates and folding can make the region's last node stand for its entry."""
    node = region.nodes[-1]
    while node.name != region.entry.name and (node.gate or node.op in FOLDING):
        node = graph[node.inputs[0]]
    return node.name == region.entry.name


def _rows(
    folded: Graph, target: Dataflow, reuse: dict[str, int], planned: list[Segment], streams: list[Fifo]
) -> list[dict]:
    part = devices.device(target.device)
    charged: dict[str, list[Fifo]] = collections.defaultdict(list)
    for each in streams:
        charged[each.row].append(each)
    forked: dict[str, list[Fork]] = collections.defaultdict(list)
    for segment in planned:
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
            {'name': node.name, 'op': node.op, 'block': node.block, **{resource: row[resource] for resource in KINDS}}
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
