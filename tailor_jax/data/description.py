"""The description of a prepared set, checked before TFDS: features.json names Python classes to import.

    check(directory)    raises DataError unless features.json and dataset_info.json are of sensible size and name
                        TFDS's own features only

A set from somebody else is data. Its features may be any that TFDS has itself; of those only image and label are read.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tailor_jax.fields import parse_json, read_text

MOST_CLASSES = 1_000_000
MOST_PIXELS = 1 << 28  # values of one image, before TFDS or numpy makes room for it
MOST_SHARDS = 100_000

# Where a class is named: in the JSON of today (either spelling), and of TFDS before 4.5.
_CLASS_KEYS = ('pythonClassName', 'python_class_name', 'type')
_CLASS_COUNTS = ('numClasses', 'num_classes')


class DataError(ValueError):
    """A data set that cannot be used, or a bad record in it; the message names the file and what to do."""


def check(directory: Path) -> None:
    """Raises DataError naming the file for a description that TFDS must not see."""
    for name, check_file in (('dataset_info.json', _check_info), ('features.json', _check_features)):
        path = directory / name
        try:
            text = read_text(path, DataError)
        except FileNotFoundError:
            raise DataError(f'{path}: missing, so this is no prepared TFDS set. Prepare the set again.') from None
        check_file(parse_json(text, str(path), DataError), path)


def _check_features(value: Any, path: Path) -> None:
    """Walks the whole JSON: a class may be named at any depth, also in JSON within JSON."""
    allowed, left = _allowed(), [value]
    while left:
        match left.pop():
            case dict() as fields:
                for key, inner in fields.items():
                    _check_feature(key, inner, allowed, path)
                    left.append(
                        parse_json(inner, f'{path}: {key!r}', DataError)
                        if key == 'json' and isinstance(inner, str)
                        else inner
                    )
            case list() as values:
                left += values


def _allowed() -> frozenset[str]:
    """The names of TFDS's own features."""
    import tensorflow_datasets as tfds

    shipped = {
        value
        for value in vars(tfds.features).values()
        if isinstance(value, type) and issubclass(value, tfds.features.FeatureConnector)
    }
    return frozenset(f'{each.__module__}.{each.__qualname__}' for each in shipped)


def _check_feature(key: str, value: Any, allowed: frozenset[str], path: Path) -> None:
    if key in _CLASS_KEYS and isinstance(value, str) and value not in allowed:
        raise DataError(
            f"{path}: {key!r} is {value!r}, which is none of TFDS's own features; expected one of "
            f'{", ".join(sorted(allowed))}'
        )
    if key in _CLASS_COUNTS and _integer(value) not in range(MOST_CLASSES + 1):
        raise DataError(f'{path}: {key!r} is {value!r}; expected an integer of 0..{MOST_CLASSES}')
    if key == 'dimensions' and not isinstance(value, dict):  # a dict is a feature of this name
        sizes = [_integer(each) for each in value] if isinstance(value, list) else [None]
        known = [max(size, 1) for size in sizes if size is not None and size >= -1]  # -1 where sizes vary
        if len(known) < len(sizes) or math.prod(known) > MOST_PIXELS:
            raise DataError(
                f"{path}: 'dimensions' is {str(value)[:80]}; expected a list of sizes of at most {MOST_PIXELS:,} "
                'values in all'
            )


def _check_info(value: Any, path: Path) -> None:
    splits = value.get('splits', []) if isinstance(value, dict) else None
    if not isinstance(splits, list) or not all(isinstance(each, dict) for each in splits):
        raise DataError(f"{path}: expected an object with a list of objects 'splits'")
    for split in splits:
        lengths = split.get('shardLengths', split.get('shard_lengths', []))
        counts = [_integer(each) for each in lengths] if isinstance(lengths, list) else [None]
        if len(counts) > MOST_SHARDS or any(count is None or count < 0 for count in counts):
            name = str(split.get('name'))[:80]
            raise DataError(
                f"{path}: 'shardLengths' of split {name!r} must be at most {MOST_SHARDS:,} integers, not negative"
            )


def _integer(value: Any) -> int | None:
    """The integer that a number or a text of digits is, as protocol buffers write it; None for anything else."""
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.removeprefix('-').isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
