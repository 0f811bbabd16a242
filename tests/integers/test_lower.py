"""What lowering and the integer reference refuse, with the node, what was given and what was expected; and shifts
beyond 64 bits.
"""

import numpy as np
import pytest

from tailor_jax.graph import Graph, GraphError, Node
from tailor_jax.integers import fixed, lower, qgraph
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.qgraph import QNode
from tailor_jax.quantization import quant

NET = Graph(
    (
        Node('input', 'input', (), (4, 4, 2)),
        Node('conv', 'conv', ('input',), (4, 4, 3), (3, 3), (1, 1), (1, 1, 1, 1), bias=True),
    )
)
KERNEL, BIAS = np.ones((3, 3, 2, 3), np.float32), np.zeros(3, np.float32)


def with_value(values: np.ndarray, value: float) -> np.ndarray:
    changed = values.copy()
    changed.flat[-1] = value
    return changed


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            {'kernel': KERNEL.reshape(2, 3, 3, 3)},
            r"node 'conv' \(conv\): its kernel is float32 \[2, 3, 3, 3\]; expected numbers \[3, 3, 2, 3\]",
        ),
        ({'kernel': KERNEL[..., :2]}, r'its kernel is float32 \[3, 3, 2, 2\]'),
        ({'kernel': KERNEL.astype(object)}, 'its kernel is object'),
        (
            {'kernel': with_value(KERNEL, np.inf)},
            r"node 'conv' \(conv\): its kernel holds inf at \[2, 2, 1, 2\], 1 of 54 values are not finite",
        ),
        ({'kernel': with_value(KERNEL, np.nan)}, 'its kernel holds nan'),
        ({'kernel': with_value(KERNEL.astype(float), 1e39)}, 'its kernel holds 1e[+]39'),
        ({'bias': BIAS[:2]}, r"node 'conv' \(conv\): its bias is float32 \[2\]; expected numbers \[3\]"),
        ({'bias': with_value(BIAS, -np.inf)}, r'its bias holds -inf at \[2\], 1 of 3'),
    ],
)
def test_parameters_that_are_no_numbers_of_the_nodes_shape_are_refused(change, message):
    with pytest.raises(GraphError, match=message):
        lower.lower(
            NET, {'conv': {'kernel': KERNEL, 'bias': BIAS} | change}, {'input': Fixed(8, 4)}, {'conv': Fixed(8, 6)}
        )


@pytest.mark.parametrize(
    ('types', 'weight'), [(Fixed(8, 130), Fixed(8, 6)), (Fixed(8, 90), Fixed(8, 90)), (Fixed(8, 4), Fixed(8, -127))]
)
def test_a_scale_beyond_float32_is_refused(types, weight):
    with pytest.raises(GraphError, match=r"node '(input|conv)'.*is beyond float32; expected 2\^-126"):
        lower.lower(NET, {'conv': {'kernel': KERNEL, 'bias': BIAS}}, {'input': types}, {'conv': weight})


def test_calibration_of_values_that_are_all_but_nothing_stays_within_float32():
    tiny = np.full((3, 3, 2, 3), 1e-40, np.float32)
    kind = quant.best_type(tiny, 8, True)
    lowered = lower.lower(NET, {'conv': {'kernel': tiny, 'bias': BIAS}}, {'input': Fixed(8, 4)}, {'conv': kind})
    assert not lowered['conv'].weight.any()


@pytest.mark.parametrize(
    'arguments', [('8', 0), (8, 0.5), (True, 0), (0, 0), (65, 0), (8, 257), (8, None), (8, 0, 1), (np.float32(8), 0)]
)
def test_a_type_has_integers_of_sensible_size(arguments):
    with pytest.raises(ValueError, match='of a fixed-point type must be'):
        Fixed(*arguments)


def test_the_integer_reference_takes_integers_only():
    lowered = lower.lower(
        NET, {'conv': {'kernel': KERNEL, 'bias': BIAS}}, {'input': Fixed(8, 4)}, {'conv': Fixed(8, 6)}
    )
    images = np.full((2, 4, 4, 2), 3)
    reference = qgraph.run_int(lowered, images)
    np.testing.assert_array_equal(qgraph.run_int(lowered, images.astype(np.int8)), reference)
    for wrong in (images + 0.5, images.astype(np.float32), images.astype(bool)):
        with pytest.raises(ValueError, match='images must be integers of int8.*, got (float|bool)'):
            qgraph.run_int(lowered, wrong)
    with pytest.raises(ValueError, match='got NaN'):
        qgraph.quantize_input(lowered, np.full((1, 4, 4, 2), np.nan))


@pytest.mark.parametrize('kind', [Fixed(8, 0), Fixed(8, 0, False), Fixed(31, 0), Fixed(1, 0)])
@pytest.mark.parametrize('shift', [-200, -64, -63, -57, -33, -31, -8, -1, 0, 1, 20, 61, 62, 63, 64, 200])
def test_requantizing_by_any_shift_is_what_unbounded_integers_give(kind, shift):
    values = [0, 1, -1, 2, -3, 127, -128, 255, 2**30, -(2**31), 2**60 - 1, -(2**60)]
    exact = [value << -shift if shift <= 0 else (value + (1 << (shift - 1))) >> shift for value in values]
    expected = [min(max(value, kind.lo), kind.hi) for value in exact]
    np.testing.assert_array_equal(fixed.requantize(np.array(values, np.int64), shift, kind), expected)


@pytest.mark.parametrize('align', [(57, 0), (0, 32), (-1, 0), (1.0, 0)])
def test_an_alignment_that_would_overflow_is_refused(align):
    node = Node('sum', 'add', ('a', 'b'), (1, 1, 1))
    with pytest.raises(GraphError, match=r"node 'sum' \(add\): align must be left shifts of 0..31 bits, got "):
        QNode(node, Fixed(8, 0), Fixed(62, 57), align=align)
    top = np.full((1, 1, 1, 1), 2**31 - 1, np.int32)
    assert qgraph.run_node(QNode(node, Fixed(31, -31), Fixed(64, 0), align=(31, 31)), [top, top]).item() == 2**30 - 1
