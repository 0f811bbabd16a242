"""FIFO depths from the cycle-level schedule of a part, and the latency of a network.

Depths. A part is fed by a process that is as fast as the network needs and no faster: word n can be read from cycle
n P / words on, and a cycle that it has to wait is lost, with

    P = the largest period of the part's own processes and of those on the main branches, which no gate takes away

Depths are enough if `Machine` has a steady state of the period P in which no entering word waits, if its bursts (below)
are no larger than with room everywhere. With one word less in any one FIFO one of the two fails:

    wide     inside nodes, from the schedule in which nothing is bounded downwards, the deepest first, each as small as
             the rest allows
    others   likewise, from the schedule with those
    entry    the most words present with all others bounded, max over n of #{m >= n : placed_m < read_n + 1}

A schedule at P, stretched, is one at any longer interval, so the depths hold there, too. P depends on no gate outside
the part. A machine that has a steady state does not deadlock, however slow what surrounds it is: which words are read
and written does not depend on time.

Bursts. What leaves a part does not leave evenly (words of a pixel come in a run, a strided layer writes a row of words,
then nothing for a row), and its neighbours, which run at their own even pace, must not wait for each other. So the
words that leave are handed on evenly: word n is released at r_n = theta + n P / words, theta the least offset with
r_n >= left_n, and waits in the FIFO until then:

    depth of the FIFO behind a part = max over n of #{m >= n : placed_m < read_n + 1}
                                      placed_m in the part; read_n in the next, fed at r_n
                                      burst + entry where the two have different P:
                                      burst = max over n of #{m >= n : placed_m < r_n}

This schedule exists at the network's pace, satisfies every FIFO's bound, and the machine, running as soon as it can, is
never later than it: the network keeps the interval of its slowest process.

Latency: from the first word of an image in to its last one out of the whole network with the depths chosen, words
coming in evenly at the network's pace, image after image.

Times are exact integers: a cycle is `unit` ticks, such that even paces are whole numbers.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping

import numpy as np

from costmodel.streams.flow.machine import Machine
from costmodel.streams.flow.part import OUTSIDE, Edge, Part
from costmodel.streams.flow.settle import settle
from tailor_jax.dataflow.process import Mac, Window, period_cycles, program, repeats


@dataclasses.dataclass(frozen=True)
class Leaving:
    """What the next part must know of how words leave one.

    Attributes:
      burst: words that leave before their even release, at most.
      placed: int64 of one of the equal parts of an image, in ticks: when its words take their places in the FIFO
        behind, the latest just so that it can be read when it is released.
      unit, period, repeats: ticks a cycle, cycles from one image to the next, equal parts of an image.
    """

    burst: int
    placed: bytes
    unit: int
    period: int
    repeats: int


@dataclasses.dataclass(frozen=True, eq=False)
class Depths:
    """Depths of a part, and what its neighbours must know of its schedule.

    Attributes:
      streams: the depth of each stream, in words; `behind` replaces that of the one through which words enter.
      leaving: how words leave.
      read: when those that enter are read, in ticks, of one of the equal parts of an image.
    """

    streams: Mapping[Edge, int]
    leaving: Leaving
    read: np.ndarray


def own_period(part: Part) -> int:
    """The largest period of the part's processes; words enter no faster than one a cycle."""
    return max(part.words, *(period_cycles(placed.process) for placed in part.actors))


def entry(part: Part) -> Edge:
    """The stream through which words enter."""
    return next(
        (number, slot)
        for number, placed in enumerate(part.actors, 1)
        for slot, (writer, _) in enumerate(placed.inlets)
        if writer == OUTSIDE
    )


@functools.lru_cache(maxsize=4096)
def depths(part: Part, period: int, floor: int = 1) -> Depths:
    """Depths of a part that are enough, none of which could be less by one; see the module docstring.

    Args:
      part: of a design.
      period: P, cycles from one image to the next.
      floor: the least depth of any stream.
    """
    machine, most = unbounded(part, period, floor)
    chosen: dict[Edge, int] = {}

    def settles(edge: Edge, depth: int) -> bool:
        return settle(
            machine, {edge: depth}, lambda: _depths(machine, part, period, {}).leaving.burst <= most.leaving.burst
        )

    def lower(edges: Mapping[Edge, int]) -> None:
        chosen.update(edges)
        settle(machine, edges)
        for edge in sorted(edges, key=lambda edge: -edges[edge]):
            step = 1
            while step and chosen[edge] > floor:
                depth = max(floor, chosen[edge] - step)
                if settles(edge, depth):
                    chosen[edge], step = depth, 2 * step
                else:
                    step = (chosen[edge] - depth) // 2

    lower({edge: depth for edge, depth in most.streams.items() if _is_wide(part, edge)})
    # What waited inside nodes waits in front of them now, where words are narrower.
    lower(
        {edge: depth for edge, depth in _greatest(machine, floor).items() if edge not in chosen and edge != entry(part)}
    )
    return _depths(machine, part, period, {entry(part): _greatest(machine, floor)[entry(part)], **chosen})


def _is_wide(part: Part, edge: Edge) -> bool:
    """Whether a stream is inside a node: between a window and what works on it, or of accumulators."""
    writer, outlet = part.actors[edge[0] - 1].inlets[edge[1]]
    process = part.actors[writer - 1].process if writer != OUTSIDE else None
    return isinstance(process, Mac) or (isinstance(process, Window) and outlet == 0)


def behind(before: Leaving, after: Depths, part: Part) -> int:
    """The depth of the stream through which words pass from a part to the next, which is given."""
    alone, own = after.streams[entry(part)], after.leaving
    if before.period != own.period:
        return before.burst + alone
    unit, equal = math.lcm(before.unit, own.unit), math.gcd(before.repeats, own.repeats)
    placed = _stretched(np.frombuffer(before.placed, np.int64), before, unit, equal)
    read = _stretched(after.read, own, unit, equal)
    return max(alone, _presence(placed, read, unit, unit * own.period // equal))


def _stretched(times: np.ndarray, of: Leaving, unit: int, equal: int) -> np.ndarray:
    """Times in another unit, those of a longer equal part of an image."""
    later = np.arange(of.repeats // equal) * (of.period * of.unit // of.repeats)
    return ((later[:, None] + times) * (unit // of.unit)).ravel()


def keeps(part: Part, period: int, depths: Mapping[Edge, int]) -> bool:
    """Whether a part runs at a period with FIFOs of these depths, words entering evenly."""
    machine, _ = unbounded(part, period)
    return settle(machine, depths)


def greatest(part: Part, period: int, floor: int = 1) -> Depths:
    """Depths at which nothing in the part is ever held up."""
    return unbounded(part, period, floor)[1]


def unbounded(part: Part, period: int, floor: int = 1) -> tuple[Machine, Depths]:
    """The steady state with words entering evenly and room everywhere, and the most words in each stream."""
    leaving = len(program(part.actors[-1].process).writes[0])
    unit = math.lcm(part.words // math.gcd(part.words, period), leaving // math.gcd(leaving, period))
    equal = math.gcd(part.words, *(repeats(placed.process) for placed in part.actors))
    entering = np.arange(part.words // equal, dtype=np.int64) * (period * unit // part.words)
    machine = Machine(part, entering, period * unit // equal, unit, repeats=equal)
    settle(machine, {})
    return machine, _depths(machine, part, period, _greatest(machine, floor))


def _greatest(machine: Machine, floor: int) -> dict[Edge, int]:
    """The most words in each stream as the machine runs."""
    return {edge: max(floor, _presence(*machine.times(edge), machine.unit, machine.period)) for edge in machine.ends}


def _depths(machine: Machine, part: Part, period: int, streams: Mapping[Edge, int]) -> Depths:
    left = machine.left()
    release = np.arange(len(left)) * (machine.period // len(left))
    placed = left - machine.leaving.delay - int((left - release).max())
    burst = _presence(placed, release, 0, machine.period)
    leaving = Leaving(burst, placed.tobytes(), machine.unit, period, machine.unit * period // machine.period)
    return Depths(streams, leaving, machine.times(entry(part))[1])


def _presence(placed: np.ndarray, read: np.ndarray, unit: int, period: int) -> int:
    """The most words present at once, #{m >= n: placed_m < read_n + unit} over all n, of times that repeat with the
    period."""
    times = 2 + max(0, int((read - placed).max())) // period
    following = (np.arange(times)[:, None] * period + placed).ravel()
    return int((np.searchsorted(following, read + unit, 'left') - np.arange(len(read))).max())


def latency_cycles(part: Part, period: int, depths: Mapping[Edge, int]) -> int:
    """Cycles from the first word of an image in to its last one out, images following one another at a period."""
    machine, _ = unbounded(part, period)
    assert settle(machine, depths), 'FIFOs that keep the period do not deadlock'
    equal = machine.unit * period // machine.period
    return -(-(int(machine.left()[-1]) + (equal - 1) * machine.period) // machine.unit)
