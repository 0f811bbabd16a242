"""The embedded set photo_digits: its bytes, its splits, and that it is what it says."""

import hashlib
import itertools

import numpy as np
import pytest

from tailor_jax import data
from tailor_jax.data import digits, photo_digits

CONFIGS = {config.name: config for config in photo_digits.CONFIGS}


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('TFDS_DATA_DIR', str(tmp_path_factory.mktemp('tfds')))
        return data.load('photo_digits/tiny')


def checksum(split):
    return hashlib.sha256(split.images.tobytes() + split.labels.astype(np.uint8).tobytes()).hexdigest()


def test_content_is_the_recorded_one(source):
    assert (source.image_shape, source.classes, source.train_size, source.test_size) == ((32, 32, 3), 10, 500, 200)
    assert {name: checksum(source.split(name)) for name in ('train', 'test')} == photo_digits.CHECKSUMS['tiny']


def test_every_config_has_checksums():
    assert photo_digits.CHECKSUMS.keys() == CONFIGS.keys()
    assert (CONFIGS['full'].train_size, CONFIGS['full'].test_size) == (50_000, 10_000)
    assert photo_digits.PhotoDigits.DEFAULT_BUILDER_CONFIG_NAME == 'full'


def test_a_smaller_config_is_the_beginning_of_the_full_one(source):
    first = next(photo_digits.generate(CONFIGS['full'], 'test'))
    np.testing.assert_array_equal(source.test.images, first[:200])


def test_classes_are_equally_frequent(source):
    assert set(np.bincount(source.train.labels)) == {50} and set(np.bincount(source.test.labels)) == {20}


def test_handwriting_is_in_one_split_only(monkeypatch):
    """What each split is drawn from: the digits of that split of the set `digits`, for the strokes and the fragments
    alike.
    """
    seen = {}

    def render(config, split, chunk, pool, labels, levels):
        seen[split] = {image.tobytes() for image in pool}
        return np.zeros((photo_digits.CHUNK, 32, 32, 3), np.uint8)

    monkeypatch.setattr(photo_digits, 'render_chunk', render)
    for split in ('train', 'test'):
        list(photo_digits.generate(CONFIGS['tiny'], split))
    images, labels = digits.raw_digits()
    rows = digits.split_indices(labels)
    assert seen == {split: {image.tobytes() for image in images[rows[split]]} for split in rows}
    assert not set(rows['train']) & set(rows['test'])
    assert not seen['train'] & seen['test']


def test_no_image_is_repeated(source):
    images = [image.tobytes() for split in (source.train, source.test) for image in split.images]
    assert len(set(images)) == len(images)


def test_coverage_is_the_bilinear_resampling():
    """The fixed-point resampler against floating point, pixel by pixel."""
    rng = np.random.default_rng(0)
    n = 6
    images = rng.integers(0, 17, (n, 8, 8)).astype(np.uint8)
    scale, angle, shear, centre = (
        rng.uniform(1.7, 3.2, n),
        rng.uniform(-180, 180, n),
        rng.uniform(-0.3, 0.3, n),
        rng.uniform(10, 20, (n, 2)),
    )
    got = photo_digits._coverage(images, scale, angle, shear, centre)
    for k in range(n):
        padded = np.pad(images[k].astype(float), 1)
        cos, sin = np.cos(np.deg2rad(angle[k])) / scale[k], np.sin(np.deg2rad(angle[k])) / scale[k]
        for i, j in itertools.product(range(0, 32, 3), range(0, 32, 3)):
            dy, dx = i - centre[k][0], j - centre[k][1]
            y = np.clip(cos * dy - sin * dx + 4.5, 0, 9 - 1e-6)
            x = np.clip((sin + shear[k] * cos) * dy + (cos - shear[k] * sin) * dx + 4.5, 0, 9 - 1e-6)
            (r, v), (c, u) = divmod(y, 1), divmod(x, 1)
            corners = padded[int(r) : int(r) + 2, int(c) : int(c) + 2]
            value = np.array([1 - v, v]) @ corners @ np.array([1 - u, u])
            assert abs(got[k, i, j] - np.clip((value - 4) / 8, 0, 1) * 255) <= 4


def test_an_upright_digit_stays_upright():
    image = np.zeros((1, 8, 8), np.uint8)
    image[0, :2], image[0, :, 6:] = 16, 16  # top bar, right bar
    one = np.ones(1)
    shown = photo_digits._coverage(image, 3 * one, 0 * one, 0 * one, np.array([[15.5, 15.5]]))[0]
    assert shown[:16].sum() > shown[16:].sum() and shown[:, 16:].sum() > shown[:, :16].sum()


def test_strokes_show():
    """Every digit differs visibly from what it covers: the mean change under the stroke is at least half the least
    contrast.
    """
    for config in (CONFIGS['easy'], CONFIGS['hard']):
        rng = np.random.default_rng(0)
        image = photo_digits._backgrounds(rng, config, photo_digits.photo_levels())
        pool = digits.raw_digits()[0][: photo_digits.CHUNK]
        one = np.ones(len(pool))
        coverage = photo_digits._coverage(pool, 2.5 * one, 0 * one, 0 * one, np.full((len(pool), 2), 15.5))
        painted = photo_digits._paint(image, coverage, photo_digits._offsets(rng, config, image, coverage))
        change = (np.abs(painted - image).max(3) * coverage).sum((1, 2)) / coverage.sum((1, 2))
        assert np.quantile(change, 0.01) > config.contrast[0] / 2
