"""Reading one split of a prepared TFDS directory, without TensorFlow.

A prepared directory holds `dataset_info.json`, `features.json` and the records: `tf.train.Example` messages in
ArrayRecord files, which allow random access. `open_split` checks at once what can be known before reading (the
split exists, its files exist, open, and hold as many records as the info says); everything found later is a
`DataError` that names the file and the index of the record in it.

Images are PNG or JPEG (features.Image; decoded by Pillow, so every machine gets the same decoder) or plain uint8
arrays (features.Tensor). Of a record only its image and label are looked at.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging as absl_logging

from tailor_jax.data import description
from tailor_jax.data.description import DataError

PILLOW_MODES = {1: 'L', 3: 'RGB', 4: 'RGBA'}


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Keeps TFDS from filling the terminal with notes, bars and a banner; warnings still come through."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    verbosity = absl_logging.get_verbosity()
    absl_logging.set_verbosity(min(verbosity, absl_logging.WARNING))
    try:
        with contextlib.redirect_stdout(None):
            yield
    finally:
        absl_logging.set_verbosity(verbosity)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the image and the label are in a record, and what they must look like.

    Attributes:
      image, label: feature names.
      shape: (h, w, c) of an image; h and w are None where sizes vary.
      classes: number of classes.
      encoding: 'image' (PNG or JPEG), 'bytes', 'zlib' or 'none' (a list of integers).
    """

    image: str
    label: str
    shape: tuple[int | None, int | None, int]
    classes: int
    encoding: str

    @property
    def fixed_shape(self) -> tuple[int, int, int] | None:
        """(h, w, c) where all images have the same size, else None."""
        height, width, channels = self.shape
        return None if height is None or width is None else (height, width, channels)


@dataclasses.dataclass(frozen=True)
class Records:
    """One split on disk: record i is a tf.train.Example message.

    Attributes:
      split: the split's name.
      layout: of each record.
      files: ((path, first record, one past the last record), ...), in order.
      reader: an array_record data source over `files`.
    """

    split: str
    layout: Layout
    files: tuple[tuple[str, int, int], ...]
    reader: Any

    def __len__(self) -> int:
        return sum(stop - start for _, start, stop in self.files)

    def where(self, index: int) -> str:
        """Says where record `index` of the split is: 'FILE, record 17'."""
        for path, start, stop in self.files:
            if index < stop - start:
                return f'{path}, record {start + index}'
            index -= stop - start
        raise IndexError(f'record {index} is past the end of split {self.split!r}')

    def encoded(self, indices: Iterable[int]) -> list[tuple[bytes | list[int], int]]:
        """Reads records: (undecoded image, label) each. Raises DataError for one that is unreadable or mislabelled."""
        rows = [int(i) for i in indices]
        try:
            messages = self.reader.__getitems__(rows)
        except Exception:  # array_record reports corruption by several types; find the record and name it
            messages = [self._read_one(i) for i in rows]
        return [self._parse(i, message) for i, message in zip(rows, messages)]

    def _read_one(self, index: int) -> bytes:
        try:
            return self.reader[index]
        except Exception as error:
            raise DataError(
                f'{self.where(index)}: unreadable ({_first_line(error)}). Prepare the set again.'
            ) from error

    def _parse(self, index: int, message: bytes) -> tuple[bytes | list[int], int]:
        from tensorflow_datasets.proto import tf_example_pb2

        layout = self.layout
        try:
            features = tf_example_pb2.Example.FromString(message).features.feature
        except Exception as error:
            raise DataError(
                f'{self.where(index)}: truncated or damaged, not a tf.train.Example ({_first_line(error)}).'
            ) from error
        for key in (layout.image, layout.label):
            if key not in features:
                raise DataError(f'{self.where(index)}: has no feature {key!r}, only {sorted(features)}.')
        label = features[layout.label].int64_list.value
        if len(label) != 1 or not 0 <= label[0] < layout.classes:
            got = label[0] if len(label) == 1 else f'{len(label)} integers'
            raise DataError(f'{self.where(index)}: label {got} is out of range, expected 0..{layout.classes - 1}.')
        if layout.encoding == 'none':
            return list(features[layout.image].int64_list.value), label[0]
        image = features[layout.image].bytes_list.value
        if len(image) != 1:
            raise DataError(
                f'{self.where(index)}: feature {layout.image!r} holds {len(image)} byte strings, expected 1.'
            )
        return image[0], label[0]

    def decode(self, index: int, encoded: bytes | list[int], view: Callable[[Any], Any] | None = None) -> np.ndarray:
        """Decodes the image of record `index` to uint8 [h, w, c].

        Args:
          index: of the record in the split, for error messages.
          encoded: from `encoded`.
          view: applied to the open Pillow image before its pixels are taken (a crop, a resize), for sets of varying
            size; the result's size is then the view's, otherwise it must be the layout's.

        Raises:
          DataError: the image is truncated or of another shape than the features declare.
        """
        shape = self.layout.shape
        try:
            if self.layout.encoding == 'image':
                image = _decode_pillow(bytes(encoded), shape[2], view)
            else:
                image = _decode_array(encoded, self.layout)
        except (OSError, SyntaxError, ValueError, zlib.error) as error:  # Pillow says SyntaxError for a broken PNG
            raise DataError(f'{self.where(index)}: cannot decode the image ({_first_line(error)}).') from error
        if view is None and any(want not in (None, got) for want, got in zip(shape, image.shape)):
            raise DataError(f'{self.where(index)}: image of shape {image.shape}, expected {shape}.')
        return image


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), '') or type(error).__name__


def _decode_pillow(encoded: bytes, channels: int, view: Callable | None) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as opened:
        # A few ImageNet files are grey or CMYK; converting is what TensorFlow's decoder does for channels=3.
        image = opened if opened.mode == PILLOW_MODES[channels] else opened.convert(PILLOW_MODES[channels])
        pixels = np.asarray(view(image) if view else image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _decode_array(encoded: bytes | list[int], layout: Layout) -> np.ndarray:
    shape = layout.fixed_shape
    assert shape is not None  # `find_layout` accepts plain arrays only of a fixed shape
    if layout.encoding == 'none':
        flat = np.asarray(encoded, np.uint8)
    else:
        flat = np.frombuffer(zlib.decompress(bytes(encoded)) if layout.encoding == 'zlib' else bytes(encoded), np.uint8)
    if flat.size != np.prod(shape):
        raise ValueError(f'{flat.size} values, expected {np.prod(shape)} for shape {shape}')
    return flat.reshape(shape)


def find_layout(features: Any, directory: Path) -> Layout:
    """Finds the image and the label among a builder's features, and checks that they are usable.

    Raises:
      DataError: there is no image (or more than one and none called 'image'), no integer label with a known class
        count, or the image is not uint8, or a picture not of 1, 3 or 4 channels.
    """
    import tensorflow_datasets as tfds

    f = tfds.features
    images = {
        k: v
        for k, v in features.items()
        if isinstance(v, f.Image) or (isinstance(v, f.Tensor) and len(v.shape) in (2, 3))
    }
    labels = {k: v for k, v in features.items() if isinstance(v, f.ClassLabel)}
    image_key, image = _pick(images, 'image', 'an image', directory)
    label_key, label = _pick(labels, 'label', 'a ClassLabel', directory)
    if label.num_classes is None:
        raise DataError(f'{directory}: feature {label_key!r} does not say how many classes there are.')
    shape = (*image.shape, 1) if len(image.shape) == 2 else tuple(image.shape)
    encoding = 'image' if isinstance(image, f.Image) else image.to_json_content().encoding or 'none'
    if image.np_dtype != np.uint8 or (encoding == 'image' and shape[2] not in PILLOW_MODES):
        raise DataError(
            f'{directory}: feature {image_key!r} is {image.np_dtype} of shape {shape}, expected uint8 with 1, 3 or 4 '
            'channels, or a plain array of uint8.'
        )
    if encoding != 'image' and None in shape:
        raise DataError(
            f'{directory}: feature {image_key!r} is a plain array of varying shape {shape}; expected features.Image '
            'or a fixed shape.'
        )
    return Layout(image_key, label_key, shape, label.num_classes, encoding)


def _pick(candidates: dict, preferred: str, kind: str, directory: Path) -> tuple[str, Any]:
    key = preferred if preferred in candidates else next(iter(candidates), None)
    if key is None or (key != preferred and len(candidates) > 1):
        found = f'several: {sorted(candidates)}' if candidates else 'none'
        raise DataError(
            f'{directory}: needs {kind} feature, found {found}. Only image classification sets can be read.'
        )
    return key, candidates[key]


def open_builder(directory: Path) -> Any:
    """Opens a prepared directory (the one with dataset_info.json) as a read-only TFDS builder."""
    import tensorflow_datasets as tfds

    description.check(directory)
    try:
        with quiet_tfds():
            builder = tfds.builder_from_directory(directory)
    except Exception as error:
        raise DataError(
            f'{directory}: not a usable TFDS directory ({type(error).__name__}: {_first_line(error)}). Prepare the '
            'set again.'
        ) from error
    suffix = builder.info.file_format.file_suffix
    if suffix != 'array_record':
        raise DataError(
            f'{directory}: the records are {suffix}, which needs TensorFlow to read. Prepare the set as array_record '
            f'(`python -m tailor_jax.data.prepare {builder.info.name} --tfds_dir=NEW_DIR`), or convert it with `tfds '
            'convert_format`.'
        )
    return builder


def open_split(builder: Any, split: str, layout: Layout) -> Records:
    """Opens `split` (a name, or a TFDS slice such as 'train[:90%]') and checks its files.

    Raises:
      DataError: the split is missing or empty, a file is missing or damaged, or a file holds too few records.
    """
    from array_record.python import array_record_data_source, array_record_module

    directory, splits = builder.data_path, builder.info.splits
    try:
        instructions = splits[split].file_instructions
    except (KeyError, ValueError) as error:
        raise DataError(f'{directory}: there is no split {split!r}; the set has {sorted(splits) or "none"}.') from error
    if not instructions or any(
        item.take < 1 for item in instructions
    ):  # of a reversed slice, 'train[5:3]', TFDS makes -2 records
        raise DataError(f'{directory}: split {split!r} is empty.')
    for item in instructions:
        path = Path(item.filename)
        if not path.exists():
            raise DataError(f'{path}: missing, though {directory}/dataset_info.json lists it. Prepare the set again.')
        try:
            reader = array_record_module.ArrayRecordReader(str(path))
            count = reader.num_records()
            reader.close()
        except Exception as error:
            raise DataError(
                f'{path}: truncated or damaged, cannot be opened ({_first_line(error)}). Prepare the set again.'
            ) from error
        if count < item.skip + item.take:
            raise DataError(
                f'{path}: holds {count} records, dataset_info.json promises {item.examples_in_shard}. Prepare the '
                'set again.'
            )
    files = tuple((str(item.filename), item.skip, item.skip + item.take) for item in instructions)
    return Records(split, layout, files, array_record_data_source.ArrayRecordDataSource(instructions))
