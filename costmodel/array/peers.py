"""SCALE-Sim's and ZigZag's rows of a network (`peers.json`, by `python -m experiments.benchmarks.pe_peers`), and this model's beside them.

Neither tool runs a pool in the layer before it, so each layer is priced on its own: a graph of an input and the layer.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import costmodel
from tailor_jax import build, rewrite
from tailor_jax.graph import Graph, Node

FILE = Path(__file__).with_name('peers.json')
SIZES = {'resnet20': 32, 'resnet18': 224}
BYTES = {
    'input_bytes': 'dram_input_bytes',
    'weight_bytes': 'dram_weight_bytes',
    'output_bytes': 'dram_output_bytes',
    'shortcut_bytes': 'dram_shortcut_bytes',
}


@functools.cache
def network(name: str) -> Graph:
    """The folded graph of a network, all skips kept."""
    size = SIZES[name]
    graph = build.named(name, (size, size, 3), None, None, None)
    return rewrite.fold(rewrite.binarize(graph, dict.fromkeys(graph.gates, 1)))


def target(dataflow: str, rereads: bool = False) -> costmodel.PEArray:
    """The array that the tools run: see `experiments/benchmarks/pe_peers.py`."""
    return costmodel.pe_array('scalesim_32x32', dataflow=dataflow, rereads=rereads)


@functools.cache
def runs() -> dict[str, dict[str, Any]]:
    """{network/tool/dataflow: the run, with its rows}."""
    return {run['run']: run for run in json.loads(FILE.read_text())}


@dataclasses.dataclass(frozen=True)
class Pair:
    """A layer's cycles and DRAM bytes by kind, as a tool gives them and as the model does; no bytes from SCALE-Sim."""

    node: Node
    peer_cycles: int
    cycles: int
    peer_bytes: dict[str, int]
    bytes: dict[str, int]

    @property
    def peer_dram_bytes(self) -> int:
        return sum(self.peer_bytes.values())

    @property
    def dram_bytes(self) -> int:
        return sum(self.bytes.values())


@functools.cache
def pairs(run: str, rereads: bool = False) -> tuple[Pair, ...]:
    """The layers of a run, in the tool's order."""
    name, _, dataflow = run.split('/')
    graph, settings = network(name), target(dataflow, rereads)
    found = []
    for row in runs()[run]['rows']:
        node = graph[row['layer']]
        own = costmodel.evaluate(alone(graph, node), settings).total
        moved = {kind: row[kind] for kind in BYTES if kind in row}
        found.append(Pair(node, row['cycles'], own['compute_cycles'], moved, {kind: own[BYTES[kind]] for kind in moved}))
    return tuple(found)


def alone(graph: Graph, node: Node) -> Graph:
    """A graph of one node and what it reads; an add reads its input twice."""
    source = Node('input', 'input', (), graph.in_shape(node))
    return Graph((source, dataclasses.replace(node, inputs=('input',) * len(node.inputs), gate='')))
