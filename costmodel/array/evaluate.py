"""The exact cost of a graph on the PE-array target.

    evaluate(graph, target)   a row of integers per node of the folded graph, blocks, totals
    chains(graph, target)     the same for every setting of the gates, stretch by stretch

A layer's reads of inputs and weights, its cycles and its occupancy of the buffers stand in the row of its first node,
the read of a shortcut in the row of the add, the write of results in the row of the node that makes the last of them.
Everything is for the batch. A gated add is priced as open.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from costmodel.array import compute, energy
from costmodel.array.layers import layer_graph
from costmodel.array.policies.layer_by_layer import LAYER_BY_LAYER
from costmodel.array.policies.policy import Policy, Traffic
from costmodel.array.policies.retain import RETAIN
from costmodel.array.policies.shortcut_fusion import SHORTCUT_FUSION, block
from costmodel.array.policies.shortcut_mining import SHORTCUT_MINING
from costmodel.array.settings import PEArray
from costmodel.cost import Cost, CostError, TooSmall, by_block, reduced
from costmodel.expectation.chain import Chain, Choice, Run, carried, settings
from costmodel.expectation.stretches import Stretch, stretches
from tailor_jax import rewrite
from tailor_jax.array_schedule import LayerGraph
from tailor_jax.graph import Graph

REDUCTIONS = {
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
POLICIES: dict[str, Policy] = {
    'layer_by_layer': LAYER_BY_LAYER,
    'retain': RETAIN,
    'shortcut_mining': SHORTCUT_MINING,
    'shortcut_fusion': SHORTCUT_FUSION,
}


def evaluate(graph: Graph, target: PEArray) -> Cost:
    """Prices a graph, with or without learnable gates (gated adds count as open).

    A policy that chooses among alternatives takes the one of the fewest DRAM bytes that fits; it is the `target` of the
    result.

    Raises:
      GraphError, CostError: for a node without a place on the array, or a layer that the buffers are too small for
        (TooSmall).
    """
    policy, network = POLICIES[target.policy], layer_graph(rewrite.fold(graph), target)
    tried = [(policy.run(network, policy.start, each)[0], each) for each in _alternatives(graph, target)]
    taken = [max((traffic.buffer_bytes for traffic in moved), default=0) for moved, _ in tried]
    if min(taken) > target.sram_bytes:
        raise CostError(
            f'policy {target.policy} takes at least {min(taken)} bytes of buffers for this network, and sram_bytes is '
            f'{target.sram_bytes}; give more, or another preset'
        )
    fitting = [each for each, size in zip(tried, taken) if size <= target.sram_bytes]
    moved, chosen = min(fitting, key=lambda each: sum(traffic.dram_bytes for traffic in each[0]))
    nodes = price(network, moved, chosen)
    return Cost(chosen, reduced(nodes, REDUCTIONS), nodes, by_block(nodes, REDUCTIONS), [])


def chains(graph: Graph, target: PEArray) -> list[Chain]:
    """The costs of every setting of the gates, a chain for each alternative of the policy."""
    parts = stretches(graph)

    def runs(each: PEArray) -> list[tuple[tuple[str, ...], Run]]:
        return [(part.graph.gates, functools.partial(_run, part, _within(part, each))) for part in parts]

    try:
        return [carried(runs(each), POLICIES[target.policy].start, REDUCTIONS) for each in _alternatives(graph, target)]
    except TooSmall:
        raise max(_too_small(parts, target), key=lambda error: error.least) from None


def _too_small(parts: Sequence[Stretch], target: PEArray) -> Iterator[TooSmall]:
    """What stretches that need more room than there is say of it, setting by setting; it depends on no state."""
    for part in parts:
        for setting in settings(part.graph.gates):
            try:
                _run(part, target, setting, POLICIES[target.policy].start)
            except TooSmall as error:
                yield error


def choice(target: PEArray) -> Choice | None:
    """How one of several alternatives is chosen."""
    if not POLICIES[target.policy].alternatives:
        return None
    return Choice('dram_bytes', 'buffer_bytes', target.sram_bytes, 'sram_bytes', f'policy {target.policy}')


def _alternatives(graph: Graph, target: PEArray) -> Sequence[PEArray]:
    alternatives = POLICIES[target.policy].alternatives
    return alternatives(graph, target) if alternatives else (target,)


def _within(part: Stretch, target: PEArray) -> PEArray:
    """The target with what it says of this part: alternatives that differ elsewhere then share what is known of it."""
    if not target.frame:
        return target
    blocks = {block(node) for node in part.graph.nodes}
    return dataclasses.replace(target, frame=tuple(name for name in target.frame if name in blocks))


def _run(
    part: Stretch, target: PEArray, setting: Mapping[str, int], state: Hashable
) -> tuple[dict[str, int], Hashable]:
    return tabulated(part, target, tuple(setting.items()), state)


@functools.lru_cache(maxsize=1 << 12)
def tabulated(
    part: Stretch, target: PEArray, setting: tuple[tuple[str, int], ...], state: Hashable
) -> tuple[dict[str, int], Hashable]:
    network = _layers(part, dataclasses.replace(target, frame=None) if target.frame is not None else target, setting)
    moved, after = POLICIES[target.policy].run(network, state, target)
    return reduced(price(network, moved, target), REDUCTIONS), after


@functools.lru_cache(maxsize=1 << 10)  # of all settings of ten gates: every cut and every state have the same ones
def _layers(part: Stretch, target: PEArray, setting: tuple[tuple[str, int], ...]) -> LayerGraph:
    return layer_graph(binarized(part.graph, setting), target, part.final)


@functools.lru_cache(maxsize=1 << 12)
def binarized(graph: Graph, setting: tuple[tuple[str, int], ...]) -> Graph:
    return rewrite.fold(rewrite.binarize(graph, dict(setting)))


def monotone(target: PEArray) -> tuple[str, ...]:
    """The resources that removing a skip can never raise."""
    return POLICIES[target.policy].monotone(target)


def price(network: LayerGraph, moved: Sequence[Traffic], target: PEArray) -> list[dict[str, Any]]:
    """The rows of the nodes of a layer graph whose layers move so much."""
    found: dict[str, dict[str, Any]] = {
        node.name: {'name': node.name, 'op': node.op, 'block': node.block, **dict.fromkeys(REDUCTIONS, 0)}
        for node in network.graph.nodes
    }
    fetched = {layer.name: compute.fetched_bits(network, layer, target) for layer in network.layers}
    for layer, traffic in zip(network.layers, moved):
        first, last, add = found[layer.name], found[layer.outputs[-1]], layer.member('add')
        first['dram_input_bytes'] = traffic.input_bytes
        first['dram_weight_bytes'] = traffic.weight_bytes
        first['buffer_bytes'] = traffic.buffer_bytes
        first['macs'] = layer.macs * target.batch
        first['compute_cycles'] = (
            compute.cycles(network, layer, target) if traffic.compute_cycles is None else traffic.compute_cycles
        )
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
