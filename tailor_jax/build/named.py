"""Networks by name, as commands take them: resnet8, resnet20_short, resnet50, mobilenet_v2, quartznet."""

from __future__ import annotations

import difflib
import re

from tailor_jax.build.mobilenet import mobilenet_v2
from tailor_jax.build.quartznet import quartznet
from tailor_jax.build.resnet import IMAGENET, SKIPS, resnet
from tailor_jax.graph import Graph


def named(
    name: str, input_shape: tuple[int, int, int] | None = None, classes: int | None = None, width: int | None = None, skips: str | None = None
) -> Graph:
    """The network of a name; what is not given is what its paper has: ImageNet's 224x224 and 1,000 classes, or CIFAR's 32x32 and 10.

    Args:
      name: resnetN, N = 6n + 2 or an ImageNet depth; mobilenet_v2; quartznet. A suffix says where a ResNet's skips sit: resnet20_short.
      input_shape: (H, W, C).
      classes: outputs.
      width: channels of a ResNet's first stage.
      skips: in place of the suffix.

    Raises:
      ValueError: for an unknown name, or arguments that the network does not take.
    """
    if name in ('mobilenet_v2', 'quartznet'):
        if width:
            raise ValueError(f'{name} has no width; it is set for ResNets only')
        builder, shape, labels = (mobilenet_v2, (224, 224, 3), 1000) if name == 'mobilenet_v2' else (quartznet, (1, 256, 64), 29)
        return builder(input_shape or shape, classes or labels, skips=skips or 'long')
    match = re.fullmatch(r'resnet(\d+)(?:_(.+))?', name)
    if not match:
        near = difflib.get_close_matches(name, ('resnet8', 'resnet20', 'resnet50', 'mobilenet_v2', 'quartznet'), 1)
        hint = f'; did you mean {near[0]!r}?' if near else ''
        raise ValueError(
            f'no network {name!r}; give resnetN (N = 8, 20, 50, ..., with a suffix such as resnet20_short), mobilenet_v2, quartznet{hint}'
        )
    depth, suffix = int(match[1]), match[2]
    if suffix and skips and suffix != skips:
        raise ValueError(f'{name} asks for {suffix!r} skips and the skips given are {skips!r}; give one of them')
    where = suffix or skips or 'long'
    if where not in SKIPS:
        near = difflib.get_close_matches(where, SKIPS, 1)
        raise ValueError(f'{name}: skips must be one of {", ".join(SKIPS)}, got {where!r}' + (f'; did you mean {near[0]!r}?' if near else ''))
    size, labels = ((224, 224, 3), 1000) if depth in IMAGENET else ((32, 32, 3), 10)
    return resnet(depth, input_shape or size, classes or labels, width, where)
