"""Rewrites: pure functions Graph -> Graph.

binarize(graph, {gate: 0 or 1})   close the gates at 0 (the skip and what only fed it go), open for good those at 1
remove(graph, gates)              close these gates
dead_code(graph)                  drop what the output does not need
fold(graph)                       batch norms into convolutions, ReLUs into producers: the network as hardware runs it
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from tailor_jax.fields import hint
from tailor_jax.graph import Graph, GraphError, Node
from tailor_jax.ops import FOLDING, RECTIFIED


def dead_code(graph: Graph) -> Graph:
    """Drops every node that the output does not depend on; the input node stays."""
    return _ending_at(graph, graph.nodes, graph.output.name)


def binarize(graph: Graph, settings: Mapping[str, int]) -> Graph:
    """Applies a gate setting: 0 replaces the add by its main branch, dropping dead projections; 1 keeps it, ungated.

    Gates that `settings` does not name stay learnable. Raises GraphError for an unknown gate or a value other than 0
    and 1.
    """
    known = set(graph.gates)
    for gate, value in settings.items():
        if gate not in known:
            has = ', '.join(graph.gates) or 'none'
            raise GraphError(f'no gate {gate!r} in the graph; it has {has}{hint(gate, graph.gates)}')
        if value not in (0, 1):
            raise GraphError(f'gate {gate!r}: a setting must be 0 or 1, got {value!r}')
    stands_for: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(stands_for.get(name, name) for name in node.inputs)
        if settings.get(node.gate) == 0:
            stands_for[node.name] = inputs[0]
            continue
        nodes.append(_with(node, inputs, '' if node.gate in settings else node.gate))
    return _ending_at(graph, nodes, stands_for.get(graph.output.name, graph.output.name))


def remove(graph: Graph, gates: Iterable[str]) -> Graph:
    """Closes the named gates."""
    return binarize(graph, dict.fromkeys(gates, 0))


def fold(graph: Graph) -> Graph:
    """The network as hardware runs it: batch norms folded into convolutions, ReLUs fused into their producers.

    A fused node keeps its producer's name and gets `bias` or `relu`. `model.fold_variables` folds the numbers to match.
    A ReLU that alone reads another is that one. Other activations stay nodes. Raises GraphError for a batch norm that
    does not follow a convolution of its own.
    """
    stands_for: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    keys = collections.Counter(node.key for node in graph if node.op == 'conv')
    for node in graph.nodes:
        inputs = tuple(stands_for.get(name, name) for name in node.inputs)
        node = _with(node, inputs, node.gate)
        if node.op not in FOLDING:
            nodes[node.name] = node
            continue
        producer = nodes[inputs[0]]
        alone = len(graph.consumers[graph[node.name].inputs[0]]) == 1
        if node.op == 'batch_norm':
            if producer.op != 'conv' or producer.relu or not alone or keys[producer.key] > 1:
                raise GraphError(
                    f'node {node.name!r} (batch_norm) can only be folded into a convolution that nothing else reads '
                    f'and that shares no weights, but it reads {graph[node.name].inputs[0]!r}'
                )
            nodes[producer.name] = dataclasses.replace(producer, bias=True)
        elif alone and producer.op == 'relu':
            pass  # they are one, as behind an add that a closed gate took away
        elif alone and producer.op in RECTIFIED:
            nodes[producer.name] = dataclasses.replace(producer, relu=True)
        else:
            nodes[node.name] = node
            continue
        stands_for[node.name] = producer.name
    return _ending_at(graph, list(nodes.values()), stands_for.get(graph.output.name, graph.output.name))


def _with(node: Node, inputs: tuple[str, ...], gate: str) -> Node:
    """The node with these inputs and this gate; itself where it has them, so that what is known of it stays."""
    return node if (inputs, gate) == (node.inputs, node.gate) else dataclasses.replace(node, inputs=inputs, gate=gate)


def _ending_at(graph: Graph, nodes: Sequence[Node], output: str) -> Graph:
    """A graph of those nodes that `output` needs, which comes last; what `graph` had and this has not is gone."""
    needed, kept = {output, graph.input.name}, []
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(node.inputs)
            kept.append(node)
    left = {name for node in kept for name in (node.name, node.block)}
    gone = {name for node in graph.nodes for name in (node.name, node.block)} - left
    return Graph(tuple(reversed(kept)), graph.gone | gone - {''})
