"""A point of the grid: a part and its parameters, and the key that names both."""

from __future__ import annotations

import dataclasses
import re

TEXTS = ('style', 'multiplier')  # parameters that are no numbers


@dataclasses.dataclass(frozen=True)
class Point:
    """A template and its parameters, as an ordered tuple of pairs."""

    kind: str
    parameters: tuple[tuple[str, int | str], ...]

    def __getitem__(self, name: str) -> int:
        return dict(self.parameters)[name]  # type: ignore[return-value]

    def text(self, name: str) -> str:
        return str(dict(self.parameters).get(name, ''))

    @property
    def key(self) -> str:
        return ' '.join([self.kind, *(f'{name}={value}' for name, value in self.parameters)])


def point(kind: str, **parameters: int | str) -> Point:
    return Point(kind, tuple(parameters.items()))


def parse(key: str) -> Point:
    """The point of a key. Raises ValueError for text that is none."""
    kind, *pairs = key.split()
    found: dict[str, int | str] = {}
    for pair in pairs:
        name, _, value = pair.partition('=')
        if name not in TEXTS and not re.fullmatch(r'-?\d{1,9}', value):
            raise ValueError(f'{pair!r} is no parameter with its number')
        found[name] = value if name in TEXTS else int(value)
    return Point(kind, tuple(found.items()))
