"""How long things are in a run, in steps.

With U updates an epoch, each made of `train.accumulate` = A calls of the training step, a duration of e epochs is
round(e U) A calls. When a method's skips go within a phase, its own module says.
"""

from __future__ import annotations

from experiments import config as config_lib
from experiments.config import MOST_STEPS, Config, ConfigError
from experiments.methods import METHODS
from experiments.phase import student_phase
from tailor_jax.graph import Graph


def check(config: Config, graph: Graph, updates_per_epoch: int) -> None:
    """Raises ConfigError for a phase too short for a step, too long to count, or too short for its timetable."""
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
    method.check(config, graph, student_epochs(config), updates_per_epoch)


def student_epochs(config: Config) -> float:
    """Epochs of the student's phase; from scratch those of the teacher too."""
    return student_phase(config, METHODS[config.method].warm).epochs
