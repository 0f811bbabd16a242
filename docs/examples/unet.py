"""A small U-Net with gated skips: each level's encoder output is added to the upsampled decoder of the same size.

    8x8  enc1 ----------------(+)--> dec1 -> head      down: a convolution of stride 2
    4x4    \\_ enc2 ------(+)--> dec2 _/                 up: upsample 2x, a convolution to the level's channels
    2x2        \\_ enc3 _/

A gate closes the way around the lower levels. It ends in a classifier, since training takes labelled images.

python docs/examples/unet.py unet.json        writes it as a graph file
"""

import sys

from tailor_jax import graph
from tailor_jax.build import Builder


def net(input_shape=(8, 8, 1), classes=10, width=8):
    """The network, for heights and widths that 4 divides; `model.width` sets the channels of the first level."""
    net = Builder(input_shape)
    levels = []
    tensor = 'input'
    for level in (1, 2, 3):
        net.block = f'enc{level}'
        tensor = _layer(net, net.block, tensor, width * 2 ** (level - 1), stride=1 if level == 1 else 2)
        levels.append(tensor)
    for level in (2, 1):
        net.block = f'dec{level}'
        up = _layer(net, f'{net.block}_up', net.upsample(f'{net.block}_double', tensor), width * 2 ** (level - 1))
        tensor = _layer(net, net.block, net.add(f'skip{level}', up, levels[level - 1]), width * 2 ** (level - 1))
    net.head(tensor, classes)
    return net.graph()


def _layer(net, name, source, channels, stride=1):
    return net.relu(
        f'{name}_relu', net.batch_norm(f'{name}_bn', net.conv(f'{name}_conv', source, channels, stride=stride))
    )


if __name__ == '__main__':
    graph.save(net(), sys.argv[1])
    print(net())
