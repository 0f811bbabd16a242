"""Residual networks (He et al. 2016, arXiv 1512.03385).

Where the adds of a basic block sit (`skips`) decides hardware cost and numerics:

    long        conv bn relu conv bn (+) relu             one skip over both convolutions
    short       conv bn relu (+) conv bn relu (+)         Tailor's shortened block: a skip over each convolution, added
                                                          after its ReLU
    short_pre   conv bn (+) relu conv bn relu             NonResNet's ShortResNet: one skip, over the first convolution,
                                                          added before its ReLU
    long+short  the supernet that holds `long` and `short` at once, a gate each
    long_post+short
                conv bn relu (+) conv bn relu (+) (+)     what Tailor's SkipShortener goes through: `short`, and the
                                                          long skip added after the last ReLU instead of before it; with
                                                          the long skip alone it is the shortener's teacher
    none        conv bn relu conv bn relu                 no skip at all

A bottleneck block has three convolutions (1x1, 3x3, 1x1 to four times the channels): one long skip, or three short
ones. A skip whose tensor changes shape goes through a 1x1 projection; candidates over the same tensors share one.
"""

from __future__ import annotations

from tailor_jax.build.builder import Builder, whole
from tailor_jax.fields import hint
from tailor_jax.graph import Graph

SKIPS = ('long', 'short', 'short_pre', 'long+short', 'long_post+short', 'none')

# Blocks of each stage of the ImageNet networks; True for bottleneck blocks.
IMAGENET = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}
EXPANSION = 4
MOST_DEPTH = 20_000
_SHORT = ('short', 'long+short', 'long_post+short')


def resnet(
    depth: int = 8,
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    width: int | None = None,
    skips: str = 'long',
) -> Graph:
    """A residual network: of ImageNet shape for depths 18, 34, 50, 101, 152, of CIFAR shape for others of 6n + 2.

    CIFAR shape: a 3x3 stem, three stages of (depth - 2) / 6 basic blocks. ImageNet shape: a 7x7 stem of stride 2 and a
    max pool, four stages of basic (18, 34) or bottleneck blocks, whose stride sits on the 3x3 convolution.

    Args:
      depth: layers with weights, projections not counted.
      input_shape: (H, W, C); H = 1 builds a 1-D network with 1xk kernels.
      classes: outputs of the classifier.
      width: channels of the first stage, doubled from stage to stage; by default 16 (CIFAR shape) or 64 (ImageNet
        shape).
      skips: one of `SKIPS`, see the module docstring.

    Raises:
      ValueError: for a depth that is none of these, an unknown `skips`, or a size that is no positive integer.
    """
    if skips not in SKIPS:
        raise ValueError(f'skips must be one of {", ".join(SKIPS)}, got {skips!r}{hint(skips, SKIPS)}')
    depth = whole('depth', depth, MOST_DEPTH)
    width = whole('width', (64 if depth in IMAGENET else 16) if width is None else width)
    if depth in IMAGENET:
        return _imagenet(depth, input_shape, classes, width, skips)
    if depth < 8 or (depth - 2) % 6:
        nearest = max(8, 6 * round((depth - 2) / 6) + 2)
        raise ValueError(
            'resnet depth must be 6n + 2 (8, 14, 20, 32, 44, 56, 110, ...) or one of '
            f'{", ".join(map(str, IMAGENET))}, got {depth}; '
            f'the nearest is {nearest}'
        )
    net = Builder(input_shape)
    net.block = 'stem'
    tensor = net.relu('stem_relu', net.batch_norm('stem_bn', net.conv('stem_conv', 'input', width)))
    net.head(_stages(net, tensor, ((depth - 2) // 6,) * 3, False, width, skips)[-1], classes)
    return net.graph()


def _imagenet(depth: int, input_shape: tuple[int, int, int], classes: int, width: int, skips: str) -> Graph:
    net = Builder(input_shape)
    net.head(imagenet_stages(net, depth, width, skips)[-1], classes)
    return net.graph()


def imagenet_stages(net: Builder, depth: int, width: int, skips: str) -> list[str]:
    """Appends the stem and the four stages of an ImageNet network; the outputs of the stages."""
    blocks, bottleneck = IMAGENET[depth]
    if skips not in SKIPS:
        raise ValueError(f'skips must be one of {", ".join(SKIPS)}, got {skips!r}{hint(skips, SKIPS)}')
    if bottleneck and skips == 'short_pre':
        raise ValueError(
            f'skips=short_pre is defined for basic blocks (NonResNet); resnet{depth} has bottleneck blocks'
        )
    net.block = 'stem'
    tensor = net.relu('stem_relu', net.batch_norm('stem_bn', net.conv('stem_conv', 'input', width, size=7, stride=2)))
    return _stages(net, net.max_pool('stem_pool', tensor, 3, 2), blocks, bottleneck, width, skips)


def _stages(net: Builder, tensor: str, blocks: tuple[int, ...], bottleneck: bool, width: int, skips: str) -> list[str]:
    outputs = []
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            net.block = f's{stage + 1}b{block}'
            make = _bottleneck_block if bottleneck else _basic_block
            tensor = make(net, net.block, tensor, width * 2**stage, stride, skips)
        outputs.append(tensor)
    return outputs


def _basic_block(net: Builder, name: str, source: str, channels: int, stride: int, skips: str) -> str:
    # One projection serves the long skip and the first short one: both go to the shape of the block's output.
    skip = source if skips == 'none' else net.projection(f'{name}_proj', source, channels, stride)
    first = net.batch_norm(f'{name}_bn1', net.conv(f'{name}_conv1', source, channels, stride=stride))
    if skips == 'short_pre':
        first = net.add(f'{name}_short1', first, skip)
    first = net.relu(f'{name}_relu1', first)
    if skips in _SHORT:
        first = net.add(f'{name}_short1', first, skip)
    second = net.batch_norm(f'{name}_bn2', net.conv(f'{name}_conv2', first, channels))
    if skips in ('long', 'long+short'):
        second = net.add(f'{name}_long', second, skip)
    second = net.relu(f'{name}_relu2', second)
    if skips in _SHORT:
        second = net.add(f'{name}_short2', second, first)
    if skips == 'long_post+short':
        second = net.add(f'{name}_long_post', second, skip)
    return second


def _bottleneck_block(net: Builder, name: str, source: str, channels: int, stride: int, skips: str) -> str:
    long, short, post = skips in ('long', 'long+short'), skips in _SHORT, skips == 'long_post+short'
    wide = channels * EXPANSION
    block_skip = net.projection(f'{name}_proj', source, wide, stride) if long or post else ''
    tensor = source
    for index, (size, width, step) in enumerate(((1, channels, 1), (3, channels, stride), (1, wide, 1)), start=1):
        skip = net.projection(f'{name}_proj{index}', tensor, width, step) if short else ''
        tensor = net.batch_norm(f'{name}_bn{index}', net.conv(f'{name}_conv{index}', tensor, width, size, step))
        if long and index == 3:
            tensor = net.add(f'{name}_long', tensor, block_skip)
        tensor = net.relu(f'{name}_relu{index}', tensor)
        if short:
            tensor = net.add(f'{name}_short{index}', tensor, skip)
    return net.add(f'{name}_long_post', tensor, block_skip) if post else tensor


NETWORKS = {'resnet': resnet}
