"""Skips that go in rounds, each a training of its own.

    nonresnet    NonResNet: groups of skips go, from the weights of the round before; no distillation

Source: NonResNet (arXiv 2102.01351).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from experiments.config import Config, ConfigError
from experiments.methods.method import Method, Net, Student, completed, decided
from experiments.phase import Run, phase_of, train_phase
from tailor_jax import model, rewrite
from tailor_jax.graph import Graph
from tailor_jax.skips import skips
from tailor_jax.train.step import Teacher


def train(run: Run, net: Net, teacher: Teacher | None) -> Student:
    """Trains a network a round; the warm-up is shared by the rounds as the epochs are."""
    epochs_of = lengths(run.config, net.graph, net.phase.epochs, run.updates_per_epoch)
    warmup_epochs = net.phase.warmup_epochs / len(epochs_of)
    variables, settings = net.variables, {}
    for number, (closed, epochs) in enumerate(zip(rounds(net.graph, len(epochs_of)), epochs_of), start=1):
        settings, pruned = dict(closed), rewrite.binarize(net.graph, closed)
        phase = phase_of(run.config, 'student', number, epochs=epochs, warmup_epochs=warmup_epochs)
        trained = train_phase(run, phase, pruned, model.restrict(variables, pruned), teacher)
        variables = completed(trained.variables, net.variables)
    return decided(variables, settings)


def rounds(graph: Graph, count: int) -> list[Mapping[str, int]]:
    """Gate settings of each round: the k-th closes k / count of the skips, input side first."""
    gates = graph.gates
    closed = [round(len(gates) * (index + 1) / count) for index in range(count)]
    return [{gate: int(position >= number) for position, gate in enumerate(gates)} for number in closed]


def lengths(config: Config, graph: Graph, epochs: float, updates_per_epoch: int) -> list[float]:
    """Epochs of each round: whole updates that add up to the phase. Raises ConfigError for a round without any."""
    count = config.removal.rounds
    if count > len(graph.gates):
        raise ConfigError(f'config.removal.rounds is {count}, but the network has {len(graph.gates)} skips')
    ends = [round(epochs * updates_per_epoch * number / count) for number in range(count + 1)]
    updates = [after - before for before, after in itertools.pairwise(ends)]
    if not all(updates):
        raise ConfigError(
            f'config.removal.rounds is {count}, but the {epochs:g} epochs of config.train.student.epochs have '
            f'{ends[-1]:,} batches; each round needs at least one'
        )
    return [each / updates_per_epoch for each in updates]


def _check(config: Config, graph: Graph, epochs: float, updates_per_epoch: int) -> None:
    for skip in skips(graph):
        if skip.layers != 1 or not skip.before_relu:
            raise ConfigError(
                f"config.method 'nonresnet' takes skips over one layer, added before its ReLU, and that of gate "
                f'{skip.gate!r} goes over {skip.layers}{"" if skip.before_relu else " and is added elsewhere"}; '
                'a ResNet with model.skips=short_pre has them'
            )
    lengths(config, graph, epochs, updates_per_epoch)


METHODS = {
    'nonresnet': Method(train, warm=True, distills=False, reads=('removal.rounds',), skips=('short_pre',), check=_check)
}
