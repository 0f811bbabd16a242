"""Convolution whose kernel gradient suits XLA's CPU compiler; the rest is `jax.lax.conv_general_dilated`.

With x padded, the gradient of the kernel of a convolution without dilation is

    dK[i, j, c, d] = sum over n, h, w of x[n, h s + i, w s + j, c] dy[n, h, w, d]

JAX computes it as a convolution of x, transposed to [c, h, w, n], by dy as kernel. The CPU compiler repeats in that
transposition all that x was made of - batch norms, gates, ReLUs - in a strided loop that does not vectorize. The same
sum is, for stride 1, a convolution of dy, transposed, by x as kernel [h, w, n, c], whose innermost dimension stays
where it is:

    dK[a - i, b - j, c, d] = sum over n, h, w of dy[n, h + i - a + top, w + j - b + left, d] x[n, h, w, c]

with (a, b) = kernel size - 1, and for a kernel of one pixel a product of matrices. Other platforms and other
convolutions take JAX's own form; see docs/performance.md.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def conv_general_dilated(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    *,
    feature_group_count: int = 1,
    **options: Any,
) -> jax.Array:
    """As `jax.lax.conv_general_dilated`, for `nn.Conv(conv_general_dilated=...)`: [b, h, w, c] and [kh, kw, c / groups,
    d] -> [b, h', w', d].
    """
    dilated = any(factor != 1 for name in ('lhs_dilation', 'rhs_dilation') for factor in options.get(name) or ())
    strides, pads = tuple(window_strides), tuple((before, after) for before, after in padding)
    if feature_group_count > 1 or dilated or _form(rhs.shape, strides, pads) is None:
        return lax.conv_general_dilated(lhs, rhs, strides, pads, feature_group_count=feature_group_count, **options)
    return _conv(lhs, rhs, strides, pads, options.get('precision'))


def _form(kernel: tuple[int, ...], strides: tuple[int, ...], padding: tuple[tuple[int, int], ...]) -> str | None:
    """How the kernel gradient is computed on a CPU; None where JAX's form is as good or better."""
    pads = [pad for pair in padding for pad in pair]
    if kernel[:2] == (1, 1) and not any(pads):
        return 'product'
    # The form by x transposes dy, JAX's x: the one with fewer channels is less work.
    inside = all(0 <= pad < size for size, pair in zip(kernel, padding) for pad in pair)
    return 'by x' if strides == (1, 1) and kernel[2] >= kernel[3] and inside else None


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _conv(x: jax.Array, kernel: jax.Array, strides: tuple, padding: tuple, precision: Any) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_LAYOUT, precision=precision)


def _forward(
    x: jax.Array, kernel: jax.Array, strides: tuple, padding: tuple, precision: Any
) -> tuple[jax.Array, tuple]:
    return _conv(x, kernel, strides, padding, precision), (x, kernel)


def _backward(
    strides: tuple, padding: tuple, precision: Any, saved: tuple, dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    convolve = functools.partial(
        lax.conv_general_dilated,
        window_strides=strides,
        padding=padding,
        dimension_numbers=_LAYOUT,
        precision=precision,
    )
    (dx,) = jax.linear_transpose(lambda x: convolve(x, kernel), x)(dy)

    def plain(x: jax.Array, dy: jax.Array) -> jax.Array:
        return jax.linear_transpose(lambda kernel: convolve(x, kernel), kernel)(dy)[0]

    def on_cpu(x: jax.Array, dy: jax.Array) -> jax.Array:
        match _form(kernel.shape, strides, padding):
            case 'product':
                seen = x[:, :: strides[0], :: strides[1]]
                # An image at a time: threads share the batch.
                images = jnp.einsum('npc,npd->ncd', _flat(seen), _flat(dy), precision=precision)
                return jnp.sum(images, axis=0)[None, None]
            case 'by x':
                pads = [(size - 1 - before, size - 1 - after) for size, (before, after) in zip(kernel.shape, padding)]
                lhs, rhs = dy.transpose(3, 1, 2, 0), x.transpose(1, 2, 0, 3)
                options = {'dimension_numbers': _LAYOUT, 'precision': precision}
                flipped = lax.conv_general_dilated(lhs, rhs, (1, 1), pads, **options)  # [d, i, j, c]
                return lax.rev(flipped.transpose(1, 2, 3, 0), (0, 1))
            case form:
                raise ValueError(f'no kernel gradient {form!r}')

    return dx, lax.platform_dependent(x, dy, cpu=on_cpu, default=plain)


def _flat(x: jax.Array) -> jax.Array:
    return x.reshape(x.shape[0], -1, x.shape[-1])


_conv.defvjp(_forward, _backward)
