"""Building the embedded sets into TFDS's data directory, on first use, once whatever the number of processes."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tailor_jax.data import locate
from tailor_jax.data.description import DataError
from tailor_jax.data.read import quiet_tfds


def embedded_builder(name: str, root: Path) -> Any:
    """Returns the TFDS builder of an embedded set ('digits', 'photo_digits/small', ...) with its data under `root`."""
    from tailor_jax.data.digits import Digits
    from tailor_jax.data.photo_digits import PhotoDigits

    base, _, config = name.partition('/')
    if name not in locate.EMBEDDED:
        raise locate.missing(name, root)
    match base:
        case 'digits':
            return Digits(data_dir=root, file_format='array_record')
        case 'photo_digits':
            return PhotoDigits(data_dir=root, config=config or None, file_format='array_record')
        case _:
            raise ValueError(f'embedded set {name!r} has no builder')


def prepare_embedded(name: str, root: Path) -> Path:
    """Builds an embedded set under `root` unless it is there, and returns its directory.

    Safe against other processes doing the same: one builds under a lock while the rest wait, the files are written
    into a temporary directory, and a rename makes the finished set appear at once.
    """
    with quiet_tfds():
        builder = embedded_builder(name, root)
    directory = Path(builder.data_path)
    if not locate.latest_version(directory):
        try:
            with _lock(root / f'.{name.replace("/", "_")}.lock'):
                if not locate.latest_version(directory):
                    print(
                        f'building data set {name} in {directory} (once; under a minute)', file=sys.stderr, flush=True
                    )
                    for left in directory.parent.glob(f'incomplete.*_{directory.name}'):  # of a build that was killed
                        shutil.rmtree(left)
                    with quiet_tfds():
                        embedded_builder(name, root).download_and_prepare()
        except OSError as error:
            raise DataError(
                f'{directory}: cannot build data set {name!r} there ({error}). Set TFDS_DATA_DIR to a writable '
                'directory.'
            ) from error
    return directory


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file closes, even if the process is killed
        yield
