"""What a setting of a target is, stated once: its default, what it may be, and a line of help.

    device: str = setting(OneOf(tuple(DEVICES)), 'part to fit into', 'zcu104')    # a field of a target's dataclass
    settings_of(Dataflow)['device']                                               # the same as a value

The dataclass checks its values by it (`check_values`), the command line takes its flags from it, and so may a config or
a page. A check takes (key, value) and returns the value as a plain one, or raises CostError naming the key and what is
expected. Integers of numpy are integers; a float, a bool or text is none.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from costmodel.cost import CostError
from tailor_jax.fields import hint, plain

MOST_BITS = 32  # of weights and activations; training and `run_int` take 2..16
MOST = 1 << 40  # bytes, cycles, and what else is a size
MOST_RATE = 1e9  # of a clock or a bandwidth, and of its inverse


@dataclasses.dataclass(frozen=True)
class Check(abc.ABC):
    """What a setting may be. `kind` is the type of a value on a command line or in a config."""

    kind: ClassVar[type] = str

    @property
    @abc.abstractmethod
    def expected(self) -> str:
        """What it may be, in words."""

    @abc.abstractmethod
    def __call__(self, key: str, value: Any) -> Any:
        """The value as a plain one."""

    def of_text(self, key: str, text: Any) -> Any:
        """What a value of type `kind` stands for, where that is not the value itself."""
        return text


@dataclasses.dataclass(frozen=True)
class OneOf(Check):
    """One of these names."""

    known: tuple[str, ...]

    @property
    def expected(self) -> str:
        return f'one of {", ".join(self.known)}'

    def __call__(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or value not in self.known:
            raise CostError(f'{key} must be {self.expected}, got {value!r}{hint(value, self.known)}')
        return str(value)


@dataclasses.dataclass(frozen=True)
class Text(Check):
    """Any text; `names` says what it names."""

    names: str

    @property
    def expected(self) -> str:
        return self.names

    def __call__(self, key: str, value: Any) -> str:
        if not isinstance(value, str):
            raise CostError(f'{key} must be {self.expected}, got {value!r}')
        return str(value)


@dataclasses.dataclass(frozen=True)
class Integer(Check):
    """An integer of lo..hi."""

    lo: int
    hi: int
    kind: ClassVar[type] = int

    @property
    def expected(self) -> str:
        return f'an integer of {self.lo}..{self.hi}'

    def __call__(self, key: str, value: Any) -> int:
        found = plain(value)
        if type(found) is not int or not self.lo <= found <= self.hi:
            raise CostError(f'{key} must be {self.expected}, got {value!r}')
        return found


@dataclasses.dataclass(frozen=True)
class Number(Check):
    """A finite number of lo..hi, above 0: neither so small nor so large that what is divided by it is none."""

    lo: float = 1 / MOST_RATE
    hi: float = MOST_RATE
    kind: ClassVar[type] = float

    @property
    def expected(self) -> str:
        return f'a number of {self.lo:g} to {self.hi:g}'

    def __call__(self, key: str, value: Any) -> float:
        found = plain(value)
        if type(found) not in (int, float) or not 0 < found < math.inf:
            raise CostError(f'{key} must be a finite number above 0, got {value!r}')
        if not self.lo <= found <= self.hi:
            raise CostError(f'{key} must be {self.expected}, got {value!r}')
        return found


@dataclasses.dataclass(frozen=True)
class Boolean(Check):
    """True or False."""

    kind: ClassVar[type] = bool

    @property
    def expected(self) -> str:
        return 'True or False'

    def __call__(self, key: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise CostError(f'{key} must be {self.expected}, got {value!r}')
        return value


@dataclasses.dataclass(frozen=True)
class ByNode(Check):
    """{node: integer of lo..hi}, or its pairs, as pairs in order of the names.

    Attributes:
      weighted: whether only nodes with weights of their own have such a number; else every node of the folded graph.
      common: whether it may also be one integer for all nodes.
    """

    lo: int
    hi: int
    weighted: bool = False
    common: bool = False

    @property
    def expected(self) -> str:
        return f'{"a number or " if self.common else ""}NODE=NUMBER,...'

    def __call__(self, key: str, value: Any) -> int | tuple[tuple[str, int], ...]:
        if self.common and not isinstance(value, (Mapping, tuple)):
            return Integer(self.lo, self.hi)(key, value)
        try:
            pairs = dict(value)
        except (TypeError, ValueError):
            raise CostError(f'{key} must be a mapping of nodes to integers, got {value!r}') from None
        for name in pairs:
            if not isinstance(name, str):
                raise CostError(f'{key} must be a mapping of names of nodes, got the name {name!r}')
        number = Integer(self.lo, self.hi)
        return tuple(sorted((name, number(f'{key} of node {name!r}', each)) for name, each in pairs.items()))

    def of_text(self, key: str, text: str) -> int | dict[str, int]:
        """The numbers of 'stem_conv=4,head_dense=2', or the one of '4'."""
        if self.common and text.isdecimal():
            return int(text)
        if not re.fullmatch(r'\w+=\d+(,\w+=\d+)*', text):
            raise CostError(f'{key} must be {self.expected}, got {text!r}')
        pairs = [part.split('=') for part in text.split(',')]
        names = [name for name, _ in pairs]
        if twice := [name for name in names if names.count(name) > 1]:
            raise CostError(f'{key} gives node {twice[0]!r} two numbers, got {text!r}')
        return {name: int(value) for name, value in pairs}


@dataclasses.dataclass(frozen=True)
class Blocks(Check):
    """Names of blocks in a list or tuple, each once."""

    kind: ClassVar[type] = tuple

    @property
    def expected(self) -> str:
        return 'a list or tuple of names'

    def of_text(self, key: str, text: str | tuple[str, ...]) -> tuple[str, ...]:
        """The names of 's1b0,s2b0', or of its parts; there are none in 'none' and in ''."""
        parts = text.split(',') if isinstance(text, str) and text else text
        names = tuple(part.strip() for part in parts)
        return () if names == ('none',) else names

    def __call__(self, key: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
            raise CostError(f'{key} must be {self.expected}, got {value!r}')
        if twice := [name for name in value if value.count(name) > 1]:
            raise CostError(f'{key} has {twice[0]!r} twice')
        return tuple(value)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting of a target.

    Attributes:
      check: what it may be; None too, where None is the default.
      help: what it is, in a line.
      default: what the target takes where it is not given; `dataclasses.MISSING` where it must be given.
      policies: the target's policies that have it; () for all.
    """

    check: Check
    help: str
    default: Any
    policies: tuple[str, ...] = ()

    def checked(self, key: str, value: Any) -> Any:
        """The value as a plain one. Raises CostError naming the key."""
        return None if value is None and self.default is None else self.check(key, value)


def setting(check: Check, help: str, default: Any = dataclasses.MISSING, policies: tuple[str, ...] = ()) -> Any:
    """A field of a target's dataclass."""
    return dataclasses.field(default=default, metadata={'setting': Setting(check, help, default, policies)})


@functools.cache
def settings_of(kind: type) -> dict[str, Setting]:
    """{key: setting} of a target's dataclass."""
    return {field.name: field.metadata['setting'] for field in dataclasses.fields(kind)}


def check_values(target: Any) -> None:
    """Makes every value of a target a plain one, as the last step of making it. Raises CostError naming the key."""
    kind: type = type(target)
    for key, each in settings_of(kind).items():
        object.__setattr__(target, key, each.checked(key, getattr(target, key)))


def known(where: str, given: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Raises CostError for a setting that there is not."""
    allowed = tuple(allowed)
    for key in given:
        if key not in allowed:
            raise CostError(
                f'{where} has no setting {key!r}{hint(key, allowed)}; the settings are {", ".join(allowed)}'
            )
