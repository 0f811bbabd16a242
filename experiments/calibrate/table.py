"""The results as a file: CSV behind comment lines that name the tool, a row a point. What is there is not made anew."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from costmodel.cost import CostError
from experiments.calibrate import fit
from experiments.calibrate.point import Point, parse
from tailor_jax import files
from tailor_jax.fields import read_text

PARTS_CSV = Path(__file__).parent / 'parts.csv'
RESOURCES = ('lut', 'ff', 'bram18', 'uram', 'dsp')
Measured = dict[Point, dict[str, int]]


def read(path: Path = PARTS_CSV) -> Measured:
    """{point: {resource: number}}; empty without a file. Raises CostError naming the file and row that lacks one."""
    found = {}
    for row in raw(path):
        where = f'{path}: the row of {row.get("part") or "no part"!r}'
        if missing := [name for name in ('part', *RESOURCES) if not row.get(name)]:
            raise CostError(f'{where} has no {", ".join(missing)}; it needs part, {", ".join(RESOURCES)}')
        for name in RESOURCES:
            if not re.fullmatch(r'\d{1,12}', row[name]):
                raise CostError(f'{where}: {name} is {row[name]!r}; expected an integer, 0 or more')
        try:
            part = parse(row['part'])
            fit.terms(part)
        except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
            what = f'it has no {error}' if isinstance(error, KeyError) else str(error)
            raise CostError(f'{where}: {what}; expected a key as in {PARTS_CSV.name}') from None
        found[part] = {name: int(row[name]) for name in RESOURCES}
    return found


def write(path: Path, comments: Iterable[str], columns: Iterable[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Writes the whole file anew, at once, so that a stopped run leaves the last whole state."""
    text = io.StringIO(newline='')
    text.writelines(f'# {line}\n' for line in comments)
    writer = csv.DictWriter(text, ['part', *columns], lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    files.write(path, text.getvalue())


def raw(path: Path = PARTS_CSV) -> list[dict[str, str]]:
    """The rows as text; none if there is no file. Raises CostError naming a file that is no table."""
    if not path.exists():
        return []
    try:
        lines = read_text(path, CostError).decode().splitlines()
        return list(csv.DictReader(line for line in lines if not line.startswith('#')))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CostError(f'{path} is no table of parts: {error}') from None
