"""The configuration as a value: a locked ConfigDict of fixed keys and types, whose errors name the whole key.

config.model.depth = 14                     # an int where an int was; a float key takes an int too
config.cost.budget = {'lut': 20000}         # a dict sets the keys that it has, the section keeps its others
config.quant.weight_bit = 6                 # ConfigError: config.quant has no key 'weight_bit'; did you mean ...?
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict, FieldReference

from tailor_jax.fields import hint, shown

_EXPECTED = {bool: 'True or False', int: 'an integer', float: 'a number', str: 'text', tuple: "texts, as ('lut', 'ff')"}
_BOOLEANS = {'true': True, 't': True, '1': True, 'false': False, 'f': False, '0': False}


class ConfigError(ValueError):
    """A config value that cannot be used. The message names the key, what was given and what is expected."""


class UnknownKey(ConfigError, AttributeError, KeyError):
    """A key that does not exist, however it was asked for: `hasattr`, `get` and `copy` know it as theirs."""

    def __str__(self) -> str:
        return str(self.args[0])


class Config(ConfigDict):
    """A section of the configuration, or all of it.

    Args:
      where: what it is called in messages, 'config.train'.
      values: its keys and their defaults. `config_dict.placeholder(type)` is a key that may be None.
      elsewhere: {name: what to say of it} of names that are no keys here, or sections that were values.
    """

    def __init__(
        self,
        where: str = 'config',
        values: Mapping[str, Any] | None = None,
        elsewhere: Mapping[str, str] | None = None,
    ):
        super().__init__()
        object.__setattr__(self, '_where', where)
        object.__setattr__(self, '_elsewhere', dict(elsewhere or {}))
        for key, value in (values or {}).items():
            self[key] = value

    @property
    def where(self) -> str:
        """What it is called in messages."""
        return self._where

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        for name in ('_where', '_elsewhere'):
            object.__setattr__(self, name, state[name])

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_'):  # what copy and pickle look for before there are fields
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __getitem__(self, key: str) -> Any:
        """The value at a key of this section, or at a dotted one below it."""
        first, _, rest = str(key).partition('.')
        self._must_have(first)
        value = super().__getitem__(first)
        if rest and not isinstance(value, Config):
            raise UnknownKey(f'{self.where}.{first} is a value, and has no key {rest!r}')
        return value[rest] if rest else value

    def __setitem__(self, key: str, value: Any) -> None:
        first, _, rest = str(key).partition('.')
        if rest:
            section = self[first]
            if not isinstance(section, Config):
                raise UnknownKey(f'{self.where}.{first} is a value, and has no key {rest!r}')
            section[rest] = value
            return
        if not self.is_locked:
            super().__setitem__(key, value)
            return
        self._must_have(first)
        old = self[first]
        if isinstance(old, Config):
            if not isinstance(value, Mapping | ConfigDict):
                raise self.no_section(first, f'{old.where} is {shown(value)}; expected a section')
            old.update(value)
            return
        super().__setitem__(first, typed(f'{self.where}.{first}', value, *self.type_of(first)))

    def no_section(self, key: str, problem: str) -> ConfigError:
        """The error of a section that was given what is none; it says so where the name was a value's."""
        was = f'; {self[key].where} {self._elsewhere[key]}' if key in self._elsewhere else ''
        return ConfigError(f'{problem}, as {{{next(iter(self[key]))!r}: ...}}{was}')

    def update(self, *other: Any, **kwargs: Any) -> None:
        """Sets the keys that are given, in sections too."""
        for each in (*other, kwargs):
            for key, value in each.items():
                self[key] = value

    def type_of(self, key: str) -> tuple[type, bool]:
        """(the type of a key, whether it may be None)."""
        field = self._fields[key]
        return (field.get_type(), True) if isinstance(field, FieldReference) else (type(field), False)

    def _must_have(self, key: str) -> None:
        if key in self._fields:
            return
        if key in self._elsewhere:
            raise UnknownKey(f'{self.where}.{key} {self._elsewhere[key]}')
        near = hint(key, self._fields) or f'; it has {", ".join(self)}'
        raise UnknownKey(f'{self.where} has no key {shown(key)}{near}')


def typed(where: str, value: Any, kind: type, optional: bool = False) -> Any:
    """A value as the type of its key. Raises ConfigError naming the key for one that is of another type."""
    if isinstance(value, FieldReference):
        value = value.get()
    if isinstance(value, np.generic):
        value = value.item()
    if value is None and optional:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and is_number and abs(value) <= 10**300:
        return float(value)
    if kind is float and isinstance(value, float):  # inf and NaN: for the ranges to name
        return value
    if kind is tuple and isinstance(value, tuple | list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    if isinstance(value, kind) and (kind in (bool, str) or (kind is int and is_number)):
        return value
    raise ConfigError(f'{where} is {shown(value)}; expected {_EXPECTED[kind]}' + (' or None' if optional else ''))


def parsed(where: str, text: str, kind: type, optional: bool = False) -> Any:
    """As `typed`, of a value's text on the command line. What 'none' means among texts is for their key to say."""
    if optional and kind is not tuple and text.lower() == 'none':
        return None
    try:
        if kind in (int, float):
            return typed(where, kind(text), kind)
        if kind is bool:
            return _BOOLEANS[text.lower()]
        if kind is tuple:
            return typed(where, _texts(text), tuple)
        return typed(where, text, str)
    except (
        ValueError,
        KeyError,
        SyntaxError,
        RecursionError,
        MemoryError,
    ):  # the last three of the Python literal of a tuple
        raise ConfigError(
            f'{where} is {shown(text)}; expected {_EXPECTED[kind]}' + (' or none' if optional else '')
        ) from None


def _texts(text: str) -> tuple:
    """The tuple that `lut,ff` or the Python literal `('lut', 'ff')` stands for."""
    if text.strip().startswith(('(', '[')):
        return tuple(ast.literal_eval(text.strip()))
    return tuple(part.strip() for part in text.split(',')) if text.strip() else ()
