"""The rows of a sweep: pareto.csv's columns, the front, and the picture.

A run is on the Pareto front when no other run is at least as accurate in C-simulation and at least as cheap, and better
in one of the two; cost is the share of `cost.resources` that skips add, see experiments/cost.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments import grid
from experiments.config import ConfigError
from experiments.figure import panels, png
from experiments.results import SHOWN

PANELS = {
    'cost': 'hardware cost of the kept skips (1 = all)',
    'lut': 'LUT',
    'fifo_bits': 'FIFO storage (bits)',
    'dram_bytes': 'DRAM traffic (bytes)',
    'cycles': 'cycles',
}
_NOT_SHOWN = ('method', 'gates')  # of a grid's row: a sweep is of one method, and its page shows the gates
_ROUNDED = ('rounding_accuracy_change', 'cost')


def rows_of(directory: Path) -> list[dict]:
    """The rows of pareto.csv: one a finished and simulated run, cheapest weight first.

    Raises ConfigError naming the file of a run that is damaged, or that measured other things than the others.
    """
    names = sorted(path.parent.name for path in directory.glob('*/summary.json'))
    rows = [_row(each) for each in grid.rows(directory, names, simulated=True)]
    for row in rows:
        if odd := sorted(row.keys() ^ rows[0].keys()):
            has, lacks = (row, rows[0]) if odd[0] in row else (rows[0], row)
            one, other = (directory / each['run'] / 'summary.json' for each in (has, lacks))
            raise ConfigError(f'{one} tells of {odd[0]!r}, and {other} does not; a sweep is of one network and target')
    for row in rows:
        row['pareto'] = int(not any(dominates(other, row) for other in rows))
    return sorted(rows, key=lambda row: (row['weight'], row['seed']))


def _row(row: dict) -> dict:
    return {
        name: round(value, 6) if name.startswith('accuracy_') or name in _ROUNDED else value
        for name, value in row.items()
        if name not in _NOT_SHOWN
    }


def left_out(directory: Path) -> list[str]:
    """Why a run of a sweep has no row: 'RUN has no FILE yet', for each; teachers are no runs."""
    runs = [
        path.parent for path in sorted(directory.glob('*/config.json')) if not path.parent.name.startswith('teacher_')
    ]
    missing = {run.name: [name for name in ('summary.json', 'csim.json') if not (run / name).exists()] for run in runs}
    return [f'{run} has no {names[0]} yet' for run, names in missing.items() if names]


def dominates(one: dict, other: dict) -> bool:
    """Whether a row is at least as accurate and as cheap as another, and better in one of the two."""
    at_least = one['accuracy_csim'] >= other['accuracy_csim'] and one['cost'] <= other['cost']
    return at_least and (one['accuracy_csim'] > other['accuracy_csim'] or one['cost'] < other['cost'])


def columns(rows: Sequence[dict]) -> list[str]:
    """The columns that the printed table shows."""
    seeds = ['seed'] if len({row['seed'] for row in rows}) > 1 else []
    return seeds + [name for name in SHOWN if name in rows[0]]


def draw(rows: Sequence[dict]) -> bytes:
    """The picture as PNG bytes: C-simulated accuracy against the cost of skips and each resource of `PANELS` that the
    target prices; one point a run.
    """
    shown = {name: label for name, label in PANELS.items() if name in rows[0]}
    figure, axes = panels(len(shown), (12, 4), sharey=True)
    for axis, (name, label) in zip(axes, shown.items()):
        _draw_panel(axis, rows, name, label)
    axes[0].set_ylabel('accuracy of the C-simulated design (%)')
    labelled = dict(zip(*reversed(axes[0].get_legend_handles_labels())))
    figure.legend(
        labelled.values(), labelled, loc='outside lower center', ncols=2, fontsize=8
    )  # clear of points and their labels
    return png(figure)


def _draw_panel(axis: Any, rows: Sequence[dict], name: str, label: str) -> None:
    """Accuracy against one column, with the front, the weights of the points and the teachers' accuracy."""
    import matplotlib.ticker

    front = sorted((row for row in rows if row['pareto']), key=lambda row: row['cost'])
    line = [row[name] for row in front], [100 * row['accuracy_csim'] for row in front]
    axis.plot(*line, '-', color='tab:red', linewidth=1, zorder=1, label='Pareto front')
    for row in rows:
        color = 'tab:red' if row['pareto'] else 'tab:gray'
        axis.scatter(row[name], 100 * row['accuracy_csim'], s=60, color=color, zorder=2)
    _label_points(axis, rows, name)
    for teacher in {row['accuracy_teacher'] for row in rows if 'accuracy_teacher' in row}:
        axis.axhline(100 * teacher, color='tab:blue', linestyle=':', label='teacher (float)')
    axis.set_xlabel(label)
    axis.margins(0.2)
    axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))


def _label_points(axis: Any, rows: Sequence[dict], name: str) -> None:
    """The weights, and with several the seeds, of the runs at each point."""
    seeds = len({row['seed'] for row in rows})
    same: dict[tuple, list[str]] = {}
    for row in rows:
        point = (row[name], 100 * row['accuracy_csim'])
        same.setdefault(point, []).append(f'{row["weight"]:g}' + (f' (seed {row["seed"]})' if seeds > 1 else ''))
    middle = sum(axis.get_xlim()) / 2
    for index, (point, weights) in enumerate(sorted(same.items())):
        across, align = (7, 'left') if point[0] <= middle else (-7, 'right')
        down, base = (-10, 'top') if index % 2 else (8, 'bottom')  # neighbours on either side of their points
        axis.annotate(
            f'weight {", ".join(weights)}',
            point,
            textcoords='offset points',
            xytext=(across, down),
            ha=align,
            va=base,
            fontsize=8,
            bbox={'facecolor': 'white', 'edgecolor': 'none', 'alpha': 0.8, 'pad': 0.5},  # where the front passes
        )
