"""The folding of least resources as an integer program, solved exactly by HiGHS (`scipy.optimize.milp`).

    y[c, l]        how many of the m copies of class c have its l-th lanes     sum over l = m
    x[n, w]        how many of the m copies of layer n are built in way w      sum over w of lanes l in = y[in(n), l]
                   (of a hub, which has no copies, y times m)                  sum over w of lanes l out = y[out(n), l]
    least          worth x amounts, summed over classes and layers
    limits         amounts of a resource, summed, <= its limit

A way is (lanes in, lanes out, layer). For a pair of lanes only those are kept than which none is better in the sum and
in every limited resource. The sum is scaled to some 10^6, of which the last unit decides between equals: fewer lanes
and the earlier way first, by steps that no two classes or layers share. So foldings count as equal within a part in a
million, and the result is the same on every run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from costmodel.streams.fold.catalogue import Catalogue, Kind
from costmodel.streams.fold.copies import Path, paths
from tailor_jax.dataflow.folding import Folding

if TYPE_CHECKING:
    from scipy.optimize import LinearConstraint

_OPTIMAL, _INFEASIBLE = 0, 2  # of scipy.optimize.milp
_SCALE = 1e6
_GOLDEN = (math.sqrt(5) - 1) / 2  # the fractions of its multiples are spread evenly, no two alike


class Choice(NamedTuple):
    """Indices: of the lanes of each class (`TensorClass.lanes`), and of each place's layer (`Kind.layers`)."""

    lanes: tuple[int, ...]
    layers: tuple[int, ...]


class _Ways(NamedTuple):
    """Ways to build a layer: [ways] index of the lanes in, of the lanes out, of `Kind.layers`; [ways, resources]."""

    arriving: np.ndarray
    leaving: np.ndarray
    layers: np.ndarray
    amounts: np.ndarray

    def lanes(self, way: int) -> tuple[int, int]:
        return int(self.arriving[way]), int(self.leaving[way])


class _Variables(NamedTuple):
    """Of a class or a place, for all its copies: [variables] their columns; `times`: how many copies there are."""

    columns: np.ndarray
    amounts: np.ndarray
    times: int


def least(known: Catalogue, interval_cycles: int, limits: Mapping[str, float]) -> Choice | None:
    """The choice of the least sum that meets the interval and keeps to limits {resource: most of it}, if there is one.

    The least without limits is found sooner, and is that with limits if it keeps to them.
    """
    choice = _solved(known, interval_cycles, {})
    if choice is None or not limits:
        return choice
    amounts = used(known, choice)
    if all(amounts[resource] <= most for resource, most in limits.items()):
        return choice
    return _solved(known, interval_cycles, limits)


def _solved(known: Catalogue, interval_cycles: int, limits: Mapping[str, float]) -> Choice | None:
    from scipy import optimize  # takes half a second, and most commands solve nothing

    bounded = [known.resources.index(resource) for resource in limits]
    allowed = [np.flatnonzero(each.cycles <= interval_cycles) for each in known.classes]
    ways = _all_ways(known, allowed, interval_cycles, bounded)
    hubs, found = paths(known.classes, known.places)
    of_class, of_place = _variables(known, allowed, ways, hubs, found)
    variables = [*of_class.values(), *of_place.values()]
    amounts = np.concatenate([each.amounts for each in variables])
    constraints = [_linked(known, allowed, ways, of_class, of_place)]
    if bounded:
        constraints.append(optimize.LinearConstraint(amounts[:, bounded].T, ub=list(limits.values())))
    result = optimize.milp(
        _objective(known, variables),
        integrality=np.ones(len(amounts)),
        bounds=optimize.Bounds(0, np.concatenate([np.full(len(each.columns), each.times) for each in variables])),
        constraints=constraints,
        options={'mip_rel_gap': 0},
    )
    if result.status == _INFEASIBLE:
        return None
    if result.status != _OPTIMAL:
        raise RuntimeError(f'the integer program of the folding was not solved: {result.message}')
    counts = np.round(result.x).astype(int)
    lanes = {hub: int(allowed[hub][counts[of_class[hub].columns].argmax()]) for hub in hubs}
    layers: dict[int, int] = {}
    for path in found:
        taken = {index: counts[of_place[index].columns] for index in path.places[0]}
        _tell_apart(known, path, ways, taken, lanes, layers)
    return Choice(*(tuple(chosen[index] for index in range(len(chosen))) for chosen in (lanes, layers)))


def _variables(
    known: Catalogue, allowed: list[np.ndarray], ways: list[_Ways], hubs: tuple[int, ...], found: tuple[Path, ...]
) -> tuple[dict[int, _Variables], dict[int, _Variables]]:
    """{class: its variables}, {place: its variables}, of hubs and of the first copy of each path."""
    count = 0

    def made(amounts: np.ndarray, times: int) -> _Variables:
        nonlocal count
        count += len(amounts)
        return _Variables(np.arange(count - len(amounts), count), amounts, times)

    def of_class(index: int, times: int) -> _Variables:
        return made(known.classes[index].amounts[allowed[index]], times)

    classes = {hub: of_class(hub, 1) for hub in hubs}
    classes |= {index: of_class(index, len(path.classes)) for path in found for index in path.classes[0]}
    return classes, {index: made(ways[index].amounts, len(path.places)) for path in found for index in path.places[0]}


def _linked(
    known: Catalogue,
    allowed: list[np.ndarray],
    ways: list[_Ways],
    of_class: dict[int, _Variables],
    of_place: dict[int, _Variables],
) -> LinearConstraint:
    """As many choices of lanes for a class as it has copies, and ways that agree with them."""
    from scipy import optimize, sparse

    rows, columns, values = [], [], []
    sums = [each.times for each in of_class.values()]
    for row, each in enumerate(of_class.values()):
        rows.append(np.full(len(each.columns), row))
        columns.append(each.columns)
        values.append(np.ones(len(each.columns)))
    for number, variables in of_place.items():
        place, built = known.places[number], ways[number]
        for index, choices in ((place.source, built.arriving), (place.target, built.leaving)):
            met = of_class[index]
            rows += [len(sums) + choices, len(sums) + allowed[index]]
            columns += [variables.columns, met.columns]
            values += [np.ones(len(choices)), np.full(len(met.columns), -variables.times / met.times)]
            sums += [0] * len(known.classes[index].lanes)
    count = sum(len(each.columns) for each in (*of_class.values(), *of_place.values()))
    where = np.concatenate(rows), np.concatenate(columns)
    matrix = sparse.csr_array((np.concatenate(values), where), (len(sums), count))
    return optimize.LinearConstraint(matrix, sums, sums)


def _objective(known: Catalogue, variables: list[_Variables]) -> np.ndarray:
    """The costs to scale, with what breaks ties."""
    costs = [each.amounts @ known.worth for each in variables]
    bound = sum(each.times * cost.min() for each, cost in zip(variables, costs))
    steps = 2 * sum(each.times * len(each.columns) for each in variables)
    return np.concatenate(
        [
            np.round(cost * (_SCALE / bound if bound > 0 else 1), 3)
            + np.arange(len(cost)) * (1 + number * _GOLDEN % 1) / steps
            for number, cost in enumerate(costs)
        ]
    )


def _tell_apart(
    known: Catalogue,
    path: Path,
    ways: list[_Ways],
    counts: dict[int, np.ndarray],
    lanes: dict[int, int],
    layers: dict[int, int],
) -> None:
    """Writes down lanes and layers of the copies of a path. `counts`: how often each way of a place is taken."""
    left = {first: np.repeat(np.arange(len(times)), times).tolist() for first, times in counts.items()}
    for copy in path.places:
        for first, number in zip(path.places[0], copy):
            built, ends = ways[number], known.places[number].ends
            way = next(
                each
                for each in left[first]
                if all(lanes.get(end, index) == index for end, index in zip(ends, built.lanes(each)))
            )
            left[first].remove(way)
            lanes.update(zip(ends, built.lanes(way)))
            layers[number] = int(built.layers[way])


def _all_ways(known: Catalogue, allowed: list[np.ndarray], interval_cycles: int, bounded: list[int]) -> list[_Ways]:
    """Of every place; places alike share theirs."""
    made: dict[tuple, _Ways] = {}
    found = []
    for place in known.places:
        ends = allowed[place.source], allowed[place.target]
        key = (id(place.kind), *(each.tobytes() for each in ends))
        if key not in made:
            made[key] = _ways(place.kind, ends, interval_cycles, known.worth, bounded)
        found.append(made[key])
    return found


def _ways(
    kind: Kind,
    ends: tuple[np.ndarray, np.ndarray],
    interval_cycles: int,
    worth: np.ndarray,
    bounded: list[int],
) -> _Ways:
    """`ends`: indices of the lanes in and out that may be."""
    fast = np.flatnonzero(kind.cycles <= interval_cycles)
    arriving, leaving, layers, amounts = [], [], [], []
    for lanes_in in ends[0]:
        for lanes_out in ends[1]:
            each = kind.own[fast] + kind.adapt[lanes_in, fast] + kind.finish[lanes_out, fast]
            fitting = np.isfinite(each).all(axis=1)
            each, built = each[fitting], fast[fitting]
            kept = _frontier(np.column_stack([each @ worth, each[:, bounded]]))
            arriving.append(np.full(len(kept), lanes_in))
            leaving.append(np.full(len(kept), lanes_out))
            layers.append(built[kept])
            amounts.append(each[kept])
    return _Ways(*map(np.concatenate, (arriving, leaving, layers, amounts)))


def _frontier(costs: np.ndarray) -> np.ndarray:
    """Indices of the rows, [rows, costs], that no other is below or equal to in all; of equal rows the first."""
    kept: list[int] = []
    for index in np.lexsort(costs.T[::-1]):
        if not (costs[kept] <= costs[index]).all(axis=1).any():
            kept.append(index)
            if costs.shape[1] == 1:
                break
    return np.array(sorted(kept), int)


def folding(known: Catalogue, choice: Choice) -> Folding:
    """What a choice stands for."""
    lanes = {node.name: each.lanes[index] for each, index in zip(known.classes, choice.lanes) for node in each.members}
    layers = {place.node.name: place.kind.layers[index] for place, index in zip(known.places, choice.layers)}
    return Folding({node.name: lanes[node.name] for node in known.graph.nodes}, layers)


def used(known: Catalogue, choice: Choice) -> dict[str, float]:
    """{resource: its amount} of a choice."""
    total = sum(each.amounts[index] for each, index in zip(known.classes, choice.lanes))
    for place, index in zip(known.places, choice.layers):
        ends = choice.lanes[place.source], choice.lanes[place.target]
        total = total + place.kind.own[index] + place.kind.adapt[ends[0], index] + place.kind.finish[ends[1], index]
    return dict(zip(known.resources, total.tolist()))
