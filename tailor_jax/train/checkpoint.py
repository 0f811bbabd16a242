"""Checkpoints of one training phase, with orbax: W/checkpoints/PHASE/STEP.

Each holds a state and a record of it, which orbax commits together, by renaming:

    structure  digest of the state's keys, shapes and types: what a state must have to go on from here
    state      digest of its keys, shapes, types and bytes
    metrics    metrics.jsonl as it was then
    note       what else training from here depends on
    phase      name of the directory
    sha256     digest of the record

What is restored is what was saved: a checkpoint that is not, whatever was done to it, is put aside as damaged_STEP, and
training goes on from the one before. Only the newest few are kept.

The state is the same on every process, so process 0 writes and reads it alone and tells the others what it read: all go
on from the same step, and only process 0 needs to see the directory. (That is why this takes orbax's CheckpointManager:
the newer Checkpointer of orbax 0.12 cannot be used by one process of several.)
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import gc
import hashlib
import json
import logging
import re
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from tailor_jax.fields import Fields, header
from tailor_jax.train import cluster

KEPT = 2
STATE, RECORD = 'state', 'record'
FORMAT = ('checkpoint', 1)
# What there can be in the directory of a phase: a checkpoint, one that is being written, one that was put aside; and
# the file of `variables`, or what is left of its writing.
NAME = re.compile(r'\d+(\.orbax-checkpoint-tmp.*)?|damaged_\d+(_\d+)?|variables\.npz|\.variables\.npz\.partial')
STRAGGLERS_S = 0.1
_MOST_METRICS_BYTES = 1 << 30


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be restored. The message names its directory and what to do."""


class _DamagedError(Exception):
    """A checkpoint is not what was saved."""


@dataclasses.dataclass(frozen=True)
class Restored:
    """What was saved.

    Attributes:
      step: of the checkpoint.
      state: a pytree of host arrays.
      metrics: metrics.jsonl as it was then, on process 0; the others write none.
    """

    step: int
    state: Any
    metrics: bytes


class Checkpoints:
    """The checkpoints of one phase in one directory; use as a context manager, or call `close`.

    Args:
      directory: made where it is missing.
      note: of every checkpoint that is saved, as plain JSON values.
      read_only: for another run's directory: nothing is made, put aside or cleared away.
    """

    def __init__(self, directory: str | Path, note: Any = None, read_only: bool = False):
        self.directory = Path(directory).absolute()
        self._note, self._read_only = json.loads(json.dumps(note)), read_only
        self._manager: ocp.CheckpointManager | None = None
        self._latest = cluster.from_main(self._open)

    def _open(self) -> int | None:
        if not self._read_only:
            self.directory.mkdir(parents=True, exist_ok=True)
        self._manager = _manager(self.directory, self._read_only)
        return self._manager.latest_step() if self._manager else None

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, None if there is none; the same on every process."""
        return self._latest

    def save(self, step: int, state: Any, metrics: bytes = b'') -> None:
        """Writes a state of host arrays; returns when the checkpoint is complete. One of that step is kept."""
        if self._manager and self._latest != step:
            record = {
                **header(*FORMAT),
                'step': step,
                'structure': _structure(state),
                'state': _content(state),
                'metrics': base64.b64encode(zlib.compress(metrics)).decode(),
                'note': self._note,
                'phase': self.directory.name,
            }
            record['sha256'] = _digest(record)
            items = {STATE: ocp.args.StandardSave(state), RECORD: ocp.args.JsonSave(record)}
            try:
                with _silence():
                    self._manager.save(step, args=ocp.args.Composite(**items), force=True)
            except (OSError, ValueError) as error:  # tensorstore says ValueError for a full disk
                told = (str(error).splitlines() or [''])[0][:300]
                raise CheckpointError(f'{self.directory / str(step)} cannot be written: {told}') from error
        self._latest = step

    def restore(self, like: Any) -> Restored | None:
        """The newest checkpoint that is whole, with a state of the structure of `like`; None if there is none.

        Newer ones are damaged; they are named on stderr and put aside. Raises CheckpointError for a checkpoint of a
        state unlike `like`, which stays as it is, and, of another run's directory, for a damaged one.
        """
        metrics = b''

        def read() -> tuple[int, list[np.ndarray]] | None:
            nonlocal metrics
            if (found := self._newest(like)) is None:
                return None
            metrics = found.metrics
            return found.step, [np.asarray(leaf) for leaf in jax.tree.leaves(found.state)]

        told = cluster.from_main(read) if self._latest is not None else None
        self._latest = told and told[0]
        return told and Restored(told[0], jax.tree.unflatten(jax.tree.structure(like), told[1]), metrics)

    def _newest(self, like: Any) -> Restored | None:
        assert self._manager is not None  # of process 0, where there is a step
        host = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                return self._restored(self._manager, step, host)
            except _DamagedError as reason:
                self._put_aside(self._manager, step, reason)
        return None

    def _restored(self, manager: ocp.CheckpointManager, step: int, host: Any) -> Restored:
        place, record = self.directory / str(step), _record(manager, step)
        if record['structure'] != _structure(host) or (record['note'] != self._note and not self._read_only):
            raise CheckpointError(
                f'{place} is of another network, or was trained another way; it is kept, so train in another directory'
            )
        state = _item(manager, step, STATE, ocp.args.StandardRestore(host))
        if _content(state) != record['state']:
            raise _DamagedError('its values are not those that were saved')
        metrics = zlib.decompressobj().decompress(base64.b64decode(record['metrics']), _MOST_METRICS_BYTES)
        return Restored(step, state, metrics)

    def _put_aside(self, manager: ocp.CheckpointManager, step: int, reason: Exception) -> None:
        place = self.directory / str(step)
        if self._read_only:
            raise CheckpointError(
                f'{place} is damaged ({reason}); train that network again in a new directory, and take it from there'
            )
        aside = _free(self.directory / f'damaged_{step}')
        try:
            place.rename(aside)
        except OSError as error:
            raise CheckpointError(
                f'{place} is damaged ({reason}) and cannot be put aside ({error.strerror}); delete it'
            ) from None
        manager.reload()
        before = (
            f'the checkpoint of step {manager.latest_step()}' if manager.all_steps() else 'the beginning of this phase'
        )
        print(
            f'warning: {place} is damaged ({reason}); it is now {aside.name}, and training goes on from {before}',
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        if self._manager:
            self._manager.close()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def note(directory: str | Path) -> Any:
    """The note of the newest checkpoint whose record is whole, None if there is none. Of this process alone."""
    manager = _manager(Path(directory).absolute(), read_only=True)
    if manager is None:
        return None
    try:
        for step in sorted(manager.all_steps(), reverse=True):
            try:
                return _record(manager, step)['note']
            except _DamagedError:
                continue
        return None
    finally:
        manager.close()


def _manager(directory: Path, read_only: bool) -> ocp.CheckpointManager | None:
    """Orbax's manager of process 0 alone; None where there is nothing to read."""
    if not directory.is_dir():
        return None
    options = ocp.CheckpointManagerOptions(
        max_to_keep=KEPT,
        create=False,
        cleanup_tmp_directories=not read_only,
        enable_async_checkpointing=False,
        multiprocessing_options=ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0}),
    )
    return ocp.CheckpointManager(directory, options=options, item_names=(STATE, RECORD))


def _record(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
    """The record of a checkpoint, checked by its digest. Raises CheckpointError for a whole one of another version or
    phase.
    """
    place = Path(manager.directory) / str(step)
    if odd := next(
        (path for path in place.rglob('*') if path.is_symlink() or not (path.is_file() or path.is_dir())), None
    ):
        # Orbax waits for a pipe for ever, and follows a link.
        raise _DamagedError(f'{odd.relative_to(place)} is no file')
    found = _item(manager, step, RECORD, ocp.args.JsonRestore())
    record = dict(found) if isinstance(found, dict) else {}
    if record.pop('sha256', '') != _digest(record) or record.get('step') != step:
        raise _DamagedError('its record is not the one that was saved')
    Fields(record, f'{manager.directory}/{step}', CheckpointError).header(*FORMAT)
    if (phase := record.get('phase', place.parent.name)) != place.parent.name:
        raise CheckpointError(
            f'{place} is of {phase}, and was copied or moved; put back what was there, or delete {place.parent}'
        )
    return record


def _item(manager: ocp.CheckpointManager, step: int, name: str, how: Any) -> Any:
    """One item of a checkpoint. Orbax raises errors of many kinds where it is damaged; those named leave that open."""
    with _silence():
        try:
            return manager.restore(step, args=ocp.args.Composite(**{name: how}))[name]
        except (MemoryError, PermissionError) as error:
            raise CheckpointError(
                f'{manager.directory}/{step} cannot be read: {error or type(error).__name__}'
            ) from error
        except Exception as error:
            reason = _DamagedError(f'orbax cannot read it: {type(error).__name__}')
        gc.collect()  # those of its reads that are still under way complain now, not later
        time.sleep(STRAGGLERS_S)
        raise reason


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Orbax reads and writes in parallel, and what fails after the first prints tracebacks; the first says enough."""
    hook, loggers = sys.unraisablehook, [logging.getLogger(name) for name in ('absl', 'asyncio')]
    disabled = [logger.disabled for logger in loggers]
    sys.unraisablehook = lambda _: None
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for logger, value in zip(loggers, disabled, strict=True):
            logger.disabled = value


def _free(path: Path) -> Path:
    """The path, with a number where it is taken."""
    candidates = (path.with_name(f'{path.name}_{number}') if number else path for number in range(1_000_000))
    return next(candidate for candidate in candidates if not candidate.exists())


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _structure(tree: Any) -> str:
    """Digest of the keys, shapes and types of a pytree's leaves."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return _digest({'leaves': [[jax.tree_util.keystr(path), *_kind(leaf)] for path, leaf in leaves]})


def _content(tree: Any) -> str:
    """Digest of the keys, shapes, types and bytes of a pytree's leaves."""
    whole = hashlib.sha256(_structure(tree).encode())
    for leaf in jax.tree.leaves(tree):
        whole.update(np.ascontiguousarray(leaf).tobytes())
    return whole.hexdigest()


def _kind(leaf: Any) -> tuple[list[int], str]:
    return list(np.shape(leaf)), np.dtype(leaf.dtype).name
