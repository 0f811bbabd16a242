"""The hardware term of the loss, made from a config.

With C_r(all) and C_r(none) the exact cost of resource r with every skip kept and with none, and E[C_r] its expectation
under the gates:

    cost(p) = mean over r of (E[C_r](p) - C_r(none)) / (C_r(all) - C_r(none))

over the resources of `cost.resources` (by default those of `experiments.keys.RESOURCES`) that skips add to. It is 1
with every skip and 0 with none, so `cost.weight` is what all skips together cost in units of the loss, whatever the
network and the target.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import costmodel
from costmodel import targets
from costmodel.targets import Target
from experiments.config import Config, ConfigError, bits_of
from experiments.keys import KEYS, RESOURCES
from tailor_jax import rewrite
from tailor_jax.dataflow import folding_file
from tailor_jax.dataflow.folding import Folding, covers
from tailor_jax.graph import Graph, GraphError
from tailor_jax.ops import STREAMED

FOLDING = 'folding.json'
EXPORTED = 'dataflow'  # the target of every run's design, whatever its skips are priced on


@dataclasses.dataclass(frozen=True)
class HardwareCost:
    """The cost term of one graph on one target: callable on {gate: P(open)}, differentiable, jittable and hashable by
    identity of its inputs.
    """

    graph: Graph
    target: Target
    resources: tuple[str, ...]

    @functools.cached_property
    def table(self) -> costmodel.CostTable:
        return costmodel.tabulate(self.graph, self.target)

    @functools.cached_property
    def bounds(self) -> dict[str, tuple[int, int]]:
        """{resource: (with no skip, with every skip)} for those that skips add to."""
        ends = [
            costmodel.evaluate(rewrite.binarize(self.graph, dict.fromkeys(self.graph.gates, value)), self.target).total
            for value in (0, 1)
        ]
        return {
            resource: (ends[0][resource], ends[1][resource])
            for resource in self.resources
            if ends[0][resource] < ends[1][resource]
        }

    def __call__(self, p: Mapping):
        expected = costmodel.expected(self.table, p)
        return self.share(expected)

    def share(self, total: Mapping):
        """The mean above, of any {resource: value}."""
        parts = [(total[resource] - none) / (every - none) for resource, (none, every) in self.bounds.items()]
        return sum(parts) / len(parts) if parts else 0.0


def target_of(config: Config, name: str = '') -> Target:
    """The hardware target that a config describes: the one that skips are priced on, `cost.target`, or that of a name.

    Its settings are handed on as they are, with the widths of `quant`. Raises ConfigError naming the section or the key
    that is wrong.
    """
    name = name or config.cost.target
    if name not in targets.TARGETS:
        raise ConfigError(f'config.cost.target is {name!r}; expected one of {", ".join(targets.TARGETS)}')
    module, section = targets.TARGETS[name], config.cost[name]
    given = {key: value for key, value in section.items() if value is not None}
    try:
        settings = {key: module.SETTINGS[key].check.of_text(key, value) for key, value in given.items()}
        target = module.make(**settings, **_widths(config, name))
        targets.check_policy(target, settings)
    except costmodel.CostError as error:
        raise ConfigError(f'{section.where}: {error}') from None
    return target


def _widths(config: Config, name: str) -> dict[str, Any]:
    """The settings of a target that are keys of `quant`. Raises ConfigError where single nodes have widths of their own
    and the target has one for all.
    """
    known = targets.TARGETS[name].SETTINGS
    found: dict[str, Any] = {key: config.quant[key] for key in ('weight_bits', 'activation_bits')}
    for key in ('weight_bits_of', 'activation_bits_of'):
        widths = bits_of(config, f'quant.{key}')
        if key in known:
            found[key] = widths
        elif widths:
            raise ConfigError(
                f'config.quant.{key} gives single nodes a width, but a target {name!r} has one for all; leave it out '
                f'with cost.target={name}'
            )
    return found


def dataflow_of(config: Config) -> costmodel.Dataflow:
    """The streaming design that a config describes, the one that is exported, whatever skips are priced on."""
    return cast(costmodel.Dataflow, target_of(config, EXPORTED))


def settled_of(config: Config, graph: Graph, name: str = '') -> Target:
    """The target of a config with all that is decided once for a network. Raises ConfigError as `cost_of` does."""
    name = name or config.cost.target
    target = target_of(config, name)
    with _telling(config, name):
        return targets.settled(graph, target)


def comparable(graph: Graph, target: Target) -> Target:
    """The target for a network that may be none of those it was settled for: settled anew where its folding lacks a
    node."""
    folding = getattr(target, 'folding', None)
    if folding is None or covers(folding, rewrite.fold(graph)):
        return target
    return targets.settled(graph, dataclasses.replace(cast(Any, target), folding=None))


@contextlib.contextmanager
def _telling(config: Config, name: str) -> Iterator[None]:
    """Errors of a target as those of a config."""
    try:
        yield
    except costmodel.CostError as error:
        raise ConfigError(f'{config.cost[name].where}: {error}') from None
    except GraphError as error:
        hint = '; cost.target=pe_array prices every op' if name == config.cost.target == 'dataflow' else ''
        raise ConfigError(f'config.cost.target is {name!r}: {error}{hint}') from None


def keep_folding(config: Config, graph: Graph, workdir: Path) -> None:
    """Writes how far the layers of a run's design are unrolled, whichever skips will be left, to W/folding.json; not of
    a network that no streaming design runs.

    Raises GraphError where what is there is damaged, FileExistsError where it is of another design.
    """
    folded, path = rewrite.fold(graph), workdir / FOLDING
    if not {node.op for node in folded.nodes} <= STREAMED:
        return
    target = cast(costmodel.Dataflow, settled_of(config, graph, EXPORTED))
    assert isinstance(target.folding, Folding), 'it is settled'
    if not path.exists():
        folding_file.save(path, target.folding, costmodel.evaluate(graph, target).total['interval_cycles'])
    elif folding_file.load(path, folded)[0] != target.folding:
        raise FileExistsError(
            f'{path} is another folding than config.cost.dataflow gives now, so it was edited, or the file that it '
            'came from; put back what it was, or delete it to go on with that of now'
        )


def kept_design(config: Config, graph: Graph, workdir: Path) -> costmodel.Dataflow:
    """The streaming design of a finished run: the target with the folding of W/folding.json.

    Args:
      config: of the run.
      graph: with every skip.
      workdir: W.
    """
    target = dataflow_of(config)
    if not (workdir / FOLDING).exists():  # it says what the network has that no design runs
        return cast(costmodel.Dataflow, targets.settled(graph, target))
    folding, _ = folding_file.load(workdir / FOLDING, rewrite.fold(graph))
    return dataclasses.replace(target, folding=folding)


def check_sections(config: Config) -> None:
    """Raises ConfigError for a setting of a target that neither prices the skips nor is exported."""
    for name in targets.TARGETS:
        for key, value in config.cost[name].items():
            if name not in (config.cost.target, EXPORTED) and value != KEYS[f'cost.{name}.{key}'].default:
                raise ConfigError(
                    f'config.cost.{name}.{key} is {value!r}, but config.cost.target is {config.cost.target!r}; it is a '
                    f'setting of {name}'
                )


def cost_of(config: Config, graph: Graph, charged: bool = True) -> HardwareCost:
    """The cost term that a config describes.

    Raises ConfigError for a resource that the target does not price, for settings of another target, and, where
    training is `charged` for it, for a cost that no skip adds to.
    """
    check_sections(config)
    cost = HardwareCost(graph, settled_of(config, graph), tuple(config.cost.resources) or RESOURCES[config.cost.target])
    if config.cost.target != EXPORTED:  # its design before training, not at the export
        with _telling(config, EXPORTED):
            exported = dataflow_of(config)
            targets.check_names(graph, exported)
            if exported.folding:
                targets.settled(graph, exported)
    with _telling(config, config.cost.target):
        priced = cost.table.resources
    for resource in cost.resources:
        if resource not in priced:
            raise ConfigError(
                f'config.cost.resources names {resource!r}; those with an expectation on this target are '
                f'{", ".join(cost.table.resources)}'
            )
    if charged and config.cost.weight > 0 and not cost.bounds:
        raise ConfigError(
            f'config.cost.resources are {", ".join(cost.resources)}; no skip of this network adds to any of them on '
            'this target, '
            f'which prices {", ".join(cost.table.resources)}'
        )
    return cost
