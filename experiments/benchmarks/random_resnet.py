"""What the benchmarks of the exporter measure: a ResNet with random 8-bit integers, and the cost model's plan of it."""

from __future__ import annotations

import numpy as np

import costmodel
import hls_export
from tailor_jax import build, rewrite
from tailor_jax.graph import weight_shape
from tailor_jax.integers import lower
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.qgraph import QGraph


def make(
    depth: int, size: int, width: int = 16, interval_cycles: int | None = None
) -> tuple[QGraph, hls_export.Plan, costmodel.Cost]:
    """A CIFAR-shape ResNet with all its skips on [size, size, 3] images, priced and planned for an interval.

    8-bit weights, 8-bit activations, unsigned behind a ReLU.
    """
    graph = build.resnet(depth, (size, size, 3), width=width)
    graph = rewrite.fold(rewrite.binarize(graph, dict.fromkeys(graph.gates, 1)))
    weighted = [node for node in graph.nodes if node.weighted]
    cost = costmodel.evaluate(graph, costmodel.dataflow(interval_cycles=interval_cycles))
    assert cost.plan is not None  # a streaming design has one

    rng, params = np.random.default_rng(0), {}
    for node in weighted:
        shape = weight_shape(graph, node)
        params[node.name] = {'kernel': rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape).astype(np.float32)}
    activations = {node.name: Fixed(8, 5, signed=not node.relu) for node in graph.nodes[:-1]}
    return lower.lower(graph, params, activations, {node.name: Fixed(8, 7) for node in weighted}), cost.plan, cost


def images(network: QGraph, count: int) -> np.ndarray:
    """Random integers of the network's input type, [count, h, w, c]."""
    kind = network.input.out
    return np.random.default_rng(1).integers(kind.lo, kind.hi + 1, (count, *network.input.node.shape))
