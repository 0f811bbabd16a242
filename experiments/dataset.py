"""The data set and the augmentation that a config names."""

from __future__ import annotations

import dataclasses

from experiments.config import Config, ConfigError
from tailor_jax import data


def load(config: Config) -> data.Source:
    """Opens the data set. Raises DataError, see `data.load`; its arguments are the keys of config.data."""
    chosen = config.data
    try:
        return data.load(
            chosen.name,
            chosen.tfds_dir or None,
            image_size=chosen.image_size or None,
            train_split=chosen.train_split,
            test_split=chosen.test_split or None,
        )
    except data.DataError as error:
        raise data.DataError(f'config.data: {error}') from None


def augmentation(config: Config, source: data.Source, processes: int = 1) -> data.Augment:
    """What training images go through: what `data.augment` says, changed by the keys that are given.

    Raises ConfigError where that does not fit the images, or the batch size over `processes` processes.
    """
    chosen, size = config.data, config.train.batch_size // config.train.accumulate
    usual = data.default_augment(source) if chosen.augment == 'default' else data.Augment()
    given = {key: chosen[key] for key in ('pad', 'flip', 'random_resized_crop') if chosen[key] is not None}
    augment = dataclasses.replace(usual, cutout=chosen.cutout, mixup=chosen.mixup, **given)
    if augment.random_resized_crop and not source.varying:
        raise ConfigError(
            f'config.data.random_resized_crop is True, but that is for sets of varying image size and {source.name} '
            f'is {source.image_shape}; '
            'use config.data.pad'
        )
    if augment.mixup and size % (2 * processes):
        of, over = (
            (f' // config.train.accumulate {parts}' if (parts := config.train.accumulate) > 1 else ''),
            2 * processes,
        )
        raise ConfigError(
            f'config.data.mixup pairs images, so config.train.batch_size{of} must be a multiple of {over}; it is {size}'
        )
    return augment
