"""The PE-array target, as `costmodel.targets` asks for it."""

from __future__ import annotations

from costmodel.array import evaluate as array
from costmodel.array.evaluate import REDUCTIONS, evaluate, monotone
from costmodel.array.settings import SETTINGS
from costmodel.array.settings import PEArray as Settings
from costmodel.array.settings import pe_array as make
from costmodel.cost import Cost
from costmodel.expectation.chain import Evaluator
from tailor_jax.graph import Graph

__all__ = [
    'HAS_FIFOS',
    'LIMITED',
    'PICTURED',
    'REDUCTIONS',
    'SETTINGS',
    'SKIPS_ADD_TO',
    'TOTALS',
    'Settings',
    'capacity',
    'evaluate',
    'evaluator',
    'images_per_second',
    'make',
    'monotone',
    'parts',
    'settled',
]

TOTALS = ()
SKIPS_ADD_TO = ('dram_bytes', 'cycles')
LIMITED = ('dram_bytes', 'dram_feature_map_bytes', 'buffer_bytes', 'cycles', 'energy_pj')
HAS_FIFOS = False
PICTURED = ('dram_bytes', 'cycles')
_MOVED = {
    'inputs': 'dram_input_bytes',
    'weights': 'dram_weight_bytes',
    'outputs': 'dram_output_bytes',
    'shortcuts': 'dram_shortcut_bytes',
}


def evaluator(target: Settings) -> Evaluator:
    return Evaluator(REDUCTIONS, lambda graph: array.chains(graph, target), array.choice(target))


def settled(graph: Graph, target: Settings) -> Settings:
    """Nothing of it is decided network by network."""
    return target


def capacity(target: Settings) -> dict[str, int]:
    return {'buffer_bytes': target.sram_bytes}


def images_per_second(cost: Cost) -> float:
    """0 of a network that computes nothing, which has no time of its own."""
    busy = cost.total['cycles']
    return cost.target.batch * cost.target.clock_mhz * 1e6 / busy if busy else 0.0


def parts(cost: Cost, resource: str) -> dict[str, dict[str, float]]:
    """DRAM bytes by what is moved, cycles by what takes them; other resources whole."""
    if resource == 'dram_bytes':
        return {part: {row['name']: row[key] for row in cost.blocks} for part, key in _MOVED.items()}
    if resource == 'cycles':
        busy = {row['name']: row['compute_cycles'] for row in cost.blocks}
        return {
            'array': busy,
            'waiting for DRAM': {row['name']: row['cycles'] - busy[row['name']] for row in cost.blocks},
        }
    return {resource: {row['name']: row[resource] for row in cost.blocks}}
