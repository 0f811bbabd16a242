"""Metrics of a run: W/metrics.jsonl (one object a logged step), TensorBoard events, a progress bar on a terminal.

Device values are kept until `flush`, so that logging every step does not make the host wait for the device every step.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
from tensorboardX import SummaryWriter
from tqdm import tqdm


class NotFiniteError(RuntimeError):
    """The loss or a parameter became NaN or infinite. Carries the phase and the step at which it was seen."""

    def __init__(self, phase: str, step: int, what: str, saved_step: int | None):
        kept = 'no checkpoint had been written yet' if saved_step is None else f'the checkpoint of step {saved_step} is good and stays'
        super().__init__(f'the {what} of phase {phase!r} became NaN or infinite at step {step}; training stopped, {kept}')
        self.phase, self.step = phase, step


class Metrics:
    """Writes the metrics of a run's phases. Steps count from 1 within a phase."""

    def __init__(self, workdir: str | Path, quiet: bool = False):
        self.workdir = Path(workdir)
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._path = self.workdir / 'metrics.jsonl'
        self._jsonl = self._path.open('a')
        self._board = SummaryWriter(str(self.workdir / 'tensorboard'))
        self._pending: list[tuple[int, Mapping]] = []
        self._show_bar = not quiet and sys.stderr.isatty()
        self._quiet = quiet
        self.phase = ''

    def start(self, phase: str, first_step: int, steps: int, batch_size: int, steps_per_epoch: int) -> None:
        """Begins a phase of `steps` steps, at `first_step` when it is resumed."""
        self.phase, self._steps, self._batch_size, self._steps_per_epoch = phase, steps, batch_size, steps_per_epoch
        self._first_step, self._start = first_step, time.monotonic()
        self._forget(lambda row: row.get('phase') == phase and row['step'] > first_step)
        self._bar = tqdm(total=steps, initial=first_step, desc=phase, unit='step', disable=not self._show_bar, leave=False)
        self._last_line = self._start

    def log(self, step: int, values: Mapping) -> None:
        """Takes the metrics of a step, as device scalars."""
        self._pending.append((step, values))

    def advance(self, step: int) -> None:
        self._bar.update(step - self._bar.n)

    def flush(self, step: int, saved_step: int | None = None) -> None:
        """Writes what is pending; `step` is the number of steps done. Raises NotFiniteError for the first loss that is no number."""
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
        """Writes the test accuracy of one of a run's networks. A resumed run leaves the row where it is, so that its file is as any other's."""
        row = {'evaluation': name, 'test_accuracy': accuracy}
        if row in (json.loads(line) for line in self._lines() if line.endswith('\n')):
            return
        self._forget(lambda old: old.get('evaluation') == name)
        self._jsonl.write(json.dumps(row) + '\n')
        self._jsonl.flush()
        self._board.add_scalar(f'test_accuracy/{name}', accuracy, 0)

    def images_per_second(self, step: int) -> float:
        """Mean rate of this phase in this process, compilation included."""
        return (step - self._first_step) * self._batch_size / max(time.monotonic() - self._start, 1e-9)

    def finish(self) -> None:
        self._bar.close()

    def close(self) -> None:
        self._jsonl.close()
        self._board.close()

    def _lines(self) -> list[str]:
        self._jsonl.flush()
        return self._path.read_text().splitlines(keepends=True)

    def _forget(self, stale: Callable[[dict], bool]) -> None:
        """Drops the rows that a resumed run is about to write again, and a last line that was cut off."""
        lines = self._lines()
        kept = [line for line in lines if line.endswith('\n') and not stale(json.loads(line))]
        if len(kept) == len(lines):
            return
        self._jsonl.close()
        partial = self._path.with_name(f'.{self._path.name}.partial')
        partial.write_text(''.join(kept))
        os.replace(partial, self._path)
        self._jsonl = self._path.open('a')

    def _write(self, row: dict) -> None:
        self._jsonl.write(json.dumps(row) + '\n')
        for key in row.keys() - {'phase', 'step', 'epoch'}:
            self._board.add_scalar(f'{self.phase}/{key}', row[key], row['step'])

    def _report(self, step: int, row: Mapping) -> None:
        rate = self.images_per_second(step)
        text = f'loss {row["loss"]:.3f} accuracy {row["accuracy"]:.3f}' + (f' cost {row["cost"]:.3f}' if 'cost' in row else '')
        if self._show_bar:
            self._bar.set_postfix_str(f'{text}, {rate:,.0f} images/s')
            return
        now = time.monotonic()
        if now - self._last_line > 10 or step == self._steps:
            left = (self._steps - step) * self._batch_size / rate
            print(f'{self.phase:>9}: step {step}/{self._steps}, {text}, {rate:,.0f} images/s, {left:.0f} s left', flush=True)
            self._last_line = now
