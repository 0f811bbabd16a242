"""Compares the methods: each trained with the same data, epochs and seeds, in one table and one plot.

    python -m experiments.compare --config=experiments/configs/compare_resnet20.py --workdir=C
    [--methods=keep,gates:0.3,remove] [--seeds=0,1,2]

A method is one of `experiments.methods`, or gates:WEIGHT for one that reads cost.weight, at another than the config's.
Writes C/comparison.csv (a row a run), C/comparison.md (mean and standard deviation over the seeds), C/comparison.png,
and a workdir for each run and teacher. The same command goes on with an interrupted comparison. Finished runs of other
methods and seeds in C stay in the tables.
"""

from __future__ import annotations

import copy
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import checks, cli, grid, network, results, run
from experiments.config import Config, ConfigError, check_choice, defaults, get, validate
from experiments.fidelity.markdown import markdown_table
from experiments.figure import panels, png
from experiments.grid import Point
from experiments.methods import METHODS, WEIGHTED
from experiments.summary import RESOURCES
from experiments.workdir import finished, held, prepare_comparison
from tailor_jax import files
from tailor_jax.fields import hint

ON_REQUEST = ('greedy',)  # compared only where --methods names it
DEFAULT_METHODS = ','.join(name for name in METHODS if name not in ON_REQUEST)
SHOWN = ('accuracy_quantized', 'accuracy_float', 'skips_kept', 'cost')


def config_of(config: Config, entry: str) -> Config:
    """The config of one entry of --methods. Raises ConfigError for one that is no method, or that the config does not
    fit.
    """
    name, _, weight = entry.partition(':')
    if name not in METHODS:
        raise ConfigError(f'--methods names {name!r}; expected some of {", ".join(METHODS)}{hint(name, METHODS)}')
    each = copy.deepcopy(config)
    each.method = name
    if network.is_resnet(each) and network.skips_of(each) not in METHODS[name].skips:
        each = network.with_skips(each, METHODS[name].skips[0])
    if weight:
        if name not in WEIGHTED:
            raise ConfigError(f'--methods has {entry!r}, but only {", ".join(WEIGHTED)} take a weight, as in gates:0.3')
        each.cost.weight = cli.numbers(weight, float, 'methods')[0]
    validate(each)
    default = defaults()
    for key in checks.unused(each):  # one config serves all methods
        each.update_from_flattened_dict({key: get(default, key)})
    return each


def points(config: Config, entries: Sequence[str], seeds: Sequence[int]) -> list[Point]:
    """The runs of a comparison: every entry with every seed; those of a seed whose teachers have the same skips share
    one.
    """
    found = []
    for entry in entries:
        for seed in seeds:
            each = config_of(config, entry)
            each.seed = seed
            skips = (network.skips_of(each) or 'own').replace('+', '_')
            kind = f'{skips}_to_shorten' if METHODS[each.method].shortens else skips
            found.append(Point(_name(entry, seed), each, f'teacher_{kind}_seed{seed}'))
    return found


def _name(entry: str, seed: int) -> str:
    return f'{entry.replace(":", "")}_seed{seed}'


def _entry(name: str) -> str:
    """The inverse of `_name`, without the seed; '' for what is no name of a run."""
    found = re.fullmatch(rf'({"|".join(METHODS)})([\w.+-]*)_seed\d+', name)
    return '' if found is None else ':'.join(part for part in found.groups() if part)


def _runs(directory: Path, entries: Sequence[str], seeds: Sequence[int]) -> dict[str, str]:
    """{run: its entry} of a comparison's table, the runs of an entry together: those asked for in their order, and what
    else is finished in the directory.
    """
    found = {_name(entry, seed): entry for entry in entries for seed in seeds}
    for name in sorted(path.parent.name for path in directory.glob('*/summary.json') if finished(path.parent)):
        if entry := _entry(name):
            found.setdefault(name, entry)
    order = list(dict.fromkeys(found.values()))
    return dict(sorted(found.items(), key=lambda each: order.index(each[1])))


def compare(
    config: Config,
    directory: Path,
    entries: Sequence[str],
    seeds: Sequence[int],
    reference: Callable[[Mapping], float] | None = None,
) -> list[dict]:
    """Runs what is not there yet; returns the rows of comparison.csv, one of every finished run in the directory, and
    writes the files after every run. Costs are on the scale of `reference`, by default that of `run.reference_cost`.
    """
    reference = reference or run.reference_cost(config)

    def write() -> list[dict]:
        entry_of = _runs(directory, entries, seeds)
        rows = [_row(entry_of[row['run']], row, reference) for row in grid.rows(directory, entry_of)]
        files.write(directory / 'comparison.csv', results.csv_text(rows))
        files.write(directory / 'comparison.md', markdown(rows))
        files.write(directory / 'comparison.png', draw(rows))
        return rows

    grid.execute(points(config, entries, seeds), directory, after=lambda workdir: write())
    return write()


def _row(entry: str, row: dict, reference: Callable) -> dict:
    """A row of comparison.csv from one of the grid; its cost is on the scale of `reference`."""
    return {
        'method': entry,
        'seed': row['seed'],
        'accuracy_quantized': row['accuracy_quantized'],
        'accuracy_float': row['accuracy_finetuned'],
        'skips_kept': row['skips_kept'],
        'cost': round(float(reference(row)), 6),
        **{name: value for name, value in row.items() if name in RESOURCES},
        **{
            name: value
            for name, value in row.items()
            if name.startswith('accuracy_') and name not in ('accuracy_quantized', 'accuracy_finetuned')
        },
    }


def summarized(rows: Sequence[dict]) -> list[dict]:
    """A row a method: {column: (mean, standard deviation over the seeds)}, in the order given."""
    methods = list(dict.fromkeys(row['method'] for row in rows))
    shared = [
        key
        for key in rows[0]
        if key not in ('method', 'seed') and all(isinstance(row.get(key), int | float) for row in rows)
    ]
    table = []
    for method in methods:
        mine = [row for row in rows if row['method'] == method]
        spread = {
            key: (statistics.fmean(row[key] for row in mine), _deviation([row[key] for row in mine])) for key in shared
        }
        table.append({'method': method, 'seeds': len(mine), **spread})
    return table


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def markdown(rows: Sequence[dict]) -> str:
    """The table as Markdown: mean ± standard deviation."""
    table = summarized(rows)
    changing = [
        key for key in table[0] if key not in ('method', 'seeds', *SHOWN) and len({row[key][0] for row in table}) > 1
    ]
    names = [*SHOWN, *(name for name in results.SHOWN if name in changing)]
    head = ['method', 'seeds', *(name.replace('accuracy_', '') for name in names)]
    lines = [[row['method'], str(row['seeds']), *(_cell(name, *row[name]) for name in names)] for row in table]
    return markdown_table(head, lines, right=True) + '\n'


def _cell(name: str, mean: float, deviation: float) -> str:
    if name.startswith('accuracy'):
        return f'{100 * mean:.2f} ± {100 * deviation:.2f} %'
    digits = 2 if name == 'cost' else 1 if name == 'skips_kept' else 0
    return f'{mean:,.{digits}f}' + (f' ± {deviation:,.{digits}f}' if deviation else '')


def draw(rows: Sequence[dict]) -> bytes:
    """Accuracy of every seed by method, and mean accuracy against the hardware cost of skips, as PNG bytes."""
    import matplotlib

    table = summarized(rows)
    figure, (left, right) = panels(2, (12, 4.5))
    colors = [matplotlib.colormaps['tab20'](index % 20) for index in range(len(table))]
    for place, (row, color) in enumerate(zip(table, colors)):
        values = [100 * each['accuracy_quantized'] for each in rows if each['method'] == row['method']]
        left.scatter(values, [place] * len(values), color=color, s=25)
        left.plot([100 * row['accuracy_quantized'][0]] * 2, [place - 0.3, place + 0.3], color=color, linewidth=2)
        (mean, deviation), (cost, cost_deviation) = row['accuracy_quantized'], row['cost']
        right.errorbar(
            cost, 100 * mean, 100 * deviation, cost_deviation, fmt='o', color=color, capsize=3, label=row['method']
        )
    left.set_yticks(range(len(table)), [row['method'] for row in table])
    left.invert_yaxis()
    left.set_xlabel('accuracy after quantization (%), a point a seed, a bar the mean')
    right.set_xlabel('hardware cost of skips (1 = the residual network, 0 = no skip)')
    right.set_ylabel('accuracy after quantization (%)')
    figure.legend(*right.get_legend_handles_labels(), loc='outside right center', fontsize=8)
    return png(figure)


def _check_method(config: Config, entries: Sequence[str]) -> None:
    """Raises ConfigError for a method that the config sets and that no run has."""
    check_choice(config, 'method', tuple(METHODS))
    if config.method not in (defaults().method, *(entry.partition(':')[0] for entry in entries)):
        raise ConfigError(
            f'config.method is {config.method!r}, but the runs have the methods {",".join(entries)} of --methods'
        )


def main(flags: Any) -> None:
    path = cli.required(flags, 'workdir', 'runs/compare')
    entries = list(dict.fromkeys(flags.methods.split(',')))
    seeds = cli.numbers(flags.seeds, int, 'seeds')
    if flags.config.seed not in (*seeds, defaults().seed):
        raise ConfigError(f'config.seed is {flags.config.seed}, but the runs have the seeds {flags.seeds} of --seeds')
    _check_method(flags.config, entries)
    grid.check(points(flags.config, entries, seeds))
    reference = run.reference_cost(flags.config)
    directory = prepare_comparison(flags.config, path, flags.overwrite)
    with held(directory, 'compare.json', flags.config):
        rows = compare(flags.config, directory, entries, seeds, reference)
    print(markdown(rows))
    print(f'wrote {directory}/comparison.csv, comparison.md and comparison.png')


if __name__ == '__main__':
    _FLAGS = {
        'workdir': ('', 'Directory of the comparison.'),
        'methods': (DEFAULT_METHODS, 'Methods, separated by commas; gates:WEIGHT for another cost.weight.'),
        'seeds': ('0,1,2', 'Seeds to run each method with.'),
        'overwrite': (False, 'Delete an earlier comparison in the workdir and start anew.'),
    }
    cli.run(main, _FLAGS, config=True)
