"""One phase of a run: a network trained for some epochs, from its newest checkpoint if there is one.

Beside its checkpoints, W/checkpoints/PHASE/STEP, a finished phase leaves the variables that it ended with, without the
optimizer (`tailor_jax.train.variables`).
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import config as config_lib
from experiments import dataset
from experiments.budget import Budget
from experiments.config import Config
from experiments.cost import HardwareCost
from tailor_jax import data, dirac
from tailor_jax.graph import Graph
from tailor_jax.quantization.spec import QuantSpec
from tailor_jax.train import cluster, loop, step
from tailor_jax.train import variables as variables_lib
from tailor_jax.train.checkpoint import Checkpoints
from tailor_jax.train.metrics import Metrics, NotFiniteError
from tailor_jax.train.recipe import Recipe
from tailor_jax.train.step import Objective, Teacher, TrainState


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

    def checkpoints(self, phase: str) -> Path:
        """The directory of a phase's checkpoints."""
        return self.workdir / 'checkpoints' / phase

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


@dataclasses.dataclass(frozen=True)
class Gating:
    """How the gates of a network move while it trains.

    Attributes:
      log_alpha: parameters of those that learn.
      switches: timetable of those that do not, see `gates.scheduled`.
      cost: is charged for P(open), at config.cost.weight; None for no cost.
      budget: constrains P(open); None for no budget.
      aids: the section config.aids; None for none.
    """

    log_alpha: Mapping = dataclasses.field(default_factory=dict)
    switches: Mapping = dataclasses.field(default_factory=dict)
    cost: HardwareCost | None = None
    budget: Budget | None = None
    aids: Config | None = None


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a phase ends with, on the host.

    Attributes:
      variables: of the network, {'params', 'batch_stats'}; kernels are plain, whatever they were trained as.
      log_alpha: parameters of the gates that learned, {} for none.
    """

    variables: dict
    log_alpha: dict


def phase_of(config: Config, section: str, number: int = 0, **changes) -> Phase:
    """The phase that a section of config.train describes; rounds of one section are numbered from 1."""
    settings, index = config.train[section], config_lib.PHASES.index(section)
    seed = len(config_lib.PHASES) * (config.seed + 1000 * number) + index
    name = f'{section}{number}' if number else section
    phase = Phase(name, settings, settings.epochs, settings.learning_rate, settings.warmup_epochs, seed)
    return dataclasses.replace(phase, **changes)


def student_phase(config: Config, warm: bool) -> Phase:
    """The student's phase; of one that starts from scratch, with the teacher's settings for the epochs of both."""
    student, teacher = config.train.student, config.train.teacher
    if warm:
        return phase_of(config, 'student')
    return phase_of(
        config,
        'student',
        settings=teacher,
        epochs=student.epochs + teacher.epochs,
        learning_rate=teacher.learning_rate,
        warmup_epochs=teacher.warmup_epochs,
    )


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
    run: Run,
    phase: Phase,
    graph: Graph,
    variables: Mapping,
    teacher: Teacher | None = None,
    gating: Gating | None = None,
    quant: QuantSpec | None = None,
    note: Any = None,
) -> Trained:
    """Trains a network for one phase, or restores what came of it.

    Args:
      run: workdir, data and metrics.
      phase: what it is called and how long it is.
      graph: the network.
      variables: its variables at the start.
      teacher: of the distillation, if it has a share in the loss.
      gating: how its gates move; all are open by default.
      quant: the types of a folded graph, for training with them; kept with the checkpoints.
      note: what else was decided before the phase, as plain JSON values; kept with the checkpoints.
    """
    steps, gating, taught = run.steps(phase.epochs), gating or Gating(), teacher if teacher and teacher.share else None
    constraints = gating.budget.resources if gating.budget else ()
    recipe = recipe_of(run.config, phase, run.updates_per_epoch, dual=bool(constraints))
    state = step.init_state(variables, gating.log_alpha, recipe, constraints)
    context = step.Context(
        jax.numpy.uint32(phase.seed),
        dict(taught.variables) if taught else {},
        jax.numpy.float32(run.config.cost.weight),
        {name: np.array(values, np.float32) for name, values in gating.switches.items()},
    )
    if steps:
        train_step = step.make_train_step(_objective(run, phase, graph, taught, gating, quant), recipe)
        with Checkpoints(run.checkpoints(phase.name), quant.to_json() if quant else note) as checkpoints:
            state = _fit(run, phase, state, train_step, context, checkpoints)
    state = jax.device_get(state)
    params = jax.device_get(dirac.merge(state.params['net']))
    trained = Trained({'params': params, 'batch_stats': state.batch_stats}, state.params['gates'])
    if steps and cluster.is_main():
        variables_lib.write(run.checkpoints(phase.name), trained.variables, steps)
    return trained


def _objective(
    run: Run, phase: Phase, graph: Graph, taught: Teacher | None, gating: Gating, quant: QuantSpec | None
) -> Objective:
    aids, leaky = gating.aids, None
    if aids and aids.leaky_slope:
        leaky = aids.leaky_slope, run.steps(aids.leaky_epochs or phase.epochs / 2)
    return Objective(
        graph,
        quant=quant,
        teacher=taught.graph if taught else None,
        distill_share=taught.share if taught else 0.0,
        temperature=taught.temperature if taught else 0.0,
        cost=gating.cost,
        excess=gating.budget,
        compute_dtype='float32' if quant else run.config.train.compute_dtype,
        preserve_variance=bool(aids and aids.preserve_variance),
        leaky=leaky,
    )


def _fit(
    run: Run, phase: Phase, state: TrainState, train_step: Callable, context: step.Context, checkpoints: Checkpoints
) -> TrainState:
    """The state at the end of the phase, trained from the newest checkpoint on."""
    train, steps, start = run.config.train, run.steps(phase.epochs), time.monotonic()
    try:
        state = loop.fit(
            state,
            train_step,
            functools.partial(_batches, run, phase),
            context,
            phase=phase.name,
            steps=steps,
            steps_per_epoch=run.steps_per_epoch,
            batch_size=run.part_size,
            metrics=run.metrics,
            checkpoints=checkpoints,
            log_every=train.log_every_steps,
            save_every=max(run.steps(train.save_every_epochs), 1),
        )
    except NotFiniteError as error:  # the training loop does not know where its settings come from
        error.args = (f'{error}. {advice(phase)}',)
        raise
    run.images += (steps - run.metrics.first_step) * run.part_size
    run.seconds += time.monotonic() - start
    return state


def _batches(run: Run, phase: Phase, first: int) -> Iterator[Mapping]:
    """Batches on the devices, from a step of the phase to its last."""
    host = data.train_batches(
        run.source,
        batch_size=run.part_size,
        seed=phase.seed,
        start_step=first,
        steps=run.steps(phase.epochs) - first,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        augment=dataset.augmentation(run.config, run.source, jax.process_count()),
    )
    return data.prefetch(host, devices=jax.local_devices())


def advice(phase: Phase) -> str:
    """What to do about a phase that diverged: the keys that it was trained by, which for a round or from scratch are
    not of its own name.
    """
    bound = 'a lower' if phase.settings.clip_norm else 'with'
    return (
        f'Start again in a new workdir with a lower {phase.settings.where}.learning_rate, or {bound} '
        f'{phase.settings.where}.clip_norm'
    )


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
