"""SCALE-Sim's and ZigZag's rows of a network (`peers.json`, by `python -m experiments.benchmarks.pe_peers`), and this
model's beside them.

Neither tool runs a pool in the layer before it, so each layer is priced on its own: a graph of an input and the layer.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import costmodel
from costmodel.cost import CostError
from tailor_jax import build, rewrite
from tailor_jax.fields import Fields, header, read_fields
from tailor_jax.graph import Graph, Node
from tailor_jax.node import NAME

MOST = 1 << 50  # bytes or cycles of a layer
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
    graph = build.named(name, (size, size, 3))
    return rewrite.fold(rewrite.binarize(graph, dict.fromkeys(graph.gates, 1)))


def target(dataflow: str, rereads: bool = False) -> costmodel.PEArray:
    """The array that the tools run: see `experiments/benchmarks/pe_peers.py`."""
    return costmodel.pe_array('scalesim_32x32', dataflow=dataflow, rereads=rereads)


@functools.cache
def runs() -> dict[str, dict[str, Any]]:
    """{network/tool/dataflow: the run, with its rows}."""
    return load(FILE)


def load(path: Path) -> dict[str, dict[str, Any]]:
    """{run: what it gave} of a file of runs. Raises CostError naming the file."""
    fields = read_fields(path, 'peers', 1, CostError)
    found = [_run(run) for run in fields.objects('runs')]
    fields.end()
    return {run['run']: run for run in found}


def _run(fields: Fields) -> dict[str, Any]:
    run: dict[str, Any] = {key: fields.text(key) for key in ('run', 'version')}
    run |= {key: fields.number(key, 0) for key in ('seconds', 'first_seconds', 'later_seconds')}
    run['rows'] = []
    for row in fields.objects('rows'):
        kinds = [kind for kind in row.names() if kind in BYTES]
        run['rows'].append(
            {'layer': row.text('layer', NAME)} | {key: row.integer(key, 0, MOST) for key in ('cycles', *kinds)}
        )
        row.end()
    fields.end()
    return run


def text(runs: Iterable[dict[str, Any]]) -> str:
    """The content of a file of runs, a line for each row."""
    lines = []
    for run in runs:
        head = json.dumps({key: value for key, value in run.items() if key != 'rows'})[:-1]
        lines.append(f'{head}, "rows": [\n' + ',\n'.join(json.dumps(row) for row in run['rows']) + '\n]}')
    return f'{json.dumps(header("peers", 1))[:-1]}, "runs": [\n' + ',\n'.join(lines) + '\n]}\n'


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
        found.append(
            Pair(node, row['cycles'], own['compute_cycles'], moved, {kind: own[BYTES[kind]] for kind in moved})
        )
    return tuple(found)


def alone(graph: Graph, node: Node) -> Graph:
    """A graph of one node and what it reads; an add reads its input twice."""
    source = Node('input', 'input', (), graph.in_shape(node))
    return Graph((source, dataclasses.replace(node, inputs=('input',) * len(node.inputs), gate='')))
