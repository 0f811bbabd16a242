"""The interpreter: hard gates equal the pruned network; the hard concrete distribution against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tailor_jax import build, gates, model, rewrite


@pytest.mark.parametrize('skips', ['long', 'short', 'short_pre', 'long+short'])
def test_hard_gates_equal_the_pruned_network_bit_for_bit(skips):
    net = build.resnet(8, (8, 8, 2), width=8, skips=skips)
    variables = model.init(net, 1)
    images = np.random.default_rng(0).normal(size=(8, 8, 8, 2)).astype(np.float32)
    rng = np.random.default_rng(2)
    for _ in range(2):
        settings = {gate: int(rng.integers(0, 2)) for gate in net.gates}
        pruned = rewrite.binarize(net, settings)
        values = {gate: jnp.float32(value) for gate, value in settings.items()}
        kept = model.restrict(variables, pruned)
        for train in (False, True):
            gated, statistics = model.Net(net).apply(variables, images, values, train=train, mutable=['batch_stats'])
            alone, expected = model.Net(pruned).apply(kept, images, train=train, mutable=['batch_stats'])
            np.testing.assert_array_equal(gated, alone)
            jax.tree.map(np.testing.assert_array_equal, model.restrict(statistics, pruned), expected)
        # Compiled, XLA may fuse the two differently: equal but for contracted multiply-adds.
        compiled = jax.jit(lambda v, z, x: model.Net(net).apply(v, x, z))(variables, values, images)
        np.testing.assert_allclose(compiled, jax.jit(model.Net(pruned).apply)(kept, images), rtol=1e-5, atol=1e-6)


def test_a_missing_gate_is_open():
    net = build.resnet(8, (8, 8, 1), width=4)
    variables = model.init(net, 0)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype(np.float32)
    opened = rewrite.binarize(net, dict.fromkeys(net.gates, 1))
    np.testing.assert_array_equal(model.Net(net).apply(variables, images), model.Net(opened).apply(variables, images))


def test_a_wrong_image_shape_is_refused():
    net = build.resnet(8, (8, 8, 1), width=4)
    with pytest.raises(AssertionError, match='8'):
        model.Net(net).init(jax.random.key(0), np.zeros((1, 8, 9, 1)))


@pytest.mark.parametrize('log_alpha', [-3.0, -1.0, 0.5, 2.0])
def test_p_open_is_the_share_of_samples_above_zero(log_alpha):
    draws = jax.vmap(lambda key: gates.sample({'g': jnp.float32(log_alpha)}, key)['g'])(
        jax.random.split(jax.random.key(0), 20000)
    )
    p = float(gates.p_open({'g': jnp.float32(log_alpha)})['g'])
    assert float((draws > 0).mean()) == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 20000))
    assert float(draws.min()) >= 0 and float(draws.max()) <= 1


def test_polarized_gates_are_exactly_hard_at_test_time():
    """Thresholds of facts: 0 below log_alpha = -2.398, 1 above 2.398 (log 11)."""
    values = {'off': jnp.float32(-2.4), 'on': jnp.float32(2.4), 'half': jnp.float32(0.0)}
    at_test = gates.at_test(values)
    assert (float(at_test['off']), float(at_test['on']), float(at_test['half'])) == (0.0, 1.0, pytest.approx(0.5))
    assert gates.round_off(values) == {'off': 0, 'on': 1, 'half': 1}
    # P(open) is 0.31, 0.83 and 0.98: the last has polarized.
    assert gates.fractional(values) == pytest.approx(2 / 3) and gates.fractional({}) == 0.0
    assert gates.fractional({'a': jnp.float32(9.0), 'b': jnp.float32(-9.0)}) == 0.0


def test_init_gives_the_probability_asked_for():
    start = gates.init(['a', 'b'], 0.9)
    assert {name: float(value) for name, value in gates.p_open(start).items()} == pytest.approx(
        {'a': 0.9, 'b': 0.9}, rel=1e-5
    )


def test_samples_do_not_depend_on_which_other_gates_there_are_in_what_order():
    key = jax.random.key(5)
    forward = gates.sample({'a': jnp.float32(0.0), 'b': jnp.float32(0.0)}, key)
    backward = gates.sample({'b': jnp.float32(0.0), 'a': jnp.float32(0.0)}, key)
    assert {name: float(value) for name, value in forward.items()} == {
        name: float(value) for name, value in backward.items()
    }
    assert float(forward['a']) != float(forward['b'])


@pytest.mark.parametrize('skips', ['long', 'short'])
def test_init_makes_what_flax_expects(skips):
    net = build.resnet(8, (8, 8, 2), width=4, skips=skips)
    for graph in (net, rewrite.fold(rewrite.binarize(net, dict.fromkeys(net.gates, 1)))):
        wanted = jax.eval_shape(model.Net(graph).init, jax.random.key(0), np.zeros((1, 8, 8, 2), np.float32))
        made = {kind: tree for kind, tree in model.init(graph, 0).items() if tree}
        assert jax.tree.map(np.shape, made) == jax.tree.map(lambda leaf: leaf.shape, dict(wanted))


def test_init_of_a_node_does_not_depend_on_the_others():
    net = build.resnet(8, (8, 8, 2), width=4)
    whole, part = model.init(net, 7), model.init(rewrite.remove(net, net.gates), 7)
    jax.tree.map(np.testing.assert_array_equal, model.restrict(whole, rewrite.remove(net, net.gates)), part)
    kernel = whole['params']['s3b0_conv2']['kernel']
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 16)), rel=0.1)
