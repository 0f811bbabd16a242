"""The dataflow target, as `costmodel.targets` asks for it."""

from __future__ import annotations

from costmodel import devices
from costmodel.cost import Cost
from costmodel.expectation.chain import Evaluator
from costmodel.streams import evaluate as streams
from costmodel.streams.evaluate import REDUCTIONS, evaluate, monotone, settled
from costmodel.streams.settings import SETTINGS
from costmodel.streams.settings import Dataflow as Settings
from costmodel.streams.settings import dataflow as make

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

TOTALS = ('latency_cycles',)
SKIPS_ADD_TO = ('lut', 'ff', 'bram18', 'fifo_bits')
LIMITED = ('bram18', 'uram', 'lut', 'ff', 'dsp', 'fifo_bits')
HAS_FIFOS = True
PICTURED = ('bram18', 'lut', 'ff')


def evaluator(target: Settings) -> Evaluator:
    return Evaluator(REDUCTIONS, lambda graph: streams.chains(graph, target))


def capacity(target: Settings) -> dict[str, int]:
    return devices.device(target.device).capacity


def images_per_second(cost: Cost) -> float:
    return cost.target.clock_mhz * 1e6 / cost.total['interval_cycles']


def parts(cost: Cost, resource: str) -> dict[str, dict[str, float]]:
    """Layers; streams between them; and skips: adds with their clones, and every FIFO that feeds an add."""
    found: dict[str, dict[str, float]] = {
        part: {row['name']: 0.0 for row in cost.blocks} for part in ('layers', 'streams', 'skips')
    }
    charged = {
        row['name']: sum(fifo.get(resource, 0) for fifo in cost.fifos if fifo['node'] == row['name'])
        for row in cost.nodes
    }
    for row in cost.nodes:
        block = row['block'] or row['name']
        if row['op'] == 'add':
            found['skips'][block] += row[resource]
            continue
        found['streams'][block] += charged[row['name']]
        found['layers'][block] += row[resource] - charged[row['name']]
    return found
