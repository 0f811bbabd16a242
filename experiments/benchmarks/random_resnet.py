"""What the benchmarks of the exporter measure: a ResNet with random integers, and the cost model's plan of it."""

from __future__ import annotations

import numpy as np

import costmodel
import hls_export
from tailor_jax import build, rewrite
from tailor_jax.graph import Graph, weight_shape
from tailor_jax.integers import lower
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.qgraph import QGraph


def make(
    depth: int,
    size: int,
    width: int = 16,
    interval_cycles: int | None = None,
    bits: int = 8,
    skips: bool = True,
) -> tuple[QGraph, hls_export.Plan, costmodel.Cost]:
    """A CIFAR-shape ResNet with all its skips, or none, on [size, size, 3] images, priced and planned for an interval.

    Weights and activations of so many bits, activations unsigned behind a ReLU. The folding is that of the network with
    all its skips.
    """
    graph = build.resnet(depth, (size, size, 3), width=width)
    target = costmodel.settled(
        graph, costmodel.dataflow(interval_cycles=interval_cycles, weight_bits=bits, activation_bits=bits)
    )
    graph = rewrite.fold(rewrite.binarize(graph, dict.fromkeys(graph.gates, int(skips))))
    cost = costmodel.evaluate(graph, target)
    assert cost.plan is not None  # a streaming design has one
    return random_integers(graph, bits), cost.plan, cost


def random_integers(graph: Graph, bits: int = 8) -> QGraph:
    """A folded graph with random weights of so many bits."""
    weighted = [node for node in graph.nodes if node.weighted]
    rng, params = np.random.default_rng(0), {}
    for node in weighted:
        shape = weight_shape(graph, node)
        params[node.name] = {'kernel': rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape).astype(np.float32)}
    activations = {node.name: Fixed(bits, bits - 3, signed=not node.relu) for node in graph.nodes[:-1]}
    return lower.lower(graph, params, activations, {node.name: Fixed(bits, bits - 1) for node in weighted})


def images(network: QGraph, count: int) -> np.ndarray:
    """Random integers of the network's input type, [count, h, w, c]."""
    kind = network.input.out
    return np.random.default_rng(1).integers(kind.lo, kind.hi + 1, (count, *network.input.node.shape))
