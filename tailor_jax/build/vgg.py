"""VGG-16 (Simonyan and Zisserman 2015, arXiv 1409.1556; configuration D): 3x3 convolutions, max pools, three dense
layers. It has no skips.
"""

from __future__ import annotations

from tailor_jax.build.builder import Builder, image, positive, scaled, whole
from tailor_jax.graph import Graph

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # (channels, convolutions), each before a 2x2 pool


def vgg16(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, multiplier: float = 1.0, skips: str = 'none'
) -> Graph:
    """VGG-16.

    Args:
      input_shape: (H, W, C), H and W at least 32; they set the size of the first dense layer.
      classes: outputs of the classifier.
      multiplier: of all channels, those of the dense layers included.
      skips: 'none'.

    Raises ValueError for another `skips` or a smaller input.
    """
    if skips != 'none':
        raise ValueError(f'vgg16 has no skips, so skips must be none, got {skips!r}')
    input_shape, classes, multiplier = image(input_shape), whole('classes', classes), positive('multiplier', multiplier)
    if min(input_shape[:2]) < 32:
        raise ValueError(f'vgg16 halves its input five times and takes 32x32 or more, got {input_shape}')
    net = Builder(input_shape)
    tensor = 'input'
    for stage, (channels, count) in enumerate(STAGES, start=1):
        for index in range(1, count + 1):
            name = net.block = f's{stage}c{index}'
            tensor = net.relu(f'{name}_relu', net.conv(f'{name}_conv', tensor, scaled(channels, multiplier), bias=True))
        tensor = net.max_pool(f's{stage}_pool', tensor, 2, 2)
    net.block = 'head'
    tensor = net.flatten('head_flatten', tensor)
    for index in (1, 2):
        tensor = net.relu(f'head_relu{index}', net.dense(f'head_dense{index}', tensor, scaled(4096, multiplier)))
    net.dense('head_dense3', tensor, classes)
    return net.graph()


NETWORKS = {'vgg16': vgg16}
