"""Learnable gates: the hard concrete distribution (Louizos et al. 2018, arXiv 1712.01312).

With log_alpha the gate's parameter, u uniform on (0, 1), beta = 2/3, gamma = -0.1, zeta = 1.1:

    sampled        z = clip(sigmoid((log u - log(1 - u) + log_alpha) / beta) (zeta - gamma) + gamma, 0, 1)
    P(open)        p = P(z > 0) = sigmoid(log_alpha - beta log(-gamma / zeta))
    at test time   z = clip(sigmoid(log_alpha) (zeta - gamma) + gamma, 0, 1)

The test-time gate is exactly 0 for log_alpha <= -2.398 and exactly 1 for log_alpha >= 2.398. Gate parameters are a
plain dict {gate name: scalar}. Training samples z and prices p. E[cost] is multilinear in p, so the cost alone is least
at a vertex; the task's loss also sees values between 0 and 1, so how far gates polarized is measured (`fractional`),
not assumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
_OFFSET = -BETA * math.log(-GAMMA / ZETA)

Gates = Mapping[str, jax.Array]


def init(names: Iterable[str], p_open: float) -> dict[str, jax.Array]:
    """Parameters at which every gate is open with this probability (0 < p_open < 1)."""
    log_alpha = math.log(p_open / (1 - p_open)) - _OFFSET
    return {name: jnp.float32(log_alpha) for name in names}


def sample(log_alpha: Gates, key: jax.Array) -> dict[str, jax.Array]:
    """One draw z of every gate, in [0, 1], differentiable in log_alpha."""
    draws = {}
    for index, (name, value) in enumerate(sorted(log_alpha.items())):
        u = jax.random.uniform(jax.random.fold_in(key, index), minval=1e-6, maxval=1 - 1e-6)
        draws[name] = _stretch(jax.nn.sigmoid((jnp.log(u) - jnp.log1p(-u) + value) / BETA))
    return draws


def scheduled(switches: Mapping[str, jax.Array], step: jax.Array) -> dict[str, jax.Array]:
    """The value of gates that follow a timetable instead of learning.

    Args:
      switches: {gate: [4] = (value before, value after, step of the switch, steps that it takes)}. A switch that takes
        no step is hard: the value before up to and without its step, the value after from it on. Otherwise the value
        goes in a straight line.
      step: steps done so far, a scalar.
    """
    values = {}
    for name, (before, after, at, ramp) in ((name, jnp.asarray(switch)) for name, switch in switches.items()):
        done = jnp.where(ramp > 0, (step - at) / jnp.maximum(ramp, 1), step - at + 1)
        values[name] = before + (after - before) * jnp.clip(done, 0.0, 1.0)
    return values


def p_open(log_alpha: Gates) -> dict[str, jax.Array]:
    """P(z > 0) of every gate."""
    return {name: jax.nn.sigmoid(value + _OFFSET) for name, value in log_alpha.items()}


def at_test(log_alpha: Gates) -> dict[str, jax.Array]:
    """The deterministic gate of evaluation, in [0, 1]."""
    return {name: _stretch(jax.nn.sigmoid(value)) for name, value in log_alpha.items()}


def round_off(log_alpha: Gates) -> dict[str, int]:
    """The 0/1 setting each gate is rounded to: 1 where it is more likely open than closed."""
    return {name: int(value > 0.5) for name, value in p_open(log_alpha).items()}


def fractional(log_alpha: Gates, margin: float = 0.02) -> float:
    """Fraction of gates whose P(open) lies in (margin, 1 - margin): 0 when all have polarized, 0 for no gates."""
    inside = [margin < float(value) < 1 - margin for value in p_open(log_alpha).values()]
    return sum(inside) / len(inside) if inside else 0.0


def _stretch(s: jax.Array) -> jax.Array:
    return jnp.clip(s * (ZETA - GAMMA) + GAMMA, 0.0, 1.0)
