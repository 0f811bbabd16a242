"""Segments: the pieces of a folded graph between articulation nodes, in the canonical form that the schedule works on.

The segment (u, v) of two consecutive articulation nodes (`costmodel.groups`) holds the nodes after u up to v; it is a single edge, or it
reconverges: u forks and v joins.

Every process is the same few numbers: an iteration a token read, over an (H, W) input; the iteration k has the anchor pixel k - lag and
writes when the anchor lies on the stride grid inside the output; it then takes `write_cycles`, else one cycle (see `tailor_jax.streaming`).

    conv, max_pool   lag D, the window's stride        dense   lag 0, stride 1, write_cycles = reuse factor
    add, relu        lag 0, stride 1                   global_avg_pool   lag H W - 1, stride (H, W)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from costmodel.groups import articulation
from tailor_jax import streaming
from tailor_jax.graph import Graph, GraphError, Node


@dataclasses.dataclass(frozen=True)
class Process:
    """A node as the schedule sees it. `inputs` are positions in the segment, 0 is the tensor that enters it."""

    in_size: tuple[int, int]
    out_size: tuple[int, int]
    stride: tuple[int, int]
    lag: int
    write_cycles: int
    inputs: tuple[int, ...]

    @property
    def period_cycles(self) -> int:
        """Cycles for one image when it never waits."""
        (height_in, width_in), (height, width) = self.in_size, self.out_size
        return height_in * width_in + (self.write_cycles - 1) * height * width


@dataclasses.dataclass(frozen=True)
class Shape:
    """A segment without names: hashable, equal for equal structure. `size` is the entering tensor's (H, W)."""

    size: tuple[int, int]
    processes: tuple[Process, ...]


@dataclasses.dataclass(frozen=True)
class Segment:
    """A segment of a graph: its canonical `shape`, the entering tensor's node, and the nodes of `shape.processes`."""

    shape: Shape
    entry: Node
    nodes: tuple[Node, ...]


def process(graph: Graph, node: Node, reuse_factor: int, inputs: tuple[int, ...]) -> Process:
    """The canonical form of a folded node."""
    height, width, _ = graph.in_shape(node)
    out = node.shape[:2]
    match node.op:
        case 'conv' | 'max_pool':
            return Process((height, width), out, node.stride, streaming.lag(graph, node), reuse_factor, inputs)
        case 'add' | 'relu' | 'dense':
            return Process((height, width), out, (1, 1), 0, reuse_factor, inputs)
        case 'global_avg_pool':
            return Process((height, width), out, (height, width), height * width - 1, 1, inputs)
        case _:
            raise GraphError(f'node {node.name!r}: op {node.op!r} has no streaming process; fold the graph first')


def segments(graph: Graph, reuse: Mapping[str, int]) -> Iterator[Segment]:
    """The graph's segments in order; `reuse` holds the reuse factor of every conv and dense node."""
    cuts = {node.name for node in articulation(graph)}
    entry, inside = graph.input, []
    for node in graph.nodes[1:]:
        inside.append(node)
        if node.name in cuts:
            position = {each.name: index for index, each in enumerate((entry, *inside))}
            processes = tuple(process(graph, each, reuse.get(each.name, 1), tuple(position[name] for name in each.inputs)) for each in inside)
            yield Segment(Shape(entry.shape[:2], processes), entry, tuple(inside))
            entry, inside = node, []
