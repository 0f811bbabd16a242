"""One phase of a run: an objective trained for some epochs, from its newest checkpoint if there is one."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import config as config_lib
from experiments import dataset
from experiments.config import Config, ConfigError
from experiments.workdir import read_config
from tailor_jax import data
from tailor_jax.graph import Graph
from tailor_jax.train import loop, step
from tailor_jax.train.checkpoint import Checkpoints
from tailor_jax.train.metrics import Metrics, NotFiniteError
from tailor_jax.train.optimizer import Recipe
from tailor_jax.train.step import Objective, TrainState


@dataclasses.dataclass
class Run:
    """What the phases of one run share."""

    config: Config
    workdir: Path
    source: data.Source
    metrics: Metrics
    images: int = 0  # trained on in this process
    seconds: float = 0.0  # spent in training steps in this process

    @property
    def part_size(self) -> int:
        """Images of one call of the training step."""
        return self.config.train.batch_size // self.config.train.accumulate

    @functools.cached_property
    def updates_per_epoch(self) -> int:
        return data.steps_per_epoch(self.source, self.config.train.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Calls of the training step, a multiple of those an update takes."""
        return self.updates_per_epoch * self.config.train.accumulate

    def steps(self, epochs: float) -> int:
        return config_lib.steps(epochs, self.updates_per_epoch, self.config.train.accumulate)


@dataclasses.dataclass(frozen=True)
class Phase:
    """Length and learning rate of one phase.

    Attributes:
      name: of its checkpoints and metrics.
      settings: of its section in config.train.
      epochs, learning_rate, warmup_epochs: in place of what the section says.
      seed: distinguishes the data order and gate draws of phases.
    """

    name: str
    settings: Config
    epochs: float
    learning_rate: float
    warmup_epochs: float
    seed: int


def phase_of(config: Config, section: str, number: int = 0, **changes) -> Phase:
    """The phase that a section of config.train describes; rounds of one section are numbered from 1."""
    settings, index = config.train[section], config_lib.PHASES.index(section)
    seed = len(config_lib.PHASES) * (config.seed + 1000 * number) + index
    name = f'{section}{number}' if number else section
    phase = Phase(name, settings, settings.epochs, settings.learning_rate, settings.warmup_epochs, seed)
    return dataclasses.replace(phase, **changes)


def recipe_of(config: Config, phase: Phase, updates_per_epoch: int, dual: bool = False) -> Recipe:
    """How the optimizer runs a phase whose epochs have this many updates."""
    train, parts = config.train, config.train.accumulate

    def updates(epochs: float) -> int:
        return config_lib.steps(epochs, updates_per_epoch)

    return Recipe(
        updates(phase.epochs),
        phase.learning_rate,
        config.gates.learning_rate,
        phase.settings.weight_decay,
        updates(phase.warmup_epochs),
        phase.settings.clip_norm,
        train.schedule,
        updates(train.decay_every_epochs),
        train.decay_factor,
        parts,
        config.quant.scale_learning_rate if config.quant.scales == 'learned' else 0.0,
        config.gates.dual_learning_rate / parts
        if dual
        else 0.0,  # multipliers move at every call, gates once an update
    )


def train_phase(
    run: Run, phase: Phase, objective: Objective, variables: Mapping, *, gates: Mapping | None = None, teacher: Mapping | None = None,
    switches: Mapping | None = None, note: Any = None,
) -> TrainState:  # fmt: skip
    """Trains one phase, or restores it; returns the state at its end, on the host.

    Args:
      run: workdir, data and metrics.
      phase: what it is called and how long it is.
      objective: what is trained.
      variables: the network's variables at the start.
      gates: log_alpha of the gates that learn.
      teacher: the teacher's variables.
      switches: plan of the gates that do not learn.
      note: kept with the checkpoints, see `Checkpoints`.
    """
    config, steps = run.config, run.steps(phase.epochs)
    constraints = tuple(getattr(objective.excess, 'resources', ()))
    recipe = recipe_of(config, phase, run.updates_per_epoch, dual=bool(constraints))
    plan = {name: np.array(values, np.float32) for name, values in (switches or {}).items()}
    context = step.Context(
        jax.numpy.uint32(phase.seed), dict(teacher or {}), jax.numpy.float32(config.cost.weight), plan
    )
    state = step.init_state(variables, gates or {}, recipe, constraints)

    def batches(first: int):
        host = data.train_batches(
            run.source,
            batch_size=run.part_size,
            seed=phase.seed,
            start_step=first,
            steps=steps - first,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            augment=dataset.augmentation(config, run.source, jax.process_count()),
        )
        return data.prefetch(host, devices=jax.local_devices())

    if steps:
        with Checkpoints(run.workdir / 'checkpoints' / phase.name, note) as checkpoints:
            start = time.monotonic()
            try:
                state = loop.fit(
                    state,
                    step.make_train_step(objective, recipe),
                    batches,
                    context,
                    phase=phase.name,
                    steps=steps,
                    steps_per_epoch=run.steps_per_epoch,
                    batch_size=run.part_size,
                    metrics=run.metrics,
                    checkpoints=checkpoints,
                    log_every=config.train.log_every_steps,
                    save_every=max(run.steps(config.train.save_every_epochs), 1),
                )
            except NotFiniteError as error:  # the training loop does not know where its settings come from
                error.args = (f'{error}. {advice(phase)}',)
                raise
            run.images += (steps - run.metrics.first_step) * run.part_size
            run.seconds += time.monotonic() - start
    return jax.device_get(state)


def advice(phase: Phase) -> str:
    """What to do about a phase that diverged: the keys that it was trained by, which for a round or from scratch are
    not of its own name.
    """
    bound = 'a lower' if phase.settings.clip_norm else 'with'
    return (
        f'Start again in a new workdir with a lower {phase.settings.where}.learning_rate, or {bound} '
        f'{phase.settings.where}.clip_norm'
    )


def variables_of(state: TrainState) -> dict:
    """The network's variables {'params', 'batch_stats'} of a state."""
    return {'params': state.params['net'], 'batch_stats': state.batch_stats}


def accuracy(
    run: Run,
    name: str,
    graph: Graph,
    variables: Mapping,
    gate_values: Mapping | None = None,
    preserve_variance: bool = False,
) -> float:
    """Accuracy on the test split, also written to the metrics."""
    batches = data.eval_batches(run.source, 'test', batch_size=min(512, run.source.test_size))
    value = loop.accuracy(
        step.predict(graph, preserve_variance=preserve_variance), variables, dict(gate_values or {}), batches
    )
    run.metrics.evaluation(name, value)
    return value


def sample_images(run: Run) -> Mapping[str, np.ndarray]:
    """The batch of training images that quantization is calibrated on and gate settings are tried on."""
    size = min(run.config.quant.calibration_images, run.source.train_size)
    return next(iter(data.eval_batches(run.source, 'train', batch_size=size)))


def load_teacher(run: Run, graph: Graph, fresh: Mapping) -> dict:
    """The teacher at `train.teacher_workdir`. Raises ConfigError if it is unfinished, CheckpointError if it is damaged."""
    workdir, other = Path(run.config.train.teacher_workdir), teacher_config(run.config)
    per_epoch = data.steps_per_epoch(run.source, other.train.batch_size)
    steps = config_lib.steps(other.train.teacher.epochs, per_epoch, other.train.accumulate)
    with Checkpoints(workdir / 'checkpoints' / 'teacher', read_only=True) as checkpoints:
        if checkpoints.latest_step() != steps:
            raise ConfigError(
                f'config.train.teacher_workdir {str(workdir)!r} holds no finished teacher: step '
                f'{checkpoints.latest_step() or 0} of {steps}'
            )
        state = step.init_state(fresh, {}, recipe_of(other, phase_of(other, 'teacher'), per_epoch))
        restored = checkpoints.restore(state)
        assert restored is not None  # there is a step
        return variables_of(restored.state)


def teacher_config(config: Config) -> Config:
    """The config of the run at `train.teacher_workdir`. Raises ConfigError if there is none or if it is of another
    network.
    """
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
