"""How many FIFOs of whole networks could be a word less, on the word-by-word simulator; docs/cost_model.md has the
thorough profile's count.
"""

import collections

from fifo_depths import built, pruned, run_as_priced
from hypothesis import HealthCheck, Phase, given, settings

import costmodel
from costmodel.streams.built import Built
from costmodel.streams.flow import depths as flow
from costmodel.streams.flow.part import design_segments, edges
from tailor_jax.graph import Graph

THOROUGH = settings.default.max_examples > 25
NETWORKS, IMAGES = (600, 20) if THOROUGH else (8, 12)


def behind_bursts(made: Built) -> set[str]:
    """The streams through which words enter a segment, and which hold those of a burst until their even release."""
    found = set()
    for segment in design_segments(made.structure.design, made.structure.latency_cycles):
        found.add(edges(segment.actors)[flow.entry(segment.part)])
    return found


def count(networks: int) -> collections.Counter:
    """How many (FIFOs between segments, of which a word less costs throughput) there are: keys (bool, bool)."""
    found: collections.Counter = collections.Counter()

    @settings(
        max_examples=networks,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(pruned(depths=(1, 2), max_gates=3))
    def each(case: tuple[Graph, costmodel.Dataflow]) -> None:
        graph, target = case
        made = built(graph, target)
        between, depths = behind_bursts(made), made.sized.depths
        interval = run_as_priced(graph, target, IMAGES).interval_cycles
        if interval is None:  # images of a few pixels, all in before the first is out
            return
        for name, depth in depths.items():
            if depth > target.stream_depth:
                less = run_as_priced(graph, target, IMAGES, {**depths, name: depth - 1})
                found[name in between, less.deadlocked or less.interval_cycles != interval] += 1

    each()
    return found


def test_most_fifos_cannot_be_a_word_less():
    """Those of a part that sets the pace are tight; another part, or bursts that are smaller than assumed, may leave
    one a word too deep.
    """
    found = count(NETWORKS)
    for name, kinds in (('all', (False, True)), ('inside segments', (False,))):
        tight, total = (
            sum(found[kind, True] for kind in kinds),
            sum(found[kind, short] for kind in kinds for short in (False, True)),
        )
        print(
            f'FIFOs deeper than stream_depth, {name}: {total}; a word less costs throughput: {tight} '
            f'({100 * tight / total:.0f} %)'
        )
        assert tight >= 0.5 * total > 0
