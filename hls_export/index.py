"""project.json: the mark of a project of ours, the plan that it was written for, and what its test data must be.

{'format': 'tailor_jax.project', 'version': 1, 'part', 'clock_mhz', 'process_latency_cycles',
 'reuse_factors': {node: factor}, 'fifos': {name: {'depth', 'storage'}},
 'images': how many, 'test_data': {file in tb_data: {'bytes', 'sha256'}}}
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from hls_export.dataflow.plan import MOST_CLOCK_MHZ, MOST_DEPTH, MOST_LATENCY, PART, STORAGE, Fifo, Plan
from tailor_jax import files
from tailor_jax.fields import FormatError, header, parse_json, read_fields, read_text
from tailor_jax.files import LockedError
from tailor_jax.graph import GraphError

MARKER = 'project.json'
FORMAT = ('project', 1)
TEST_DATA = ('images.bin', 'expected.bin', 'labels.bin')  # in tb_data
MOST_IMAGES, MOST_BYTES = 1 << 31, 1 << 36
_SHA256 = re.compile('[0-9a-f]{64}')


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
        'part': plan.part,
        'clock_mhz': plan.clock_mhz,
        'process_latency_cycles': plan.process_latency_cycles,
        'reuse_factors': dict(plan.reuse_factors),
        'fifos': {name: dataclasses.asdict(fifo) for name, fifo in plan.fifos.items()},
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
    part, clock_mhz = fields.text('part', PART), fields.number('clock_mhz', 0, MOST_CLOCK_MHZ)
    latency = fields.integer('process_latency_cycles', 0, MOST_LATENCY)
    factors, rows = fields.object('reuse_factors'), fields.object('fifos')
    reuse_factors = {name: factors.integer(name, 1, MOST_DEPTH) for name in factors.names()}
    fifos = {}
    for name in rows.names():
        row = rows.object(name)
        fifos[name] = Fifo(row.integer('depth', 1, MOST_DEPTH), row.text('storage', choices=STORAGE))
        row.end()
    images, stored = fields.integer('images', 1, MOST_IMAGES), fields.object('test_data')
    test_data = {}
    for name in TEST_DATA:
        row = stored.object(name)
        test_data[name] = Digest(row.integer('bytes', 1, MOST_BYTES), row.text('sha256', _SHA256))
        row.end()
    stored.end()
    fields.end()
    return Index(Plan(reuse_factors, fifos, part, clock_mhz, latency), images, test_data)


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
