"""Cost tables: the chains of `costmodel.expectation.chain` as arrays, which is what `costmodel.expected` takes.

Links with equally many gates are stacked; states are padded to the largest number of them. Where a target
chooses among K chains over the same gates (`chain.Choice`), every array has a leading axis of K, and one more additive
column counts the links that are over the limit: its expectation is positive just if a setting of positive probability
is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from costmodel.cost import CostError
from costmodel.expectation.chain import MAX_GROUP_GATES, Chain, Choice, Link
from costmodel.targets import Target, check_names, module
from tailor_jax.graph import Graph

__all__ = ['MAX_GROUP_GATES', 'CostTable', 'LinkStack', 'packed', 'tabulate']


@dataclasses.dataclass(frozen=True, eq=False)
class LinkStack:
    """The n links of k gates each. Setting s has gate j of the link open when bit j of s is set.

    Attributes:
      gates: [n, k] indices into `CostTable.gates`.
      places: [n] positions in the chain.
      values: [n, S, 2^k, A] of the A additive resources, by the state before.
      after: [n, S, 2^k, S] 1 for the state after.
      below: per max-type resource [n, S, 2^k, M]: 1 where the link's value is at most the j-th number of the resource's
        support.
    """

    gates: np.ndarray
    places: np.ndarray
    values: np.ndarray
    after: np.ndarray
    below: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class CostTable:
    """The costs of every setting; what `costmodel.expected` takes. A pytree: arrays inside, names static.

    Attributes:
      gates: all learnable gates, in graph order.
      additive, maxima: names of the additive and of the max-type resources.
      objective: the resource that the choice among K chains minimizes; '' where there is one chain.
      constant: [A] what no gate changes of the additive resources.
      support: per max-type resource, the ascending values [M] that the network's maximum can take.
      stacks: the links, by their number of gates.
    """

    gates: tuple[str, ...]
    additive: tuple[str, ...]
    maxima: tuple[str, ...]
    objective: str
    constant: np.ndarray
    support: tuple[np.ndarray, ...]
    stacks: tuple[LinkStack, ...]

    @property
    def resources(self) -> tuple[str, ...]:
        return self.additive + self.maxima

    @property
    def states(self) -> int:
        """The largest number of states between two links; 1 where the links are independent."""
        return self.stacks[0].values.shape[-3] if self.stacks else 1

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The gates of each link that has some."""
        return [tuple(self.gates[index] for index in row) for stack in self.stacks for row in stack.gates if len(row)]


def tabulate(graph: Graph, target: Target) -> CostTable:
    """The table of a graph with learnable gates on a target.

    Raises:
      CostError: if more than 12 gates interact (the message names them), or a setting of the target names what the
        graph does not have.
    """
    check_names(graph, target)
    found = module(target).evaluator(target)
    return packed(graph.gates, found.reductions, found.chains(graph), found.choice)


def packed(
    gates: tuple[str, ...], reductions: Mapping[str, str], chains: Sequence[Chain], choice: Choice | None = None
) -> CostTable:
    """The table of one chain, or of several over the same gates to choose from.

    Raises:
      CostError: if in every chain some setting is over the limit of the choice.
    """
    additive, maxima = (
        tuple(name for name, reduction in reductions.items() if reduction == wanted) for wanted in ('sum', 'max')
    )
    states = max((len(link.costs) for chain in chains for link in chain.links), default=1)
    states = max(
        states,
        1 + max((index for chain in chains for link in chain.links for row in link.after for index in row), default=0),
    )
    if choice is None:
        constant, support, stacks = _arrays(gates, additive, maxima, chains[0], states, None)
        return CostTable(gates, additive, maxima, '', constant, support, stacks)
    limited = choice.limited
    if all(
        any(cost[limited] > choice.limit for link in chain.links for row in link.costs for cost in row)
        for chain in chains
    ):
        least = min(
            max(cost[limited] for link in chain.links for row in link.costs for cost in row) for chain in chains
        )
        raise CostError(
            f'{choice.chooser}: no alternative keeps {limited} within {choice.setting}={choice.limit} with every skip '
            f'setting; the least {choice.setting} that would do is {least}'
        )
    parts = [_arrays(gates, additive, maxima, chain, states, choice) for chain in chains]
    longest = [max(len(support[index]) for _, support, _ in parts) for index in range(len(maxima))]
    parts = [_lengthened(*part, longest) for part in parts]
    constant = np.stack([each for each, _, _ in parts])
    support = tuple(np.stack(columns) for columns in zip(*(each for _, each, _ in parts)))
    stacks = tuple(
        LinkStack(
            same[0].gates,
            same[0].places,
            np.stack([stack.values for stack in same]),
            np.stack([stack.after for stack in same]),
            tuple(np.stack(columns) for columns in zip(*(stack.below for stack in same))),
        )
        for same in zip(*(each for _, _, each in parts))
    )
    return CostTable(gates, additive, maxima, choice.objective, constant, support, stacks)


Arrays = tuple[np.ndarray, tuple[np.ndarray, ...], tuple[LinkStack, ...]]


def _arrays(
    gates: tuple[str, ...],
    additive: tuple[str, ...],
    maxima: tuple[str, ...],
    chain: Chain,
    states: int,
    choice: Choice | None,
) -> Arrays:
    """(constant, support, stacks) of one chain."""
    support = tuple(_support(chain, name) for name in maxima)
    counted = 0 if choice is None else 1
    stacks = []
    for size in sorted({len(link.gates) for link in chain.links}):
        places = [place for place, link in enumerate(chain.links) if len(link.gates) == size]
        values = np.zeros((len(places), states, 1 << size, len(additive) + counted))
        after = np.zeros((len(places), states, 1 << size, states))
        below = tuple(np.ones((len(places), states, 1 << size, len(numbers))) for numbers in support)
        for row, place in enumerate(places):
            for state, setting, cost, following in _entries(chain.links[place]):
                after[row, state, setting, following] = 1
                values[row, state, setting, : len(additive)] = [cost[name] for name in additive]
                if choice:
                    values[row, state, setting, -1] = cost[choice.limited] > choice.limit
                for index, name in enumerate(maxima):
                    below[index][row, state, setting] = cost[name] <= support[index]
        indices = np.array(
            [[gates.index(gate) for gate in chain.links[place].gates] for place in places], np.int32
        ).reshape(len(places), size)
        stacks.append(LinkStack(indices, np.array(places, np.int32), values, after, below))
    constant = np.array([chain.constant[name] for name in additive] + [0] * counted, np.float64)
    return constant, support, tuple(stacks)


def _entries(link: Link):
    """(state, setting, cost, state after) of every entry."""
    for state, (costs, after) in enumerate(zip(link.costs, link.after)):
        for setting, (cost, following) in enumerate(zip(costs, after)):
            yield state, setting, cost, following


def _support(chain: Chain, name: str) -> np.ndarray:
    """The ascending values that the maximum over the links can take: none below what each link takes at least."""
    values = [[cost[name] for row in link.costs for cost in row] for link in chain.links]
    floor = max([chain.constant[name], *(min(each) for each in values)])
    return np.array(sorted({floor, *(value for each in values for value in each if value >= floor)}), np.float64)


def _lengthened(
    constant: np.ndarray, support: tuple[np.ndarray, ...], stacks: tuple[LinkStack, ...], lengths: Sequence[int]
) -> Arrays:
    """The same with supports of these lengths, their last number repeated."""

    def longer(array: np.ndarray, length: int) -> np.ndarray:
        return np.concatenate([array, np.repeat(array[..., -1:], length - array.shape[-1], axis=-1)], axis=-1)

    return (
        constant,
        tuple(longer(numbers, length) for numbers, length in zip(support, lengths)),
        tuple(
            dataclasses.replace(stack, below=tuple(longer(each, length) for each, length in zip(stack.below, lengths)))
            for stack in stacks
        ),
    )
