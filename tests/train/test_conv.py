"""The convolution against JAX's: values, and gradients of both arguments, for every form of the kernel gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tailor_jax import build, model
from tailor_jax.conv import _form, conv_general_dilated

LAYOUT = ('NHWC', 'HWIO', 'NHWC')

CASES = {
    'same': ((6, 7, 4), (3, 3, 4, 4), (1, 1), ((1, 1), (1, 1)), 'by x'),
    'uneven': ((6, 7, 5), (3, 2, 5, 4), (1, 1), ((2, 0), (0, 1)), 'by x'),
    'one row': ((1, 9, 4), (1, 5, 4, 3), (1, 1), ((0, 0), (2, 2)), 'by x'),
    'pixel': ((6, 7, 3), (1, 1, 3, 8), (1, 1), ((0, 0), (0, 0)), 'product'),
    'strided pixel': ((7, 6, 3), (1, 1, 3, 8), (2, 2), ((0, 0), (0, 0)), 'product'),
    'strided': ((6, 7, 4), (3, 3, 4, 4), (2, 2), ((1, 1), (1, 1)), None),
    'widening': ((6, 7, 3), (3, 3, 3, 8), (1, 1), ((1, 1), (1, 1)), None),
    'far padding': ((6, 7, 4), (3, 3, 4, 4), (1, 1), ((3, 3), (1, 1)), None),
}


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_gradients_are_those_of_jax(case, dtype):
    image, shape, strides, padding, form = CASES[case]
    assert _form(shape, strides, padding) == form
    rng = np.random.default_rng(0)
    x, kernel = jnp.asarray(rng.normal(size=(5, *image)), dtype), jnp.asarray(rng.normal(size=shape), dtype)

    def plain(x, kernel):
        return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=LAYOUT)

    def ours(x, kernel):
        return conv_general_dilated(x, kernel, strides, padding, dimension_numbers=LAYOUT)

    expected, back = jax.vjp(plain, x, kernel)
    dy = jnp.asarray(rng.normal(size=expected.shape), dtype)
    for run in (ours, jax.jit(ours)):
        value, ours_back = jax.vjp(run, x, kernel)
        np.testing.assert_array_equal(value, expected)
        for gradient, wanted in zip(ours_back(dy), back(dy)):
            assert gradient.dtype == dtype
            tolerance = 2e-6 if dtype == jnp.float32 else 2e-2
            np.testing.assert_allclose(
                np.asarray(gradient, np.float64),
                np.asarray(wanted, np.float64),
                rtol=tolerance,
                atol=tolerance * float(jnp.abs(wanted).max()),
            )


def test_grouped_and_dilated_convolutions_are_left_to_jax():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 6, 6, 4)).astype(np.float32)
    for kernel, options in (
        ((3, 3, 1, 4), {'feature_group_count': 4}),
        ((3, 3, 4, 4), {'rhs_dilation': (2, 2)}),
        ((3, 3, 4, 4), {'lhs_dilation': (2, 1)}),
    ):
        weights, rest = rng.normal(size=kernel).astype(np.float32), {**options, 'dimension_numbers': LAYOUT}
        for function in (lambda f, w, rest: f(x, w, (1, 1), ((1, 1), (1, 1)), **rest), _gradient(x)):
            np.testing.assert_array_equal(
                function(conv_general_dilated, weights, rest), function(lax.conv_general_dilated, weights, rest)
            )


def _gradient(x):
    return lambda f, w, rest: jax.grad(lambda w: jnp.sum(f(x, w, (1, 1), ((1, 1), (1, 1)), **rest) ** 2))(w)


def test_a_network_has_the_gradients_of_flax_convolutions(monkeypatch):
    net = build.resnet(8, (8, 8, 2), width=4)
    variables, images = model.init(net, 0), np.random.default_rng(2).normal(size=(8, 8, 8, 2)).astype(np.float32)

    def gradient():
        def loss(params):
            logits, _ = model.Net(net).apply(
                {**variables, 'params': params}, images, train=True, mutable=['batch_stats']
            )
            return jnp.sum(jnp.sin(logits))

        return jax.jit(jax.grad(loss))(variables['params'])

    ours = gradient()
    monkeypatch.setattr(model, 'conv_general_dilated', lax.conv_general_dilated)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), ours, gradient())
