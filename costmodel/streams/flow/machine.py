"""The streaming machine with bounded FIFOs as max-plus equations over arrays of times, an element a word or a trip.

Trip k of an actor takes cost_k cycles, what it reads can be read from cycle arrival_k on, and it may not end before
cycle room_k (`tailor_jax.dataflow.process`). With S_k the sum of cost_j over j < k, the trip behind it begins no
earlier than

    next_k  = end_k + 1 = max(next_{k-1} + cost_k, arrival_k + cost_k, room_k + 1)
            = S_{k+1} + max over j <= k of max(arrival_j - S_j, room_j + 1 - S_{j+1})
    read_k  = max(next_{k-1}, arrival_k), or next_k - 1 where cost_k = 1

For word n of a FIFO of depth d, written by an actor of latency L: arrival of the trip that reads it >= end of the trip
that writes it + L + FORWARD_CYCLES, and room of the trip that writes word n + d >= read of word n + 1. The least
solution is a machine that never waits without need. It is found by computing actors anew, each as a whole with one
cumulative maximum, forward and backward in turn, until none moves (`settle`).

Times repeat: trip k of the next image is `period` later. So arrays hold one image, or one of the equal parts that an
image is made of (`process.repeats`), and the steady state is found without what precedes it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from costmodel.streams.flow.part import OUTSIDE, Edge, Part
from tailor_jax.dataflow.process import FORWARD_CYCLES, part_of, program

NEVER = -1 << 50  # before all times


@dataclasses.dataclass(eq=False)
class ActorTimes:
    """`before`, `after`: S_k and S_{k+1}; `single`: cost_k is 1; `read`, `ended`: read_k and next_k found so far; the
    streams at its two ends."""

    before: np.ndarray
    after: np.ndarray
    single: np.ndarray
    read: np.ndarray
    ended: np.ndarray
    inlets: list[Edge] = dataclasses.field(default_factory=list)
    outlets: list[Edge] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, eq=False)
class StreamEnd:
    """An end of a stream: an actor (or OUTSIDE), for each word its trip, as a position and ticks later (whole periods),
    and the ticks from the end of a trip to the cycle in which its word can be read."""

    actor: int
    trips: np.ndarray
    position: np.ndarray
    later: np.ndarray
    delay: int


class Machine:
    """The actors and streams of a part."""

    def __init__(self, part: Part, entering: np.ndarray, period: int, unit: int = 1, repeats: int = 1):
        """Words come in at the times `entering`, the first in which they can be read, those of one of `repeats` equal
        parts of an image, and again `period` later. Times are in ticks, `unit` of them a cycle."""
        self.part, self.period, self.unit, self.entering = part, period, unit, entering
        self.actors: list[ActorTimes] = []
        self.ends: dict[Edge, tuple[StreamEnd, StreamEnd]] = {}
        self.depths: dict[Edge, int] = {}
        programs = [part_of(program(placed.process), repeats) for placed in part.actors]
        for each in programs:
            after = np.cumsum(each.cost) * unit
            never = np.full(len(each.cost), NEVER)
            self.actors.append(ActorTimes(after - each.cost * unit, after, each.cost == 1, never, never))
        for number, (placed, each) in enumerate(zip(part.actors, programs), 1):
            for slot, (writer, outlet) in enumerate(placed.inlets):
                writing = np.arange(len(entering)) if writer == OUTSIDE else programs[writer - 1].writes[outlet]
                self._connect((number, slot), writer, writing, number, each.reads[slot])
        self.leaving = self._end(len(programs), programs[-1].writes[0])

    def _end(self, actor: int, trips: np.ndarray) -> StreamEnd:
        if actor == OUTSIDE:
            return StreamEnd(actor, trips, trips, np.zeros(len(trips), np.int64), 0)
        count = len(self.actors[actor - 1].before)
        delay = (self.part.actors[actor - 1].latency_cycles + FORWARD_CYCLES) * self.unit
        return StreamEnd(actor, trips, trips % count, trips // count * self.period, delay)

    def _connect(self, edge: Edge, writer: int, writing: np.ndarray, reader: int, reading: np.ndarray) -> None:
        self.ends[edge] = self._end(writer, writing), self._end(reader, reading)
        self.actors[reader - 1].inlets.append(edge)
        if writer != OUTSIDE:
            self.actors[writer - 1].outlets.append(edge)

    def times(self, edge: Edge) -> tuple[np.ndarray, np.ndarray]:
        """[n] the cycle in which a word takes its place, and in which it is read: it counts in both and between."""
        writer, reader = self.ends[edge]
        return self.ended(writer), self.actors[reader.actor - 1].read[reader.position] + reader.later

    def left(self) -> np.ndarray:
        """[n] when the words that leave can be read."""
        return self.ended(self.leaving) + self.leaving.delay

    def ended(self, end: StreamEnd) -> np.ndarray:
        """[n] the last cycle of the trips."""
        if end.actor == OUTSIDE:
            return self.entering
        return self.actors[end.actor - 1].ended[end.position] + end.later - self.unit

    def times_of(self, actor: ActorTimes) -> tuple[np.ndarray, np.ndarray]:
        """read_k and next_k of an actor from the times of its surroundings."""
        arrival = np.full(len(actor.before), NEVER)
        for edge in actor.inlets:
            writer, reader = self.ends[edge]
            known = self.ended(writer) + writer.delay - reader.later
            arrival[reader.position] = np.maximum(arrival[reader.position], known)
        waited = arrival - actor.before
        for edge in actor.outlets:
            if edge in self.depths:
                writer = self.ends[edge][0]
                free = self.freed(edge, len(writer.position)) + 2 * self.unit - writer.later
                waited[writer.position] = np.maximum(waited[writer.position], free - actor.after[writer.position])
        waited = np.maximum.accumulate(waited)
        ended = np.maximum(waited, waited[-1] + actor.after[-1] - self.period) + actor.after
        before = np.concatenate([[ended[-1] - self.period], ended[:-1]])
        return np.where(actor.single, ended - self.unit, np.maximum(before, arrival)), ended

    def freed(self, edge: Edge, count: int) -> np.ndarray:
        """[count] when word n - depth is read."""
        read = self.times(edge)[1]
        number = np.arange(count) - self.depths[edge]
        return read[number % len(read)] + number // len(read) * self.period

    def overflows(self, edge: Edge) -> bool:
        """Whether a word from outside finds no room."""
        if self.ends[edge][0].actor != OUTSIDE or edge not in self.depths:
            return False
        return bool((self.freed(edge, len(self.entering)) + self.unit > self.entering).any())
