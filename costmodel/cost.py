"""The exact cost of one graph: rows of integers, summed to blocks and to the network.

A row is a dict {name, op, block, resource: integer}. A resource is additive ('sum': BRAM, LUTs, bytes) or the largest
of its rows ('max': the initiation interval); the same rule takes rows to blocks and to the total. Works for every
target.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tailor_jax.dataflow.plan import Plan


class CostError(ValueError):
    """A target, a setting or a network that cannot be priced. The message names what was given and what is possible."""


class TooSmall(CostError):
    """Buffers that a network cannot run in. `least` is the number of bytes that would do."""

    def __init__(self, least: int, message: str):
        super().__init__(message)
        self.least = least


REDUCE: dict[str, Callable[[Iterable[int]], int]] = {'sum': sum, 'max': max}
LABELS = ('name', 'op', 'block')


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a graph costs on a target.

    Attributes:
      target: the settings it was priced under.
      total: {resource: integer} of the network, with resources that have no rows, such as a latency.
      nodes: a row a node of the folded graph: {name, op, block, resource: integer}.
      blocks: a row a block, op 'block'.
      fifos: a row a stream: {name, node, depth, width_bits, fifo_bits, storage, ...}; empty for targets without
        streams.
      plan: what a design that costs this is emitted from; None for targets without streams.
    """

    target: Any
    total: dict[str, int]
    nodes: list[dict[str, Any]]
    blocks: list[dict[str, Any]]
    fifos: list[dict[str, Any]]
    plan: Plan | None = None

    @property
    def depths(self) -> dict[str, int]:
        """{FIFO: its depth in words}."""
        return {row['name']: row['depth'] for row in self.fifos}


def reduced(rows: Iterable[Mapping[str, Any]], reductions: Mapping[str, str]) -> dict[str, int]:
    """{resource: integer} of several rows together."""
    rows = list(rows)
    return {resource: REDUCE[reduction](row[resource] for row in rows) for resource, reduction in reductions.items()}


def by_block(rows: Iterable[Mapping[str, Any]], reductions: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of the blocks, in the order in which they first appear; a node without a block is a block of its own."""
    members: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        members.setdefault(row['block'] or row['name'], []).append(row)
    return [
        {'name': name, 'op': 'block', 'block': name, **reduced(group, reductions)} for name, group in members.items()
    ]
