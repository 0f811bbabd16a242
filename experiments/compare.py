"""Compares the methods: each trained with the same data, epochs and seeds, in one table and one plot.

    python -m experiments.compare --config=experiments/configs/compare_resnet20.py --workdir=C
    [--methods=keep,gates:0.3,remove] [--seeds=0,1,2]

A method is one of `experiments.methods`, or gates:WEIGHT for learned gates at a cost.weight other than the config's.
Writes C/comparison.csv (a row a run), C/comparison.md (mean and standard deviation over the seeds), C/comparison.png,
and a workdir for each run and teacher. The same command goes on with an interrupted comparison.
"""

from __future__ import annotations

import copy
import csv
import difflib
import io
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments import cli, network, options, results
from experiments.config import Config, ConfigError, defaults, get, validate
from experiments.methods import METHODS
from experiments.summary import read_summary
from experiments.sweep import numbers
from experiments.workdir import held, prepare_comparison
from tailor_jax import files

DEFAULT_METHODS = 'keep,gates,remove,shorten,nonresnet,static,kd_only,dynamic_scratch,dynamic_pretrained'
SHOWN = ('accuracy_quantized', 'accuracy_float', 'skips_kept', 'cost')


def config_of(config: Config, entry: str) -> Config:
    """The config of one entry of --methods. Raises ConfigError for one that is no method, or that the config does not
    fit.
    """
    name, _, weight = entry.partition(':')
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, 1)
        raise ConfigError(
            f'--methods names {name!r}; expected some of {", ".join(METHODS)}'
            + (f'; did you mean {near[0]!r}?' if near else '')
        )
    each = copy.deepcopy(config)
    each.method = name
    if network.skips_of(each) not in ('', *METHODS[name].skips):
        each.model.skips = METHODS[name].skips[0]
    if weight:
        if name != 'gates':
            raise ConfigError(f'--methods has {entry!r}, but only gates take a weight, as in gates:0.3')
        each.cost.weight = numbers(weight, float, 'methods')[0]
    validate(each)
    default = defaults()
    for key in options.unused(each):  # one config serves all methods
        each.update_from_flattened_dict({key: get(default, key)})
    return each


def compare(config: Config, directory: Path, entries: Sequence[str], seeds: Sequence[int]) -> list[dict]:
    """Runs what is not there yet; returns the rows of comparison.csv, and writes the files after every run."""
    from experiments import run

    reference = run.reference_cost(config)
    for entry in entries:  # the seeds of a method share its compiled programs
        for seed in seeds:
            workdir = directory / f'{entry.replace(":", "")}_seed{seed}'
            if (workdir / 'summary.json').exists():
                continue
            each = config_of(config, entry)
            each.seed = seed
            if METHODS[each.method].has_teacher:
                each.train.teacher_workdir = run.train_teacher(
                    each, directory / f'teacher_{(network.skips_of(each) or "own").replace("+", "_")}_seed{seed}'
                )
            print(f'--- {workdir.name}', flush=True)
            run.train(each, workdir)
            _write(directory, entries, seeds, reference)
    return _write(directory, entries, seeds, reference)


def _write(directory: Path, entries: Sequence[str], seeds: Sequence[int], reference: Callable) -> list[dict]:
    rows = []
    for entry in entries:
        for seed in seeds:
            path = directory / f'{entry.replace(":", "")}_seed{seed}' / 'summary.json'
            if path.exists():
                rows.append(_row(entry, seed, read_summary(path), reference))
    if rows:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
        files.write(directory / 'comparison.csv', text.getvalue())
        files.write(directory / 'comparison.md', markdown(rows))
        files.write(directory / 'comparison.png', draw(rows))
    return rows


def _row(entry: str, seed: int, summary: dict, reference: Callable) -> dict:
    after = summary['hardware']['after']
    return {
        'method': entry,
        'seed': seed,
        'accuracy_quantized': summary['accuracy']['quantized'],
        'accuracy_float': summary['accuracy']['finetuned'],
        'skips_kept': sum(summary['gates'].values()),
        'cost': round(float(reference(after)), 6),
        **after,
        **{
            f'accuracy_{name}': value
            for name, value in summary['accuracy'].items()
            if name not in ('quantized', 'finetuned')
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
    lines = [head, ['---'] + ['---:'] * (len(head) - 1)]
    lines += [[row['method'], str(row['seeds']), *(_cell(name, *row[name]) for name in names)] for row in table]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines) + '\n'


def _cell(name: str, mean: float, deviation: float) -> str:
    if name.startswith('accuracy'):
        return f'{100 * mean:.2f} ± {100 * deviation:.2f} %'
    digits = 2 if name == 'cost' else 1 if name == 'skips_kept' else 0
    return f'{mean:,.{digits}f}' + (f' ± {deviation:,.{digits}f}' if deviation else '')


def draw(rows: Sequence[dict]) -> bytes:
    """Accuracy of every seed by method, and mean accuracy against the hardware cost of skips, as PNG bytes."""
    import matplotlib

    matplotlib.use('agg')
    import matplotlib.pyplot as plt

    table = summarized(rows)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout='constrained')
    colors = [plt.get_cmap('tab20')(index % 20) for index in range(len(table))]
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
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.legend(*right.get_legend_handles_labels(), loc='outside right center', fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, metadata={'Software': None})
    plt.close(figure)
    return buffer.getvalue()


def main(flags: Any) -> None:
    path = cli.required(flags, 'workdir', 'runs/compare')
    entries = list(dict.fromkeys(flags.methods.split(',')))
    seeds = numbers(flags.seeds, int, 'seeds')
    from experiments import run  # imports jax; bad flags should not wait for it

    for entry in entries:
        each = config_of(flags.config, entry)
        for each.seed in seeds:
            validate(each)
        run.check(each)
    directory = prepare_comparison(flags.config, path, flags.overwrite)
    with held(directory, 'compare.json', flags.config):
        rows = compare(flags.config, directory, entries, seeds)
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
