"""Whether the integers of a node are what its graph, its types and its inputs say: the rules that `lower` keeps,
checked on any integer graph.

A graph that comes from a file, or from other code, passes here before it is run, emitted or exported; so the
interpreter, the C++ and QONNX cannot disagree about it. Per node: the types of all fields, shapes of the arrays and
ranges of their values, scales that fit each other, and an accumulator that holds all it can be given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tailor_jax.fields import is_integer
from tailor_jax.graph import Graph, GraphError, Node, weight_shape
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.mean import values
from tailor_jax.integers.qnode import QNode, passed_type
from tailor_jax.ops import ACCUMULATED, MEANS, PASSED, TABLED

MOST_BITS = 31  # of a tensor; the interpreter keeps it in int32
MOST_ACCUMULATED = 53  # bits of an accumulator; the interpreter's products of matrices are exact in float64
MOST_TABLE_BITS = 16  # of the input of a table
ARRAYS = ('weight', 'bias', 'table')


def check(graph: Graph, qnode: QNode, sources: Sequence[QNode]) -> None:
    """Raises GraphError naming the node and what is wrong with it.

    Args:
      graph: what the node stands in, which has checked its names and sizes.
      qnode: the node.
      sources: those that it reads, in order, checked already.
    """
    node, types = qnode.node, [source.out for source in sources]
    for fixed in (qnode.out, qnode.acc, *([] if qnode.weight_type is None else [qnode.weight_type])):
        _check_type(node, fixed)
    if qnode.out.bits > MOST_BITS:
        raise _error(node, f'its output has {qnode.out.bits} bits', f'at most {MOST_BITS}')
    expected: dict[str, tuple[int, ...]] = {}
    align: tuple[int, ...] = (0, 0)
    divisor, frac = 1, qnode.out.frac
    match node.op:
        case 'input':
            pass
        case _ if node.weighted:
            expected = {'weight': weight_shape(graph, node), 'bias': (node.shape[2],)}
            frac = types[0].frac + _weight_type(qnode).frac
        case 'add' | 'concat':
            frac = max(fixed.frac for fixed in types)
            align = tuple(frac - fixed.frac for fixed in types)
        case 'scale':
            frac = types[0].frac + types[1].frac
        case 'leaky_relu':
            align, frac = qnode.align[:1], types[0].frac + sum(qnode.align[:1])
        case _ if node.op in MEANS:
            count = values(node, sources[0].node.shape)
            divisor = count // (count & -count)
            align, frac = qnode.align[:1], types[0].frac + sum(qnode.align[:1]) + (count // divisor).bit_length() - 1
        case _ if node.op in TABLED:
            if types[0].bits > MOST_TABLE_BITS:
                raise _error(node, f'its input has {types[0].bits} bits', f'at most {MOST_TABLE_BITS}')
            expected = {'table': (1 << types[0].bits,)}
        case _ if node.op in PASSED:
            if qnode.out != passed_type(node, types[0]):
                raise _error(
                    node, f'its type is {qnode.out}', f'{passed_type(node, types[0])}, for it passes its input on'
                )
        case _:
            raise GraphError(f'node {node.name!r}: op {node.op!r} has no integers; fold the graph first')
    if qnode.align != align or len(align) < 1:
        raise _error(node, f'its align is {qnode.align}', f'{align}')
    if qnode.divisor != divisor:
        raise _error(node, f'its divisor is {qnode.divisor!r}', f'{divisor}')
    if qnode.acc.frac != frac:
        raise _error(node, f'its accumulator has {qnode.acc.frac} fractional bits', f'{frac}')
    most = 1 << align[0] if node.op == 'leaky_relu' else 1
    if (
        not is_integer(qnode.multiplier)
        or not (node.op == 'leaky_relu' or qnode.multiplier == 1)
        or not 0 <= qnode.multiplier <= most
    ):
        raise _error(
            node,
            f'its multiplier is {qnode.multiplier!r}',
            f'an integer of 0..{most}' if node.op == 'leaky_relu' else '1',
        )
    _check_arrays(qnode, expected)
    if node.op not in ACCUMULATED:
        if qnode.acc != qnode.out:
            raise _error(node, f'its accumulator is {qnode.acc}', f'its output {qnode.out}, for it has none')
        return
    lo, hi = reach(qnode, sources)
    if qnode.shift > 0:
        hi += 1 << (qnode.shift - 1)
    if qnode.acc.bits > MOST_ACCUMULATED or lo < qnode.acc.lo or hi > qnode.acc.hi:
        raise _error(
            node,
            f'its accumulator {qnode.acc} is given {lo} to {hi}',
            f'one of at most {MOST_ACCUMULATED} bits that holds them',
        )


def reach(qnode: QNode, sources: Sequence[QNode]) -> tuple[int, int]:
    """The least and the greatest value that an accumulator can be given, and 0; before the output's rounding."""
    types = [source.out for source in sources]
    los, his = [fixed.lo for fixed in types], [fixed.hi for fixed in types]
    match qnode.node.op:
        case _ if qnode.node.weighted:
            assert qnode.weight is not None and qnode.bias is not None
            rows = qnode.weight.reshape(-1, qnode.weight.shape[-1])
            positive, negative = (half(rows, 0).sum(0, dtype=np.int64).tolist() for half in (np.maximum, np.minimum))
            ends = [  # every partial sum is between those of its channel, whatever the order
                end
                for plus, minus, bias in zip(positive, negative, qnode.bias.tolist())
                for end in (
                    plus * los[0] + minus * his[0] + min(bias, 0),
                    plus * his[0] + minus * los[0] + max(bias, 0),
                )
            ]
        case 'add':
            ends = [sum(end << shift for end, shift in zip(side, qnode.align)) for side in (los, his)]
        case 'concat':
            ends = [end << shift for side in (los, his) for end, shift in zip(side, qnode.align)]
        case 'scale':
            ends = [x * y for x in (los[0], his[0]) for y in (los[1], his[1])]
        case 'leaky_relu':
            ends = [los[0] * qnode.multiplier, his[0] << qnode.align[0]]
        case _ if qnode.node.op in MEANS:
            count = values(qnode.node, sources[0].node.shape)
            scale = max(count, (count // qnode.divisor) << qnode.align[0])  # the sum, then the mean
            ends = [los[0] * scale, his[0] * scale]
        case _:
            raise GraphError(f'node {qnode.name!r}: op {qnode.node.op!r} has no accumulator')
    return min(0, *ends), max(0, *ends)


def _check_type(node: Node, fixed: Fixed) -> None:
    if not isinstance(fixed, Fixed):
        raise _error(node, f'a type is {fixed!r}', 'a fixed-point type')
    try:
        fixed.__post_init__()  # frozen, but not beyond every reach
    except ValueError as error:
        raise GraphError(f'node {node.name!r} ({node.op}): {error}') from None


def _weight_type(qnode: QNode) -> Fixed:
    if qnode.weight_type is None:
        raise _error(qnode.node, f'the type of its weights is {qnode.weight_type!r}', 'a fixed-point type')
    if not qnode.weight_type.signed or qnode.weight_type.bits > MOST_BITS:
        raise _error(
            qnode.node, f'the type of its weights is {qnode.weight_type}', f'a signed one of at most {MOST_BITS} bits'
        )
    return qnode.weight_type


def _check_arrays(qnode: QNode, expected: dict[str, tuple[int, ...]]) -> None:
    node = qnode.node
    if 'weight' not in expected and qnode.weight_type is not None:
        raise _error(node, f'the type of its weights is {qnode.weight_type}', 'none')
    ranges = {'weight': qnode.weight_type, 'bias': qnode.acc, 'table': qnode.out}
    for name in ARRAYS:
        given, fixed = getattr(qnode, name), ranges[name] or qnode.acc
        if name not in expected:
            if given is not None:
                raise _error(node, f'it has a {name}', 'none')
            continue
        if not isinstance(given, np.ndarray) or given.dtype.kind != 'i' or given.shape != expected[name]:
            shown = f'{given.dtype} {list(given.shape)}' if isinstance(given, np.ndarray) else 'missing'
            raise _error(node, f'its {name} is {shown}', f'integers {list(expected[name])}')
        if given.size and not fixed.lo <= int(given.min()) <= int(given.max()) <= fixed.hi:
            raise _error(
                node, f'its {name} has values from {given.min()} to {given.max()}', f'{fixed.lo}..{fixed.hi} of {fixed}'
            )


def _error(node: Node, given: str, expected: str) -> GraphError:
    return GraphError(f'node {node.name!r} ({node.op}): {given}; expected {expected}')
