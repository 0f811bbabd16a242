"""The streaming machine with bounded FIFOs as max-plus equations over arrays of times, one a token or iteration.

Every process and every clone is an actor. Iteration k takes cost_k cycles (`write_cycles` if it writes a token, else
1), the tokens it reads are there in cycle arrival_k, and it may not end before cycle room_k. With S_k the sum of cost_j
over j < k, it ends before cycle

    next_k  = max(next_{k-1} + cost_k, arrival_k + cost_k, room_k + 1)
            = S_{k+1} + max over j <= k of max(arrival_j - S_j, room_j + 1 - S_{j+1})
    read_k  = max(next_{k-1}, arrival_k), or next_k - 1 where cost_k = 1         written_k = next_k - 1 + L

For token n of a FIFO of depth d: arrival of the iteration that reads it >= its written, and room of the iteration that
writes token n + d >= read of token n + 1 - L. The least solution is a machine that never waits without need. It is
found by computing actors anew, each as a whole with one cumulative maximum, forward and backward in turn, until none
moves.

Times repeat: iteration k of the next image is `period` later. So arrays hold one image, and the steady state is found
without what precedes it. With the period `ENDLESS` the image stands alone: what comes before it is infinitely early,
what comes after it never happens. That is a machine from its start, several images taken for one.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from costmodel.streams.timing.processes import CLONE, Process, ProcessGraph, Stream, Tap

ENDLESS = 1 << 50
OUTSIDE = -1


@dataclasses.dataclass(eq=False)
class _Actor:
    """`before`, `after`: S_k and S_{k+1}; `single`: cost_k is 1; `read`, `ended`: read_k and next_k found so far; the
    streams at its two ends.
    """

    before: np.ndarray
    after: np.ndarray
    single: np.ndarray
    read: np.ndarray
    ended: np.ndarray
    inlets: list[Stream] = dataclasses.field(default_factory=list)
    outlets: list[Stream] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, eq=False)
class _End:
    """An end of a stream: an actor (or OUTSIDE) and, for each token, its iteration: as such, and as a position and
    ticks later (whole periods).
    """

    actor: int
    iterations: np.ndarray
    position: np.ndarray
    later: np.ndarray


class Machine:
    """The actors and streams of a graph."""

    def __init__(self, graph: ProcessGraph, entering: np.ndarray, period: int, ticks: int = 1):
        """Tokens of one or several images come in at the times `entering`, in ticks, `ticks` of which make a cycle."""
        self.period, self.ticks, self.latency, self.entering = period, ticks, graph.latency * ticks, entering
        self.actors: list[_Actor] = []
        self.ends: dict[Stream, tuple[_End, _End]] = {}
        self.depths: dict[Stream, int] = {}
        self.lags = sum(process.lag / math.prod(process.in_size) for process in graph.processes)
        images = len(entering) // math.prod(graph.size)
        writers = [self._copied(graph, 0, OUTSIDE, np.arange(len(entering)))]
        hosts: list[int] = []
        for number, process in enumerate(graph.processes, 1):
            count = images * math.prod(process.in_size)
            writing = np.flatnonzero(write_mask(process, count + process.lag))
            cost = np.ones(count, np.int64)
            cost[(writing if period < ENDLESS else writing[writing < count]) % count] = process.write_cycles
            hosts.append(self._actor(cost))
            for slot, source in enumerate(process.sources):
                reading = np.arange(count) if slot < len(process.inputs) else writing
                if isinstance(source, Tap):
                    self._connect(
                        (number, slot),
                        hosts[source.process - 1],
                        np.arange(len(reading)) + source.lag,
                        hosts[-1],
                        reading,
                    )
                else:
                    self._connect((number, slot), *writers[source], hosts[-1], reading)
            writers.append(self._copied(graph, number, hosts[-1], writing))
        self.leaving = self._end(*writers[-1])

    def _actor(self, cost: np.ndarray) -> int:
        after = np.cumsum(cost) * self.ticks
        never = np.full(len(cost), -ENDLESS)
        self.actors.append(_Actor(after - cost * self.ticks, after, cost == 1, never, never))
        return len(self.actors) - 1

    def _copied(self, graph: ProcessGraph, tensor: int, writer: int, writing: np.ndarray) -> tuple[int, np.ndarray]:
        """Who writes a tensor for its readers, and in which iterations: its clone, where it has one."""
        if tensor not in graph.cloned:
            return writer, writing
        clone, tokens = self._actor(np.ones(len(writing), np.int64)), np.arange(len(writing))
        self._connect((tensor, CLONE), writer, writing, clone, tokens)
        return clone, tokens

    def _end(self, actor: int, iterations: np.ndarray) -> _End:
        count = len(iterations) if actor == OUTSIDE else len(self.actors[actor].before)
        return _End(actor, iterations, iterations % count, iterations // count * self.period)

    def _connect(self, stream: Stream, writer: int, writing: np.ndarray, reader: int, reading: np.ndarray) -> None:
        self.ends[stream] = self._end(writer, writing), self._end(reader, reading)
        self.actors[reader].inlets.append(stream)
        if writer != OUTSIDE:
            self.actors[writer].outlets.append(stream)

    def times(self, stream: Stream) -> tuple[np.ndarray, np.ndarray]:
        """[n] when its tokens are written, and when they are read."""
        return self._written(stream), self._read(stream)

    def left(self) -> np.ndarray:
        """[n] when the tokens of the last tensor are written."""
        return self._ended(self.leaving)

    def _written(self, stream: Stream) -> np.ndarray:
        return self._ended(self.ends[stream][0])

    def _read(self, stream: Stream) -> np.ndarray:
        end = self.ends[stream][1]
        return self.actors[end.actor].read[end.position] + end.later

    def _ended(self, end: _End) -> np.ndarray:
        return (
            self.entering
            if end.actor == OUTSIDE
            else self.actors[end.actor].ended[end.position] + end.later - self.ticks + self.latency
        )

    def settle(self, depths: Mapping[Stream, int], accepted: Callable[[], bool] = lambda: True) -> bool:
        """Finds the least times with these streams bounded, too; whether some are accepted. If not, all is as before.

        There are none if actors wait for one another for ever, if they lose more in every period, or if a token from
        outside finds no room.
        """
        kept = self.depths, [(actor.read, actor.ended) for actor in self.actors]
        self.depths = self.depths | dict(depths)
        if self._settled() and accepted():
            return True
        self.depths = kept[0]
        for actor, (read, ended) in zip(self.actors, kept[1]):
            actor.read, actor.ended = read, ended
        return False

    def _settled(self) -> bool:
        begun = [actor.ended for actor in self.actors]
        # No path of waiting is longer than this.
        most = sum(int(actor.after[-1]) + (self.latency + self.ticks) * len(actor.after) for actor in self.actors)
        moved, order = set(range(len(self.actors))), list(range(len(self.actors)))
        while moved:
            for index in order:
                if index not in moved:
                    continue
                moved.discard(index)
                actor = self.actors[index]
                read, ended = self._times(actor)
                if not np.array_equal(ended, actor.ended):
                    moved.update(self.ends[stream][1].actor for stream in actor.outlets)
                if not np.array_equal(read, actor.read):
                    moved.update(self.ends[stream][0].actor for stream in actor.inlets if stream in self.depths)
                    moved.discard(OUTSIDE)
                actor.read, actor.ended = read, ended
                happens = (begun[index] > -ENDLESS) & (ended < ENDLESS // 2)
                if (ended - begun[index])[happens].max(initial=0) > most or any(
                    self._overflows(stream) for stream in actor.inlets
                ):
                    return False
            order.reverse()
        return True

    def _times(self, actor: _Actor) -> tuple[np.ndarray, np.ndarray]:
        """read_k and next_k of an actor from the times of its surroundings."""
        arrival = np.full(len(actor.before), -ENDLESS)
        for stream in actor.inlets:
            end = self.ends[stream][1]
            arrival[end.position] = np.maximum(arrival[end.position], self._written(stream) - end.later)
        waited = arrival - actor.before
        for stream in actor.outlets:
            if stream in self.depths:
                end = self.ends[stream][0]
                free = self._freed(stream) + 2 * self.ticks - self.latency - end.later
                waited[end.position] = np.maximum(waited[end.position], free - actor.after[end.position])
        waited = np.maximum.accumulate(waited)
        endless = self.period >= ENDLESS
        if not endless:
            waited = np.maximum(waited, waited[-1] + actor.after[-1] - self.period)
        ended = np.minimum(waited + actor.after, ENDLESS)
        before = np.concatenate([[-ENDLESS if endless else ended[-1] - self.period], ended[:-1]])
        return np.where(actor.single, ended - self.ticks, np.maximum(before, arrival)), ended

    def _freed(self, stream: Stream) -> np.ndarray:
        """[n] when token n - depth is read."""
        number = np.arange(len(self.ends[stream][1].position)) - self.depths[stream]
        back = self.period if self.period < ENDLESS else 4 * ENDLESS  # earlier than anything that never happens is late
        return self._read(stream)[number % len(number)] + number // len(number) * back

    def _overflows(self, stream: Stream) -> bool:
        """Whether a token from outside finds no room."""
        return (
            self.ends[stream][0].actor == OUTSIDE
            and stream in self.depths
            and bool((self._freed(stream) + self.ticks > self.entering).any())
        )

    def deadlocks(self, depths: Mapping[Stream, int]) -> bool:
        """Whether actors that need only tokens and room would wait for one another for ever at these depths."""
        ends = {stream: [(end.actor, end.iterations.tolist()) for end in pair] for stream, pair in self.ends.items()}
        count = [len(actor.before) for actor in self.actors]
        done = [0] * len(count)

        def first(actor: int, iterations: list[int], token: int) -> int:
            images, token = divmod(token, len(iterations))
            return iterations[token] + images * count[actor]

        def tokens(actor: int, iterations: list[int]) -> int:
            if actor == OUTSIDE:
                return ENDLESS
            images = max(0, (done[actor] - iterations[0]) // count[actor])
            return images * len(iterations) + bisect.bisect_left(iterations, done[actor] - images * count[actor])

        last, goal = self.leaving.actor, 2 + math.ceil(self.lags)
        moving = True
        while moving and done[last] < goal * count[last]:
            moving = False
            for index, actor in enumerate(self.actors):
                able = [(goal + 1) * 2 * count[index]]
                for stream in actor.inlets:
                    (writer, writing), (_, reading) = ends[stream]
                    able.append(first(index, reading, tokens(writer, writing)))
                for stream in actor.outlets:
                    (_, writing), (reader, reading) = ends[stream]
                    able.append(first(index, writing, tokens(reader, reading) + depths[stream]))
                if min(able) > done[index]:
                    done[index], moving = min(able), True
        return done[last] < goal * count[last]


def write_mask(process: Process, iterations: int) -> np.ndarray:
    """[iterations] bool: which iterations write a token, images following one another."""
    (height, width), (rows, columns) = process.in_size, process.out_size
    anchor = np.arange(iterations) - process.lag
    row, column = anchor % (height * width) // width, anchor % width
    return (
        (anchor >= 0)
        & (row % process.stride[0] == 0)
        & (row < rows * process.stride[0])
        & (column % process.stride[1] == 0)
        & (column < columns * process.stride[1])
    )
