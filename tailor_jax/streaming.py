"""What a node of a folded graph is as a process of a streaming design; the machine is `tailor_jax.dataflow.process`."""

from __future__ import annotations

import math

from tailor_jax.graph import Graph, GraphError, Node, weight_shape
from tailor_jax.ops import STREAMED, TRAITS, listed


def fifo_name(producer: str, consumer: str) -> str:
    """The name of a stream, unique as node names hold no double underscore."""
    return f'{producer}__{consumer}'


def products(graph: Graph, node: Node) -> tuple[int, int]:
    """(K, C_out): products per output channel, and output channels, of a weighted node."""
    *inner, channels_out = weight_shape(graph, node)
    return math.prod(inner), channels_out


def unsupported(node: Node) -> GraphError:
    """The error for a node that is no streaming process."""
    folded = TRAITS[node.op].scaling == 'folded'
    hint = 'fold the graph first' if folded else f'a dataflow design runs {listed(STREAMED - {"input"})}'
    return GraphError(f'node {node.name!r}: op {node.op!r} has no streaming process; {hint}')


def lag(graph: Graph, node: Node) -> int:
    """D = (fh - 1 - top) W + (fw - 1 - left): pixels from a window's anchor to its last one, over an (H, W, C) input
    with a kernel of (fh, fw) and a padding of (top, ..., left, ...).

    Raises GraphError where padding asks for more outputs than there are anchor pixels.
    """
    height, width, _ = graph.in_shape(node)
    if any((count - 1) * step >= size for count, step, size in zip(node.shape, node.stride, (height, width))):
        raise GraphError(
            f'node {node.name!r} ({node.op}): padding {node.padding} makes {node.shape[:2]} windows of stride '
            f'{node.stride} over {height, width} pixels, and a streaming process has one for each pixel at most; pad '
            'less'
        )
    return (node.kernel[0] - 1 - node.padding[0]) * width + (node.kernel[1] - 1 - node.padding[2])
