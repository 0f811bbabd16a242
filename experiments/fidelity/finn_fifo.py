"""The price of FIFOs beside Vivado syntheses of FINN's, measured by others.

    python -m experiments.fidelity.finn_fifo FILE.csv                  # compares, first with points not fitted to
    python -m experiments.fidelity.finn_fifo FILE.csv docs/fifos.md    # and writes the page
    python -m experiments.fidelity.finn_fifo FILE.csv --fit            # fits costmodel/streams/area/fifo_area.json

FILE.csv has the columns width, depth, part, style_built (srl, distributed, block, ultra), lut, ff, bram18, uram, and
may have kind and directive: rows of another kind than 'measured', of another directive than 'Default', and repeats are
left out. The data: Xilinx/finn pull request 1658 (Vivado 2026.1, out of context; xczu7ev and xcvc1902). None of its
rows is in this repository, and none of its model's coefficients is used.

Every second point is fitted to, in the order of style, depth and width, a FIFO built for both parts counting once.
The coefficients' file has checksums of them, so a file with more points is compared with all that were not seen.
"""

from __future__ import annotations

import csv
import dataclasses
import re
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from costmodel.cost import CostError
from costmodel.devices import ULTRASCALE, VERSAL, Family
from costmodel.streams.area import fifo_area
from costmodel.streams.area.equations import Terms
from experiments.calibrate import fit
from experiments.fidelity.markdown import markdown_table
from tailor_jax import files
from tailor_jax.command import Parser, status
from tailor_jax.dataflow.slices import fifo_slices
from tailor_jax.fields import read_text

SOURCE = (
    'fitted by us to one half of the Vivado 2026.1 syntheses of FINN FIFOs (Xilinx/finn PR 1658; xczu7ev, xcvc1902)'
)
FAMILIES: dict[str, Family] = {'xczu7ev': ULTRASCALE, 'xcvc1902': VERSAL}
STORAGES = {'srl': 'srl', 'distributed': 'lutram', 'block': 'bram', 'ultra': 'uram'}
# The closed forms count LUTs of memory exactly; the monitor's registers are two counts, a flip-flop each bit.
KNOWN = {'lut': {'memory_lut': 1.0}, 'ff': {'monitor_bit': 1.0}}
NUMBERS = ('width', 'depth', 'lut', 'ff', 'bram18', 'uram')


@dataclasses.dataclass(frozen=True)
class Point:
    """One synthesis."""

    part: str
    style: str
    width: int
    depth: int
    lut: int
    ff: int
    bram18: int
    uram: int

    @property
    def key(self) -> int:
        """A checksum of the FIFO, whatever the part."""
        return zlib.crc32(f'{self.style} {self.depth} x {self.width}'.encode())

    @property
    def storage(self) -> str:
        return STORAGES[self.style]

    def rams(self) -> tuple[int, int]:
        """Our RAMB18 and URAM288."""
        slices = fifo_slices(self.depth, self.width, self.storage, FAMILIES[self.part].name)
        bram18, uram = (sum(each.count for each in slices if each.storage == ram) for ram in ('bram', 'uram'))
        return bram18, uram

    def terms(self) -> dict[str, Terms]:
        """With those of the monitor."""
        family, watched = FAMILIES[self.part], fifo_area.monitor(self.depth)
        own = fifo_area.terms(self.storage, fifo_slices(self.depth, self.width, self.storage, family.name), family)
        return {resource: amounts | watched[resource] for resource, amounts in own.items()}


def read(path: Path) -> list[Point]:
    """The syntheses of a file. Raises CostError naming the file and the row."""
    found: dict[tuple, Point] = {}
    try:
        rows = list(csv.DictReader(read_text(path, CostError).decode().splitlines()))
    except FileNotFoundError:
        raise CostError(f'there is no file {str(path)!r}') from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise CostError(f'{path} is no table of FIFOs: {error}') from None
    for line, row in enumerate(rows, 2):
        if (row.get('kind') or 'measured') != 'measured' or (row.get('directive') or 'Default') != 'Default':
            continue
        part, style = row.get('part'), row.get('style_built')
        if part not in FAMILIES or style not in STORAGES:
            raise CostError(
                f'{path}, line {line}: part {part!r}, style_built {style!r}; expected one of {", ".join(FAMILIES)}, '
                f'and one of {", ".join(STORAGES)}'
            )
        if wrong := next((name for name in NUMBERS if not re.fullmatch(r'\d{1,9}', row.get(name) or '')), ''):
            raise CostError(f'{path}, line {line}: {wrong} is {row.get(wrong)!r}; expected an integer, 0 or more')
        point = Point(part, style, **{name: int(row[name]) for name in NUMBERS})
        if not point.width or not point.depth or not point.lut:
            raise CostError(f'{path}, line {line}: width, depth and lut must be 1 or more')
        found.setdefault((part, style, point.width, point.depth), point)
    if not found:
        raise CostError(f'{path} has no measured FIFO')
    return list(found.values())


def fitted(points: Sequence[Point]) -> fifo_area.Coefficients:
    """From every second point, but for what is known: `KNOWN`."""
    order = sorted({(point.style, point.depth, point.width): point.key for point in points}.items())
    keys = tuple(sorted(key for _, key in order[::2]))
    found = {}
    for resource, known in KNOWN.items():
        pairs = [(point.terms()[resource], getattr(point, resource)) for point in points if point.key in keys]
        rest = [
            (
                {term: count for term, count in amounts.items() if term not in known},
                measured - sum(known[term] * amounts.get(term, 0) for term in known),
            )
            for amounts, measured in pairs
        ]
        found[resource] = fit.solve(rest) | known
    return fifo_area.Coefficients(SOURCE, keys, found)


def errors(points: Sequence[Point], resource: str, coefficients: fifo_area.Coefficients) -> tuple[float, float]:
    """Median and 90th percentile of |ours with the monitor / measured - 1|."""
    ratios = [
        abs(fifo_area.amount(resource, point.terms()[resource], coefficients) / max(1, getattr(point, resource)) - 1)
        for point in points
    ]
    return float(np.median(ratios)), float(np.percentile(ratios, 90))


def rows(points: Sequence[Point], coefficients: fifo_area.Coefficients) -> list[tuple[object, ...]]:
    """A row for each style and part, and one for all."""
    groups = {(style, part): [] for style in STORAGES for part in FAMILIES}  # type: dict[tuple[str, str], list[Point]]
    for point in points:
        groups[point.style, point.part].append(point)
    found = []
    for (style, part), own in (*groups.items(), (('all', ''), list(points))):
        if own:
            equal = sum(point.rams() == (point.bram18, point.uram) for point in own)
            spread = [f'{100 * each:.1f} %' for name in ('lut', 'ff') for each in errors(own, name, coefficients)]
            found.append((style, part, len(own), equal, *spread))
    return found


HEAD = ('style', 'part', 'points', 'RAM counts equal', 'LUT median', 'LUT 90 %', 'FF median', 'FF 90 %')


def report(points: Sequence[Point], coefficients: fifo_area.Coefficients) -> str:
    """Both halves, as Markdown."""
    texts = []
    for title, half in (('Not fitted to', True), ('Fitted to', False)):
        if own := [point for point in points if (point.key not in coefficients.fitted_to) == half]:
            texts.append(f'{title}:\n\n{markdown_table(HEAD, rows(own, coefficients))}')
    return '\n\n'.join(texts)


def page(points: Sequence[Point], coefficients: fifo_area.Coefficients) -> str:
    bit = [2 * coefficients.of[resource]['monitor_bit'] for resource in fifo_area.RESOURCES]
    examples = []
    for depth, width in ((545, 72), (65_536, 64), (700, 16)):
        slices = fifo_slices(depth, width, 'bram', ULTRASCALE.name)
        parts = ', '.join(f'{each.depth:,} x {each.width_bits} {each.storage}' for each in slices)
        luts = sum(each.count for each in slices if each.storage == 'lutram')
        examples.append((f'{depth:,} x {width}', parts, fifo_area.price(depth, width, 'bram', ULTRASCALE).bram18, luts))
    return f"""# FIFO memories

How a FIFO is cut into memories (`tailor_jax/dataflow/slices.py`), what that costs (`fifo_area.py`), and both beside
Vivado syntheses of FINN's FIFOs. `python -m experiments.fidelity.finn_fifo FILE.csv docs/fifos.md` writes this page
from a table that is not in this repository.

## The split

A depth in block RAM or UltraRAM is a power of two and a rest, rounded up to a power of two of its own. Both parts stand
at consecutive addresses under one pair of pointers; a word before the output (UltraRAM: 17) counts towards the depth.
The rest is in LUTRAM where it has at most 256 rows and 8,192 bits and a RAMB18 would replace at most 72 LUTs. In
UltraScale+ a word is cut into columns of different aspects of RAMB18, the fewest in number by exact search; in Versal
all columns are alike. Every part, and every aspect of it, is a slice: a memory of its own.

{markdown_table(('FIFO, block RAM', 'slices', 'RAMB18', 'LUTs of LUTRAM'), examples)}

The last could be one RAMB18 of 1,024 x 16. `price` counts what Vivado makes of a given depth and storage; `build` and
`choose` take the cheapest FIFO of at least that depth, by the sum of the shares of the device's LUTs, RAMB18 and
URAM288, and take this one. So a deeper or wider FIFO never costs less.

## Beside Vivado

{SOURCE[0].upper() + SOURCE[1:]}:
every second FIFO, in the order of style, depth and width. Errors are |ours / measured - 1|. The measured FIFOs hold an
occupancy monitor, whose terms are in the comparison and in no price: {bit[0]:.1f} LUTs and {bit[1]:.0f} flip-flops
for each bit of a count.

{report(points, coefficients)}

The split, its thresholds and the terms of the price were read off the points of both halves; only the coefficients of
LUTs and flip-flops are unseen by what was not fitted to. Worst are stacks of more than four banks of block RAM and
UltraRAM of some 50,000 words and more: there Vivado adds registers by rules that these terms do not hold.
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    return status(lambda: _run(argv), ValueError)


def _run(argv: Sequence[str]) -> int:
    parser = Parser('python -m experiments.fidelity.finn_fifo', __doc__)
    parser.add_argument('table', metavar='FILE.csv', type=Path, help='the syntheses')
    parser.add_argument('page', metavar='FILE.md', nargs='?', type=Path, help='write the page')
    parser.add_argument('--fit', action='store_true', help='fit the coefficients anew and write them')
    options = parser.parse_args(argv)
    if options.page is not None and (options.page.suffix != '.md' or not options.page.parent.is_dir()):
        raise CostError(f'expected a page FILE.md in a folder that is there, got {str(options.page)!r}')
    points = read(options.table)
    coefficients = fitted(points) if options.fit else fifo_area.COEFFICIENTS
    if options.fit:
        fifo_area.save(fifo_area.FILE, coefficients)
    print(report(points, coefficients))
    if options.page is not None:
        files.write(options.page, page(points, coefficients))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
