"""Methods whose skips are chosen before training: the pruned network trains from its start on.

keep         the skips of gates.keep stay, by default every one: the network that the others are compared with
static       no skips, from scratch
kd_only      no skips, from scratch, with distillation
"""

from __future__ import annotations

from experiments.config import Config, ConfigError
from experiments.methods.method import PLAIN, Method, Net, Student, completed, decided
from experiments.phase import Run, train_phase
from tailor_jax import model, rewrite
from tailor_jax.graph import Graph
from tailor_jax.train.step import Teacher


def keep(run: Run, net: Net, teacher: Teacher | None) -> Student:
    """Trains the network with the skips of gates.keep."""
    return _trained(run, net, teacher, chosen(run.config, net.graph))


def close(run: Run, net: Net, teacher: Teacher | None) -> Student:
    """Trains the network without skips."""
    return _trained(run, net, teacher, dict.fromkeys(net.graph.gates, 0))


def chosen(config: Config, graph: Graph) -> dict[str, int]:
    """The setting of the gates that gates.keep names. Raises ConfigError for a gate that the network does not have."""
    wanted = {'all': graph.gates, 'none': ()}.get(config.gates.keep, tuple(config.gates.keep.split(',')))
    if unknown := sorted(set(wanted) - set(graph.gates)):
        raise ConfigError(
            f'config.gates.keep names {unknown[0]!r}; expected all, none, or some of {", ".join(graph.gates)}'
        )
    return {gate: int(gate in wanted) for gate in graph.gates}


def _trained(run: Run, net: Net, teacher: Teacher | None, settings: dict[str, int]) -> Student:
    pruned = rewrite.binarize(net.graph, settings)
    trained = train_phase(run, net.phase, pruned, model.restrict(net.variables, pruned), teacher)
    return decided(completed(trained.variables, net.variables), settings)


def _check(config: Config, graph: Graph, epochs: float, updates_per_epoch: int) -> None:
    chosen(config, graph)


METHODS = {
    'keep': Method(
        keep,
        warm=True,
        distills=True,
        reads=('gates.keep',),
        skips=(*PLAIN, 'none'),  # the last: a network that is built without
        ungated=True,
        check=_check,
    ),
    'static': Method(close, warm=False, distills=False),
    'kd_only': Method(close, warm=False, distills=True),
}
