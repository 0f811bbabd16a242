"""Augmentation of a whole batch at once, as index arithmetic on uint8 pixels.

Pad by `pad` pixels, crop back to h x w at a random place, flip: the output pixel (i, j) of image k is the source pixel

    row_k(i) = i + dy_k,   column_k(j) = (w - 1 - j if flip_k else j) + dx_k,   dy_k, dx_k ~ U{-pad..pad}

and zero (or the mirrored pixel, fill='reflect') outside the source; so one gather does all of it, straight from the
array that holds the set. Cutout (DeVries and Taylor 2017) zeroes a square of the normalized image, mixup (Zhang et
al. 2018) blends pairs. Random resized crops (Szegedy et al. 2015), for images of varying size, are boxes that the
decoder takes. All random numbers of a batch are drawn for the *global* batch, so what an image gets does not
depend on how many processes share the work.
"""

from __future__ import annotations

import dataclasses

import numpy as np

CROP_ATTEMPTS = 10


@dataclasses.dataclass(frozen=True)
class Augment:
    """What training images go through. All off by default: `Augment()` is no augmentation.

    Attributes:
      pad: random shift by up to this many pixels, both ways.
      fill: what a shift uncovers: 'zero' (black) or 'reflect'.
      flip: mirror left and right with probability 1/2.
      random_resized_crop: crop area in [min_area, 1] of the image, aspect ratio in [3/4, 4/3], resized to the source's
        image shape. For sets of varying image size only.
      min_area: smallest crop area as a fraction of the image, for random_resized_crop.
      cutout: side in pixels of the square set to the mean colour; 0 is off.
      mixup: alpha of the Beta(alpha, alpha) that mixup blends with; 0 is off. Batches then carry 'soft_label'.
    """

    pad: int = 0
    fill: str = 'zero'
    flip: bool = False
    random_resized_crop: bool = False
    min_area: float = 0.08
    cutout: int = 0
    mixup: float = 0.0

    def __post_init__(self):
        if self.fill not in ('zero', 'reflect'):
            raise ValueError(f"augment fill is {self.fill!r}, expected 'zero' or 'reflect'")
        if min(self.pad, self.cutout, self.mixup) < 0:
            raise ValueError(f'augment pad, cutout and mixup must be >= 0: {self}')
        if not 0 < self.min_area <= 1:
            raise ValueError(f'augment min_area is {self.min_area}, expected a fraction in (0, 1]')


@dataclasses.dataclass(frozen=True)
class Draws:
    """The random numbers of a batch of b images; a slice of them belongs to one process."""

    shift: np.ndarray  # [b, 2] int, (dy, dx)
    flip: np.ndarray  # [b] bool
    cutout: np.ndarray  # [b, 2] in [0, 1), the square's centre
    mixup: np.ndarray  # [b] the weight of the image itself, the same for both of a pair
    area: np.ndarray  # [b, CROP_ATTEMPTS] in [min_area, 1]
    ratio: np.ndarray  # [b, CROP_ATTEMPTS] width / height in [3/4, 4/3]
    place: np.ndarray  # [b, 2] in [0, 1), where in its room the crop lies

    def __getitem__(self, rows: slice) -> Draws:
        return Draws(**{field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)})


def draw(rng: np.random.Generator, augment: Augment, count: int) -> Draws:
    """Draws what `augment` needs for `count` images; every field is always drawn: options do not shift one another."""
    shift = rng.integers(-augment.pad, augment.pad + 1, (count, 2))
    flip = rng.random(count) < 0.5
    cutout = rng.random((count, 2))
    lam = rng.beta(augment.mixup, augment.mixup, (count + 1) // 2) if augment.mixup else np.ones((count + 1) // 2)
    area = rng.uniform(augment.min_area, 1.0, (count, CROP_ATTEMPTS))
    ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3), (count, CROP_ATTEMPTS)))
    return Draws(shift, flip & augment.flip, cutout, np.repeat(lam, 2)[:count], area, ratio, rng.random((count, 2)))


def shift_and_flip(images: np.ndarray, rows: np.ndarray, draws: Draws, augment: Augment) -> np.ndarray:
    """Gathers images[rows], shifted and flipped: uint8 [n, h, w, c], int [b] -> uint8 [b, h, w, c]."""
    if not augment.pad and not augment.flip:
        return images[rows]
    height, width, channels = images.shape[1:]
    across = np.arange(width)
    y = np.arange(height) + draws.shift[:, :1] * (height > 1)  # a sequence stays in its one row
    x = np.where(draws.flip[:, None], across[::-1], across) + draws.shift[:, 1:]
    inside_y, inside_x = (y >= 0) & (y < height), (x >= 0) & (x < width)
    y, x = (
        (_mirror(y, height), _mirror(x, width))
        if augment.fill == 'reflect'
        else (y.clip(0, height - 1), x.clip(0, width - 1))
    )
    # `take` of whole pixels is four times as fast as indexing by three arrays; so are masks over lines of w * c bytes.
    batch = np.take(
        images.reshape(-1, channels), (rows[:, None] * height + y)[:, :, None] * width + x[:, None, :], axis=0
    )
    if augment.fill == 'zero':
        lines = batch.reshape(len(rows), height, width * channels)
        lines *= inside_y[:, :, None] & np.repeat(inside_x, channels, axis=1)[:, None, :]
    return batch


def _mirror(index: np.ndarray, size: int) -> np.ndarray:
    """Reflects indices into 0..size-1 without repeating the edge: -1 -> 1, size -> size - 2."""
    period = max(2 * size - 2, 1)
    index = np.abs(index) % period
    return np.where(index >= size, period - index, index)


def cut_out(images: np.ndarray, draws: Draws, augment: Augment) -> np.ndarray:
    """Sets a square to zero, which is the mean colour of normalized images: float32 [b, h, w, c], same out."""
    if not augment.cutout:
        return images
    height, width = images.shape[1:3]
    y, x = np.floor(draws.cutout * (height, width)).T
    low, high = augment.cutout // 2, augment.cutout - augment.cutout // 2
    rows = (np.arange(height) >= y[:, None] - low) & (np.arange(height) < y[:, None] + high)
    columns = (np.arange(width) >= x[:, None] - low) & (np.arange(width) < x[:, None] + high)
    return np.where((rows[:, :, None] & columns[:, None, :])[..., None], np.float32(0), images)


def mix_up(images: np.ndarray, labels: np.ndarray, classes: int, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Blends neighbours 2k and 2k + 1 of a batch: float32 [b, h, w, c], int [b] -> images, soft labels [b, classes].

    The batch's order is already random, so neighbours are as random a pairing as any, and one that stays within a
    process.
    """
    partner = np.arange(len(images)) ^ 1
    lam = draws.mixup.astype(np.float32)
    one_hot = np.eye(classes, dtype=np.float32)[labels]
    images = lam[:, None, None, None] * images + (1 - lam)[:, None, None, None] * images[partner]
    return images, lam[:, None] * one_hot + (1 - lam)[:, None] * one_hot[partner]


def crop_box(
    height: int, width: int, area: np.ndarray, ratio: np.ndarray, place: np.ndarray
) -> tuple[float, float, float, float]:
    """The random resized crop of one image as (left, top, right, bottom): the first of the attempts that fits.

    Args:
      height, width: of the image, in pixels.
      area, ratio: [CROP_ATTEMPTS] of `Draws`; place: [2].
    """
    crop_width = np.round(np.sqrt(area * height * width * ratio))
    crop_height = np.round(np.sqrt(area * height * width / ratio))
    fits = np.flatnonzero((crop_width >= 1) & (crop_width <= width) & (crop_height >= 1) & (crop_height <= height))
    if not len(fits):  # an image too narrow for any attempt: its central square
        side = min(height, width)
        return (width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2
    w, h = crop_width[fits[0]], crop_height[fits[0]]
    top, left = np.floor(place * (height - h + 1, width - w + 1))
    return float(left), float(top), float(left + w), float(top + h)
