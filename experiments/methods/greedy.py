"""Skips that go one after another, the cheapest by measurement first: a baseline for gates that learn.

    greedy    the skip that raises the loss least for the cost that it saves goes, until a budget is met, or no other is
              worth its cost

The student starts from the teacher, and its phase is split into S + 1 parts, S the number of skips. Before each part
every skip that is left is tried closed. With L(a) the student's loss on calibration images under a setting a of the
gates, normalized by the statistics that these images have under a, and C(a) its exact cost, skip i has the price

    max(L(a - i) - L(a), 0) / (C(a) - C(a - i)),

and the least price goes; of those that raise no loss, the one that saves most. Without a budget C is the share of
`HardwareCost`, and what costs `cost.weight` or more a unit of C stays. With one C is what exceeds the budget, the sum
of max(excess_r, 0), until it is met. After the last removal the rest of the phase is one part.

A decision is kept as the note of its part's checkpoints, so that a run which goes on has made it already.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from costmodel.expectation.budget import meets
from experiments.budget import budget_of
from experiments.config import Config, ConfigError
from experiments.cost import cost_of
from experiments.methods.method import PLAIN, Method, Net, Student, check_price, decided
from experiments.phase import Gating, Run, phase_of, sample_images, train_phase
from tailor_jax import model
from tailor_jax.graph import Graph
from tailor_jax.train import checkpoint, cluster, losses, step
from tailor_jax.train.step import Teacher

Setting = dict[str, int]
MOST_LOSS = float(np.finfo(np.float32).max)  # of a network that computes what is no number


def train(run: Run, net: Net, teacher: Teacher | None) -> Student:
    """Trains the network part by part, each with one skip less than the part before."""
    assert teacher is not None  # the method distills
    ends = parts(net.graph, net.phase.epochs, run.updates_per_epoch)
    variables: Mapping = net.variables
    setting, removed, final = dict.fromkeys(net.graph.gates, 1), [], False
    for number in range(1, len(ends)):
        if final:
            break
        name = phase_of(run.config, 'student', number).name
        decision = cluster.from_main(functools.partial(_decision, run, net, teacher, variables, setting, name))
        if decision['removed'] is not None:
            removed.append(decision['removed'])
            setting = closed(setting, decision['removed']['gate'])
        final = decision['final']
        epochs = (ends[-1 if final else number] - ends[number - 1]) / run.updates_per_epoch
        warmup_epochs = net.phase.warmup_epochs * epochs / net.phase.epochs
        phase = phase_of(run.config, 'student', number, epochs=epochs, warmup_epochs=warmup_epochs)
        still = Gating(switches={gate: (float(value), float(value), 0, 0) for gate, value in setting.items()})
        variables = train_phase(run, phase, net.graph, variables, teacher, still, note=decision).variables
    told = {'removed': removed} | ({'budget': {'limits': dict(net.budget.limits)}} if net.budget else {})
    student = decided(variables, setting)
    return dataclasses.replace(student, told=student.told | told)


def parts(graph: Graph, epochs: float, updates_per_epoch: int) -> list[int]:
    """The updates after which the parts end, from 0 on: one part more than there are skips. Raises ConfigError for a
    part without any.
    """
    count = len(graph.gates) + 1
    ends = [round(epochs * updates_per_epoch * number / count) for number in range(count + 1)]
    if any(before == after for before, after in itertools.pairwise(ends)):
        raise ConfigError(
            f"config.method 'greedy' takes a batch or more for each of {count - 1} skips and one more, but the "
            f'{epochs:g} epochs of config.train.student.epochs have {ends[-1]:,} batches'
        )
    return ends


def closed(setting: Mapping[str, int], gate: str) -> Setting:
    """The setting with one gate closed."""
    return {**setting, gate: 0}


def choice(
    setting: Mapping[str, int],
    loss: Callable[[Setting], float],
    cost: Callable[[Setting], float],
    most: float = math.inf,
) -> dict[str, Any] | None:
    """The skip that goes next, as {'gate', 'loss' before and after, 'cost' before and after}; None if none does.

    Args:
      setting: of the gates now.
      loss, cost: of a setting.
      most: what every price has to be below; inf, by default, always finds a skip where there is one, if need be one
        that saves nothing.
    """
    loss_now, cost_now = loss(dict(setting)), cost(dict(setting))
    ranked = []
    for gate in (gate for gate, value in setting.items() if value):
        without = closed(setting, gate)
        loss_then, cost_then = loss(without), cost(without)
        told = {'gate': gate, 'loss': [loss_now, loss_then], 'cost': [cost_now, cost_then]}
        raised, saved = loss_then - loss_now, cost_now - cost_then
        price = max(raised, 0.0) / saved if saved > 0 else math.inf
        if price < most or most == math.inf:
            ranked.append(((price, -saved, raised), told))
    return min(ranked, key=lambda each: each[0])[1] if ranked else None


def _decision(run: Run, net: Net, teacher: Teacher, variables: Mapping, setting: Setting, phase: str) -> dict[str, Any]:
    """{'removed': what `choice` found before this part, 'final': whether no other skip goes after it}. The same again
    where the part has checkpoints.
    """
    if (noted := checkpoint.note(run.checkpoints(phase))) is not None:
        return noted
    if _done(net, setting):
        return {'removed': None, 'final': True}
    loss = _loss_of(run, net.graph, teacher, variables)
    removed = choice(setting, loss, _cost_of(net), math.inf if net.budget else run.config.cost.weight)
    return {'removed': removed, 'final': removed is None or _done(net, closed(setting, removed['gate']))}


def _done(net: Net, setting: Setting) -> bool:
    """Whether no skip is to go: none is left, or the budget is met."""
    if net.budget:
        return meets(net.budget.cost.table, setting, dict(net.budget.limits))
    return not any(setting.values())


def _cost_of(net: Net) -> Callable[[Setting], float]:
    """The exact cost of a setting, from the table."""

    def cost(setting: Setting) -> float:
        p = {gate: float(value) for gate, value in setting.items()}
        return sum(max(float(each), 0.0) for each in net.budget(p).values()) if net.budget else float(net.cost(p))

    return cost


def _loss_of(run: Run, graph: Graph, teacher: Teacher, variables: Mapping) -> Callable[[Setting], float]:
    """The loss of a setting on the calibration images: as the student trains, with distillation."""
    sample, measured = sample_images(run), _measured(graph, teacher.share, teacher.temperature)
    wanted = step.predict(teacher.graph)(teacher.variables, {}, sample['image'])

    def loss(setting: Setting) -> float:
        values = {gate: np.float32(value) for gate, value in setting.items()}
        found = float(measured(variables, values, sample['image'], sample['label'], wanted))
        return min(found, MOST_LOSS) if math.isfinite(found) else MOST_LOSS

    return loss


@functools.lru_cache(maxsize=16)
def _measured(graph: Graph, share: float, temperature: float) -> Callable[..., jax.Array]:
    """The jitted loss: (variables, gates, images [b, h, w, c], labels [b], teacher's logits [b, classes]) -> scalar.

    Batch norms take the statistics of these images: what running ones settle to when they are passed again and again.
    """

    @jax.jit
    def loss(variables: Mapping, gates: Mapping, images: jax.Array, labels: jax.Array, wanted: jax.Array) -> jax.Array:
        logits, _ = model.Net(graph).apply(variables, images, gates, train=True, mutable=['batch_stats'])
        each = (1 - share) * losses.cross_entropy(logits, labels)
        if share:
            taught = (
                losses.distill_kl(logits, wanted, temperature) if temperature else losses.distill_mse(logits, wanted)
            )
            each = each + share * taught
        return jnp.mean(each)

    return loss


def _check(config: Config, graph: Graph, epochs: float, updates_per_epoch: int) -> None:
    check_price(config)
    parts(graph, epochs, updates_per_epoch)
    if all(limit is None for limit in config.cost.budget.values()):
        return
    cost, none = cost_of(config, graph, charged=False), dict.fromkeys(graph.gates, 0)
    if (budget := budget_of(config, cost)) and not meets(cost.table, none, dict(budget.limits)):
        raise ConfigError(
            "config.cost.budget: method 'greedy' removes skips until the budget is met, and without any it is not; "
            'method gates finds the settings that meet it'
        )


METHODS = {
    'greedy': Method(
        train,
        warm=True,
        distills=True,
        reads=('cost.weight', 'cost.budget'),
        skips=(*PLAIN, 'long+short'),
        check=_check,
    )
}
