"""The exact expected cost under independent gates: the multilinear extension of the cost, differentiable.

With a_i ~ Bernoulli(p_i) independent, P_g(a) = product over the gates of link g of p_i if open in a, else 1 - p_i, and
the links of `costmodel.expectation.chain`, V_g(s, a) the cost and t_g(s, a) the state after, the distribution of the
state goes along the chain:

    T_g[s, s'] = sum over a of P_g(a) [t_g(s, a) = s'],          v_g[s] = sum over a of P_g(a) V_g(s, a)
    additive   E = C_0 + sum over g of e_0 T_1 ... T_{g-1} v_g
    max        E = x_1 + sum over j of (x_{j+1} - x_j) (1 - F(x_j)),     F(x) = e_0 B_1(x) ... B_G(x) 1
               B_g(x)[s, s'] = sum over a of P_g(a) [t_g(s, a) = s'] [V_g(s, a) <= x]

over the ascending support x of the maximum. All are polynomials in p. With one state T is 1, E a sum and F a product
over the links. Matrices of neighbours are multiplied in pairs, so a chain of G links takes log2 G steps.

A choice among chains is made at its optimum for p: the least expected objective among those without an expected
violation of the limit. The gradient is that of the chain chosen.

Exactness. At p in {0,1} every product is 0 or 1, so the result is the integer cost, exactly, as long as the arithmetic
holds the integers: numpy float64, used when all of p are Python or numpy numbers, up to 2^53; float32, used under jax,
up to 2^24 = 16,777,216 (BRAM, LUT, FF, DSP and most FIFO sums), and beyond that to the nearest of the 24-bit numbers
(MACs, BOPS, DRAM bytes); with jax_enable_x64, float64 as numpy. Chains whose expected objectives differ by less than
that may be taken for one another.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from costmodel.cost import CostError
from costmodel.expectation.table import CostTable, LinkStack

jax.tree_util.register_dataclass(LinkStack, ['gates', 'places', 'values', 'after', 'below'], [])
jax.tree_util.register_dataclass(
    CostTable, ['constant', 'support', 'stacks'], ['gates', 'additive', 'maxima', 'objective']
)


def expected(table: CostTable, p: Mapping[str, Any]) -> dict[str, Any]:
    """The expected cost of a network whose gates open independently.

    Args:
      table: from `tabulate`.
      p: {gate: probability that it is open}, a scalar for every gate of the table; Python, numpy or (traced) jax
        numbers.

    Returns:
      {resource: scalar}, differentiable and jittable; float64 numpy scalars if no probability is a jax value.

    Raises:
      CostError: if `p` lacks a gate or has one that the table does not know, or a value that is no probability; of a
        jax value it is not known.
    """
    if set(p) != set(table.gates):
        missing, unknown = sorted(set(table.gates) - set(p)), sorted(set(p) - set(table.gates))
        raise CostError(
            'p must hold one probability per gate'
            + (f'; it lacks {", ".join(missing)}' if missing else '')
            + (f'; the table has no gate {", ".join(unknown)}' if unknown else '')
        )
    for gate, value in p.items():
        if not isinstance(value, jax.Array) and not _is_probability(value):
            raise CostError(f'p of gate {gate!r} must be a number of 0..1, got {value!r}')
    xp = jnp if any(isinstance(value, jax.Array) for value in (*p.values(), table.constant)) else np
    opened = xp.stack([xp.asarray(p[gate], float) for gate in table.gates]) if table.gates else xp.zeros(0)
    weights = [_setting_probabilities(xp, opened[stack.gates]) for stack in table.stacks]  # each [n, 2^k]

    if table.objective:
        table = _chosen(xp, table, weights)
    total = _additive(xp, table, weights, slice(len(table.additive)))
    result = {name: total[index] for index, name in enumerate(table.additive)}
    for index, name in enumerate(table.maxima):
        support = xp.asarray(table.support[index])
        at_most = _at_most(xp, table, weights, index)
        result[name] = support[0] + xp.sum((support[1:] - support[:-1]) * (1 - at_most[:-1]))
    return result


def _is_probability(value: Any) -> bool:
    """Whether this is one number of 0..1; a setting's True and False are."""
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in 'biuf' and bool(0 <= value <= 1)


def _chosen(xp: Any, table: CostTable, weights: Sequence[Any]) -> CostTable:
    """The chain that is best for these probabilities, as a table of its own."""
    fixed = [jax.lax.stop_gradient(weight) for weight in weights] if xp is jnp else weights
    objective, violations = xp.moveaxis(_additive(xp, table, fixed, [table.additive.index(table.objective), -1]), -1, 0)
    index = xp.argmin(xp.where(violations > 0, xp.inf, objective))
    stacks = tuple(
        LinkStack(
            stack.gates,
            stack.places,
            xp.asarray(stack.values)[index],
            xp.asarray(stack.after)[index],
            tuple(xp.asarray(below)[index] for below in stack.below),
        )
        for stack in table.stacks
    )
    support = tuple(xp.asarray(numbers)[index] for numbers in table.support)
    return dataclasses.replace(
        table, objective='', constant=xp.asarray(table.constant)[index], support=support, stacks=stacks
    )


def _additive(xp: Any, table: CostTable, weights: Sequence[Any], columns: Any) -> Any:
    """[..., columns] expectations of these columns of the additive resources."""
    total = xp.asarray(table.constant)[..., columns]
    pairs = list(zip(weights, table.stacks))
    if table.states == 1:
        return sum(
            (xp.einsum('ns,...nisa->...a', weight, xp.asarray(stack.values)[..., columns]) for weight, stack in pairs),
            total,
        )
    steps = [xp.einsum('ns,...nisj->...nij', weight, xp.asarray(stack.after)) for weight, stack in pairs]
    costs = [xp.einsum('ns,...nisa->...nia', weight, xp.asarray(stack.values)[..., columns]) for weight, stack in pairs]
    return total + _walked(xp, _in_order(xp, table, steps), _in_order(xp, table, costs))


def _at_most(xp: Any, table: CostTable, weights: Sequence[Any], index: int) -> Any:
    """[M] probabilities that a max-type resource is at most each number of its support."""
    pairs = [(weight, stack, xp.asarray(stack.below[index])) for weight, stack in zip(weights, table.stacks)]
    if table.states == 1:
        parts = [xp.prod(xp.einsum('ns,nism->nm', weight, below), axis=0) for weight, _, below in pairs]
        return functools.reduce(lambda one, other: one * other, parts, xp.ones(table.support[index].shape))
    parts = [xp.einsum('ns,nisj,nism->nmij', weight, xp.asarray(stack.after), below) for weight, stack, below in pairs]
    return _product(xp, xp.swapaxes(_in_order(xp, table, parts, -4), -4, -3))[..., 0, :].sum(-1)


def _in_order(xp: Any, table: CostTable, parts: Sequence[Any], axis: int = -3) -> Any:
    """The stacks' entries along `axis` as one array, in the order of the chain."""
    return xp.take(
        xp.concatenate(parts, axis=axis),
        xp.argsort(xp.concatenate([stack.places for stack in table.stacks])),
        axis=axis,
    )


def _walked(xp: Any, steps: Any, costs: Any) -> Any:
    """[..., G, S, S] moves, [..., G, S, A] costs of the links -> [..., A] expected cost of the chain from state 0."""
    while (count := steps.shape[-3]) > 1:
        even = count // 2 * 2
        first, second = steps[..., 0:even:2, :, :], steps[..., 1:even:2, :, :]
        costs = xp.concatenate(
            [costs[..., 0:even:2, :, :] + first @ costs[..., 1:even:2, :, :], costs[..., even:, :, :]], axis=-3
        )
        steps = xp.concatenate([first @ second, steps[..., even:, :, :]], axis=-3)
    return costs[..., 0, 0, :]


def _product(xp: Any, matrices: Any) -> Any:
    """[..., G, S, S] -> [..., S, S], the product in order."""
    while (count := matrices.shape[-3]) > 1:
        even = count // 2 * 2
        matrices = xp.concatenate(
            [matrices[..., 0:even:2, :, :] @ matrices[..., 1:even:2, :, :], matrices[..., even:, :, :]], axis=-3
        )
    return matrices[..., 0, :, :]


def _setting_probabilities(xp: Any, opened: Any) -> Any:
    """[n, k] probabilities of the gates of n groups -> [n, 2^k] probabilities of their settings."""
    weight = xp.ones((opened.shape[0], 1))
    for index in range(opened.shape[1]):
        gate = opened[:, index : index + 1]
        weight = xp.concatenate([weight * (1 - gate), weight * gate], axis=1)
    return weight
