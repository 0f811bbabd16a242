"""The exact cost of a graph on the PE-array target.

    evaluate(graph, target)   a row of integers per node of the folded graph, blocks, totals
    chains(graph, target)     the same for every setting of the gates, stretch by stretch

A layer's reads of inputs and weights, its cycles and its occupancy of the buffers stand in the row of its first node, the read of a shortcut in the
row of the add, the write of results in the row of the node that makes the last of them. Everything is for the batch. A gated add is priced as open.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from costmodel.array import compute, energy
from costmodel.array.layer_by_layer import LAYER_BY_LAYER
from costmodel.array.layers import Plan, plan
from costmodel.array.policy import Policy, Traffic
from costmodel.array.retain import RETAIN
from costmodel.array.stretches import Stretch, stretches
from costmodel.array.target import PEArray
from costmodel.chain import Chain, Choice, Run, carried
from costmodel.cost import Cost, CostError, by_block, reduced
from tailor_jax import rewrite
from tailor_jax.graph import Graph

KINDS = {
    'dram_bytes': 'sum',
    'dram_feature_map_bytes': 'sum',
    'dram_input_bytes': 'sum',
    'dram_weight_bytes': 'sum',
    'dram_output_bytes': 'sum',
    'dram_shortcut_bytes': 'sum',
    'buffer_bytes': 'max',
    'compute_cycles': 'sum',
    'cycles': 'sum',
    'energy_pj': 'sum',
    'macs': 'sum',
}
POLICIES: dict[str, Policy] = {'layer_by_layer': LAYER_BY_LAYER, 'retain': RETAIN}


def evaluate(graph: Graph, target: PEArray) -> Cost:
    """Prices a graph, with or without learnable gates (gated adds count as open).

    A policy that chooses among alternatives takes the one of the fewest DRAM bytes that fits; it is the `target` of the result.

    Raises:
      GraphError, CostError: for a node without a place on the array, or a layer that the buffers are too small for.
    """
    folded = rewrite.fold(graph)
    found = [(each, _rows(folded, each)) for each in _alternatives(graph, target)]
    priced = [(reduced(rows, KINDS), each, rows) for each, rows in found]
    fitting = [each for each in priced if each[0]['buffer_bytes'] <= target.sram_bytes]
    if not fitting:
        least = min(total['buffer_bytes'] for total, _, _ in priced)
        raise CostError(f'policy {target.policy} needs at least {least} bytes of buffers for this network, and sram_bytes is {target.sram_bytes}')
    total, chosen, nodes = min(fitting, key=lambda each: each[0]['dram_bytes'])
    return Cost(chosen, total, nodes, by_block(nodes, KINDS), [], {})


def chains(graph: Graph, target: PEArray) -> list[Chain]:
    """The costs of every setting of the gates, a chain for each alternative of the policy."""
    parts = stretches(graph)

    def runs(each: PEArray) -> list[tuple[tuple[str, ...], Run]]:
        return [(part.graph.gates, functools.partial(_run, part, each)) for part in parts]

    return [carried(runs(each), POLICIES[target.policy].start, KINDS) for each in _alternatives(graph, target)]


def choice(target: PEArray) -> Choice | None:
    """How one of several alternatives is chosen."""
    return Choice('dram_bytes', 'buffer_bytes', target.sram_bytes) if POLICIES[target.policy].alternatives else None


def _alternatives(graph: Graph, target: PEArray) -> Sequence[PEArray]:
    alternatives = POLICIES[target.policy].alternatives
    return alternatives(graph, target) if alternatives else (target,)


def _run(part: Stretch, target: PEArray, setting: Mapping[str, int], state: Hashable) -> tuple[dict[str, int], Hashable]:
    planned = plan(_binarized(part.graph, tuple(setting.items())), target, part.final)
    moved, after = POLICIES[target.policy].run(planned, state, target)
    return reduced(price(planned, moved, target), KINDS), after


@functools.lru_cache(maxsize=1 << 12)
def _binarized(graph: Graph, setting: tuple[tuple[str, int], ...]) -> Graph:
    return rewrite.fold(rewrite.binarize(graph, dict(setting)))


def _rows(folded: Graph, target: PEArray) -> list[dict[str, Any]]:
    policy, planned = POLICIES[target.policy], plan(folded, target)
    return price(planned, policy.run(planned, policy.start, target)[0], target)


def monotone(target: PEArray) -> tuple[str, ...]:
    """The resources that removing a skip can never raise."""
    return POLICIES[target.policy].monotone(target)


def price(planned: Plan, moved: Sequence[Traffic], target: PEArray) -> list[dict[str, Any]]:
    """The rows of the nodes of a plan whose layers move so much."""
    found: dict[str, dict[str, Any]] = {
        node.name: {'name': node.name, 'op': node.op, 'block': node.block, **dict.fromkeys(KINDS, 0)} for node in planned.graph.nodes
    }
    fetched = {layer.name: compute.fetched_bits(planned, layer, target) for layer in planned.layers}
    for layer, traffic in zip(planned.layers, moved):
        first, last, add = found[layer.name], found[layer.outputs[-1]], layer.member('add')
        first['dram_input_bytes'] = traffic.input_bytes
        first['dram_weight_bytes'] = traffic.weight_bytes
        first['buffer_bytes'] = traffic.buffer_bytes
        first['macs'] = layer.macs * target.batch
        first['compute_cycles'] = compute.cycles(planned, layer, target) if traffic.compute_cycles is None else traffic.compute_cycles
        first['cycles'] = _cycles(first['compute_cycles'], traffic, target)
        last['dram_output_bytes'] = traffic.output_bytes
        if add:
            found[add.name]['dram_shortcut_bytes'] = traffic.shortcut_bytes
    for name, row in found.items():
        row['dram_feature_map_bytes'] = row['dram_input_bytes'] + row['dram_output_bytes'] + row['dram_shortcut_bytes']
        row['dram_bytes'] = row['dram_feature_map_bytes'] + row['dram_weight_bytes']
        row['energy_pj'] = energy.picojoules(row, fetched.get(name, 0), target)
    return list(found.values())


def _cycles(computing: int, traffic: Traffic, target: PEArray) -> int:
    """max(compute, memory) with double buffering, else their sum."""
    moving = math.ceil(traffic.dram_bytes / target.dram_bytes_per_cycle) if target.dram_bytes_per_cycle else 0
    return max(computing, moving) if target.double_buffered else computing + moving
