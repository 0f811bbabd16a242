"""Timetables in steps: when skips go, how long rounds and phases are, which are refused; each against a replay of
the phase's steps.
"""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_configs import base

from experiments import config as config_lib
from experiments import dataset, durations, phase, run
from experiments.config import ConfigError
from experiments.methods import METHODS, method, rounds, scheduled
from tailor_jax import build, gates
from tailor_jax.train.metrics import NotFiniteError
from tailor_jax.train.optimizer import learning_rate
from tailor_jax.train.recipe import Recipe

GRAPHS = {
    (depth, skips): build.resnet(depth, (8, 8, 1), width=4, skips=skips)
    for depth in (8, 20, 56)
    for skips in ('long', 'short_pre', 'long_post+short')
}


def timed(name, depth, **settings):
    config = base()
    config.method, config.model.depth, config.model.skips = name, depth, METHODS[name].skips[0]
    for key, value in settings.items():
        config[key.replace('__', '.')] = value
    return config, GRAPHS[depth, config.model.skips]


def replayed(switches, steps):
    """{gate: the values that the steps of a phase see}, by `gates.scheduled`, the function that training calls."""
    seen = gates.scheduled(
        {gate: np.array(values, np.float32) for gate, values in switches.items()}, jnp.arange(steps)[:, None]
    )
    return {gate: np.asarray(values).reshape(steps) for gate, values in seen.items()}


@given(
    name=st.sampled_from(['remove', 'shorten', 'dynamic_scratch']),
    depth=st.sampled_from([8, 20, 56]),
    every=st.floats(0, 1.5),
    epochs=st.floats(0.05, 6),
    soften=st.sampled_from([0.0, 0.01, 0.3, 1.7]),
    updates=st.integers(1, 60),
    parts=st.sampled_from([1, 2, 4]),
)
def test_every_skip_that_is_reported_removed_was_closed_in_training_each_in_its_turn(
    name, depth, every, epochs, soften, updates, parts
):
    """Over random settings: the timetable is refused, or each skip is open at first and closed at last, one by one,
    each at its documented step.
    """
    config, graph = timed(
        name, depth, removal__every_epochs=every, train__student__epochs=epochs, removal__soften_epochs=soften
    )
    config.train.accumulate = parts
    total = durations.student_epochs(config)
    steps, ramp = round(total * updates) * parts, round(soften * updates) * parts
    units = method.units(graph, name == 'shorten')
    spacing = every or (total * 2 / 3 - soften) / len(units)
    documented = [round((k + 1) * (spacing * updates)) * parts for k in range(len(units))]
    fits = (
        documented[0] >= 1
        and len(set(documented)) == len(documented)
        and documented[-1] + ramp < steps
        and (ramp > 0 or not soften)
    )
    try:
        switches = scheduled.removal(config, graph, total, updates)
    except ConfigError as error:
        assert re.search(r'config\.removal\.\w+ is [\d.e-]+', str(error))
        # Nothing that could be done is refused, but what was refused in epochs already: it must end before the phase
        # does.
        assert not fits or (every and every * len(units) + soften >= total) or (not every and soften >= total * 2 / 3)
        return
    assert fits
    start, end = method.before(graph, name == 'shorten'), method.after(graph, name == 'shorten')
    seen = replayed(switches, steps)
    for unit, at in zip(units, documented):
        for gate in unit:
            values = seen[gate]
            assert values[0] == start[gate] and values[-1] == end[gate] and steps >= 1
            settled = np.flatnonzero(values != end[gate])[-1] + 1  # the first step from which on it stays as it ends
            begins = np.flatnonzero(values != start[gate])[0]
            assert (begins, settled) == ((at, at) if not ramp else (at + 1, at + ramp))
            assert at % parts == 0 and settled % parts == 0


@pytest.mark.parametrize(
    'every, epochs, message',
    [
        (
            0.02,
            4.4,
            'config.removal.every_epochs is 0.02: every 0.02 epochs of 22 batches the first skip is gone before the '
            'first step; give more',
        ),
        (0.03, 4.4, r'removals 1 and 2 of 27 both fall on step 1; give more'),
        (
            0.1625,
            4.4,
            r'the last of 27 skips is closed after step 97 of 97, and none would train without it; give less',
        ),
        (
            0.0,
            1.0,
            r'config.removal.every_epochs is 0, which spreads .* removals \d+ and \d+ of 27 both fall on step \d+; '
            r'give config.train.student',
        ),
    ],
)
def test_a_plan_in_which_a_skip_does_not_go_on_its_own_is_refused_with_its_numbers(every, epochs, message):
    """ResNet-56 on digits at batch 64: 22 batches an epoch, 27 skips."""
    config, graph = timed('remove', 56, removal__every_epochs=every, train__student__epochs=epochs)
    with pytest.raises(ConfigError, match=message):
        durations.check(config, graph, 22)


def test_skips_that_were_never_closed_are_closed_now():
    """What used to lose three of 27: 0.16 epochs of 22 batches are 3.52 steps, not 4."""
    config, graph = timed('remove', 56, removal__every_epochs=0.16, train__student__epochs=4.4)
    at = [values[2] for values in scheduled.removal(config, graph, 4.4, 22).values()]
    assert at == [round((k + 1) * (0.16 * 22)) for k in range(27)] and at[-1] == 95 < 97 == round(4.4 * 22)


@given(
    depth=st.sampled_from([8, 20, 56]),
    count=st.integers(1, 30),
    epochs=st.floats(0, 5),
    updates=st.integers(1, 60),
    parts=st.sampled_from([1, 3]),
)
def test_rounds_share_all_steps_of_the_phase_and_each_closes_and_trains_some_skips(
    depth, count, epochs, updates, parts
):
    config, graph = timed('nonresnet', depth, removal__rounds=count, train__student__epochs=epochs)
    config.train.accumulate = parts
    whole = round(epochs * updates)
    try:
        lengths = rounds.lengths(config, graph, epochs, updates)
    except ConfigError as error:
        assert str(error).startswith(f'config.removal.rounds is {count}, but ') and (
            count > len(graph.gates) or whole < count
        )
        return
    steps = [config_lib.steps(each, updates, parts) for each in lengths]
    assert sum(steps) == whole * parts and min(steps) >= parts and max(steps) - min(steps) <= 2 * parts
    closed = [sum(1 - value for value in settings.values()) for settings in rounds.rounds(graph, count)]
    assert (
        len(closed) == len(steps)
        and all(one < other for one, other in zip([0, *closed], closed))
        and closed[-1] == len(graph.gates)
    )


@given(
    epochs=st.floats(0, 50),
    warmup=st.floats(0, 5),
    decay=st.floats(0.1, 9),
    updates=st.integers(1, 200),
    parts=st.integers(1, 5),
)
def test_a_phase_in_parts_has_the_updates_of_the_phase_in_one(epochs, warmup, decay, updates, parts):
    """`accumulate` changes how a batch is computed, not when anything happens: no call of the step is left over without
    an update.
    """
    recipes = []
    for count in (1, parts):
        config = base()
        config.train.accumulate, config.train.schedule, config.train.decay_every_epochs = count, 'step', decay
        config.train.teacher.update(epochs=epochs, warmup_epochs=warmup)
        recipe = phase.recipe_of(config, phase.phase_of(config, 'teacher'), updates)
        assert config_lib.steps(epochs, updates, count) == recipe.steps * count
        recipes.append((recipe.steps, recipe.warmup_steps, recipe.decay_steps))
    assert recipes[0] == recipes[1]


@pytest.mark.parametrize(
    'settings, message',
    [
        (
            {'train__teacher__epochs': 0.001},
            'config.train.teacher.epochs is 0.001: no step at all, with 22 batches an epoch; give at least 0.04545',
        ),
        (
            {'train__qat__epochs': 1e6},
            r'config.train.qat.epochs is 1e\+06: 22,000,000 steps, .*; a phase may have 16,777,216',
        ),
        (
            {'method': 'static', 'train__teacher__epochs': 9e5},
            r'config.train.teacher.epochs \+ config.train.student.epochs is 900001',
        ),
        (
            {'train__schedule': 'step', 'train__decay_every_epochs': 0.001},
            'config.train.decay_every_epochs is 0.001: less than a step',
        ),
        (
            {'method': 'static', 'train__student__epochs': 0.0, 'train__teacher__epochs': 0.0},
            "config.train.student.epochs is 0, but method 'static' trains the network from scratch",
        ),
        (
            {'method': 'remove', 'removal__soften_epochs': 0.001},
            'config.removal.soften_epochs is 0.001: less than a step',
        ),
    ],
)
def test_a_phase_that_cannot_be_trained_is_refused(settings, message):
    config, graph = timed(settings.pop('method', 'gates'), 8, **settings)
    with pytest.raises(ConfigError, match=message):
        durations.check(config, graph, 22)


def test_seeds_of_phases_differ_and_fit_in_their_32_bits():
    ends = config_lib.RANGES['seed'], config_lib.RANGES['removal.rounds']
    seeds = set()
    for seed in (0, 1, int(ends[0].hi)):
        config = base()
        config.seed = seed
        for section in config_lib.PHASES:
            for number in (0, 1, int(ends[1].hi)) if section == 'student' else (0,):
                value = phase.phase_of(config, section, number).seed
                assert int(np.uint32(value)) == value and value not in seeds
                seeds.add(value)


def test_mixup_pairs_the_images_of_a_part():
    config = base()
    config.data.mixup, config.train.batch_size, config.train.accumulate = 0.2, 12, 4
    with pytest.raises(
        ConfigError, match=r'config.train.batch_size // config.train.accumulate 4 must be a multiple of 2; it is 3'
    ):
        dataset.augmentation(config, dataset.load(config))
    config.train.accumulate = 3
    assert dataset.augmentation(config, dataset.load(config)).mixup == 0.2


def test_advice_names_the_keys_that_a_phase_was_trained_by():
    config = base()
    settings = config.train.teacher
    scratch = phase.phase_of(config, 'student', settings=settings, learning_rate=settings.learning_rate)
    for each, section, word in (
        (phase.phase_of(config, 'student', 2), 'student', 'with'),
        (scratch, 'teacher', 'with'),
    ):
        told = phase.advice(each)
        assert f'a lower config.train.{section}.learning_rate, or {word} config.train.{section}.clip_norm' in told
        assert all(config[key.removeprefix('config.')] is not None for key in re.findall(r'config\.[\w.]+\w', told))
    assert 'or a lower config.train.qat.clip_norm' in phase.advice(phase.phase_of(config, 'qat'))


@pytest.mark.parametrize(
    'name, failing, section',
    [('nonresnet', 'student1', 'student'), ('static', 'student', 'teacher'), ('keep', 'finetune', 'finetune')],
)
def test_a_run_that_diverges_is_told_which_keys_to_change(name, failing, section, tmp_path, monkeypatch):
    """From the whole road: the keys of the section that the phase really took its settings from."""

    def fit(state, *args, **kwargs):
        if kwargs['phase'] == failing:
            raise NotFiniteError(failing, 3, 'loss', None)
        kwargs['metrics'].start(
            kwargs['phase'], kwargs['steps'], kwargs['steps'], kwargs['batch_size'], kwargs['steps_per_epoch']
        )
        return state

    monkeypatch.setattr(phase.loop, 'fit', fit)
    config, _ = timed(name, 8)
    with pytest.raises(
        NotFiniteError,
        match=rf"phase '{failing}' .* at step 3; .* a lower config.train.{section}.learning_rate, or with config.train",
    ):
        run.train(config, tmp_path / 'w', quiet=True)


def test_a_step_schedule_is_its_formula_however_many_steps_it_has():
    """By hand: a tenth at every fourth update after the warm-up; and one that would decay at each of a million updates,
    in one expression.
    """
    recipe = Recipe(20, 0.5, warmup_steps=6, schedule='step', decay_steps=4, decay_factor=0.1)
    expected, rate = [], 0.5
    for at in range(20):
        rate *= 0.1 if at > 6 and at % 4 == 0 else 1
        expected.append(0.5 * at / 6 if at < 6 else rate)
    assert [float(learning_rate(recipe)(jnp.int32(at))) for at in range(20)] == pytest.approx(expected, rel=1e-5)
    many = learning_rate(Recipe(2**20, 0.5, schedule='step', decay_steps=1, decay_factor=1 - 1e-6))
    assert float(jax.jit(many)(jnp.int32(10**6))) == pytest.approx(0.5 * math.exp(10**6 * math.log(1 - 1e-6)), rel=0.1)


def test_a_network_whose_weights_are_finite_and_whose_values_are_not_is_refused_with_advice(tmp_path, monkeypatch):
    """As a huge last step of a phase leaves it: what is saved is finite, and no scale can be chosen for what it
    computes.
    """

    def fit(state, *args, **kwargs):
        kwargs['metrics'].start(
            kwargs['phase'], kwargs['steps'], kwargs['steps'], kwargs['batch_size'], kwargs['steps_per_epoch']
        )
        huge = 1e10 if kwargs['phase'] == 'finetune' else 1.0
        return state.replace(
            params={**state.params, 'net': jax.tree.map(lambda leaf: leaf * huge, state.params['net'])}
        )

    monkeypatch.setattr(phase.loop, 'fit', fit)
    config, _ = timed('keep', 8)
    with pytest.raises(
        ConfigError, match=r'NaN or infinite, which have no scale. .* a lower config.train.finetune.learning_rate'
    ):
        run.train(config, tmp_path / 'w', quiet=True)
