"""The loop nest of a layer: the bounds of the loops over its groups, channels, rows, columns and window."""

from __future__ import annotations

import dataclasses
import math

from tailor_jax.array_schedule import Layer, LayerGraph, stored
from tailor_jax.graph import Node, weight_shape
from tailor_jax.ops import WINDOW_POOLS


@dataclasses.dataclass(frozen=True)
class LoopNest:
    """What tiling sees of a layer.

    Attributes:
      size_in, size: (H, W) of the input and of the output.
      channels_in, channels: input and output channels of one group.
      groups: of the convolution; of a layer without weights its channels.
      stored: input channels that lie in DRAM, fewer than the groups' where a concat has a tensor twice.
      kernel, stride: (height, width) of the window and of its steps.
      corner: padding above and to the left.
      weighted: whether it has weights.
      shortcut: whether a fused add reads one.
    """

    size_in: tuple[int, int]
    size: tuple[int, int]
    channels_in: int
    channels: int
    groups: int
    stored: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    corner: tuple[int, int]
    weighted: bool
    shortcut: bool

    @property
    def weights(self) -> int:
        """The number of weights."""
        return self.groups * self.channels_in * self.channels * math.prod(self.kernel) if self.weighted else 0


def loop_nest(network: LayerGraph, layer: Layer) -> LoopNest:
    """The loop nest of a layer."""
    node = layer.nodes[0]
    fused = layer.op != 'add' and layer.member('add') is not None
    match node.op:
        case _ if node.weighted:
            *_, channels_in, _ = weight_shape(network.graph, node)
            size_in, per_group = network.graph.in_shape(node)[:2], node.shape[2] // node.groups
            held, window = _stored_channels(network, layer), (node.kernel, node.stride, _corner(node))
            return LoopNest(size_in, node.shape[:2], channels_in, per_group, node.groups, held, *window, True, fused)
        case _ if node.op in WINDOW_POOLS:
            size_in = network.graph.in_shape(node)[:2]
            held, window = _stored_channels(network, layer), (node.kernel, node.stride, _corner(node))
            return LoopNest(size_in, node.shape[:2], 1, 1, node.shape[2], held, *window, False, fused)
        case _:  # a pass over the larger of its maps, value by value
            size, channels = max((network.graph.in_shape(node)[:2], node.shape[:2])), node.shape[2]
            return LoopNest(size, size, 1, 1, channels, channels, (1, 1), (1, 1), (0, 0), False, layer.op == 'add')


def _stored_channels(network: LayerGraph, layer: Layer) -> int:
    """Channels of the tensors that the first node's operand is made of, each once."""
    values = sum(
        math.prod(network.graph[name].shape) for name in stored(network.graph, network.graph[layer.nodes[0].inputs[0]])
    )
    return values // math.prod(network.graph.in_shape(layer.nodes[0])[:2])


def _corner(node: Node) -> tuple[int, int]:
    return node.padding[0], node.padding[2]
