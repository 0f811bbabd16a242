"""The door: what comes from a file is parsed field by field, by type and range, before anything uses it.

    fields = Fields(parse_json(text, where), where)
    bits, name = fields.integer('bits', 1, 64), fields.text('name', NAME)
    fields.end()                                        # a field that nobody took is an error

Every message names the file or the object in it (`where`), the field, what was given and what was expected.
"""

from __future__ import annotations

import difflib
import json
import math
import numbers
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tailor_jax import files

MOST_BYTES = 64 << 20  # of a JSON file that is read at all
REQUIRED: Any = object()  # the default of a field that must be there


class FormatError(ValueError):
    """A file that is damaged, of another version, or no file of this program's."""


def parse_json(text: str | bytes, where: str, error: type[Exception] = FormatError) -> Any:
    """JSON by the book: no NaN, no key twice, no nesting that Python cannot follow. Raises `error` naming `where`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f'key {shown(next(name for name in names if names.count(name) > 1))} is there twice')
        return found

    def constant(name: str) -> Any:
        raise ValueError(f'{name} is no JSON number')

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except (ValueError, RecursionError) as cause:
        reason = 'nested too deeply' if isinstance(cause, RecursionError) else str(cause)
        raise error(f'{where} is damaged, or no JSON: {reason}') from None


def read_fields(path: str | Path, kind: str, version: int, error: type[Exception] = FormatError) -> Fields:
    """The object in a JSON file that `header(kind, version)` begins, without its header.

    Raises FileNotFoundError, or `error` naming the file: too large, damaged, of another kind or version.
    """
    return parse_fields(read_text(path, error), str(path), kind, version, error)


def read_text(path: str | Path, error: type[Exception] = FormatError) -> bytes:
    """The bytes of a text file of sensible size. Raises FileNotFoundError, or `error` naming the file."""
    try:
        return files.read(path, MOST_BYTES)
    except FileNotFoundError:
        raise
    except OSError as cause:
        raise error(str(cause) if str(path) in str(cause) else f'{path}: {cause}') from None


def parse_fields(
    text: str | bytes, where: str, kind: str, version: int, error: type[Exception] = FormatError
) -> Fields:
    """As `read_fields`, of text that is there already."""
    fields = Fields(parse_json(text, where, error), where, error)
    fields.header(kind, version)
    return fields


def header(kind: str, version: int) -> dict[str, Any]:
    """What every JSON file of ours begins with."""
    return {'format': f'tailor_jax.{kind}', 'version': version}


class Fields:
    """A JSON object whose fields are taken one by one.

    Args:
      value: the object; anything else is an error.
      where: of the object, for messages: a file, 'node s1b0_conv1 of FILE'.
      error: the class of the errors raised.
    """

    def __init__(self, value: Any, where: str, error: type[Exception] = FormatError):
        if not isinstance(value, Mapping):
            raise error(f'{where}: expected an object, got {shown(value)}')
        self.where, self.error = where, error
        self._left: dict[str, Any] = dict(value)
        self._known: list[str] = []

    def take(self, key: str, default: Any = REQUIRED) -> Any:
        """A field as it is, for a parser of its own."""
        self._known.append(key)
        if key not in self._left and default is REQUIRED:
            raise self.error(f'{self.where}: {key!r} is missing')
        return self._left.pop(key, default)

    def header(self, kind: str, version: int) -> None:
        """Takes 'format' and 'version', which must be these."""
        given = (self.take('format', None), self.take('version', None))
        if given[0] != f'tailor_jax.{kind}':
            raise self.error(f"{self.where}: expected a file with format 'tailor_jax.{kind}', got {shown(given[0])}")
        if given[1] is True or given[1] != version:
            raise self.error(f'{self.where}: its version is {shown(given[1])}; this program reads version {version}')

    def integer(self, key: str, lo: int, hi: int, default: Any = REQUIRED) -> int:
        """An integer of lo..hi."""
        return self._checked(key, default, lambda value: is_integer(value, lo, hi), f'an integer of {lo}..{hi}')

    def number(self, key: str, lo: float = -math.inf, hi: float = math.inf, default: Any = REQUIRED) -> float:
        """A finite number of lo..hi."""
        expected = 'a finite number' + (f' of {lo:g}..{hi:g}' if (lo, hi) != (-math.inf, math.inf) else '')
        return self._checked(key, default, lambda value: _is_number(value) and lo <= value <= hi, expected)

    def boolean(self, key: str, default: Any = REQUIRED) -> bool:
        return self._checked(key, default, lambda value: isinstance(value, bool), 'true or false')

    def text(
        self, key: str, pattern: re.Pattern | None = None, choices: Sequence[str] | None = None, default: Any = REQUIRED
    ) -> str:
        """Text that matches the whole pattern, or is one of the choices, where these are given."""
        expected = f'one of {", ".join(choices)}' if choices else f'text like {pattern.pattern}' if pattern else 'text'
        return self._checked(key, default, lambda value: _is_text(value, pattern, choices), expected)

    def integers(
        self, key: str, lo: int, hi: int, count: int | None = None, default: Any = REQUIRED
    ) -> tuple[int, ...]:
        """A list of integers of lo..hi, `count` of them where it is given."""

        def holds(value: Any) -> bool:
            return (
                isinstance(value, list)
                and count in (None, len(value))
                and all(is_integer(each, lo, hi) for each in value)
            )

        return tuple(
            self._checked(
                key, default, holds, f'a list of {"" if count is None else f"{count} "}integers of {lo}..{hi}'
            )
        )

    def texts(self, key: str, pattern: re.Pattern | None = None, default: Any = REQUIRED) -> tuple[str, ...]:
        """A list of texts."""
        expected = 'a list of texts' + (f' like {pattern.pattern}' if pattern else '')

        def holds(value: Any) -> bool:
            return isinstance(value, list) and all(_is_text(each, pattern, None) for each in value)

        return tuple(self._checked(key, default, holds, expected))

    def object(self, key: str, default: Any = REQUIRED) -> Fields:
        """An object in it."""
        return Fields(self.take(key, default), f'{self.where}: {key}', self.error)

    def objects(self, key: str) -> list[Fields]:
        """A list of objects in it."""
        value = self._checked(key, REQUIRED, lambda value: isinstance(value, list), 'a list')
        return [Fields(each, f'{self.where}: {key}[{index}]', self.error) for index, each in enumerate(value)]

    def names(self) -> Iterator[str]:
        """The names of the fields not yet taken: of an object whose keys are data."""
        return iter(tuple(self._left))

    def end(self) -> None:
        """Raises unless every field has been taken."""
        for key in self._left:
            expected = hint(key, self._known) or f'; expected only {", ".join(self._known) or "none"}'
            raise self.error(f'{self.where}: unknown field {shown(key)}{expected}')

    def _checked(self, key: str, default: Any, holds: Any, expected: str) -> Any:
        value = self.take(key, default)
        if value is not default and not holds(value):
            raise self.error(f'{self.where}: {key!r} is {shown(value)}; expected {expected}')
        return value


def plain(value: Any) -> Any:
    """A number of numpy as the Python number that it is; anything else as it is."""
    if type(value) in (bool, int, float) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def is_integer(value: Any, lo: int | None = None, hi: int | None = None) -> bool:
    """Whether it is an integer of lo..hi (of either side any, where that is None); True and False are none."""
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return (lo is None or lo <= value) and (hi is None or value <= hi)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


def _is_text(value: Any, pattern: re.Pattern | None, choices: Sequence[str] | None) -> bool:
    return (
        isinstance(value, str)
        and (pattern is None or pattern.fullmatch(value) is not None)
        and (choices is None or value in choices)
    )


def hint(given: Any, known: Iterable[str], cutoff: float = 0.6) -> str:
    """'; did you mean ...?' where what was given is near a known name, else ''."""
    near = difflib.get_close_matches(str(given), list(known), 1, cutoff)
    return f'; did you mean {near[0]!r}?' if near else ''


def shown(value: Any) -> str:
    """A value for a message, in one line, cut where it is long."""
    try:
        text = ' '.join(repr(value).split())
    except ValueError:  # an integer of more digits than Python writes
        text = 'a huge number'
    except Exception:  # whatever a __repr__ of a user's raises
        text = f'a {type(value).__name__}'
    return text if len(text) <= 80 else f'{text[:77]}...'
