"""ResNeXt for small images (Xie et al. 2017, arXiv 1611.05431): bottleneck blocks whose 3x3 convolution has groups.

    block = 1x1, bn, relu, 3x3 in C groups, bn, relu, 1x1, bn, (+), relu

With cardinality C and width d (C x d, 8x64d), stage s = 0, 1, 2 computes C d 2^s channels inside its blocks and puts
out 256 * 2^s; the stride of a stage sits on its first 3x3 convolution, and a skip whose tensor changes shape goes
through a 1x1 projection.
"""

from __future__ import annotations

from tailor_jax.build.builder import Builder, check_skips, positive, scaled, whole
from tailor_jax.build.resnet import MOST_DEPTH
from tailor_jax.graph import Graph

STEM = 64
STAGES = (256, 512, 1024)  # channels that each puts out; section 5.3 of the paper


def resnext29(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    depth: int = 29,
    cardinality: int = 8,
    width: int = 64,
    multiplier: float = 1.0,
    skips: str = 'long',
) -> Graph:
    """ResNeXt-29, 8x64d, or of another depth and size.

    Args:
      input_shape: (H, W, C); H = 1 builds a 1-D network with 1xk kernels.
      classes: outputs of the classifier.
      depth: layers with weights, projections not counted: 9n + 2, n blocks a stage.
      cardinality: groups of every 3x3 convolution.
      width: channels of each group in the first stage, doubled from stage to stage.
      multiplier: of all channels, those of a group included; never of the groups.
      skips: 'long' or 'none'.

    Raises ValueError for another `skips`, a depth that is not 9n + 2, or a size that is no positive number.
    """
    check_skips('resnext29', skips)
    depth, cardinality, width = (
        whole('depth', depth, MOST_DEPTH),
        whole('cardinality', cardinality),
        whole('width', width),
    )
    multiplier = positive('multiplier', multiplier)
    if depth < 11 or (depth - 2) % 9:
        nearest = max(11, 9 * round((depth - 2) / 9) + 2)
        raise ValueError(f'resnext29 depth must be 9n + 2 (11, 20, 29, 38, ...), got {depth}; the nearest is {nearest}')
    net = Builder(input_shape)
    net.block = 'stem'
    tensor = net.relu('stem_relu', net.batch_norm('stem_bn', net.conv('stem_conv', 'input', scaled(STEM, multiplier))))
    for stage, channels in enumerate(STAGES):
        inside = cardinality * scaled(width * 2**stage, multiplier)
        for block in range((depth - 2) // 9):
            net.block = f's{stage + 1}b{block}'
            stride = 2 if stage > 0 and block == 0 else 1
            tensor = _block(
                net, net.block, tensor, inside, scaled(channels, multiplier), cardinality, stride, skips == 'long'
            )
    net.head(tensor, classes)
    return net.graph()


def _block(
    net: Builder, name: str, source: str, inside: int, channels: int, cardinality: int, stride: int, skipped: bool
) -> str:
    skip = net.projection(f'{name}_proj', source, channels, stride) if skipped else ''
    tensor = net.batch_norm(f'{name}_bn1', net.conv(f'{name}_conv1', source, inside, size=1))
    tensor = net.relu(f'{name}_relu1', tensor)
    grouped = net.conv(f'{name}_conv2', tensor, inside, stride=stride, groups=cardinality)
    tensor = net.relu(f'{name}_relu2', net.batch_norm(f'{name}_bn2', grouped))
    tensor = net.batch_norm(f'{name}_bn3', net.conv(f'{name}_conv3', tensor, channels, size=1))
    if skipped:
        tensor = net.add(f'{name}_long', tensor, skip)
    return net.relu(f'{name}_relu3', tensor)


NETWORKS = {'resnext29': resnext29}
