"""Settings of the gates that meet a budget, the likeliest first.

With p_i = P(gate i open), a setting a has likelihood product of p_i^a_i (1 - p_i)^(1 - a_i). From the likeliest, each
gate that is flipped costs |log(p_i / (1 - p_i))|; the subsets of flips are walked in order of their sum with a heap
(the k smallest subset sums), and each setting's exact cost is read from the table. Nothing here knows what the budget
is of.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np

from costmodel.cost import CostError
from costmodel.expectation.expected import expected
from costmodel.expectation.table import CostTable

SEARCHED = 20_000


def meets(table: CostTable, setting: Mapping[str, int], budget: Mapping[str, float]) -> bool:
    """Whether the network of a setting costs no more than {resource: limit}."""
    cost = expected(table, {gate: float(value) for gate, value in setting.items()})
    return all(cost[resource] <= limit for resource, limit in budget.items())


def settings_by_likelihood(p: Mapping[str, float]) -> Iterator[dict[str, int]]:
    """Every setting of the gates, in descending order of likelihood."""
    open_ = {gate: int(value > 0.5) for gate, value in p.items()}
    yield dict(open_)
    flips = sorted((abs(_log_odds(value)), gate) for gate, value in p.items())
    # A subset of flips is (its sum, the indices in it); each comes from one other by adding the next index to, or
    # moving, its last one.
    heap: list[tuple[float, tuple[int, ...]]] = [(flips[0][0], (0,))] if flips else []
    while heap:
        total, chosen = heapq.heappop(heap)
        yield open_ | {flips[index][1]: 1 - open_[flips[index][1]] for index in chosen}
        last = chosen[-1]
        if last + 1 < len(flips):
            following = flips[last + 1][0]
            heapq.heappush(heap, (total + following, (*chosen, last + 1)))
            heapq.heappush(heap, (total - flips[last][0] + following, (*chosen[:-1], last + 1)))


def settings_within(
    table: CostTable, p: Mapping[str, float], budget: Mapping[str, float], count: int, maximal: bool = False
) -> list[dict[str, int]]:
    """The `count` likeliest settings that meet a budget, or fewer if there are fewer.

    Args:
      table: from `tabulate`.
      p: {gate: P(open)}.
      budget: {resource: limit}.
      count: how many at most.
      maximal: only settings in which no further gate can be opened within the budget.

    Raises:
      CostError: if none of the SEARCHED likeliest settings, nor the one with every gate closed, meets the budget.
    """
    found = []
    for setting in itertools.islice(settings_by_likelihood(p), SEARCHED):
        if meets(table, setting, budget) and not (
            maximal and any(meets(table, larger, budget) for larger in _larger(setting))
        ):
            found.append(setting)
            if len(found) == count:
                return found
    closed = dict.fromkeys(p, 0)
    if not found and meets(table, closed, budget):
        found.append(_opened_greedily(table, p, budget, closed))
    if not found:
        least = expected(table, {gate: 0.0 for gate in p})
        told = ', '.join(f'{resource} {least[resource]:g} of {limit:g}' for resource, limit in budget.items())
        searched = (
            'no setting of the gates meets'
            if 2 ** len(p) <= SEARCHED
            else f'none of {SEARCHED:,} settings of the gates meets'
        )
        raise CostError(f'{searched} the budget; with no skip at all the network needs {told}')
    return found


def _opened_greedily(
    table: CostTable, p: Mapping[str, float], budget: Mapping[str, float], setting: dict[str, int]
) -> dict[str, int]:
    for gate in sorted(p, key=lambda name: -p[name]):
        if meets(table, setting | {gate: 1}, budget):
            setting = setting | {gate: 1}
    return setting


def _larger(setting: Mapping[str, int]) -> Iterator[dict[str, int]]:
    return ({**setting, gate: 1} for gate, value in setting.items() if not value)


def _log_odds(p: float) -> float:
    inside = float(np.clip(p, 1e-12, 1 - 1e-12))
    return math.log(inside / (1 - inside))
