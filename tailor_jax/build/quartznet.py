"""QuartzNet-style 1-D residual networks (Kriman et al. 2020, arXiv 1910.10261): time-channel-separable convolutions.

    module = depthwise 1xK, pointwise, bn, relu
    block  = 5 modules; a pointwise projection and bn of its input joins before the last ReLU

The speech network ends in a label a time step; here a global average pool makes one label a sequence of it (keywords,
say). The convolution that is dilated there (K = 87) is not dilated here: same parameters and work, half the reach.
"""

from __future__ import annotations

from tailor_jax.build.builder import Builder, check_skips, image, positive, scaled, whole
from tailor_jax.graph import Graph

BLOCKS = ((33, 256), (39, 256), (51, 512), (63, 512), (75, 512))  # (kernel, channels); table 1 of the paper


def quartznet(
    input_shape: tuple[int, int, int] = (1, 256, 64),
    classes: int = 29,
    repeats: int = 5,
    multiplier: float = 1.0,
    skips: str = 'long',
) -> Graph:
    """QuartzNet 5x`repeats`.

    Args:
      input_shape: (1, time steps, features).
      classes: outputs of the classifier.
      repeats: modules of each block.
      multiplier: of all channels.
      skips: 'long' or 'none'.

    Raises ValueError for another `skips` or an input that is not 1-D.
    """
    check_skips('quartznet', skips)
    repeats, multiplier, input_shape = (
        whole('repeats', repeats, 1000),
        positive('multiplier', multiplier),
        image(input_shape),
    )
    if input_shape[0] != 1:
        raise ValueError(f'quartznet takes (1, time steps, features), got {input_shape}')
    net = Builder(input_shape)
    net.block = 'stem'
    tensor = _module(net, 'stem', 'input', 33, scaled(256, multiplier), stride=2)
    for index, (size, channels) in enumerate(BLOCKS):
        name = net.block = f'b{index}'
        width, source = scaled(channels, multiplier), tensor
        for repeat in range(repeats):
            last = repeat == repeats - 1
            tensor = _module(net, f'{name}m{repeat}', tensor, size, width, activate=not last)
        if skips == 'long':
            skip = net.batch_norm(f'{name}_projbn', net.conv(f'{name}_proj', source, width, size=1))
            tensor = net.add(f'{name}_long', tensor, skip)
        tensor = net.relu(f'{name}_relu', tensor)
    net.block = 'last'
    tensor = _module(net, 'last', tensor, 87, scaled(512, multiplier))
    tensor = net.relu(
        'wide_relu', net.batch_norm('wide_bn', net.conv('wide_conv', tensor, scaled(1024, multiplier), size=1))
    )
    net.head(tensor, classes)
    return net.graph()


def _module(
    net: Builder, name: str, source: str, size: int, channels: int, stride: int = 1, activate: bool = True
) -> str:
    depthwise = net.conv(f'{name}_depthwise', source, net.shapes[source][2], size, stride, depthwise=True)
    tensor = net.batch_norm(f'{name}_bn', net.conv(f'{name}_pointwise', depthwise, channels, size=1))
    return net.relu(f'{name}_relu', tensor) if activate else tensor


NETWORKS = {'quartznet': quartznet}
