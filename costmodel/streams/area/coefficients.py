"""The coefficients of the logic equations: LUTs and flip-flops of a term of `equations`, in `coefficients.json`.

    COEFFICIENTS    {'fifo_bram.lut': {'one': 22.9, 'address_bit': 1.07, 'bank_bit': 1.0}, ...}

The file holds `base`, fitted to yosys 0.23 `synth_xilinx -family xcup` by `python -m experiments.calibrate --fit
--write` from `experiments/calibrate/parts.csv`, and, where `--csynth=report.json` scaled them to a design's report, the
factors and where they come from:

    coefficient = base x factor of its part
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

from costmodel.cost import CostError
from tailor_jax import files
from tailor_jax.fields import Fields, header, read_fields

Coefficients = dict[str, dict[str, float]]

FILE = Path(__file__).with_suffix('.json')
_PART = re.compile(r'[a-z_]+\.(lut|ff)')
_MOST = 1e6


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the file holds.

    Attributes:
      base: {part.resource: {term: coefficient}} as fitted.
      source: what `factors` come from; '' where nothing is scaled.
      factors: {part.resource: factor}.
    """

    base: Coefficients
    source: str = ''
    factors: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def coefficients(self) -> Coefficients:
        return {name: _scaled(terms, self.factors.get(name)) for name, terms in self.base.items()}


def _scaled(terms: dict[str, float], factor: float | None) -> dict[str, float]:
    return terms if factor is None else {term: float(f'{value * factor:.4g}') for term, value in terms.items()}


def load(path: Path) -> Calibration:
    """Raises CostError naming the file where it is no file of coefficients."""
    try:
        fields = read_fields(path, 'coefficients', 1, CostError)
    except FileNotFoundError:
        raise CostError(f'there is no file of coefficients {str(path)!r}') from None
    given = fields.object('base')
    base = {name: _numbers(given.object(name)) for name in given.names()}
    source, factors = fields.text('source'), _numbers(fields.object('factors'))
    fields.end()
    for name in (*base, *factors):
        if not _PART.fullmatch(name) or name not in base:
            raise CostError(f'{path}: {name!r} is no set of coefficients')
    return Calibration(base, source, factors)


def _numbers(fields: Fields) -> dict[str, float]:
    return {name: fields.number(name, 0, _MOST) for name in fields.names()}


def save(path: Path, found: Calibration) -> None:
    content = header('coefficients', 1) | {'base': found.base, 'source': found.source, 'factors': dict(found.factors)}
    files.write(path, json.dumps(content, indent=1) + '\n')


COEFFICIENTS: Coefficients = load(FILE).coefficients
