"""Results as a person reads them, and as files: aligned tables, CSV, the summary of a run."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from costmodel.report import text_table

# The columns that tables of runs show, in this order.
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


def csv_text(rows: Sequence[Mapping]) -> str:
    """Rows as CSV, with every column that one of them has, in the order of the first that has it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def table(rows: Sequence[Mapping], names: Sequence[str]) -> str:
    """Rows as an aligned text table."""
    head = [name.replace('accuracy_', '') for name in names]
    return text_table([head, *([format_cell(name, row[name]) for name in names] for row in rows)])


def format_cell(name: str, value) -> str:
    """One value as a person reads it."""
    if 'accuracy' in name:
        return f'{100 * value:.2f}%'
    if name in ('cost', 'weight', 'gates_fractional'):
        return f'{value:.3g}'
    return f'{value:,}' if isinstance(value, int) else str(value)


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
