"""The least times of a machine whose streams are bounded, or that there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from costmodel.streams.flow.causes import Causes
from costmodel.streams.flow.machine import NEVER, Machine
from costmodel.streams.flow.part import OUTSIDE, Edge
from tailor_jax.dataflow.process import FORWARD_CYCLES

_ROUNDS = 4  # after so many it is noted why times still move


def settle(machine: Machine, depths: Mapping[Edge, int], accepted: Callable[[], bool] = lambda: True) -> bool:
    """Finds the least times when these streams, too, are bounded; whether there are any that are accepted. If not, all
    stays as it was.

    There are none if actors wait for one another for ever, if they lose more in every period, or if a word from outside
    finds no room.
    """
    kept = machine.depths, [(actor.read, actor.ended) for actor in machine.actors]
    machine.depths = machine.depths | dict(depths)
    if _comes_to_rest(machine, depths) and accepted():
        return True
    machine.depths = kept[0]
    for actor, (read, ended) in zip(machine.actors, kept[1]):
        actor.read, actor.ended = read, ended
    return False


def _comes_to_rest(machine: Machine, bounded: Iterable[Edge]) -> bool:
    """Whether times come to rest. They were at rest before these streams were bounded, unless none has moved yet."""
    begun = [actor.ended for actor in machine.actors]
    most = _longest(machine)
    fresh = bool(begun[0][0] <= NEVER)
    moved = set(range(len(begun))) if fresh else {machine.ends[edge][0].actor - 1 for edge in bounded}
    moved.discard(OUTSIDE - 1)
    order, rounds = list(range(len(begun))), 0
    causes: Causes | None = None
    while moved:
        for index in order:
            if index in moved:
                moved.discard(index)
                moved |= _moved(machine, index, causes)
                ended, happened = machine.actors[index].ended, begun[index] > NEVER
                late = (ended - begun[index])[happened].max(initial=0) > most
                if late or any(map(machine.overflows, machine.actors[index].inlets)):
                    return False
        order.reverse()
        rounds += 1
        if causes and rounds % _ROUNDS == 0 and causes.circle():
            return False
        if rounds == _ROUNDS:
            causes = Causes(machine)
    return True


def _longest(machine: Machine) -> int:
    """Ticks that no path of waiting is longer than."""
    return sum(
        int(actor.after[-1]) + (placed.latency_cycles + FORWARD_CYCLES + 1) * machine.unit * len(actor.after)
        for actor, placed in zip(machine.actors, machine.part.actors)
    )


def _moved(machine: Machine, index: int, causes: Causes | None) -> set[int]:
    """Computes an actor anew; the actors that may move for it."""
    actor = machine.actors[index]
    read, ended = machine.times_of(actor)
    moved: set[int] = set()
    if not np.array_equal(ended, actor.ended):
        moved.update(machine.ends[edge][1].actor - 1 for edge in actor.outlets)
    if not np.array_equal(read, actor.read):
        moved.update(machine.ends[edge][0].actor - 1 for edge in actor.inlets if edge in machine.depths)
        moved.discard(OUTSIDE - 1)
    if causes:
        causes.note(machine, index, read, ended)
    actor.read, actor.ended = read, ended
    return moved
