"""The FIFOs of a folded graph: one an edge, and for a tensor with several readers one into its clone process and one to each reader.

Every FIFO and every clone is charged to one node's row, so that all rows that a gate changes lie in the gate's own segment:

    a FIFO is charged to the node that reads it
    a clone of k readers (k - 1 two-way clones) and the FIFO into it: to the adds of its segment, in order

The latter is always possible: in a segment the reads beyond the first of every tensor are as many as the adds, since every node but an add
has one input. The network's input is a port, no FIFO: its first reader, or its clone process, reads it directly.

Depths: `exact` from `schedule`, at least `stream_depth`; `pow2` rounds them up; `full_map` is H W for every stream.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from costmodel.streams import schedule
from costmodel.streams.segments import Segment, segments
from costmodel.streams.target import Dataflow, activation_bits
from tailor_jax import streaming
from tailor_jax.graph import Graph, Node


@dataclasses.dataclass(frozen=True)
class Fifo:
    """One stream.

    Attributes:
      name: `streaming.fifo_name`; a second edge between the same two nodes gets `__2`.
      producer: the node whose tensor it carries.
      consumer: the node that reads it, or '' for the clone process.
      row: the node whose row it is charged to.
      depth: tokens; width_bits: bits of a token.
    """

    name: str
    producer: str
    consumer: str
    row: str
    depth: int
    width_bits: int

    @property
    def fifo_bits(self) -> int:
        return self.depth * self.width_bits


def fifos(graph: Graph, target: Dataflow, reuse: Mapping[str, int]) -> list[Fifo]:
    """All FIFOs of a folded graph, in the order of their readers; `reuse` as from `target.reuse_factors`."""
    found, burst = [], 0
    for segment in segments(graph, reuse):
        depths = schedule.depths(segment.shape, smooth=target.reuse_factor != 1)
        found += _segment_fifos(graph, target, segment, depths, burst)
        burst = depths.burst
    return found


def clone_rows(graph: Graph, segment: Segment) -> list[tuple[Node, str]]:
    """(tensor that is cloned, add charged for it), one pair for every reader of a tensor beyond its first."""
    adds = [node.name for node in segment.nodes if node.op == 'add']
    extra = [node for node in (segment.entry, *segment.nodes[:-1]) for _ in graph.consumers[node.name][1:]]
    return list(zip(extra, adds, strict=True))


def _segment_fifos(graph: Graph, target: Dataflow, segment: Segment, depths: schedule.Depths, burst: int) -> Iterator[Fifo]:
    cloned: dict[str, str] = {}
    for tensor, add in clone_rows(graph, segment):
        cloned.setdefault(tensor.name, add)
    for name, add in cloned.items():
        if name == graph.input.name:
            continue
        needed = 1 + (burst if name == segment.entry.name else 0)
        yield _fifo(graph, target, streaming.fifo_name(name, 'clone'), graph[name], '', add, needed)
    for node, needs in zip(segment.nodes, depths.inputs):
        for index, (name, needed) in enumerate(zip(node.inputs, needs)):
            if name == graph.input.name and name not in cloned:
                continue
            suffix = '__2' if name in node.inputs[:index] else ''
            needed += burst if name == segment.entry.name and name not in cloned else 0
            yield _fifo(graph, target, streaming.fifo_name(name, node.name) + suffix, graph[name], node.name, node.name, needed)


def _fifo(graph: Graph, target: Dataflow, name: str, producer: Node, consumer: str, row: str, needed: int) -> Fifo:
    height, width, channels = producer.shape
    depth = max(target.stream_depth, height * width if target.fifo_policy == 'full_map' else needed)
    if target.fifo_policy == 'pow2':
        depth = 1 << (depth - 1).bit_length()
    return Fifo(name, producer.name, consumer, row, depth, channels * activation_bits(target, producer))
