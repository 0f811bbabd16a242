"""Directories of runs, sweeps and comparisons: what may be written and deleted there, and by one process at a time.

    directory = prepare_run(config, path, overwrite)     # new, or with an unfinished run of this config
    with held(directory, 'config.json', config): ...     # nobody else comes in until the work is done

Whoever comes while another process is there gets a LockedError that names it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import hls_export.project
from experiments import config as config_lib
from experiments.config import Config, ConfigError
from tailor_jax import fields, files
from tailor_jax.train import checkpoint, variables

FINISHED = ('graph.json', 'qgraph.npz', 'summary.json')  # what a run writes at its end
RUN = (
    'config.json',
    'network.json',
    'folding.json',
    *FINISHED,
    'metrics.jsonl',
    'quant.json',
    'csim.json',
    'checkpoints',
    'tensorboard',
)
SWEEP = ('sweep.json', 'pareto.csv', 'pareto.png', 'report.html')
DIRECTORIES = ('checkpoints', 'tensorboard')
COMPARISON = ('compare.json', 'comparison.csv', 'comparison.md', 'comparison.png')
EVENTS = re.compile(r'events\.out\.tfevents\..*')


class OlderError(ConfigError):
    """The config of a run of an older release."""


def read_config(path: Path) -> Config:
    """The resolved config in a file. Raises FileNotFoundError, OlderError for one of an older release, or ConfigError
    naming the file and the wrong key.
    """
    text = fields.read_text(path, ConfigError)
    if version := config_lib.older(text):
        raise OlderError(
            f'{path} is of version {version}, from an older release, and this one reads version {config_lib.VERSION}; '
            'train anew in another --workdir, or in this one with --overwrite'
        )
    try:
        return config_lib.from_json(text, str(path))
    except ConfigError as error:
        raise ConfigError(f'{error}; put a good copy in its place') from None


def prepare_run(config: Config, path: str, overwrite: bool) -> Path:
    """The workdir of a run: new, or with an unfinished run of the same config to go on with.

    Raises FileExistsError for a finished run, a run of another config or of an older release, or files that are not a
    run's, and LockedError while another process works there; `overwrite` deletes a run.
    """
    return _prepare(config, Path(path), 'config.json', 'run', RUN, overwrite)


def prepare_sweep(config: Config, path: str, overwrite: bool) -> Path:
    """The directory of a sweep: new, or of an earlier one of the same config. Raises as `prepare_run`."""
    return _prepare(config, Path(path), 'sweep.json', 'sweep', SWEEP, overwrite)


def prepare_comparison(config: Config, path: str, overwrite: bool) -> Path:
    """The directory of a comparison: as `prepare_sweep`."""
    return _prepare(config, Path(path), 'compare.json', 'comparison', COMPARISON, overwrite)


@contextlib.contextmanager
def held(directory: Path, record: str, config: Config) -> Iterator[None]:
    """Keeps other processes out of a directory until the end of the block, and keeps the config in its file `record`.

    Raises LockedError if another process is there, FileExistsError if one has made it the directory of another config.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with files.locked(directory):
        path = directory / record
        if path.exists() and _settings(read_config(path)) != _settings(config):
            raise FileExistsError(
                f'{path} is of another config, or damaged; delete {directory} or choose another directory'
            )
        files.write(path, config_lib.to_json(config))
        yield


def _settings(config: Config) -> dict:
    """What a run depends on; where its teacher lies, which a sweep says, changes when the sweep moves."""
    return {**config.to_dict(), 'train': {**config.train.to_dict(), 'teacher_workdir': ''}}


def _prepare(config: Config, directory: Path, record: str, what: str, own: Sequence[str], overwrite: bool) -> Path:
    if overwrite:
        _check_precious(directory)
    _check(config, directory, record, what, own, overwrite)  # before the lock, which is a file and may not belong here
    directory.mkdir(parents=True, exist_ok=True)
    with files.locked(directory):
        _check(config, directory, record, what, own, overwrite)
        if overwrite:
            _delete(directory, record)
        files.write(directory / record, config_lib.to_json(config))
    return directory


def _check_precious(directory: Path) -> None:
    """Raises FileExistsError for directories that nobody means to delete."""
    for name, precious in (('the current directory', Path.cwd()), ('your home', Path(os.path.expanduser('~')))):
        if precious.resolve().is_relative_to(directory.resolve()):
            raise FileExistsError(
                f'{directory} is {name}, or holds it; --overwrite does not delete that, choose another --workdir'
            )


def _check(config: Config, directory: Path, record: str, what: str, own: Sequence[str], overwrite: bool) -> None:
    if refusal := _refusal(directory, record, what, own):
        raise FileExistsError(f'{directory} exists and {refusal}; choose another --workdir '
                              f'(--overwrite deletes an earlier {what} and nothing else)')  # fmt: skip
    if overwrite or _empty(directory):
        return
    given = fields.read_text(directory / record)
    if version := config_lib.older(given):
        raise FileExistsError(
            f'{directory} holds a {what} of an older release: {record} is of version {version}, and this one reads '
            f'version {config_lib.VERSION}; choose another --workdir, or give --overwrite to delete it'
        )
    if given != config_lib.to_json(config).encode():
        raise FileExistsError(
            f'{directory} holds a {what} with another config; choose another --workdir, or give --overwrite to '
            'delete it'
        )
    if what == 'run' and finished(directory):
        raise FileExistsError(
            f'{directory} holds a finished {what} of this config; choose another --workdir, or give --overwrite to '
            'train again'
        )


def finished(workdir: Path) -> bool:
    """Whether a run has ended here and its files are there."""
    return all((workdir / name).exists() for name in FINISHED)


def _delete(directory: Path, record: str) -> None:
    """Empties a directory of our own but for its lock; what tells that it is ours goes last.

    Raises LockedError, before anything goes, if another process is in a run of it.
    """
    paths = sorted(directory.iterdir(), key=lambda path: path.name == record)
    with contextlib.ExitStack() as locks:
        for path in paths:
            if (path / files.LOCK).is_file():  # a run of a sweep, where another process may be
                locks.enter_context(files.locked(path))
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != files.LOCK:
                path.unlink()


def _empty(directory: Path) -> bool:
    """Whether there is no more in a directory than a program leaves that is killed while it writes its first file."""
    return not directory.exists() or all(
        path.name == files.LOCK or files.is_partial(path) for path in directory.iterdir()
    )


def _refusal(directory: Path, record: str, what: str, own: Sequence[str]) -> str:
    """Says what in a directory a run or sweep did not put there; '' if all is its own."""
    foreign = f'is not of a {what} of this program'
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        return f'what is there {foreign}'
    paths = sorted(directory.iterdir()) if directory.exists() else []
    for path in paths:
        if path.is_symlink():
            return f'{path.name!r} there is a symbolic link, which {foreign}'
    if _empty(directory):
        return ''
    try:
        read_config(directory / record)
    except OlderError:
        pass  # what an older release wrote is told by the same names
    except FileNotFoundError:
        return f'what is there {foreign}: it has no {record}'
    except ConfigError as error:
        return f'what is there {foreign}: {error}'
    for path in paths:
        if path.name in (*own, files.LOCK) or files.is_partial(path):
            refusal = _strange(path)
        elif hls_export.project.is_project(path) or hls_export.project.is_partial(path):
            refusal = ''
        elif record != 'config.json' and path.is_dir():
            refusal = _refusal(path, 'config.json', 'run', RUN)
        else:
            refusal = 'what is there'
        if refusal:
            return f'{path.name!r} there {foreign}' + (f': {refusal}' if refusal != 'what is there' else '')
    return ''


def _strange(path: Path) -> str:
    """Says what is wrong with something that has the name of one of our own, '' if nothing is."""
    if path.is_dir() != (path.name in DIRECTORIES):
        return f'{path} is no file' if path.is_dir() else f'{path} is no directory'
    inside = sorted(path.rglob('*')) if path.is_dir() else []
    for each in inside:
        if each.is_symlink():
            return f'{each} is a symbolic link'
        level = len(each.relative_to(path).parts)
        if path.name == 'tensorboard':
            known = bool(EVENTS.fullmatch(each.name))
        else:
            known = each.is_dir() if level == 1 else level > 2 or bool(checkpoint.NAME.fullmatch(each.name))
            if level == 2 and each.name == variables.NAME and each.is_dir():
                return f'{each} is no file'
        if not known:
            return f'{each} is there'
    return ''
