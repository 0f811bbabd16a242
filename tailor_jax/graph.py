"""The graph IR: the one structure that every other part of the project walks.

A network is a `Graph`: a topologically ordered tuple of frozen `Node`s whose first node is the input and whose last node is the
output. A skip connection is an `add` node whose second input is the skip tensor and whose `gate` names a learnable gate;
projections are ordinary `conv` nodes on the skip path. Passes are pure functions Graph -> Graph, or walks

    for node in graph.nodes:
        match node.op: ...

whose default raises. Tensors are (H, W, C) without the batch; a 1-D network has H = 1.

What the less plain ops compute, from inputs x (and y):

    leaky_relu  x where x >= 0, slope x elsewhere           swish     x sigmoid(x)
    scale       x[h, w, c] y[0, 0, c], y of shape (1, 1, C)  concat    the inputs' channels one after another
    avg_pool    the sum over the window / (kernel h kernel w): padding counts, as zeros
    upsample    x[h // factor h, w // factor w, c]: nearest neighbour
    flatten     (H, W, C) -> (1, 1, H W C), row-major

A network has one output. A detector flattens its heads and concatenates them into one.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
from collections.abc import Iterator
from typing import Any

OPS = (
    *('input', 'conv', 'batch_norm', 'dense'),
    *('relu', 'leaky_relu', 'sigmoid', 'swish'),
    *('add', 'scale', 'concat'),
    *('max_pool', 'avg_pool', 'global_avg_pool', 'upsample', 'flatten'),
)
WINDOWED = ('conv', 'max_pool', 'avg_pool')

_NAME = re.compile(r'[a-z][a-z0-9]*(_[a-z0-9]+)*')
# A node name becomes part of C++ and Verilog identifiers; these words would not compile.
_KEYWORDS = """
and asm auto begin bool break case catch char class const continue default delete do double else end endmodule enum explicit export extern false
float for friend goto if inline int long main module namespace new not operator or private protected public reg register return short signed
sizeof static struct switch template this throw true try typedef typename union unsigned using virtual void volatile while wire xor
"""
_RESERVED = frozenset(_KEYWORDS.split())


class GraphError(ValueError):
    """A graph that breaks a rule of the IR. The message names the node, what it got and what was expected."""


@dataclasses.dataclass(frozen=True)
class Node:
    """One operation. `shape` is its output's (H, W, C).

    Attributes:
      name: parameter key, C++ identifier suffix and report row; lower case words joined by underscores.
      op: one of `OPS`.
      inputs: names of the nodes it reads. For `add`: (main branch, skip tensor); for `scale`: (map, factors); for `concat`: two or more.
      kernel, stride: window height and width, steps down and across (conv, max_pool, avg_pool).
      padding: zeros at (top, bottom, left, right) (conv, avg_pool), or minus infinity (max_pool).
      groups: channel groups of a conv; equal to the input channels for a depthwise one.
      bias: whether a conv adds a bias (a dense layer always does).
      weights: the key of the parameters of a conv or dense; nodes of the same key share them. By default the node's own name.
      factor: how many times an upsample repeats each row and each column.
      slope: of a leaky_relu below zero.
      relu: whether a ReLU is fused onto the output (set by `rewrite.fold`).
      gate: the learnable gate of an add; empty for an add that is always open.
      block: the row of the block-level report that this node belongs to.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: tuple[int, int, int]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    bias: bool = False
    weights: str = ''
    factor: tuple[int, int] = (1, 1)
    slope: float = 0.1
    relu: bool = False
    gate: str = ''
    block: str = ''

    @property
    def key(self) -> str:
        """Where its parameters are kept."""
        return self.weights or self.name


@dataclasses.dataclass(frozen=True)
class Graph:
    """A validated, hashable network. Raises GraphError when built from nodes that break the rules of the IR."""

    nodes: tuple[Node, ...]

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
        """{parameter key: the first conv or dense node that uses it}; shared weights are counted there."""
        return {node.key: node.name for node in reversed(self.nodes) if node.op in ('conv', 'dense')}

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
        case 'input' | 'batch_norm' | 'relu' | 'leaky_relu' | 'sigmoid' | 'swish' | 'add' | 'scale' | 'concat':
            return ()
        case 'max_pool' | 'avg_pool' | 'global_avg_pool' | 'upsample' | 'flatten':
            return ()
        case _:
            raise GraphError(f'node {node.name!r}: op {node.op!r} is not one of {", ".join(OPS)}')


def parameters(graph: Graph, node: Node | None = None) -> int:
    """Trainable parameters of one node, or of the whole graph. Batch norm counts its scale and shift; shared weights count at their first node."""
    if node is None:
        return sum(parameters(graph, each) for each in graph.nodes)
    if node.op == 'batch_norm':
        return 2 * node.shape[2]
    if graph.weight_owners.get(node.key, node.name) != node.name:
        return 0
    weight = weight_shape(graph, node)
    return (math.prod(weight) + (node.shape[2] if node.bias or node.op == 'dense' else 0)) if weight else 0


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
    return ((shape[0] + top + bottom - kernel[0]) // stride[0] + 1, (shape[1] + left + right - kernel[1]) // stride[1] + 1)


def _inferred_shape(graph: Graph, node: Node) -> tuple[int, int, int]:
    shapes = [graph.by_name[name].shape for name in node.inputs]
    match node.op:
        case 'input':
            return node.shape
        case 'conv':
            return (*window_shape(shapes[0], node.kernel, node.stride, node.padding), node.shape[2])
        case 'max_pool' | 'avg_pool':
            return (*window_shape(shapes[0], node.kernel, node.stride, node.padding), shapes[0][2])
        case 'batch_norm' | 'relu' | 'leaky_relu' | 'sigmoid' | 'swish':
            return shapes[0]
        case 'add':
            if shapes[0] != shapes[1]:
                given = f'{node.inputs[0]!r} {shapes[0]} and {node.inputs[1]!r} {shapes[1]}'
                raise GraphError(f'node {node.name!r} (add): its inputs {given} differ in shape')
            return shapes[0]
        case 'scale':
            if shapes[1] != (1, 1, shapes[0][2]):
                raise GraphError(f'node {node.name!r} (scale): expected factors {node.inputs[1]!r} of shape (1, 1, {shapes[0][2]}), got {shapes[1]}')
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
                raise GraphError(f'node {node.name!r} (dense): expected an input of shape (1, 1, C), got {shapes[0]}; pool or flatten it first')
            return (1, 1, node.shape[2])
        case _:
            raise GraphError(f'node {node.name!r}: op {node.op!r} is not one of {", ".join(OPS)}')


_INPUT_COUNT = {'input': 0, 'add': 2, 'scale': 2}


def validate(graph: Graph) -> None:
    """Checks names, order, arity, attributes and shapes; raises GraphError naming the node at fault."""
    if not graph.nodes:
        raise GraphError('a graph needs at least an input node; it was given none')
    seen: set[str] = set()
    for position, node in enumerate(graph.nodes):
        where = f'node {node.name!r} ({node.op})'
        if not _NAME.fullmatch(node.name) or node.name in _RESERVED:
            raise GraphError(f'{where}: a name must be lower case words and digits joined by single underscores and no C++ keyword')
        if node.name in seen:
            raise GraphError(f'{where}: the name is used twice')
        if node.op not in OPS:
            raise GraphError(f'node {node.name!r}: op {node.op!r} is not one of {", ".join(OPS)}')
        if (node.op == 'input') != (position == 0):
            raise GraphError(f'{where}: a graph has one input node and it comes first; this is node {position}')
        expected = _INPUT_COUNT.get(node.op, 1)
        if node.op == 'concat':
            if len(node.inputs) < 2:
                raise GraphError(f'{where}: expected two inputs or more, got {len(node.inputs)}: {node.inputs}')
        elif len(node.inputs) != expected:
            raise GraphError(f'{where}: expected {expected} inputs, got {len(node.inputs)}: {node.inputs}')
        for name in node.inputs:
            if name not in seen:
                raise GraphError(f'{where}: its input {name!r} is not a node before it')
        if node.gate and node.op != 'add':
            raise GraphError(f'{where}: only an add can have a gate, got gate {node.gate!r}')
        if len(node.shape) != 3 or not all(isinstance(size, int) and size > 0 for size in node.shape):
            raise GraphError(f'{where}: shape must be three positive integers (H, W, C), got {node.shape}')
        _validate_attributes(graph, node, where)
        inferred = _inferred_shape(graph, node)
        if inferred != node.shape:
            raise GraphError(f'{where}: its shape is given as {node.shape}, but its inputs and attributes give {inferred}')
        seen.add(node.name)


def _validate_attributes(graph: Graph, node: Node, where: str) -> None:
    if node.op in WINDOWED:
        _validate_window(graph, node, where)
    if node.op == 'upsample' and (len(node.factor) != 2 or not all(isinstance(times, int) and times > 0 for times in node.factor)):
        raise GraphError(f'{where}: factor must be two positive integers, got {node.factor}')
    if node.op == 'leaky_relu' and not 0 <= node.slope < 1:
        raise GraphError(f'{where}: slope must be at least 0 and below 1, got {node.slope}')
    if node.weights and node.op not in ('conv', 'dense'):
        raise GraphError(f'{where}: only a conv or a dense can share weights, got weights {node.weights!r}')
    if node.weights in graph.by_name and (other := graph[node.weights]).op not in ('conv', 'dense'):
        raise GraphError(f'{where}: weights {node.weights!r} is the name of a {other.op}; give a key of its own or the name of a conv or dense')
    if node.op in ('conv', 'dense') and (owner := graph[graph.weight_owners[node.key]]) != node:
        theirs, ours = ((each.op, weight_shape(graph, each), each.bias, each.stride, each.padding, each.groups) for each in (owner, node))
        if theirs != ours:
            raise GraphError(
                f'{where}: it shares the weights {node.key!r} of {owner.name!r}, so op, weight shape, bias, stride, padding and groups must be '
                f'{theirs}, got {ours}'
            )


def _validate_window(graph: Graph, node: Node, where: str) -> None:
    top, bottom, left, right = node.padding
    if min(*node.kernel, *node.stride) < 1 or min(node.padding) < 0:
        raise GraphError(f'{where}: kernel {node.kernel} and stride {node.stride} must be positive, padding {node.padding} not negative')
    if max(top, bottom) >= node.kernel[0] or max(left, right) >= node.kernel[1]:
        raise GraphError(f'{where}: padding {node.padding} must be smaller than the kernel {node.kernel}')
    channels_in = graph.in_shape(node)[2]
    if node.op == 'conv' and (channels_in % node.groups or node.shape[2] % node.groups):
        raise GraphError(f'{where}: {node.groups} groups divide neither {channels_in} input nor {node.shape[2]} output channels evenly')


def pretty(graph: Graph) -> str:
    """The graph as an aligned text table, one line a node, with parameters and MACs."""
    rows = [('node', 'op', 'inputs', 'shape', 'window', 'gate', 'parameters', 'MACs')]
    for node in graph.nodes:
        window = f'{node.kernel[0]}x{node.kernel[1]}/{node.stride[0]}' if node.op in WINDOWED else ''
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
    return '\n'.join('  '.join(pad(cell, width) for pad, cell, width in zip(align, row, widths)).rstrip() for row in rows)


def node_to_dict(node: Node) -> dict:
    """The node's fields that differ from their defaults, as plain JSON values."""
    fields = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
    defaults = {field.name: field.default for field in dataclasses.fields(node)}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items() if value != defaults[key]}


def node_from_dict(fields: dict) -> Node:
    """The inverse of `node_to_dict`; raises GraphError for a field that a Node does not have or lacks."""
    known = {field.name for field in dataclasses.fields(Node)}
    if unknown := set(fields) - known:
        raise GraphError(f'node {fields.get("name")!r}: unknown field {sorted(unknown)[0]!r}; a node has {", ".join(sorted(known))}')
    if missing := {'name', 'op', 'inputs', 'shape'} - set(fields):
        raise GraphError(f'node {fields.get("name")!r}: field {sorted(missing)[0]!r} is missing')
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return Node(**values)


def to_json(graph: Graph) -> str:
    """The graph as JSON text, one node a line."""
    return '[\n' + ',\n'.join(' ' + json.dumps(node_to_dict(node)) for node in graph.nodes) + '\n]\n'


def from_json(text: str) -> Graph:
    """The inverse of `to_json`; raises GraphError where the text is no valid graph."""
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise GraphError(f'a graph file must be JSON: {error}') from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise GraphError('a graph file must be a JSON list of node objects')
    # `inputs` of the input node is empty and equals no default, so it is always written.
    return Graph(tuple(node_from_dict(row) for row in rows))
