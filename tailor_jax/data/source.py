"""A data set as a value: `load(name)` finds, checks and opens it, and what fits is decoded into memory at once.

    source = data.load('digits')
    source.image_shape, source.classes, source.train_size, source.test_size      # (8, 8, 1), 10, 1437, 360
    image, label = source.split('train')[0]                                      # uint8 [8, 8, 1], int

Normalization is per channel, z = (x / 255 - mean) / std, with published constants for public sets and otherwise
the moments of the training split.
"""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tailor_jax.data import locate
from tailor_jax.data.description import DataError
from tailor_jax.data.embedded import prepare_embedded
from tailor_jax.data.read import Records, find_layout, open_builder, open_split

# Mean and standard deviation of the training pixels, scaled to 0..1, as commonly published.
CONSTANTS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    'cifar10': ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    'cifar100': ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    'svhn_cropped': ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    'imagenet2012': ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
MEMORY_BYTES = 1 << 30
STATISTICS_SAMPLE = 1000  # images that mean and std are taken from, where the training split is not in memory
RESIZE_RATIO = 256 / 224  # evaluation of images of varying size: short side to 256, centre 224 (He et al. 2016)


@dataclasses.dataclass(frozen=True)
class MemorySplit:
    """A decoded split. images: uint8 [n, h, w, c]; labels: int32 [n]."""

    name: str
    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[index], int(self.labels[index])


@dataclasses.dataclass(frozen=True)
class RecordSplit:
    """A split that stays on disk and is decoded record by record; sizes may vary."""

    name: str
    records: Records

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        index = range(len(self))[index]
        ((encoded, label),) = self.records.encoded([index])
        return self.records.decode(index, encoded), label


@dataclasses.dataclass(frozen=True)
class Source:
    """An opened data set.

    Attributes:
      name, version: of the set, e.g. 'photo_digits/small', '1.0.0'.
      directory: where it was read from.
      image_shape: (h, w, c) of the images in a batch.
      classes: number of classes.
      class_names: one a class.
      mean, std: per channel, of pixels scaled to 0..1.
      train, test: the splits.
      varying: whether stored image sizes vary, so that images are cropped and resized to image_shape.
    """

    name: str
    version: str
    directory: str
    image_shape: tuple[int, int, int]
    classes: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: MemorySplit | RecordSplit
    test: MemorySplit | RecordSplit
    varying: bool

    @property
    def train_size(self) -> int:
        return len(self.train)

    @property
    def test_size(self) -> int:
        return len(self.test)

    def split(self, name: str) -> MemorySplit | RecordSplit:
        """Returns split 'train' or 'test' (or by its own name): len(), and [i] -> (uint8 [h, w, c], int label)."""
        for role, split in (('train', self.train), ('test', self.test)):
            if name in (role, split.name):
                return split
        raise DataError(
            f"{self.name}: there is no split {name!r}, only 'train' ({self.train.name}) and 'test' ({self.test.name})."
        )


def load(
    name: str = 'digits',
    tfds_dir: str | os.PathLike | None = None,
    *,
    image_size: int | None = None,
    train_split: str = 'train',
    test_split: str | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> Source:
    """Opens a data set and checks it; the embedded ones are built on first use.

    Args:
      name: 'digits', 'photo_digits', 'photo_digits/small', 'cifar10', 'cifar100', 'svhn_cropped', 'imagenet2012', or
        any set prepared in TFDS's data directory.
      tfds_dir: a prepared set (then `name` does not matter), or a data root that holds the set called `name`. Only
        read.
      image_size: side in pixels to crop and resize to; for sets of varying image size (default 224) only.
      train_split, test_split: TFDS split names or slices ('train[:90%]'); the default test split is 'test', and
        'validation' where there is no 'test' or, as in imagenet2012, its labels are not public.
      memory_bytes: a split whose pixels need at most this much is decoded into memory now.

    Raises:
      DataError: unknown name, set not prepared, missing split or file, damaged record, bad label, bad image shape.
    """
    directory, display = _locate(name, tfds_dir)
    builder = open_builder(directory)
    layout = find_layout(builder.info.features, directory)
    fixed = layout.fixed_shape
    if fixed and image_size and (image_size, image_size) != fixed[:2]:
        raise DataError(f'{directory}: images are {fixed}; image_size={image_size} is for sets of varying image size.')
    image_shape = fixed or (image_size or 224, image_size or 224, layout.shape[2])
    train = _open(open_split(builder, train_split, layout), memory_bytes)
    test = _open(open_split(builder, test_split or _default_test_split(builder), layout), memory_bytes)
    known = CONSTANTS.get(builder.info.name)
    mean, std = known if known and layout.shape[2] == 3 else _statistics(train, image_shape)
    return Source(
        name=display or builder.info.full_name.rpartition('/')[0],
        version=str(builder.info.version),
        directory=str(directory),
        image_shape=image_shape,
        classes=layout.classes,
        class_names=tuple(builder.info.features[layout.label].names),
        mean=mean,
        std=std,
        train=train,
        test=test,
        varying=not fixed,
    )


def _locate(name: str, tfds_dir: str | os.PathLike | None) -> tuple[Path, str | None]:
    """Returns the prepared directory, and the name to show where `name` is what was found there."""
    if tfds_dir:
        return locate.in_directory(Path(tfds_dir).expanduser(), name), None
    root = locate.data_root()
    if name in locate.EMBEDDED:
        return prepare_embedded(name, root), name
    found = locate.latest_version(root / name) if name else None
    if not found:
        raise locate.missing(name, root)
    return found, name


def _default_test_split(builder) -> str:
    splits = builder.info.splits
    without_labels = builder.info.name.startswith('imagenet2012')
    return 'validation' if 'validation' in splits and (without_labels or 'test' not in splits) else 'test'


def _open(records: Records, memory_bytes: int) -> MemorySplit | RecordSplit:
    shape = records.layout.fixed_shape
    if shape is None or len(records) * np.prod(shape) > memory_bytes:
        split = RecordSplit(records.split, records)
        for i in (0, len(split) - 1):  # reading all would take too long; these two show a wrong layout at once
            split[i]
        return split
    images = np.empty((len(records), *shape), np.uint8)
    labels = np.empty(len(records), np.int32)
    for start in range(0, len(records), 1024):  # in pieces, so that the encoded bytes never pile up
        rows = range(start, min(start + 1024, len(records)))
        for i, (encoded, label) in zip(rows, records.encoded(rows)):
            images[i], labels[i] = records.decode(i, encoded), label
    images.flags.writeable = labels.flags.writeable = False
    return MemorySplit(records.split, images, labels)


def _statistics(
    split: MemorySplit | RecordSplit, image_shape: tuple[int, int, int]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel; exact sums of integers, so the same on every machine."""
    if isinstance(split, MemorySplit):
        images = split.images
    else:
        rows = np.unique(np.linspace(0, len(split) - 1, min(len(split), STATISTICS_SAMPLE)).astype(int))
        images = gather(split, rows, image_shape)[0]
    channels = range(images.shape[3])
    counts = np.stack([np.bincount(images[..., c].ravel(), minlength=256) for c in channels])
    values, total = np.arange(256), counts.sum(1)
    mean = (counts * values).sum(1) / total
    variance = (counts * values**2).sum(1) / total - mean**2
    std = np.where(variance > 0, np.sqrt(variance.clip(0)), 255)  # a constant channel is left alone
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def centre_crop(size: int):
    """Returns a view for `Records.decode`: the central square of 224/256 of the short side, resized to `size`."""

    def view(image):
        from PIL import Image

        width, height = image.size
        side = min(width, height) / RESIZE_RATIO
        left, top = (width - side) / 2, (height - side) / 2
        return image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))

    return view


def gather(
    split: RecordSplit,
    rows: np.ndarray,
    image_shape: tuple[int, int, int],
    views=None,
    pool: ThreadPoolExecutor | None = None,
):
    """Reads and decodes records: int [b] -> (uint8 [b, h, w, c], int32 [b]).

    Args:
      split: on disk.
      rows: indices of records.
      image_shape: of the result.
      views: one a row for `Records.decode`; by default the centre crop where sizes vary, the whole image where not.
      pool: threads to decode in; Pillow lets go of the interpreter lock while it decodes and resizes.
    """
    records = split.records
    if views is None:
        views = [None if records.layout.fixed_shape else centre_crop(image_shape[0])] * len(rows)
    encoded = records.encoded(rows)
    jobs = [(int(i), image, view) for i, (image, _), view in zip(rows, encoded, views)]
    images = list((pool.map if pool else map)(lambda job: records.decode(*job), jobs))
    return np.stack(images), np.array([label for _, label in encoded], np.int32)
