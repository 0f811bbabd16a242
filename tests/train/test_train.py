"""The training step and loop: four devices against one, resumed against uninterrupted, losses against numpy."""

import itertools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from training import ALL, NET, OBJECTIVE, ONE, RECIPE, batches, context, fit

from tailor_jax import build, data, gates, model
from tailor_jax.train import loop, losses, step
from tailor_jax.train.checkpoint import Checkpoints
from tailor_jax.train.metrics import NotFiniteError
from tailor_jax.train.step import Context, Objective


def start():
    return step.init_state(model.init(NET, 0), gates.init(NET.gates, 0.6), RECIPE)


def noise_batches(devices):
    """Random images. (All digits share their background, whose pre-activations can sit within rounding of a ReLU's kink
    all at once.)
    """
    rng = np.random.default_rng(0)
    for _ in range(3):
        batch = {
            'image': rng.normal(size=(32, 8, 8, 1)).astype(np.float32),
            'label': rng.integers(0, 10, 32).astype(np.int32),
        }
        yield from data.prefetch([batch], size=0, devices=devices)


def train(devices, count=3):
    run, logged = step.make_train_step(OBJECTIVE, RECIPE, devices), []
    state, fixed = step.replicate((start(), context()), devices)
    for batch in itertools.islice(noise_batches(devices), count):
        state, metrics = run(state, batch, fixed)
        logged.append(jax.device_get(jax.block_until_ready(metrics)))
    return jax.device_get(state), logged


def test_four_devices_train_as_one():
    assert len(ALL) == 4
    (many, many_logged), (one, one_logged) = train(ALL), train(ONE)
    for ours, theirs in zip(many_logged, one_logged):
        assert ours.keys() == theirs.keys()
        for key in ours:
            np.testing.assert_allclose(ours[key], theirs[key], rtol=2e-4, atol=2e-5, err_msg=key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5), many, one)
    assert int(many.step) == 3


def test_the_state_stays_an_ordinary_unstacked_tree():
    state, _ = train(ALL, count=1)
    jax.tree.map(lambda a, b: np.testing.assert_equal(np.shape(a), np.shape(b)), state, start())


def test_the_loss_is_the_sum_of_its_terms():
    _, (first, *_) = train(ONE, count=1)
    expected = 0.65 * first['cross_entropy'] + 0.35 * first['distillation'] + 0.5 * first['cost']
    assert first['loss'] == pytest.approx(expected, rel=1e-5)
    assert first['cost'] == pytest.approx(0.6, rel=1e-5)
    assert {key for key in first if key.startswith('p_open/')} == {f'p_open/{gate}' for gate in NET.gates}


def test_a_heavy_cost_closes_gates():
    """The gate gradient of the cost term is weight * dC/dp * p (1 - p): a heavy cost must lower every probability."""
    run = step.make_train_step(OBJECTIVE, RECIPE, ONE)
    state, fixed = step.replicate((start(), context(cost_weight=50.0)), ONE)
    for batch in batches(ONE):
        state, metrics = run(state, batch, fixed)
    assert all(float(metrics[f'p_open/{gate}']) < 0.6 for gate in NET.gates)


def test_losses_against_numpy():
    rng = np.random.default_rng(0)
    logits, teacher, labels = rng.normal(size=(6, 5)), rng.normal(size=(6, 5)), rng.integers(0, 5, 6)
    softmax = scipy.special.softmax
    np.testing.assert_allclose(
        losses.cross_entropy(logits, labels), -np.log(softmax(logits, -1)[np.arange(6), labels]), rtol=1e-5
    )
    soft = rng.dirichlet(np.ones(5), 6)
    np.testing.assert_allclose(
        losses.soft_cross_entropy(logits, soft), -(soft * np.log(softmax(logits, -1))).sum(-1), rtol=1e-5
    )
    np.testing.assert_allclose(losses.distill_mse(logits, teacher), ((logits - teacher) ** 2).mean(-1), rtol=1e-5)
    p, q = softmax(teacher / 2, -1), softmax(logits / 2, -1)
    np.testing.assert_allclose(losses.distill_kl(logits, teacher, 2.0), 4 * (p * np.log(p / q)).sum(-1), rtol=1e-4)


def test_the_step_takes_the_soft_labels_of_mixup():
    graph = build.resnet(8, (8, 8, 1), width=4, skips='none')
    variables = model.init(graph, 0)
    host = data.train_batches(data.load('digits'), batch_size=32, seed=1, steps=2, augment=data.Augment(mixup=0.8))
    first, second = host
    logits, _ = model.Net(graph).apply(variables, first['image'], {}, train=True, mutable=['batch_stats'])
    expected = -(first['soft_label'] * np.log(scipy.special.softmax(logits, -1))).sum(-1).mean()
    hard = -np.log(scipy.special.softmax(logits, -1)[np.arange(32), first['label']]).mean()
    assert abs(expected - hard) > 1e-3
    run = step.make_train_step(Objective(graph), RECIPE, ALL)
    state, fixed = step.replicate(
        (step.init_state(variables, {}, RECIPE), Context(jnp.uint32(0), {}, jnp.float32(0))), ALL
    )
    state, metrics = run(state, *data.prefetch([first], size=0, devices=ALL), fixed)
    assert (
        float(metrics['cross_entropy'])
        == pytest.approx(expected, rel=1e-4)
        == pytest.approx(float(metrics['loss']), rel=1e-4)
    )
    _, metrics = run(state, *data.prefetch([second], size=0, devices=ALL), fixed)
    assert np.isfinite(float(metrics['loss']))


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path):
    whole = jax.device_get(fit(tmp_path / 'whole', 12))
    fit(tmp_path / 'parts', 7, saves=4)
    # As if killed after step 7's row, before its checkpoint: back to 4.
    shutil.rmtree(tmp_path / 'parts' / 'checkpoints' / '7')
    with (tmp_path / 'parts' / 'metrics.jsonl').open('a') as file:
        file.write('{"phase": "gates", "st')  # and while it wrote a row
    parts = jax.device_get(fit(tmp_path / 'parts', 12))
    jax.tree.map(np.testing.assert_array_equal, parts, whole)
    rows = [json.loads(line) for line in (tmp_path / 'parts' / 'metrics.jsonl').read_text().splitlines()]
    assert [row['step'] for row in rows] == list(range(1, 13))
    straight = [json.loads(line) for line in (tmp_path / 'whole' / 'metrics.jsonl').read_text().splitlines()]
    assert [row['loss'] for row in rows] == [row['loss'] for row in straight]
    assert list((tmp_path / 'whole' / 'tensorboard').glob('events.*'))


@pytest.mark.parametrize('log_every', [1, 5])
def test_a_loss_that_is_no_number_stops_with_the_step_and_keeps_the_last_good_checkpoint(tmp_path, log_every):
    """A learning rate that is fine for a while: the steps up to 4 are trained and saved, then the images become
    infinite.
    """
    poisoned = lambda first: (  # noqa: E731
        {**batch, 'image': batch['image'] * (1.0 if at < 5 else np.inf)} for at, batch in enumerate(batches(ONE, first))
    )
    with pytest.raises(
        NotFiniteError, match=r"of phase 'gates' became NaN or infinite at step \d+; .*checkpoint of step 4 is good"
    ) as caught:
        fit(tmp_path, 12, saves=2, log_every=log_every, source=poisoned)
    assert caught.value.step == 6 if log_every == 1 else caught.value.step > 4
    with Checkpoints(tmp_path / 'checkpoints') as checkpoints:
        assert checkpoints.latest_step() == 4
        saved = jax.device_get(checkpoints.restore(start()).state)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(saved))


def test_accuracy_weighs_the_padded_batch():
    source = data.load('digits')

    def always_three(variables, gate_values, images):
        return jnp.tile(jax.nn.one_hot(3, 10), (len(images), 1))

    got = loop.accuracy(always_three, {}, {}, data.eval_batches(source, 'test', batch_size=100))
    _, labels = data.arrays(source, 'test')
    assert got == pytest.approx((labels == 3).mean())
