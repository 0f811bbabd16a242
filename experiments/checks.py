"""Whether a config can be run: everything that can be known before anything is written.

Which keys a config may change depends on its method. A key that some method names among those it reads (`Method.keys`)
is refused where the config's own method does not read it; a key that no method names is read in every run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import jax

from experiments import config as config_lib
from experiments import dataset, durations, network
from experiments.budget import Budget, budget_of
from experiments.config import Config, ConfigError
from experiments.cost import HardwareCost, cost_of
from experiments.methods import METHODS
from experiments.quantization import check_bits
from experiments.teacher import check_taken
from tailor_jax import data
from tailor_jax.graph import Graph


@dataclasses.dataclass(frozen=True)
class Checked:
    """What is known before anything is written."""

    source: data.Source
    graph: Graph
    cost: HardwareCost
    budget: Budget | None


def check(config: Config) -> Checked:
    """The data set, the network and its cost, or a ConfigError."""
    config_lib.validate(config)
    check_method(config)
    _check_needs(config)
    source = _source(config)
    graph = network.build_graph(config, source)
    if not graph.gates and not METHODS[config.method].ungated:
        users = [name for name, method in METHODS.items() if method.ungated]
        raise ConfigError(
            f'config.method is {config.method!r}, but the network has no gates; method {" or ".join(users)} trains it '
            'as it is'
        )
    durations.check(config, graph, data.steps_per_epoch(source, config.train.batch_size))
    check_bits(config, graph)
    if config.train.teacher_workdir:
        check_taken(config, graph)
    cost = cost_of(config, graph, charged='cost.weight' in METHODS[config.method].keys)
    return Checked(source, graph, cost, budget_of(config, cost))


def check_method(config: Config) -> None:
    """Raises ConfigError for a method that there is not, and for a key that it does not read."""
    config_lib.check_choice(config, 'method', tuple(METHODS))
    for key in unused(config):
        users = [name for name, method in METHODS.items() if _reads(method.keys, key)]
        raise ConfigError(
            f'config.{key} is {config_lib.get(config, key)!r}, but method {config.method!r} does not use it; '
            f'{", ".join(users)} would'
        )


def _check_needs(config: Config) -> None:
    """Raises ConfigError for a key that was changed from its default and that nothing reads without another."""
    default = config_lib.defaults()
    budget = any(value is not None for value in config.cost.budget.values())
    needs: dict[str, tuple[bool, tuple[str, ...]]] = {
        'a config.cost.budget': (budget, ('gates.dual_learning_rate', 'gates.repair_candidates')),
        'config.aids.leaky_slope': (config.aids.leaky_slope > 0, ('aids.leaky_epochs',)),
        'config.distill.share': (config.distill.share > 0, ('distill.temperature',)),
        'config.quant.scales=learned': (config.quant.scales == 'learned', ('quant.scale_learning_rate',)),
        'config.train.schedule=step': (
            config.train.schedule == 'step',
            ('train.decay_every_epochs', 'train.decay_factor'),
        ),
    }
    for other, (given, those) in needs.items():
        for key in those:
            value = config_lib.get(config, key)
            if not given and value != config_lib.get(default, key):
                raise ConfigError(f'config.{key} is {value!r}, which is read with {other} alone')


def unused(config: Config) -> list[str]:
    """The keys that were changed from their defaults although the config's method does not read them."""
    default, named = config_lib.defaults(), [key for method in METHODS.values() for key in method.keys]
    return [
        key
        for key in config_lib.keys(config)
        if _reads(named, key)
        and not _reads(METHODS[config.method].keys, key)
        and config_lib.get(config, key) != config_lib.get(default, key)
    ]


def _reads(keys: Iterable[str], key: str) -> bool:
    """Whether a key, or a section that it is in, is among these."""
    return any(key == each or key.startswith(f'{each}.') for each in keys)


def _source(config: Config) -> data.Source:
    """The data set, if the batches can be made of it."""
    train = config.train
    if train.batch_size // train.accumulate % jax.device_count():
        parts = f' in {train.accumulate} parts' if train.accumulate > 1 else ''
        raise ConfigError(
            f'config.train.batch_size {train.batch_size}{parts} is not divisible by {jax.device_count()} devices'
        )
    source = dataset.load(config)
    if train.batch_size > source.train_size:
        raise ConfigError(
            f'config.train.batch_size {train.batch_size} exceeds the {source.train_size} training images of '
            f'{source.name}'
        )
    dataset.augmentation(config, source, jax.process_count())
    return source
