"""How many FIFOs of whole networks could be a token less, on the token-by-token simulator; docs/cost_model.md has the
thorough profile's count.
"""

import collections

from fifo_depths import keeps_interval, one_token_less, pruned
from hypothesis import HealthCheck, Phase, given, settings

import costmodel
from costmodel.streams.fifos import built_segments, fifos
from costmodel.streams.settings import Dataflow
from costmodel.streams.timing import schedule
from costmodel.streams.timing.processes import ProcessSegment, Stream
from tailor_jax import rewrite
from tailor_jax.graph import Graph

NETWORKS = 600 if settings.default.max_examples > 25 else 30


def behind_bursts(built: list[ProcessSegment], floor: int) -> set[Stream]:
    """The streams that hold the tokens of a burst until their even release."""
    found, before, processes = set(), None, 0
    for segment in built:
        after = schedule.depths(segment.graph, segment.period, floor)
        if before and before.burst and after.period:
            number, slot = schedule.entry(segment.graph)
            found.add((number + processes, slot))
        before, processes = after, processes + len(segment.graph.processes)
    return found


def count(networks: int) -> collections.Counter:
    """How many (FIFOs behind bursts, of which a token less costs throughput) there are: keys (bool, bool)."""
    found: collections.Counter = collections.Counter()

    @settings(
        max_examples=networks,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(pruned())
    def each(case: tuple[Graph, Dataflow]) -> None:
        graph, target = case
        cost, folded = costmodel.evaluate(graph, target), rewrite.fold(graph)
        built = built_segments(folded, target, cost.reuse_factors)
        bursty = behind_bursts(built, target.stream_depth)
        for fifo in fifos(folded, target, built):
            if fifo.depth > target.stream_depth:
                found[fifo.stream in bursty, not keeps_interval(graph, one_token_less(cost, fifo.name))] += 1

    each()
    return found


def test_most_fifos_cannot_be_a_token_less():
    """Those of a part that sets the pace are tight; another part, or bursts that are smaller than assumed, may leave
    one a token too deep.
    """
    found = count(NETWORKS)
    for name, bursty in (('all', (False, True)), ('behind no bursts', (False,))):
        tight, total = (
            sum(found[kind, True] for kind in bursty),
            sum(found[kind, short] for kind in bursty for short in (False, True)),
        )
        print(
            f'FIFOs deeper than stream_depth, {name}: {total}; a token less costs throughput: {tight} '
            f'({100 * tight / total:.0f} %)'
        )
        assert tight >= 0.8 * total > 0
