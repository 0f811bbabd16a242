"""Results: the rows of a sweep, as a table, as pareto.csv's columns and as a picture.

A run is on the Pareto front when no other run is at least as accurate in C-simulation and at least as cheap, and better
in one of the two; cost is the share of `cost.resources` that skips add, see experiments/cost.py.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from experiments.config import ConfigError
from experiments.summary import read_csim, read_summary

SHOWN = (
    'weight',
    'skips_kept',
    'accuracy_teacher',
    'accuracy_gated',
    'accuracy_binarized',
    'accuracy_quantized',
    'accuracy_csim',
    'bram18',
    'lut',
    'ff',
    'dsp',
    'fifo_bits',
    'interval_cycles',
    'dram_bytes',
    'buffer_bytes',
    'cycles',
    'cost',
    'pareto',
)


def rows_of(directory: Path) -> list[dict]:
    """The rows of pareto.csv: one a finished and simulated run, cheapest weight first.

    Raises ConfigError naming the file of a run that is damaged, or that measured other things than the others.
    """
    rows = []
    for path in sorted(directory.glob('*/summary.json')):
        simulated = path.parent / 'csim.json'
        if not simulated.exists():
            continue
        summary = read_summary(path)
        accuracy = summary['accuracy'] | {'csim': read_csim(simulated)['accuracy']}
        rows.append(
            {
                'run': path.parent.name,
                'weight': summary['config']['cost']['weight'],
                'seed': summary['config']['seed'],
                'skips_kept': sum(summary['gates'].values()),
                'skips': len(summary['gates']),
                **{f'accuracy_{name}': round(value, 6) for name, value in accuracy.items()},
                'gates_fractional': summary['gates_fractional'],
                'rounding_accuracy_change': round(summary['rounding_accuracy_change'], 6),
                **summary['hardware']['after'],
                'cost': round(summary['cost'], 6),
            }
        )
    for row in rows:
        if odd := sorted(row.keys() ^ rows[0].keys()):
            has, lacks = (row, rows[0]) if odd[0] in row else (rows[0], row)
            one, other = (directory / each['run'] / 'summary.json' for each in (has, lacks))
            raise ConfigError(f'{one} tells of {odd[0]!r}, and {other} does not; a sweep is of one network and target')
    for row in rows:
        row['pareto'] = int(not any(_dominates(other, row) for other in rows))
    return sorted(rows, key=lambda row: (row['weight'], row['seed']))


def left_out(directory: Path) -> list[str]:
    """Why a run of a sweep has no row: 'RUN has no FILE yet', for each; teachers are no runs."""
    runs = [
        path.parent for path in sorted(directory.glob('*/config.json')) if not path.parent.name.startswith('teacher_')
    ]
    missing = {run.name: [name for name in ('summary.json', 'csim.json') if not (run / name).exists()] for run in runs}
    return [f'{run} has no {names[0]} yet' for run, names in missing.items() if names]


def _dominates(one: dict, other: dict) -> bool:
    at_least = one['accuracy_csim'] >= other['accuracy_csim'] and one['cost'] <= other['cost']
    return at_least and (one['accuracy_csim'] > other['accuracy_csim'] or one['cost'] < other['cost'])


def columns(rows: Sequence[dict]) -> list[str]:
    """The columns that the printed table shows."""
    seeds = ['seed'] if len({row['seed'] for row in rows}) > 1 else []
    return seeds + [name for name in SHOWN if name in rows[0]]


def table(rows: Sequence[dict], names: Sequence[str]) -> str:
    """Rows as an aligned text table."""
    cells = [[name.replace('accuracy_', '') for name in names]] + [
        [format_cell(name, row[name]) for name in names] for row in rows
    ]
    widths = [max(len(line[index]) for line in cells) for index in range(len(names))]
    return '\n'.join('  '.join(cell.rjust(width) for cell, width in zip(line, widths)) for line in cells)


def format_cell(name: str, value) -> str:
    """One value as a person reads it."""
    if name.startswith('accuracy') or name == 'rounding_accuracy_change':
        return f'{100 * value:.2f}%'
    if name in ('cost', 'weight', 'gates_fractional'):
        return f'{value:.3g}'
    return f'{value:,}' if isinstance(value, int) else str(value)


def draw(rows: Sequence[dict]) -> bytes:
    """The Pareto picture as PNG bytes: C-simulated accuracy against LUT, FIFO bits and the cost of skips; one point a
    run.
    """
    import matplotlib

    matplotlib.use('agg')
    import matplotlib.pyplot as plt
    import matplotlib.ticker

    labels = {
        'lut': 'LUT',
        'fifo_bits': 'FIFO storage (bits)',
        'dram_bytes': 'DRAM traffic (bytes)',
        'cycles': 'cycles',
    }
    panels = [
        ('cost', 'hardware cost of the kept skips (1 = all)'),
        *((name, label) for name, label in labels.items() if name in rows[0]),
    ]
    seeds = len({row['seed'] for row in rows})
    figure, (axes,) = plt.subplots(1, len(panels), figsize=(12, 4), sharey=True, squeeze=False, layout='constrained')
    front = sorted((row for row in rows if row['pareto']), key=lambda row: row['cost'])
    for axis, (name, label) in zip(axes, panels):
        axis.plot(
            [row[name] for row in front],
            [100 * row['accuracy_csim'] for row in front],
            '-',
            color='tab:red',
            linewidth=1,
            zorder=1,
            label='Pareto front',
        )
        same: dict[tuple, list[str]] = {}
        for row in rows:
            point = (row[name], 100 * row['accuracy_csim'])
            axis.scatter(*point, s=60, color='tab:red' if row['pareto'] else 'tab:gray', zorder=2)
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
            )
        for teacher in {row['accuracy_teacher'] for row in rows if 'accuracy_teacher' in row}:
            axis.axhline(100 * teacher, color='tab:blue', linestyle=':', label='teacher (float)')
        axis.set_xlabel(label)
        axis.margins(0.2)
        axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel('accuracy of the C-simulated design (%)')
    labelled = dict(zip(*reversed(axes[0].get_legend_handles_labels())))
    figure.legend(
        labelled.values(), labelled, loc='outside lower center', ncols=2, fontsize=8
    )  # clear of points and their labels
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, metadata={'Software': None})
    plt.close(figure)
    return buffer.getvalue()


def change(before: float, after: float) -> str:
    """Relative change in percent, empty from zero."""
    return f'{100 * (after - before) / before:+.1f} %' if before else ''


def print_summary(summary: dict, workdir: Path) -> None:
    """Prints a run's accuracies, gates and hardware."""
    kept = [name for name, value in summary['gates'].items() if value]
    print('accuracy  ' + '  '.join(f'{name} {100 * value:.2f}%' for name, value in summary['accuracy'].items()))
    print(f'skips     {len(kept)} of {len(summary["gates"])} kept: {", ".join(kept) or "none"}')
    if summary['gates_fractional']:
        print(
            f'warning   {100 * summary["gates_fractional"]:.0f} % of the gates were undecided when they were rounded '
            f'(accuracy {100 * summary["rounding_accuracy_change"]:+.2f} points); train.student.epochs may be too few'
        )
    before, after = summary['hardware']['before'], summary['hardware']['after']
    print(
        table(
            [
                {
                    'resource': name,
                    'before': before[name],
                    'after': after[name],
                    'change': change(before[name], after[name]),
                }
                for name in before
            ],
            ['resource', 'before', 'after', 'change'],
        )
    )
    print(
        f'{summary["seconds"]:.0f} s, {summary["images_per_second"]:,.0f} training images/s; wrote '
        f'{workdir}/summary.json'
    )
