"""Directories of runs and sweeps: what may be written where, what may be deleted, and files that are there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from ml_collections import ConfigDict

import hls_export.project
from experiments import config as config_lib
from experiments.config import ConfigError
from tailor_jax.fields import read_text

RUN = ('config.json', 'summary.json', 'metrics.jsonl', 'graph.json', 'quant.json', 'qgraph.npz', 'csim.json', 'checkpoints', 'tensorboard')
SWEEP = ('sweep.json', 'pareto.csv', 'pareto.png', 'report.html')
COMPARISON = ('compare.json', 'comparison.csv', 'comparison.md', 'comparison.png')


def write(path: Path, text: str) -> None:
    """Writes a text file by renaming, so that a killed process leaves the old one or none."""
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_text(text)
    os.replace(partial, path)


def read_json(path: Path) -> dict:
    """The JSON object in a file. Raises FileNotFoundError, or ConfigError naming a file that holds none."""
    try:
        value = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f'{path} is damaged: {error}') from None
    if not isinstance(value, dict):
        raise ConfigError(f'{path} is damaged: expected a JSON object, got {type(value).__name__}')
    return value


def read_config(path: Path) -> ConfigDict:
    """The resolved config in a file. Raises FileNotFoundError, or ConfigError naming a file that holds none."""
    return config_lib.from_json(read_text(path, ConfigError), str(path))


def prepare_run(config: ConfigDict, path: str, overwrite: bool) -> Path:
    """The workdir of a run: new, or with an unfinished run of the same config to go on with.

    Raises FileExistsError for a finished run, a run of another config, or files that are not a run's; `overwrite` deletes a run.
    """
    return _prepare(config, Path(path), 'config.json', 'run', RUN, overwrite, finished='summary.json')


def prepare_sweep(config: ConfigDict, path: str, overwrite: bool) -> Path:
    """The directory of a sweep: new, or with an earlier sweep of the same config, which is gone on with. Raises as `prepare_run`."""
    return _prepare_many(config, path, 'sweep.json', 'sweep', SWEEP, overwrite)


def prepare_comparison(config: ConfigDict, path: str, overwrite: bool) -> Path:
    """The directory of a comparison: as `prepare_sweep`."""
    return _prepare_many(config, path, 'compare.json', 'comparison', COMPARISON, overwrite)


def _prepare_many(config: ConfigDict, path: str, record: str, what: str, own: tuple[str, ...], overwrite: bool) -> Path:
    directory = _prepare(config, Path(path), record, what, own, overwrite)
    directory.mkdir(parents=True, exist_ok=True)
    write(directory / record, config_lib.to_json(config))
    return directory


def _prepare(config: ConfigDict, directory: Path, record: str, what: str, own: tuple[str, ...], overwrite: bool, finished: str = '') -> Path:
    if not directory.exists() or (directory.is_dir() and all(_partial(path) for path in directory.iterdir())):
        return directory  # with no more in it than a run leaves that is killed while it writes its first file
    if foreign := _foreign(directory, record, own):
        raise FileExistsError(f'{directory} exists and {foreign} there is not of a {what} of this program; choose another --workdir '
                              f'(--overwrite deletes an earlier {what} and nothing else)')  # fmt: skip
    if overwrite:
        shutil.rmtree(directory)
    elif (directory / record).read_text() != config_lib.to_json(config):
        raise FileExistsError(f'{directory} holds a {what} with another config; choose another --workdir, or give --overwrite to delete it')
    elif finished and (directory / finished).exists():
        raise FileExistsError(f'{directory} holds a finished {what} of this config; choose another --workdir, or give --overwrite to train again')
    return directory


def _partial(path: Path) -> bool:
    """Whether this is what `write` leaves when it is killed."""
    return path.name.startswith('.') and path.name.endswith('.partial')


def _foreign(directory: Path, record: str, own: tuple[str, ...]) -> str | None:
    """Names the first thing in a directory that a run or sweep did not put there; None if all is its own."""
    if directory.is_symlink() or not directory.is_dir():
        return 'what is'
    try:
        read_config(directory / record)
    except (FileNotFoundError, ConfigError):
        return f'no {record} of ours; what is'
    for path in sorted(directory.iterdir()):
        if path.name in own or _partial(path) or hls_export.project.is_project(path):
            continue
        if record == 'config.json' or not path.is_dir() or _foreign(path, 'config.json', RUN):
            return repr(path.name)
    return None
