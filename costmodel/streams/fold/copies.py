"""Parts of a network that are built alike, so that a program counts the ways of one in place of choosing for each.

A class of tensors that meets three or more ends of layers, as the tensor that goes through a stage of a residual
network does, is a hub. Hubs cut a network into paths of layers and classes: the layers of a block. Paths between the
same hubs, whose layers and classes are alike, are copies of one. How often each lanes and each way of a path is chosen
tells what its copies are up to their order: where two layers meet in a class, any two of equal lanes go together.
"""

from __future__ import annotations

import collections
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from costmodel.streams.fold.catalogue import Place, TensorClass


class Path(NamedTuple):
    """Copies of a path. For each copy, indices of its classes and of its places, the places in an order in which each
    meets one of those before it."""

    classes: tuple[tuple[int, ...], ...]
    places: tuple[tuple[int, ...], ...]


def paths(classes: Sequence[TensorClass], places: Sequence[Place]) -> tuple[tuple[int, ...], tuple[Path, ...]]:
    """(indices of the hubs, and of classes that no layer meets; the paths between them)."""
    ends: dict[int, list[int]] = {index: [] for index in range(len(classes))}
    for number, place in enumerate(places):
        for index in place.ends:
            ends[index].append(number)
    inner = {index for index, met in ends.items() if 1 <= len(met) <= 2}
    alike: dict[Hashable, list[tuple[tuple[int, ...], tuple[int, ...]]]] = collections.defaultdict(list)
    left = dict.fromkeys(range(len(places)))
    while left:
        path = _walked(next(iter(left)), places, ends, inner, left)
        within = tuple(dict.fromkeys(index for each in path for index in places[each].ends if index in inner))
        alike[_signature(path, within, classes, places)].append((within, path))
    found = tuple(Path(tuple(each[0] for each in group), tuple(each[1] for each in group)) for group in alike.values())
    return tuple(index for index in ends if index not in inner), found


def _walked(
    number: int, places: Sequence[Place], ends: dict[int, list[int]], inner: set[int], left: dict[int, None]
) -> tuple[int, ...]:
    """The path through a place; taken out of `left`."""
    path, following = [], [number]
    while following:
        number = following.pop()
        if number in left:
            del left[number]
            path.append(number)
            following += [other for index in places[number].ends if index in inner for other in ends[index]]
    return tuple(path)


def _signature(
    path: tuple[int, ...], within: tuple[int, ...], classes: Sequence[TensorClass], places: Sequence[Place]
) -> Hashable:
    """Equal for copies."""

    def end(index: int) -> tuple[str, int]:
        return ('path', within.index(index)) if index in within else ('hub', index)

    made = tuple((id(places[each].kind), end(places[each].source), end(places[each].target)) for each in path)
    return made, tuple(
        (classes[index].lanes, classes[index].cycles.tobytes(), classes[index].amounts.tobytes()) for index in within
    )
