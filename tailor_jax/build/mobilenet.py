"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381): inverted residuals with linear bottlenecks.

    block = 1x1 expand, bn, relu, 3x3 depthwise, bn, relu, 1x1 project, bn, (+)

The skip joins the narrow ends and exists where stride and channels allow. ReLU stands for ReLU6: an 8-bit quantizer
bounds the range anyway.
"""

from __future__ import annotations

from tailor_jax.build.builder import Builder, check_skips, positive, round8
from tailor_jax.graph import Graph

# (expansion, output channels, blocks, stride of the first) of each stage; table 2 of the paper.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet_v2(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, multiplier: float = 1.0, skips: str = 'long'
) -> Graph:
    """MobileNetV2.

    Args:
      input_shape: (H, W, C).
      classes: outputs of the classifier.
      multiplier: of all channels, rounded to multiples of 8; the last convolution keeps its 1,280 below 1.
      skips: 'long' or 'none'.

    Raises ValueError for another `skips`.
    """
    check_skips('mobilenet_v2', skips)
    multiplier = positive('multiplier', multiplier)
    net = Builder(input_shape)
    net.block = 'stem'
    tensor = net.relu(
        'stem_relu', net.batch_norm('stem_bn', net.conv('stem_conv', 'input', round8(32 * multiplier), stride=2))
    )
    for stage, (expansion, channels, blocks, first_stride) in enumerate(STAGES, start=1):
        for block in range(blocks):
            net.block = f's{stage}b{block}'
            tensor = _block(
                net,
                net.block,
                tensor,
                expansion,
                round8(channels * multiplier),
                first_stride if block == 0 else 1,
                skips,
            )
    net.block = 'last'
    tensor = net.relu(
        'last_relu',
        net.batch_norm('last_bn', net.conv('last_conv', tensor, round8(1280 * max(multiplier, 1.0)), size=1)),
    )
    net.head(tensor, classes)
    return net.graph()


def _block(net: Builder, name: str, source: str, expansion: int, channels: int, stride: int, skips: str) -> str:
    tensor, inside = source, net.shapes[source][2] * expansion
    if expansion > 1:
        tensor = net.relu(
            f'{name}_relu1', net.batch_norm(f'{name}_bn1', net.conv(f'{name}_expand', tensor, inside, size=1))
        )
    tensor = net.relu(
        f'{name}_relu2',
        net.batch_norm(f'{name}_bn2', net.conv(f'{name}_depthwise', tensor, inside, stride=stride, depthwise=True)),
    )
    tensor = net.batch_norm(f'{name}_bn3', net.conv(f'{name}_project', tensor, channels, size=1))
    if skips == 'long' and net.shapes[tensor] == net.shapes[source]:
        tensor = net.add(f'{name}_long', tensor, source)
    return tensor


NETWORKS = {'mobilenet_v2': mobilenet_v2}
