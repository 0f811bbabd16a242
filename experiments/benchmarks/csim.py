"""Measures the exporter and its simulations on a ResNet with random 8-bit integers: seconds to write and compile, images/s to simulate.

    python -m experiments.benchmarks.csim                              # ResNet-8, 32x32x3, 16/32/64 channels: 12.5 million MACs an image
    python -m experiments.benchmarks.csim --depth=56 --modes=fast
    python -m experiments.benchmarks.csim --reuse_factor=144 --modes=fast,cycle

The two simulations without a clock run `--images`, the cycle simulation 8. FIFO depths and interval are the cost model's; the interval
that the cycle simulation measures is printed beside it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

import hls_export
from experiments.benchmarks import random_resnet
from hls_export import csim, toolchain

_DEPTH = flags.DEFINE_integer('depth', 8, 'Layers of the ResNet.')
_SIZE = flags.DEFINE_integer('size', 32, 'Height and width of the images.')
_REUSE = flags.DEFINE_integer('reuse_factor', 1, "Upper limit of every layer's reuse factor: each takes its largest that is no larger.")
_IMAGES = flags.DEFINE_integer('images', 200, 'Images to simulate.')
_MODES = flags.DEFINE_list('modes', list(toolchain.MODES), 'Simulations to measure.')


def main(_: list[str]) -> None:
    network, plan, cost = random_resnet.make(_DEPTH.value, _SIZE.value, reuse_limit=_REUSE.value)
    images = random_resnet.images(network, _IMAGES.value)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'project'
        start = time.perf_counter()
        hls_export.write(path, network, plan, images[:8], np.zeros(8, int))
        print(f'write              {time.perf_counter() - start:6.2f} s    (8 test images)')
        hls_export.write(path, network, plan, images, np.zeros(len(images), int), overwrite=True)
        for mode in _MODES.value:
            start = time.perf_counter()
            toolchain.build(path, mode)
            seconds = time.perf_counter() - start
            result = csim.simulate(path, mode, min(8, len(images)) if mode == 'cycle' else None)
            print(
                f'{mode:7} compile    {seconds:6.2f} s    simulate {result["images_per_second"]:8.1f} images/s    '
                f'{result["mismatched_values"]} of {result["values"]} values mismatched'
                + (f'    interval {result["interval_cycles"]} cycles, cost model {cost.total["interval_cycles"]}' if mode == 'cycle' else '')
            )


if __name__ == '__main__':
    app.run(main)
