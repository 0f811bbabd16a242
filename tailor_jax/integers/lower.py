"""Lowering: a folded graph, its float parameters and its quantization types -> the integer graph.

Every shift, alignment and accumulator width follows from the types and the weights:

    frac(acc) = frac(weight) + frac(input)                 weighted ops
    frac(acc) = max over inputs of frac(input)             add, concat
    frac(acc) = frac(input 0) + frac(input 1)              scale
    frac(acc) = frac(input) + shift                        leaky_relu
    frac(acc) = frac(input) + frac of the mean             means (see `mean`)
    acc holds [min over c of (sum w+ lo + w- hi + b), max over c of (sum w+ hi + w- lo + b)] and half an output step,
    for rounding
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tailor_jax.graph import Graph, GraphError, Node, weight_shape
from tailor_jax.integers import fixed as fx
from tailor_jax.integers.fixed import FLOAT32_EXACT, Fixed, bias_type, slope_multiplier
from tailor_jax.integers.mean import mean_of
from tailor_jax.integers.qgraph import QGraph, check
from tailor_jax.integers.qnode import QNode, passed_type
from tailor_jax.ops import ACCUMULATED, MEANS, PASSED, TABLED, TRAITS

FLOAT32_FRACS = 126  # 2^-f and 2^f are float32 for every f up to this


def lower(
    graph: Graph,
    params: Mapping[str, Mapping[str, np.ndarray]],
    activations: Mapping[str, Fixed],
    weights: Mapping[str, Fixed],
) -> QGraph:
    """Lowers a folded network to integers.

    Args:
      graph: a graph that `rewrite.fold` made, without learnable gates.
      params: {key of the node: {'kernel': float32 array, 'bias': [C_out]}} of the weighted nodes.
      activations: the type of every node's output, by node name; the last node may be missing if it has an accumulator,
        and then keeps it.
      weights: the type of each kernel's integers, by node name.

    Raises:
      GraphError: for a learnable gate, a node that is not folded, an accumulator too wide for float32 training to be
        exact, or parameters that are not finite or of another shape than the node's.
    """
    if graph.gates:
        raise GraphError(f'gates {", ".join(graph.gates)} are still learnable; binarize the graph before lowering it')
    out: dict[str, QNode] = {}
    for node in graph.nodes:
        inputs = [out[name].out for name in node.inputs]
        out[node.name] = _lower_node(
            graph, node, inputs, params.get(node.key, {}), activations.get(node.name), weights.get(node.name)
        )
    made = QGraph(tuple(out.values()))
    check(made)
    return made


def _lower_node(
    graph: Graph, node: Node, inputs: list[Fixed], params: Mapping, out: Fixed | None, weight_type: Fixed | None
) -> QNode:
    if TRAITS[node.op].scaling == 'folded':
        raise GraphError(f'node {node.name!r}: op {node.op!r} cannot be lowered to integers; fold the graph first')
    if out is None and (node.name != graph.output.name or node.op not in ACCUMULATED):
        raise GraphError(f'node {node.name!r} ({node.op}): its output has no quantization type')
    for fixed in (out, weight_type):
        if fixed:
            _check_scale(node, fixed.frac)
    match node.op:
        case 'input':
            assert out is not None
            return QNode(node, out, out)
        case _ if node.weighted:
            return _lower_weighted(graph, node, inputs[0], params, out, weight_type)
        case 'add' | 'concat':
            frac = max(fixed.frac for fixed in inputs)
            align = tuple(frac - fixed.frac for fixed in inputs)
            los, his = ([getattr(fixed, end) << shift for fixed, shift in zip(inputs, align)] for end in ('lo', 'hi'))
            lo, hi = (sum(los), sum(his)) if node.op == 'add' else (min(los), max(his))
            return QNode(node, *_types(node, lo, hi, frac, out), align=align)
        case 'scale':
            corners = [x * y for x in (inputs[0].lo, inputs[0].hi) for y in (inputs[1].lo, inputs[1].hi)]
            return QNode(node, *_types(node, min(corners), max(corners), inputs[0].frac + inputs[1].frac, out))
        case 'leaky_relu':
            multiplier, shift = slope_multiplier(node.slope, inputs[0])
            types = _types(node, inputs[0].lo * multiplier, inputs[0].hi << shift, inputs[0].frac + shift, out)
            return QNode(node, *types, align=(shift,), multiplier=multiplier)
        case _ if node.op in MEANS:
            mean = mean_of(node, graph.in_shape(node), inputs[0])
            scale, frac = max(mean.count, 1 << mean.frac), inputs[0].frac + mean.frac  # it holds the sum, then the mean
            if mean.divisor > 1 and out and out.frac > frac:
                raise GraphError(
                    f'node {node.name!r} ({node.op}): a mean of {mean.count} values of {inputs[0]} is exact only '
                    f'below 2^-{frac}, and its output {out} is finer; give the output at most {frac} fractional bits'
                )
            return QNode(
                node,
                *_types(node, inputs[0].lo * scale, inputs[0].hi * scale, frac, out),
                align=(mean.shift,),
                divisor=mean.divisor,
            )
        case _ if node.op in TABLED:
            assert out is not None
            return QNode(node, out, out, table=lookup_table(node.op, inputs[0], out))
        case _ if node.op in PASSED:
            if out != (expected := passed_type(node, inputs[0])):
                raise GraphError(
                    f'node {node.name!r} ({node.op}) passes its input on, so its type must be {expected}, got {out}'
                )
            return QNode(node, out, out)
        case _:
            raise GraphError(f'node {node.name!r}: nothing says how op {node.op!r} is lowered to integers')


def _lower_weighted(
    graph: Graph, node: Node, source: Fixed, params: Mapping, out: Fixed | None, weight_type: Fixed | None
) -> QNode:
    if weight_type is None or 'kernel' not in params:
        raise GraphError(
            f'node {node.name!r} ({node.op}): no {"kernel" if weight_type else "weight type"} was given for it'
        )
    _check_scale(node, weight_type.frac + source.frac)
    biases = bias_type(weight_type, source)
    weight = fx.quantize(_real(node, 'kernel', params['kernel'], weight_shape(graph, node)), weight_type)
    bias = fx.quantize(_real(node, 'bias', params.get('bias', np.zeros(node.shape[2])), (node.shape[2],)), biases)
    positive, negative = (
        np.where(keep, weight, 0).astype(np.int64).reshape(-1, node.shape[2]).sum(0)
        for keep in (weight > 0, weight < 0)
    )
    lo = int((positive * source.lo + negative * source.hi + np.minimum(bias, 0)).min())
    hi = int((positive * source.hi + negative * source.lo + np.maximum(bias, 0)).max())
    return QNode(node, *_types(node, lo, hi, biases.frac, out), weight=weight, bias=bias, weight_type=weight_type)


def _real(node: Node, key: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter as float32; raises GraphError unless it holds finite numbers in this shape."""
    given = np.asarray(values)
    where = f'node {node.name!r} ({node.op}): its {key}'
    if given.shape != shape or given.dtype.kind not in 'fiu':
        raise GraphError(f'{where} is {given.dtype} {list(given.shape)}; expected numbers {list(shape)}')
    with np.errstate(over='ignore'):  # what float32 does not hold is found below
        real = given.astype(np.float32)
    if wrong := np.argwhere(~np.isfinite(real)).tolist():
        raise GraphError(
            f'{where} holds {given[tuple(wrong[0])]} at {wrong[0]}, {len(wrong)} of {real.size} values are not finite'
        )
    return real


def _check_scale(node: Node, frac: int) -> None:
    if abs(frac) > FLOAT32_FRACS:
        raise GraphError(
            f'node {node.name!r} ({node.op}): a scale of 2^{-frac} is beyond float32; expected 2^-{FLOAT32_FRACS} to '
            f'2^{FLOAT32_FRACS}'
        )


def _types(node: Node, lo: int, hi: int, frac: int, out: Fixed | None) -> tuple[Fixed, Fixed]:
    """(output type, accumulator type) for sums of [lo, hi]; checks that float32 training computes them exactly."""
    lo, hi = min(lo, 0), max(hi, 0)
    _check_scale(node, frac)
    shift = frac - out.frac if out else 0
    if shift > 0:
        hi += 1 << (shift - 1)
    if max(-lo, hi) >= FLOAT32_EXACT:
        raise GraphError(
            f'node {node.name!r} ({node.op}): its accumulator reaches {max(-lo, hi)}, but float32 training is exact '
            f'only below 2^24 = {FLOAT32_EXACT}; use fewer weight or activation bits for this node'
        )
    acc = fx.smallest(lo, hi, frac)
    return out or fx.smallest(min(lo, -1), hi, frac), acc


def lookup_table(op: str, source: Fixed, out: Fixed) -> np.ndarray:
    """The lookup table of a sigmoid or swish, see `fixed.lookup`."""
    # (1 + tanh(x / 2)) / 2 is the sigmoid without an exponential that overflows.
    return fx.lookup(lambda x: (1 + np.tanh(x / 2)) / 2 * (x if op == 'swish' else 1), source, out)
