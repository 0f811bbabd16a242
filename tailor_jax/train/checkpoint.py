"""Checkpoints of one training phase, with orbax: W/checkpoints/PHASE/STEP.

Writes are atomic (orbax commits by renaming) and only the newest few are kept. A checkpoint also carries a small JSON record, for what a
phase must remember beside its arrays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

KEPT = 2


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be restored. The message names its directory and what to do."""


class Checkpoints:
    """The checkpoints of one phase in one directory; use as a context manager, or call `close`."""

    def __init__(self, directory: str | Path):
        self.directory = Path(directory).absolute()
        policies = ocp.training.preservation_policies
        always = ocp.training.save_decision_policies.FixedIntervalPolicy(1)
        self._checkpointer = ocp.training.Checkpointer(
            self.directory, save_decision_policy=always, preservation_policy=policies.LatestN(KEPT), cleanup_tmp_directories=True
        )

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, None if there is none."""
        latest = self._checkpointer.latest
        return None if latest is None else latest.step

    def save(self, step: int, state: Any) -> None:
        """Writes a state of host arrays; returns when the checkpoint is complete. An existing one of that step is kept."""
        if self.latest_step() != step:
            self._checkpointer.save(step, state, force=True)

    def restore(self, like: Any) -> Any:
        """The newest checkpoint, as a pytree of the structure, shapes and types of `like`.

        Raises FileNotFoundError if there is none and CheckpointError if it is damaged or does not fit `like`.
        """
        if self.latest_step() is None:
            raise FileNotFoundError(f'no checkpoint in {self.directory}')
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), like)
        try:
            return self._checkpointer.load(abstract_state=abstract)
        except Exception as error:  # orbax raises many kinds, none of which name the remedy
            raise CheckpointError(
                f'{self.directory / str(self.latest_step())} cannot be read, or is of another network ({type(error).__name__}); delete that '
                'directory to go on from the checkpoint before it'
            ) from error

    def close(self) -> None:
        self._checkpointer.close()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
