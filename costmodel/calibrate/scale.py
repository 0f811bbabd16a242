"""Scales the coefficients to whole designs: what `python -m hls_export.report P --csynth=csynth.xml --json` says of estimate and synthesis.

    python -m hls_export.report P --csynth=csynth.xml --json > report.json
    python -m costmodel.calibrate --csynth=report.json --write

A Vitis report has a module a process, which is several parts at once, so the parts' coefficients cannot be told apart. Those of all parts of a kind
of process (`KINDS`) are multiplied by one factor, for LUTs and for flip-flops: the median of synthesis / estimate over its rows.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from costmodel.streams.coefficients import Coefficients

# {kind of row: (operations of its nodes, the parts that it is made of)}
KINDS = {
    'layers': (('conv', 'dense', 'max_pool', 'global_avg_pool', 'relu'), ('mac', 'window', 'requantize', 'maximum', 'rom')),
    'adds, clones': (('add',), ('add', 'clone')),
    'FIFOs': (('',), ('fifo',)),
}


def factors(path: Path) -> dict[tuple[str, str], tuple[float, int]]:
    """{(kind, resource): (factor, rows)} of a report. Raises ValueError for a file that is none."""
    try:
        rows = json.loads(path.read_text())['rows']
        pairs = [(row['op'], row['estimate'], row['synthesis']) for row in rows if row['name'] != 'total' and row['synthesis']]
        found = {}
        for kind, (operations, _) in KINDS.items():
            for resource in ('lut', 'ff'):
                ratios = [made[resource] / said[resource] for op, said, made in pairs if op in operations and said[resource] > 0]
                if ratios:
                    found[kind, resource] = statistics.median(ratios), len(ratios)
    except OSError as error:
        raise ValueError(f'cannot read the report {str(path)!r}: {error.strerror}') from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f'{str(path)!r} is not what python -m hls_export.report P --csynth=csynth.xml --json prints') from None
    if not found:
        raise ValueError(f'the report {str(path)!r} has no row with both an estimate and a synthesis')
    return found


def scaled(coefficients: Coefficients, factors: dict[tuple[str, str], tuple[float, int]]) -> Coefficients:
    """The coefficients of the parts whose kind has a factor, times it."""
    found = {}
    for name, terms in coefficients.items():
        part, resource = name.split('.')
        for kind, (_, parts) in KINDS.items():
            if part.split('_')[0] in parts and (kind, resource) in factors:
                found[name] = {term: float(f'{value * factors[kind, resource][0]:.4g}') for term, value in terms.items()}
    return found


def report(factors: dict[tuple[str, str], tuple[float, int]]) -> str:
    """A line a factor."""
    return '\n'.join(f'{kind}, {resource}: {factor:.3f} times the estimate, {rows} rows' for (kind, resource), (factor, rows) in factors.items())
