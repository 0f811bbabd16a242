"""Measures the input pipeline alone: images/s of batches as the trainer takes them, augmented and normalized.

    python -m experiments.benchmarks.input_pipeline                         # digits and photo_digits, then a table
    python -m experiments.benchmarks.input_pipeline --names=photo_digits --batch_size=256
    python -m experiments.benchmarks.input_pipeline --names= --photographs  # an ImageNet-like set of JPEGs, made here
    python -m experiments.benchmarks.input_pipeline --names= --step         # ResNet-8's step with and without it

`make` is `data.train_batches` in the calling thread; `prefetched` adds `data.prefetch` and the copy to the device, the
consumer doing nothing; `busy` is the share of one core that making batches takes from a step that consumes `--consumer`
images/s (the training step of ResNet-8 on two cores: about 1,000). `--step` alternates between blocks of steps on one
batch that lies on the device and blocks on prefetched batches, and compares the medians of a step's time, and of the
processor time of all threads, which means more on a machine that others use too.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments import cli
from experiments.config import ConfigError
from tailor_jax import data


def rate(batches: Iterator[dict], batch_size: int, seconds: float) -> float:
    """Returns images/s of an endless iterator, after a warm-up of 5 batches."""
    for _ in itertools.islice(batches, 5):
        pass
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(batches)
        count += batch_size
    return count / (time.perf_counter() - start)


def photographs(root: str) -> data.Source:
    """Writes 300 JPEGs made of scikit-learn's photographs as an ImageNet-like set under `root`."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    from tailor_jax.data.write import write_set

    pictures = [Image.fromarray(photo).resize((500, 375)) for photo in load_sample_images().images]
    rng = np.random.default_rng(0)
    pairs = [(np.roll(np.asarray(pictures[i % 2]), rng.integers(500), 1), i % 10) for i in range(300)]
    return data.load(
        '',
        write_set(
            root,
            'photographs',
            {'train': pairs, 'test': pairs[:10]},
            shape=(None, None, 3),
            classes=10,
            encoding='jpeg',
        ),
    )


def measure(source: data.Source, options: Any) -> None:
    size = min(options.batch_size, source.train_size)

    def batches():
        return data.train_batches(source, batch_size=size, seed=0, augment=data.default_augment(source))

    make = rate(batches(), size, options.seconds)
    prefetched = rate(data.prefetch(batches()), size, options.seconds)  # the thread ends with the iterator
    shape = 'x'.join(map(str, source.image_shape))
    print(
        f'| {source.name} | {shape} | {size} | {make:,.0f} | {prefetched:,.0f} | {100 * options.consumer / make:.1f} '
        '% |',
        flush=True,
    )


def measure_step(source: data.Source, batch_size: int, blocks: int) -> list[tuple[float, float]]:
    """Median seconds and processor seconds of a training step on a resident batch, then on prefetched ones."""
    import jax

    from tailor_jax import build, model
    from tailor_jax.train import step
    from tailor_jax.train.recipe import Recipe

    graph = build.resnet(8, source.image_shape, source.classes, 16, 'none')
    recipe = Recipe(steps=100_000, learning_rate=0.1)
    train_step = step.make_train_step(step.Objective(graph), recipe)
    state = step.init_state(model.init(graph, 0), {}, recipe)
    context = step.Context(jax.numpy.int32(0), {}, jax.numpy.float32(0))
    host = data.train_batches(source, batch_size=batch_size, seed=0, augment=data.default_augment(source))
    loop = data.prefetch(host, devices=jax.local_devices())
    resident = next(loop)
    wall: tuple[list[float], list[float]] = ([], [])
    processor: tuple[list[float], list[float]] = ([], [])
    for block in range(2 * blocks + 2):
        fed = block % 2
        busy = time.process_time()
        for _ in range(10):
            start = time.perf_counter()
            state, metrics = train_step(state, next(loop) if fed else resident, context)
            jax.block_until_ready(metrics)
            if block >= 2:  # the first two compile and warm up
                wall[fed].append(time.perf_counter() - start)
        if block >= 2:
            processor[fed].append((time.process_time() - busy) / 10)
    return [(float(np.median(wall[fed])), float(np.median(processor[fed]))) for fed in (0, 1)]


def main(options: Any) -> None:
    if min(options.batch_size, options.blocks) < 1:
        raise ConfigError(f'--batch_size is {options.batch_size} and --blocks is {options.blocks}; expected at least 1')
    print('| set | image | batch | make, images/s | prefetched, images/s | busy |\n|---|---|---|---|---|---|')
    for name in filter(None, options.names.split(',')):
        measure(data.load(name), options)
    if options.photographs:
        with tempfile.TemporaryDirectory() as root:
            measure(photographs(root), options)
    if options.step:
        resident, fed = measure_step(data.load('photo_digits'), options.batch_size, options.blocks)
        for what, (wall, processor) in (('resident batch', resident), ('prefetched', fed)):
            print(
                f'ResNet-8 step, {what}: {1e3 * wall:.1f} ms, {options.batch_size / wall:,.0f} images/s, '
                f'{1e3 * processor:.1f} ms of processor time'
            )
        print(
            f'slowdown {100 * (fed[0] / resident[0] - 1):+.1f} % of time, {100 * (fed[1] / resident[1] - 1):+.1f} % '
            'of processor time'
        )


if __name__ == '__main__':
    _FLAGS = {
        'names': ('digits,photo_digits', 'Data sets, separated by commas.'),
        'photographs': (False, 'Also JPEGs of 500x375 decoded, cropped and resized to 224x224.'),
        'batch_size': (128, 'Images per batch.'),
        'seconds': (3.0, 'Time per measurement.'),
        'step': (False, 'Also the training step of ResNet-8 on photo_digits.'),
        'blocks': (12, 'Blocks of 10 steps, of each kind, for --step.'),
        'consumer': (1000.0, 'images/s that the training step consumes.'),
    }
    cli.run(main, _FLAGS)
