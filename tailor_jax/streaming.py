"""The streaming (dataflow) machine: processes, when they read and write. `costmodel` prices, `hls_export` emits it.

One process per node of the folded graph, one FIFO per edge, one token per pixel (all channels). A tensor with several
readers is copied by a clone process. A call streams a batch of N images back to back; nothing is flushed between
images.

A process that writes a token a window (`ops.Op.stream`), over an (H, W, C) input, kernel (fh, fw), stride (sh, sw),
padding (top, ..., left, ...):

    D = (fh - 1 - top) W + (fw - 1 - left)             tokens from the anchor pixel to the last pixel of its window
    for k in 0 .. N H W + D - 1:                       one iteration
        if k < N H W: read token k into the line buffers and the window
        anchor a = k - D, at row (a mod H W) / W, column a mod W of its image
        if a >= 0 and the anchor lies on the stride grid (and inside the output): write one token

Taps outside the image are masked to zero, so padding costs neither tokens nor cycles. An iteration that writes takes
`reuse_factor` cycles (that many passes over the multipliers; 1 without weights), any other iteration one cycle. A
process that writes a token for each that it reads, as the clone does, is the same with D = 0 and strides of 1; one
that writes a token a map the same with D = H W - 1 and strides of (H, W). A process reads in the first cycle of an
iteration; it writes L cycles after the last.

L = `process_latency_cycles` is the depth of a process's pipeline: the registers of the multipliers, adder trees and
FIFO ports that a token passes after its last trip. It is the same for every process, 0 where it is not given. Pipelines
are flushable: a process that waits for a token still writes those that are under way. A trip starts only if there is
room for its token L cycles later, which is never earlier than hardware that lets a trip start and holds the token in
its pipeline.

Time: a token written in cycle t can be read in cycle t; the place freed by a read in cycle t can be written in cycle t
+ 1. Hence a FIFO holds a token in the closed interval [written, read], and for 3x3, stride 1, padding 1 at equal rates
a skip over one convolution holds W + 2 tokens and over two 2 W + 3 with L = 0; over n convolutions of one cycle a token
n (W + 1 + L) + 1.

Reuse factor R of a weighted node with K = fh fw C_in / groups products per output channel and C_out channels: pass r
computes the output channels of one of gcd(R, C_out) blocks and one of R / gcd(R, C_out) slices of the K products, so R
must be such a product of divisors.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tailor_jax.graph import Graph, GraphError, Node, weight_shape
from tailor_jax.ops import STREAMED, TRAITS, listed


def fifo_name(producer: str, consumer: str) -> str:
    """Name of the FIFO on an edge, unique as node names hold no double underscore; a clone process is `clone`."""
    return f'{producer}__{consumer}'


def products(graph: Graph, node: Node) -> tuple[int, int]:
    """(K, C_out): products per output channel, and output channels, of a weighted node."""
    *inner, channels_out = weight_shape(graph, node)
    return math.prod(inner), channels_out


def reuse_split(graph: Graph, node: Node, reuse_factor: int) -> tuple[int, int]:
    """(slices of the K products, blocks of output channels) whose product is the reuse factor.

    Raises GraphError when the reuse factor does not divide so, naming the nearest ones that do.
    """
    count, channels_out = products(graph, node)
    blocks = math.gcd(reuse_factor, channels_out) if reuse_factor > 0 else 1
    slices, rest = divmod(reuse_factor, blocks)
    if rest or slices < 1 or count % slices:
        valid = reuse_factors(graph, node)
        nearest = sorted(valid, key=lambda factor: abs(factor - reuse_factor))[:3]
        raise GraphError(
            f'node {node.name!r} ({node.op}): reuse factor {reuse_factor} does not divide its {count} products for '
            f'{channels_out} output channels; the nearest that do are {", ".join(map(str, sorted(nearest)))}'
        )
    return slices, blocks


def reuse_factors(graph: Graph, node: Node) -> tuple[int, ...]:
    """Every valid reuse factor of a weighted node, ascending."""
    count, channels_out = products(graph, node)
    blocks = [block for block in range(1, channels_out + 1) if channels_out % block == 0]
    slices = [size for size in range(1, count + 1) if count % size == 0]
    return tuple(
        sorted({size * block for size in slices for block in blocks if math.gcd(size * block, channels_out) == block})
    )


def unsupported(node: Node) -> GraphError:
    """The error for a node that is no streaming process."""
    folded = TRAITS[node.op].scaling == 'folded'
    hint = 'fold the graph first' if folded else f'a dataflow design runs {listed(STREAMED - {"input"})}'
    return GraphError(f'node {node.name!r}: op {node.op!r} has no streaming process; {hint}')


class Steps(NamedTuple):
    """Which iterations of a process write: those with their anchor D tokens ago on the stride grid.

    Attributes:
      lag: D, the tokens read after an anchor pixel before its output can be written.
      stride: (rows, columns) from one anchor to the next.
      window: offsets, in tokens, from the newest pixel of the window to its other pixels; (0,) without one.
    """

    lag: int
    stride: tuple[int, int]
    window: tuple[int, ...] = (0,)


def steps(graph: Graph, node: Node) -> Steps:
    """The steps of a process that reads. Raises GraphError for a node that is none, and as `lag` does."""
    height, width, _ = graph.in_shape(node)
    match TRAITS[node.op].stream:
        case 'token':
            return Steps(0, (1, 1))
        case 'window':
            taps = tuple(row * width + column for row in range(node.kernel[0]) for column in range(node.kernel[1]))
            return Steps(lag(graph, node), node.stride, taps)
        case 'map':
            return Steps(height * width - 1, (height, width))
        case _:
            raise unsupported(node)


def lag(graph: Graph, node: Node) -> int:
    """D of a process that writes a token a window.

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


def period_cycles(graph: Graph, node: Node, reuse_factor: int = 1) -> int:
    """Cycles that a process needs for an image if it never waits; the network's initiation interval is the largest."""
    if node.op not in STREAMED:
        raise unsupported(node)
    height, width, _ = node.shape
    height_in, width_in, _ = graph.in_shape(node) if node.inputs else node.shape
    return height_in * width_in + (reuse_factor - 1) * height * width
