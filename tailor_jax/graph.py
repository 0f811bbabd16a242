"""The graph IR: the one structure that every other part of the project walks.

A network is a `Graph`: a topologically ordered tuple of frozen `Node`s whose first node is the input and whose last
node is the output. A skip connection is an `add` node whose second input is the skip tensor and whose `gate` names a
learnable gate; projections are ordinary `conv` nodes on the skip path. Passes are pure functions Graph -> Graph, or
walks

    for node in graph.nodes:
        match node.op: ...

whose default raises. Tensors are (H, W, C) without the batch; a 1-D network has H = 1.

What the ops compute, and which of them are alike, stands in `tailor_jax.ops`. A network has one output. A detector
flattens its heads and concatenates them into one.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tailor_jax import files
from tailor_jax.fields import Fields, header, parse_json, read_text
from tailor_jax.node import MOST_PRODUCTS, NAME, GraphError, Node, node_from_dict, node_to_dict
from tailor_jax.ops import ELEMENTWISE, TRAITS, WEIGHTED, WINDOW_POOLS, listed

MOST_NODES = 100_000


@dataclasses.dataclass(frozen=True)
class Graph:
    """A validated, hashable network. Raises GraphError when built from nodes that break the rules of the IR.

    Attributes:
      nodes: the nodes.
      gone: names of nodes and blocks that rewrites took away: a setting that names them means the network before.
        Graphs are equal by their nodes.
    """

    nodes: tuple[Node, ...]
    gone: frozenset[str] = dataclasses.field(default=frozenset(), compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'nodes', tuple(self.nodes))
        validate(self)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __getitem__(self, name: str) -> Node:
        try:
            return self.by_name[name]
        except KeyError:
            raise GraphError(f'no node {name!r} in the graph; it has {", ".join(self.by_name)}') from None

    def __str__(self) -> str:
        return pretty(self)

    @functools.cached_property
    def by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @functools.cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """Who reads each node, in graph order; a node read twice by one consumer appears twice."""
        readers: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for source in node.inputs:
                readers[source].append(node.name)
        return {name: tuple(names) for name, names in readers.items()}

    @property
    def input(self) -> Node:
        return self.nodes[0]

    @property
    def output(self) -> Node:
        return self.nodes[-1]

    @functools.cached_property
    def gates(self) -> tuple[str, ...]:
        """The learnable gates, in graph order, each once."""
        return tuple(dict.fromkeys(node.gate for node in self.nodes if node.gate))

    @functools.cached_property
    def weight_owners(self) -> dict[str, str]:
        """{parameter key: the first weighted node that uses it}; shared weights are counted there."""
        return {node.key: node.name for node in reversed(self.nodes) if node.weighted}

    def in_shape(self, node: Node) -> tuple[int, int, int]:
        """(H, W, C) of the node's first input."""
        return self.by_name[node.inputs[0]].shape


def weight_shape(graph: Graph, node: Node) -> tuple[int, ...]:
    """Shape of a node's weight: conv (kernel h, kernel w, C_in / groups, C_out), dense (C_in, C_out), otherwise ()."""
    match node.op:
        case 'conv':
            return (*node.kernel, graph.in_shape(node)[2] // node.groups, node.shape[2])
        case 'dense':
            return (graph.in_shape(node)[2], node.shape[2])
        case _ if not node.weighted:
            return ()
        case _:
            raise GraphError(f'node {node.name!r}: nothing says which shape the weight of op {node.op!r} has')


def parameters(graph: Graph, node: Node | None = None) -> int:
    """Trainable parameters of one node, or of the whole graph. Batch norm counts its scale and shift; shared weights
    count at their first node.
    """
    if node is None:
        return sum(parameters(graph, each) for each in graph.nodes)
    if node.op == 'batch_norm':
        return 2 * node.shape[2]
    if graph.weight_owners.get(node.key, node.name) != node.name:
        return 0
    weight = weight_shape(graph, node)
    return (math.prod(weight) + node.shape[2] * node.biased) if weight else 0


def macs(graph: Graph, node: Node | None = None) -> int:
    """Multiply-accumulates for one image, of one node or of the whole graph."""
    if node is None:
        return sum(macs(graph, each) for each in graph.nodes)
    weight = weight_shape(graph, node)
    return math.prod(weight) * node.shape[0] * node.shape[1] if weight else 0


def window_shape(
    shape: tuple[int, int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int]
) -> tuple[int, int]:
    """Output (H, W) of a window of this kernel, stride and padding over an (H, W, C) input."""
    top, bottom, left, right = padding
    return (
        (shape[0] + top + bottom - kernel[0]) // stride[0] + 1,
        (shape[1] + left + right - kernel[1]) // stride[1] + 1,
    )


def _inferred_shape(graph: Graph, node: Node) -> tuple[int, int, int]:
    shapes = [graph.by_name[name].shape for name in node.inputs]
    match node.op:
        case 'input':
            return node.shape
        case 'conv':
            return (*window_shape(shapes[0], node.kernel, node.stride, node.padding), node.shape[2])
        case _ if node.op in WINDOW_POOLS:
            return (*window_shape(shapes[0], node.kernel, node.stride, node.padding), shapes[0][2])
        case 'add' if shapes[0] != shapes[1]:
            given = f'{node.inputs[0]!r} {shapes[0]} and {node.inputs[1]!r} {shapes[1]}'
            raise GraphError(f'node {node.name!r} (add): its inputs {given} differ in shape')
        case 'scale' if shapes[1] != (1, 1, shapes[0][2]):
            raise GraphError(
                f'node {node.name!r} (scale): expected factors {node.inputs[1]!r} of shape (1, 1, {shapes[0][2]}), '
                f'got {shapes[1]}'
            )
        case _ if node.op in ELEMENTWISE:
            return shapes[0]
        case 'concat':
            if len({shape[:2] for shape in shapes}) > 1:
                given = ', '.join(f'{name!r} {shape}' for name, shape in zip(node.inputs, shapes))
                raise GraphError(f'node {node.name!r} (concat): its inputs {given} differ in height or width')
            return (*shapes[0][:2], sum(shape[2] for shape in shapes))
        case 'global_avg_pool':
            return (1, 1, shapes[0][2])
        case 'upsample':
            return (shapes[0][0] * node.factor[0], shapes[0][1] * node.factor[1], shapes[0][2])
        case 'flatten':
            return (1, 1, math.prod(shapes[0]))
        case 'dense':
            if shapes[0][:2] != (1, 1):
                raise GraphError(
                    f'node {node.name!r} (dense): expected an input of shape (1, 1, C), got {shapes[0]}; pool or '
                    'flatten it first'
                )
            return (1, 1, node.shape[2])
        case _:
            raise GraphError(f'node {node.name!r}: nothing says which shape the output of op {node.op!r} has')


def validate(graph: Graph) -> None:
    """Checks names, order, arity, attributes and shapes; raises GraphError naming the node at fault."""
    if not 1 <= len(graph.nodes) <= MOST_NODES:
        raise GraphError(
            f'a graph has an input node and at most {MOST_NODES:,} nodes; it was given {len(graph.nodes):,}'
        )
    if wrong := next((node for node in graph.nodes if node.problem), None):
        raise GraphError(f'node {wrong.name!r} ({wrong.op}): {wrong.problem}')
    seen: set[str] = set()
    for position, node in enumerate(graph.nodes):
        where = f'node {node.name!r} ({node.op})'
        if node.name in seen:
            raise GraphError(f'{where}: the name is used twice')
        if (node.op == 'input') != (position == 0):
            raise GraphError(f'{where}: a graph has one input node and it comes first; this is node {position}')
        expected = TRAITS[node.op].inputs
        if expected is None:
            if len(node.inputs) < 2:
                raise GraphError(f'{where}: expected two inputs or more, got {len(node.inputs)}: {node.inputs}')
        elif len(node.inputs) != expected:
            raise GraphError(f'{where}: expected {expected} inputs, got {len(node.inputs)}: {node.inputs}')
        for name in node.inputs:
            if name not in seen:
                raise GraphError(f'{where}: its input {name!r} is not a node before it')
        if node.windowed:
            _validate_window(graph, node, where)
        inferred = _inferred_shape(graph, node)
        if inferred != node.shape:
            raise GraphError(
                f'{where}: its shape is given as {node.shape}, but its inputs and attributes give {inferred}'
            )
        if (node.windowed or node.weighted) and (work := _products(graph, node)) > MOST_PRODUCTS:
            raise GraphError(f'{where}: it takes {work:,} products; at most {MOST_PRODUCTS:,} can be priced')
        if node.weighted:
            _validate_weights(graph, node, where)
        seen.add(node.name)


def _products(graph: Graph, node: Node) -> int:
    """Products of one image, and no less than each input value takes to meet each output channel of its group once."""
    height, width, channels_in = graph.in_shape(node)
    reach = max(height * width, math.prod(node.shape[:2]) * math.prod(node.kernel))
    return reach * node.shape[2] * (channels_in // node.groups if node.weighted else 1)


def _validate_weights(graph: Graph, node: Node, where: str) -> None:
    if node.weights in graph.by_name and not (other := graph[node.weights]).weighted:
        raise GraphError(
            f'{where}: weights {node.weights!r} is the name of a {other.op}; give a key of its own or the name of a '
            f'{listed(WEIGHTED, "or")}'
        )
    owner = graph[graph.weight_owners[node.key]]
    if owner is node:
        return
    theirs, ours = (
        (each.op, weight_shape(graph, each), each.bias, each.stride, each.padding, each.groups)
        for each in (owner, node)
    )
    if theirs != ours:
        raise GraphError(
            f'{where}: it shares the weights {node.key!r} of {owner.name!r}, so op, weight shape, bias, stride, '
            f'padding and groups must be {theirs}, got {ours}'
        )


def _validate_window(graph: Graph, node: Node, where: str) -> None:
    top, bottom, left, right = node.padding
    if max(top, bottom) >= node.kernel[0] or max(left, right) >= node.kernel[1]:
        raise GraphError(f'{where}: padding {node.padding} must be smaller than the kernel {node.kernel}')
    channels_in = graph.in_shape(node)[2]
    if node.op == 'conv' and (channels_in % node.groups or node.shape[2] % node.groups):
        raise GraphError(
            f'{where}: {node.groups} groups divide neither {channels_in} input nor {node.shape[2]} output channels '
            'evenly'
        )


def pretty(graph: Graph) -> str:
    """The graph as an aligned text table, one line a node, with parameters and MACs."""
    rows = [('node', 'op', 'inputs', 'shape', 'window', 'gate', 'parameters', 'MACs')]
    for node in graph.nodes:
        window = f'{node.kernel[0]}x{node.kernel[1]}/{node.stride[0]}' if node.windowed else ''
        rows.append(
            (
                node.name,
                node.op + ('+relu' if node.relu else ''),
                ' '.join(node.inputs),
                'x'.join(map(str, node.shape)),
                window,
                node.gate,
                f'{parameters(graph, node):,}',
                f'{macs(graph, node):,}',
            )
        )
    rows.append(('total', '', '', '', '', f'{len(graph.gates)} gates', f'{parameters(graph):,}', f'{macs(graph):,}'))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    align = [str.ljust] * 6 + [str.rjust] * 2
    return '\n'.join(
        '  '.join(pad(cell, width) for pad, cell, width in zip(align, row, widths)).rstrip() for row in rows
    )


def to_json(graph: Graph) -> str:
    """The graph as JSON text, one node a line."""
    head = json.dumps(header('graph', 1) | ({'gone': sorted(graph.gone)} if graph.gone else {}))[1:-1]
    return f'{{{head}, "nodes": [\n' + ',\n'.join(json.dumps(node_to_dict(node)) for node in graph.nodes) + '\n]}\n'


def from_json(text: str | bytes, where: str = 'the graph') -> Graph:
    """The inverse of `to_json`; raises GraphError naming `where` and the node where the text is no valid graph."""
    fields = Fields(parse_json(text, where, GraphError), where, GraphError)
    fields.header('graph', 1)
    rows, gone = fields.take('nodes'), frozenset(fields.texts('gone', NAME, default=()))
    fields.end()
    if not isinstance(rows, list):
        raise GraphError(f"{where}: 'nodes' must be a list of objects, got {type(rows).__name__}")
    nodes = tuple(node_from_dict(row, f'{where}: {_row(row, index)}') for index, row in enumerate(rows))
    try:
        return Graph(nodes, gone)
    except GraphError as error:
        raise GraphError(f'{where}: {error}') from None


def _row(row: Any, index: int) -> str:
    """A row of a file for messages, by its name where it has one."""
    name = row.get('name') if isinstance(row, dict) else None
    return f'node {name!r}' if isinstance(name, str) and len(name) <= 100 else f'nodes[{index}]'


def save(graph: Graph, path: str | Path) -> None:
    """Writes the graph as a JSON file."""
    files.write(path, to_json(graph))


def load(path: str | Path) -> Graph:
    """The graph in a file that `save` wrote. Raises FileNotFoundError, or GraphError naming the file and node."""
    return from_json(read_text(path, GraphError), str(path))
