"""Layers: what the array runs as one step. Every policy, and lowering, walks the layers of the folded graph.

    weighted         start a layer; what follows on its only reader joins it: activations, one pool, an add (with
                     `fuse_add`) on its main branch
    add, scale       a layer of their own where they join none, an element-wise pass
    pools, upsample  join the layer that makes their input, or are a pass of their own; a global average pool, an
                     accumulation on the side, also joins where others read its input: such a layer writes both tensors
    views            no layer: addresses only; who reads one reads the tensors that it is made of

A tensor is named by the node that makes it. Only tensors that some other layer reads, or that are the network's output,
exist outside a layer. A layer stands where its last operand is ready: a convolution with a fused add waits for the
shortcut.
"""

from __future__ import annotations

import math
from fractions import Fraction

from costmodel.array.settings import PEArray
from costmodel.cost import CostError
from tailor_jax.array_schedule import Layer, LayerGraph, stored
from tailor_jax.graph import Graph, Node, macs, weight_shape
from tailor_jax.ops import ACTIVATIONS, POOLS, VIEWS, WEIGHTED, WINDOW_POOLS


def tensor_bytes(network: LayerGraph, name: str, target: PEArray, repeats: Fraction | int = 1) -> int:
    """Bytes of a tensor for the batch, read so many times."""
    return bits_to_bytes(
        math.ceil(target.batch * math.prod(network.graph[name].shape) * repeats) * target.activation_bits
    )


def bits_to_bytes(bits: int) -> int:
    return -(-bits // 8)


def layer_graph(folded: Graph, target: PEArray, final: bool = True) -> LayerGraph:
    """The layers of a folded graph. Raises CostError naming a node that no layer can hold."""
    members: dict[str, list[Node]] = {}
    inside: dict[str, set[str]] = {}  # the ops of each layer
    layer_of: dict[str, str] = {}
    for node in folded.nodes[1:]:
        host = layer_of.get(node.inputs[0], '')
        if not _joins(folded, node, inside.get(host, set()), target.fuse_add):
            host = node.name
        if node.op not in VIEWS:
            members.setdefault(host, []).append(node)
            inside.setdefault(host, set()).add(node.op)
            layer_of[node.name] = host
    position = {node.name: index for index, node in enumerate(folded.nodes)}
    layers = [_layer(folded, tuple(nodes)) for nodes in members.values()]

    def place(layer: Layer) -> tuple[int, bool, int]:
        # Where its first node stands, or just behind the latest tensor that it waits for.
        first, ready = position[layer.name], max(position[name] for name in layer.reads)
        return max(first, ready), ready > first, first

    return LayerGraph(folded, tuple(sorted(layers, key=place)), final)


def _joins(graph: Graph, node: Node, inside: set[str], fuse_add: bool) -> bool:
    """Whether a node joins the layer that makes its input, whose ops are `inside`; empty where there is none."""
    alone, resized = len(graph.consumers[node.inputs[0]]) == 1, bool(inside & {'upsample', *POOLS})
    match node.op:
        case _ if node.weighted or node.op in VIEWS:
            return False
        case 'scale':
            return False
        case 'add':
            return fuse_add and alone and bool(inside & WEIGHTED) and not (resized or 'add' in inside)
        case _ if node.op in ACTIVATIONS:
            return alone and bool(inside)
        case _ if node.op == 'upsample' or node.op in WINDOW_POOLS:
            return alone and bool(inside) and not resized
        case 'global_avg_pool':
            return bool(inside) and not resized
        case _:
            raise CostError(f'node {node.name!r}: op {node.op!r} has no place on a PE array; fold the graph first')


def _layer(graph: Graph, nodes: tuple[Node, ...]) -> Layer:
    members = {node.name for node in nodes}
    inputs: list[str] = []
    shortcuts: list[str] = []
    for node in nodes:
        for index, source in enumerate(node.inputs):
            if source not in members:
                (shortcuts if node.op == 'add' and index == 1 else inputs).extend(stored(graph, graph[source]))
    outputs = tuple(
        node.name
        for node in nodes
        if node.name == graph.output.name or any(reader not in members for reader in graph.consumers[node.name])
    )
    weights = math.prod(weight_shape(graph, nodes[0])) if nodes[0].weighted else 0
    return Layer(
        nodes, tuple(dict.fromkeys(inputs)), tuple(dict.fromkeys(shortcuts)), outputs, weights, macs(graph, nodes[0])
    )
