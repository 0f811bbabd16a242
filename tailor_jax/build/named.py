"""Networks by name, as commands take them: resnet8, resnet20_short, resnet50, mobilenet_v2, yolov3."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable

from tailor_jax.build.efficientnet import efficientnet_b1
from tailor_jax.build.mobilenet import mobilenet_v2
from tailor_jax.build.quartznet import quartznet
from tailor_jax.build.resnet import IMAGENET, SKIPS, resnet
from tailor_jax.build.retinanet import retinanet_r50_fpn
from tailor_jax.build.squeezenet import squeezenet
from tailor_jax.build.vgg import vgg16
from tailor_jax.build.yolo import yolov3
from tailor_jax.graph import Graph

NETWORKS: dict[str, Callable[..., Graph]] = {
    'mobilenet_v2': mobilenet_v2,
    'quartznet': quartznet,
    'vgg16': vgg16,
    'squeezenet': squeezenet,
    'squeezenet1_1': functools.partial(squeezenet, version='1.1'),
    'efficientnet_b1': efficientnet_b1,
    'yolov3': yolov3,
    'retinanet_r50_fpn': retinanet_r50_fpn,
}


def named(
    name: str,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    width: int | None = None,
    skips: str | None = None,
) -> Graph:
    """The network of a name; what is not given is its paper's: ImageNet's 224x224 and 1,000 classes, CIFAR's 32x32 and
    10, or the builder's default.

    Args:
      name: resnetN, N = 6n + 2 or an ImageNet depth; or one of `NETWORKS`. A suffix says where a ResNet's skips sit:
        resnet20_short.
      input_shape: (H, W, C).
      classes: outputs.
      width: channels of a ResNet's first stage.
      skips: in place of the suffix.

    Raises:
      ValueError: for an unknown name, or arguments that the network does not take.
    """
    if name in NETWORKS:
        if width is not None:
            raise ValueError(f'{name} has no width; it is set for ResNets only')
        given = {'input_shape': input_shape, 'classes': classes, 'skips': skips}
        return NETWORKS[name](**{key: value for key, value in given.items() if value is not None})
    match = re.fullmatch(r'resnet(\d+)(?:_(.+))?', name)
    if not match:
        near = difflib.get_close_matches(name, ('resnet8', 'resnet20', 'resnet50', *NETWORKS), 1)
        hint = f'; did you mean {near[0]!r}?' if near else ''
        raise ValueError(
            f'no network {name!r}; give resnetN (N = 8, 20, 50, ..., with a suffix such as resnet20_short), '
            f'{", ".join(NETWORKS)}{hint}'
        )
    depth, suffix = int(match[1]), match[2]
    if suffix and skips is not None and suffix != skips:
        raise ValueError(f'{name} asks for {suffix!r} skips and the skips given are {skips!r}; give one of them')
    where = suffix or ('long' if skips is None else skips)
    if where not in SKIPS:
        near = difflib.get_close_matches(where, SKIPS, 1)
        raise ValueError(
            f'{name}: skips must be one of {", ".join(SKIPS)}, got {where!r}'
            + (f'; did you mean {near[0]!r}?' if near else '')
        )
    size, labels = ((224, 224, 3), 1000) if depth in IMAGENET else ((32, 32, 3), 10)
    return resnet(
        depth, size if input_shape is None else input_shape, labels if classes is None else classes, width, where
    )
