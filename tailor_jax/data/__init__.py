"""Image classification data: embedded and prepared TFDS sets, read without TensorFlow, as deterministic batches."""

from tailor_jax.data.augment import Augment
from tailor_jax.data.description import DataError
from tailor_jax.data.pipeline import arrays, default_augment, eval_batches, steps_per_epoch, train_batches
from tailor_jax.data.prefetch import prefetch
from tailor_jax.data.source import Source, load

__all__ = [
    'Augment',
    'DataError',
    'Source',
    'arrays',
    'default_augment',
    'eval_batches',
    'load',
    'prefetch',
    'steps_per_epoch',
    'train_batches',
]
