"""Cost tables: the exact cost of every setting of every gate group.

C(a) is the cost of the graph binarized by a in {0,1}^A. If the gates fall into groups g such that each row of the cost depends on the gates
of one group only, then with R_g the rows of group g and a_g its setting

    additive   C(a) = C_0 + sum over g of V_g(a_g),      V_g(s) = sum over rows of R_g
    max        C(a) = max(C_0, max over g of V_g(a_g)),  V_g(s) = max over rows of R_g

and V_g is found by evaluating the whole graph at the 2^k settings of the group, the other gates open. Which rows belong to a group is seen
from which rows vary; two groups that claim one row are joined. All values are exact integers held as float64.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np

from costmodel.cost import LABELS, CostError, reduced
from costmodel.groups import merge
from costmodel.targets import Evaluator, Target, check_names, evaluator
from tailor_jax import rewrite
from tailor_jax.graph import Graph

MAX_GROUP_GATES = 12


@dataclasses.dataclass(frozen=True, eq=False)
class Bucket:
    """The n groups of k gates each. Setting s has gate j of the group open when bit j of s is set.

    Attributes:
      gates: [n, k] indices into `CostTable.gates`.
      values: [n, 2^k, A] of the A additive resources.
      below: per max-type resource [n, 2^k, M]: 1 where the group's value is at most the j-th number of the resource's support.
    """

    gates: np.ndarray
    values: np.ndarray
    below: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class CostTable:
    """The costs of every setting; what `costmodel.expected` takes. A pytree: arrays inside, names static.

    Attributes:
      gates: all learnable gates, in graph order.
      additive, maxima: names of the additive and of the max-type resources.
      constant: [A] what no gate changes of the additive resources.
      support: per max-type resource, the ascending values [M] that the network's maximum can take.
      buckets: the groups, by their number of gates.
    """

    gates: tuple[str, ...]
    additive: tuple[str, ...]
    maxima: tuple[str, ...]
    constant: np.ndarray
    support: tuple[np.ndarray, ...]
    buckets: tuple[Bucket, ...]

    @property
    def resources(self) -> tuple[str, ...]:
        return self.additive + self.maxima

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The gates of each group."""
        return [tuple(self.gates[index] for index in row) for bucket in self.buckets for row in bucket.gates]


def tabulate(graph: Graph, target: Target) -> CostTable:
    """The table of a graph with learnable gates on a target.

    Raises:
      CostError: if more than 12 gates interact (the message names them), or a setting of the target names an unknown node.
    """
    check_names(graph, target)
    return build(graph, evaluator(target))


def build(graph: Graph, evaluate: Evaluator) -> CostTable:
    """`tabulate` for any evaluator."""
    kinds = evaluate.kinds
    additive, maxima = (tuple(name for name, kind in kinds.items() if kind == wanted) for wanted in ('sum', 'max'))
    base = _values(evaluate, graph, {})
    groups = evaluate.groups(graph)
    settings: dict[tuple[str, ...], list[dict[str, dict[str, int]]]] = {}
    while True:
        for group in groups:
            if group not in settings:
                settings[group] = _every_setting(graph, evaluate, group)
        claims = {group: _varying(base, settings[group]) for group in groups}
        clashes = [one + other for one, other in itertools.combinations(groups, 2) if claims[one] & claims[other]]
        if not clashes:
            break
        groups = merge(graph.gates, [*groups, *clashes])
    claimed = set().union(*claims.values()) if claims else set()
    constant = reduced([row for name, row in base.items() if name not in claimed] or [dict.fromkeys(kinds, 0)], kinds)
    none = dict.fromkeys(kinds, 0)
    table = {group: [reduced([rows.get(name, none) for name in claims[group]] or [none], kinds) for rows in settings[group]] for group in groups}
    return _packed(graph.gates, additive, maxima, constant, table)


def _values(evaluate: Evaluator, graph: Graph, setting: Mapping[str, int]) -> dict[str, dict[str, int]]:
    rows = evaluate.rows(rewrite.binarize(graph, setting))
    return {row['name']: {key: value for key, value in row.items() if key not in LABELS} for row in rows}


def _every_setting(graph: Graph, evaluate: Evaluator, group: tuple[str, ...]) -> list[dict[str, dict[str, int]]]:
    if len(group) > MAX_GROUP_GATES:
        raise CostError(
            f'{len(group)} gates interact ({", ".join(group)}), so their cost table would have 2^{len(group)} settings; at most '
            f'{MAX_GROUP_GATES} gates may lie between two nodes that every path passes: bind some of them to one gate'
        )
    return [_values(evaluate, graph, {gate: setting >> index & 1 for index, gate in enumerate(group)}) for setting in range(1 << len(group))]


def _varying(base: Mapping[str, Mapping[str, int]], settings: list[dict[str, dict[str, int]]]) -> set[str]:
    names = set(base).union(*settings)
    return {name for name in names if any(rows.get(name) != base.get(name) for rows in settings)}


def _packed(
    gates: tuple[str, ...],
    additive: tuple[str, ...],
    maxima: tuple[str, ...],
    constant: Mapping[str, int],
    table: Mapping[tuple[str, ...], list[dict[str, int]]],
) -> CostTable:
    support = []
    for name in maxima:
        values = {constant[name], *(row[name] for rows in table.values() for row in rows)}
        support.append(np.array(sorted(value for value in values if value >= constant[name]), np.float64))
    buckets = []
    for size in sorted({len(group) for group in table}):
        groups = [group for group in table if len(group) == size]
        rows = [table[group] for group in groups]
        buckets.append(
            Bucket(
                np.array([[gates.index(gate) for gate in group] for group in groups], np.int32),
                np.array([[[row[name] for name in additive] for row in settings] for settings in rows], np.float64),
                tuple(
                    np.array([[row[name] <= numbers for row in settings] for settings in rows], np.float64) for name, numbers in zip(maxima, support)
                ),
            )
        )
    return CostTable(gates, additive, maxima, np.array([constant[name] for name in additive], np.float64), tuple(support), tuple(buckets))
