"""The widths of a network on a target: of its tensors, of its weights, of its sums.

acc = a + w + ceil(log2 K) + 1      K products an output; the bias adds a bit
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from costmodel.streams.settings import Dataflow, activation_bits, weight_bits
from tailor_jax import streaming
from tailor_jax.graph import Graph, Node


@dataclasses.dataclass(frozen=True)
class Widths:
    """Bits: of a node's tensor, of its weights, of its sums with their bias."""

    tensors: Mapping[str, int]
    weights: Mapping[str, int]
    sums: Mapping[str, int]


def accumulator_bits(graph: Graph, node: Node, target: Dataflow) -> int:
    """Width that holds any sum of the products of a weighted node, and its bias."""
    count, _ = streaming.products(graph, node)
    return activation_bits(target, graph[node.inputs[0]]) + weight_bits(target, node) + math.ceil(math.log2(count)) + 1


def is_logits(graph: Graph, node: Node) -> bool:
    """A dense node that ends the network: its sums are the result."""
    return node.op == 'dense' and node.name == graph.output.name


def widths(graph: Graph, target: Dataflow) -> Widths:
    """The widths of a folded graph on a target; logits are as wide as their sums."""
    weighted = [node for node in graph.nodes if node.weighted]
    sums = {node.name: accumulator_bits(graph, node, target) for node in weighted}
    tensors = {
        node.name: sums[node.name] if is_logits(graph, node) else activation_bits(target, node) for node in graph.nodes
    }
    return Widths(tensors, {node.name: weight_bits(target, node) for node in weighted}, sums)
