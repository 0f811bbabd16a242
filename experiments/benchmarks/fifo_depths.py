"""Measures the figures on FIFO depths in docs/cost_model.md, with the simulator of `costmodel.streams.timing.simulate`.

python -m experiments.benchmarks.fifo_depths --study=pipelines # depths found without latency, where there is some
python -m experiments.benchmarks.fifo_depths --study=bursts    # two tokens around strided layers
"""

from __future__ import annotations

from typing import Any

from costmodel.streams.timing.simulate import simulate

import costmodel
from experiments import cli
from experiments.config import ConfigError
from tailor_jax import build, rewrite


def pipelines() -> None:
    """A ResNet-8 on 8x8 with long skips, pace by pace: the interval at L = 8 of depths for 0 and of depths for 8, and
    the tokens in all FIFOs.
    """
    graph = build.resnet(8, (8, 8, 1), width=8)
    print(
        '| | slowest process | depths for L = 0 | for L = 8 | tokens in all FIFOs, L = 0 | L = 8 '
        '|\n|---|---|---|---|---|---|'
    )
    for pace, reuse_factor in (('`reuse_factor=1`', 1), ('automatic, 16 cycles a pixel', None)):
        costs = [
            costmodel.evaluate(graph, costmodel.dataflow(reuse_factor=reuse_factor, process_latency_cycles=latency))
            for latency in (0, 8)
        ]
        runs = [
            simulate(rewrite.fold(graph), cost.reuse_factors, cost.depths, 24, process_latency_cycles=8)
            for cost in costs
        ]
        found = [
            costs[0].total['interval_cycles'],
            *(run.interval_cycles for run in runs),
            *(sum(cost.depths.values()) for cost in costs),
        ]
        print(f'| {pace} | ' + ' | '.join(f'{value:,}' for value in found) + ' |')


def bursts() -> None:
    """ResNet-14 on 16x16: the interval with the depths given, and with two tokens in all FIFOs but the skips'."""
    for skips in ('long', 'short', 'none'):
        graph = build.resnet(14, (16, 16, 3), width=8, skips=skips)
        for interval_cycles in (4096, 256):
            cost = costmodel.evaluate(graph, costmodel.dataflow(interval_cycles=interval_cycles))
            shallow = {
                name: depth if name.endswith(('_long', '_short1', '_short2')) else 2
                for name, depth in cost.depths.items()
            }
            slower = simulate(rewrite.fold(graph), cost.reuse_factors, shallow, 10).interval_cycles
            print(f'{skips}: {cost.total["interval_cycles"]}, with two tokens {slower}')


STUDIES = {'pipelines': pipelines, 'bursts': bursts}


def main(flags: Any) -> None:
    if flags.study not in STUDIES:
        raise ConfigError(f'--study is {flags.study!r}; expected {" or ".join(STUDIES)}')
    STUDIES[flags.study]()


if __name__ == '__main__':
    _FLAGS = {'study': ('pipelines', 'What to measure: pipelines or bursts.')}
    cli.run(main, _FLAGS)
