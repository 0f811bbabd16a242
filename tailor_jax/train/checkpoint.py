"""Checkpoints of one training phase, with orbax: W/checkpoints/PHASE/STEP.

Writes are atomic (orbax commits by renaming) and only the newest few are kept. The state is the same on every process, so process 0 writes and
reads it alone and tells the others what it read: all go on from the same step, and only process 0 needs to see the directory. (That is why this
takes orbax's CheckpointManager: the newer Checkpointer of orbax 0.12 cannot be used by one process of several.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
import orbax.checkpoint as ocp

from tailor_jax.train import cluster

KEPT = 2
ITEM = 'state'


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be restored. The message names its directory and what to do."""


class Checkpoints:
    """The checkpoints of one phase in one directory; use as a context manager, or call `close`."""

    def __init__(self, directory: str | Path):
        self.directory = Path(directory).absolute()
        self._manager: ocp.CheckpointManager | None = None
        self._latest = cluster.from_main(self._open)

    def _open(self) -> int | None:
        self.directory.mkdir(parents=True, exist_ok=True)
        alone = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
        options = ocp.CheckpointManagerOptions(
            max_to_keep=KEPT, create=False, cleanup_tmp_directories=True, enable_async_checkpointing=False, multiprocessing_options=alone
        )
        self._manager = ocp.CheckpointManager(self.directory, options=options, item_names=(ITEM,))
        return self._manager.latest_step()

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, None if there is none; the same on every process."""
        return self._latest

    def save(self, step: int, state: Any) -> None:
        """Writes a state of host arrays; returns when the checkpoint is complete. An existing one of that step is kept."""
        if self._manager and self._latest != step:
            self._manager.save(step, args=ocp.args.Composite(**{ITEM: ocp.args.StandardSave(state)}), force=True)
        self._latest = step

    def restore(self, like: Any) -> Any:
        """The newest checkpoint, as a pytree of host arrays of the structure, shapes and types of `like`.

        Raises FileNotFoundError if there is none and CheckpointError if it is damaged or does not fit `like`.
        """
        if self._latest is None:
            raise FileNotFoundError(f'no checkpoint in {self.directory}')
        return cluster.from_main(lambda: self._restore(like))

    def _restore(self, like: Any) -> Any:
        assert self._manager is not None  # of process 0
        host = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
        try:
            found = self._manager.restore(self._latest, args=ocp.args.Composite(**{ITEM: ocp.args.StandardRestore(host)}))[ITEM]
            chex.assert_trees_all_equal_shapes_and_dtypes(found, host)
            return found
        except Exception as error:  # orbax raises many kinds, none of which name the remedy
            raise CheckpointError(
                f'{self.directory / str(self._latest)} cannot be read, or is of another network ({type(error).__name__}); delete that '
                'directory to go on from the checkpoint before it'
            ) from error

    def close(self) -> None:
        if self._manager:
            self._manager.close()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
