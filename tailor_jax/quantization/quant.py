"""Quantization-aware training: the float32 forward pass that computes the integer graph's numbers exactly.

A fake quantizer maps x to q * 2^-frac, q = clip(floor(x 2^frac + 1/2), lo, hi) (`fixed.quantize`), and passes the
gradient straight through where x is in range. Scales are powers of two and accumulators stay below 2^24 (`lower` checks
it), so float32 products, sums and roundings are exact and equal `qgraph.run_int` bit for bit. There is one quantizer a
tensor, at its producer, before any fork.

`calibrate` chooses for every tensor the power-of-two scale of least squared error on sample data; `scales` lets
training go on from there.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from tailor_jax.graph import Graph, GraphError, Node, weight_shape
from tailor_jax.integers import fixed
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.lower import lookup_table
from tailor_jax.integers.mean import Mean
from tailor_jax.integers.qnode import PASSING, UNACCUMULATED, passed_type
from tailor_jax.quantization.scales import learned_fracs, scaled_quant, whole
from tailor_jax.quantization.spec import QuantSpec

# Fractional bits that are chosen for values which are all but 0: products of two such types are still float32.
FINEST = 60
SMOOTH = {'sigmoid': jax.nn.sigmoid, 'swish': jax.nn.swish}


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def fake_quant(x: jax.Array, qtype: Fixed) -> jax.Array:
    """x rounded to the nearest value of the type; the gradient is straight-through inside its range, 0 outside."""
    return jnp.clip(jnp.floor(x * 2.0**qtype.frac + 0.5), qtype.lo, qtype.hi) * 2.0**-qtype.frac


def _fake_quant_forward(x, qtype):
    return fake_quant(x, qtype), x


def _fake_quant_backward(qtype, x, cotangent):
    inside = (x >= (qtype.lo - 0.5) * qtype.step) & (x <= (qtype.hi + 0.5) * qtype.step)
    return (jnp.where(inside, cotangent, 0.0),)


fake_quant.defvjp(_fake_quant_forward, _fake_quant_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def lookup(x: jax.Array, op: str, source: Fixed, out: Fixed) -> jax.Array:
    """sigmoid or swish of quantized x by the integer graph's table; its gradient is that of fake_quant(op(x), out)."""
    values = jnp.asarray(lookup_table(op, source, out), jnp.float32) * out.step
    return jnp.take(values, (x * 2.0**source.frac).astype(jnp.int32) - source.lo, mode='clip')


def _lookup_forward(x, op, source, out):
    return lookup(x, op, source, out), x


def _lookup_backward(op, source, out, x, cotangent):
    return jax.vjp(lambda x: fake_quant(SMOOTH[op](x), out), x)[1](cotangent)


lookup.defvjp(_lookup_forward, _lookup_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def divide(total: jax.Array, mean: Mean) -> jax.Array:
    """Integer sums -> the integer graph's means, in steps of the summed integers; float32 throughout (see `mean`)."""
    if mean.divisor == 1:
        return total * 2.0**-mean.frac
    high = jnp.floor(total * 2.0**-mean.low_bits)
    low = total - high * 2.0**mean.low_bits
    # Long division: the high bits, then digit after digit (its width, its value) is brought down.
    digits: list[tuple[int, jax.Array | int]] = [(mean.low_bits, low)] if mean.low_bits else []
    digits += [(bits, 0) for bits in mean.digits[:-1]]
    digits += [(mean.digits[-1], mean.rounding)]
    quotient, rest = _divided(high, mean)
    for bits, digit in digits:
        quotient_digit, rest = _divided(rest * 2.0**bits + digit, mean)
        quotient = quotient * 2.0**bits + quotient_digit
    return quotient * 2.0**-mean.frac


def _divided(x: jax.Array, mean: Mean) -> tuple[jax.Array, jax.Array]:
    """(floor(x / divisor), what is left)."""
    quotient = jnp.floor((x + 0.5) * mean.inverse)
    return quotient, x - quotient * mean.divisor


def _divide_forward(total, mean):
    return divide(total, mean), None


def _divide_backward(mean, _, cotangent):
    return (cotangent / mean.count,)


divide.defvjp(_divide_forward, _divide_backward)


def quantize_params(graph: Graph, params: Mapping, spec: QuantSpec) -> dict:
    """Fake-quantized parameters of a folded network: kernels in their own type, biases at their accumulator's scale.

    They are keyed by node name: nodes that share weights get an entry each, since their biases are rounded at the
    scales of their inputs.
    """
    activations, weights = dict(spec.activations), dict(spec.weights)
    fracs = learned_fracs(graph, params, spec)
    quantized = dict(params)
    for node in graph:
        if not weight_shape(graph, node):
            continue
        entry, kernel_type, source = params[node.key], weights[node.name], node.inputs[0]
        bias_type = Fixed(26, kernel_type.frac + activations[source].frac)
        if fracs:
            frac = whole(entry['weight_frac'], kernel_type)
            kernel = scaled_quant(entry['kernel'], frac, kernel_type)
            bias = scaled_quant(entry['bias'], frac + fracs[source], bias_type)
        else:
            kernel, bias = fake_quant(entry['kernel'], kernel_type), fake_quant(entry['bias'], bias_type)
        quantized[node.name] = {'kernel': kernel, 'bias': bias}
    return quantized


def calibrate(
    graph: Graph,
    params: Mapping,
    tensors: Mapping[str, np.ndarray],
    weight_bits: int,
    activation_bits: int,
    weight_bits_of: Mapping[str, int] | None = None,
    activation_bits_of: Mapping[str, int] | None = None,
) -> QuantSpec:
    """Chooses the quantization types of a folded network.

    Args:
      graph: a folded graph.
      params: its float parameters {key of the node: {'kernel', 'bias'}}.
      tensors: sample outputs of every node, by name (see `model.Net`, `capture`).
      weight_bits, activation_bits: widths, 2 to 16.
      weight_bits_of, activation_bits_of: {node: width} over the common ones.

    Raises:
      ValueError: for a width out of range. GraphError: for an op that cannot be quantized.
    """
    weight_bits_of, activation_bits_of = weight_bits_of or {}, activation_bits_of or {}
    _check_widths('weight', weight_bits, weight_bits_of)
    _check_widths('activation', activation_bits, activation_bits_of)
    activations: dict[str, Fixed] = {}
    for node in graph:
        if node.name == graph.output.name and node.op not in UNACCUMULATED:
            break  # it keeps its accumulator
        inputs = [activations[name] for name in node.inputs]
        if node.op in PASSING:
            activations[node.name] = passed_type(node, inputs[0])
        else:
            signed, bits = _is_signed(node, inputs), activation_bits_of.get(node.name, activation_bits)
            activations[node.name] = best_type(tensors[node.name], bits, signed)
    weights = {
        node.name: best_type(params[node.key]['kernel'], weight_bits_of.get(node.name, weight_bits), signed=True)
        for node in graph
        if node.key in params
    }
    return QuantSpec(tuple(activations.items()), tuple(weights.items()))


def _check_widths(operand: str, common: int, of_nodes: Mapping[str, int]) -> None:
    widths = {f'{operand}_bits': common} | {f'{operand}_bits_of {name!r}': bits for name, bits in of_nodes.items()}
    for name, bits in widths.items():
        if not 2 <= bits <= 16:
            raise ValueError(f'{name} must be 2 to 16, got {bits}')


def _is_signed(node: Node, inputs: Sequence[Fixed]) -> bool:
    """Whether a node that has a type of its own can be negative."""
    match node.op:
        case 'input' | 'conv' | 'dense' | 'swish':
            return not node.relu
        case 'sigmoid':
            return False
        case 'add' | 'concat' | 'scale' | 'leaky_relu' | 'avg_pool' | 'global_avg_pool':
            return not node.relu and any(each.signed for each in inputs)
        case _:
            raise GraphError(f'node {node.name!r}: op {node.op!r} cannot be quantized; fold the graph first')


def best_type(values: np.ndarray, bits: int, signed: bool) -> Fixed:
    """The type of this width whose rounding and saturation of `values` has the least squared error."""
    values = np.asarray(values, np.float32).ravel()
    largest = float(np.abs(values).max(initial=0.0))
    if not math.isfinite(largest):
        raise ValueError('cannot choose a scale for values that are not finite')
    magnitude_bits = bits - signed
    covering = magnitude_bits - math.ceil(math.log2(largest)) if largest > 0 else magnitude_bits
    covering = min(covering, FINEST)

    def error(candidate: Fixed) -> float:
        rounded = fixed.quantize(values, candidate) * np.float32(candidate.step)
        return float(np.mean((rounded - values) ** 2))

    return min((Fixed(bits, frac, signed) for frac in range(covering, covering + 4)), key=error)
