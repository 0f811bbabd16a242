"""Rounding rules, lowering, the integer reference and quantized training: several routes to the same integers."""

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailor_jax import build, model, rewrite
from tailor_jax.graph import Graph, GraphError, Node
from tailor_jax.integers import fixed, lower, qgraph
from tailor_jax.integers.fixed import Fixed
from tailor_jax.quantization import quant
from tailor_jax.quantization.spec import QuantSpec

types = st.builds(Fixed, st.integers(2, 16), st.integers(-4, 14), st.booleans())


@given(types, st.floats(-300, 300, width=32))
def test_quantize_is_the_nearest_value_in_range(kind, x):
    got = int(fixed.quantize(np.float32(x), kind)) * kind.step
    nearest = min(
        (
            kind.lo * kind.step,
            kind.hi * kind.step,
            np.floor(x / kind.step) * kind.step,
            np.ceil(x / kind.step) * kind.step,
        ),
        key=lambda value: abs(value - x) if kind.lo * kind.step <= value <= kind.hi * kind.step else np.inf,
    )
    assert abs(got - x) == abs(nearest - x)
    assert float(quant.fake_quant(np.float32(x), kind)) == got


@given(types, st.integers(-(2**22), 2**22), st.integers(-3, 12))
def test_requantizing_integers_is_quantizing_their_real_value(kind, accumulator, shift):
    real = np.float32(accumulator * 2.0 ** -(kind.frac + shift))
    assert fixed.requantize(np.int64(accumulator), shift, kind) == fixed.quantize(real, kind)


@given(st.integers(-(2**20), 2**20), st.integers(0, 2**20))
def test_smallest_type_holds_the_range_and_one_bit_less_does_not(lo, width):
    hi = lo + width
    kind = fixed.smallest(lo, hi, 0)
    assert kind.lo <= lo and hi <= kind.hi
    if kind.bits > 1 + kind.signed:
        narrower = dataclasses.replace(kind, bits=kind.bits - 1)
        assert not (narrower.lo <= lo and hi <= narrower.hi)


def random_network(skips: str, seed: int, bits: int, shape=(9, 7, 2)):
    """A folded random network with batch statistics of its own, its float parameters and a calibrated spec."""
    rng = np.random.default_rng(seed)
    net = build.resnet(8, shape, classes=5, width=4, skips=skips)
    net = rewrite.binarize(net, {gate: int(rng.integers(0, 2)) for gate in net.gates})
    variables = model.init(net, seed)
    stats = jax.tree.map(
        lambda leaf: leaf + rng.uniform(0, 0.5, leaf.shape).astype(np.float32), variables['batch_stats']
    )
    folded, params = rewrite.fold(net), model.fold_variables(net, {'params': variables['params'], 'batch_stats': stats})
    images = rng.normal(size=(16, *shape)).astype(np.float32)
    tensors = model.Net(folded).apply({'params': params}, images, capture=True)
    spec = quant.calibrate(folded, params, jax.device_get(tensors), bits, bits)
    return net, {'params': variables['params'], 'batch_stats': stats}, folded, params, spec, images


@pytest.mark.parametrize(
    'skips, bits', [('long', 8), ('short', 8), ('short_pre', 6), ('long+short', 4), ('none', 8), ('long', 2)]
)
def test_training_forward_pass_equals_the_integer_reference_in_every_tensor(skips, bits):
    _, _, folded, params, spec, images = random_network(skips, seed=bits, bits=bits)
    integers = lower.lower(folded, params, dict(spec.activations), dict(spec.weights))
    names = tuple(node.name for node in folded)
    tensors = jax.jit(
        lambda p, x: model.Net(folded, spec).apply({'params': quant.quantize_params(folded, p, spec)}, x, capture=True)
    )(params, images)
    reference = qgraph.run_int(integers, qgraph.quantize_input(integers, images), keep=names)
    for name in names:
        np.testing.assert_array_equal(
            np.asarray(tensors[name]).reshape(reference[name].shape),
            reference[name] * np.float32(integers[name].out.step),
        )


@pytest.mark.parametrize('skips', ['long', 'short'])
def test_folding_batch_norm_keeps_the_function(skips):
    net, variables, folded, params, _, images = random_network(skips, seed=3, bits=8)
    np.testing.assert_allclose(
        model.Net(folded).apply({'params': params}, images),
        model.Net(net).apply(variables, images),
        atol=2e-5,
        rtol=1e-4,
    )


def test_integer_convolution_against_loops():
    """Grouped, strided, unevenly padded: the matrix route against the definition of a convolution."""
    rng = np.random.default_rng(0)
    node = Node('conv', 'conv', ('input',), (3, 4, 6), (3, 2), (2, 1), (1, 1, 0, 1), groups=2, bias=True)
    net = Graph((Node('input', 'input', (), (5, 4, 4)), node))
    params = {
        'conv': {
            'kernel': rng.normal(size=(3, 2, 2, 6)).astype(np.float32),
            'bias': rng.normal(size=6).astype(np.float32),
        }
    }
    integers = lower.lower(net, params, {'input': Fixed(8, 4)}, {'conv': Fixed(8, 5)})
    images = rng.integers(-128, 128, (2, 5, 4, 4))
    got = qgraph.run_int(integers, images).reshape(2, 3, 4, 6)
    weight, bias = integers['conv'].weight, integers['conv'].bias
    for image in range(2):
        for y in range(3):
            for x in range(4):
                for channel in range(6):
                    first = 2 * (channel // 3)
                    total = int(bias[channel])
                    for dy in range(3):
                        for dx in range(2):
                            row, column = 2 * y + dy - 1, x + dx
                            if 0 <= row < 5 and 0 <= column < 4:
                                total += sum(
                                    int(images[image, row, column, first + c]) * int(weight[dy, dx, c, channel])
                                    for c in range(2)
                                )
                    assert got[image, y, x, channel] == total


def test_accumulators_hold_the_worst_case_and_are_as_narrow_as_it_allows():
    _, _, folded, params, spec, _ = random_network('none', seed=1, bits=8)
    integers = lower.lower(folded, params, dict(spec.activations), dict(spec.weights))
    for qnode in integers.nodes:
        if qnode.weight is None:
            continue
        source = integers[qnode.node.inputs[0]].out
        # The worst inputs, channel by channel: each product at its extreme.
        low = np.minimum(qnode.weight * source.lo, qnode.weight * source.hi).reshape(-1, qnode.weight.shape[-1]).sum(0)
        high = np.maximum(qnode.weight * source.lo, qnode.weight * source.hi).reshape(-1, qnode.weight.shape[-1]).sum(0)
        half = 1 << (qnode.shift - 1) if qnode.shift > 0 else 0
        low, high = int((low + np.minimum(qnode.bias, 0)).min()), int((high + np.maximum(qnode.bias, 0)).max()) + half
        assert qnode.acc.lo <= low and high <= qnode.acc.hi
        assert not (-(1 << (qnode.acc.bits - 2)) <= low and high < 1 << (qnode.acc.bits - 2))


def test_saving_and_loading_keeps_every_integer(tmp_path):
    _, _, folded, params, spec, images = random_network('long', seed=2, bits=8)
    integers = lower.lower(folded, params, dict(spec.activations), dict(spec.weights))
    qgraph.save(integers, tmp_path / 'q.npz')
    again = qgraph.load(tmp_path / 'q.npz')
    x = qgraph.quantize_input(integers, images)
    np.testing.assert_array_equal(qgraph.run_int(again, x), qgraph.run_int(integers, x))
    assert [qnode.acc for qnode in again.nodes] == [qnode.acc for qnode in integers.nodes]
    assert again.graph == folded
    assert QuantSpec.from_json(spec.to_json()) == spec


def test_calibration_beats_its_neighbours():
    values = np.random.default_rng(0).laplace(size=4000).astype(np.float32)
    best = quant.best_type(values, 8, True)

    def error(kind):
        return np.mean((fixed.quantize(values, kind) * kind.step - values) ** 2)

    for frac in (best.frac - 1, best.frac + 1):
        assert error(best) <= error(Fixed(8, frac))


def test_the_straight_through_gradient_stops_at_saturation():
    kind = Fixed(4, 1)
    gradient = jax.grad(lambda x: quant.fake_quant(x, kind).sum())(np.float32([-9, -4, 0.3, 3.5, 8]))
    np.testing.assert_array_equal(gradient, [0, 1, 1, 1, 0])


def test_errors_name_the_node_and_the_key():
    net, _, folded, params, spec, _ = random_network('long', seed=1, bits=8)
    with pytest.raises(GraphError, match='still learnable'):
        lower.lower(build.resnet(8), {}, {}, {})
    with pytest.raises(GraphError, match="'stem_conv'.*no kernel"):
        lower.lower(folded, {}, dict(spec.activations), dict(spec.weights))
    with pytest.raises(GraphError, match="'stem_bn'.*fold the graph first"):
        lower.lower(net, params, {node.name: Fixed(8, 4) for node in net}, dict(spec.weights))
    with pytest.raises(GraphError, match=r'exact only below 2\^24.*fewer weight or activation bits'):
        wide = {name: Fixed(16, kind.frac, kind.signed) for name, kind in spec.activations}
        lower.lower(folded, params, wide, {name: Fixed(16, 12) for name, _ in spec.weights})
    with pytest.raises(ValueError, match='^weight_bits must be 2 to 16, got 1'):
        quant.calibrate(folded, params, {}, 1, 8)
    integers = lower.lower(folded, params, dict(spec.activations), dict(spec.weights))
    with pytest.raises(ValueError, match=r'images must be \[b, 9, 7, 2\], got \[1, 9, 9, 2\]'):
        qgraph.run_int(integers, np.zeros((1, 9, 9, 2), np.int32))
    with pytest.raises(ValueError, match='integers of -128..127, got 0..200'):
        qgraph.run_int(integers, np.pad(np.full((1, 1, 7, 2), 200), ((0, 0), (8, 0), (0, 0), (0, 0))))
