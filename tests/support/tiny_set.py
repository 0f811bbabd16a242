"""A prepared data set of a few random images, of any shape, and the config of a run of a few steps on it."""

from pathlib import Path

import numpy as np

from experiments import config as config_lib
from experiments.config import Config, defaults
from tailor_jax.data.write import write_set

CLASSES = 3


def tiny_set(root: Path, shape: tuple[int, int, int]) -> Path:
    """24 training and 8 test images of this shape, in three classes."""
    rng = np.random.default_rng(0)

    def images(count: int):
        return [(rng.integers(0, 256, shape, np.uint8), index % CLASSES) for index in range(count)]

    splits = {'train': images(24), 'test': images(8)}
    return write_set(root, 'tiny', splits, shape=shape, classes=CLASSES, encoding='bytes')


def tiny_config(path: Path) -> Config:
    """Two steps a phase; rates that networks without batch norms bear."""
    config = defaults()
    config.data.name, config.data.tfds_dir = 'tiny', str(path)
    config.train.batch_size = 8
    config.quant.calibration_images = 16
    for phase in config_lib.PHASES:
        config.train[phase].update(epochs=0.67, learning_rate=0.001, clip_norm=1.0)
    return config
