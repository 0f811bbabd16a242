"""Optimizers: SGD with Nesterov momentum for the network, Adam for the gates, each at its own rate (optax.partition).

learning rate   linear warm-up, then one of SCHEDULES:
                cosine     to zero at the end of the phase
                step       times `decay_factor` every `decay_steps` steps
                constant
weight decay    on kernels only: batch norms, biases, gates and scales are left alone
accumulation    the gradients of `accumulate` calls are averaged into one update (optax.MultiSteps); steps are updates
"""

from __future__ import annotations

import dataclasses

import jax
import optax

from tailor_jax.quantization.scales import SCALES

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


def learning_rate(recipe: Recipe) -> optax.Schedule:
    """The network's learning rate as a function of updates done."""
    peak, warmup = recipe.learning_rate, min(recipe.warmup_steps, recipe.steps // 2)
    match recipe.schedule:
        case 'cosine':
            return optax.warmup_cosine_decay_schedule(0.0 if warmup else peak, peak, warmup, max(recipe.steps, 1))
        case 'step':
            every = recipe.decay_steps or max(recipe.steps, 1)

            def after(count):
                return peak * recipe.decay_factor ** ((count + warmup) // every - warmup // every)

        case 'constant':
            after = optax.constant_schedule(peak)
        case _:
            raise ValueError(f'schedule must be one of {", ".join(SCHEDULES)}, got {recipe.schedule!r}')
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), after], [warmup]) if warmup else after


def make_optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """The optimizer of one phase, over params = {'net': ..., 'gates': ...}."""
    net = optax.chain(
        optax.clip_by_global_norm(recipe.clip_norm) if recipe.clip_norm else optax.identity(),
        optax.add_decayed_weights(recipe.weight_decay, mask=_kernels),
        optax.sgd(learning_rate(recipe), momentum=0.9, nesterov=True),
    )
    # Scales stand still in the second half, so that the weights settle on them.
    scales = optax.piecewise_constant_schedule(recipe.scale_learning_rate, {recipe.steps // 2: 0.0})
    parts = {'net': net, 'gates': optax.adam(recipe.gate_learning_rate), 'scales': optax.adam(scales)}
    optimizer = optax.partition(parts, param_labels=_labels)
    return (
        optax.MultiSteps(optimizer, recipe.accumulate).gradient_transformation() if recipe.accumulate > 1 else optimizer
    )


def _labels(params: dict) -> dict:
    net = jax.tree_util.tree_map_with_path(lambda path, _: 'scales' if _last(path) in SCALES else 'net', params['net'])
    return {'net': net, 'gates': jax.tree.map(lambda _: 'gates', params['gates'])}


def _kernels(params: dict) -> dict:
    return jax.tree_util.tree_map_with_path(lambda path, _: _last(path) == 'kernel', params)


def _last(path: tuple) -> str | None:
    return getattr(path[-1], 'key', None)
