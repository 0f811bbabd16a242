"""Measures the cost model: settling the folding of a network, pricing it, tabulating its gates, one expectation with
its gradient.

    python -m experiments.benchmarks.cost            # a table in Markdown, as in docs/performance.md

`settle`, `price` and `tabulate` are single calls with the caches of depths and tiles empty; `expected` is the expected
cost of five resources and its gradient in all gates in a compiled call of its own, dispatch included, which a training
step that contains it does not even pay. The best of 5. The second table is of the PE array, preset shortcut_fusion.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

import costmodel
from costmodel.array import evaluate as array
from costmodel.array import tiling
from costmodel.streams.flow import depths
from experiments import cli
from tailor_jax import build, rewrite

NETWORKS = ('resnet8', 'resnet20', 'resnet20_long+short', 'resnet110', 'resnet50')
ARRAYS = (
    'resnet20 retain 20000',
    'resnet56 retain 40000',
    'resnet152 retain 1500000',
    'resnet152 shortcut_fusion 1500000',
)
_CALLS = 200


def seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """The least time of a call."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def cold(function: Callable[[], object]) -> Callable[[], object]:
    """The call with the schedules of earlier ones forgotten."""

    def call() -> object:
        for cached in (depths.depths, tiling.search, array.tabulated, array.binarized):
            cached.cache_clear()
        return function()

    return call


def expectation(table: costmodel.CostTable, resources: Sequence[str]) -> float:
    """Seconds of one compiled call of the expectation and its gradient."""

    @jax.jit
    @jax.value_and_grad
    def total(p: jax.Array) -> jax.Array:
        value = costmodel.expected(table, dict(zip(table.gates, p)))
        return sum(value[name] / 1e5 for name in resources)

    p = jnp.full(len(table.gates), 0.5)

    def calls() -> None:
        for _ in range(_CALLS):
            found = total(p)
        jax.block_until_ready(found)

    calls()
    return seconds(calls) / _CALLS


def arrays(names: Sequence[str]) -> None:
    columns = (
        'network',
        'policy',
        'SRAM, bytes',
        'gates',
        'states',
        'price, ms',
        'tabulate, s',
        'expected and gradient, us',
    )
    print(f'\n| {" | ".join(columns)} |\n|{"---|" * len(columns)}')
    for name in names:
        network, policy, sram = name.split()
        graph, target = build.named(network), costmodel.pe_array('shortcut_fusion', policy=policy, sram_bytes=int(sram))
        price = seconds(cold(functools.partial(costmodel.evaluate, graph, target)))
        tabulate = seconds(cold(functools.partial(costmodel.tabulate, graph, target)), repeats=2)
        table = costmodel.tabulate(graph, target)
        call = expectation(table, ('dram_bytes', 'cycles', 'energy_pj', 'buffer_bytes'))
        states = table.stacks[0].values.shape[-3]
        print(
            f'| {network} | {policy} | {sram} | {len(graph.gates)} | {states} | {1e3 * price:.0f} | {tabulate:.2f} | '
            f'{1e6 * call:.0f} |'
        )


def main(options: Any) -> None:
    columns = ('network', 'input', 'gates', 'settle, s', 'price, ms', 'tabulate, s', 'expected and gradient, us')
    print(f'| {" | ".join(columns)} |\n|{"---|" * len(columns)}')
    for name in options.networks.split(','):
        graph, unsettled = build.named(name), costmodel.dataflow()
        settle = seconds(cold(functools.partial(costmodel.settled, graph, unsettled)), repeats=1)
        target = costmodel.settled(graph, unsettled)
        closed = rewrite.binarize(graph, dict.fromkeys(graph.gates, 0))
        price = seconds(cold(functools.partial(costmodel.evaluate, closed, target)), repeats=2)
        tabulate = seconds(cold(functools.partial(costmodel.tabulate, graph, target)), repeats=2)
        call = expectation(costmodel.tabulate(graph, target), ('bram18', 'lut', 'ff', 'fifo_bits', 'interval_cycles'))
        size = ' x '.join(map(str, graph.input.shape))
        print(
            f'| {name} | {size} | {len(graph.gates)} | {settle:.1f} | {1e3 * price:.0f} | {tabulate:.2f} | '
            f'{1e6 * call:.0f} |'
        )
    arrays(options.arrays.split(','))
    for keep in ('none', 'all'):
        command = ['resnet20', '--target=dataflow', '--fifo_policy=full_map', f'--keep={keep}', '--json']
        took = seconds(
            functools.partial(
                subprocess.run, [sys.executable, '-m', 'costmodel', *command], check=True, capture_output=True
            )
        )
        print(f'\n`python -m costmodel {" ".join(command)}`: {took:.2f} s')


if __name__ == '__main__':
    _FLAGS = {
        'networks': (','.join(NETWORKS), 'Networks of tailor_jax.build, separated by commas.'),
        'arrays': (','.join(ARRAYS), 'Network, policy and SRAM bytes of PE arrays.'),
    }
    cli.run(main, _FLAGS)
