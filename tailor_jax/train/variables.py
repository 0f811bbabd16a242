"""The variables of a trained network in one file, DIRECTORY/variables.npz: to read it takes nothing but the network.

    write(directory, variables, step)              at the end of a phase
    step, variables = read(directory, like)        of the keys and shapes of `like`, {'params', 'batch_stats'}

The file holds an array of float32 for every variable, 'params/NODE/KEY' or 'batch_stats/NODE/KEY', which `numpy.load`
shows to anybody, and 'description', JSON: format, version, the step, and a digest of it all. What is read is what was
written: anything else is an error that names the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tailor_jax import files, npz
from tailor_jax.fields import header, parse_fields
from tailor_jax.train.checkpoint import CheckpointError

NAME = 'variables.npz'
FORMAT = ('variables', 1)
_DESCRIPTION = 'description'
_MOST_STEPS, _MOST_DESCRIPTION, _MOST_BESIDE = 2**40, 4096, 16 << 20  # the last: bytes that are no numbers


def write(directory: Path, variables: Mapping, step: int) -> None:
    """Writes the variables {kind: {node: {key: float32 array}}} that a network has after `step` steps."""
    arrays = _flat(variables)
    told = {**header(*FORMAT), 'step': step, 'sha256': _digest(arrays, step)}
    description = np.frombuffer(json.dumps(told).encode(), np.uint8)
    files.write(directory / NAME, npz.write({_DESCRIPTION: description, **arrays}, compressed=False))


def read(directory: Path, like: Mapping) -> tuple[int, dict]:
    """(steps that the network was trained for, its variables). Raises FileNotFoundError where there are none, and
    CheckpointError for a damaged file or for one of another network than `like`.
    """
    path, wanted = directory / NAME, _flat(like)
    try:
        data = files.read(path, sum(array.nbytes for array in wanted.values()) + _MOST_BESIDE)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CheckpointError(f'{path} cannot be read: {error}') from None
    archive = npz.read(data, str(path), CheckpointError)
    if len(size := archive.shape(_DESCRIPTION)) != 1 or size[0] > _MOST_DESCRIPTION:
        raise CheckpointError(f'{path} is damaged: its description is of shape {list(size)}')
    told = archive.integers(_DESCRIPTION, size).tobytes()
    fields = parse_fields(told, f'{path}: {_DESCRIPTION}', *FORMAT, CheckpointError)
    step, digest = fields.integer('step', 0, _MOST_STEPS), fields.text('sha256')
    fields.end()
    if odd := sorted(set(archive.names) ^ {_DESCRIPTION, *wanted}):
        lacks = 'missing' if odd[0] in wanted else 'not of this one'
        raise CheckpointError(f'{path} is of another network: the array {odd[0]!r} is {lacks}')
    arrays = {name: archive.floats(name, array.shape) for name, array in wanted.items()}
    if digest != _digest(arrays, step):
        raise CheckpointError(f'{path} is damaged: its values are not those that were saved')
    if odd := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise CheckpointError(f'{path}: the array {odd[0]!r} has values that are NaN or infinite')
    return step, {
        kind: {node: {key: arrays[f'{kind}/{node}/{key}'] for key in entry} for node, entry in tree.items()}
        for kind, tree in like.items()
    }


def _flat(variables: Mapping) -> dict[str, np.ndarray]:
    """{'KIND/NODE/KEY': array} in the order of the names."""
    flat = {
        f'{kind}/{node}/{key}': np.asarray(array, np.float32)
        for kind, tree in variables.items()
        for node, entry in tree.items()
        for key, array in entry.items()
    }
    return dict(sorted(flat.items()))


def _digest(arrays: Mapping[str, np.ndarray], step: int) -> str:
    whole = hashlib.sha256(str(step).encode())
    for name, array in arrays.items():
        whole.update(f'{name} {array.shape} '.encode())
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()
