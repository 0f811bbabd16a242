"""The exact expected cost under independent gates: the multilinear extension of the cost, differentiable in the probabilities.

With a_i ~ Bernoulli(p_i) independent, and P_g(s) = product over the gates of group g of p_i if open in s, else 1 - p_i,

    additive   E = C_0 + sum over g, s of P_g(s) V_g(s)
    max        E = x_1 + sum over j of (x_{j+1} - x_j) (1 - F(x_j)),     F(x) = product over g of sum over s of P_g(s) [V_g(s) <= x]

over the ascending support x of the maximum. Both are polynomials in p.

Exactness. At p in {0,1} every product is 0 or 1, so the result is the integer cost, exactly, as long as the arithmetic holds the integers:
numpy float64, used when all of p are Python or numpy numbers, up to 2^53; float32, used under jax, up to 2^24 = 16,777,216 (BRAM, LUT, FF,
DSP and most FIFO sums), and beyond that to the nearest of the 24-bit numbers (MACs, BOPS); with jax_enable_x64, float64 as numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from costmodel.cost import CostError
from costmodel.table import Bucket, CostTable

jax.tree_util.register_dataclass(Bucket, ['gates', 'values', 'below'], [])
jax.tree_util.register_dataclass(CostTable, ['constant', 'support', 'buckets'], ['gates', 'additive', 'maxima'])


def expected(table: CostTable, p: Mapping[str, Any]) -> dict[str, Any]:
    """The expected cost of a network whose gates open independently.

    Args:
      table: from `tabulate`.
      p: {gate: probability that it is open}, a scalar for every gate of the table; Python, numpy or (traced) jax numbers.

    Returns:
      {resource: scalar}, differentiable and jittable; float64 numpy scalars if no probability is a jax value.

    Raises:
      CostError: if `p` lacks a gate or has one that the table does not know.
    """
    if set(p) != set(table.gates):
        missing, unknown = sorted(set(table.gates) - set(p)), sorted(set(p) - set(table.gates))
        raise CostError(
            'p must hold one probability per gate'
            + (f'; it lacks {", ".join(missing)}' if missing else '')
            + (f'; the table has no gate {", ".join(unknown)}' if unknown else '')
        )
    xp = jnp if any(isinstance(value, jax.Array) for value in (*p.values(), table.constant)) else np
    opened = xp.stack([xp.asarray(p[gate], float) for gate in table.gates]) if table.gates else xp.zeros(0)
    weights = [_setting_probabilities(xp, opened[bucket.gates]) for bucket in table.buckets]  # each [n, 2^k]

    total = xp.asarray(table.constant)
    for weight, bucket in zip(weights, table.buckets):
        total = total + xp.einsum('ns,nsa->a', weight, xp.asarray(bucket.values))
    result = {name: total[index] for index, name in enumerate(table.additive)}
    for index, name in enumerate(table.maxima):
        support = xp.asarray(table.support[index])
        at_most = xp.ones(support.shape)
        for weight, bucket in zip(weights, table.buckets):
            at_most = at_most * xp.prod(xp.einsum('ns,nsm->nm', weight, xp.asarray(bucket.below[index])), axis=0)
        result[name] = support[0] + xp.sum((support[1:] - support[:-1]) * (1 - at_most[:-1]))
    return result


def _setting_probabilities(xp: Any, opened: Any) -> Any:
    """[n, k] probabilities of the gates of n groups -> [n, 2^k] probabilities of their settings."""
    weight = xp.ones((opened.shape[0], 1))
    for index in range(opened.shape[1]):
        gate = opened[:, index : index + 1]
        weight = xp.concatenate([weight * (1 - gate), weight * gate], axis=1)
    return weight
