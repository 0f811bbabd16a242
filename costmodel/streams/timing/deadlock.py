"""The smallest depth of each FIFO that avoids deadlock, which can be less than the depth that keeps full throughput.

Whether bounded processes block one another for ever does not depend on how fast they are, and a cycle of blocked
processes lies within one segment. So each segment is run on its own, token by token, at one cycle a token, its other
FIFOs at their full-throughput depths, and the depth is found by bisection: a network that runs at some depth runs at
every larger one.
"""

from __future__ import annotations

import math

from costmodel.cost import CostError
from costmodel.streams.fifos import built_segments, fifos
from costmodel.streams.settings import Dataflow, reuse_factors
from costmodel.streams.timing.processes import ProcessSegment
from costmodel.streams.timing.simulate import simulate
from tailor_jax import rewrite
from tailor_jax.graph import Graph, Node


def deadlock_free_depths(graph: Graph, target: Dataflow) -> dict[str, int]:
    """{FIFO name: smallest depth without deadlock, all other FIFOs at the depths of `evaluate`}.

    Raises CostError for a target whose skips come from line buffers: their FIFOs are as short as can be.
    """
    if target.skip != 'clone' or target.add != 'separate':
        raise CostError(
            "deadlock-free depths are found for separate adds and cloned skips; use add='separate' and skip='clone'"
        )
    folded = rewrite.fold(graph)
    built = built_segments(folded, target, reuse_factors(folded, target))
    depths = {each.name: each.depth for each in fifos(folded, target, built)}
    found = dict.fromkeys(depths, 1)  # a lone edge, or the FIFO into a clone, never deadlocks
    for segment in built:
        if len(segment.nodes) > 1:
            found |= _of_segment(segment, depths)
    return found


def _of_segment(segment: ProcessSegment, depths: dict[str, int]) -> dict[str, int]:
    entry = Node(segment.entry.name, 'input', (), segment.entry.shape)
    alone = Graph((entry, *segment.nodes))
    images = 3 + math.ceil(sum(process.lag / math.prod(process.in_size) for process in segment.graph.processes))
    names = [name for name in simulate(alone, {}, images=1).occupancy if not name.endswith('__clone')]

    def runs(name: str, depth: int) -> bool:
        return not simulate(alone, {}, depths | {name: depth}, images).deadlocked

    found = {}
    for name in names:
        low, high = 0, depths.get(name, 1)  # it deadlocks at `low`, it runs at `high`
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if runs(name, middle) else (middle, high)
        found[name] = high
    return found
