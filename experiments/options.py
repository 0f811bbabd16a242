"""Which options a method uses, and whether they fit together."""

from __future__ import annotations

from experiments import config as config_lib
from experiments import plan
from experiments.config import BUDGETED, Config, ConfigError
from experiments.methods import METHODS
from tailor_jax import model
from tailor_jax.graph import Graph, GraphError

# The kinds of `Method.gates` that use an option.
_USED_BY = {
    'gates.keep': ('chosen',),
    'removal.every_epochs': ('scheduled',),
    'removal.soften_epochs': ('scheduled',),
    'removal.rounds': ('rounds',),
    'aids.preserve_variance': ('learned', 'scheduled'),
    'aids.dirac': ('learned', 'scheduled'),
    'aids.leaky_slope': ('learned', 'scheduled'),
    **{f'cost.budget.{name}': ('learned',) for name in (*BUDGETED, 'device_share')},
}


def unused(config: Config) -> list[str]:
    """The options that were changed from their defaults although the config's method does not use them."""
    default, kind = config_lib.defaults(), METHODS[config.method].gates
    changed = [key for key in _USED_BY if config_lib.get(config, key) != config_lib.get(default, key)]
    return [key for key in changed if kind not in _USED_BY[key]]


def check(config: Config, graph: Graph) -> None:
    """Raises ConfigError for an option that the method does not use, or that does not fit the network or the length of
    training.
    """
    for key in unused(config):
        users = [name for name, method in METHODS.items() if method.gates in _USED_BY[key]]
        raise ConfigError(
            f'config.{key} is {config_lib.get(config, key)!r}, but method {config.method!r} does not use it; '
            f'{", ".join(users)} would'
        )
    budget, weight = config.cost.budget, config.cost.weight
    if any(value is not None for value in budget.values()) and weight != config_lib.defaults().cost.weight:
        raise ConfigError(
            f'config.cost.weight is {weight!r} beside a config.cost.budget, which takes its place; give one of the two'
        )
    if config.aids.preserve_variance:
        try:
            model.gain_carriers(graph)
        except GraphError as error:
            raise ConfigError(f'config.aids.preserve_variance: {error}') from None
    if config.aids.leaky_slope and config.aids.leaky_epochs > plan.student_epochs(config):
        raise ConfigError(
            f'config.aids.leaky_epochs is {config.aids.leaky_epochs:g}, but the phase has '
            f'{plan.student_epochs(config):g} epochs '
            'and must end with plain ReLUs'
        )
    chosen(config, graph)


def chosen(config: Config, graph: Graph) -> dict[str, int]:
    """The setting of the gates that gates.keep names. Raises ConfigError for a gate that the network does not have."""
    wanted = {'all': graph.gates, 'none': ()}.get(config.gates.keep, tuple(config.gates.keep.split(',')))
    if unknown := sorted(set(wanted) - set(graph.gates)):
        raise ConfigError(
            f'config.gates.keep names {unknown[0]!r}; expected all, none, or some of {", ".join(graph.gates)}'
        )
    return {gate: int(gate in wanted) for gate in graph.gates}
