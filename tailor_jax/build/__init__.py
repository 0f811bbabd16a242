"""Networks as graphs, by name (`named`) or by their builders. `named` finds a new module; it need not stand here."""

from tailor_jax.build.builder import Builder
from tailor_jax.build.efficientnet import efficientnet_b1
from tailor_jax.build.mobilenet import mobilenet_v2
from tailor_jax.build.named import NETWORKS, named
from tailor_jax.build.quartznet import quartznet
from tailor_jax.build.resnet import SKIPS, resnet
from tailor_jax.build.retinanet import retinanet_r50_fpn
from tailor_jax.build.squeezenet import squeezenet, squeezenet1_1
from tailor_jax.build.vgg import vgg16
from tailor_jax.build.yolo import yolov3

__all__ = [
    'NETWORKS',
    'SKIPS',
    'Builder',
    'efficientnet_b1',
    'mobilenet_v2',
    'named',
    'quartznet',
    'resnet',
    'retinanet_r50_fpn',
    'squeezenet',
    'squeezenet1_1',
    'vgg16',
    'yolov3',
]
