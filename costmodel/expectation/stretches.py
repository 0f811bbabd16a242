"""Stretches: segments in a row that can be priced one stretch after another, whatever the gates do.

A cut is a tensor that every path passes. It must stay what it is under every setting of the gates: one tensor in memory
(no concat), read by layers of their own (an activation or a pool would join the layer before it), with some layer left
behind it (a gated add can vanish). Stretches hold a gate or more each, where there are any, and a gate that stands in
several stretches joins all from the first to the last.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from costmodel.expectation.groups import Segment, segments
from tailor_jax.graph import Graph, Node
from tailor_jax.ops import FOLDING, VIEWS


@dataclasses.dataclass(frozen=True)
class Stretch:
    """A stretch as a graph of its own, whose input is the tensor before it; `final` for the network's last."""

    graph: Graph
    final: bool


def stretches(graph: Graph) -> list[Stretch]:
    """The stretches of a graph with learnable gates, in order."""
    joined: list[Segment] = []
    parts: list[Segment] = []  # of the one that is being joined
    gated = False
    for segment in segments(graph):
        if gated and _is_cut(graph, segment.entry):
            joined.append(_union(*parts))
            parts, gated = [], False
        parts.append(segment)
        gated = gated or bool(segment.gates)
    joined += [_union(*parts)] if parts else []
    if len(joined) > 1 and not joined[-1].gates:
        joined[-2:] = [_union(*joined[-2:])]
    held = [segment.gates for segment in joined]
    last = {gate: index for index, gates in enumerate(held) for gate in gates}
    whole: list[list[Segment]] = []
    reach = -1  # the last segment that a gate of those before it stands in, too
    for index, segment in enumerate(joined):
        if index > reach:
            whole.append([])
        whole[-1].append(segment)
        reach = max(reach, index, *(last[gate] for gate in held[index]))
    return [Stretch(_alone(_union(*parts)), parts is whole[-1]) for parts in whole]


def _union(*parts: Segment) -> Segment:
    """Segments in a row taken for one."""
    return Segment(parts[0].entry, tuple(node for part in parts for node in part.nodes))


def _alone(segment: Segment) -> Graph:
    return Graph(
        (Node(segment.entry.name, 'input', (), segment.entry.shape, block=segment.entry.block), *segment.nodes)
    )


def _is_cut(graph: Graph, node: Node) -> bool:
    readers_of_their_own = all(reader.weighted or reader.op == 'add' for reader in _readers(graph, node))
    return readers_of_their_own and _is_stored(graph, node)


def _readers(graph: Graph, node: Node) -> Iterator[Node]:
    """Who may read the tensor, directly or once gated adds are gone; the network's input, which reads nothing, where no
    layer might be left.
    """
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node.name == graph.output.name:
            yield graph.input
        for name in graph.consumers[node.name]:
            reader = graph[name]
            yield reader
            if reader.gate and reader.inputs[0] == node.name:
                waiting.append(reader)


def _is_stored(graph: Graph, node: Node) -> bool:
    """Whether the tensor, or what stands for it once gated adds are gone, lies in memory as one."""
    while node.gate or node.op in FOLDING:
        node = graph[node.inputs[0]]
    return node.op not in VIEWS
