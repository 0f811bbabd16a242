"""EfficientNet-B1 (Tan and Le 2019, arXiv 1905.11946): inverted residuals with squeeze-excite and swish.

    x     = 1x1 expand, bn, swish, kxk depthwise, bn, swish
    block = x scaled by sigmoid(dense(swish(dense(mean x)))), 1x1 project, bn, (+)

The skip joins the narrow ends and exists where stride and channels allow. The squeeze is to a quarter of the block's
input channels. Stochastic depth and dropout, which only training has, are left out.
"""

from __future__ import annotations

import math

from tailor_jax.build.builder import Builder, check_skips, positive, round8
from tailor_jax.graph import Graph

# (expansion, depthwise kernel, stride of the first, output channels, blocks) of B0: table 1 of the paper.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def efficientnet_b1(
    input_shape: tuple[int, int, int] = (240, 240, 3),
    classes: int = 1000,
    multiplier: float = 1.0,
    depth_multiplier: float = 1.1,
    skips: str = 'long',
) -> Graph:
    """EfficientNet-B1.

    Args:
      input_shape: (H, W, C).
      classes: outputs of the classifier.
      multiplier: of all channels, rounded to multiples of 8: the paper's width coefficient, 1 for B1.
      depth_multiplier: of the blocks of each stage, rounded up: the paper's depth coefficient, 1.1 for B1.
      skips: 'long' or 'none'.

    Raises ValueError for another `skips`.
    """
    check_skips('efficientnet_b1', skips)
    multiplier = positive('multiplier', multiplier)
    depth_multiplier = positive('depth_multiplier', depth_multiplier)
    net = Builder(input_shape)
    net.block = 'stem'
    tensor = _swish(net, 'stem', net.conv('stem_conv', 'input', round8(32 * multiplier), stride=2))
    for stage, (expansion, size, first_stride, channels, blocks) in enumerate(STAGES, start=1):
        for block in range(math.ceil(depth_multiplier * blocks)):
            net.block = f's{stage}b{block}'
            stride = first_stride if block == 0 else 1
            tensor = _block(net, net.block, tensor, expansion, size, stride, round8(channels * multiplier), skips)
    net.block = 'last'
    net.head(_swish(net, 'last', net.conv('last_conv', tensor, round8(1280 * multiplier), size=1)), classes)
    return net.graph()


def _swish(net: Builder, name: str, source: str, number: str = '') -> str:
    return net.activation(f'{name}_swish{number}', 'swish', net.batch_norm(f'{name}_bn{number}', source))


def _block(
    net: Builder, name: str, source: str, expansion: int, size: int, stride: int, channels: int, skips: str
) -> str:
    narrow = net.shapes[source][2]
    tensor, inside = source, narrow * expansion
    if expansion > 1:
        tensor = _swish(net, name, net.conv(f'{name}_expand', tensor, inside, size=1), '1')
    tensor = _swish(net, name, net.conv(f'{name}_depthwise', tensor, inside, size, stride, depthwise=True), '2')
    squeezed = net.activation(
        f'{name}_se_swish',
        'swish',
        net.dense(f'{name}_se_reduce', net.global_pool(f'{name}_se_pool', tensor), narrow // 4),
    )
    factors = net.activation(f'{name}_se_sigmoid', 'sigmoid', net.dense(f'{name}_se_expand', squeezed, inside))
    tensor = net.scale(f'{name}_se_scale', tensor, factors)
    tensor = net.batch_norm(f'{name}_bn3', net.conv(f'{name}_project', tensor, channels, size=1))
    if skips == 'long' and net.shapes[tensor] == net.shapes[source]:
        tensor = net.add(f'{name}_long', tensor, source)
    return tensor


NETWORKS = {'efficientnet_b1': efficientnet_b1}
