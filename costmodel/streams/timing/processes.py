"""The segments of a folded graph as processes and streams, in the canonical form that the schedule works on.

The segment (u, v) of two consecutive articulation nodes (`costmodel.expectation.groups`) holds the nodes after u up to
v; it is a single edge, or it reconverges: u forks and v joins.

Every process is the same few numbers: an iteration a token read, over an (H, W) input; the iteration k has the anchor
pixel k - lag and writes when the anchor lies on the stride grid inside the output; it then takes `write_cycles`, else
one cycle (`tailor_jax.streaming.steps`).

An add that is absorbed (`Dataflow.add`) is no process: the convolution before it starts its accumulators from the
skip's token, which it reads in the first cycle of the iteration that writes.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from costmodel.expectation.groups import Segment, segments
from tailor_jax import streaming
from tailor_jax.graph import Graph, Node


class Tap(NamedTuple):
    """Tokens that a windowed process hands on from its window: token n in its iteration n + lag (see `taps`)."""

    process: int
    lag: int


Source = int | Tap

# A FIFO of a segment: (process, position in its `sources`), or (tensor, CLONE) for the one into a tensor's clone
# process. Processes count from 1.
Stream = tuple[int, int]
CLONE = -1


@dataclasses.dataclass(frozen=True)
class Process:
    """A node as the schedule sees it. Sources: positions in the segment (0: what enters it) or taps of its processes.

    Attributes:
      in_size, out_size: (H, W) of the input and output map.
      stride, lag, window: see `streaming.Steps`.
      write_cycles: see the module docstring.
      inputs: sources of which every iteration reads a token.
      starts: the source of the tokens that an absorbed add starts the accumulators from, if any.
    """

    in_size: tuple[int, int]
    out_size: tuple[int, int]
    stride: tuple[int, int]
    lag: int
    write_cycles: int
    inputs: tuple[Source, ...]
    starts: tuple[Source, ...] = ()
    window: tuple[int, ...] = (0,)

    @property
    def sources(self) -> tuple[Source, ...]:
        return self.inputs + self.starts

    @property
    def period_cycles(self) -> int:
        """Cycles for one image when it never waits."""
        (height_in, width_in), (height, width) = self.in_size, self.out_size
        return height_in * width_in + (self.write_cycles - 1) * height * width


@dataclasses.dataclass(frozen=True)
class ProcessGraph:
    """The processes of a segment, or of several in a row, without names: hashable, equal for equal structure.

    Attributes:
      size: the entering tensor's (H, W).
      latency: cycles from the last cycle of an iteration to its write, of every process and clone.
    """

    size: tuple[int, int]
    processes: tuple[Process, ...]
    latency: int = 0

    @functools.cached_property
    def cloned(self) -> frozenset[int]:
        """The tensors that go through a clone process: those with several readers, not counting taps."""
        read = [source for process in self.processes for source in process.sources if not isinstance(source, Tap)]
        return frozenset(source for source, count in collections.Counter(read).items() if count > 1)


@dataclasses.dataclass(frozen=True)
class ProcessSegment:
    """A segment as processes.

    Attributes:
      graph: its canonical form.
      entry: the node whose tensor enters it; nodes: the others.
      edges: for each process, for each of its `sources`, (the node that reads it, the node whose tensor it is).
      period: cycles from one image to the next that depths are found for (see `schedule`); 0 for a token a cycle.
    """

    graph: ProcessGraph
    entry: Node
    nodes: tuple[Node, ...]
    edges: tuple[tuple[tuple[Node, Node], ...], ...]
    period: int = 0


def process(
    graph: Graph, node: Node, reuse_factor: int, inputs: tuple[Source, ...], starts: tuple[Source, ...] = ()
) -> Process:
    """The canonical form of a folded node."""
    steps = streaming.steps(graph, node)
    sizes = graph.in_shape(node)[:2], node.shape[:2]
    return Process(*sizes, steps.stride, steps.lag, reuse_factor, inputs, starts, steps.window)


def absorbed(graph: Graph) -> dict[str, str]:
    """{add: the convolution that can take it in}: its main branch, read by nothing else, no ReLU between."""
    main = {node.name: graph[node.inputs[0]] for node in graph.nodes if node.op == 'add'}
    return {
        name: conv.name
        for name, conv in main.items()
        if conv.op == 'conv' and not conv.relu and len(graph.consumers[conv.name]) == 1
    }


def process_segments(
    graph: Graph, reuse: Mapping[str, int], absorb: bool = False, latency: int = 0
) -> Iterator[ProcessSegment]:
    """The graph's segments in order, as processes.

    Args:
      graph: folded.
      reuse: the reuse factor of every weighted node.
      absorb: whether convolutions take in the adds behind them.
      latency: cycles from the last cycle of an iteration to its write.
    """
    hosts = absorbed(graph) if absorb else {}
    for segment in segments(graph):
        yield _as_processes(graph, segment, reuse, hosts, latency)


def _as_processes(
    graph: Graph, segment: Segment, reuse: Mapping[str, int], hosts: Mapping[str, str], latency: int
) -> ProcessSegment:
    position = {segment.entry.name: 0}
    processes, edges = [], []
    for node in segment.nodes:
        if node.name in hosts.values():
            continue
        reader = graph[hosts.get(node.name, node.name)]
        started = [node.inputs[1]] if reader is not node else []
        inputs = tuple(position[name] for name in reader.inputs)
        starts = tuple(position[name] for name in started)
        processes.append(process(graph, reader, reuse.get(reader.name, 1), inputs, starts))
        edges.append(
            tuple((reader, graph[name]) for name in reader.inputs) + tuple((node, graph[name]) for name in started)
        )
        position[node.name] = len(processes)
    process_graph = ProcessGraph(segment.entry.shape[:2], tuple(processes), latency)
    return ProcessSegment(process_graph, segment.entry, segment.nodes, tuple(edges))
