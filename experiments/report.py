"""Reports of a run or a sweep.

    python -m experiments.report --workdir=W_or_S

For a sweep S it (re)writes S/pareto.csv, S/pareto.png and S/report.html from the runs that are there; for a single run W it prints the summary.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from experiments import cli, results
from experiments.page import page
from experiments.workdir import read_json
from tailor_jax import files


def write_sweep(directory: Path) -> list[dict]:
    """Writes pareto.csv, pareto.png and report.html of the runs that are there; returns the rows."""
    rows = _rows(directory)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    files.write(directory / 'pareto.csv', text.getvalue())
    picture = results.draw(rows)
    files.write(directory / 'pareto.png', picture)
    files.write(directory / 'report.html', page(directory, rows, picture))
    return rows


def _rows(directory: Path) -> list[dict]:
    rows = results.rows_of(directory)
    if not rows:
        raise FileNotFoundError(f'{directory} holds no finished run with a C-simulation; run experiments.sweep with this --workdir first')
    return rows


def main(options: Any) -> None:
    directory = Path(cli.required(options, 'workdir', 'runs/demo'))
    if (directory / 'summary.json').exists():
        results.print_summary(read_json(directory / 'summary.json'), directory)
        return
    _rows(directory)  # nothing is written, and no lock is, where there are none
    with files.locked(directory):
        rows = write_sweep(directory)
    print(results.table(rows, results.columns(rows)))
    print(f'wrote {directory}/pareto.csv, pareto.png and report.html')


if __name__ == '__main__':
    cli.run(main, {'workdir': ('', 'Workdir of a run or of a sweep.')})
