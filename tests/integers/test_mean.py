"""Integer means: the definition, the float32 of training, the hardware's reciprocal, C++ and QONNX against the real
mean, whatever the sizes.
"""

from __future__ import annotations

import jax
import numpy as np
import pytest
from plans import plan_of
from random_nets import random_images

import hls_export
from tailor_jax import model
from tailor_jax.graph import Graph, GraphError, Node
from tailor_jax.integers import fixed, lower, mean, qgraph
from tailor_jax.integers.fixed import Fixed
from tailor_jax.quantization import quant
from tailor_jax.quantization.spec import QuantSpec

POOL = Node('pool', 'global_avg_pool', ('input',), (1, 1, 1))


def sums(count: int, source: Fixed, seed: int = 0) -> np.ndarray:
    """Sums of `count` integers of the type: the ends, the middle, and some in between."""
    lo, hi = count * source.lo, count * source.hi
    some = np.random.default_rng(seed).integers(lo, hi + 1, 200)
    return np.unique(
        np.clip(np.concatenate([some, lo + np.arange(30), hi - np.arange(30), np.arange(-20, 20)]), lo, hi)
    )


def sizes(source: Fixed) -> list[int]:
    """Counts of values: all small ones, the maps of common networks, and up to the last whose sum float32 holds."""
    largest = (mean.FLOAT32_EXACT - 1) // max(-source.lo, source.hi)
    random = np.random.default_rng(source.bits).integers(1, largest + 1, 15).tolist()
    edge = [largest - largest % 2 - 1, largest, largest - 1]
    common = [side * side for side in (7, 14, 17, 22, 28, 56, 112, 224, 240, 340)]
    return sorted(
        {
            count
            for count in (*range(1, 26), *common, *random, *edge)
            if 0 < count <= largest and count // (count & -count) < 1 << 20
        }
    )


@pytest.mark.parametrize('signed', [False, True])
def test_every_mean_whose_sum_fits_is_right_to_half_a_step_in_all_three_ways(signed):
    for bits in range(1 + signed, 17):
        source = Fixed(bits, 0, signed)
        for count in sizes(source):
            made = mean.mean_of(POOL, (1, count, 1), source)
            total = sums(count, source)
            exact = total / count * 2.0**made.frac
            defined = ((total << made.shift) + made.rounding) // made.divisor
            assert np.abs(defined - exact).max() <= 0.5 + 1e-6 and np.abs(exact).max() <= mean.FLOAT32_EXACT
            for right in {0, 1, made.shift // 2, made.shift, made.shift + 3}:  # to outputs of any scale
                multiplier, offset, divide = mean.reciprocal(made, right)
                rounded = (defined + (1 << right >> 1)) >> right
                assert made.largest * multiplier + offset < 1 << 62
                np.testing.assert_array_equal(
                    (total * multiplier + offset) >> divide, rounded, err_msg=f'{source} {count} {right}'
                )
            # In numpy's float32; `test_training_...` compiles it.
            trained = np.asarray(eager(total, made)) * 2.0**made.frac
            np.testing.assert_array_equal(trained, defined, err_msg=f'{source} {count}')


def eager(total: np.ndarray, made: mean.Mean) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quant, 'jnp', np)
        return quant.divide.__wrapped__(total.astype(np.float32), made)


CASES = [
    *[(op, 16, (7, 7), signed) for op in ('avg_pool', 'global_avg_pool') for signed in (False, True)],
    *[
        ('avg_pool', 16, (11, 13), False),
        ('global_avg_pool', 16, (22, 22), True),
        ('global_avg_pool', 8, (224, 224), False),
    ],
    *[
        ('global_avg_pool', 8, (200, 300), True),
        ('avg_pool', 4, (5, 3), False),
        ('avg_pool', 8, (6, 6), True),
        ('global_avg_pool', 8, (8, 2), True),
    ],
]


@pytest.mark.parametrize('op, bits, size, signed', CASES)
def test_training_computes_the_integers_mean_and_it_is_the_real_one_to_one_step(op, bits, size, signed):
    source, out = Fixed(bits, 3, signed), Fixed(bits, 3, signed)
    net = Graph(
        (
            Node('input', 'input', (), (*size, 2)),
            Node('x', op, ('input',), (1, 1, 2), size if op == 'avg_pool' else (1, 1)),
        )
    )
    kinds = {'input': source, 'x': out}
    integers = lower.lower(net, {}, kinds, {})
    images = random_images(integers, 4)
    reference = qgraph.run_int(integers, images)
    spec = QuantSpec(tuple(kinds.items()), ())
    trained = jax.jit(lambda x: model.Net(net, spec).apply({}, x))((images * source.step).astype(np.float32))
    np.testing.assert_array_equal(np.asarray(trained), reference * np.float32(out.step))
    assert np.abs(reference - images.mean(axis=(1, 2))).max() <= 0.51
    # The gradient is the mean's own.
    gradient = jax.grad(lambda x: model.Net(net, spec).apply({}, x).sum())(
        (images[3:] * source.step).astype(np.float32)
    )
    np.testing.assert_allclose(gradient, 1 / np.prod(size), rtol=1e-6)


def test_a_mean_with_learned_scales_is_the_integers_mean():
    """The sum's scale is an array there."""
    net = Graph((Node('input', 'input', (), (7, 7, 2)), Node('x', 'global_avg_pool', ('input',), (1, 1, 2))))
    kinds = {'input': Fixed(8, 5), 'x': Fixed(8, 6)}
    spec = QuantSpec(tuple(kinds.items()), ())
    moved = {'input': Fixed(8, 4), 'x': Fixed(8, 7)}
    integers = lower.lower(net, {}, moved, {})
    images = random_images(integers, 4)
    fracs = {name: np.float32(kind.frac) for name, kind in moved.items()}
    trained = jax.jit(lambda x, fracs: model.Net(net, spec).apply({}, x, fracs=fracs))(
        (images * 2.0**-4).astype(np.float32), fracs
    )
    np.testing.assert_array_equal(np.asarray(trained), qgraph.run_int(integers, images) * np.float32(2.0**-7))


@pytest.mark.parametrize('bits, size, out', [(16, (7, 7), Fixed(16, 3)), (8, (5, 7), Fixed(12, 9)), (8, (6, 4), None)])
def test_the_exported_mean_is_the_integers_mean(tmp_path, monkeypatch, bits, size, out):
    for mode in ('fast', 'strict'):
        monkeypatch.setenv(f'OPTIMIZE_{mode}', '-O0')
    net = Graph((Node('input', 'input', (), (*size, 2)), Node('x', 'global_avg_pool', ('input',), (1, 1, 2))))
    integers = lower.lower(net, {}, {'input': Fixed(bits, 3)} | ({'x': out} if out else {}), {})
    images = random_images(integers, 20)
    hls_export.write(tmp_path / 'p', integers, plan_of(integers.graph), images, np.zeros(20, int))
    for mode in ('fast', 'strict'):
        np.testing.assert_array_equal(
            hls_export.compile(tmp_path / 'p', mode)(images), qgraph.run_int(integers, images)
        )


@pytest.mark.parametrize(
    'bits, size', [(16, (7, 7)), (8, (224, 224)), (8, (5, 7)), (8, (8, 4)), (8, (200, 300)), (16, (22, 22))]
)
def test_onnxruntime_computes_the_integers_mean(bits, size):
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    from hls_export import qonnx

    net = Graph((Node('input', 'input', (), (*size, 2)), Node('x', 'global_avg_pool', ('input',), (1, 1, 2))))
    integers = lower.lower(net, {}, {'input': Fixed(bits, 3), 'x': Fixed(bits, 4)}, {})
    images = random_images(integers, 6)
    np.testing.assert_array_equal(qonnx.run(integers, images), qgraph.run_int(integers, images))


def test_a_mean_that_cannot_be_exact_is_refused_with_what_would_be():
    with pytest.raises(
        GraphError,
        match=r"node 'pool' \(global_avg_pool\): the sum of 5000 values of 16 bits reaches 163840000.*at most 511 "
        r'values',
    ):
        mean.mean_of(POOL, (50, 100, 1), Fixed(16, 0))
    assert mean.mean_of(POOL, (7, 73, 1), Fixed(16, 0)).count == 511
    with pytest.raises(GraphError, match='5000 values only of at most 12 bits'):
        mean.mean_of(POOL, (50, 100, 1), Fixed(16, 0))
    assert mean.mean_of(POOL, (50, 100, 1), Fixed(12, 0)).count == 5000
    with pytest.raises(GraphError, match='at most 256 values can be averaged, 300 values only of at most 15 bits'):
        mean.mean_of(POOL, (15, 20, 1), Fixed(16, 0, False))
    assert mean.mean_of(POOL, (15, 20, 1), Fixed(15, 0, False)).count == 300
    with pytest.raises(GraphError, match='divides by 1048577, which is exact only below'):
        mean.mean_of(POOL, (1, (1 << 20) + 1, 1), Fixed(2, 0))
    net = Graph((Node('input', 'input', (), (7, 7, 1)), POOL))
    frac = mean.mean_of(POOL, (7, 7, 1), Fixed(16, 0)).frac
    lower.lower(net, {}, {'input': Fixed(16, 0), 'pool': Fixed(16, frac)}, {})
    with pytest.raises(
        GraphError, match=f"node 'pool'.*output int16.* is finer; give the output at most {frac} fractional bits"
    ):
        lower.lower(net, {}, {'input': Fixed(16, 0), 'pool': Fixed(16, frac + 1)}, {})


def test_the_accumulator_of_a_mean_holds_its_sum():
    net = Graph((Node('input', 'input', (), (224, 224, 1)), POOL))
    made = lower.lower(net, {}, {'input': Fixed(8, 0), 'pool': Fixed(8, 0)}, {})['pool']
    assert made.acc.lo <= -128 * 224 * 224 and fixed.smallest(-128 * 224 * 224, 0, 0).bits <= made.acc.bits
