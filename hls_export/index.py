"""project.json: the mark of a project of ours, the plan that it was written for, and what its test data must be.

{'format': 'tailor_jax.project', 'version': 3, 'family', 'part', 'clock_mhz',
 'folding': {'lanes': {node: lanes}, 'layers': {node: {'taps', 'lanes', 'outputs'}}},
 'absorbed': {add: conv}, 'handed': {tensor: {'host', 'pixels'}},
 'latency_cycles': {process: cycles}, 'fifos': {stream: {'depth', 'storage', 'rows', 'more', 'rest'}},
 'lines': {process: memory}, 'replays': {node: memory}, 'multipliers': {node: 'dsp', 'pair' or 'lut'},
 'images': how many, 'test_data': {file in tb_data: {'bytes', 'sha256'}}}
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from tailor_jax import files
from tailor_jax.dataflow import plan as planning
from tailor_jax.dataflow.design import Hand
from tailor_jax.dataflow.folding import TAPS, WEIGHTS, Folding, Layer
from tailor_jax.dataflow.plan import Fifo, Plan
from tailor_jax.fields import Fields, FormatError, header, parse_json, read_fields, read_text
from tailor_jax.files import LockedError
from tailor_jax.graph import GraphError
from tailor_jax.node import MOST_CHANNELS, MOST_PIXELS, NAME

MARKER = 'project.json'
FORMAT = ('project', 3)
TEST_DATA = ('images.bin', 'expected.bin', 'labels.bin')  # in tb_data
MOST_IMAGES, MOST_BYTES = 1 << 31, 1 << 36
_SHA256 = re.compile('[0-9a-f]{64}')
_Value = TypeVar('_Value')


class ExportError(Exception):
    """A project that cannot be written, built or run. The message names the file and says what to do."""


class ExistsError(ExportError):
    """What is to be written is there already, and `overwrite` was not given."""


USER_ERRORS = (ExportError, FormatError, GraphError, LockedError)  # what a command's user can cause


@dataclasses.dataclass(frozen=True)
class Digest:
    """What identifies the content of a file."""

    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Index:
    """A project.json: the plan, the number of images in tb_data, and the digest of each file there."""

    plan: Plan
    images: int
    test_data: Mapping[str, Digest]


def digest(content: bytes) -> Digest:
    return Digest(len(content), hashlib.sha256(content).hexdigest())


def to_json(index: Index) -> str:
    """The text of a project.json; `load` is the inverse."""
    plan = index.plan
    values = {
        **header(*FORMAT),
        'family': plan.family,
        'part': plan.part,
        'clock_mhz': plan.clock_mhz,
        'folding': {
            'lanes': dict(plan.folding.lanes),
            'layers': {name: dataclasses.asdict(layer) for name, layer in plan.folding.layers.items()},
        },
        'absorbed': dict(plan.absorbed),
        'handed': {name: dataclasses.asdict(hand) for name, hand in plan.handed.items()},
        'latency_cycles': dict(plan.latency_cycles),
        'fifos': {name: dataclasses.asdict(fifo) for name, fifo in plan.fifos.items()},
        'lines': dict(plan.lines),
        'replays': dict(plan.replays),
        'multipliers': dict(plan.multipliers),
        'images': index.images,
        'test_data': {name: dataclasses.asdict(found) for name, found in index.test_data.items()},
    }
    return json.dumps(values, indent=1) + '\n'


def load(path: str | os.PathLike) -> Index:
    """The project.json of a project. Raises ExportError naming the directory without one, or the damaged file."""
    file = Path(path) / MARKER
    try:
        fields = read_fields(file, *FORMAT, ExportError)
    except (FileNotFoundError, NotADirectoryError):
        raise ExportError(f'{str(path)!r} is not a project that hls_export.write made: it has no {MARKER}') from None
    plan = _plan(fields)
    images, stored = fields.integer('images', 1, MOST_IMAGES), fields.object('test_data')
    test_data = {}
    for name in TEST_DATA:
        row = stored.object(name)
        test_data[name] = Digest(row.integer('bytes', 1, MOST_BYTES), row.text('sha256', _SHA256))
        row.end()
    stored.end()
    fields.end()
    return Index(plan, images, test_data)


def _plan(fields: Fields) -> Plan:
    """The plan among the fields of a project.json; whether it fits a network is `plan.check`'s to say."""
    return Plan(
        _folding(fields.object('folding')),
        _each(fields.object('fifos'), _fifo),
        _values(fields, 'latency_cycles', lambda row, name: row.integer(name, 0, planning.MOST_LATENCY)),
        _values(fields, 'absorbed', lambda row, name: row.text(name, NAME)),
        _each(fields.object('handed'), lambda row: Hand(row.text('host', NAME), row.integer('pixels', 0, MOST_PIXELS))),
        _values(fields, 'lines', lambda row, name: row.text(name, choices=planning.LINES)),
        _values(fields, 'replays', lambda row, name: row.text(name, choices=planning.REPLAYS)),
        _values(fields, 'multipliers', lambda row, name: row.text(name, choices=planning.MULTIPLIERS)),
        fields.text('family', choices=planning.FAMILIES),
        fields.text('part', planning.PART),
        fields.number('clock_mhz', 0, planning.MOST_CLOCK_MHZ),
    )


def _fifo(row: Fields) -> Fifo:
    rows = row.integer('rows', 0, planning.MOST_ROWS)
    return Fifo(
        row.integer('depth', 1, planning.MOST_DEPTH),
        row.text('storage', choices=planning.STORAGE),
        rows,
        row.integer('more', 0, rows),
        row.text('rest', choices=planning.RESTS),
    )


def _folding(fields: Fields) -> Folding:
    lanes = _values(fields, 'lanes', lambda row, name: row.integer(name, 1, MOST_CHANNELS))
    layers = _each(
        fields.object('layers'),
        lambda row: Layer(
            row.text('taps', choices=TAPS),
            row.integer('lanes', 1, MOST_CHANNELS),
            row.integer('outputs', 1, MOST_CHANNELS),
            row.text('weights', choices=WEIGHTS),
        ),
    )
    fields.end()
    return Folding(lanes, layers)


def _values(fields: Fields, key: str, value: Callable[[Fields, str], _Value]) -> dict[str, _Value]:
    """An object whose keys are data, of plain values."""
    rows = fields.object(key)
    return {name: value(rows, name) for name in rows.names()}


def _each(rows: Fields, value: Callable[[Fields], _Value]) -> dict[str, _Value]:
    """An object whose keys are data, of objects."""
    found = {}
    for name in rows.names():
        row = rows.object(name)
        found[name] = value(row)
        row.end()
    return found


def check_test_data(path: str | os.PathLike, index: Index) -> None:
    """Raises ExportError naming the file of tb_data that is missing, or not the one that was written."""
    for name, expected in index.test_data.items():
        file = Path(path) / 'tb_data' / name
        try:
            found = digest(files.read(file, MOST_BYTES))
        except OSError as error:
            raise ExportError(f'{file} cannot be read: {error.strerror or error}; export the project again') from None
        if found != expected:
            changed = (
                f'it has {found.bytes:,} bytes, not {expected.bytes:,}'
                if found.bytes != expected.bytes
                else 'its SHA-256 is another'
            )
            raise ExportError(f'{file} is damaged: {changed} than {Path(path) / MARKER} says; export the project again')


def is_project(path: str | os.PathLike) -> bool:
    """Whether a directory was written by `write`, in this version or another."""
    try:
        return parse_json(read_text(Path(path) / MARKER), str(path)).get('format') == f'tailor_jax.{FORMAT[0]}'
    except (OSError, ValueError, AttributeError):
        return False
