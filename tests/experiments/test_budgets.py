"""The benchmark of budgets: its runs, and what is set beside what."""

import random

import pytest
from small_config import small_config

from experiments import grid, run
from experiments.benchmarks import budgets


def test_every_setting_and_every_budget_is_a_run_from_one_teacher():
    config = small_config()
    checked = run.check(config)
    none, every = checked.cost.bounds['fifo_bits']
    limits = budgets.limits(none, every)
    assert len(set(limits)) == budgets.BUDGETS and all(none < limit < every for limit in limits)
    enumerated = budgets.settings(config, checked.graph.gates)
    points = [*enumerated, *budgets.budgets(config, 'fifo_bits', limits)]
    grid.check(points)
    assert {grid.teacher_of(point) for point in points} == {'teacher'}
    kept = {point.name: set(point.config.gates.keep.split(',')) - {'none'} for point in enumerated}
    assert len({frozenset(names) for names in kept.values()}) == 2 ** len(checked.graph.gates)
    for name, names in kept.items():
        assert name == 'keep_' + ''.join(str(int(gate in names)) for gate in checked.graph.gates)


def test_the_best_setting_within_a_budget_by_brute_force():
    rng = random.Random(0)
    enumerated = [
        {'gates': f'{number:04b}', 'lut': rng.randrange(10), 'accuracy_quantized': rng.random()} for number in range(16)
    ]
    limits = sorted(rng.sample(range(max(row['lut'] for row in enumerated)), 5))
    enumerated[0]['lut'] = 0
    designs = [{'gates': '0000', 'lut': limit, 'accuracy_quantized': 0.5} for limit in limits]
    for row, limit in zip(budgets.compared(designs, enumerated, 'lut', limits), limits, strict=True):
        assert (row['budget'], row['used'], row['accuracy']) == (limit, limit, 0.5)
        others = [each['accuracy_quantized'] for each in enumerated if each['lut'] <= limit]
        assert row['best_used'] <= limit and all(row['best_accuracy'] >= other for other in others)
        (best,) = [each for each in enumerated if each['gates'] == row['best_skips']]
        assert (best['lut'], best['accuracy_quantized']) == (row['best_used'], pytest.approx(row['best_accuracy']))
