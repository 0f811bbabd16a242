"""The hardware term of the loss, made from a config.

With C_r(all) and C_r(none) the exact cost of resource r with every skip kept and with none, and E[C_r] its expectation
under the gates:

    cost(p) = mean over r of (E[C_r](p) - C_r(none)) / (C_r(all) - C_r(none))

over the resources of `cost.resources` (by default those of `config.RESOURCES`) that skips add to. It is 1 with every
skip and 0 with none, so `cost.weight` is what all skips together cost in units of the loss, whatever the network and
the target.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import costmodel
from costmodel.targets import Target
from experiments.config import RESOURCES, Config, ConfigError, bits_of
from experiments.methods import METHODS
from tailor_jax import rewrite
from tailor_jax.graph import Graph, GraphError


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


def target_of(config: Config) -> Target:
    """The hardware target that a config describes, the one that skips are priced on."""
    match config.cost.target:
        case 'dataflow':
            return dataflow_of(config)
        case 'pe_array':
            return pe_array_of(config)
        case _:
            raise ConfigError(f'config.cost.target is {config.cost.target!r}; expected one of {", ".join(RESOURCES)}')


def dataflow_of(config: Config) -> costmodel.Dataflow:
    """The streaming design that a config describes, the one that is exported, whatever skips are priced on."""
    cost = config.cost
    return costmodel.dataflow(
        device=cost.device,
        fifo_policy=cost.fifo_policy,
        weight_bits=config.quant.weight_bits,
        activation_bits=config.quant.activation_bits,
        interval_cycles=cost.interval_cycles or None,
        process_latency_cycles=cost.process_latency_cycles,
        weight_bits_of=bits_of(config, 'quant.weight_bits_of'),
        activation_bits_of=bits_of(config, 'quant.activation_bits_of'),
    )


def pe_array_of(config: Config) -> costmodel.PEArray:
    """The PE array that a config describes. Raises ConfigError where single nodes have widths of their own."""
    for key in ('quant.weight_bits_of', 'quant.activation_bits_of'):
        if bits_of(config, key):
            raise ConfigError(
                f'config.{key} gives single nodes a width, but a PE array has one for all; leave it out with '
                'cost.target=pe_array'
            )
    cost = config.cost
    settings = {
        key: cost[key]
        for key in ('policy', 'rows', 'columns', 'dataflow', 'sram_bytes', 'bandwidth_gb_s', 'batch', 'fuse_add')
    }
    return costmodel.pe_array(
        cost.preset, **settings, weight_bits=config.quant.weight_bits, activation_bits=config.quant.activation_bits
    )


def cost_of(config: Config, graph: Graph) -> HardwareCost:
    """The cost term that a config describes. Raises ConfigError for a resource that the target does not price."""
    cost = HardwareCost(graph, target_of(config), tuple(config.cost.resources) or RESOURCES[config.cost.target])
    try:
        priced = cost.table.resources
    except GraphError as error:
        raise ConfigError(
            f'config.cost.target is {config.cost.target!r}: {error}'
            + ('; cost.target=pe_array prices every op' if config.cost.target == 'dataflow' else '')
        ) from None
    for resource in cost.resources:
        if resource not in priced:
            raise ConfigError(
                f'config.cost.resources names {resource!r}; those with an expectation on this target are '
                f'{", ".join(cost.table.resources)}'
            )
    if METHODS[config.method].gates == 'learned' and config.cost.weight > 0 and not cost.bounds:
        raise ConfigError(
            f'config.cost.resources are {", ".join(cost.resources)}; no skip of this network adds to any of them on '
            'this target, '
            f'which prices {", ".join(cost.table.resources)}'
        )
    return cost
