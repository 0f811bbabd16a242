"""Random integer networks for tests: random residual graphs, and the integers to run them.

random_qgraph(graph, seed)    a graph with learnable gates -> folded, lowered, random weights and types
residual_graphs()             a strategy of small residual graphs: strides, projections, depthwise, pools, 1-D
"""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import strategies as st
from plans import plan_of

from tailor_jax import build, rewrite
from tailor_jax.dataflow.plan import Plan
from tailor_jax.graph import Graph, Node, weight_shape, window_shape
from tailor_jax.integers import lower, qnode
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.qgraph import QGraph
from tailor_jax.ops import PASSED


def random_qgraph(
    graph: Graph, seed: int = 0, bits: tuple[int, int] = (8, 8), gates: dict[str, int] | None = None, mixed: bool = True
) -> QGraph:
    """Closes the gates at 0, opens the others, folds, and lowers with random float parameters.

    Args:
      graph: with or without learnable gates and batch norms.
      seed: of the parameters.
      bits: (weight bits, activation bits), of every node if not `mixed`; else each node draws its own, at most so many.
        Types are signed where no ReLU precedes them, and scales differ, so that adds must align.
      gates: {gate: 0 or 1}; 1 where missing.
      mixed: whether bit widths differ from node to node.
    """
    rng = np.random.default_rng(seed)
    graph = rewrite.fold(rewrite.binarize(graph, {gate: (gates or {}).get(gate, 1) for gate in graph.gates}))
    params, activations, weights = {}, {}, {}
    for node in graph.nodes:
        width = int(rng.integers(min(3, bits[1]), bits[1] + 1)) if mixed else bits[1]
        if node.op in PASSED:
            activations[node.name] = qnode.passed_type(node, activations[node.inputs[0]])
        elif node.name != graph.output.name:
            activations[node.name] = Fixed(width, width - 1 - int(rng.integers(0, 3)), signed=not node.relu)
        if shape := weight_shape(graph, node):
            fan_in = int(np.prod(shape[:-1]))
            params[node.key] = {
                'kernel': rng.normal(0, fan_in**-0.5, shape).astype(np.float32),
                'bias': rng.normal(0, 0.3, shape[-1]).astype(np.float32),
            }
            width = int(rng.integers(min(2, bits[0]), bits[0] + 1)) if mixed else bits[0]
            weights[node.name] = Fixed(width, width - 1 + int(rng.integers(-1, 2)))
    return lower.lower(graph, params, activations, weights)


def random_images(qgraph: QGraph, count: int, seed: int = 0) -> np.ndarray:
    """Random integers of the input's type, [count, h, w, c]; the first two images are its smallest and its largest
    value everywhere.
    """
    fixed = qgraph.input.out
    images = np.random.default_rng(seed).integers(fixed.lo, fixed.hi + 1, (count, *qgraph.input.node.shape))
    images[:1], images[1:2] = fixed.lo, fixed.hi
    return images


def small_project() -> tuple[QGraph, Plan, np.ndarray, np.ndarray]:
    """What `hls_export.write` takes: a ResNet-8 with random integers, its plan, three images and their labels."""
    net = random_qgraph(build.resnet(8, (6, 6, 1), 4, 2, 'long'), seed=1)
    return net, plan_of(net.graph), random_images(net, 3), np.arange(3)


@st.composite
def residual_graphs(draw: st.DrawFn, max_blocks: int = 3) -> Graph:
    """A small residual network: a stem, blocks with long and short skips over strided, grouped or plain convolutions, a
    head.
    """
    one_dimensional = draw(st.booleans())
    height = 1 if one_dimensional else draw(st.integers(3, 8))
    nodes = [Node('input', 'input', (), (height, draw(st.integers(3, 9)), draw(st.integers(1, 3))))]

    def append(node: Node) -> Node:
        nodes.append(dataclasses.replace(node, name=f'{node.name}{len(nodes)}'))
        return nodes[-1]

    def window(op: str, source: Node, channels: int, size: int, stride: int, groups: int = 1) -> Node:
        # Odd and even kernels, with the padding on either side: the output is ceil(input / stride).
        kernel, steps = ((1, size), (1, stride)) if one_dimensional else ((size, size), (stride, stride))
        before, after = (size - 1) // 2, size // 2
        padding = (0, 0, before, after) if one_dimensional else (before, after, before, after)
        return append(
            Node(
                op.replace('_', ''),
                op,
                (source.name,),
                (*window_shape(source.shape, kernel, steps, padding), channels),
                kernel,
                steps,
                padding,
                groups,
            )
        )

    def relu(source: Node) -> Node:
        return append(Node('relu', 'relu', (source.name,), source.shape))

    def add(main: Node, skip: Node) -> Node:
        return append(Node('add', 'add', (main.name, skip.name), main.shape, gate=f'gate{len(nodes)}'))

    channels = draw(st.sampled_from([2, 4, 6]))
    tensor = relu(window('conv', nodes[0], channels, draw(st.integers(1, 3)), 1))
    for _ in range(draw(st.integers(1, max_blocks))):
        stride, size = draw(st.integers(1, 2)), draw(st.integers(1, 4))
        groups = draw(st.sampled_from([1, 1, 2, channels]))
        channels = channels * draw(st.integers(1, 2)) if stride > 1 else channels
        skip = tensor
        if stride > 1 or channels != tensor.shape[2]:
            skip = window('conv', tensor, channels, 1, stride)
        main = relu(window('conv', tensor, channels, size, stride, groups))
        if draw(st.booleans()):
            main = add(main, skip)
        second = window('conv', main, channels, draw(st.integers(1, 3)), 1)
        if draw(st.booleans()):
            second = add(second, skip)
        tensor = relu(second)
        if draw(st.booleans()):
            tensor = add(tensor, main)
        if draw(st.integers(0, 3)) == 0:
            tensor = window('max_pool', tensor, channels, draw(st.integers(2, 3)), draw(st.integers(1, 2)))
    if draw(st.booleans()):
        pooled = append(Node('pool', 'global_avg_pool', (tensor.name,), (1, 1, channels)))
        append(Node('dense', 'dense', (pooled.name,), (1, 1, draw(st.integers(1, 5))), bias=True))
    return rewrite.dead_code(Graph(tuple(nodes)))
