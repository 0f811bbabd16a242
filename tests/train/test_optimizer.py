"""Learning rates, accumulated gradients, bfloat16 and weight decay, each against its definition."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_net import IMAGES, LABELS, ONE, lively, net

from tailor_jax import model, rewrite
from tailor_jax.train import step
from tailor_jax.train.optimizer import learning_rate, make_optimizer
from tailor_jax.train.recipe import Recipe
from tailor_jax.train.step import Context, Objective


def test_learning_rates_against_their_formulas():
    cosine = learning_rate(Recipe(100, 0.4, warmup_steps=10))
    stepped = learning_rate(Recipe(100, 0.4, warmup_steps=10, schedule='step', decay_steps=30, decay_factor=0.1))
    constant = learning_rate(Recipe(100, 0.4, schedule='constant'))
    for at in range(100):
        warm = 0.4 * at / 10
        assert float(cosine(at)) == pytest.approx(
            warm if at < 10 else 0.2 * (1 + math.cos(math.pi * (at - 10) / 90)), abs=1e-6
        )
        assert float(stepped(at)) == pytest.approx(warm if at < 10 else 0.4 * 0.1 ** (at // 30), rel=1e-5)
        assert float(constant(at)) == pytest.approx(0.4)
    with pytest.raises(ValueError, match='schedule must be one of cosine, step, constant'):
        learning_rate(Recipe(10, 0.1, schedule='stairs'))


def test_accumulated_gradients_are_those_of_the_whole_batch():
    """A folded network has no batch norms, so a batch in two parts must train as the whole."""
    graph = rewrite.fold(net('none'))
    params = model.fold_variables(net('none'), lively(net('none')))
    whole, parts = (
        Recipe(2, 0.1, weight_decay=1e-3, clip_norm=1.0),
        Recipe(2, 0.1, weight_decay=1e-3, clip_norm=1.0, accumulate=2),
    )
    ends = []
    for recipe, chunks in ((whole, [slice(0, 16)]), (parts, [slice(0, 8), slice(8, 16)])):
        state, context = step.replicate(
            (step.init_state({'params': params}, {}, recipe), Context(jnp.uint32(0), {}, jnp.float32(0))), ONE
        )
        run = step.make_train_step(Objective(graph), recipe, ONE)
        for chunk in chunks * 2:
            state, _ = run(state, {'image': IMAGES[None, chunk], 'label': LABELS[None, chunk]}, context)
        ends.append(jax.device_get(state.params['net']))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *ends)


def test_bfloat16_computes_near_float32_and_keeps_float32_state():
    graph, recipe = net(), Recipe(2, 0.1)
    losses = []
    for dtype in ('float32', 'bfloat16'):
        state, context = step.replicate(
            (step.init_state(lively(graph), {}, recipe), Context(jnp.uint32(0), {}, jnp.float32(0))), ONE
        )
        run = step.make_train_step(Objective(graph, compute_dtype=dtype), recipe, ONE)
        state, metrics = run(state, {'image': IMAGES[None], 'label': LABELS[None]}, context)
        losses.append(float(metrics['loss']))
        assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.batch_stats))} == {jnp.dtype('float32')}
    assert losses[1] == pytest.approx(losses[0], rel=0.05) and losses[0] != losses[1]


def test_only_kernels_decay():
    params = {
        'net': {'a': {'kernel': jnp.ones((2, 2)), 'bias': jnp.ones(2), 'dirac_a': jnp.ones(2), 'frac': jnp.ones(())}},
        'gates': {'g': jnp.ones(())},
    }
    optimizer = make_optimizer(
        Recipe(10, 1.0, weight_decay=0.5, schedule='constant', scale_learning_rate=0.1, gate_learning_rate=0.1)
    )
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    moved = {
        jax.tree_util.keystr(path): bool(np.any(value)) for path, value in jax.tree_util.tree_leaves_with_path(updates)
    }
    assert [name for name, value in moved.items() if value] == ["['net']['a']['kernel']"]
