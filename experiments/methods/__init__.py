"""The methods: how a network loses its skips, or keeps them. docs/methods.md has a page of each.

Each module of this package has a table `METHODS` of the methods that it trains; `METHODS` here is all of them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from typing import Any

from experiments.methods.method import Method


def collected(modules: Iterable[Any]) -> dict[str, Method]:
    """The tables of modules as one. Raises ValueError for a method that two of them have."""
    found: dict[str, tuple[str, Method]] = {}
    for module in modules:
        for name, method in getattr(module, 'METHODS', {}).items():
            if name in found:
                raise ValueError(f'{module.__name__} has a method {name!r}, and so has {found[name][0]}')
            found[name] = module.__name__, method
    return {name: method for name, (_, method) in found.items()}


METHODS = collected(
    importlib.import_module(f'{__name__}.{name}')
    for name in sorted(each.name for each in pkgutil.iter_modules(__path__))
)
WEIGHTED = tuple(name for name, method in METHODS.items() if 'cost.weight' in method.keys)  # what a sweep can be of
