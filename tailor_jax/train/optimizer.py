"""Optimizers: SGD with Nesterov momentum for the network, Adam for the gates, each with its own learning rate (optax.partition).

learning rate   linear warm-up, then cosine to zero over the phase
weight decay    on kernels only: batch norms, biases and gates are left alone
"""

from __future__ import annotations

import dataclasses

import jax
import optax


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one phase is optimized.

    Attributes:
      steps: length of the phase; the learning rate reaches zero at its end.
      learning_rate: peak, of the network's parameters.
      gate_learning_rate: constant, of the gates' log_alpha.
      weight_decay: added to the gradient of kernels.
      warmup_steps: steps of linear warm-up.
      clip_norm: bound on the global norm of the network's gradient; 0 for none.
    """

    steps: int
    learning_rate: float
    gate_learning_rate: float = 0.0
    weight_decay: float = 0.0
    warmup_steps: int = 0
    clip_norm: float = 0.0


def make_optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """The optimizer of one phase, over params = {'net': ..., 'gates': ...}."""
    warmup = min(recipe.warmup_steps, recipe.steps // 2)
    schedule = optax.warmup_cosine_decay_schedule(0.0 if warmup else recipe.learning_rate, recipe.learning_rate, warmup, max(recipe.steps, 1))
    net = optax.chain(
        optax.clip_by_global_norm(recipe.clip_norm) if recipe.clip_norm else optax.identity(),
        optax.add_decayed_weights(recipe.weight_decay, mask=_kernels),
        optax.sgd(schedule, momentum=0.9, nesterov=True),
    )
    return optax.partition({'net': net, 'gates': optax.adam(recipe.gate_learning_rate)}, param_labels={'net': 'net', 'gates': 'gates'})


def _kernels(params: dict) -> dict:
    return jax.tree_util.tree_map_with_path(lambda path, _: getattr(path[-1], 'key', None) == 'kernel', params)
