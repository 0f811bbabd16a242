"""Our C simulation beside hls4ml's, in one run, on one network: the QONNX file of a ResNet with random 8-bit integers.

    python -m experiments.benchmarks.hls4ml_compare                           # ResNet-8, 32x32x3, 16/32/64 channels
    python -m experiments.benchmarks.hls4ml_compare --size=8 --width=4        # a small one

Both get the same integers: ours from the integer graph, hls4ml's from `hls_export.qonnx.model` through the qonnx
package's channels-last conversion. Printed for each are the seconds to write and to compile, the images/s of its C
simulation and how many logits differ from the integer reference. Needs "pip install tailor_jax[qonnx]"; hls4ml is
installed with tailor_jax. Exits with 1 if a logit differs.

hls4ml's default precision only reaches what its passes leave without a type, the input for one; it must hold the
input's rounding.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import hls_export
from experiments import cli
from experiments.benchmarks import random_resnet
from experiments.config import ConfigError
from hls_export import csim, qonnx, toolchain
from tailor_jax.integers.qgraph import QGraph, run_int

IO_TYPES = ('io_stream', 'io_parallel')


def hls4ml_model(network: QGraph, folder: Path, io_type: str, precision: str) -> Any:
    """hls4ml's model of the network's QONNX file."""
    import hls4ml
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
    from qonnx.util.cleanup import cleanup_model

    wrapped = cleanup_model(ModelWrapper(qonnx.model(network)))
    wrapped = cleanup_model(wrapped.transform(ConvertToChannelsLastAndClean(make_input_channels_last=True)))
    config = hls4ml.utils.config.config_from_onnx_model(
        wrapped, granularity='name', backend='Vitis', default_precision=precision
    )
    made = hls4ml.converters.convert_from_onnx_model(
        wrapped, hls_config=config, output_dir=str(folder), backend='Vitis', io_type=io_type
    )
    made.write()
    return made


def timed(function: Any, *arguments: Any) -> tuple[Any, float]:
    """(result, seconds), with what it prints kept off the terminal unless it fails."""
    start, said = time.perf_counter(), io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            result = function(*arguments)
    except Exception:
        print(said.getvalue()[-2000:], file=sys.stderr)
        raise
    return result, time.perf_counter() - start


def report(
    name: str, write: float, compile_seconds: float, images_per_second: float, different: int, values: int
) -> None:
    print(
        f'{name:28} write {write:5.2f} s   compile {compile_seconds:6.2f} s   simulate {images_per_second:8.1f} '
        'images/s   '
        f'{different} of {values} logits differ',
        flush=True,
    )


def main(options: Any) -> None:
    if options.io_type not in IO_TYPES:
        raise ConfigError(f'--io_type is {options.io_type!r}; expected one of {", ".join(IO_TYPES)}')
    network, plan, _cost = random_resnet.make(options.depth, options.size, options.width)
    images = random_resnet.images(network, options.images)
    few = images[: options.hls4ml_images]
    expected = run_int(network, few)
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'project'
        _, write = timed(lambda: hls_export.write(path, network, plan, images[:8], np.zeros(8, int)))
        hls_export.write(path, network, plan, images, np.zeros(len(images), int), overwrite=True)
        _, seconds = timed(lambda: toolchain.build(path, 'fast'))
        cores = sorted(os.sched_getaffinity(0))
        rates = []
        for used in (cores, cores[:1]):
            os.sched_setaffinity(0, used)
            result = csim.simulate(path, 'fast')
            rates.append(result['images_per_second'])
            different += result['mismatched_values']
            label = f'tailor_jax fast, {len(used)} core{"s" if len(used) > 1 else ""}'
            report(label, write, seconds, result['images_per_second'], result['mismatched_values'], result['values'])
        os.sched_setaffinity(0, cores)

        made, write = timed(lambda: hls4ml_model(network, Path(folder) / 'hls4ml', options.io_type, options.precision))
        _, seconds = timed(made.compile)
        real = np.ascontiguousarray(few, np.float32) * np.float32(network.input.out.step)
        logits, simulate = timed(lambda: made.predict(real))
        wrong = int(
            (np.asarray(logits, np.float64).reshape(expected.shape) / network.output.out.step != expected).sum()
        )
        report(f'hls4ml {options.io_type}', write, seconds, len(few) / simulate, wrong, expected.size)
        times = ' and '.join(f'{rate * simulate / len(few):.0f}' for rate in rates)
        print(f'tailor_jax / hls4ml          {times} times as many images/s on all cores and on one; hls4ml uses one')
    sys.exit(1 if different or wrong else 0)


if __name__ == '__main__':
    _FLAGS = {
        'depth': (8, 'Layers of the ResNet.'),
        'size': (32, 'Height and width of the images.'),
        'width': (16, 'Channels of the first stage.'),
        'images': (1000, 'Images for our simulation.'),
        'hls4ml_images': (40, "Images for hls4ml's, the first of ours."),
        'io_type': (IO_TYPES[0], f"hls4ml's architecture, one of {', '.join(IO_TYPES)}; ours is a stream."),
        'precision': ('fixed<16,6>', "hls4ml's default precision."),
    }
    cli.run(main, _FLAGS)
