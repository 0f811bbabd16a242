"""Two skips from one tensor: the stem's output is added after the first convolution and again after the second.

    stem -> conv bn (+) relu -> conv bn (+) relu -> head
        \\__________/_________________/

python docs/examples/two_skips.py two_skips.json        writes it as a graph file
"""

import sys

from tailor_jax import graph
from tailor_jax.build import Builder


def net(input_shape=(8, 8, 1), classes=10, width=8):
    """The network; `model.width` sets its channels."""
    net = Builder(input_shape)
    net.block = 'stem'
    stem = net.relu('stem_relu', net.batch_norm('stem_bn', net.conv('stem_conv', 'input', width)))
    tensor = stem
    for name in ('one', 'two'):
        net.block = name
        tensor = net.batch_norm(f'{name}_bn', net.conv(f'{name}_conv', tensor, width))
        tensor = net.relu(f'{name}_relu', net.add(f'{name}_skip', tensor, stem))  # the gate is named like the add
    net.head(tensor, classes)
    return net.graph()


if __name__ == '__main__':
    graph.save(net(), sys.argv[1])
    print(net())
