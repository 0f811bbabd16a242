"""Skips that go one after another, by a timetable, while one network trains.

    remove                Tailor's SkipRemover: one skip after another closes, input side first
    shorten               Tailor's SkipShortener: block after block, the skip over two convolutions gives way to two
    dynamic_scratch       as `remove`, from scratch and without distillation
    dynamic_pretrained    as `remove`, without distillation

With U updates an epoch, each made of `train.accumulate` = A calls of the training step, skip k = 0, 1, ... begins to
close after

    s_k = round((k + 1) E U) A calls,     E = removal.every_epochs, or what spreads them over two thirds of the phase,

and is closed `removal.soften_epochs` later: always between two updates. A timetable by which two skips would go at
once, or one before the phase's first step or after its last, is refused.

Source: Weng et al. (arXiv 2301.07247).
"""

from __future__ import annotations

import itertools

from experiments import config as config_lib
from experiments.config import Config, ConfigError
from experiments.methods.method import Method, Net, Student, after, before, check_aids, decided, units, with_dirac
from experiments.phase import Gating, Run, train_phase
from tailor_jax.graph import Graph
from tailor_jax.skips import shortenings
from tailor_jax.train.step import Teacher

Switches = dict[str, tuple[float, float, int, int]]  # see `gates.scheduled`


def train(run: Run, net: Net, teacher: Teacher | None) -> Student:
    """Trains the network with the skips closing by the timetable."""
    timetable = removal(run.config, net.graph, net.phase.epochs, run.updates_per_epoch)
    gating = Gating(switches=timetable, aids=run.config.aids)
    trained = train_phase(run, net.phase, net.graph, with_dirac(run.config, net), teacher, gating)
    return decided(trained.variables, after(net.graph, _shortens(run.config)))


def switches(graph: Graph, every_updates: float, ramp_steps: int, parts: int = 1, shortens: bool = False) -> Switches:
    """The timetable of `gates.scheduled`: unit k = 0, 1, ... switches from round((k + 1) * every_updates) updates on
    of `parts` steps each.
    """
    start, end, timetable = before(graph, shortens), after(graph, shortens), {}
    for index, unit in enumerate(units(graph, shortens)):
        at = round((index + 1) * every_updates) * parts
        for gate in unit:
            timetable[gate] = (float(start[gate]), float(end[gate]), at, ramp_steps)
    return timetable


def removal(config: Config, graph: Graph, epochs: float, updates_per_epoch: int) -> Switches:
    """The timetable by which skips are removed or shortened in a phase of these epochs.

    Raises ConfigError unless each is open at the phase's first step, they go one after another, and the last is closed
    at its last step.
    """
    every, given, soften = (
        _every_epochs(config, graph, epochs),
        config.removal.every_epochs,
        config.removal.soften_epochs,
    )
    parts = config.train.accumulate
    ramp = config_lib.steps(soften, updates_per_epoch, parts)
    timetable = switches(graph, every * updates_per_epoch, ramp, parts, _shortens(config))
    at = [timetable[unit[0]][2] for unit in units(graph, _shortens(config))]
    steps = config_lib.steps(epochs, updates_per_epoch, parts)
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
    return timetable


def _every_epochs(config: Config, graph: Graph, epochs: float) -> float:
    """Epochs between removals. Raises ConfigError unless the last skip is gone before the student's phase ends."""
    count, given, soften = (
        len(units(graph, _shortens(config))),
        config.removal.every_epochs,
        config.removal.soften_epochs,
    )
    if given and given * count + soften >= epochs:
        raise ConfigError(
            f'config.removal.every_epochs is {given:g}: {count} removals, {given:g} epochs apart, and '
            f'config.removal.soften_epochs {soften:g} do not end within the {epochs:g} epochs of this phase; give less '
            f'than {max(epochs - soften, 0) / count:.4g}, or 0 to spread them'
        )
    if not given and soften >= epochs * 2 / 3:
        raise ConfigError(
            f'config.removal.soften_epochs is {soften:g}; removals that are spread must end within two thirds of the '
            f'{epochs:g} epochs of this phase'
        )
    return given or (epochs * 2 / 3 - soften) / max(count, 1)


def _shortens(config: Config) -> bool:
    return METHODS[config.method].shortens


def _check_shortening(graph: Graph) -> None:
    """Raises ConfigError for a skip that is of no block to be shortened."""
    parts = {gate for each in shortenings(graph) for gate in (each.long, *each.short)}
    if odd := [gate for gate in graph.gates if gate not in parts]:
        raise ConfigError(
            f"config.method 'shorten' replaces a skip over several layers by one over each, and gate {odd[0]!r} is of "
            'no block that holds both; a ResNet with model.skips=long_post+short does'
        )


def _check(config: Config, graph: Graph, epochs: float, updates_per_epoch: int) -> None:
    if _shortens(config):
        _check_shortening(graph)
    check_aids(config, graph, epochs)
    removal(config, graph, epochs, updates_per_epoch)


_READS = ('removal.every_epochs', 'removal.soften_epochs', 'aids')
METHODS = {
    'remove': Method(train, warm=True, distills=True, reads=_READS, check=_check),
    'shorten': Method(
        train, warm=True, distills=True, reads=_READS, skips=('long_post+short',), shortens=True, check=_check
    ),
    'dynamic_scratch': Method(train, warm=False, distills=False, reads=_READS, check=_check),
    'dynamic_pretrained': Method(train, warm=True, distills=False, reads=_READS, check=_check),
}
