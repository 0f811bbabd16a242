"""A ResNet of 8 x 8 x 3 images, random ones of them, and variables whose batch norms do something."""

from __future__ import annotations

import jax
import numpy as np

from tailor_jax import build, model
from tailor_jax.graph import Graph

SHAPE = (8, 8, 3)
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(16, *SHAPE)).astype(np.float32)
LABELS = RNG.integers(0, 10, 16).astype(np.int32)
ONE = (jax.devices()[0],)


def net(skips: str = 'long', depth: int = 8) -> Graph:
    return build.resnet(depth, SHAPE, width=4, skips=skips)


def lively(graph: Graph, seed: int = 0) -> dict:
    """Variables whose batch norms are no identities."""
    variables, rng = model.init(graph, seed), np.random.default_rng(seed)
    for tree, lo, hi in ((variables['params'], 0.5, 1.5), (variables['batch_stats'], 0.5, 2.0)):
        for name in variables['batch_stats']:
            tree[name] = {key: rng.uniform(lo, hi, value.shape).astype(np.float32) for key, value in tree[name].items()}
    return variables
