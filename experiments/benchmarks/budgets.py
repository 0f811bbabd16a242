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
from collections.abc import Sequence
from typing import Any

from experiments import cli, grid, results
from experiments.config import Config, ConfigError, defaults
from experiments.grid import Point
from experiments.workdir import held, prepare_comparison

BUDGETS = 5
TEACHER = 'teacher'


def settings(config: Config, gates: Sequence[str]) -> list[Point]:
    """A run for every setting of the gates, from every skip removed to every skip kept."""
    found = []
    for setting in itertools.product((0, 1), repeat=len(gates)):
        each = copy.deepcopy(config)
        each.method = 'keep'
        each.gates.keep = ','.join(gate for gate, value in zip(gates, setting) if value) or 'none'
        found.append(Point('keep_' + ''.join(map(str, setting)), each, TEACHER))
    return found


def limits(none: float, every: float) -> list[int]:
    """The budgets, spread between what the network takes with no skip and with every one."""
    return [math.floor(none + (every - none) * (index + 0.5) / BUDGETS) for index in range(BUDGETS)]


def budgets(config: Config, resource: str, limits: Sequence[int]) -> list[Point]:
    """A run for every budget of a resource."""
    found = []
    for limit in limits:
        each = copy.deepcopy(config)
        each.cost.budget[resource] = float(limit)
        found.append(Point(f'budget_{limit}', each, TEACHER))
    return found


def compared(designs: Sequence[dict], enumerated: Sequence[dict], resource: str, limits: Sequence[int]) -> list[dict]:
    """A row a budget: what its design uses, and the most accurate enumerated setting that fits."""
    rows = []
    for limit, design in zip(limits, designs, strict=True):
        fitting = [row for row in enumerated if row[resource] <= limit]
        best = max(fitting, key=lambda row: row['accuracy_quantized'])
        rows.append(
            {
                'budget': limit,
                'used': design[resource],
                'skips': design['gates'],
                'accuracy': design['accuracy_quantized'],
                'best_used': best[resource],
                'best_skips': best['gates'],
                'best_accuracy': best['accuracy_quantized'],
            }
        )
    return rows


def main(options: Any) -> None:
    from experiments import run

    config, resource = copy.deepcopy(options.config), options.resource
    path = cli.required(options, 'workdir', 'runs/budgets')
    config.method, config.model.skips = 'gates', 'long'
    config.model.depth = options.depth
    config.cost.weight = defaults().cost.weight  # a budget takes its place
    checked = run.check(config)
    if resource not in checked.cost.bounds:
        raise ConfigError(f'--resource is {resource!r}; skips add to {", ".join(checked.cost.bounds) or "none"}')
    spread = limits(*checked.cost.bounds[resource])
    every, limited = settings(config, checked.graph.gates), budgets(config, resource, spread)
    grid.check([*every, *limited])
    directory = prepare_comparison(config, path, overwrite=False)
    with held(directory, 'compare.json', config):
        grid.execute([*every, *limited], directory)
    enumerated, designs = (grid.rows(directory, [point.name for point in each]) for each in (every, limited))
    rows, size = compared(designs, enumerated, resource, spread), checked.source.test_size
    print(f'{resource}, seed {config.seed}, {size} test images: one image is {100 / size:.2f} points')
    print('Designs within a budget, and the best enumerated setting that fits it:')
    print(results.table(rows, list(rows[0])))
    print('Every setting:')
    print(results.table(enumerated, ['gates', resource, 'accuracy_quantized']))
    if any(row['used'] > row['budget'] for row in rows):
        cli.fail('a design exceeds its budget')


if __name__ == '__main__':
    _FLAGS = {
        'workdir': ('', 'Directory of the runs.'),
        'depth': (8, 'Depth of the ResNet; every setting of its gates is trained.'),
        'resource': ('fifo_bits', 'What the budget limits.'),
    }
    cli.run(main, _FLAGS, config=True)
