"""Reports of a run or a sweep.

    python -m experiments.report --workdir=W_or_S

For a sweep S it (re)writes S/pareto.csv, S/pareto.png and S/report.html from the runs that are there; for a single run
W it prints the summary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments import cli, pareto, results
from experiments.page import page
from experiments.summary import read_summary
from tailor_jax import files


def write_sweep(directory: Path) -> list[dict]:
    """Writes pareto.csv, pareto.png and report.html of the runs that are there; returns the rows."""
    rows = _rows(directory)
    files.write(directory / 'pareto.csv', results.csv_text(rows))
    picture = pareto.draw(rows)
    files.write(directory / 'pareto.png', picture)
    files.write(directory / 'report.html', page(directory, rows, picture))
    return rows


def _rows(directory: Path) -> list[dict]:
    rows = pareto.rows_of(directory)
    if not rows:
        raise FileNotFoundError(_nothing(directory))
    return rows


def _nothing(directory: Path) -> str:
    """Says what there is in place of a finished run."""
    if not directory.is_dir():
        return (
            f'{directory} '
            + ('is no directory' if directory.exists() else 'does not exist')
            + '; give the workdir of a run or of a sweep'
        )
    if (directory / 'config.json').exists():
        return (
            f'{directory} holds a run that is not finished: it has no summary.json yet; the command that started '
            'it goes on with it'
        )
    if (directory / 'compare.json').exists():
        return f'{directory} holds a comparison; its report is {directory}/comparison.md'
    if (directory / 'sweep.json').exists():
        runs = [path.parent for path in directory.glob('weight*/config.json')]
        trained = sum((path / 'summary.json').exists() for path in runs)
        return (
            f'{directory} holds a sweep of which no run is finished yet: {len(runs)} begun, {trained} trained, none '
            'of those C-simulated; '
            'the command that started it goes on with it'
        )
    return f'{directory} holds no finished run, and no sweep; experiments.train and experiments.sweep write them'


def main(options: Any) -> None:
    directory = Path(cli.required(options, 'workdir', 'runs/demo'))
    if (directory / 'summary.json').exists():
        results.print_summary(read_summary(directory / 'summary.json'), directory)
        return
    _rows(directory)  # nothing is written, and no lock is, where there are none
    with files.locked(directory):
        rows = write_sweep(directory)
    print(results.table(rows, pareto.columns(rows)))
    for reason in pareto.left_out(directory):
        print(f'left out: {reason}; experiments.sweep with this --workdir goes on with it')
    print(f'wrote {directory}/pareto.csv, pareto.png and report.html')


if __name__ == '__main__':
    cli.run(main, {'workdir': ('', 'Workdir of a run or of a sweep.')})
