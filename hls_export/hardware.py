"""hardware.json of a project: what the cost model said of the design, as far as this package reads it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hls_export.index import ExportError
from tailor_jax.fields import Fields, read_fields

FILE = 'hardware.json'
FORMAT = ('hardware', 1)
MOST = 1e15

Resources = Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Hardware:
    """Resources of each node and FIFO, and in all.

    Attributes:
      nodes: [{'name', 'op', resource: number}].
      fifos: [{'name', 'node' that it is charged to, 'producer', 'consumer', resource: number}].
      total: {resource: number}.
    """

    nodes: tuple[Mapping[str, Any], ...]
    fifos: tuple[Mapping[str, Any], ...]
    total: Resources


def read(path: str | os.PathLike, resources: tuple[str, ...]) -> Hardware:
    """The hardware.json of a project. Raises ExportError naming the file where it is missing, damaged, or lacks what
    is read of it.
    """
    fields = _fields(path)
    nodes = [
        {key: row.text(key) for key in ('name', 'op')} | _numbers(row, resources) for row in fields.objects('nodes')
    ]
    fifos = [
        {key: row.text(key) for key in ('name', 'node', 'producer', 'consumer')} | _numbers(row, resources, default=0)
        for row in fields.objects('fifos')
    ]
    return Hardware(tuple(nodes), tuple(fifos), _numbers(fields.object('total'), resources))


def total(path: str | os.PathLike) -> dict[str, float]:
    """{resource: number} of the whole design. Raises ExportError as `read` does."""
    found = _fields(path).object('total')
    return {name: found.number(name) for name in found.names()}


def _fields(path: str | os.PathLike) -> Fields:
    file = Path(path) / FILE
    try:
        return read_fields(file, *FORMAT, ExportError)
    except FileNotFoundError:
        raise ExportError(f'{str(file)!r} is missing; python -m experiments.export writes it') from None


def _numbers(row: Fields, resources: tuple[str, ...], **default: int) -> dict[str, float]:
    return {name: row.number(name, 0, MOST, **default) for name in resources}
