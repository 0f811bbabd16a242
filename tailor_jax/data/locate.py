"""Which directory a data set is read from, and what to say when there is none.

The places looked at are:

    data root   $TFDS_DATA_DIR, else ~/tensorflow_datasets, the directory that TFDS itself uses
    a set       ROOT/NAME/[CONFIG/]VERSION/ with dataset_info.json in it; the highest version is taken
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from tailor_jax.data.description import DataError
from tailor_jax.fields import Fields, hint, parse_json, read_text

EMBEDDED = (
    'digits',
    'photo_digits',
    *(f'photo_digits/{config}' for config in ('full', 'small', 'tiny', 'easy', 'hard')),
)
PUBLIC = ('cifar10', 'cifar100', 'svhn_cropped', 'imagenet2012')

_INFO = 'dataset_info.json'
_VERSION = re.compile(r'\d+\.\d+\.\d+')
_CONFIG = re.compile(r'[\w.\-+]+')  # the name of a folder, so without a slash


def data_root() -> Path:
    """Returns TFDS's data directory: $TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    return Path(os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets').expanduser()


def latest_version(directory: Path) -> Path | None:
    """The prepared directory at or under `directory`: itself, its highest version, or its default or only config's."""
    if (directory / _INFO).is_file():
        return directory
    found = _versions(directory)
    configs = directory / '.config' / 'metadata.json'  # TFDS writes it beside the configs of a set
    if not found and configs.is_file():
        fields = Fields(parse_json(read_text(configs, DataError), str(configs), DataError), str(configs), DataError)
        found = _versions(directory / fields.text('default_config_name', _CONFIG, default=''))
        others = [path for path in directory.iterdir() if _versions(path)]
        if not found and len(others) == 1:
            found = _versions(others[0])
    return max(found, key=lambda path: tuple(map(int, path.name.split('.'))), default=None)


def _versions(directory: Path) -> list[Path]:
    return [path.parent for path in directory.glob(f'*/{_INFO}') if _VERSION.fullmatch(path.parent.name)]


def prepared_sets(root: Path) -> list[str]:
    """Lists the sets prepared under `root`, as 'name' or 'name/config', for messages."""
    versions = [path.parent for depth in ('*/*', '*/*/*') for path in root.glob(f'{depth}/{_INFO}')]
    return sorted({path.parent.relative_to(root).as_posix() for path in versions if _VERSION.fullmatch(path.name)})


def in_directory(directory: Path, name: str) -> Path:
    """Finds the set in a user's directory: a prepared set itself, or `name` in a root of several.

    Args:
      directory: a version directory, a set's directory, or a data root.
      name: of the set; looked at only if `directory` is a data root.

    Raises:
      DataError: it does not exist, is empty, or holds no prepared set or not the named one.
    """
    if not directory.is_dir():
        raise DataError(
            f'{directory}: tfds_dir is not a directory. Expected a prepared TFDS set, such as ROOT/my_set/1.0.0.'
        )
    if not any(directory.iterdir()):
        raise DataError(
            f'{directory}: tfds_dir is empty. Expected a prepared TFDS set: {_INFO}, features.json and '
            'array_record files.'
        )
    found = latest_version(directory) or latest_version(directory / name)
    if found:
        return found
    sets = prepared_sets(directory)
    if sets:
        raise DataError(
            f'{directory}: holds {", ".join(sets)} but not {name!r}. Choose one by name, or give its own directory.'
        )
    raise DataError(
        f'{directory}: holds no {_INFO}, so it is no prepared TFDS set. Expected {_INFO}, features.json and '
        'array_record files.'
    )


def missing(name: str, root: Path) -> DataError:
    """The error for a set that is not under `root`: how to prepare a known one, else the nearest known name."""
    if name in PUBLIC:
        return DataError(
            f'data set {name!r} is not prepared in {root}. Prepare it once (needs the network and TensorFlow, which '
            'only this step uses): '
            f"pip install -e '.[prepare]' && python -m tailor_jax.data.prepare {name}"
        )
    known = sorted({*EMBEDDED, *PUBLIC, *prepared_sets(root)})
    return DataError(
        f'unknown data set {name!r}; known are {", ".join(known)}{hint(name, known, 0.5) or "."} '
        'Any other image classification set prepared by TFDS as array_record can be read with tfds_dir=DIRECTORY.'
    )
