"""Calibrated and learned scales: single widths, growing ranges, the gradient of a scale, and integers at the end."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_net import IMAGES, RNG, lively, net

from tailor_jax import model, rewrite
from tailor_jax.integers import lower, qgraph
from tailor_jax.quantization import quant, scales


def quantized(skips='short', **bits):
    graph = net(skips)
    settled = rewrite.binarize(graph, dict.fromkeys(graph.gates, 1))
    folded, params = rewrite.fold(settled), model.fold_variables(settled, lively(settled))
    tensors = model.Net(folded).apply({'params': params}, IMAGES, capture=True)
    spec = quant.calibrate(folded, params, jax.device_get(tensors), 8, 8, **bits)
    return folded, params, spec, tensors


def test_learned_scales_start_as_the_calibrated_network_and_end_as_an_integer_one():
    folded, params, spec, _ = quantized()
    scaled = scales.add_scales(folded, params, spec)
    assert scales.settle(folded, scaled, spec) == (params, spec)
    offsets = {'frac': 1.6, 'weight_frac': -0.7}
    moved = {name: {key: value + offsets.get(key, 0) for key, value in entry.items()} for name, entry in scaled.items()}
    for each in (scaled, moved):
        fracs = scales.learned_fracs(folded, each, spec)
        logits = model.Net(folded, spec).apply(
            {'params': quant.quantize_params(folded, each, spec)}, IMAGES, fracs=fracs
        )
        plain, settled = scales.settle(folded, each, spec)
        integers = lower.lower(folded, plain, dict(settled.activations), dict(settled.weights))
        expected = qgraph.run_int(integers, qgraph.quantize_input(integers, IMAGES)) * np.float32(
            integers.output.out.step
        )
        np.testing.assert_array_equal(logits, expected)
    assert settled != spec and {
        kind.frac - before.frac for (_, kind), (_, before) in zip(settled.activations, spec.activations)
    } == {2}


def test_the_gradient_of_a_scale_is_its_formula():
    kind = quant.Fixed(4, 2)
    x, cotangent = RNG.normal(size=50).astype(np.float32) * 2, RNG.normal(size=50).astype(np.float32)
    got = jax.grad(lambda f: jnp.sum(scales.scaled_quant(x, f, kind) * cotangent))(jnp.float32(2))
    q = np.clip(np.floor(x * 4 + 0.5), -8, 7)
    inside = (x * 4 >= -8.5) & (x * 4 <= 7.5)
    slope = np.where(inside, q - x * 4, q) / 4  # of the quantized value, by log2 of the step
    assert float(got) == pytest.approx(float(-math.log(2) * np.sum(slope * cotangent)), rel=1e-5)
    # Clipped values alone: a finite difference of the exact function, over two whole steps of frac, brackets it.
    high = np.full(3, 9.0, np.float32)
    values = [float(jnp.sum(scales.scaled_quant(high, jnp.float32(f), kind))) for f in (1, 2, 3)]
    slope = float(jax.grad(lambda f: jnp.sum(scales.scaled_quant(high, f, kind)))(jnp.float32(2)))
    assert values[2] - values[1] > slope > values[1] - values[0]


def test_single_nodes_have_their_own_widths():
    _, _, spec, _ = quantized(weight_bits_of={'s1b0_conv1': 3}, activation_bits_of={'s2b0_conv1': 5})
    weights, activations = dict(spec.weights), dict(spec.activations)
    assert weights['s1b0_conv1'].bits == 3 and {
        kind.bits for name, kind in weights.items() if name != 's1b0_conv1'
    } == {8}
    assert activations['s2b0_conv1'].bits == 5 and activations['s1b0_conv1'].bits == 8
    with pytest.raises(ValueError, match="^weight_bits_of 's1b0_conv1' must be 2 to 16, got 1"):
        quantized(weight_bits_of={'s1b0_conv1': 1})


def test_growing_ranges_of_shortened_blocks_are_not_clipped():
    """Adds after the ReLU only ever add: their range grows along a stage, and each gets a scale of its own that holds
    it.
    """
    settled = rewrite.binarize(net('short', depth=20), dict.fromkeys(net('short', depth=20).gates, 1))
    folded, params = rewrite.fold(settled), model.fold_variables(settled, lively(settled))
    tensors = jax.device_get(model.Net(folded).apply({'params': params}, IMAGES, capture=True))
    spec = quant.calibrate(folded, params, tensors, 8, 8)
    for stage in (1, 2, 3):
        adds = [node.name for node in folded if node.op == 'add' and node.name.startswith(f's{stage}')]
        largest = [float(tensors[name].max()) for name in adds]
        assert len(adds) == 6 and all(after >= before for before, after in itertools.pairwise(largest[1:]))
        for name in adds:
            kind, values = dict(spec.activations)[name], tensors[name]
            assert np.mean(values > (kind.hi + 0.5) * kind.step) < 1e-3, name
