"""The results as a file: CSV behind comment lines that name the tool, a row a point. What is there is not made again."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from costmodel.calibrate.parts import Point, parse

PARTS_CSV = Path(__file__).parent / 'parts.csv'
RESOURCES = ('lut', 'ff', 'bram18', 'uram', 'dsp')
Measured = dict[Point, dict[str, int]]


def read(path: Path = PARTS_CSV) -> Measured:
    """{point: {resource: number}}; empty if there is no file. Raises ValueError naming the row that lacks a number."""
    if not path.exists():
        return {}
    with path.open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith('#')))
    found = {}
    for row in rows:
        if missing := [name for name in ('part', *RESOURCES) if not row.get(name)]:
            raise ValueError(
                f'{path}: the row of {row.get("part") or "no part"!r} has no {", ".join(missing)}; it needs part, {", ".join(RESOURCES)}'
            )
        found[parse(row['part'])] = {name: int(row[name]) for name in RESOURCES}
    return found


def write(path: Path, comments: Iterable[str], columns: Iterable[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Writes the whole file anew, by way of a temporary one, so that a stopped run leaves the last whole state."""
    part = path.with_suffix('.part')
    with part.open('w', newline='') as file:
        file.writelines(f'# {line}\n' for line in comments)
        writer = csv.DictWriter(file, ['part', *columns], lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def raw(path: Path = PARTS_CSV) -> list[dict[str, str]]:
    """The rows as text."""
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(line for line in file if not line.startswith('#')))
