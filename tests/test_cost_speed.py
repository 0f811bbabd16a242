"""The cost model is cheap enough to stand in a training step and in a loop over networks (limits are the contract; the machine may be busy)."""

import time

import jax
import jax.numpy as jnp

import costmodel
from tailor_jax import build


def best_of(function, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def test_an_expectation_and_its_gradient_take_under_100_microseconds():
    """One compiled call, its dispatch included, which a training step that contains it does not even pay."""
    graph = build.resnet(20, skips='long+short')
    table = costmodel.tabulate(graph, costmodel.dataflow())

    @jax.jit
    @jax.value_and_grad
    def total(p):
        value = costmodel.expected(table, dict(zip(graph.gates, p)))
        return sum(value[name] / 1e5 for name in ('bram18', 'lut', 'ff', 'fifo_bits', 'interval_cycles'))

    p = jnp.full(len(graph.gates), 0.5)

    def calls():
        for _ in range(200):
            result = total(p)
        jax.block_until_ready(result)

    calls()
    assert best_of(calls, 5) / 200 < 100e-6


def test_resnet110_is_tabulated_in_under_ten_seconds():
    graph = build.resnet(110)
    started = time.monotonic()
    assert len(costmodel.tabulate(graph, costmodel.dataflow()).gates) == 54
    assert time.monotonic() - started < 10
