"""Exact costs of every setting of every gate group, as a chain of links.

A link is what a part of the network costs, by its own gates a_g and by the state s_{g-1} that the part before it left
(a tensor on chip or not). With V_g its exact cost and t_g the state that it leaves, the cost of the graph binarized by
a in {0,1}^A is

    additive   C(a) = C_0 + sum over g of V_g(s_{g-1}, a_g)
    max        C(a) = max(C_0, max over g of V_g(s_{g-1}, a_g)),      s_g = t_g(s_{g-1}, a_g)

`carried` finds the states that can be reached by running every stretch from each of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from costmodel.cost import CostError
from tailor_jax.graph import Graph

MAX_GROUP_GATES = 12
Resources = Mapping[str, int]
Run = Callable[[Mapping[str, int], Hashable], tuple[Resources, Hashable]]


@dataclasses.dataclass(frozen=True)
class Link:
    """The costs of a part of the network. Setting s has gate j of the link open when bit j of s is set.

    Attributes:
      gates: the gates that it depends on.
      costs: costs[i][s] when it is entered in state i with setting s.
      after: after[i][s] the state that it leaves then.
    """

    gates: tuple[str, ...]
    costs: tuple[tuple[Resources, ...], ...]
    after: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class Chain:
    """The links of a network in order, entered in state 0, and what no gate changes."""

    constant: Resources
    links: tuple[Link, ...]


@dataclasses.dataclass(frozen=True)
class Choice:
    """How one of several chains is taken.

    It is that of the least expected `objective` among those whose `limited` resource stays within `limit` in every
    setting of positive probability; the first of equals. `setting` and `chooser` name the limit and who chooses, for
    messages.
    """

    objective: str
    limited: str
    limit: int
    setting: str
    chooser: str


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """What the expectation over gates needs of a target.

    Attributes:
      reductions: {resource: 'sum' or 'max'}, how costs add up.
      chains: the exact costs of all settings of a graph's gates; several to choose from.
      choice: how one of them is chosen.
    """

    reductions: Mapping[str, str]
    chains: Callable[[Graph], list[Chain]]
    choice: Choice | None = None


def settings(gates: Sequence[str]) -> Iterator[dict[str, int]]:
    """Every setting of these gates, in the order of `Link.costs`. Raises CostError for too many gates."""
    if len(gates) > MAX_GROUP_GATES:
        raise CostError(
            f'{len(gates)} gates interact ({", ".join(gates)}), so their cost table would have 2^{len(gates)} '
            f'settings; at most {MAX_GROUP_GATES} gates may lie between two nodes that every path passes: bind some '
            'of them to one gate'
        )
    return ({gate: setting >> index & 1 for index, gate in enumerate(gates)} for setting in range(1 << len(gates)))


def carried(stretches: Sequence[tuple[tuple[str, ...], Run]], start: Hashable, reductions: Mapping[str, str]) -> Chain:
    """The chain of a target that carries a state.

    Args:
      stretches: (gates, run) of each stretch in order; run(setting, state) gives the cost and the state after.
      start: the state before the first stretch.
      reductions: {resource: 'sum' or 'max'}.
    """
    links, states = [], [start]
    for gates, run in stretches:
        found = [[run(setting, state) for setting in settings(gates)] for state in states]
        following = list(dict.fromkeys(state for row in found for _, state in row))
        costs = tuple(tuple(cost for cost, _ in row) for row in found)
        links.append(Link(gates, costs, tuple(tuple(following.index(state) for _, state in row) for row in found)))
        states = following
    return Chain(dict.fromkeys(reductions, 0), tuple(links))
