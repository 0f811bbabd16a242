"""Optimizers: SGD with Nesterov momentum for the network, Adam for the gates, each at its own rate (optax.partition).

learning rate   linear warm-up, then one of SCHEDULES:
                cosine     to zero at the end of the phase
                step       times `decay_factor` every `decay_steps` steps
                constant
weight decay    on kernels only: batch norms, biases, gates and scales are left alone
accumulation    the gradients of `accumulate` calls are averaged into one update (optax.MultiSteps); steps are updates
"""

from __future__ import annotations

import jax
import optax

from tailor_jax.quantization.scales import SCALES
from tailor_jax.train.recipe import SCHEDULES, Recipe


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
