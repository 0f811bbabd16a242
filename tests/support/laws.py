"""Laws that a target owes whatever it is: what the tests of each target hold it to."""

import random
from collections.abc import Callable

import jax.numpy as jnp
import pytest
from tables import table_peak

import costmodel
from costmodel.targets import Target
from tailor_jax import rewrite
from tailor_jax.graph import Graph


def random_setting(graph: Graph, rng: random.Random) -> dict[str, int]:
    return {gate: rng.randint(0, 1) for gate in graph.gates}


def price(graph: Graph, setting: dict[str, int], target: Target) -> dict[str, int]:
    return costmodel.evaluate(rewrite.binarize(graph, setting), target).total


def check_vertices(graph: Graph, target: Target, rng: random.Random) -> costmodel.CostTable:
    """At 0 and 1 the expectation is the cost of the pruned graph, an integer. The table, for more."""
    table = costmodel.tabulate(graph, target)
    corners = [dict.fromkeys(graph.gates, value) for value in (0, 1)]
    for setting in (random_setting(graph, rng), random_setting(graph, rng), *corners):
        exact = price(graph, setting, target)
        expected = costmodel.expected(table, setting)
        assert {name: exact[name] for name in table.resources} == {name: float(each) for name, each in expected.items()}
    return table


def check_gradient(graph: Graph, target: Target, rng: random.Random, grad: Callable) -> None:
    """E is linear in each probability, so E(p_i = 1) - E(p_i = 0) is its derivative; for all resources mixed."""
    table = costmodel.tabulate(graph, target)
    p = {gate: rng.uniform(0.05, 0.95) for gate in graph.gates}
    weight = {name: rng.uniform(0.5, 1) / max(1.0, table_peak(table, name)) for name in table.resources}

    def mixed(point):
        value = costmodel.expected(table, point)
        return sum(weight[name] * value[name] for name in table.resources)

    gradient = grad(mixed)({gate: jnp.float32(value) for gate, value in p.items()})
    for gate in graph.gates:
        difference = mixed(p | {gate: 1}) - mixed(p | {gate: 0})
        assert float(gradient[gate]) == pytest.approx(difference, rel=1e-4, abs=1e-5), gate


def check_monotone(graph: Graph, target: Target, rng: random.Random) -> None:
    """Removing a skip from a random setting of the gates never raises a monotone cost."""
    setting = random_setting(graph, rng)
    before = price(graph, setting, target)
    for gate in [gate for gate, value in setting.items() if value]:
        after = price(graph, setting | {gate: 0}, target)
        for name in costmodel.monotone(target):
            assert after[name] <= before[name], f'{name} rises from {before[name]} to {after[name]} when {gate} closes'
