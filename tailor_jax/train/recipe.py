"""The settings of an optimizer, which needs jax where they do not. `tailor_jax.train.optimizer` says what they do."""

from __future__ import annotations

import dataclasses

SCHEDULES = ('cosine', 'step', 'constant')


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one phase is optimized.

    Attributes:
      steps: updates of the phase.
      learning_rate: peak, of the network's parameters.
      gate_learning_rate: constant, of the gates' log_alpha.
      weight_decay: added to the gradient of kernels.
      warmup_steps: updates of linear warm-up.
      clip_norm: bound on the global norm of the network's gradient; 0 for none.
      schedule: one of SCHEDULES.
      decay_steps, decay_factor: of the step schedule; counted from the start of the phase.
      accumulate: calls of the training step an update.
      scale_learning_rate: of learned quantization scales, for Adam, in the first half of the phase.
      dual_learning_rate: of the multipliers of budget constraints, for gradient ascent; see `step`.
    """

    steps: int
    learning_rate: float
    gate_learning_rate: float = 0.0
    weight_decay: float = 0.0
    warmup_steps: int = 0
    clip_norm: float = 0.0
    schedule: str = 'cosine'
    decay_steps: int = 0
    decay_factor: float = 0.1
    accumulate: int = 1
    scale_learning_rate: float = 0.0
    dual_learning_rate: float = 0.0
