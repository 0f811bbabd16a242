"""Measures the input pipeline alone: images/s of batches as the trainer takes them, on device, augmented and normalized.

    python -m experiments.benchmarks.input_pipeline                              # digits and photo_digits, then a table
    python -m experiments.benchmarks.input_pipeline --names=photo_digits --batch_size=256
    python -m experiments.benchmarks.input_pipeline --names= --photographs       # an ImageNet-like set of JPEGs made for this

`make` is `data.train_batches` in the calling thread; `prefetched` adds `data.prefetch` and the copy to the device, the
consumer doing nothing; `busy` is the share of one core that making batches takes from a step that consumes `--consumer`
images/s (the training step of ResNet-8 on two cores: about 1,000).
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator

import numpy as np
from absl import flags

from experiments import cli
from tailor_jax import data

_NAMES = flags.DEFINE_list('names', ['digits', 'photo_digits'], 'Data sets.')
_PHOTOGRAPHS = flags.DEFINE_bool('photographs', False, 'Also JPEGs of 500x375 decoded, cropped and resized to 224x224.')
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 128, 'Images per batch.', lower_bound=1)
_SECONDS = flags.DEFINE_float('seconds', 3.0, 'Time per measurement.')
_CONSUMER = flags.DEFINE_float('consumer', 1000.0, 'images/s that the training step consumes.')


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
    return data.load('', write_set(root, 'photographs', {'train': pairs, 'test': pairs[:10]}, shape=(None, None, 3), classes=10, encoding='jpeg'))


def measure(source: data.Source) -> None:
    size = min(_BATCH_SIZE.value, source.train_size)

    def batches():
        return data.train_batches(source, batch_size=size, seed=0, augment=data.default_augment(source))

    make = rate(batches(), size, _SECONDS.value)
    prefetched = rate(data.prefetch(batches()), size, _SECONDS.value)  # the thread ends with the iterator
    shape = 'x'.join(map(str, source.image_shape))
    print(f'| {source.name} | {shape} | {size} | {make:,.0f} | {prefetched:,.0f} | {100 * _CONSUMER.value / make:.1f} % |', flush=True)


def main() -> None:
    print('| set | image | batch | make, images/s | prefetched, images/s | busy |\n|---|---|---|---|---|---|')
    for name in filter(None, _NAMES.value):
        measure(data.load(name))
    if _PHOTOGRAPHS.value:
        with tempfile.TemporaryDirectory() as root:
            measure(photographs(root))


if __name__ == '__main__':
    cli.run(main)
