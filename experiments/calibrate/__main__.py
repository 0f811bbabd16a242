"""Calibrates the LUT and flip-flop coefficients of the cost model against synthesis.

python -m experiments.calibrate                      # simulate (Verilator), synthesize (yosys) what is new; fit, report
python -m experiments.calibrate --fit                # fit and report from the committed parts.csv; needs no tool
python -m experiments.calibrate --fit --write        # and make these coefficients the model's
python -m experiments.calibrate --again              # measure every point anew
python -m experiments.calibrate --csynth=mine.csv    # fit to parts measured elsewhere; see docs/cost_model.md
python -m experiments.calibrate --csynth=report.json # scale to what hls_export.report --csynth=... --json printed
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from costmodel.cost import CostError
from costmodel.streams.area import coefficients
from costmodel.streams.area.coefficients import Calibration, Coefficients
from experiments.calibrate import fit, grid, scale, table
from experiments.calibrate.point import Point
from hls_export.verilog import tools
from tailor_jax.command import Parser, status

DRAWN = 240  # random parts that are simulated beside the grid


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    return status(lambda: _run(argv), ValueError, tools.ToolError)


def _run(argv: Sequence[str]) -> int:
    parser = Parser('python -m experiments.calibrate', __doc__)
    parser.add_argument('--fit', action='store_true', help='measure nothing')
    parser.add_argument('--again', action='store_true', help='measure every point anew')
    parser.add_argument(
        '--csynth',
        metavar='FILE',
        type=Path,
        help='fit to this CSV: part, lut, ff, bram18, uram, dsp; or scale to this report (.json)',
    )
    parser.add_argument(
        '--write',
        action='store_true',
        help=f'write the coefficients to {coefficients.FILE.name}, which the model reads',
    )
    args = parser.parse_args(argv)
    if not (args.fit or args.csynth):
        _measure(args.again)
    if args.csynth and not args.csynth.is_file():
        raise CostError(f'there is no table {str(args.csynth)!r}')
    known = coefficients.load(coefficients.FILE)
    if args.csynth and args.csynth.suffix == '.json':
        factors = scale.factors(args.csynth)
        print(scale.report(factors))
        return _written(known, scale.scaled(known.base, args.csynth, factors), args.write)
    measured = table.read(args.csynth or table.PARTS_CSV)
    if not measured:
        raise CostError(f'{args.csynth or table.PARTS_CSV} has no row of a part')
    unseen = fit.held_out(measured)
    fitted = fit.fit(measured, unseen)
    print(report(fitted, measured, unseen))
    return _written(known, Calibration(known.base | fitted if args.csynth else fitted), args.write)


def _written(known: Calibration, found: Calibration, wanted: bool) -> int:
    if not wanted:
        return 0
    name = coefficients.FILE.name
    if found == known:
        print(f'\n{name} holds these coefficients already')
        return 0
    coefficients.save(coefficients.FILE, found)
    before, after = known.coefficients, found.coefficients
    changed = sum(after[part] != before.get(part) for part in after)
    print(f'\nwrote {changed} sets of coefficients to {name}; {len(after) - changed} kept as they were')
    if known.source and known.source != found.source:
        print(f'the scaling to {known.source} is no more in force')
    return 0


def _measure(again: bool) -> None:
    from experiments.calibrate import measure

    for tool in ('verilator', 'yosys'):
        try:
            tools.find(tool)
        except tools.ToolError as error:
            raise CostError(f'{error}; or fit to the committed results with --fit') from None
    if again:
        table.PARTS_CSV.unlink(missing_ok=True)
    measure.measure(grid.points())
    measure.prove(DRAWN)


def report(fitted: Coefficients, measured: Mapping[Point, Mapping[str, int]], unseen: set[str]) -> str:
    """Equal blocks, and relative errors of LUTs and flip-flops, of points fitted to and of points held out."""
    sides = {
        'fitted': {p: r for p, r in measured.items() if p.key not in unseen},
        'held out': {p: r for p, r in measured.items() if p.key in unseen},
    }
    lines = [f'{len(measured)} points, {len(sides["held out"])} of them held out', '']
    for resource in ('bram18', 'uram', 'dsp'):
        count, equal, wrong = fit.equal_blocks(measured, resource)
        lines.append(f'{resource:8}{equal} of {count} equal' + (f' ({100 * equal / count:.1f} %)' if count else ''))
        lines += [f'        {each}' for each in wrong]
    lines += [
        '',
        '| part | points, held out | LUT median | 95 % | worst | FF median | 95 % | worst |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for name, group in _by_part(sides['held out']).items():
        lines.append(_row(name, fitted, group))
    for side, group in sides.items():
        lines.append(_row(f'all, {side}', fitted, group))
    for fifth in range(1, grid.FIFTHS):
        keys = fit.held_out(measured, fifth)
        lines.append(
            _row(
                f'all, held out, fifth {fifth}',
                fit.fit(measured, keys),
                {p: r for p, r in measured.items() if p.key in keys},
            )
        )
    return '\n'.join(lines)


def _by_part(points: Mapping[Point, Mapping[str, int]]) -> dict[str, dict[Point, Mapping[str, int]]]:
    names = sorted({fit.part(point) for point in points})
    return {name: {point: row for point, row in points.items() if fit.part(point) == name} for name in names}


def _row(name: str, fitted: Coefficients, group: Mapping[Point, Mapping[str, int]]) -> str:
    found = [fit.errors(fitted, group, resource) for resource in ('lut', 'ff')]
    return (
        f'| {name} | {len(group)} | '
        + ' | '.join(
            f'{100 * each.median:.1f} % | {100 * each.percentile95:.1f} % | {100 * each.worst:.1f} %' for each in found
        )
        + ' |'
    )


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
