"""Builders: networks as graphs.

Where the adds of a basic block sit (`skips`) decides hardware cost and numerics:

    long        conv bn relu conv bn (+) relu             He et al. 2016, one skip over both convolutions
    short       conv bn relu (+) conv bn relu (+)         Tailor's shortened block, added after each ReLU
    short_pre   conv bn (+) relu conv bn relu             NonResNet's ShortResNet, one skip over the first convolution
    long+short  the supernet that holds `long` and `short` at once, a gate each
    none        conv bn relu conv bn relu                 no skip at all

A strided block's skip goes through a 1x1 projection; in the supernet its two candidates share that projection.
"""

from __future__ import annotations

import dataclasses

from tailor_jax.graph import Graph, Node, window_shape

SKIPS = ('long', 'short', 'short_pre', 'long+short', 'none')


class _Builder:
    """Appends nodes, inferring shapes; every method returns the new node's name."""

    def __init__(self, input_shape: tuple[int, int, int]):
        height, width, channels = input_shape
        self.nodes = [Node('input', 'input', (), (height, width, channels), block='input')]
        self.shapes = {'input': (height, width, channels)}
        self.block = ''

    def append(self, node: Node) -> str:
        self.nodes.append(dataclasses.replace(node, block=self.block))
        self.shapes[node.name] = node.shape
        return node.name

    def conv(self, name: str, source: str, channels: int, size: int = 3, stride: int = 1) -> str:
        height, _, _ = shape = self.shapes[source]
        kernel, steps = ((size, size), (stride, stride)) if height > 1 else ((1, size), (1, stride))
        vertical, across = kernel[0] // 2, kernel[1] // 2
        padding = (vertical, vertical, across, across)
        return self.append(Node(name, 'conv', (source,), (*window_shape(shape, kernel, steps, padding), channels), kernel, steps, padding))

    def batch_norm(self, name: str, source: str) -> str:
        return self.append(Node(name, 'batch_norm', (source,), self.shapes[source]))

    def relu(self, name: str, source: str) -> str:
        return self.append(Node(name, 'relu', (source,), self.shapes[source]))

    def add(self, name: str, main: str, skip: str, gate: str) -> str:
        return self.append(Node(name, 'add', (main, skip), self.shapes[main], gate=gate))


def _basic_block(net: _Builder, name: str, source: str, channels: int, stride: int, skips: str) -> str:
    net.block = name
    skip = source
    if skips != 'none' and (stride != 1 or net.shapes[source][2] != channels):
        skip = net.batch_norm(f'{name}_projbn', net.conv(f'{name}_proj', source, channels, size=1, stride=stride))
    first = net.batch_norm(f'{name}_bn1', net.conv(f'{name}_conv1', source, channels, stride=stride))
    if skips == 'short_pre':
        first = net.add(f'{name}_short1', first, skip, gate=f'{name}_short1')
    first = net.relu(f'{name}_relu1', first)
    if skips in ('short', 'long+short'):
        first = net.add(f'{name}_short1', first, skip, gate=f'{name}_short1')
    second = net.batch_norm(f'{name}_bn2', net.conv(f'{name}_conv2', first, channels))
    if skips in ('long', 'long+short'):
        second = net.add(f'{name}_long', second, skip, gate=f'{name}_long')
    second = net.relu(f'{name}_relu2', second)
    if skips in ('short', 'long+short'):
        second = net.add(f'{name}_short2', second, first, gate=f'{name}_short2')
    return second


def resnet(depth: int = 8, input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, width: int = 16, skips: str = 'long') -> Graph:
    """A CIFAR-shape residual network (He et al. 2016, section 4.2): three stages of (depth - 2) / 6 basic blocks.

    Args:
      depth: 6n + 2: 8, 14, 20, 32, 44, 56, 110, ...
      input_shape: (H, W, C); H = 1 builds a 1-D network with 1x3 kernels.
      classes: outputs of the classifier.
      width: channels of the first stage; the second and third have 2 and 4 times as many.
      skips: one of `SKIPS`, see the module docstring.

    Raises:
      ValueError: for a depth that is not 6n + 2, or an unknown `skips`.
    """
    if depth < 8 or (depth - 2) % 6:
        nearest = max(8, 6 * round((depth - 2) / 6) + 2)
        raise ValueError(f'resnet depth must be 6n + 2 (8, 14, 20, 32, 44, 56, 110, ...), got {depth}; the nearest is {nearest}')
    if skips not in SKIPS:
        raise ValueError(f'skips must be one of {", ".join(SKIPS)}, got {skips!r}')
    net = _Builder(input_shape)
    net.block = 'stem'
    tensor = net.relu('stem_relu', net.batch_norm('stem_bn', net.conv('stem_conv', 'input', width)))
    for stage in range(3):
        for block in range((depth - 2) // 6):
            stride = 2 if stage > 0 and block == 0 else 1
            tensor = _basic_block(net, f's{stage + 1}b{block}', tensor, width * 2**stage, stride, skips)
    net.block = 'head'
    channels = net.shapes[tensor][2]
    pooled = net.append(Node('head_pool', 'global_avg_pool', (tensor,), (1, 1, channels)))
    net.append(Node('head_dense', 'dense', (pooled,), (1, 1, classes), bias=True))
    return Graph(tuple(net.nodes))
