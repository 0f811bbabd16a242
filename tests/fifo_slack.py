"""Counts the FIFOs of whole networks that could be a token less, by simulation.

    python tests/fifo_slack.py 600

The networks are random, `pruned` of `test_cost_schedule`, the same in every run. Prints how many FIFOs are deeper than `stream_depth`, and for how
many of them a token less makes the interval longer or stops the network; then the same without those that hold bursts (`schedule.behind`).
"""

from __future__ import annotations

import collections
import sys

from hypothesis import HealthCheck, Phase, given, settings
from test_cost_schedule import keeps_interval, one_token_less, pruned

import costmodel
from costmodel.streams import schedule
from costmodel.streams.fifos import fifos, plan
from costmodel.streams.segments import Segment, Stream
from costmodel.streams.target import Dataflow
from tailor_jax import rewrite
from tailor_jax.graph import Graph


def behind_bursts(planned: list[Segment], floor: int) -> set[Stream]:
    """The streams that hold the tokens of a burst until their even release."""
    found, before, processes = set(), None, 0
    for segment in planned:
        depths = schedule.depths(segment.shape, segment.period, floor)
        if before and before.burst and depths.period:
            number, slot = schedule.entry(segment.shape)
            found.add((number + processes, slot))
        before, processes = depths, processes + len(segment.shape.processes)
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


def main() -> None:
    found = count(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
    for name, bursty in (('all', (False, True)), ('behind no bursts', (False,))):
        tight, total = sum(found[kind, True] for kind in bursty), sum(found[kind, tight] for kind in bursty for tight in (False, True))
        print(f'FIFOs deeper than stream_depth, {name}: {total}; a token less costs throughput: {tight} ({100 * tight / max(1, total):.0f} %)')


if __name__ == '__main__':
    main()
