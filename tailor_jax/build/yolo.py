"""YOLOv3 (Redmon and Farhadi 2018, arXiv 1804.02767): the Darknet-53 backbone and three heads.

    layer = conv bn leaky_relu                          block = 1x1 layer to half the channels, 3x3 layer back, (+)
    head  = five layers, 1x1 and 3x3 in turn -> x;      x, 3x3 layer, 1x1 conv with bias -> boxes
                                                        x, 1x1 layer to half the channels, upsample, concat with the
                                                        stage before -> the next head

The output is the boxes of the three heads, coarsest first, each flattened from (H, W, 3 (5 + classes)). Decoding and
non-maximum suppression are not part of the graph.
"""

from __future__ import annotations

from tailor_jax.build.builder import Builder, check_skips, image, whole
from tailor_jax.graph import Graph

BLOCKS = (1, 2, 8, 8, 4)  # residual blocks of each stage; stage k has 2^k times the 32 channels of the stem
ANCHORS = 3  # boxes a pixel


def yolov3(input_shape: tuple[int, int, int] = (416, 416, 3), classes: int = 80, skips: str = 'long') -> Graph:
    """YOLOv3.

    Args:
      input_shape: (H, W, C), H and W multiples of 32.
      classes: of objects; a box has so many scores besides its place and its objectness.
      skips: of the backbone, 'long' or 'none'.

    Raises ValueError for another `skips` or input.
    """
    check_skips('yolov3', skips)
    input_shape, classes = image(input_shape), whole('classes', classes)
    if input_shape[0] % 32 or input_shape[1] % 32:
        raise ValueError(f'yolov3 takes an input whose height and width are multiples of 32, got {input_shape}')
    net = Builder(input_shape)
    net.block = 'stem'
    tensor = _layer(net, 'stem', 'input', 32)
    stages = []
    for stage, blocks in enumerate(BLOCKS, start=1):
        net.block = f's{stage}'
        tensor = _layer(net, f's{stage}_down', tensor, 32 * 2**stage, stride=2)
        for block in range(blocks):
            net.block = f's{stage}b{block}'
            tensor = _block(net, net.block, tensor, skips)
        stages.append(tensor)
    heads = []
    for head, channels in enumerate((512, 256, 128), start=1):
        net.block = f'head{head}'
        route = stages.pop()
        if head > 1:
            up = net.upsample(f'head{head}_up', _layer(net, f'head{head}_lateral', tensor, channels, size=1))
            route = net.concat(f'head{head}_concat', up, route)
        tensor = route
        for index in range(1, 6):
            tensor = _layer(net, f'head{head}_{index}', tensor, channels * (2 - index % 2), size=3 - 2 * (index % 2))
        wide = _layer(net, f'head{head}_6', tensor, 2 * channels)
        heads.append(
            net.flatten(
                f'head{head}_flatten', net.conv(f'head{head}_boxes', wide, ANCHORS * (5 + classes), size=1, bias=True)
            )
        )
    net.block = 'output'
    net.concat('boxes', *heads)
    return net.graph()


def _layer(net: Builder, name: str, source: str, channels: int, size: int = 3, stride: int = 1) -> str:
    normalized = net.batch_norm(f'{name}_bn', net.conv(f'{name}_conv', source, channels, size, stride))
    return net.activation(f'{name}_leaky', 'leaky_relu', normalized)


def _block(net: Builder, name: str, source: str, skips: str) -> str:
    channels = net.shapes[source][2]
    tensor = _layer(net, f'{name}_2', _layer(net, f'{name}_1', source, channels // 2, size=1), channels)
    return net.add(f'{name}_long', tensor, source) if skips == 'long' else tensor


NETWORKS = {'yolov3': yolov3}
