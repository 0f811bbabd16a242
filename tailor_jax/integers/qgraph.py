"""The integer graph: what the exported hardware computes, defined by a numpy interpreter.

A `QGraph` is a folded `Graph` whose nodes carry integers only. `tailor_jax.ops` has for each op either its result q or
its accumulator a, of which

    a' = max(a, 0) if node.relu, else a                     q = requantize(a', acc.frac - out.frac, out)

Left shifts s bring inputs to the finest of their scales; multiplier / 2^s0 is the slope of a leaky_relu; a mean is of
2^e divisor values (see `mean`). The input is the image, already of type `out` (see `quantize_input`).

`acc` is the narrowest type that holds every partial result whatever the input, rounding included: nothing overflows.
`run_int` is the reference that the generated C++ and the quantized training are held to, bit for bit.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, overload

import numpy as np

from tailor_jax import files, npz
from tailor_jax.fields import Fields, header, parse_fields
from tailor_jax.graph import Graph, GraphError, Node, node_from_dict, node_to_dict, weight_shape
from tailor_jax.integers import fixed as fx
from tailor_jax.integers import qcheck
from tailor_jax.integers.mean import Mean, values
from tailor_jax.integers.qnode import MOST_ALIGN, QNode
from tailor_jax.ops import TABLED

FORMAT = ('qgraph', 1)
MOST_BYTES, MOST_DESCRIPTION = 1 << 30, 16 << 20  # of a file, and of the description in it
LONGEST_MESSAGE = 800  # what a file holds may be long


@dataclasses.dataclass(frozen=True, eq=False)
class QGraph:
    """Integer nodes in topological order; the first is the input, the last the logits."""

    nodes: tuple[QNode, ...]

    def __getitem__(self, name: str) -> QNode:
        return self.by_name[name]

    @property
    def by_name(self) -> dict[str, QNode]:
        return {qnode.name: qnode for qnode in self.nodes}

    @property
    def graph(self) -> Graph:
        """The folded graph that these integers belong to."""
        return Graph(tuple(qnode.node for qnode in self.nodes))

    @property
    def input(self) -> QNode:
        return self.nodes[0]

    @property
    def output(self) -> QNode:
        return self.nodes[-1]


def quantize_input(qgraph: QGraph, images: np.ndarray) -> np.ndarray:
    """Normalized float images [b, h, w, c] to the integers that the network takes. Raises ValueError for NaN."""
    if np.isnan(images).any():
        raise ValueError('images must be numbers, got NaN')
    return fx.quantize(images, qgraph.input.out)


@overload
def run_int(qgraph: QGraph, images: np.ndarray) -> np.ndarray: ...
@overload
def run_int(qgraph: QGraph, images: np.ndarray, keep: tuple[str, ...]) -> dict[str, np.ndarray]: ...
def run_int(qgraph: QGraph, images: np.ndarray, keep: tuple[str, ...] = ()) -> np.ndarray | dict[str, np.ndarray]:
    """Runs the network in integers: the definition of what the exported design must compute.

    Args:
      qgraph: the integer graph.
      images: integers of the input's type, [b, h, w, c].
      keep: names of nodes whose outputs to return instead of the logits.

    Returns:
      The logits' integers [b, classes] (scale 2^-out.frac of the last node), or {name: [b, h, w, c]} for `keep`.

    Raises:
      ValueError: if the images are no integers, or their shape or range is not the input's.
    """
    first = qgraph.input
    if not np.issubdtype(images.dtype, np.integer):
        raise ValueError(
            f'images must be integers of {first.out}, got {images.dtype}; quantize_input makes them of real ones'
        )
    if images.ndim != 4 or images.shape[1:] != first.node.shape:
        raise ValueError(f'images must be [b, {", ".join(map(str, first.node.shape))}], got {list(images.shape)}')
    if images.size and (images.min() < first.out.lo or images.max() > first.out.hi):
        raise ValueError(
            f'images must be integers of {first.out.lo}..{first.out.hi}, got {images.min()}..{images.max()}'
        )
    last_use = {source: index for index, qnode in enumerate(qgraph.nodes) for source in qnode.node.inputs}
    tensors: dict[str, np.ndarray] = {}
    kept = {}
    for index, qnode in enumerate(qgraph.nodes):
        inputs = [tensors[name] for name in qnode.node.inputs]
        tensors[qnode.name] = (
            run_node(qnode, inputs, qgraph[qnode.node.inputs[0]].out.lo) if inputs else images.astype(np.int32)
        )
        if qnode.name in keep:
            kept[qnode.name] = tensors[qnode.name]
        for name in qnode.node.inputs:
            if last_use[name] == index:
                tensors.pop(name, None)
    return kept if keep else tensors[qgraph.output.name].reshape(len(images), -1)


def run_node(qnode: QNode, inputs: list[np.ndarray], least: int = 0) -> np.ndarray:
    """What one node computes.

    Args:
      qnode: the node.
      inputs: integers of its inputs, [b, h, w, c] each.
      least: the least integer of the first input's type, where a table begins.
    """
    node, x = qnode.node, inputs[0]
    match node.op:
        case 'conv':
            assert qnode.weight is not None and qnode.bias is not None
            accumulator = convolve(x, qnode.weight, node) + qnode.bias
        case 'dense':
            assert qnode.weight is not None and qnode.bias is not None
            accumulator = x.astype(np.int64) @ qnode.weight.astype(np.int64) + qnode.bias
        case 'add':
            accumulator = (x.astype(np.int64) << qnode.align[0]) + (inputs[1].astype(np.int64) << qnode.align[1])
        case 'concat':
            accumulator = np.concatenate(
                [each.astype(np.int64) << shift for each, shift in zip(inputs, qnode.align)], axis=-1
            )
        case 'scale':
            accumulator = x.astype(np.int64) * inputs[1]
        case 'leaky_relu':
            accumulator = np.where(x >= 0, x.astype(np.int64) << qnode.align[0], x.astype(np.int64) * qnode.multiplier)
        case 'avg_pool':
            accumulator = _mean(_windows(x, node, 0).sum(axis=(3, 4), dtype=np.int64), qnode)
        case 'global_avg_pool':
            accumulator = _mean(x.sum(axis=(1, 2), keepdims=True, dtype=np.int64), qnode)
        case 'max_pool':
            return _windows(x, node, np.iinfo(np.int32).min).max(axis=(3, 4)).astype(np.int32)
        case 'relu':
            return np.maximum(x, 0)
        case _ if node.op in TABLED:
            assert qnode.table is not None
            return qnode.table[x - least]
        case 'upsample':
            return x.repeat(node.factor[0], axis=1).repeat(node.factor[1], axis=2)
        case 'flatten':
            return x.reshape(len(x), 1, 1, -1)
        case _:
            raise GraphError(f'node {node.name!r}: the integer reference does not run op {node.op!r}')
    if node.relu:
        accumulator = np.maximum(accumulator, 0)
    return fx.requantize(accumulator, qnode.shift, qnode.out)


def mean(qgraph: QGraph, qnode: QNode) -> Mean:
    """What an average pool computes."""
    source = qgraph[qnode.node.inputs[0]]
    count = values(qnode.node, source.node.shape)
    return Mean(count, qnode.divisor, qnode.align[0], count * max(-source.out.lo, source.out.hi))


def _mean(total: np.ndarray, qnode: QNode) -> np.ndarray:
    return ((total << qnode.align[0]) + (qnode.divisor - 1) // 2) // qnode.divisor


def _windows(x: np.ndarray, node: Node, pad_value: int) -> np.ndarray:
    """[b, h, w, c] -> a view of the node's windows, [b, oh, ow, kh, kw, c]."""
    top, bottom, left, right = node.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=pad_value)
    view = np.lib.stride_tricks.sliding_window_view(padded, node.kernel, axis=(1, 2))
    return view[:, :: node.stride[0], :: node.stride[1]].transpose(0, 1, 2, 4, 5, 3)


def convolve(x: np.ndarray, weight: np.ndarray, node: Node) -> np.ndarray:
    """The sums of products of a convolution's window, stride, padding and groups over x [b, h, w, c]: [b, oh, ow,
    channels of `weight`].

    Exact int64 convolution, as float64 matrix products, which are exact: every partial sum is an integer below 2^53
    (see `lower`)."""
    windows = _windows(x, node, 0)
    *lead, kernel_h, kernel_w, channels = windows.shape
    per_group_in, per_group_out = channels // node.groups, weight.shape[3] // node.groups
    out = np.empty((*lead, weight.shape[3]), np.int64)
    for group in range(node.groups):
        columns = windows[..., group * per_group_in : (group + 1) * per_group_in].reshape(
            -1, kernel_h * kernel_w * per_group_in
        )
        kernel = weight[..., group * per_group_out : (group + 1) * per_group_out].reshape(-1, per_group_out)
        product = columns.astype(np.float64) @ kernel.astype(np.float64)
        out[..., group * per_group_out : (group + 1) * per_group_out] = product.reshape(*lead, per_group_out)
    return out


def check(qgraph: QGraph) -> None:
    """Raises GraphError naming the first node whose integers do not fit graph, types or inputs; see `qcheck`."""
    graph, by_name = qgraph.graph, qgraph.by_name
    for qnode in qgraph.nodes:
        qcheck.check(graph, qnode, [by_name[name] for name in qnode.node.inputs])


def save(qgraph: QGraph, path: str | Path) -> None:
    """Writes the integer graph as one .npz file: a JSON description and the integer arrays."""
    arrays = {
        f'{qnode.name}.{key}': getattr(qnode, key)
        for qnode in qgraph.nodes
        for key in qcheck.ARRAYS
        if getattr(qnode, key) is not None
    }
    rows = [
        {
            'node': node_to_dict(qnode.node),
            'out': dataclasses.asdict(qnode.out),
            'acc': dataclasses.asdict(qnode.acc),
            'weight_type': qnode.weight_type and dataclasses.asdict(qnode.weight_type),
            'align': qnode.align,
            'multiplier': qnode.multiplier,
            'divisor': qnode.divisor,
        }
        for qnode in qgraph.nodes
    ]
    description = json.dumps({**header(*FORMAT), 'nodes': rows}).encode()
    files.write(path, npz.write({'description': np.frombuffer(description, np.uint8), **arrays}))


def load(path: str | Path) -> QGraph:
    """The inverse of `save`. Raises FileNotFoundError, or GraphError naming the file that is damaged, none of
    `save`'s, or against the rules.
    """
    where = str(path)
    try:
        archive = npz.read(files.read(path, MOST_BYTES), where, GraphError)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise GraphError(f'{where} cannot be read: {error.strerror or error}') from None
    (length,) = (*archive.shape('description'), -1)[:1]
    if not 0 < length <= MOST_DESCRIPTION:
        raise GraphError(f'{where}: its description has {length} bytes; expected 1..{MOST_DESCRIPTION}')
    fields = parse_fields(
        archive.integers('description', (length,)).tobytes(), f'{where}: description', *FORMAT, GraphError
    )
    rows = fields.objects('nodes')
    fields.end()
    try:
        parsed = [_load_node(row) for row in rows]
        graph = Graph(tuple(node for node, _ in parsed))
        unread = set(archive.names) - {'description'}
        nodes: list[QNode] = []
        for node, fields_of in parsed:
            shapes = {'weight': weight_shape(graph, node), 'bias': node.shape[2:], 'table': _table_shape(node, nodes)}
            arrays: dict[str, Any] = {
                key: archive.integers(name, shapes[key])
                for key in qcheck.ARRAYS
                if (name := f'{node.name}.{key}') in unread
            }
            unread -= {f'{node.name}.{key}' for key in arrays}
            nodes.append(QNode(node, **fields_of, **arrays))
        if unread:
            raise GraphError(f'it holds the array {min(unread)!r}, which is of no node')
        qgraph = QGraph(tuple(nodes))
        check(qgraph)
    except (ValueError, TypeError) as error:
        message = str(error) if str(error).startswith(where) else f'{where}: {error}'
        raise GraphError(message if len(message) <= LONGEST_MESSAGE else f'{message[:LONGEST_MESSAGE]}...') from None
    return qgraph


def _load_node(row: Fields) -> tuple[Node, dict[str, Any]]:
    """The node of a row of the description, and the fields of its `QNode` that are no arrays."""
    given = row.take('node')
    if not isinstance(given, dict):
        raise GraphError(f"{row.where}: 'node' must be an object")
    node = node_from_dict(given)
    types = {name: fx.from_fields(row.object(name)) for name in ('out', 'acc')}
    weight_type = row.take('weight_type')
    types |= (
        {}
        if weight_type is None
        else {'weight_type': fx.from_fields(Fields(weight_type, f'{row.where}: weight_type', GraphError))}
    )
    numbers = {
        'align': row.integers('align', 0, MOST_ALIGN),
        'multiplier': row.integer('multiplier', 0, 1 << MOST_ALIGN),
        'divisor': row.integer('divisor', 1, 1 << MOST_ALIGN),
    }
    row.end()
    return node, {**types, **numbers}


def _table_shape(node: Node, before: list[QNode]) -> tuple[int, ...]:
    """The shape of a table of this node, which is not read unless `qcheck` takes its size."""
    types = [qnode.out for qnode in before if qnode.name in node.inputs]
    return (1 << min(types[0].bits, qcheck.MOST_TABLE_BITS),) if types else ()
