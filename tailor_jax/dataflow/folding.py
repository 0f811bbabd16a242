"""How far each layer of a streaming design is unrolled.

    lanes     of a tensor: channels in a word of its streams
    Layer     of a convolution or dense layer: its window delivers `taps` taps of `lanes` channels a cycle, SIMD of them
              in all, which meet the weights of `outputs` (PE) output channels: SIMD x PE multipliers

Tensors that meet element by element have equal lanes: those that an add reads and makes, what a pool reads and makes.
So no width of a stream depends on whether a skip is there. With K = kh kw C_in / groups products an output channel,

    slices N_s = K / SIMD        blocks N_b = C_out / groups / PE        cycles an image = Ho Wo groups N_s N_b

A depthwise layer (one input and one output channel a group) takes `lanes` = `outputs` groups at once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

from tailor_jax.graph import Graph, GraphError, Node
from tailor_jax.ops import POOLS

TAPS = ('all', 'column', 'one')
WEIGHTS = ('lut', 'bram')
SAME_LANES = frozenset({'add', 'relu', 'leaky_relu', 'flatten', *POOLS})


@dataclasses.dataclass(frozen=True)
class Layer:
    """See the module docstring. `taps` is one of `TAPS`; 'all' where there is a single one. `weights`: the memory that
    they are in, one of `WEIGHTS`."""

    taps: str
    lanes: int
    outputs: int
    weights: str = 'lut'


@dataclasses.dataclass(frozen=True)
class Folding:
    """`lanes`: {node: of the tensor that it makes}; `layers`: {conv or dense node: Layer}."""

    lanes: Mapping[str, int]
    layers: Mapping[str, Layer]

    def __hash__(self) -> int:
        return hash((frozenset(self.lanes.items()), frozenset(self.layers.items())))


def taps_at_once(node: Node, taps: str) -> int:
    """Taps of a window that are delivered in one cycle."""
    height, width = node.kernel
    return {'all': height * width, 'column': height, 'one': 1}[taps]


def at_once(node: Node, taps: str) -> bool:
    """Whether all taps of a window are delivered in one cycle."""
    return taps_at_once(node, taps) == math.prod(node.kernel)


def ring_rows(graph: Graph, node: Node) -> int:
    """Rows of a window that delivers its taps one after another: a pixel overwrites what came in so many rows before.

    The rows of the window are enough unless it is wider than the image; then the newest pixel may be further down.
    """
    (high, wide), width = node.kernel, graph.in_shape(node)[1]
    return high + (0 if wide <= width else (width + wide - 2 - node.padding[2]) // width)


def is_depthwise(graph: Graph, node: Node) -> bool:
    return node.groups > 1 and graph.in_shape(node)[2] == node.groups == node.shape[2]


def has_window(node: Node) -> bool:
    """Whether a node looks at other pixels than the one that comes in, or leaves some out."""
    return node.windowed and (node.kernel, node.stride, node.padding) != (
        (1, 1),
        (1, 1),
        (0, 0, 0, 0),
    )


def slices_and_blocks(graph: Graph, node: Node, layer: Layer) -> tuple[int, int]:
    """(N_s, N_b) of a conv or dense node: words in and words out for each pixel and group; of a depthwise layer, for
    each `lanes` groups."""
    channels, outputs = graph.in_shape(node)[2], node.shape[2]
    steps = math.prod(node.kernel) // taps_at_once(node, layer.taps)
    if is_depthwise(graph, node):
        return steps, 1
    return steps * (channels // node.groups // layer.lanes), outputs // node.groups // layer.outputs


def steps(graph: Graph, node: Node, layer: Layer) -> int:
    """Pixels x groups (of a depthwise layer: x groups / lanes) of an image."""
    return math.prod(node.shape[:2]) * (node.groups // layer.lanes if is_depthwise(graph, node) else node.groups)


def check(graph: Graph, folding: Folding) -> None:
    """Raises GraphError where a folding does not fit a folded graph, naming the node and what would fit."""
    for node in graph.nodes:
        if node.name not in folding.lanes:
            raise GraphError(f'the folding has no lanes for the tensor of {node.name!r}')
        lanes = folding.lanes[node.name]
        _check_divides(node, 'lanes', lanes, node.shape[2])
        if node.op in SAME_LANES:
            for name in node.inputs:
                if folding.lanes[name] != lanes:
                    raise GraphError(
                        f'node {node.name!r} ({node.op}): its tensor has {lanes} lanes and that of {name!r} '
                        f'{folding.lanes[name]}; they must be equal'
                    )
        if node.weighted:
            _check_layer(graph, node, folding)
    names = {node.name for node in graph.nodes if node.weighted}
    if odd := sorted(set(folding.layers) - names) + sorted(set(folding.lanes) - graph.by_name.keys()):
        raise GraphError(f'the folding names {odd[0]!r}, which the network does not have as such')


def _check_layer(graph: Graph, node: Node, folding: Folding) -> None:
    if node.name not in folding.layers:
        raise GraphError(f'the folding has no layer {node.name!r} ({node.op})')
    layer = folding.layers[node.name]
    if layer.taps not in TAPS or (layer.taps != 'all' and node.kernel == (1, 1)):
        known = TAPS if node.kernel != (1, 1) else ('all',)
        raise GraphError(f'node {node.name!r}: taps must be one of {", ".join(known)}, got {layer.taps!r}')
    if layer.weights not in WEIGHTS:
        raise GraphError(f'node {node.name!r}: weights must be in one of {", ".join(WEIGHTS)}, got {layer.weights!r}')
    depthwise = is_depthwise(graph, node)
    inner = node.groups if depthwise else graph.in_shape(node)[2] // node.groups
    _check_divides(node, 'lanes of its window', layer.lanes, inner)
    _check_divides(node, 'outputs', layer.outputs, node.shape[2] if depthwise else node.shape[2] // node.groups)
    if depthwise and layer.lanes != layer.outputs:
        raise GraphError(f'node {node.name!r} is depthwise: lanes and outputs must be equal, got {layer}')
    for what, ours, theirs in (
        ('lanes of its window', layer.lanes, folding.lanes[node.inputs[0]]),
        ('outputs', layer.outputs, folding.lanes[node.name]),
    ):
        if max(ours, theirs) % min(ours, theirs):
            raise GraphError(
                f'node {node.name!r}: {what} are {ours} and the lanes of the stream {theirs}; one must divide the other'
            )


def _check_divides(node: Node, what: str, value: int, whole: int) -> None:
    if value < 1 or whole % value:
        raise GraphError(f'node {node.name!r} ({node.op}): {what} must divide its {whole} channels, got {value}')


def classes(graph: Graph) -> Iterator[tuple[Node, ...]]:
    """The nodes whose tensors must have equal lanes, in graph order of their first."""
    root = {node.name: node.name for node in graph.nodes}

    def find(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    for node in graph.nodes:
        if node.op in SAME_LANES:
            for name in node.inputs:
                root[find(node.name)] = find(name)
    members: dict[str, list[Node]] = {}
    for node in graph.nodes:
        members.setdefault(find(node.name), []).append(node)
    yield from map(tuple, members.values())


def kept(folding: Folding, graph: Graph) -> Folding:
    """The folding of what is left of a network once skips are gone.

    A ReLU that was fused onto an add, and stands alone where the add is gone since others read what it reads too, has
    the lanes of that.
    """
    lanes: dict[str, int] = {}
    for node in graph.nodes:
        if node.name in folding.lanes:
            lanes[node.name] = folding.lanes[node.name]
        elif node.op == 'relu' and node.inputs[0] in lanes:
            lanes[node.name] = lanes[node.inputs[0]]
    layers = {name: each for name, each in folding.layers.items() if name in graph.by_name and graph[name].weighted}
    return Folding(lanes, layers)


def covers(folding: Folding, graph: Graph) -> bool:
    """Whether a folding has all nodes of a folded graph."""
    left = kept(folding, graph)
    return all(node.name in left.lanes and (not node.weighted or node.name in left.layers) for node in graph.nodes)
