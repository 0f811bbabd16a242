"""The folding of least resources that meets an interval; the shortest interval whose folding keeps to limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np

from costmodel.cost import CostError
from costmodel.streams.fold import candidates, program
from costmodel.streams.fold.catalogue import Catalogue, Price, catalogue
from tailor_jax.dataflow.folding import TAPS, Folding
from tailor_jax.graph import Graph


def solve(
    graph: Graph,
    interval_cycles: int,
    price: Price,
    limits: Mapping[str, float] | None = None,
    taps: Collection[str] = TAPS,
) -> Folding:
    """The folding of a folded graph that meets the interval with the least resources.

    Args:
      graph: with every skip open; `folding.kept` has the folding of one without some.
      price: see `Price`.
      limits: {resource of price.worth: most of it}.
      taps: those that windows may deliver, of `folding.TAPS`.

    Raises:
      GraphError: for a node that is no streaming process.
      CostError: for an interval that a node cannot meet, naming it and the nearest interval; for limits that no
        folding of the interval keeps.
    """
    known = catalogue(graph, price, taps)
    _check_interval(known, interval_cycles)
    choice = program.least(known, interval_cycles, limits or {})
    if choice is None:
        kept = f' and keeps to {_listed(limits)}' if limits else ''
        raise CostError(f'no folding of this network meets {interval_cycles} cycles{kept}')
    return program.folding(known, choice)


def fastest(
    graph: Graph, price: Price, limits: Mapping[str, float], taps: Collection[str] = TAPS
) -> tuple[int, Folding]:
    """(interval in cycles, its folding of least resources): the shortest that keeps to the limits.

    Raises:
      GraphError: as `solve`.
      CostError: where the limits are less than the slowest folding takes, naming the resource and how much it takes.
    """
    known = catalogue(graph, price, taps)
    periods = {int(cycles) for each in _cycles(known) for cycles in each}
    intervals = sorted(cycles for cycles in periods if cycles >= nearest(known))
    best = program.least(known, intervals[-1], limits)
    if best is None:
        raise CostError(_too_little(known, intervals[-1], limits))
    low, high = 0, len(intervals) - 1  # the shortest is among intervals[low..high], and `best` is of intervals[high]
    while low < high:
        middle = (low + high) // 2
        found = program.least(known, intervals[middle], limits)
        if found is None:
            low = middle + 1
        else:
            best, high = found, middle
    return intervals[high], program.folding(known, best)


def nearest(known: Catalogue) -> int:
    """The shortest interval that any folding meets: the most unrolled layers fit any lanes."""
    return max(int(each.min()) for each in _cycles(known))


def _cycles(known: Catalogue) -> list[np.ndarray]:
    """The periods of every choice of a class, and of a layer."""
    return [*(each.cycles for each in known.classes), *(place.kind.cycles for place in known.places)]


def _check_interval(known: Catalogue, interval_cycles: int) -> None:
    least = {place.node.name: int(place.kind.cycles.min()) for place in known.places}
    for each in known.classes:
        lanes = each.lanes[int(each.cycles.argmin())]
        for node in each.members:
            cycles = candidates.tensor_cycles(known.graph, node, lanes)
            least[node.name] = max(cycles, least.get(node.name, 0))
    for node in known.graph.nodes:
        if least[node.name] > interval_cycles:
            raise CostError(
                f'node {node.name!r} ({node.op}): it needs at least {least[node.name]} cycles an image, so an interval '
                f'of {interval_cycles} cycles cannot be met; the nearest that this network can meet is '
                f'interval_cycles={nearest(known)}'
            )


def _too_little(known: Catalogue, interval_cycles: int, limits: Mapping[str, float]) -> str:
    """What to say where no folding of the longest interval keeps to the limits."""
    for resource, most in limits.items():
        alone = dataclasses.replace(known, worth=np.array([float(each == resource) for each in known.resources]))
        choice = program.least(alone, interval_cycles, {})
        assert choice is not None, 'a channel a cycle takes as long as anything'
        needed = program.used(alone, choice)[resource]
        if needed > most:
            stored = ' with all weights in LUTs' if resource == 'lut' else ''
            return (
                f'{resource}: every folding of this network takes at least {needed:g}{stored}, and {most:g} are given'
            )
    return f'no folding of this network keeps to {_listed(limits)} together'


def _listed(limits: Mapping[str, float]) -> str:
    return ', '.join(f'{resource} <= {most:g}' for resource, most in limits.items())
