"""What a method is, and what methods share.

A method is a function (run, net, teacher) -> Student: it trains the network with gates and decides which of them stay.
The phases before and after it are the same for all (`experiments.run`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.budget import Budget
from experiments.config import Config, ConfigError, defaults
from experiments.cost import HardwareCost
from experiments.phase import Phase, Run
from tailor_jax import dirac, model, rewrite
from tailor_jax.graph import Graph, GraphError
from tailor_jax.skips import Shortening, shortenings
from tailor_jax.train.step import Teacher

PLAIN = ('long', 'short', 'short_pre')
# Keys that a student from scratch does not read: it trains as its teacher would.
_OF_WARM = tuple(f'train.student.{key}' for key in ('learning_rate', 'weight_decay', 'warmup_epochs', 'clip_norm'))


@dataclasses.dataclass(frozen=True)
class Net:
    """The student before its training.

    Attributes:
      graph: the network, with a gate on every skip that may go.
      variables: at the start: the teacher's, and fresh ones of the nodes that it lacks; or all fresh.
      warm: whether they are the teacher's.
      phase: how long the student trains, and how.
      cost: of the hardware under the gates.
      budget: of it, None for none.
    """

    graph: Graph
    variables: Mapping
    warm: bool
    phase: Phase
    cost: HardwareCost
    budget: Budget | None


@dataclasses.dataclass(frozen=True)
class Student:
    """A trained student.

    Attributes:
      variables: for the graph with gates.
      settings: {gate: 0 or 1} that its gates end in.
      gate_values: {gate: the value it is evaluated with before that}.
      told: what summary.json tells of its gates.
    """

    variables: Mapping
    settings: dict[str, int]
    gate_values: Mapping
    told: dict[str, Any]


def _fits(config: Config, graph: Graph, epochs: float, updates_per_epoch: int) -> None:
    """Nothing to check."""


@dataclasses.dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
      train: trains the student; the teacher is None where the method has none.
      warm: whether the student starts from the teacher's weights. One from scratch trains as long as teacher and
        student of the others together, with the teacher's settings.
      distills: whether the teacher's logits are part of the loss.
      reads: keys and sections of the config that it reads and some other method does not; those that follow from `warm`
        and `distills` need not be named. What no method names is read in every run.
      skips: values of model.skips that a comparison trains a ResNet with, the first where the config has another.
        Whether a network fits, `check` says, by its structure.
      shortens: whether skips over several layers give way to those over one each, as `tailor_jax.skips` finds them.
      ungated: whether it also trains a network without gates.
      check: (config, graph, epochs of the student, updates an epoch), raises ConfigError where they do not fit.
    """

    train: Callable[[Run, Net, Teacher | None], Student]
    warm: bool
    distills: bool
    reads: tuple[str, ...] = ()
    skips: tuple[str, ...] = PLAIN
    shortens: bool = False
    ungated: bool = False
    check: Callable[[Config, Graph, float, int], None] = _fits

    @property
    def has_teacher(self) -> bool:
        return self.warm or self.distills

    @property
    def keys(self) -> tuple[str, ...]:
        """`reads`, and what follows from the other attributes."""
        return (
            *self.reads,
            *(_OF_WARM if self.warm else ()),
            *(('train.teacher_workdir',) if self.has_teacher else ()),
            *(('distill',) if self.distills else ()),
        )

    def of_teacher(self, graph: Graph) -> Graph:
        """The network of its teacher: as it was before any skip went, none of its skips gated."""
        return rewrite.binarize(graph, before(graph, self.shortens))


def before(graph: Graph, shortens: bool = False) -> dict[str, int]:
    """The gate setting of the teacher: every skip, but of a block to be shortened only the long one."""
    short = {gate for each in _shortened(graph, shortens) for gate in each.short}
    return {gate: int(gate not in short) for gate in graph.gates}


def after(graph: Graph, shortens: bool = False) -> dict[str, int]:
    """The gate settings that a scheduled method ends with: no skip, but the short ones of a block that is shortened."""
    return {gate: 1 - value for gate, value in before(graph, shortens).items()}


def units(graph: Graph, shortens: bool = False) -> list[tuple[str, ...]]:
    """The gates that switch together, input side first: one skip each, or all those of a block that is shortened."""
    return [(*each.short, each.long) for each in _shortened(graph, shortens)] or [(gate,) for gate in graph.gates]


def _shortened(graph: Graph, shortens: bool) -> tuple[Shortening, ...]:
    return shortenings(graph) if shortens else ()


def decided(variables: Mapping, settings: dict[str, int]) -> Student:
    """A student whose gates needed no rounding."""
    told = {'p_open': {name: float(value) for name, value in settings.items()}, 'gates_fractional': 0.0}
    return Student(variables, settings, {name: np.float32(value) for name, value in settings.items()}, told)


def completed(variables: Mapping, start: Mapping) -> dict:
    """Variables of a pruned network, and those of the nodes that it lacks from `start`."""
    return {kind: {**tree, **variables.get(kind, {})} for kind, tree in start.items()}


def with_dirac(config: Config, net: Net) -> dict:
    """The student's variables at the start, with Dirac parameters where the config asks for them."""
    if not config.aids.dirac:
        return dict(net.variables)
    return {**net.variables, 'params': dirac.attach(net.graph, net.variables['params'], trained=net.warm)}


def check_price(config: Config) -> None:
    """Raises ConfigError for a price of hardware beside a budget of it."""
    budget, weight = config.cost.budget, config.cost.weight
    if any(value is not None for value in budget.values()) and weight != defaults().cost.weight:
        raise ConfigError(
            f'config.cost.weight is {weight!r} beside a config.cost.budget, which takes its place; give one of the two'
        )


def check_aids(config: Config, graph: Graph, epochs: float) -> None:
    """Raises ConfigError for aids that do not fit the network or the epochs of the student's phase."""
    if config.aids.preserve_variance:
        try:
            model.gain_carriers(graph)
        except GraphError as error:
            raise ConfigError(f'config.aids.preserve_variance: {error}') from None
    if config.aids.leaky_slope and config.aids.leaky_epochs > epochs:
        raise ConfigError(
            f'config.aids.leaky_epochs is {config.aids.leaky_epochs:g}, but the phase has {epochs:g} epochs and must '
            'end with plain ReLUs'
        )
