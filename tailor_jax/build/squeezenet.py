"""SqueezeNet (Iandola et al. 2016, arXiv 1602.07360), with the simple bypass of its section 6 as gated skips.

    fire = 1x1 squeeze, relu -> s;  1x1 expand of s, relu | 3x3 expand of s, relu -> concat, (+)

The bypass goes around fire modules 3, 5, 7 and 9, whose inputs have the shape of their outputs. Pools round their size
up.
"""

from __future__ import annotations

from tailor_jax.build.builder import Builder, check_skips, image, positive, scaled, whole
from tailor_jax.graph import Graph, Node, window_shape

# (squeeze channels, channels of each expand) of fire modules 2 to 9; table 1 of the paper.
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
# {version: ((channels, size) of the stem, the fire modules before which a pool stands)}
VERSIONS = {'1.0': ((96, 7), (2, 5, 9)), '1.1': ((64, 3), (2, 4, 6))}
BYPASSED = (3, 5, 7, 9)


def squeezenet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    version: str = '1.0',
    multiplier: float = 1.0,
    skips: str = 'long',
) -> Graph:
    """SqueezeNet 1.0 or 1.1.

    Args:
      input_shape: (H, W, C).
      classes: outputs of the classifier.
      version: '1.0', as in the paper, or '1.1', its authors' cheaper one.
      multiplier: of all channels.
      skips: 'long', the simple bypass, or 'none'.

    Raises ValueError for another `skips` or `version`.
    """
    check_skips('squeezenet', skips)
    if version not in VERSIONS:
        raise ValueError(f'squeezenet has versions {" and ".join(VERSIONS)}, got {version!r}')
    (stem, size), pooled = VERSIONS[version]
    multiplier = positive('multiplier', multiplier)
    net, input_shape, classes = Builder(input_shape), image(input_shape), whole('classes', classes)
    net.block = 'stem'
    shape = (*window_shape(input_shape, (size, size), (2, 2), (0, 0, 0, 0)), scaled(stem, multiplier))
    tensor = net.relu(
        'stem_relu', net.append(Node('stem_conv', 'conv', ('input',), shape, (size, size), (2, 2), bias=True))
    )
    for number, fire in enumerate(FIRES, start=2):
        squeeze, expand = (scaled(channels, multiplier) for channels in fire)
        if number in pooled:
            tensor = _pool(net, f'pool{number}', tensor)
        net.block = f'fire{number}'
        tensor = _fire(net, net.block, tensor, squeeze, expand, skips == 'long' and number in BYPASSED)
    net.block = 'head'
    net.global_pool('head_pool', net.relu('head_relu', net.conv('head_conv', tensor, classes, size=1, bias=True)))
    return net.graph()


def squeezenet1_1(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, multiplier: float = 1.0, skips: str = 'long'
) -> Graph:
    """SqueezeNet 1.1; see `squeezenet`."""
    return squeezenet(input_shape, classes, '1.1', multiplier, skips)


def _fire(net: Builder, name: str, source: str, squeeze: int, expand: int, bypass: bool) -> str:
    squeezed = net.relu(f'{name}_relu', net.conv(f'{name}_squeeze', source, squeeze, size=1, bias=True))
    wide = [
        net.relu(f'{name}_relu{size}', net.conv(f'{name}_expand{size}', squeezed, expand, size, bias=True))
        for size in (1, 3)
    ]
    tensor = net.concat(f'{name}_concat', *wide)
    return net.add(f'{name}_long', tensor, source) if bypass else tensor


def _pool(net: Builder, name: str, source: str) -> str:
    """3x3, stride 2, over every pixel: a window may reach one row or column beyond the last."""
    height, width, channels = net.shapes[source]
    padding = (0, 1 - height % 2, 0, 1 - width % 2)
    shape = (*window_shape((height, width, channels), (3, 3), (2, 2), padding), channels)
    return net.append(Node(name, 'max_pool', (source,), shape, (3, 3), (2, 2), padding))


NETWORKS = {'squeezenet': squeezenet, 'squeezenet1_1': squeezenet1_1}
