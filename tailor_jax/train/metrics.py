"""Metrics of a run: W/metrics.jsonl (one object a logged step), TensorBoard events, a progress bar on a terminal.

Device values are kept until `flush`, so that logging every step does not make the host wait for the device every step.

A resumed run comes by all its rows again, in the same order, so its file ends as any other's: what stands in it counts
once the run has got there. Each phase restored from a checkpoint brings the file as it was then; an evaluation that is
repeated finds its row or writes it; and whatever else comes instead - rows that will be written again, a line that was
cut off, damage - makes way.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import jax
from tensorboardX import SummaryWriter
from tqdm import tqdm

from tailor_jax import files

MOST_BYTES = 1 << 30


class NotFiniteError(RuntimeError):
    """The loss or a parameter became NaN or infinite. Carries the phase and the step at which it was seen."""

    def __init__(self, phase: str, step: int, what: str, saved_step: int | None):
        kept = (
            'no checkpoint had been written yet'
            if saved_step is None
            else f'the checkpoint of step {saved_step} is good and stays'
        )
        super().__init__(
            f'the {what} of phase {phase!r} became NaN or infinite at step {step}; training stopped, {kept}'
        )
        self.phase, self.step = phase, step


class Metrics:
    """Writes the metrics of a run's phases. Steps count from 1 within a phase."""

    def __init__(self, workdir: str | Path, quiet: bool = False):
        self.workdir = Path(workdir)
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._path = self.workdir / 'metrics.jsonl'
        self._found = files.read(self._path, MOST_BYTES) if self._path.exists() else b''
        self._counted, self._ahead = bytearray(), self._found
        self._jsonl = self._open()
        self._board = SummaryWriter(str(self.workdir / 'tensorboard'))
        self._pending: list[tuple[int, Mapping]] = []
        self._show_bar = not quiet and sys.stderr.isatty()
        self._quiet = quiet
        self.phase = ''

    @property
    def text(self) -> bytes:
        """The file as far as the run has come."""
        return bytes(self._counted)

    def start(
        self,
        phase: str,
        first_step: int,
        steps: int,
        batch_size: int,
        steps_per_epoch: int,
        restored: bytes | None = None,
    ) -> None:
        """Begins a phase of `steps` steps; resumed at `first_step`, with the file as the checkpoint has it."""
        self.phase, self._steps, self._batch_size, self._steps_per_epoch = phase, steps, batch_size, steps_per_epoch
        self.first_step, self._start = first_step, time.monotonic()
        if restored is None:
            self._make_way()
        else:
            self._restore(restored, keep=first_step == steps)
        self._bar = tqdm(
            total=steps, initial=first_step, desc=phase, unit='step', disable=not self._show_bar, leave=False
        )
        self._last_line = self._start

    def log(self, step: int, values: Mapping) -> None:
        """Takes the metrics of a step, as device scalars."""
        self._pending.append((step, values))

    def advance(self, step: int) -> None:
        self._bar.update(step - self._bar.n)

    def flush(self, step: int, saved_step: int | None = None) -> None:
        """Writes what is pending after `step` steps. Raises NotFiniteError for the first loss that is no number."""
        pending, self._pending = jax.device_get(self._pending), []
        for at, values in pending:
            row = {key: float(value) for key, value in values.items()}
            if not math.isfinite(row['loss']):
                self._jsonl.flush()
                raise NotFiniteError(self.phase, at, 'loss', saved_step)
            self._write({'phase': self.phase, 'step': at, 'epoch': round(at / self._steps_per_epoch, 4), **row})
        self._jsonl.flush()
        if pending and not self._quiet:
            self._report(step, row)

    def evaluation(self, name: str, accuracy: float) -> None:
        """Writes the test accuracy of one of a run's networks. A resumed run leaves the row where it is, so that its
        file is as any other's.
        """
        line = _line({'evaluation': name, 'test_accuracy': accuracy})
        if self._ahead.startswith(line):
            self._counted += line
            self._ahead = self._ahead[len(line) :]
            return
        self._make_way()
        self._append(line)
        self._jsonl.flush()
        self._board.add_scalar(f'test_accuracy/{name}', accuracy, 0)

    def images_per_second(self, step: int) -> float:
        """Mean rate of this phase in this process, compilation included."""
        return (step - self.first_step) * self._batch_size / max(time.monotonic() - self._start, 1e-9)

    def finish(self) -> None:
        self._bar.close()

    def complete(self) -> None:
        """Says that the run has written all its rows: what still stands behind them is none of it."""
        self._make_way()

    def close(self) -> None:
        self._jsonl.close()
        self._board.close()

    def _open(self) -> BinaryIO:
        return os.fdopen(
            os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), 'ab'
        )

    def _restore(self, text: bytes, keep: bool) -> None:
        """Goes on after `text`; with `keep`, what follows it stays until the run gets there."""
        whole = self._counted + self._ahead
        if not self._found.startswith(text):
            print(
                f'warning: {self._path} has lost rows, or others are there than were written; restored from the '
                'checkpoint',
                file=sys.stderr,
            )
            self._found = text  # said once
        self._counted, self._ahead = (
            bytearray(text),
            bytes(whole[len(text) :]) if keep and whole.startswith(text) else b'',
        )
        if self._counted + self._ahead != whole:
            self._replace()

    def _make_way(self) -> None:
        """Drops what the run has not come to: it will be written again."""
        if self._ahead:
            self._ahead = b''
            self._replace()

    def _replace(self) -> None:
        self._jsonl.close()
        files.write(self._path, bytes(self._counted + self._ahead))
        self._jsonl = self._open()

    def _append(self, line: bytes) -> None:
        self._counted += line
        self._jsonl.write(line)

    def _write(self, row: dict) -> None:
        self._append(_line(row))
        for key in row.keys() - {'phase', 'step', 'epoch'}:
            self._board.add_scalar(f'{self.phase}/{key}', row[key], row['step'])

    def _report(self, step: int, row: Mapping) -> None:
        rate = self.images_per_second(step)
        text = f'loss {row["loss"]:.3f} accuracy {row["accuracy"]:.3f}' + (
            f' cost {row["cost"]:.3f}' if 'cost' in row else ''
        )
        if self._show_bar:
            self._bar.set_postfix_str(f'{text}, {rate:,.0f} images/s')
            return
        now = time.monotonic()
        if now - self._last_line > 10 or step == self._steps:
            left = (self._steps - step) * self._batch_size / rate
            print(
                f'{self.phase:>9}: step {step}/{self._steps}, {text}, {rate:,.0f} images/s, {left:.0f} s left',
                flush=True,
            )
            self._last_line = now


def _line(row: Mapping) -> bytes:
    return (json.dumps(row) + '\n').encode()
