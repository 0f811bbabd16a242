"""Tailor's figures of a 2-D array: -45 % memory bandwidth and +30 % performance without the skips of ResNet-50. Which
settings give them?

Tailor (arXiv 2301.07247) names neither the array nor its memory in what we could read. So every combination of the
settings below is priced, before and after all skips are removed, projections included. Bandwidth is DRAM bytes,
performance is 1 / cycles, and cycles are max(compute, memory) layer by layer.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator

import numpy as np

import costmodel
from costmodel.array import compute
from costmodel.array.evaluate import POLICIES
from costmodel.array.layers import layer_graph
from costmodel.array.settings import DATAFLOWS, PEArray
from tailor_jax import build, rewrite
from tailor_jax.array_schedule import LayerGraph

BYTES, PERFORMANCE = -0.45, 0.30
MEMORIES = (
    ('layer_by_layer', False, 256 << 10),
    ('layer_by_layer', True, 256 << 10),
    ('retain', False, 256 << 10),
    ('retain', False, 2 << 20),
)
BATCHES = (1, 2, 3, 4, 8)
SIDES = (8, 16, 32, 64)
BANDWIDTHS = (2, 4, 8, 16, 32, 64, 128)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting and what removing skips changes: DRAM bytes, feature-map bytes and performance, as fractions."""

    policy: str
    fuse_add: bool
    sram_bytes: int
    batch: int
    dataflow: str
    side: int
    bytes_per_cycle: int
    dram: float
    maps: float
    performance: float

    @property
    def distance(self) -> float:
        """The larger of the two misses."""
        return max(abs(self.dram - BYTES), abs(self.performance - PERFORMANCE))


@functools.cache
def settings(network: str = 'resnet50') -> tuple[Setting, ...]:
    """Every combination, priced."""
    return tuple(each for memory in MEMORIES for batch in BATCHES for each in _priced(network, *memory, batch))


def closest(found: tuple[Setting, ...]) -> Setting:
    """The setting that misses the two figures by the least, to a tenth of a point; the first of equals."""
    return min(found, key=lambda each: round(each.distance, 3))


def _priced(network: str, policy: str, fuse_add: bool, sram_bytes: int, batch: int) -> Iterator[Setting]:
    target = costmodel.pe_array('tailor_2d', policy=policy, fuse_add=fuse_add, sram_bytes=sram_bytes, batch=batch)
    graph = build.named(network)
    plans = [
        layer_graph(rewrite.fold(rewrite.binarize(graph, dict.fromkeys(graph.gates, gate))), target) for gate in (1, 0)
    ]
    moved = [POLICIES[policy].run(each, POLICIES[policy].start, target)[0] for each in plans]
    loads = [np.array([traffic.dram_bytes for traffic in each]) for each in moved]
    maps = [sum(traffic.dram_bytes - traffic.weight_bytes for traffic in each) for each in moved]
    for dataflow, side in itertools.product(DATAFLOWS, SIDES):
        array = dataclasses.replace(target, dataflow=dataflow, rows=side, columns=side)
        busy = [_busy(each, array) for each in plans]
        for bytes_per_cycle in BANDWIDTHS:
            before, after = (np.maximum(cycles, -(-load // bytes_per_cycle)).sum() for cycles, load in zip(busy, loads))
            dram, share, performance = (
                float(one / other - 1) for one, other in ((loads[1].sum(), loads[0].sum()), maps[::-1], (before, after))
            )
            yield Setting(
                policy, fuse_add, sram_bytes, batch, dataflow, side, bytes_per_cycle, dram, share, performance
            )


def _busy(network: LayerGraph, target: PEArray) -> np.ndarray:
    return np.array([compute.cycles(network, layer, target) for layer in network.layers])
