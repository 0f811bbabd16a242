"""Networks by name, as commands and configs take them: resnet8, resnet20_short, resnet50, mobilenet_v2, yolov3.

A module of this package that has a dict `NETWORKS = {name: builder}` adds those names; nothing else lists them. A
builder is a function (input_shape=, classes=, and what else it takes) -> Graph whose defaults are its paper's.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tailor_jax.build.resnet import IMAGENET, SKIPS, resnet
from tailor_jax.fields import hint, shown
from tailor_jax.graph import Graph

Network = Callable[..., Graph]

_RESNET = re.compile(r'resnet(\d{1,100})(?:_(.+))?', re.ASCII)


def collect(package: str, folder: Path) -> dict[str, Network]:
    """The `NETWORKS` of the modules in a package's folder, in the order of the modules' names.

    Raises ValueError for a name that two of them have.
    """
    found: dict[str, Network] = {}
    for module in sorted(each.name for each in pkgutil.iter_modules([str(folder)])):
        if module in ('__main__', 'named'):  # the command, and this module
            continue
        of_module = getattr(importlib.import_module(f'{package}.{module}'), 'NETWORKS', {})
        if twice := sorted(found.keys() & of_module.keys()):
            raise ValueError(f'{package}.{module}: NETWORKS has {twice[0]!r}, which another module has too')
        found |= of_module
    return found


NETWORKS: dict[str, Network] = collect('tailor_jax.build', Path(__file__).parent)


def takes(builder: Network) -> tuple[str, ...] | None:
    """The arguments of a builder beside input_shape and classes; None where it takes any (`**arguments`)."""
    parameters = inspect.signature(builder).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return None
    return tuple(each.name for each in parameters if each.name not in ('input_shape', 'classes'))


def check_arguments(of: str, builder: Network, arguments: dict[str, Any]) -> None:
    """Raises ValueError for an argument that the builder does not take, naming it and those that it takes."""
    if (known := takes(builder)) is not None:
        for key, value in arguments.items():
            if key not in known:
                raise ValueError(
                    f'{key} is {value!r}, but {of} has no {key}; it takes {", ".join(known) or "nothing of the kind"}'
                )


def resolve(name: str) -> tuple[Network, dict[str, Any]]:
    """(the builder of a name, the arguments that the name gives it): resnet20_short is `resnet` with a depth and skips.

    Raises ValueError for an unknown name.
    """
    if name in NETWORKS:
        return NETWORKS[name], {}
    if not (match := _RESNET.fullmatch(name)):
        raise ValueError(
            f'no network {shown(name)}; give resnetN (N = 8, 20, 50, ..., with a suffix such as resnet20_short), '
            f'{", ".join(NETWORKS)}{hint(name, ("resnet8", "resnet20", "resnet50", *NETWORKS))}'
        )
    depth, skips = int(match[1]), match[2]
    if skips is not None and skips not in SKIPS:
        raise ValueError(f'{name}: skips must be one of {", ".join(SKIPS)}, got {skips!r}{hint(skips, SKIPS)}')
    return resnet, {'depth': depth} | ({} if skips is None else {'skips': skips})


def arguments_of(name: str, arguments: dict[str, Any]) -> tuple[Network, dict[str, Any]]:
    """(the builder of a name, its arguments: the name's and the given ones, those that are None left out).

    Raises ValueError for an unknown name, an argument that the builder does not take, and one that says otherwise than
    the name.
    """
    builder, said = resolve(name)
    given = {key: value for key, value in arguments.items() if value is not None}
    check_arguments(name, builder, given)
    for key in said.keys() & given.keys():
        if said[key] != given[key]:
            raise ValueError(
                f'{name} asks for {key} {said[key]!r} and the {key} given is {given[key]!r}; give one of them'
            )
    return builder, said | given


def named(
    name: str, input_shape: tuple[int, int, int] | None = None, classes: int | None = None, **arguments: Any
) -> Graph:
    """The network of a name; what is not given, or None, is its paper's: ImageNet's 224x224 and 1,000 classes, CIFAR's
    32x32 and 10, or the builder's default.

    Args:
      name: one of `NETWORKS`, or resnetN, N = 6n + 2 or an ImageNet depth. A suffix says where a ResNet's skips sit:
        resnet20_short.
      input_shape: (H, W, C).
      classes: outputs.
      arguments: of the builder: width=8, skips='none'.

    Raises:
      ValueError: for an unknown name, or arguments that the network does not take.
    """
    builder, given = arguments_of(name, arguments)
    if builder is resnet and given.get('depth') in IMAGENET:
        given = {'input_shape': (224, 224, 3), 'classes': 1000} | given
    sizes = {'input_shape': input_shape, 'classes': classes}
    return builder(**given | {key: value for key, value in sizes.items() if value is not None})
