"""Gate groups: which gates interact.

An articulation node lies on every path from input to output; in a topological order it is a node that no edge jumps
over. A skip connection lives between two consecutive articulation nodes of the graph with all gates open, and the gates
between the same two form a group: usually one block, 1 to 4 gates. A gate that stands on adds of several such segments
joins their groups.
"""

from __future__ import annotations

import dataclasses

from tailor_jax.graph import Graph, Node


def articulation(graph: Graph) -> list[Node]:
    """The nodes that lie on every path from input to output, in order; the first is the input, the last the output."""
    position = {node.name: index for index, node in enumerate(graph.nodes)}
    found, reach = [], 0
    for index, node in enumerate(graph.nodes):
        if reach <= index:
            found.append(node)
        reach = max([reach, *(position[name] for name in graph.consumers[node.name])])
    return found


@dataclasses.dataclass(frozen=True)
class Segment:
    """The nodes after one articulation node, `entry`, up to the next, which is the last of `nodes`."""

    entry: Node
    nodes: tuple[Node, ...]

    @property
    def gates(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(node.gate for node in self.nodes if node.gate))


def segments(graph: Graph) -> list[Segment]:
    """The graph cut at its articulation nodes, in order."""
    cuts = {node.name for node in articulation(graph)}
    found, entry, inside = [], graph.input, []
    for node in graph.nodes[1:]:
        inside.append(node)
        if node.name in cuts:
            found.append(Segment(entry, tuple(inside)))
            entry, inside = node, []
    return found
