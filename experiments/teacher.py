"""The teacher of a run: the network as it was before any skip went, trained here or taken from another run."""

from __future__ import annotations

from pathlib import Path

from experiments import config as config_lib
from experiments import network
from experiments.config import Config, ConfigError
from experiments.methods import METHODS
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


def check_taken(config: Config, graph: Graph) -> None:
    """Raises ConfigError unless the teacher of the run at `train.teacher_workdir` is of this network, and is the
    teacher that the config's method has of it.
    """
    workdir, other = Path(config.train.teacher_workdir), teacher_config(config)
    network.check_teacher(graph, workdir)
    if not _same(other, config, graph):
        raise ConfigError(
            f'config.train.teacher_workdir is {str(workdir)!r}, whose teacher is of another network: method '
            f'{other.method!r} has other skips in it than method {config.method!r}'
        )


def check_kept(config: Config, graph: Graph, workdir: Path) -> None:
    """Raises FileExistsError where the workdir of a teacher is that of another method, whose teacher is another
    network.
    """
    path = workdir / 'config.json'
    if path.exists() and not _same(other := read_config(path), config, graph):
        raise FileExistsError(
            f'{path} is of method {other.method!r}, whose teacher has other skips than that of method '
            f'{config.method!r}; choose another directory'
        )


def _same(other: Config, config: Config, graph: Graph) -> bool:
    """Whether the methods of two configs have the same teacher of a network."""
    theirs, ours = METHODS.get(other.method), METHODS[config.method]
    return theirs is not None and theirs.of_teacher(graph) == ours.of_teacher(graph)


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
