"""The training loop of one phase, and evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import numpy as np

from tailor_jax.train import cluster, interruption
from tailor_jax.train.checkpoint import Checkpoints
from tailor_jax.train.interruption import Interrupted
from tailor_jax.train.metrics import Metrics, NotFiniteError
from tailor_jax.train.step import Context, TrainState, replicate


def fit(
    state: TrainState,
    train_step: Callable,
    batches: Callable[[int], Iterable[Mapping]],
    context: Context,
    *,
    phase: str,
    steps: int,
    steps_per_epoch: int,
    batch_size: int,
    metrics: Metrics,
    checkpoints: Checkpoints,
    log_every: int,
    save_every: int,
    devices: Sequence[jax.Device] | None = None,
) -> TrainState:
    """Trains from the newest checkpoint that is whole, or from `state` if there is none, to step `steps`.

    Args:
      state: the state at step 0, an ordinary pytree.
      train_step: see `step.make_train_step`.
      batches: first step -> iterator of device batches from that step on, so that a resumed run sees the data it would
        have seen.
      context: see `step.Context`.
      phase: name in metrics and messages.
      steps, steps_per_epoch, batch_size: length of the phase, and what its progress is told in.
      metrics, checkpoints: where it writes.
      log_every: steps between metrics rows.
      save_every: steps between checkpoints; one is always written at the end.
      devices: those that `train_step` runs on; all local ones, of every process, by default.

    Raises:
      Interrupted: after a signal, to any process: the step that was under way is done and saved, the same one on all.
      NotFiniteError: when a logged loss, or a parameter that would be saved, is no number. What was saved stays and is
        finite.
    """
    restored = checkpoints.restore(state)
    state = restored.state if restored else state
    first = int(state.step)
    state, context = replicate(state, devices), replicate(context, devices)
    one_at_a_time = cluster.one_at_a_time(len(devices) if devices else None)
    metrics.start(phase, first, steps, batch_size, steps_per_epoch, restored.metrics if restored else None)
    stop_asked = cluster.Vote()
    with interruption.held() as signalled:
        try:
            for step, batch in zip(range(first + 1, steps + 1), batches(first)):
                state, values = train_step(state, batch, context)
                if one_at_a_time:
                    jax.block_until_ready(values)
                if step % log_every == 0 or step == steps:
                    metrics.log(step, values)
                metrics.advance(step)
                stop = stop_asked(signalled()) and step < steps
                save = step % save_every == 0 or step == steps or stop
                if save or step % steps_per_epoch == 0:
                    metrics.flush(step, checkpoints.latest_step())
                if save:
                    host = jax.device_get(state)
                    if not _finite(host):
                        raise NotFiniteError(phase, step, 'parameters', checkpoints.latest_step())
                    checkpoints.save(step, host, metrics.text)
                if stop:
                    raise Interrupted(f'interrupted in phase {phase!r} after step {step} of {steps}')
        finally:
            metrics.finish()
    return state


def _finite(state: TrainState) -> bool:
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state) if np.issubdtype(leaf.dtype, np.floating))


def accuracy(predict: Callable, variables: Mapping, gates: Mapping, batches: Iterable[Mapping]) -> float:
    """Share of right answers over weighted batches {'image', 'label', 'weight'}; see `data.eval_batches`."""
    right = total = 0.0
    for batch in batches:
        answers = np.argmax(jax.device_get(predict(variables, gates, batch['image'])), axis=-1)
        right += float(np.sum((answers == batch['label']) * batch['weight']))
        total += float(np.sum(batch['weight']))
    return right / total
