"""Budgets against enumeration: five budgets, and every setting of the gates trained on its own.

    python -m experiments.benchmarks.budgets --workdir=B [--config=experiments/configs/compare_resnet20.py] [--depth=8]
    [--resource=fifo_bits]

One teacher. For each of five budgets, between the network without skips and the one with all, learned gates within that
budget; and for each of the 2^gates settings, method keep with those skips: the same start, epochs and losses. Prints a
table: the budget, what the learned design uses and its accuracy, and the most accurate enumerated setting that fits.
Exit status 1 if a design exceeds its budget.
"""

from __future__ import annotations

import copy
import itertools
import math
from pathlib import Path
from typing import Any

from experiments import cli
from experiments.config import defaults
from experiments.summary import read_summary
from experiments.workdir import held, prepare_comparison

BUDGETS = 5


def main(options: Any) -> None:
    from experiments import run

    config, resource = copy.deepcopy(options.config), options.resource
    config.method, config.model.skips = 'gates', 'long'
    config.model.depth = options.depth
    config.cost.weight = defaults().cost.weight  # a budget takes its place
    checked = run.check(config)
    directory = prepare_comparison(config, cli.required(options, 'workdir', 'runs/budgets'), overwrite=False)
    with held(directory, 'compare.json', config):
        _compare(config, checked, resource, directory)


def _compare(config: Any, checked: Any, resource: str, directory: Path) -> None:
    from experiments import run

    none, every = checked.cost.bounds[resource]
    config.train.teacher_workdir = run.train_teacher(config, directory / 'teacher')

    enumerated = []
    for setting in itertools.product((0, 1), repeat=len(checked.graph.gates)):
        each = copy.deepcopy(config)
        each.method = 'keep'
        each.gates.keep = ','.join(gate for gate, value in zip(checked.graph.gates, setting) if value) or 'none'
        enumerated.append(_trained(each, directory / ('keep_' + ''.join(map(str, setting)))))
    rows = []
    for index in range(BUDGETS):
        each = copy.deepcopy(config)
        limit = math.floor(none + (every - none) * (index + 0.5) / BUDGETS)
        each.cost.budget[resource] = float(limit)
        rows.append((limit, _trained(each, directory / f'budget_{limit}')))

    size = checked.source.test_size
    print(f'{resource}, seed {config.seed}, {size} test images: one image is {100 / size:.2f} points')
    print(f'{"budget":>10} {"used":>10} {"skips":>8} {"accuracy":>9}   best enumerated within the budget')
    over = False
    for limit, summary in rows:
        used, fitting = (
            summary['hardware']['after'][resource],
            [row for row in enumerated if row['hardware']['after'][resource] <= limit],
        )
        best = max(fitting, key=lambda row: row['accuracy']['quantized'])
        over |= used > limit
        print(f'{limit:>10,} {used:>10,} {_bits(summary):>8} {100 * summary["accuracy"]["quantized"]:>8.2f}%   '
              f'{_bits(best)} {best["hardware"]["after"][resource]:,} '
              f'{100 * best["accuracy"]["quantized"]:.2f}%')  # fmt: skip
    for row in enumerated:
        print(
            f'  every setting: {_bits(row)} {row["hardware"]["after"][resource]:>10,} '
            f'{100 * row["accuracy"]["quantized"]:.2f}%'
        )
    if over:
        cli.fail('a design exceeds its budget')


def _trained(config: Any, workdir: Path) -> dict:
    from experiments import run

    path = workdir / 'summary.json'
    return read_summary(path) if path.exists() else run.train(config, workdir)


def _bits(summary: dict) -> str:
    return ''.join(str(value) for value in summary['gates'].values())


if __name__ == '__main__':
    _FLAGS = {
        'workdir': ('', 'Directory of the runs.'),
        'depth': (8, 'Depth of the ResNet; every setting of its gates is trained.'),
        'resource': ('fifo_bits', 'What the budget limits.'),
    }
    cli.run(main, _FLAGS, config=True)
