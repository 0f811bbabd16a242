"""The teacher of a run: the network as it was before any skip went, trained here or taken from another run."""

from __future__ import annotations

from pathlib import Path

from experiments import config as config_lib
from experiments.config import Config, ConfigError
from experiments.phase import Run, phase_of, train_phase
from experiments.workdir import read_config
from tailor_jax import data, model
from tailor_jax.graph import Graph
from tailor_jax.train import cluster, variables
from tailor_jax.train.step import Teacher


def teacher_of(run: Run, graph: Graph, distills: bool) -> Teacher:
    """The teacher whose network is `graph`, trained, or restored, or taken from `train.teacher_workdir`."""
    fresh, distill = model.init(graph, run.config.seed), run.config.distill
    taken = bool(run.config.train.teacher_workdir)
    found = _taken(run, fresh) if taken else train_phase(run, phase_of(run.config, 'teacher'), graph, fresh).variables
    return Teacher(graph, found, distill.share if distills else 0.0, distill.temperature)


def _taken(run: Run, like: dict) -> dict:
    """The variables of the teacher at `train.teacher_workdir`. Raises ConfigError if it is unfinished, CheckpointError
    if it is damaged.
    """
    workdir, other = Path(run.config.train.teacher_workdir), teacher_config(run.config)
    per_epoch = data.steps_per_epoch(run.source, other.train.batch_size)
    steps = config_lib.steps(other.train.teacher.epochs, per_epoch, other.train.accumulate)
    directory = workdir / 'checkpoints' / 'teacher'
    try:
        done, found = cluster.from_main(lambda: variables.read(directory, like))
    except FileNotFoundError:
        raise ConfigError(
            f'config.train.teacher_workdir {str(workdir)!r} holds no finished teacher: '
            f'{directory / variables.NAME} is missing'
        ) from None
    if done != steps:
        raise ConfigError(
            f'config.train.teacher_workdir {str(workdir)!r} holds no finished teacher: step {done} of {steps}'
        )
    return found


def teacher_config(config: Config) -> Config:
    """The config of the run at `train.teacher_workdir`. Raises ConfigError for none or one of another network."""
    workdir = Path(config.train.teacher_workdir)
    try:
        other = read_config(workdir / 'config.json')
    except (OSError, ConfigError) as error:  # none there, a file in place of the directory, no permission, damaged
        reason = 'no config.json is there' if isinstance(error, FileNotFoundError) else error
        raise ConfigError(
            f'config.train.teacher_workdir is {str(workdir)!r}, but {reason}; give the workdir of a run'
        ) from None
    for key in ('model', 'data'):
        if other[key] != config[key]:
            raise ConfigError(
                f'config.train.teacher_workdir {str(workdir)!r} was trained with {key} = {other[key].to_dict()}, '
                f'but this config has {config[key].to_dict()}'
            )
    return other
