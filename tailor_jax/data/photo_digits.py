"""The embedded set `photo_digits`: handwritten digits on photographs, 32x32x3, as MNIST-M, a TFDS builder.

Made, not downloaded, from what scikit-learn ships: its 1,797 digits and its two photographs. Image i of a split is

    background   a 32x32 crop of a photograph at 1, 1/2, 1/3 or 1/4 of its size, its contrast scaled
    + fragments  halves of other digits, smaller, around the border: what makes a classifier look at the whole
    + the digit  of class i mod 10, scaled, rotated, sheared and moved
    + noise      a few grey levels

where "+" adds a colour offset d to the pixels under a stroke of coverage a, so that the photograph's texture shows
through:

    out = clip(below + a d),   a = clip((v - 4) / 8, 0, 1),   v in 0..16 the digit, bilinearly resampled

The offset goes the way that the colours it covers leave room for, so that the stroke shows. The sign, size and hue of d
differ from image to image.

Training images come from the 1,437 training digits of the set `digits` and test images from its 360 test digits, so
no handwriting is in both. Everything after the random draws is integer arithmetic, so that all machines make the
same bytes; `CHECKSUMS` says which. A smaller config is the first part of a larger one of the same difficulty.
Source of the idea: Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 17, 2016 (MNIST-M).
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from tailor_jax.data import digits

SIZE = 32
CHUNK = 1000  # images drawn from one generator; a config's content depends on it
ONE = 1 << 16  # fixed point 1.0 of coordinates


@dataclasses.dataclass
class PhotoDigitsConfig(tfds.core.BuilderConfig):
    """Size and difficulty of a `photo_digits` set.

    Attributes:
      train_size, test_size: images; both multiples of 10, so that classes are equally frequent.
      contrast: (least, most) offset of a stroke, in grey levels.
      texture: (least, most) fraction of the photograph's contrast that is kept,
      texture_limit: and the greatest standard deviation that it may then have, in grey levels.
      turn: greatest rotation, in degrees, and, in percent, greatest shear.
      scale: (least, most) output pixels per pixel of the 8x8 digit.
      fragments: how many distracting halves of digits.
      noise: greatest noise, in grey levels.
    """

    train_size: int = 50_000
    test_size: int = 10_000
    contrast: tuple[int, int] = (70, 140)
    texture: tuple[float, float] = (0.4, 0.9)
    texture_limit: float = 32.0
    turn: float = 20.0
    scale: tuple[float, float] = (2.0, 3.0)
    fragments: int = 3
    noise: int = 8


CONFIGS = (
    PhotoDigitsConfig(name='full', description='50,000 / 10,000 images.'),
    PhotoDigitsConfig(
        name='small', description='The first 10,000 / 2,000 images of full.', train_size=10_000, test_size=2_000
    ),
    PhotoDigitsConfig(name='tiny', description='The first 500 / 200 images of full.', train_size=500, test_size=200),
    PhotoDigitsConfig(
        name='easy',
        description='No fragments, strong contrast.',
        contrast=(110, 160),
        texture=(0.2, 0.5),
        texture_limit=20.0,
        turn=10.0,
        scale=(2.5, 3.2),
        fragments=0,
    ),
    PhotoDigitsConfig(
        name='hard',
        description='Weak contrast, full texture.',
        contrast=(50, 110),
        texture=(0.6, 1.0),
        turn=30.0,
        scale=(1.7, 2.8),
        fragments=5,
        noise=12,
    ),
)

# sha256 of each split's images followed by its labels (uint8), by config.
CHECKSUMS = {
    'full': {
        'train': 'a69454d0b9b9a6a8c4e34f99d646e79e50d2e3eeced1463d6bdcd63bfa478edf',
        'test': 'e97f23d9c33caf01b045313271ae3e8b512680fc696278e1004db9174a67a073',
    },
    'small': {
        'train': 'e772cf2a4e5fb023793ccb9d3b10b70800c6e9c8ea361427e26a675d0aeb6b50',
        'test': 'de82a960cccec5c677076b941408ac2eb01ab9a97abbe465f48aa938beaee4db',
    },
    'tiny': {
        'train': '3e7a7e5266da0f95aa150482217889322403e53bdc9528c36bdde354e64ffef0',
        'test': 'fae4026064375c62cf62e925c63c5641556edd725052100c3ac743694862e3c6',
    },
    'easy': {
        'train': '89eb4facec7a24226ccdd10465e0e339d3e3275c18bfa3020010371f5bb1b513',
        'test': '84ab45953b5255b0f109dd72d597c9f3d7bc970372e07d61aa60e9af2c571b92',
    },
    'hard': {
        'train': '973d8902b1ab1e3a18b301c79dbe93f68d1f1908f0b20551fa9d30e39e473064',
        'test': '8fea2c62bf60dd7ce9d198017a05c1b8917c37313e9b0f4a8f5c9781cf9b289d',
    },
}


def photo_levels() -> list[list[np.ndarray]]:
    """Returns the two photographs at 1, 1/2, 1/3 and 1/4 of their size: levels[k][photo], int32 [h, w, 3] in 0..255."""
    from sklearn.datasets import load_sample_images

    photos = [np.asarray(photo, np.int32) for photo in load_sample_images().images]
    levels = []
    for k in (1, 2, 3, 4):
        cut = [photo[: photo.shape[0] // k * k, : photo.shape[1] // k * k] for photo in photos]
        levels.append([c.reshape(c.shape[0] // k, k, c.shape[1] // k, k, 3).sum((1, 3)) // k**2 for c in cut])
    return levels


def halves(images: np.ndarray) -> np.ndarray:
    """Returns top, bottom, left and right half of each digit, centred: [n, 8, 8] -> [4 n, 8, 8], zero elsewhere."""
    out = np.zeros((4, *images.shape), images.dtype)
    out[0][:, 2:6], out[1][:, 2:6] = images[:, :4], images[:, 4:]
    out[2][:, :, 2:6], out[3][:, :, 2:6] = images[:, :, :4], images[:, :, 4:]
    return out.reshape(-1, *images.shape[1:])


def render_chunk(
    config: PhotoDigitsConfig, split: str, chunk: int, pool: np.ndarray, labels: np.ndarray, levels: list
) -> np.ndarray:
    """Makes images chunk * CHUNK ... of a split; image i has label i % 10.

    Args:
      config: difficulty.
      split: 'train' or 'test'.
      chunk: which thousand.
      pool: the split's digits, uint8 [n, 8, 8] in 0..16; labels: int [n].
      levels: from `photo_levels`.

    Returns:
      uint8 [CHUNK, 32, 32, 3].
    """
    rng = np.random.default_rng([2, ('train', 'test').index(split), chunk])
    image = _backgrounds(rng, config, levels)
    pieces = halves(pool)
    for _ in range(config.fragments):
        which = rng.integers(len(pieces), size=CHUNK)
        scale = rng.uniform(0.6, 0.9, CHUNK) * np.mean(config.scale)
        angle = rng.uniform(-180, 180, CHUNK)
        coverage = _coverage(pieces[which], scale, angle, np.zeros(CHUNK), _border_places(rng))
        image = _paint(image, coverage, _offsets(rng, config, image, coverage))
    which = np.empty(CHUNK, int)
    for c in range(10):
        which[c::10] = rng.choice(np.flatnonzero(labels == c), CHUNK // 10)
    scale = rng.uniform(*config.scale, CHUNK)
    angle = rng.uniform(-config.turn, config.turn, CHUNK)
    shear = rng.uniform(-config.turn, config.turn, CHUNK) / 100
    room = np.maximum((SIZE - 8 * scale) / 2, 0)[:, None]  # the digit stays inside, but for a turned corner
    centre = (SIZE - 1) / 2 + rng.uniform(-1, 1, (CHUNK, 2)) * room
    coverage = _coverage(pool[which], scale, angle, shear, centre)
    image = _paint(image, coverage, _offsets(rng, config, image, coverage))
    image += rng.integers(-config.noise, config.noise + 1, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def _backgrounds(rng: np.random.Generator, config: PhotoDigitsConfig, levels: list) -> np.ndarray:
    """Draws crops of the photographs, mirrored half the time: int32 [CHUNK, 32, 32, 3]."""
    level, photo, flip = (
        rng.integers(len(levels), size=CHUNK),
        rng.integers(len(levels[0]), size=CHUNK),
        rng.random(CHUNK) < 0.5,
    )
    place = rng.random((CHUNK, 2))
    crops = np.empty((CHUNK, SIZE, SIZE, 3), np.int32)
    for k in range(CHUNK):
        picture = levels[level[k]][photo[k]]
        top, left = (place[k] * (np.array(picture.shape[:2]) - SIZE + 1)).astype(int)
        crop = picture[top : top + SIZE, left : left + SIZE]
        crops[k] = crop[:, ::-1] if flip[k] else crop
    mean = crops.sum((1, 2), keepdims=True) // SIZE**2
    # Sums are exact and the root is correctly rounded.
    deviation = np.sqrt(np.square(crops - mean).sum((1, 2, 3)) / (3 * SIZE**2))
    kept = np.minimum(rng.uniform(*config.texture, CHUNK), config.texture_limit / np.maximum(deviation, 1))
    return mean + (crops - mean) * np.rint(kept * 256).astype(np.int32)[:, None, None, None] // 256


def _border_places(rng: np.random.Generator) -> np.ndarray:
    """Draws centres (y, x) near a side of the image: [CHUNK, 2]."""
    along, depth = rng.uniform(0, SIZE - 1, CHUNK), rng.uniform(0, 5, CHUNK)
    side = rng.integers(4, size=CHUNK)
    depth = np.where(side % 2, SIZE - 1 - depth, depth)
    return np.where((side < 2)[:, None], np.stack([depth, along], 1), np.stack([along, depth], 1))


def _offsets(
    rng: np.random.Generator, config: PhotoDigitsConfig, image: np.ndarray, coverage: np.ndarray
) -> np.ndarray:
    """Draws the colour that a stroke adds: int32 [CHUNK, 3], darker or brighter, whichever what lies under it leaves
    more room for.
    """
    tint = rng.uniform(0.4, 1.0, (CHUNK, 3))
    offset = np.rint(rng.uniform(*config.contrast, (CHUNK, 1)) * tint / tint.max(1, keepdims=True)).astype(np.int32)
    under = (image * coverage[..., None]).sum((1, 2)) // (coverage.sum((1, 2))[:, None] + 1)
    room_up, room_down = np.minimum(255 - under, offset).sum(1), np.minimum(under, offset).sum(1)
    down = room_down * rng.integers(80, 121, CHUNK) > room_up * 100  # near even, either way
    return np.where(down[:, None], -offset, offset)


def _coverage(
    images: np.ndarray, scale: np.ndarray, angle: np.ndarray, shear: np.ndarray, centre: np.ndarray
) -> np.ndarray:
    """Resamples digits bilinearly, in fixed point: uint8 [n, 8, 8], [n], degrees [n], [n], (y, x) [n, 2] -> 0..255,
    int32 [n, 32, 32].

    Output pixel p shows the digit at q = A (p - centre) + 3.5, A = shear(s) rotation(-angle) / scale.
    """
    turn = np.deg2rad(angle)
    cos, sin = np.cos(turn) / scale, np.sin(turn) / scale
    # Rounded to fixed point here, once: what follows is exact whatever the processor's sine.
    yy, yx, xy, xx = (
        np.rint(v * ONE).astype(np.int64)[:, None, None] for v in (cos, -sin, sin + shear * cos, cos - shear * sin)
    )
    grid = np.arange(SIZE, dtype=np.int64) * ONE
    fixed = np.rint(centre * ONE).astype(np.int64)[:, :, None]
    dy, dx = (grid - fixed[:, 0])[:, :, None], (grid - fixed[:, 1])[:, None, :]
    # A border of one zero pixel on each side; whatever lies further out is clipped onto it.
    y = ((yy * dy + yx * dx) // ONE + 7 * ONE // 2 + ONE).clip(0, 9 * ONE - 1)
    x = ((xy * dy + xx * dx) // ONE + 7 * ONE // 2 + ONE).clip(0, 9 * ONE - 1)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1))).astype(np.int32).reshape(-1)
    corner = np.arange(len(images))[:, None, None] * 100 + (y // ONE) * 10 + x // ONE
    v, u = ((y % ONE) >> 8).astype(np.int32), ((x % ONE) >> 8).astype(np.int32)
    top = padded[corner] * (256 - u) + padded[corner + 1] * u
    bottom = padded[corner + 10] * (256 - u) + padded[corner + 11] * u
    value = top * (256 - v) + bottom * v  # 0..16 * 2**16
    return (((value - 4 * ONE) * 255) // (8 * ONE)).clip(0, 255)


def _paint(image: np.ndarray, coverage: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Adds offset [n, 3] where coverage [n, 32, 32] says: int32 [n, 32, 32, 3]."""
    return (image + coverage[..., None] * offset[:, None, None, :] // 255).clip(0, 255)


def generate(config: PhotoDigitsConfig, split: str) -> Iterator[np.ndarray]:
    """Yields a split's images in order, uint8 [at most CHUNK, 32, 32, 3]; image i of the split has label i % 10."""
    images, labels = digits.raw_digits()
    rows = digits.split_indices(labels)[split]
    levels = photo_levels()
    left = config.train_size if split == 'train' else config.test_size
    for chunk in range(-(-left // CHUNK)):
        yield render_chunk(config, split, chunk, images[rows], labels[rows], levels)[: left - chunk * CHUNK]


class PhotoDigits(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """TFDS builder: {'image': uint8 [32, 32, 3], 'label': 0..9}, splits train and test of the config's sizes."""

    name = 'photo_digits'
    VERSION = tfds.core.Version('1.0.0')
    BUILDER_CONFIGS = list(CONFIGS)  # noqa: RUF012 - TFDS's own protocol
    DEFAULT_BUILDER_CONFIG_NAME = 'full'

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description='Handwritten digits of scikit-learn on crops of its photographs, 32x32 colour, with '
            'distracting fragments.',
            features=tfds.features.FeaturesDict(
                {
                    'image': tfds.features.Tensor(
                        shape=(SIZE, SIZE, 3), dtype=np.uint8, encoding=tfds.features.Encoding.BYTES
                    ),
                    'label': tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=('image', 'label'),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        return {split: self._generate_examples(split) for split in ('train', 'test')}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict]]:
        digest, count = hashlib.sha256(), 0
        for images in generate(self.builder_config, split):
            digest.update(images.tobytes())
            for image in images:
                yield count, {'image': image, 'label': count % 10}
                count += 1
        digest.update(bytes(i % 10 for i in range(count)))
        self.info.metadata[f'sha256_{split}'] = digest.hexdigest()
        expected = CHECKSUMS[self.builder_config.name][split]
        if expected != digest.hexdigest():  # another JPEG decoder or random generator: usable, but not comparable
            logging.getLogger(__name__).warning(
                'photo_digits/%s %s: sha256 %s, expected %s. The set was built differently here, so figures may '
                'differ slightly.',
                self.builder_config.name, split, digest.hexdigest(), expected,
            )  # fmt: skip
