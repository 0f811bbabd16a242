"""Where skips go, told from the structure of a graph, whatever its nodes are called.

A gated add reads its main branch and its skip tensor. Walked back along first inputs, the main branch meets, at the
*fork*, a node that the skip tensor comes from too. Between the two lie

    layers    convolutions and dense layers: a traditional skip goes over two, a short one over one
    inside    other gated adds

A block *shortens* where one skip goes over exactly what two or more others go over one after another: closing it and
opening them replaces a long skip by short ones. That is Tailor's SkipShortener (`long_post+short` of
`tailor_jax.build.resnet`).
"""

from __future__ import annotations

import dataclasses

from tailor_jax.graph import Graph, Node


@dataclasses.dataclass(frozen=True)
class Skip:
    """A gated add.

    Attributes:
      gate: its gate.
      node: its name.
      fork: the node at which main branch and skip part.
      layers: convolutions and dense layers on the main branch since the fork.
      inside: names of the gated adds on the main branch since the fork, output side first.
      before_relu: whether a ReLU alone reads the sum.
    """

    gate: str
    node: str
    fork: str
    layers: int
    inside: tuple[str, ...]
    before_relu: bool


@dataclasses.dataclass(frozen=True)
class Shortening:
    """The gate of a skip over several layers, and those of the skips over its parts, input side first."""

    long: str
    short: tuple[str, ...]


def skips(graph: Graph) -> tuple[Skip, ...]:
    """The gated adds, in graph order."""
    return tuple(_skip(graph, node) for node in graph if node.gate)


def shortenings(graph: Graph) -> tuple[Shortening, ...]:
    """The long skips beside which the graph holds short ones over the same layers, in graph order."""
    found = {skip.node: skip for skip in skips(graph)}
    shortens = []
    for skip in found.values():
        parts = [found[name] for name in reversed(skip.inside)]
        plain = all(not part.inside for part in parts)
        if len(parts) > 1 and plain and sum(part.layers for part in parts) == skip.layers:
            shortens.append(Shortening(skip.gate, tuple(part.gate for part in parts)))
    return tuple(shortens)


def _skip(graph: Graph, add: Node) -> Skip:
    main, skip = add.inputs
    above = _ancestors(graph, skip)
    at, layers, inside = graph[main], 0, []
    while at.name not in above and at.inputs:
        layers += at.weighted
        if at.gate:
            inside.append(at.name)
        at = graph[at.inputs[0]]
    readers = graph.consumers[add.name]
    before_relu = len(readers) == 1 and graph[readers[0]].op == 'relu'
    return Skip(add.gate, add.name, at.name, layers, tuple(inside), before_relu)


def _ancestors(graph: Graph, name: str) -> set[str]:
    """The nodes that a node is computed from, and itself."""
    found, waiting = {name}, [name]
    while waiting:
        new = [source for source in graph[waiting.pop()].inputs if source not in found]
        found.update(new)
        waiting += new
    return found
