"""Layers: what the array runs as one step, the groups of nodes of the folded graph that every policy and lowering walks.

    conv, dense      start a layer; what follows on its only reader joins it: activations, one pool, an add (with `fuse_add`) on its main branch
    add, scale       a layer of their own where they join none, an element-wise pass
    pools, upsample  join the layer that makes their input, or are a pass of their own; a global average pool, an accumulation on the side, also
                     joins where others read its input too: such a layer writes both tensors
    concat, flatten  no layer: addresses only; who reads one reads the tensors that it is made of

A tensor is named by the node that makes it. Only tensors that some other layer reads, or that are the network's output, exist outside a layer.
A layer stands where its last operand is ready: a convolution with a fused add waits for the shortcut.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from fractions import Fraction

from costmodel.array.target import PEArray
from costmodel.cost import CostError
from tailor_jax.graph import Graph, Node, macs, weight_shape

ACTIVATIONS = ('relu', 'leaky_relu', 'sigmoid', 'swish')
POOLS = ('max_pool', 'avg_pool', 'global_avg_pool')
VIEWS = ('concat', 'flatten')


@dataclasses.dataclass(frozen=True)
class Layer:
    """One step of the array.

    Attributes:
      nodes: its members, in graph order; the first does the arithmetic that the array is for.
      inputs: tensors read by the first node's main operand (several under a concat), and by a scale.
      shortcuts: tensors read as the second operand of an add.
      outputs: tensors written.
      weights: number of weights, biases not counted.
      macs: multiply-accumulates for one image.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    shortcuts: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: int
    macs: int

    @property
    def name(self) -> str:
        return self.nodes[0].name

    @property
    def op(self) -> str:
        return self.nodes[0].op

    @property
    def block(self) -> str:
        return self.nodes[0].block

    @property
    def reads(self) -> tuple[str, ...]:
        """Every tensor read, each once."""
        return tuple(dict.fromkeys(self.inputs + self.shortcuts))

    def member(self, *ops: str) -> Node | None:
        """The first member of one of these ops."""
        return next((node for node in self.nodes if node.op in ops), None)


@dataclasses.dataclass(frozen=True)
class Plan:
    """The layers of a folded graph, in the order in which they run.

    Attributes:
      graph: the folded graph.
      layers: its layers.
      final: whether the graph's output is the network's, which must reach DRAM; False for a part of a network whose rest is still to run.
    """

    graph: Graph
    layers: tuple[Layer, ...]
    final: bool = True

    def tensor_bytes(self, name: str, target: PEArray, repeats: Fraction | int = 1) -> int:
        """Bytes of a tensor for the batch, read so many times."""
        return bits_to_bytes(math.ceil(target.batch * math.prod(self.graph[name].shape) * repeats) * target.activation_bits)

    @functools.cached_property
    def readers(self) -> dict[str, list[int]]:
        """{tensor: indices of the layers that read it}."""
        found: dict[str, list[int]] = {}
        for index, layer in enumerate(self.layers):
            for name in layer.reads:
                found.setdefault(name, []).append(index)
        return found

    @functools.cached_property
    def last_reader(self) -> dict[str, int]:
        """{tensor: index of the last layer that reads it}; the graph's results, which live on, have none."""
        return {name: indices[-1] for name, indices in self.readers.items() if name not in self.results}

    def next_reader(self, index: int, name: str) -> float:
        """Index of the next layer after this one that reads a tensor; infinite if none does."""
        return next((reader for reader in self.readers.get(name, ()) if reader > index), math.inf)

    @functools.cached_property
    def results(self) -> tuple[str, ...]:
        """The tensors that the graph's output consists of."""
        return stored(self.graph, self.graph.output)


def bits_to_bytes(bits: int) -> int:
    return -(-bits // 8)


def plan(folded: Graph, target: PEArray, final: bool = True) -> Plan:
    """The layers of a folded graph. Raises CostError naming a node that no layer can hold."""
    groups: dict[str, list[Node]] = {}
    inside: dict[str, set[str]] = {}  # the ops of each layer
    layer_of: dict[str, str] = {}
    for node in folded.nodes[1:]:
        host = layer_of.get(node.inputs[0], '')
        if not _joins(folded, node, inside.get(host, set()), target.fuse_add):
            host = node.name
        if node.op not in VIEWS:
            groups.setdefault(host, []).append(node)
            inside.setdefault(host, set()).add(node.op)
            layer_of[node.name] = host
    position = {node.name: index for index, node in enumerate(folded.nodes)}
    layers = [_layer(folded, tuple(nodes)) for nodes in groups.values()]

    def place(layer: Layer) -> tuple[int, bool, int]:
        # Where its first node stands, or just behind the latest tensor that it waits for.
        first, ready = position[layer.name], max(position[name] for name in layer.reads)
        return max(first, ready), ready > first, first

    return Plan(folded, tuple(sorted(layers, key=place)), final)


def stored(graph: Graph, node: Node) -> tuple[str, ...]:
    """The tensors in memory that a node's output consists of: itself, or what a concat or flatten is made of, each once."""
    found: dict[str, None] = {}
    seen, waiting = set(), [node]
    while waiting:
        each = waiting.pop()
        if each.op not in VIEWS:
            found[each.name] = None
        elif each.name not in seen:
            seen.add(each.name)
            waiting += [graph[name] for name in reversed(each.inputs)]
    return tuple(found)


def _joins(graph: Graph, node: Node, inside: set[str], fuse_add: bool) -> bool:
    """Whether a node joins the layer that makes its input, whose ops are `inside`; there is none where they are empty."""
    alone = len(graph.consumers[node.inputs[0]]) == 1
    match node.op:
        case 'conv' | 'dense' | 'scale' | 'concat' | 'flatten':
            return False
        case 'add':
            return fuse_add and alone and bool(inside & {'conv', 'dense'}) and not inside & {'add', 'upsample', *POOLS}
        case 'relu' | 'leaky_relu' | 'sigmoid' | 'swish':
            return alone and bool(inside)
        case 'max_pool' | 'avg_pool' | 'upsample':
            return alone and bool(inside) and not inside & {'upsample', *POOLS}
        case 'global_avg_pool':
            return bool(inside) and not inside & {'upsample', *POOLS}
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
        node.name for node in nodes if node.name == graph.output.name or any(reader not in members for reader in graph.consumers[node.name])
    )
    weights = math.prod(weight_shape(graph, nodes[0])) if nodes[0].op in ('conv', 'dense') else 0
    return Layer(nodes, tuple(dict.fromkeys(inputs)), tuple(dict.fromkeys(shortcuts)), outputs, weights, macs(graph, nodes[0]))
