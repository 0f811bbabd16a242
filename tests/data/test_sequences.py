"""Sequences: data of height 1, of any number of channels."""

import numpy as np
from tiny_set import CLASSES, tiny_set

from tailor_jax import data
from tailor_jax.data import augment


def test_a_sequence_is_shifted_along_its_length_and_never_out_of_its_row():
    rng = np.random.default_rng(0)
    images, how = rng.integers(1, 256, (5, 1, 12, 7), np.uint8), data.Augment(pad=3)
    draws = augment.draw(rng, how, 5)
    moved = augment.shift_and_flip(images, np.arange(5), draws, how)
    assert np.abs(draws.shift).max(0).tolist() == [3, 3]
    for image, found, (_, across) in zip(images, moved, draws.shift):
        for column in range(12):
            at = column + across
            wanted = image[0, at] if 0 <= at < 12 else np.zeros(7, np.uint8)
            np.testing.assert_array_equal(found[0, column], wanted)


def test_a_set_of_sequences_is_read_as_it_was_written(tmp_path):
    path = tiny_set(tmp_path, (1, 20, 11))
    source = data.load('tiny', path)
    assert (source.image_shape, source.classes, source.train_size) == ((1, 20, 11), CLASSES, 24)
    assert data.default_augment(source) == data.Augment()
    images, labels = data.arrays(source, 'train')
    written = np.random.default_rng(0).integers(0, 256, (1, 20, 11), np.uint8)
    assert images.shape == (24, 1, 20, 11) and labels.tolist() == [index % CLASSES for index in range(24)]
    restored = images[0] * source.std + source.mean
    np.testing.assert_allclose(restored * 255, written, atol=1e-3)
