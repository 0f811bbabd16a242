"""Losses, per example [b]; the step averages them.

cross-entropy     -log softmax(y)[label], or -sum_c q_c log softmax(y)_c for soft labels q (mixup)
distillation      mean over classes of (y_teacher - y)^2                    Tailor (arXiv 2301.07247), on logits
                  T^2 KL(softmax(y_teacher / T) || softmax(y / T))          Hinton et al. 2015
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Logits [b, classes], integer labels [b] -> [b]."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def soft_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Logits and soft labels, rows that sum to 1, [b, classes] twice -> [b]."""
    return optax.softmax_cross_entropy(logits, labels)


def distill_mse(logits: jax.Array, teacher_logits: jax.Array) -> jax.Array:
    """Mean squared difference of logits, [b, classes] twice -> [b]."""
    return jnp.mean((logits - teacher_logits) ** 2, axis=-1)


def distill_kl(logits: jax.Array, teacher_logits: jax.Array, temperature: float) -> jax.Array:
    """Kullback-Leibler divergence at a temperature, scaled by its square so that gradients keep their size; -> [b]."""
    student = jax.nn.log_softmax(logits / temperature)
    teacher = jax.nn.log_softmax(teacher_logits / temperature)
    return temperature**2 * jnp.sum(jnp.exp(teacher) * (teacher - student), axis=-1)
