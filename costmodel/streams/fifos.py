"""The FIFOs of a folded graph: one an edge; a tensor of several readers has one to its clone process, one to each.

Every FIFO and every clone is charged to one node's row, so that all rows that a gate changes lie in the gate's own
segment:

    a FIFO is charged to the node that reads it
    a clone of k readers (k - 1 two-way clones) and the FIFO into it: to the adds of its segment, in order

The latter is always possible: in a segment the reads beyond the first of every tensor are as many as the adds, since
every node but an add has one input. A reader that taps a window (`taps`) needs no clone; its port is charged like one.
The network's input is a port, no FIFO: its first reader, or its clone process, reads it directly.

Depths: `exact` from `schedule`, at least `stream_depth`; `pow2` rounds them up; `full_map` is H W for every stream.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from costmodel.streams.settings import Dataflow, activation_bits
from costmodel.streams.timing import schedule
from costmodel.streams.timing.processes import CLONE, ProcessSegment, Stream, Tap, process_segments
from costmodel.streams.timing.taps import tapped
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
      stream: its place in the network's processes, all segments in a row (`schedule.joined`).
      tap_host, tap_lag: the layer whose window the tokens are taken from, and how many iterations after it read them;
        '' for none.
    """

    name: str
    producer: str
    consumer: str
    row: str
    depth: int
    width_bits: int
    stream: Stream
    tap_host: str = ''
    tap_lag: int = 0

    @property
    def fifo_bits(self) -> int:
        return self.depth * self.width_bits


@dataclasses.dataclass(frozen=True)
class Fork:
    """A reader of a tensor beyond its first: the tensor, the add whose row it is charged to, and whether it taps a
    window or takes a clone.
    """

    tensor: Node
    row: str
    tap: bool


def built_segments(graph: Graph, target: Dataflow, reuse: Mapping[str, int]) -> list[ProcessSegment]:
    """The segments of a folded graph as the target builds them."""
    found = list(process_segments(graph, reuse, target.add == 'absorbed', target.process_latency_cycles))
    pace = pace_cycles(graph, reuse) if smooths(target) else 0
    found = [
        dataclasses.replace(each, period=max(pace, schedule.own_period(each.graph)) if pace else 0) for each in found
    ]
    if target.skip == 'line_buffer':
        found = [dataclasses.replace(each, graph=tapped(each.graph, each.period)) for each in found]
    return found


def smooths(target: Dataflow) -> bool:
    """Whether bursts matter: not at one cycle a token without latency, where nobody holds a neighbour up."""
    return target.reuse_factor != 1 or target.process_latency_cycles > 0


def pace_cycles(graph: Graph, reuse: Mapping[str, int]) -> int:
    """The largest period of the processes that no gate can take away: those on the path of main branches."""
    node, found = graph.output, 0
    while node.inputs:
        found = max(found, streaming.period_cycles(graph, node, reuse.get(node.name, 1)))
        node = graph[node.inputs[0]]
    return max(found, streaming.period_cycles(graph, node))


def fifos(graph: Graph, target: Dataflow, built: list[ProcessSegment]) -> list[Fifo]:
    """All FIFOs of a folded graph, in the order of their readers; `built` as from `built_segments`."""
    found: list[Fifo] = []
    before, processes = None, 0
    for segment in built:
        depths = schedule.depths(segment.graph, segment.period, target.stream_depth)
        tokens = dict(depths.streams)
        if before:
            tokens[schedule.entry(segment.graph)] = schedule.behind(before, depths, segment.graph)
        found += [_fifo(target, edge, tokens[edge.stream], processes) for edge in _edges(graph, segment)]
        before, processes = depths, processes + len(segment.graph.processes)
    return found


def forks(graph: Graph, segment: ProcessSegment) -> list[Fork]:
    """The readers beyond the first of the segment's tensors, each charged to one of its adds."""
    adds = [node.name for node in segment.nodes if node.op == 'add']
    taken: dict[str, list[bool]] = {}
    for process, edges in zip(segment.graph.processes, segment.edges):
        for source, (_, tensor) in zip(process.sources, edges):
            taken.setdefault(tensor.name, []).append(isinstance(source, Tap))
    extra = [(graph[name], tap) for name, taps in taken.items() for tap in sorted(taps)[1:]]
    return [Fork(tensor, add, tap) for (tensor, tap), add in zip(extra, adds, strict=True)]


@dataclasses.dataclass(frozen=True)
class _Edge:
    """A stream of a segment before its depth is known; attributes as those of `Fifo`, `stream` within the segment.

    `reader` is None for the clone process; `second` if the reader has another edge from the same tensor.
    """

    tensor: Node
    reader: Node | None
    row: str
    stream: Stream
    second: bool = False
    tap_host: str = ''
    tap_lag: int = 0


def _edges(graph: Graph, segment: ProcessSegment) -> Iterator[_Edge]:
    """The streams of a segment: those into clone processes, then those into its processes, in their order."""
    cloned: dict[str, str] = {}
    for fork in forks(graph, segment):
        if not fork.tap:
            cloned.setdefault(fork.tensor.name, fork.row)
    tensors = [segment.entry.name, *(edges[-1][0].name for edges in segment.edges)]
    for name, row in cloned.items():
        if name != graph.input.name:
            yield _Edge(graph[name], None, row, (tensors.index(name), CLONE))
    for number, (process, edges) in enumerate(zip(segment.graph.processes, segment.edges), 1):
        for slot, (source, (reader, tensor)) in enumerate(zip(process.sources, edges)):
            second, stream = (reader, tensor) in edges[:slot], (number, slot)
            if isinstance(source, Tap):
                host = segment.edges[source.process - 1][0][0]
                yield _Edge(tensor, reader, reader.name, stream, second, host.name, source.lag)
            elif tensor.name != graph.input.name or tensor.name in cloned:
                yield _Edge(tensor, reader, reader.name, stream, second)


def _fifo(target: Dataflow, edge: _Edge, needed: int, processes: int) -> Fifo:
    """The FIFO of an edge that must hold so many tokens, in a segment behind so many processes."""
    height, width, channels = edge.tensor.shape
    depth = max(target.stream_depth, height * width if target.fifo_policy == 'full_map' else needed)
    if target.fifo_policy == 'pow2':
        depth = 1 << (depth - 1).bit_length()
    reader = edge.reader.name if edge.reader else ''
    number, slot = edge.stream
    return Fifo(
        name=streaming.fifo_name(edge.tensor.name, reader or 'clone') + ('__2' if edge.second else ''),
        producer=edge.tensor.name,
        consumer=reader,
        row=edge.row,
        depth=depth,
        width_bits=channels * activation_bits(target, edge.tensor),
        stream=(number + processes, slot),
        tap_host=edge.tap_host,
        tap_lag=edge.tap_lag,
    )
