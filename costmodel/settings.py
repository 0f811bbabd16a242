"""What settings of targets may be: each check returns the value as a plain one, or raises CostError naming the key and
what is expected.

Integers of numpy are integers; a float, a bool or text is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from costmodel.cost import CostError
from tailor_jax.fields import hint, plain

MOST_BITS = 32  # of weights and activations; training and `run_int` take 2..16
MOST = 1 << 40  # bytes, cycles, and what else is a size
MOST_RATE = 1e9  # of a clock or a bandwidth, and of its inverse


def one_of(key: str, value: Any, known: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise CostError(f'{key} must be one of {", ".join(known)}, got {value!r}{hint(value, known)}')
    return str(value)


def integer(key: str, value: Any, lo: int, hi: int) -> int:
    found = plain(value)
    if type(found) is not int or not lo <= found <= hi:
        raise CostError(f'{key} must be an integer of {lo}..{hi}, got {value!r}')
    return found


def positive(key: str, value: Any) -> float:
    """A finite number above 0, neither so small nor so large that what is divided by it is none."""
    found = plain(value)
    if type(found) not in (int, float) or not 0 < found < math.inf:
        raise CostError(f'{key} must be a finite number above 0, got {value!r}')
    if not 1 / MOST_RATE <= found <= MOST_RATE:
        raise CostError(f'{key} must be a number of {1 / MOST_RATE:g} to {MOST_RATE:g}, got {value!r}')
    return found


def boolean(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise CostError(f'{key} must be True or False, got {value!r}')
    return value


def optional(checked: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """The check of a setting that may be None."""
    return lambda key, value: None if value is None else checked(key, value)


def by_node(key: str, value: Any, lo: int, hi: int) -> tuple[tuple[str, int], ...]:
    """{node: integer}, or its pairs, as pairs in order of the names."""
    try:
        pairs = dict(value)
    except (TypeError, ValueError):
        raise CostError(f'{key} must be a mapping of nodes to integers, got {value!r}') from None
    for name in pairs:
        if not isinstance(name, str):
            raise CostError(f'{key} must be a mapping of names of nodes, got the name {name!r}')
    return tuple(sorted((name, integer(f'{key} of node {name!r}', each, lo, hi)) for name, each in pairs.items()))


def names(key: str, value: Any) -> tuple[str, ...]:
    """Names in a list or tuple, each once."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise CostError(f'{key} must be a list or tuple of names, got {value!r}')
    if twice := [name for name in value if value.count(name) > 1]:
        raise CostError(f'{key} has {twice[0]!r} twice')
    return tuple(value)


def known(where: str, given: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Raises CostError for a setting that there is not."""
    allowed = tuple(allowed)
    for key in given:
        if key not in allowed:
            raise CostError(
                f'{where} has no setting {key!r}{hint(key, allowed)}; the settings are {", ".join(allowed)}'
            )
