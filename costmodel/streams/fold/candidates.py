"""What a folding can be made of: lanes of a class of tensors, (taps, lanes, outputs) of a layer, and their periods.

A process keeps an interval if it takes no more cycles for an image. With words in = H W C / lanes of a layer's input
stream and words out = Ho Wo C_out / lanes of its output stream, the processes of a layer take

    adaptor    max(words in, H W C / lanes of the layer), the second of which its window or else its mac takes too
    window     H W F and a trip more for each word beyond F that an output pixel takes
    mac        Ho Wo groups N_s N_b
    finish     max(Ho Wo C_out / outputs, words out), the first of which is at most the mac's

So a layer keeps an interval with any streams whose words do, if its own window and mac do. What else there is works on
the tensors of one class: a global average, and the rest, windows of pools too, a word a cycle.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from tailor_jax import streaming
from tailor_jax.dataflow import design
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow.folding import TAPS, Layer
from tailor_jax.dataflow.process import period_cycles
from tailor_jax.graph import Graph, Node


def lanes_periods(graph: Graph, members: Sequence[Node]) -> dict[int, int]:
    """{lanes: cycles for an image} of a class of tensors: its words, and the processes that work on them."""
    common = math.gcd(*(node.shape[2] for node in members))
    return {lanes: max(tensor_cycles(graph, node, lanes) for node in members) for lanes in divisors(common)}


def tensor_cycles(graph: Graph, node: Node, lanes: int) -> int:
    """Cycles for an image of what makes a tensor of so many lanes, without the window and mac of a layer.

    Raises GraphError for a node that is no streaming process.
    """
    words = math.prod(node.shape) // lanes
    match node.op:
        case 'global_avg_pool':
            return period_cycles(design.average(graph, node, lanes))
        case 'input' | 'add' | 'relu' | 'leaky_relu':
            return words
        case _ if node.weighted or node.windowed:
            return words
        case _:
            raise streaming.unsupported(node)


def layer_periods(graph: Graph, node: Node, taps: Collection[str] = TAPS) -> dict[Layer, int]:
    """{what a conv or dense layer can be: cycles for an image of its window and mac}, in the order of `TAPS`, lanes,
    outputs. A window of a single tap is 'all'."""
    several = node.kernel != (1, 1)
    return {
        layer: _layer_cycles(graph, node, layer)
        for each in (TAPS if several else ('all',))
        if each in taps or not several
        for layer in _unrolled(graph, node, each)
    }


def _unrolled(graph: Graph, node: Node, taps: str) -> list[Layer]:
    if fold.is_depthwise(graph, node):
        return [Layer(taps, lanes, lanes) for lanes in divisors(node.groups)]
    inner, outer = graph.in_shape(node)[2] // node.groups, node.shape[2] // node.groups
    return [Layer(taps, lanes, outputs) for lanes in divisors(inner) for outputs in divisors(outer)]


def _layer_cycles(graph: Graph, node: Node, layer: Layer) -> int:
    slices, blocks = fold.slices_and_blocks(graph, node, layer)
    sums = fold.steps(graph, node, layer) * slices * blocks
    if not fold.has_window(node):
        return sums
    return max(sums, period_cycles(design.window(graph, node, layer.taps, layer.lanes)))


def divisors(whole: int) -> list[int]:
    """Ascending."""
    small = [size for size in range(1, math.isqrt(whole) + 1) if whole % size == 0]
    return small + [whole // size for size in reversed(small) if size * size != whole]


def fit(ours: int, theirs: int) -> bool:
    """Whether words of these widths can be made of one another: one divides the other."""
    return max(ours, theirs) % min(ours, theirs) == 0
