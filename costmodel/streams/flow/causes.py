"""Why the times of a machine move, and whether they will for ever.

An event is the end of a trip, or the read of one of several cycles. When its time moves, it is for one cause: another
event, after which it comes by a weight that does not change. Where causes make a circle, the weights around it are
positive and every time on it grows without end, period by period: the machine has no steady state. (In Bellman and
Ford's search for paths, a circle of parents.)
"""

from __future__ import annotations

import numpy as np

from costmodel.streams.flow.machine import NEVER, ActorTimes, Machine
from costmodel.streams.flow.part import OUTSIDE

_NONE = -1


class _Latest:
    """The latest of several times for each trip, and the event that it comes from."""

    def __init__(self, trips: int):
        self.time, self.event = np.full(trips, NEVER), np.full(trips, _NONE)

    def take(self, trips: np.ndarray, time: np.ndarray, event: np.ndarray) -> None:
        later = time > self.time[trips]
        self.time[trips[later]], self.event[trips[later]] = time[later], event[later]


class Causes:
    """The cause of each event's last move, since this was made."""

    def __init__(self, machine: Machine):
        """Events of actor i count from `first[i]`: the ends of its trips, then the reads of its trips."""
        self.first = np.cumsum([0, *(2 * len(actor.before) for actor in machine.actors)])
        self.cause, self.last = np.full(int(self.first[-1]), _NONE), _NONE

    def note(self, machine: Machine, index: int, read: np.ndarray, ended: np.ndarray) -> None:
        """Before the times of an actor become these."""
        actor, trips, here = machine.actors[index], len(ended), int(self.first[index])
        of_reads, of_ends = _causes(machine, actor, here, self.first)
        for start, cause, moved in (
            (here, of_ends, ended > actor.ended),
            (here + trips, of_reads, (read > actor.read) & ~actor.single),
        ):
            self.cause[start : start + trips][moved] = cause[moved]
            if moved.any():
                self.last = start + int(moved.argmax())

    def circle(self) -> bool:
        """Whether the causes of what moved last lead back to themselves."""
        event, seen = self.last, set[int]()
        while event != _NONE and event not in seen:
            seen.add(event)
            event = int(self.cause[event])
        return event != _NONE


def _causes(machine: Machine, actor: ActorTimes, here: int, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The events that reads and ends of an actor's trips wait for. Event k of an actor, counted from its `first`, is
    the end of trip k, event trips + k the read of trip k where it has several cycles."""
    trips = len(actor.before)
    arrival = _Latest(trips)
    for edge in actor.inlets:
        writer, reader = machine.ends[edge]
        time = machine.ended(writer) + writer.delay - reader.later
        event = np.full(len(time), _NONE) if writer.actor == OUTSIDE else first[writer.actor - 1] + writer.position
        arrival.take(reader.position, time, event)
    waited = _Latest(trips)
    waited.take(np.arange(trips), arrival.time - actor.before, arrival.event)
    for edge in actor.outlets:
        if edge in machine.depths:
            writer, reader = machine.ends[edge]
            other = machine.actors[reader.actor - 1]
            word = (np.arange(len(writer.position)) - machine.depths[edge]) % len(reader.position)
            trip = reader.position[word]
            event = first[reader.actor - 1] + np.where(other.single[trip], trip, len(other.before) + trip)
            free = machine.freed(edge, len(writer.position)) + 2 * machine.unit - writer.later
            waited.take(writer.position, free - actor.after[writer.position], event)
    latest = np.maximum.accumulate(waited.time)
    binding = np.maximum.accumulate(np.where(waited.time == latest, np.arange(trips), 0))
    before = latest[-1] + actor.after[-1] - machine.period  # the trips of the period before
    of_ends = waited.event[np.where(before > latest, binding[-1], binding)]
    ended = np.maximum(latest, before) + actor.after
    behind = np.concatenate([[ended[-1] - machine.period], ended[:-1]])
    own = here + (np.arange(trips) - 1) % trips
    return np.where(arrival.time > behind, arrival.event, own), of_ends
