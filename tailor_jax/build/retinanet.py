"""RetinaNet (Lin et al. 2017, arXiv 1708.02002) on ResNet-50 with a feature pyramid, levels P3 to P7.

    P5 = 3x3(1x1(C5)),  P4 = 3x3(1x1(C4) + up(1x1(C5))),  P3 likewise;  P6 = 3x3/2 of P5,  P7 = 3x3/2 of relu(P6)
    each level: 4 x (3x3 conv to 256, relu), 3x3 conv to 9 classes | the same to 9 * 4 box coordinates

The two subnets are the same for all levels: their nodes share `weights`, so parameters count once. torchvision's
variant: P6 comes from P5 (in the paper from C5). The output is the scores of P3 to P7 and then their boxes, each
flattened from (H, W, anchors * values); sigmoid, decoding and suppression are not part of the graph. The pyramid's adds
sum two branches that both carry the task, so they have no gates.
"""

from __future__ import annotations

from tailor_jax.build.builder import Builder, image, whole
from tailor_jax.build.resnet import imagenet_stages
from tailor_jax.graph import Graph, Node

ANCHORS = 9  # boxes a pixel: three scales times three shapes
CHANNELS = 256


def retinanet_r50_fpn(
    input_shape: tuple[int, int, int] = (512, 512, 3), classes: int = 91, skips: str = 'long'
) -> Graph:
    """RetinaNet-R50-FPN.

    Args:
      input_shape: (H, W, C), H and W multiples of 32.
      classes: scores of a box: 91 as in torchvision, whose COCO labels have gaps; 80 as in the paper.
      skips: of the backbone, one of those that `resnet` has for bottleneck blocks.

    Raises ValueError for an input of another size, or an unknown `skips`.
    """
    input_shape, classes = image(input_shape), whole('classes', classes)
    if input_shape[0] % 32 or input_shape[1] % 32:
        raise ValueError(
            f'retinanet_r50_fpn takes an input whose height and width are multiples of 32, got {input_shape}'
        )
    net = Builder(input_shape)
    levels = _pyramid(net, *imagenet_stages(net, 50, 64, skips)[1:])
    outputs = [_subnet(net, level, source, 'class', ANCHORS * classes) for level, source in levels.items()]
    outputs += [_subnet(net, level, source, 'box', ANCHORS * 4) for level, source in levels.items()]
    net.block = 'output'
    net.concat('detections', *outputs)
    return net.graph()


def _pyramid(net: Builder, c3: str, c4: str, c5: str) -> dict[str, str]:
    """{level: its map}, P3 to P7."""
    merged, levels = '', {}
    for level, stage in (('p5', c5), ('p4', c4), ('p3', c3)):
        net.block = level
        lateral = net.conv(f'{level}_lateral', stage, CHANNELS, size=1, bias=True)
        if merged:
            lateral = net.append(
                Node(f'{level}_merge', 'add', (lateral, net.upsample(f'{level}_up', merged)), net.shapes[lateral])
            )
        merged = lateral
        levels[level] = net.conv(f'{level}_conv', merged, CHANNELS, bias=True)
    net.block = 'p6'
    levels['p6'] = net.conv('p6_conv', levels['p5'], CHANNELS, stride=2, bias=True)
    net.block = 'p7'
    levels['p7'] = net.conv('p7_conv', net.relu('p7_relu', levels['p6']), CHANNELS, stride=2, bias=True)
    return dict(sorted(levels.items()))


def _subnet(net: Builder, level: str, source: str, kind: str, channels: int) -> str:
    name = net.block = f'{level}_{kind}'
    tensor, width = source, net.shapes[source][2]
    for index in range(1, 5):
        tensor = net.relu(
            f'{name}_relu{index}',
            net.conv(f'{name}_conv{index}', tensor, width, bias=True, weights=f'{kind}_conv{index}'),
        )
    return net.flatten(f'{name}_flatten', net.conv(f'{name}_out', tensor, channels, bias=True, weights=f'{kind}_out'))


NETWORKS = {'retinanet_r50_fpn': retinanet_r50_fpn}
