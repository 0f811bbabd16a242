"""What the networks are made with: a builder that appends nodes and infers their shapes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tailor_jax.fields import plain
from tailor_jax.graph import Graph, Node, window_shape
from tailor_jax.node import MOST_CHANNELS


class Builder:
    """Appends nodes; every method returns the new node's name. `block` is the report row that the nodes to come belong
    to, `shapes` has the (H, W, C) of each node so far. docs/networks.md has examples.
    """

    def __init__(self, input_shape: tuple[int, int, int]):
        height, width, channels = image(input_shape)
        self.nodes = [Node('input', 'input', (), (height, width, channels), block='input')]
        self.shapes = {'input': (height, width, channels)}
        self.block = ''

    def append(self, node: Node) -> str:
        self.nodes.append(dataclasses.replace(node, block=self.block))
        self.shapes[node.name] = node.shape
        return node.name

    def graph(self) -> Graph:
        return Graph(tuple(self.nodes))

    def _window(self, size: int, stride: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
        """Kernel, stride and padding of a centred square window; along the only axis where the network is 1-D (its
        input has H = 1).
        """
        kernel, steps = ((size, size), (stride, stride)) if self.shapes['input'][0] > 1 else ((1, size), (1, stride))
        down, across = (kernel[0] - 1) // 2, (kernel[1] - 1) // 2
        return kernel, steps, (down, down, across, across)

    def conv(
        self,
        name: str,
        source: str,
        channels: int,
        size: int = 3,
        stride: int = 1,
        depthwise: bool = False,
        bias: bool = False,
        weights: str = '',
        groups: int = 1,
    ) -> str:
        kernel, steps, padding = self._window(size, stride)
        shape = (*window_shape(self.shapes[source], kernel, steps, padding), channels)
        groups = channels if depthwise else groups
        return self.append(
            Node(name, 'conv', (source,), shape, kernel, steps, padding, groups=groups, bias=bias, weights=weights)
        )

    def max_pool(self, name: str, source: str, size: int, stride: int) -> str:
        return self._pool(name, 'max_pool', source, size, stride)

    def avg_pool(self, name: str, source: str, size: int, stride: int) -> str:
        return self._pool(name, 'avg_pool', source, size, stride)

    def _pool(self, name: str, op: str, source: str, size: int, stride: int) -> str:
        kernel, steps, padding = self._window(size, stride)
        shape = (*window_shape(self.shapes[source], kernel, steps, padding), self.shapes[source][2])
        return self.append(Node(name, op, (source,), shape, kernel, steps, padding))

    def batch_norm(self, name: str, source: str) -> str:
        return self.append(Node(name, 'batch_norm', (source,), self.shapes[source]))

    def relu(self, name: str, source: str) -> str:
        return self.activation(name, 'relu', source)

    def activation(self, name: str, op: str, source: str) -> str:
        """A relu, leaky_relu (slope 0.1), sigmoid or swish."""
        return self.append(Node(name, op, (source,), self.shapes[source]))

    def dense(self, name: str, source: str, channels: int) -> str:
        return self.append(Node(name, 'dense', (source,), (1, 1, channels), bias=True))

    def global_pool(self, name: str, source: str) -> str:
        return self.append(Node(name, 'global_avg_pool', (source,), (1, 1, self.shapes[source][2])))

    def scale(self, name: str, source: str, factors: str) -> str:
        return self.append(Node(name, 'scale', (source, factors), self.shapes[source]))

    def concat(self, name: str, *sources: str) -> str:
        height, width, _ = self.shapes[sources[0]]
        return self.append(
            Node(name, 'concat', sources, (height, width, sum(self.shapes[source][2] for source in sources)))
        )

    def upsample(self, name: str, source: str, times: int = 2) -> str:
        height, width, channels = self.shapes[source]
        return self.append(
            Node(name, 'upsample', (source,), (height * times, width * times, channels), factor=(times, times))
        )

    def flatten(self, name: str, source: str) -> str:
        return self.append(Node(name, 'flatten', (source,), (1, 1, math.prod(self.shapes[source]))))

    def add(self, name: str, main: str, skip: str) -> str:
        """A gated add; its gate has its name."""
        return self.append(Node(name, 'add', (main, skip), self.shapes[main], gate=name))

    def projection(self, name: str, source: str, channels: int, stride: int = 1) -> str:
        """`source` itself where it has the shape already, else a strided 1x1 conv `name` and a batch norm `name`bn."""
        if stride == 1 and self.shapes[source][2] == channels:
            return source
        return self.batch_norm(f'{name}bn', self.conv(name, source, channels, size=1, stride=stride))

    def head(self, source: str, classes: int) -> None:
        """Global average pooling and the classifier."""
        self.block = 'head'
        self.dense('head_dense', self.global_pool('head_pool', source), whole('classes', classes))


def whole(key: str, value: Any, most: int = MOST_CHANNELS) -> int:
    """An argument that is an integer of 1..most, of numpy or not. Raises ValueError naming it."""
    found = plain(value)
    if type(found) is not int or not 1 <= found <= most:
        raise ValueError(f'{key} must be an integer of 1..{most}, got {value!r}')
    return found


def image(value: Any) -> tuple[int, int, int]:
    """The argument `input_shape`. Raises ValueError where it is no (H, W, C)."""
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise ValueError(f'input_shape must be three integers (H, W, C), got {value!r}')
    height, width, channels = (whole(f'input_shape {tuple(value)}: each', each) for each in value)
    return height, width, channels


def positive(key: str, value: Any) -> float:
    """An argument that is a number above 0. Raises ValueError naming it."""
    found = plain(value)
    if type(found) not in (int, float) or not 0 < found <= 1000:
        raise ValueError(f'{key} must be a number above 0 and at most 1000, got {value!r}')
    return found


def scaled(channels: int, multiplier: float) -> int:
    """`channels` times `multiplier`, rounded, at least 1."""
    return max(1, round(channels * multiplier))


def round8(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, at least 8 and at least nine tenths of it, as MobileNet and EfficientNet
    scale their widths.
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def check_skips(network: str, skips: str) -> None:
    """Raises ValueError where `skips` is neither 'long' nor 'none', all that this network has."""
    if skips not in ('long', 'none'):
        raise ValueError(f'skips must be long or none for {network}, got {skips!r}')
