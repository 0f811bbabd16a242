"""Measures the figures on FIFO depths in docs/cost_model.md, with the simulator of `costmodel.streams.simulate`.

    python tests/depth_figures.py pipelines       # depths found without pipeline latency, on a machine that has it
    python tests/depth_figures.py bursts          # two tokens around strided layers
    python tests/depth_figures.py spare 600       # FIFOs of whole networks that could be a token less

The networks of the last are random, `pruned` of `test_cost_schedule`, the same in every run. It prints how many FIFOs are deeper than
`stream_depth`, and for how many of them a token less makes the interval longer or stops the network; then without those that hold bursts.
"""

from __future__ import annotations

import collections
import sys

from hypothesis import HealthCheck, Phase, given, settings
from test_cost_schedule import depths, keeps_interval, one_token_less, pruned

import costmodel
from costmodel.streams import schedule
from costmodel.streams.fifos import fifos, plan
from costmodel.streams.segments import Segment, Stream
from costmodel.streams.simulate import simulate
from costmodel.streams.target import Dataflow
from tailor_jax import build, rewrite
from tailor_jax.graph import Graph


def pipelines() -> None:
    """A ResNet-8 on 8x8 with long skips, pace by pace: the interval at L = 8 of depths for 0 and of depths for 8, and the tokens in all FIFOs."""
    graph = build.resnet(8, (8, 8, 1), width=8)
    print('| | slowest process | depths for L = 0 | for L = 8 | tokens in all FIFOs, L = 0 | L = 8 |\n|---|---|---|---|---|---|')
    for pace, reuse_factor in (('`reuse_factor=1`', 1), ('automatic, 16 cycles a pixel', None)):
        costs = [costmodel.evaluate(graph, costmodel.dataflow(reuse_factor=reuse_factor, process_latency_cycles=latency)) for latency in (0, 8)]
        runs = [simulate(rewrite.fold(graph), cost.reuse_factors, depths(cost), 24, process_latency_cycles=8) for cost in costs]
        found = [costs[0].total['interval_cycles'], *(run.interval_cycles for run in runs), *(sum(depths(cost).values()) for cost in costs)]
        print(f'| {pace} | ' + ' | '.join(f'{value:,}' for value in found) + ' |')


def bursts() -> None:
    """ResNet-14 on 16x16: the interval with the depths given, and with two tokens in all FIFOs but the skips'."""
    for skips in ('long', 'short', 'none'):
        graph = build.resnet(14, (16, 16, 3), width=8, skips=skips)
        for interval_cycles in (4096, 256):
            cost = costmodel.evaluate(graph, costmodel.dataflow(interval_cycles=interval_cycles))
            shallow = {name: depth if name.endswith(('_long', '_short1', '_short2')) else 2 for name, depth in depths(cost).items()}
            slower = simulate(rewrite.fold(graph), cost.reuse_factors, shallow, 10).interval_cycles
            print(f'{skips}: {cost.total["interval_cycles"]}, with two tokens {slower}')


def spare(networks: int) -> None:
    found = count(networks)
    for name, bursty in (('all', (False, True)), ('behind no bursts', (False,))):
        tight, total = sum(found[kind, True] for kind in bursty), sum(found[kind, short] for kind in bursty for short in (False, True))
        print(f'FIFOs deeper than stream_depth, {name}: {total}; a token less costs throughput: {tight} ({100 * tight / max(1, total):.0f} %)')


def behind_bursts(planned: list[Segment], floor: int) -> set[Stream]:
    """The streams that hold the tokens of a burst until their even release."""
    found, before, processes = set(), None, 0
    for segment in planned:
        after = schedule.depths(segment.shape, segment.period, floor)
        if before and before.burst and after.period:
            number, slot = schedule.entry(segment.shape)
            found.add((number + processes, slot))
        before, processes = after, processes + len(segment.shape.processes)
    return found


def count(networks: int) -> collections.Counter:
    """How many (FIFOs behind bursts, of which a token less costs throughput) there are: keys (bool, bool)."""
    found: collections.Counter = collections.Counter()

    @settings(max_examples=networks, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(pruned())
    def each(case: tuple[Graph, Dataflow]) -> None:
        graph, target = case
        cost, folded = costmodel.evaluate(graph, target), rewrite.fold(graph)
        planned = plan(folded, target, cost.reuse_factors)
        bursty = behind_bursts(planned, target.stream_depth)
        for fifo in fifos(folded, target, planned):
            if fifo.depth > target.stream_depth:
                found[fifo.stream in bursty, not keeps_interval(graph, one_token_less(cost, fifo.name))] += 1

    each()
    return found


def main(arguments: list[str]) -> int:
    match arguments:
        case ['pipelines']:
            pipelines()
        case ['bursts']:
            bursts()
        case ['spare', networks] if networks.isdecimal():
            spare(int(networks))
        case _:
            print(f'error: got {" ".join(arguments)!r}; expected `pipelines`, `bursts` or `spare NETWORKS`', file=sys.stderr)
            return 2
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
