"""A small training: network, objective, batches, and the loop over them with metrics and checkpoints."""

import jax
import jax.numpy as jnp

from tailor_jax import build, data, gates, model
from tailor_jax.train import loop, step
from tailor_jax.train.checkpoint import Checkpoints
from tailor_jax.train.metrics import Metrics
from tailor_jax.train.recipe import Recipe
from tailor_jax.train.step import Context, Objective

NET = build.resnet(8, (8, 8, 1), width=4)
RECIPE = Recipe(steps=12, learning_rate=0.05, gate_learning_rate=0.01, weight_decay=1e-4, warmup_steps=2, clip_norm=5.0)
ALL, ONE = tuple(jax.devices()), (jax.devices()[0],)


def mean_open(p):
    """A cost: any function of the probabilities."""
    return sum(p.values()) / len(p)


OBJECTIVE = Objective(NET, teacher=build.resnet(8, (8, 8, 1), width=4, skips='none'), cost=mean_open)


def context(cost_weight=0.5):
    teacher = model.init(OBJECTIVE.teacher, 9)
    return Context(jnp.uint32(3), teacher, jnp.float32(cost_weight))


def batches(devices, first=0, count=12):
    host = data.train_batches(data.load('digits'), batch_size=32, seed=1, start_step=first, steps=count - first)
    return data.prefetch(host, size=0, devices=devices)


def fit(workdir, steps, saves=4, log_every=1, source=None):
    recipe = Recipe(12, 0.05, 0.1)
    state = step.init_state(model.init(NET, 0), gates.init(NET.gates, 0.6), recipe)
    metrics = Metrics(workdir, quiet=True)
    with Checkpoints(workdir / 'checkpoints') as checkpoints:
        try:
            return loop.fit(
                state,
                step.make_train_step(OBJECTIVE, recipe, ONE),
                source or (lambda first: batches(ONE, first)),
                context(),
                phase='gates',
                steps=steps,
                steps_per_epoch=4,
                batch_size=32,
                metrics=metrics,
                checkpoints=checkpoints,
                log_every=log_every,
                save_every=saves,
                devices=ONE,
            )
        finally:
            metrics.close()
