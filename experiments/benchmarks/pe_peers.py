"""Runs SCALE-Sim and ZigZag on the layers of a network, for `experiments.fidelity.array` to compare.

    pip install -c constraints.txt 'tailor_jax[peers]'
    python -m experiments.benchmarks.pe_peers                                           # all of `RUNS`, some minutes
    python -m experiments.benchmarks.pe_peers --runs=resnet20/scalesim/output_stationary

Writes experiments/fidelity/peers.json: for each run the tool and its version, the seconds of processor time that it
took (imports aside), those that the model takes for the whole network, and a row a layer: cycles of the array and bytes
to and from DRAM. Layers of one shape are run once. Runs that are not asked for stay as they are in the file.

32 x 32 multipliers, 8 bits, one image, three buffers of 256 KiB. SCALE-Sim runs convolutions and dense layers. It knows
no padding and rounds output sizes up; so a layer's input has the rows and columns that its windows cover, (size - 1)
stride + kernel, and its output the network's own size. Its cycles are those without stalls; its DRAM bytes are left
out, as padding would count. ZigZag runs the adds too, two reads and a write each, with input channels in the rows and
output channels in the columns. It looks for the mapping of least energy, DRAM at a hundred times the energy of a
buffer. Its cycles are the ideal ones of that mapping.
"""

from __future__ import annotations

import csv
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import costmodel
from experiments import cli
from experiments.config import ConfigError
from experiments.fidelity import peers
from tailor_jax import files
from tailor_jax.graph import Graph, Node
from tailor_jax.ops import WEIGHTED

RUNS = (
    'resnet20/scalesim/output_stationary',
    'resnet20/scalesim/weight_stationary',
    'resnet20/scalesim/input_stationary',
    'resnet20/zigzag/channel_parallel',
    'resnet18/scalesim/output_stationary',
    'resnet18/zigzag/channel_parallel',
)
PACKAGES = {'scalesim': 'scalesim', 'zigzag': 'zigzag-dse'}


def scalesim(graph: Graph, layers: Sequence[Node], dataflow: str) -> list[dict[str, Any]]:
    """Rows of SCALE-Sim: cycles of each convolution and dense layer."""
    from scalesim.memory import double_buffered_scratchpad_mem
    from scalesim.scale_sim import scalesim as simulator

    # SCALE-Sim takes `int` of arrays of one value, the result of `max`, which NumPy refuses from 2.4 on; so its `max`
    # gives numbers.
    double_buffered_scratchpad_mem.max = lambda *values: np.max(values)
    with tempfile.TemporaryDirectory() as folder:
        config, topology, layout = (Path(folder, name) for name in ('run.cfg', 'topology.csv', 'layout.csv'))
        config.write_text(_scalesim_config(dataflow))
        topology.write_text(
            'name,h,w,fh,fw,c,n,stride,sparsity\n' + ''.join(_scalesim_layer(graph, node) for node in layers)
        )
        layout.write_text('name\n' + ''.join(f'{node.name},{",".join(["1"] * 20)},\n' for node in layers))
        run = simulator(
            save_disk_space=True, verbose=False, config=str(config), topology=str(topology), layout=str(layout)
        )
        run.run_scale(top_path=folder)
        with Path(folder, 'run', 'COMPUTE_REPORT.csv').open() as file:
            reports = list(csv.DictReader(file, skipinitialspace=True))
    return [{'cycles': int(report['Total Cycles'])} for _, report in zip(layers, reports, strict=True)]


def _scalesim_config(dataflow: str) -> str:
    short = {'output_stationary': 'os', 'weight_stationary': 'ws', 'input_stationary': 'is'}[dataflow]
    return f"""[general]
run_name = run
[architecture_presets]
ArrayHeight = 32
ArrayWidth = 32
IfmapSramSzkB = 256
FilterSramSzkB = 256
OfmapSramSzkB = 256
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = {short}
Bandwidth = 10
ReadRequestBuffer = 32
WriteRequestBuffer = 32
[layout]
IfmapCustomLayout = False
FilterCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""


def _scalesim_layer(graph: Graph, node: Node) -> str:
    covered = [(size - 1) * stride + kernel for size, stride, kernel in zip(node.shape, node.stride, node.kernel)]
    entries = (node.name, *covered, *node.kernel, graph.in_shape(node)[2], node.shape[2], node.stride[0], '1:1')
    return ','.join(map(str, entries)) + ',\n'


def zigzag(graph: Graph, layers: Sequence[Node], dataflow: str) -> list[dict[str, Any]]:
    """Rows of ZigZag: cycles and DRAM bytes of each convolution, dense layer and add."""
    import yaml
    from zigzag.api import get_hardware_performance_zigzag

    if dataflow != 'channel_parallel':
        raise ConfigError(f'ZigZag runs channel_parallel, got {dataflow!r}')
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, f'{name}.yaml') for name in ('workload', 'accelerator', 'mapping')}
        contents = (
            [_zigzag_layer(graph, node, index) for index, node in enumerate(layers)],
            _zigzag_array(),
            _zigzag_mapping(),
        )
        for path, content in zip(files.values(), contents):
            path.write_text(yaml.safe_dump(content, sort_keys=False))
        paths = {name: str(path) for name, path in files.items()}
        *_, found = get_hardware_performance_zigzag(
            **paths, opt='energy', dump_folder=folder, loma_show_progress_bar=False
        )
    evaluations = [each for each, _ in found[0][1]]
    return [_zigzag_row(node, each) for node, each in zip(layers, evaluations, strict=True)]


def _zigzag_layer(graph: Graph, node: Node, index: int) -> dict[str, Any]:
    height, width, channels = node.shape
    layer: dict[str, Any] = {
        'id': index,
        'name': node.name,
        'operator_type': 'Add' if node.op == 'add' else 'Conv',
        'operand_source': {},
    }
    layer['operand_precision'] = {'W': 8, 'I': 8, 'O': 32, 'O_final': 8}
    if node.op == 'add':
        layer['equation'] = 'O[g][oy][ox]=W[g][oy][ox]+I[g][oy][ox]'
        return layer | {'loop_dims': ['G', 'OY', 'OX'], 'loop_sizes': [channels, height, width]}
    size_in, (top, bottom, left, right) = graph.in_shape(node), node.padding
    return layer | {
        'equation': 'O[k][oy][ox]+=W[k][c][fy][fx]*I[c][iy][ix]',
        'dimension_relations': [f'ix={node.stride[1]}*ox+1*fx', f'iy={node.stride[0]}*oy+1*fy'],
        'loop_dims': ['K', 'C', 'OY', 'OX', 'FY', 'FX'],
        'loop_sizes': [channels, size_in[2], height, width, *node.kernel],
        'pr_loop_dims': ['IY', 'IX'],
        'pr_loop_sizes': list(size_in[:2]),
        'padding': [[top, bottom], [left, right]],
    }


def _zigzag_array() -> dict[str, Any]:
    def memory(
        size: int, cost: float, operands: Sequence[str], bandwidth: tuple[int, int], served: Sequence[str]
    ) -> dict[str, Any]:
        allocation = [
            f'{operand}, {way}'
            for operand in operands
            for way in (('fh', 'tl', 'fl', 'th') if operand == 'O' else ('fh', 'tl'))
        ]
        kinds = ('read', 'r'), ('write', 'w')
        reads = [each for each in allocation if each[-2:] in ('tl', 'th')]
        ports = [
            {'name': f'{letter}_port_1', 'type': kind, 'bandwidth_min': bandwidth[0], 'bandwidth_max': bandwidth[1]}
            | {'allocation': [each for each in allocation if (each in reads) == (kind == 'read')]}
            for kind, letter in kinds
        ]
        return {
            'size': size,
            'r_cost': cost,
            'w_cost': cost,
            'area': 0.0,
            'latency': 1,
            'operands': list(operands),
            'ports': ports,
        } | {'served_dimensions': list(served)}

    buffer = 8 * (256 << 10)
    return {
        'name': 'array_32x32',
        'memories': {
            'partial_sum': memory(32, 0.02, ['O'], (32, 32), ['D1']),
            'weights': memory(buffer, 20.0, ['I2'], (8, 8192), ['D1', 'D2']),
            'inputs': memory(buffer, 20.0, ['I1'], (8, 8192), ['D1', 'D2']),
            'outputs': memory(buffer, 20.0, ['O'], (8, 8192), ['D1', 'D2']),
            'dram': memory(10**10, 2000.0, ['I1', 'I2', 'O'], (8, 512), ['D1', 'D2']),
        },
        'operational_array': {'unit_energy': 0.04, 'unit_area': 1.0, 'dimensions': ['D1', 'D2'], 'sizes': [32, 32]},
    }


def _zigzag_mapping() -> list[dict[str, Any]]:
    links = {'O': 'O', 'W': 'I2', 'I': 'I1'}
    spatial = {'default': {'D1': ['C, 32'], 'D2': ['K, 32']}, 'Add': {'D1': ['C, 1'], 'D2': ['G, 32']}}
    return [
        {'name': name, 'spatial_mapping': mapping, 'memory_operand_links': links} for name, mapping in spatial.items()
    ]


def _zigzag_row(node: Node, evaluation: Any) -> dict[str, Any]:
    """Cycles and DRAM bytes: what the outermost memory moves of each operand, in all four directions."""
    from zigzag.mapping.data_movement import DataMoveAttr

    row: dict[str, Any] = {'cycles': round(evaluation.ideal_temporal_cycle)}
    names = {'I': 'input_bytes', 'W': 'shortcut_bytes' if node.op == 'add' else 'weight_bytes', 'O': 'output_bytes'}
    for operand in evaluation.layer.layer_operands:
        moved = evaluation.mapping.unit_mem_data_movement[operand][-1]
        amount, width, times = (
            moved.get_attribute(each).data
            for each in (
                DataMoveAttr.DATA_TRANS_AMOUNT_PER_PERIOD,
                DataMoveAttr.DATA_PRECISION,
                DataMoveAttr.DATA_TRANS_PERIOD_COUNT,
            )
        )
        row[names[operand.name]] = round(sum(amount[way] * width[way] * times[way] for way in amount) / 8)
    return row


TOOLS = {'scalesim': (scalesim, WEIGHTED), 'zigzag': (zigzag, WEIGHTED | {'add'})}


def one(run: str) -> dict[str, Any]:
    """A run in this process: its rows and the seconds of processor time that the tool took."""
    network, tool, dataflow = run.split('/')
    simulate, ops = TOOLS[tool]
    graph = peers.network(network)
    layers = [node for node in graph.nodes if node.op in ops]
    shapes = [(node.op, graph.in_shape(node), node.shape, node.kernel, node.stride, node.padding) for node in layers]
    different = dict(zip(reversed(shapes), reversed(layers)))  # the first layer of each shape
    started = time.process_time()
    found = dict(zip(different, simulate(graph, list(different.values()), dataflow)))
    seconds = time.process_time() - started
    version = importlib.metadata.version(PACKAGES[tool])
    rows = [{'layer': node.name, **found[shape]} for node, shape in zip(layers, shapes)]
    return {'run': run, 'version': version, 'seconds': round(seconds, 2), **own_seconds(graph, dataflow), 'rows': rows}


def own_seconds(graph: Graph, dataflow: str) -> dict[str, float]:
    """Processor seconds of the model's first call in this process, and the least of five later ones."""
    times = []
    for _ in range(6):
        started = time.process_time()
        costmodel.evaluate(graph, peers.target(dataflow))
        times.append(time.process_time() - started)
    return {'first_seconds': round(times[0], 4), 'later_seconds': round(min(times[1:]), 5)}


def results(runs: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each run in a process of its own. Raises ConfigError for an unknown run or a tool that is not installed,
    RuntimeError for one that fails.
    """
    for run in runs:
        if run not in RUNS:
            raise ConfigError(f'unknown run {run!r}; the runs are {", ".join(RUNS)}')
        tool = run.split('/')[1]
        if importlib.util.find_spec(tool) is None:
            raise ConfigError(f"{tool} is not installed: pip install -c constraints.txt 'tailor_jax[peers]'")
    for run in runs:
        command = [sys.executable, '-m', 'experiments.benchmarks.pe_peers', f'--one={run}']
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f'{run} failed:\n{done.stderr[-2000:]}')
        yield json.loads(done.stdout.splitlines()[-1])


def main(options: Any) -> None:
    if options.one:
        print('\n' + json.dumps(one(options.one)))
        return
    path = Path(options.out)
    known = peers.load(path) if path.exists() else {}
    for found in results(options.runs.split(',')):
        known[found['run']] = found
        files.write(path, peers.text(known[run] for run in RUNS if run in known))
        print(
            f'{found["run"]}: {found["seconds"]} s, the model {found["first_seconds"]} s, later '
            f'{found["later_seconds"]} s',
            flush=True,
        )


if __name__ == '__main__':
    _FLAGS = {
        'runs': (','.join(RUNS), 'network/tool/dataflow of each run, separated by commas.'),
        'out': (str(peers.FILE), 'File to write or to bring up to date.'),
        'one': ('', 'A run to do in this process, printing its rows as JSON; what the others are started with.'),
    }
    cli.run(main, _FLAGS)
