"""Learned quantization scales: trained quantization thresholds (Jain et al. 2020, arXiv 1903.08066) with powers of two.

With `add_scales` every quantizer gets its frac as a parameter f, used as round(f), with the gradient

    d/df q 2^-f = -ln 2 * 2^-f * (q - x 2^f where x is in range, q where it is not),   q = clip(round(x 2^f), lo, hi)

and `settle` takes the learned numbers back into a `QuantSpec`. The forward pass stays exact at every step.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from tailor_jax.graph import Graph, GraphError, weight_shape
from tailor_jax.integers.fixed import Fixed
from tailor_jax.ops import PASSED, TABLED
from tailor_jax.quantization.spec import QuantSpec

SCALES = ('frac', 'weight_frac')  # names of the parameters
SCALE_RANGE = 2  # learned fracs stay this close to the calibrated ones

# 2^k for k from -_REACH to _REACH, looked up: an exponential function may be off in the last bit.
_REACH = 64
_POWERS = np.ldexp(np.float32(1), np.arange(-_REACH, _REACH + 1))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def scaled_quant(x: jax.Array, frac: jax.Array, qtype: Fixed) -> jax.Array:
    """`quant.fake_quant` at a frac that is an array, a whole number; differentiable in x and in frac."""
    return jnp.clip(jnp.floor(x * power(frac) + 0.5), qtype.lo, qtype.hi) * power(-frac)


def _scaled_quant_forward(x, frac, qtype):
    return scaled_quant(x, frac, qtype), (x, frac)


def _scaled_quant_backward(qtype, saved, cotangent):
    x, frac = saved
    scaled = x * power(frac)
    inside = (scaled >= qtype.lo - 0.5) & (scaled <= qtype.hi + 0.5)
    integer = jnp.clip(jnp.floor(scaled + 0.5), qtype.lo, qtype.hi)
    error = integer - jnp.where(inside, scaled, 0.0)
    by_x = jnp.where(inside, cotangent, 0.0)
    by_frac = -math.log(2) * power(-frac) * jnp.sum(cotangent * error)
    return by_x, by_frac


scaled_quant.defvjp(_scaled_quant_forward, _scaled_quant_backward)


def power(exponent: jax.Array | int) -> jax.Array:
    """2^exponent, exact."""
    return jnp.asarray(_POWERS)[jnp.clip(exponent, -_REACH, _REACH).astype(jnp.int32) + _REACH]


def add_scales(graph: Graph, params: Mapping, spec: QuantSpec) -> dict:
    """Parameters with the calibrated 'frac' of each node's output and 'weight_frac' of each kernel beside the others,
    as floats to be learned.

    Raises GraphError for a sigmoid or swish, whose table is made for fixed scales.
    """
    scaled = {key: dict(entry) for key, entry in params.items()}
    weights = dict(spec.weights)
    for node in graph:
        if node.op in TABLED:
            raise GraphError(
                f'node {node.name!r} ({node.op}): its table is made for fixed scales, so scales cannot be learned here'
            )
        if weight_shape(graph, node):
            scaled[node.key]['weight_frac'] = np.float32(weights[node.name].frac)
    for name, qtype in spec.activations:
        if graph[name].op not in PASSED:
            scaled.setdefault(name, {})['frac'] = np.float32(qtype.frac)
    return scaled


def learned_fracs(graph: Graph, params: Mapping, spec: QuantSpec) -> dict[str, jax.Array]:
    """{node: frac of its output as a whole number}, with straight-through gradients to the 'frac' parameters; {} where
    scales are not learned.
    """
    if not any('frac' in entry for entry in params.values()):
        return {}
    fracs: dict[str, jax.Array] = {}
    for name, qtype in spec.activations:
        node = graph[name]
        fracs[name] = fracs[node.inputs[0]] if node.op in PASSED else whole(params[name]['frac'], qtype)
    return fracs


def settle(graph: Graph, params: Mapping, spec: QuantSpec) -> tuple[dict, QuantSpec]:
    """(parameters without scales, the types with the learned ones); the inverse of `add_scales` before any training."""
    fracs = {name: int(value) for name, value in learned_fracs(graph, params, spec).items()}
    if not fracs:
        return dict(params), spec
    activations = tuple((name, dataclasses.replace(qtype, frac=fracs[name])) for name, qtype in spec.activations)
    weights = tuple(
        (name, dataclasses.replace(qtype, frac=int(whole(params[graph[name].key]['weight_frac'], qtype))))
        for name, qtype in spec.weights
    )
    plain = {key: {part: value for part, value in entry.items() if part not in SCALES} for key, entry in params.items()}
    kept = {key: entry for key, entry in plain.items() if entry}
    return kept, dataclasses.replace(spec, activations=activations, weights=weights)


def whole(frac: jax.Array, qtype: Fixed) -> jax.Array:
    """A learned frac as a whole number near the calibrated one, differentiable as if it were not rounded."""
    bounded = jnp.clip(frac, qtype.frac - SCALE_RANGE, qtype.frac + SCALE_RANGE)
    return bounded + jax.lax.stop_gradient(jnp.round(bounded) - bounded)
