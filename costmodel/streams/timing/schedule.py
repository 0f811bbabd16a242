"""FIFO depths from the cycle-level schedule of a segment, and the latency of a network.

Depths. A segment is fed by a process that is as fast as the network needs and no faster: it writes token n in cycle n P
/ (H W), and a cycle that it has to wait is lost, with

    P = the largest period of the segment's own processes and of those on the main branches, which no gate takes away
        (`fifos.pace_cycles`)

Depths are enough if `Machine` has a steady state of the period P in which no entering token waits, if its bursts
(below) are no larger than with room everywhere, and if the order of reads and writes alone lets nobody wait for ever.
With one token less in any one FIFO one of the three fails:

    entry       the most tokens present if nothing behind is bounded, max over n of #{m >= n : written_m < read_n + 1};
                less is never enough
    the others  from the same schedule downwards, the deepest first, each as small as the rest allows

The network's interval is P or more. A schedule at P, stretched, is one at any longer interval, so the depths hold
there, too. P is the network's interval unless a layer on a skip elsewhere is slower than all that is on main branches.
It depends on no gate outside the segment.

Bursts. A strided layer writes a row of tokens, then nothing for a row; its neighbours, which pass over their
multipliers at their own even pace, must not wait for each other. So the tokens that leave a segment are handed on
evenly: token n of the tensor leaving segment s is released at r_n = theta + n P / (H W), theta the least offset with
r_n >= written_n, and waits in the FIFO until then:

    depth of the FIFO behind s = max over n of #{m >= n : written_m < read_n + 1}    where both have the same P
                                 burst + entry                                       where they have not
    burst                      = max over n of #{m >= n : written_m < r_n}

with written_m in s, and read_n in the next segment, fed at r_n.

This schedule exists at the network's pace, satisfies every FIFO's bound, and the machine, running as soon as it can, is
never later than it: the network keeps the interval of its slowest process. All depths depend on one segment, but for a
FIFO behind bursts, which depends on two. Where every process takes one cycle a token (reuse factor 1) and L = 0,
segments are fed a token a cycle instead, as fast as any neighbour could, and the time between tokens stretched to what
they really get: a schedule again, with no bursts to count (period 0).

Latency: the machine of the whole network with the depths chosen, from the first pixel in to the last value out of the
first image, images following back to back and pixels coming as fast as they are taken. It is a sum over nothing, so it
has no rows and no expectation.

Times are exact integers: a cycle has `ticks`, such that even paces are whole numbers.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from costmodel.streams.timing.machine import ENDLESS, Machine
from costmodel.streams.timing.processes import CLONE, Process, ProcessGraph, Source, Stream, Tap


@dataclasses.dataclass(frozen=True, eq=False)
class Depths:
    """Depths of a segment, and what its neighbours must know of its schedule.

    Attributes:
      streams: the depth of each stream, in tokens; `behind` replaces that of the one through which tokens enter.
      burst: tokens that leave before their even release, at most.
      left, read: times of one image, in ticks, at which tokens leave, the latest just when it is released, and at which
        they are read on entry.
      ticks, period: ticks of a cycle, cycles from one image to the next (0: bursts do not count).
    """

    streams: Mapping[Stream, int]
    burst: int
    left: np.ndarray
    read: np.ndarray
    ticks: int
    period: int


def own_period(graph: ProcessGraph) -> int:
    """The largest period of the segment's processes; tokens enter no faster than one a cycle."""
    return max(math.prod(graph.size), *(process.period_cycles for process in graph.processes))


def entry(graph: ProcessGraph) -> Stream:
    """The stream through which tokens enter: into the entering tensor's clone, or to its one reader without a tap."""
    if 0 in graph.cloned:
        return 0, CLONE
    return next(
        (number, slot)
        for number, process in enumerate(graph.processes, 1)
        for slot, source in enumerate(process.sources)
        if source == 0
    )


@functools.lru_cache(maxsize=4096)
def depths(graph: ProcessGraph, period: int, floor: int = 1) -> Depths:
    """Depths of a segment that are enough, none of which could be less by one; see the module docstring.

    Args:
      graph: the processes of a segment.
      period: P, cycles from one image to the next; 0 for a token a cycle and no bursts.
      floor: the least depth of any stream.
    """
    machine, most = _unbounded(graph, period, floor)
    chosen = dict(most.streams)
    lowered = [stream for stream in chosen if stream != entry(graph)]
    while machine.deadlocks(chosen):  # it counts on tokens that stay in long pipelines; those that enter never do
        chosen |= {stream: chosen[stream] + 1 for stream in lowered}
    machine.settle(chosen)

    def enough(stream: Stream, depth: int) -> bool:
        def throughout() -> bool:
            return _depths(machine, graph, period, {}).burst <= most.burst and not machine.deadlocks(
                chosen | {stream: depth}
            )

        return machine.settle({stream: depth}, throughout)

    for stream in sorted(lowered, key=lambda stream: -chosen[stream]):
        step = 1
        while step and chosen[stream] > floor:
            depth = max(floor, chosen[stream] - step)
            if enough(stream, depth):
                chosen[stream], step = depth, 2 * step
            else:
                step = (chosen[stream] - depth) // 2
    return _depths(machine, graph, period, chosen)


def behind(before: Depths, after: Depths, graph: ProcessGraph) -> int:
    """The depth of the stream through which tokens pass from a segment to the next, whose processes are given."""
    alone = after.streams[entry(graph)]
    if not (before.burst and after.period):
        return alone
    if before.period != after.period:
        return before.burst + alone
    ticks = math.lcm(before.ticks, after.ticks)
    written, read = before.left * (ticks // before.ticks), after.read * (ticks // after.ticks)
    return max(alone, _presence(written, read, ticks, ticks * after.period))


def greatest(graph: ProcessGraph, period: int, floor: int = 1) -> Depths:
    """Depths at which nothing in the segment is ever held up."""
    return _unbounded(graph, period, floor)[1]


def _unbounded(graph: ProcessGraph, period: int, floor: int) -> tuple[Machine, Depths]:
    """The steady state with tokens entering evenly and room everywhere, and the most tokens in each stream."""
    entering, leaving = math.prod(graph.size), math.prod(graph.processes[-1].out_size)
    cycles = period or own_period(graph)
    ticks = math.lcm(entering // math.gcd(entering, cycles), leaving // math.gcd(leaving, cycles))
    machine = Machine(graph, np.arange(entering, dtype=np.int64) * (cycles * ticks // entering), cycles * ticks, ticks)
    machine.settle({})
    return machine, _depths(
        machine,
        graph,
        period,
        {stream: max(floor, _presence(*machine.times(stream), ticks, machine.period)) for stream in machine.ends},
    )


def _depths(machine: Machine, graph: ProcessGraph, period: int, streams: Mapping[Stream, int]) -> Depths:
    left = machine.left()
    release = np.arange(len(left)) * (machine.period // len(left))
    left = left - int((left - release).max())
    burst = _presence(left, release, 0, machine.period) if period else 0
    return Depths(streams, burst, left, machine.times(entry(graph))[1], machine.ticks, period)


def _presence(written: np.ndarray, read: np.ndarray, ticks: int, period: int) -> int:
    """The most tokens present at once, max over n of #{m >= n: written_m < read_n + ticks}; times repeat by period."""
    images = 2 + max(0, int((read - written).max())) // period
    following = (np.arange(images)[:, None] * period + written).ravel()
    return int((np.searchsorted(following, read + ticks, 'left') - np.arange(len(read))).max())


def latency_cycles(graph: ProcessGraph, depths: Mapping[Stream, int]) -> int:
    """Cycles from the first pixel read to the last value of the first image written, both included, at these depths.

    Streams that `depths` lacks are unbounded. So are all if the network would deadlock (`full_map` on maps smaller than
    their delay).
    """
    lags = [0.0]  # of each tensor: images that must come in before its first image is complete
    for process in graph.processes:
        reached = max(lags[source.process if isinstance(source, Tap) else source] for source in process.sources)
        lags.append(reached + process.lag / math.prod(process.in_size))
    last = math.prod(graph.processes[-1].out_size) - 1
    images = 1 + math.ceil(lags[-1])
    for bounded in (True, True, True, False):
        machine = Machine(graph, np.zeros(images * math.prod(graph.size), np.int64), ENDLESS)
        machine.settle({})
        if bounded:
            machine.settle(depths)
        if (left := int(machine.left()[last])) < ENDLESS // 2:
            break
        images += 1
    return left + 1


def joined(graphs: Sequence[ProcessGraph]) -> ProcessGraph:
    """Segments in a row as one."""
    processes: list[Process] = []
    for graph in graphs:
        offset = len(processes)

        def moved(sources: tuple[Source, ...], offset: int = offset) -> tuple[Source, ...]:
            return tuple(
                Tap(source.process + offset, source.lag) if isinstance(source, Tap) else source + offset
                for source in sources
            )

        processes += [
            dataclasses.replace(each, inputs=moved(each.inputs), starts=moved(each.starts)) for each in graph.processes
        ]
    return ProcessGraph(graphs[0].size, tuple(processes), graphs[0].latency)
