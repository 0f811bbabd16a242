"""Which images a config takes, and what they go through."""

import numpy as np
import pytest
from small_config import small_config

from experiments import config as config_lib
from experiments import dataset, run
from experiments.config import ConfigError
from tailor_jax import data
from tailor_jax.data.write import write_set


def test_the_config_says_what_images_go_through():
    config, source = small_config(), data.load('digits')
    assert dataset.augmentation(config, source) == data.default_augment(source)
    config.data.update(pad=3, cutout=2, mixup=0.3)
    assert dataset.augmentation(config, source) == data.Augment(pad=3, cutout=2, mixup=0.3)
    config.data.update(augment='none', pad=None, flip=True)
    assert dataset.augmentation(config, source) == data.Augment(flip=True, cutout=2, mixup=0.3)
    assert dataset.augmentation(config_lib.from_json(config_lib.to_json(config)), source) == data.Augment(
        flip=True, cutout=2, mixup=0.3
    )
    config.train.batch_size = 6
    with pytest.raises(
        ConfigError,
        match=r'config.data.mixup pairs images, so config.train.batch_size must be a multiple of 4; it is 6',
    ):
        dataset.augmentation(config, source, processes=2)
    config.data.random_resized_crop = True
    with pytest.raises(ConfigError, match=r'config.data.random_resized_crop is True, but .* digits is \(8, 8, 1\)'):
        dataset.augmentation(config, source)


def test_the_config_says_which_images(tmp_path):
    config, rng = small_config(), np.random.default_rng(0)
    pairs = [(rng.integers(0, 256, (20 + i % 5, 30, 3), dtype=np.uint8), i % 3) for i in range(20)]
    directory = write_set(
        tmp_path, 'leaves', {'train': pairs, 'test': pairs[:4]}, shape=(None, None, 3), classes=3, encoding='png'
    )
    config.data.update(
        tfds_dir=str(directory),
        image_size=16,
        train_split='train[:80%]',
        test_split='train[80%:]',
        random_resized_crop=False,
    )
    source = dataset.load(config)
    assert (source.image_shape, source.classes, source.train_size, source.test_size) == ((16, 16, 3), 3, 16, 4)
    assert dataset.augmentation(config, source) == data.Augment(flip=True)
    config.data.test_split = 'validation'
    with pytest.raises(data.DataError, match="there is no split 'validation'"):
        dataset.load(config)


def test_a_batch_that_devices_do_not_divide(tmp_path):
    config = small_config()
    config.train.batch_size = 66
    with pytest.raises(ConfigError, match=r'batch_size 66 is not divisible by 4 devices'):
        run.train(config, tmp_path / 'w', quiet=True)
    assert not (tmp_path / 'w').exists()
