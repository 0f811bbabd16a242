"""Gates that learn.

gates    learned under the expected hardware cost, as a penalty (cost.weight) or a constraint (cost.budget)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from experiments.budget import Budget, repair
from experiments.config import Config
from experiments.methods.method import PLAIN, Method, Net, Student, check_aids, check_price, with_dirac
from experiments.phase import Gating, Run, sample_images, train_phase
from tailor_jax import gates
from tailor_jax.graph import Graph
from tailor_jax.train import cluster, losses, step
from tailor_jax.train.step import Teacher


def train(run: Run, net: Net, teacher: Teacher | None) -> Student:
    """Trains the network and its gates, then rounds them: to the likelier value, or within the budget."""
    gating = Gating(
        log_alpha=gates.init(net.graph.gates, run.config.gates.p_open),
        cost=None if net.budget else net.cost,
        budget=net.budget,
        aids=run.config.aids,
    )
    trained = train_phase(run, net.phase, net.graph, with_dirac(run.config, net), teacher, gating)
    log_alpha = trained.log_alpha
    p_open = {name: float(value) for name, value in gates.p_open(log_alpha).items()}
    told: dict[str, Any] = {'p_open': p_open, 'gates_fractional': gates.fractional(log_alpha)}
    settings = gates.round_off(log_alpha)
    if net.budget:
        settings, told['budget'] = _repaired(run, net.graph, net.budget, trained.variables, p_open, settings)
    return Student(trained.variables, settings, gates.at_test(log_alpha), told)


def _repaired(
    run: Run, graph: Graph, budget: Budget, variables: Mapping, p_open: Mapping[str, float], rounded: Mapping[str, int]
) -> tuple[dict[str, int], dict]:
    """(the setting within the budget that the student does best with on training images, what to tell of it)."""
    sample = sample_images(run)
    predict = step.predict(graph, preserve_variance=run.config.aids.preserve_variance)

    def loss(setting: Mapping[str, int]) -> float:
        values = {name: np.float32(value) for name, value in setting.items()}
        logits = predict(variables, values, sample['image'])
        return float(np.mean(losses.cross_entropy(logits, jax.numpy.asarray(sample['label']))))

    count = run.config.gates.repair_candidates
    settings, candidates = cluster.from_main(lambda: repair(budget, p_open, count, loss))
    return settings, {'limits': dict(budget.limits), 'rounded_gates': dict(rounded), 'candidates': candidates}


def _check(config: Config, graph: Graph, epochs: float, updates_per_epoch: int) -> None:
    check_price(config)
    check_aids(config, graph, epochs)


METHODS = {
    'gates': Method(
        train,
        warm=True,
        distills=True,
        reads=(
            *(f'gates.{key}' for key in ('learning_rate', 'p_open', 'dual_learning_rate', 'repair_candidates')),
            'cost.weight',
            'cost.budget',
            'aids',
        ),
        skips=(*PLAIN, 'long+short'),
        check=_check,
    )
}
