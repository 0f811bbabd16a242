"""What a finished run and its C-simulation say: summary.json and csim.json, parsed field by field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from costmodel import targets
from experiments import config as config_lib
from experiments.config import ConfigError
from hls_export import csim
from tailor_jax.fields import Fields, header, read_fields

FORMAT = ('summary', 2)
OF_METHODS = ('budget', 'removed')  # what some methods tell of their decisions
ACCURACIES = ('gated', 'binarized', 'finetuned', 'quantized')  # and that of the teacher, where there is one
# The columns of tables beside our own, which no other may replace.
RESOURCES = frozenset(targets.resources(lambda each: (*each.REDUCTIONS, *each.TOTALS)))
_NAME = re.compile(r'[A-Za-z]\w{0,199}', re.ASCII)
_AGAIN = 'delete it, and the command that wrote it writes it again'


def summary_header() -> dict[str, Any]:
    """What summary.json begins with."""
    return header(*FORMAT)


def read_summary(path: Path) -> dict[str, Any]:
    """A summary.json, see docs/training.md. Raises FileNotFoundError, or ConfigError naming the file and the field."""
    try:
        return _summary(read_fields(path, *FORMAT, ConfigError))
    except ConfigError as error:
        raise ConfigError(f'{error}; {_AGAIN}') from None


def read_csim(path: Path) -> dict[str, Any]:
    """{'images', 'mismatched_values', 'accuracy'} of the csim.json of a sweep's run. Raises as `read_summary`."""
    try:
        fields = read_fields(path, *csim.FORMAT, ConfigError)
        return {
            'images': fields.integer('images', 1, 2**40),
            'mismatched_values': fields.integer('mismatched_values', 0, 2**60),
            'accuracy': fields.number('accuracy', 0, 1),
        }
    except ConfigError as error:
        raise ConfigError(f'{error}; {_AGAIN}') from None


def _summary(fields: Fields) -> dict[str, Any]:
    accuracy = _numbers(fields.object('accuracy'), 0, 1)
    for name in ACCURACIES:
        if name not in accuracy:
            raise ConfigError(f'{fields.where}: accuracy: {name!r} is missing')
    gates, p_open = _numbers(fields.object('gates'), 0, 1), _numbers(fields.object('p_open'), 0, 1)
    for name, value in gates.items():
        if value not in (0, 1):
            raise ConfigError(f'{fields.where}: gates: {name!r} is {value!r}; expected 0 or 1')
    _same(fields.where, 'p_open', p_open, 'gates', gates)
    hardware = fields.object('hardware')
    before, after = _numbers(hardware.object('before'), 0, 1e30), _numbers(hardware.object('after'), 0, 1e30)
    _same(fields.where, 'hardware: after', after, 'hardware: before', before)
    if unknown := sorted(after.keys() - RESOURCES):
        raise ConfigError(
            f'{fields.where}: hardware: {unknown[0]!r} is no resource; expected some of {", ".join(sorted(RESOURCES))}'
        )
    hardware.end()
    told = {
        'accuracy': accuracy,
        'gates': {name: int(value) for name, value in gates.items()},
        'p_open': p_open,
        'gates_fractional': fields.number('gates_fractional', 0, 1),
        'rounding_accuracy_change': fields.number('rounding_accuracy_change', -1, 1),
        'cost': fields.number('cost', -1e30, 1e30),
        'hardware': {'before': before, 'after': after},
        'config': config_lib.from_fields(fields.object('config')).to_dict(),
        'seconds': fields.number('seconds', 0, 1e12),
        'images_per_second': fields.number('images_per_second', 0, 1e15),
    }
    for name in OF_METHODS:
        if (of_method := fields.take(name, None)) is not None:
            told[name] = of_method
    fields.end()
    return told


def _numbers(fields: Fields, lo: float, hi: float) -> dict[str, Any]:
    """An object of names and numbers."""
    for name in fields.names():
        if not _NAME.fullmatch(name):
            raise ConfigError(f'{fields.where}: unknown field {name[:80]!r}; expected names of letters, digits and _')
    return {name: fields.number(name, lo, hi) for name in fields.names()}


def _same(where: str, one: str, ours: dict, other: str, theirs: dict) -> None:
    if odd := sorted(ours.keys() ^ theirs.keys()):
        has, lacks = (one, other) if odd[0] in ours else (other, one)
        raise ConfigError(f'{where}: {has} has {odd[0]!r}, which {lacks} lacks')
