"""Writing arrays or encoded pictures as a TFDS set, without TensorFlow: one's own data, and what the tests read.

    from tailor_jax.data.write import write_set
    splits = {'train': zip(images, labels), 'test': ...}
    write_set('~/tensorflow_datasets', 'leaves', splits, shape=(48, 64, 3), classes=['oak', 'ash'])
    data.load('leaves')                   # or data.load(tfds_dir='.../leaves/1.0.0')

The files are what TFDS itself writes (ArrayRecord of tf.train.Example), so any TFDS program reads them.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tailor_jax.data.read import quiet_tfds


def write_set(
    root: str | Path,
    name: str,
    splits: Mapping[str, Iterable[tuple[np.ndarray | bytes, int]]],
    *,
    shape: tuple[int | None, int | None, int],
    classes: int | Sequence[str],
    encoding: str = 'png',
    version: str = '1.0.0',
    ids: bool = False,
    shards: int = 1,
) -> Path:
    """Writes ROOT/NAME/VERSION and returns it.

    Args:
      root: TFDS data directory.
      name: of the set, lower case with underscores.
      splits: by name, pairs of an image (uint8 [h, w, c], or bytes already encoded) and its label.
      shape: of the images; None for sizes that vary ('png' and 'jpeg' only).
      classes: how many, or their names.
      encoding: 'png' (lossless), 'jpeg', or 'bytes' (not compressed: the fastest to read).
      version: three numbers.
      ids: also write a text feature 'id', as cifar10 has one.
      shards: files per split.

    Raises:
      ValueError: unknown encoding; TFDS raises its own for a wrong shape or label.
      FileExistsError: the version is there already.
    """
    import tensorflow_datasets as tfds

    if encoding not in ('png', 'jpeg', 'bytes'):
        raise ValueError(f"encoding is {encoding!r}, expected 'png', 'jpeg' or 'bytes'")
    f = tfds.features
    if encoding == 'bytes':
        image = f.Tensor(shape=shape, dtype=np.uint8, encoding=f.Encoding.BYTES)
    else:
        image = f.Image(shape=shape, encoding_format=encoding)
    label = f.ClassLabel(num_classes=classes) if isinstance(classes, int) else f.ClassLabel(names=list(classes))
    features = f.FeaturesDict({**({'id': f.Text()} if ids else {}), 'image': image, 'label': label})

    class Written(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        VERSION = tfds.core.Version(version)

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=features, supervised_keys=('image', 'label'), disable_shuffling=True
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split, pairs) for split, pairs in splits.items()}

        def _generate_examples(self, split, pairs) -> Iterator[tuple[int, dict]]:
            for i, (picture, label) in enumerate(pairs):
                coded = picture if encoding == 'bytes' or isinstance(picture, bytes) else _encode(picture, encoding)
                yield i, {**({'id': f'{split}_{i:05d}'} if ids else {}), 'image': coded, 'label': int(label)}

    Written.name = name
    builder = Written(data_dir=Path(root).expanduser(), file_format='array_record')
    directory = Path(builder.data_path)
    if directory.exists():
        raise FileExistsError(f'{directory}: exists already; write another version, or delete it')
    with quiet_tfds():
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=shards))
    return directory


def _encode(picture: np.ndarray, encoding: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(
        buffer, encoding, **({'quality': 95} if encoding == 'jpeg' else {})
    )
    return buffer.getvalue()
