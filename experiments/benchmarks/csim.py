"""Measures the exporter and its simulations on a ResNet with random 8-bit integers: seconds to write and compile,
images/s to simulate.

    python -m experiments.benchmarks.csim                              # ResNet-8, 32x32x3: 12.5 million MACs an image
    python -m experiments.benchmarks.csim --depth=56 --modes=fast
    python -m experiments.benchmarks.csim --interval_cycles=16384 --modes=fast,cycle

The two simulations without a clock run `--images`, the cycle simulation 8. FIFO depths and interval are the cost
model's; the interval that the cycle simulation measures is printed beside it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import hls_export
from experiments import cli
from experiments.benchmarks import random_resnet
from experiments.config import ConfigError
from hls_export import csim, toolchain


def main(options: Any) -> None:
    modes = options.modes.split(',')
    if unknown := [mode for mode in modes if mode not in toolchain.MODES]:
        raise ConfigError(f'--modes names {unknown[0]!r}; expected some of {", ".join(toolchain.MODES)}')
    network, plan, cost = random_resnet.make(
        options.depth, options.size, interval_cycles=options.interval_cycles or None
    )
    images = random_resnet.images(network, options.images)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'project'
        start = time.perf_counter()
        hls_export.write(path, network, plan, images[:8], np.zeros(8, int))
        print(f'write              {time.perf_counter() - start:6.2f} s    (8 test images)')
        hls_export.write(path, network, plan, images, np.zeros(len(images), int), overwrite=True)
        for mode in modes:
            start = time.perf_counter()
            toolchain.build(path, mode)
            seconds = time.perf_counter() - start
            result = csim.simulate(path, mode, min(8, len(images)) if mode == 'cycle' else None)
            print(
                f'{mode:7} compile    {seconds:6.2f} s    simulate {result["images_per_second"]:8.1f} images/s    '
                f'{result["mismatched_values"]} of {result["values"]} values mismatched'
                + (
                    f'    interval {result["interval_cycles"]} cycles, cost model {cost.total["interval_cycles"]}'
                    if mode == 'cycle'
                    else ''
                )
            )


if __name__ == '__main__':
    _FLAGS = {
        'depth': (8, 'Layers of the ResNet.'),
        'size': (32, 'Height and width of the images.'),
        'interval_cycles': (0, "Cycles an image that the design is folded for; 0 for the cost model's own."),
        'images': (200, 'Images to simulate.'),
        'modes': (','.join(toolchain.MODES), 'Simulations to measure, separated by commas.'),
    }
    cli.run(main, _FLAGS)
