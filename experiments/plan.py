"""When things happen in a run, in steps: how long its phases are, and when a plan switches which skips.

With U updates an epoch, each made of `train.accumulate` = A calls of the training step, a duration of e epochs is
round(e U) A calls, and skip k = 0, 1, ... of a plan begins to close after

    s_k = round((k + 1) E U) A calls,     E = removal.every_epochs, or what spreads them over the first two thirds of the phase,

and is closed `removal.soften_epochs` later: always between two updates. A plan by which two skips would go at once, or
one before the phase's first step or after its last, is refused.
"""

from __future__ import annotations

import itertools

from experiments import config as config_lib
from experiments import methods
from experiments.config import MOST_STEPS, Config, ConfigError
from experiments.methods import METHODS
from tailor_jax.graph import Graph


def check(config: Config, graph: Graph, updates_per_epoch: int) -> None:
    """Raises ConfigError for a phase that is too short for a step, too long to count, or too short for its plan."""
    method, parts = METHODS[config.method], config.train.accumulate
    lengths = {f'config.train.{phase}.epochs': config.train[phase].epochs for phase in config_lib.PHASES}
    if not method.has_teacher or config.train.teacher_workdir:
        del lengths['config.train.teacher.epochs']
    if not method.warm:
        del lengths['config.train.student.epochs']
        lengths['config.train.teacher.epochs + config.train.student.epochs'] = student_epochs(config)
    for name, epochs in lengths.items():
        steps = config_lib.steps(epochs, updates_per_epoch, parts)
        of = f'{updates_per_epoch:,} batches' + (f' in {parts:,} parts' if parts > 1 else '')
        if steps > MOST_STEPS:
            raise ConfigError(
                f'{name} is {epochs:g}: {steps:,} steps, with {of} an epoch; a phase may have {MOST_STEPS:,}'
            )
        if epochs and not steps:
            raise ConfigError(
                f'{name} is {epochs:g}: no step at all, with {of} an epoch; give at least '
                f'{1 / updates_per_epoch:.4g}, or 0'
            )
    if not method.warm and not student_epochs(config):
        raise ConfigError(
            f'config.train.student.epochs is 0, but method {config.method!r} trains the network from scratch'
        )
    if config.train.schedule == 'step' and not round(config.train.decay_every_epochs * updates_per_epoch):
        raise ConfigError(
            f'config.train.decay_every_epochs is {config.train.decay_every_epochs:g}: less than a step, with '
            f'{updates_per_epoch:,} batches an epoch; '
            f'give at least {1 / updates_per_epoch:.4g}'
        )
    if method.gates == 'scheduled':
        removal(config, graph, updates_per_epoch)
    if method.gates == 'rounds':
        rounds(config, graph, updates_per_epoch)


def student_epochs(config: Config) -> float:
    """Epochs of the student's phase; from scratch those of the teacher too."""
    warm = METHODS[config.method].warm
    return config.train.student.epochs + (0.0 if warm else config.train.teacher.epochs)


def removal(config: Config, graph: Graph, updates_per_epoch: int) -> dict[str, tuple[float, float, int, int]]:
    """The plan of `gates.scheduled` by which skips are removed or shortened.

    Raises ConfigError unless each is open at the phase's first step, they go one after another, and the last is closed
    at its last step.
    """
    every, given, soften = _every_epochs(config, graph), config.removal.every_epochs, config.removal.soften_epochs
    parts = config.train.accumulate
    ramp = config_lib.steps(soften, updates_per_epoch, parts)
    plan = methods.switches(graph, config.method, every * updates_per_epoch, ramp, parts)
    at = [plan[unit[0]][2] for unit in methods.units(graph, config.method)]
    steps = config_lib.steps(student_epochs(config), updates_per_epoch, parts)
    told = f'every {every:.4g} epochs of {updates_per_epoch:,} batches' + (f' in {parts:,} parts' if parts > 1 else '')
    key = f'config.removal.every_epochs is {given:g}' + (
        '' if given else ', which spreads the removals over two thirds of the phase'
    )
    remedy = 'give more' if given else 'give config.train.student.epochs more'
    if soften and not ramp:
        of = f'{updates_per_epoch:,} batches an epoch'
        raise ConfigError(f'config.removal.soften_epochs is {soften:g}: less than a step, with {of}; give more, or 0')
    if at and at[0] < 1:
        raise ConfigError(f'{key}: {told} the first skip is gone before the first step; {remedy}')
    for number, (one, other) in enumerate(itertools.pairwise(at), start=1):
        if one == other:
            raise ConfigError(
                f'{key}: {told} removals {number} and {number + 1} of {len(at)} both fall on step {one}; {remedy}'
            )
    if at and at[-1] + ramp > steps - 1:
        raise ConfigError(
            f'{key}: {told} the last of {len(at)} skips is closed after step {at[-1] + ramp} of {steps}, and none '
            'would train without it; ' + ('give less' if given else remedy)
        )
    return plan


def rounds(config: Config, graph: Graph, updates_per_epoch: int) -> list[float]:
    """The epochs of each round of nonresnet: whole updates that add up to the student's phase. Raises ConfigError for a
    round without any.
    """
    count, epochs = config.removal.rounds, student_epochs(config)
    if count > len(graph.gates):
        raise ConfigError(f'config.removal.rounds is {count}, but the network has {len(graph.gates)} skips')
    ends = [round(epochs * updates_per_epoch * number / count) for number in range(count + 1)]
    updates = [after - before for before, after in itertools.pairwise(ends)]
    if not all(updates):
        raise ConfigError(
            f'config.removal.rounds is {count}, but the {epochs:g} epochs of config.train.student.epochs have '
            f'{ends[-1]:,} batches; '
            'each round needs at least one'
        )
    return [each / updates_per_epoch for each in updates]


def _every_epochs(config: Config, graph: Graph) -> float:
    """Epochs between removals. Raises ConfigError unless the last skip is gone before the student's phase ends."""
    epochs, count = student_epochs(config), len(methods.units(graph, config.method))
    given, soften = config.removal.every_epochs, config.removal.soften_epochs
    if given and given * count + soften >= epochs:
        raise ConfigError(
            f'config.removal.every_epochs is {given:g}: {count} removals, {given:g} epochs apart, and '
            f'config.removal.soften_epochs {soften:g} '
            f'do not end within the {epochs:g} epochs of this phase; give less than '
            f'{max(epochs - soften, 0) / count:.4g}, or 0 to spread them'
        )
    if not given and soften >= epochs * 2 / 3:
        raise ConfigError(
            f'config.removal.soften_epochs is {soften:g}; removals that are spread must end within two thirds of the '
            f'{epochs:g} epochs of this phase'
        )
    return given or (epochs * 2 / 3 - soften) / max(count, 1)
