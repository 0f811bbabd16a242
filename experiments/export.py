"""Exports a trained network as an HLS C++ project.

    python -m experiments.export --workdir=W --out=P --target=dataflow [--overwrite]
    python -m hls_export.csim P

P holds the C++ sources, the test split as test bench data, and hardware.json: what the cost model says of the design.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import costmodel
import hls_export
from experiments import cli
from experiments import config as config_lib
from experiments.config import ConfigError
from experiments.cost import target_of
from tailor_jax import data, qgraph
from tailor_jax.graph import from_json

TARGETS = ('dataflow',)


def export(workdir: Path, out: Path, overwrite: bool = False) -> costmodel.Cost:
    """Writes the project of a finished run; returns the cost model's report of it.

    Raises FileNotFoundError if `workdir` holds no finished training, FileExistsError if `out` exists and `overwrite` is not given.
    """
    for name in ('summary.json', 'config.json', 'graph.json', 'qgraph.npz'):
        if not (workdir / name).exists():
            raise FileNotFoundError(f'{workdir} holds no finished training ({name} is missing); run experiments.train with this --workdir first')
    config = config_lib.from_json((workdir / 'config.json').read_text())
    integers = qgraph.load(workdir / 'qgraph.npz')
    target = target_of(config)
    cost = costmodel.evaluate(from_json((workdir / 'graph.json').read_text()), target)
    device = costmodel.devices.device(target.device)
    plan = hls_export.Plan(
        reuse_factors=cost.reuse_factors,
        fifos={fifo['name']: hls_export.Fifo(fifo['depth'], fifo['storage']) for fifo in cost.fifos},
        part=device.part,
        clock_mhz=target.clock_mhz,
    )
    source = data.load(config.data.name, config.data.tfds_dir or None)
    images, labels = data.arrays(source, 'test')
    hls_export.write(
        out,
        integers,
        plan,
        qgraph.quantize_input(integers, images),
        labels,
        hardware=costmodel.to_json(cost, network=workdir.name),
        overwrite=overwrite,
    )
    return cost


def main(options: Any) -> None:
    workdir, out = Path(cli.required(options, 'workdir', 'runs/mine')), Path(cli.required(options, 'out', 'runs/mine/hls'))
    if options.target not in TARGETS:
        raise ConfigError(f'--target is {options.target!r}; networks can be exported to {", ".join(TARGETS)}')
    cost = export(workdir, out, options.overwrite)
    print(f'wrote {out}: {len(cost.fifos)} FIFOs, ' + ', '.join(f'{key} {value:,}' for key, value in cost.total.items()))
    print(f'simulate it: python -m hls_export.csim {out}')


if __name__ == '__main__':
    _FLAGS = {
        'workdir': ('', 'Workdir of a finished training.'),
        'out': ('', 'Directory of the project to write.'),
        'target': ('dataflow', 'Hardware target of the project.'),
        'overwrite': (False, 'Replace an earlier project in the directory.'),
    }
    cli.run(main, _FLAGS)
