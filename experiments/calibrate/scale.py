"""Scales the coefficients to whole designs: what `python -m hls_export.report P --csynth=csynth.xml --json` says of
estimate and synthesis.

    python -m hls_export.report P --csynth=csynth.xml --json > report.json
    python -m experiments.calibrate --csynth=report.json --write

A Vitis report has a module a process, which is several parts at once, so the parts' coefficients cannot be told apart.
Those of all parts of a kind of process (`KINDS`) are multiplied by one factor, for LUTs and for flip-flops: the median
of synthesis / estimate over its rows. The factors stand beside the base coefficients in the file and multiply these,
never what was scaled before: the estimates of the report must be those of the base coefficients, and the same report
twice changes nothing.
"""

from __future__ import annotations

import hashlib
import statistics
from pathlib import Path

from costmodel.cost import CostError
from costmodel.streams.area.coefficients import Calibration, Coefficients
from tailor_jax.fields import Fields, read_fields
from tailor_jax.ops import STREAMED

RESOURCES = ('lut', 'ff')
MOST = 1e12

# {kind of row: (operations of its nodes, the parts that it is made of)}
KINDS = {
    'layers': (
        STREAMED - {'input', 'add'},
        ('mac', 'window', 'ring', 'rom', 'finish', 'convert', 'maximum', 'mean', 'average', 'relu'),
    ),
    'adds, clones': ({'add'}, ('add', 'clone')),
}


Factors = dict[tuple[str, str], tuple[float, int]]


def factors(path: Path) -> Factors:
    """{(kind, resource): (factor, rows)} of a report. Raises CostError for a file that is none."""
    try:
        pairs = [_pair(row) for row in _rows(path)]
    except FileNotFoundError:
        raise CostError(f'there is no report {str(path)!r}') from None
    except CostError as error:
        raise CostError(f'{error}; give what python -m hls_export.report P --csynth=csynth.xml --json prints') from None
    found = {}
    for kind, (operations, _) in KINDS.items():
        for resource in RESOURCES:
            ratios = [
                made[resource] / said[resource]
                for op, said, made in pairs
                if op in operations and made and said[resource] > 0
            ]
            if ratios:
                found[kind, resource] = statistics.median(ratios), len(ratios)
    if not found:
        raise CostError(f'the report {str(path)!r} has no row with both an estimate and a synthesis')
    return found


def _rows(path: Path) -> list[Fields]:
    fields = read_fields(path, 'csynth', 1, CostError)
    return [row for row in fields.objects('rows') if row.take('name', '') != 'total']


def _pair(row: Fields) -> tuple[str, dict[str, float], dict[str, float] | None]:
    """(operation, estimate, synthesis if there is one) of a row; what else it says is not needed here."""
    synthesis = row.take('synthesis')
    made = None if synthesis is None else _amounts(Fields(synthesis, f'{row.where}: synthesis', CostError))
    return row.text('op'), _amounts(row.object('estimate')), made


def _amounts(fields: Fields) -> dict[str, float]:
    return {resource: fields.number(resource, 0, MOST) for resource in RESOURCES}


def scaled(base: Coefficients, path: Path, found: Factors) -> Calibration:
    """The base coefficients with a report's factors on the parts whose kind has one, whatever scaled them before."""
    by_part = {}
    for name in base:
        part, resource = name.split('.')
        for kind, (_, parts) in KINDS.items():
            if part.split('_')[0] in parts and (kind, resource) in found:
                by_part[name] = float(f'{found[kind, resource][0]:.6g}')
    return Calibration(base, f'{path.name} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}', by_part)


def report(factors: Factors) -> str:
    """A line a factor."""
    return '\n'.join(
        f'{kind}, {resource}: {factor:.3f} times the estimate, {rows} rows'
        for (kind, resource), (factor, rows) in factors.items()
    )
