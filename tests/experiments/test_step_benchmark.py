"""The benchmark of the training step: its hand-written network is the graph's, and its ratios are of the same round."""

import jax
import numpy as np

from experiments.benchmarks.step import PlainResNet, table
from tailor_jax import build, model


def test_the_plain_network_computes_what_the_graph_does():
    graph = build.resnet(8, (32, 32, 3), 10, 16)
    variables, images = model.init(graph, 0), np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    params = {'Dense_0': variables['params']['head_dense']}
    for op, name in (('conv', 'Conv'), ('batch_norm', 'BatchNorm')):
        params |= {
            f'{name}_{index}': variables['params'][node]
            for index, node in enumerate(node.name for node in graph if node.op == op)
        }
    statistics = {f'BatchNorm_{index}': value for index, value in enumerate(variables['batch_stats'].values())}
    plain = {'params': params, 'batch_stats': statistics}
    shapes = jax.eval_shape(PlainResNet(8).init, jax.random.key(0), images)
    assert jax.tree.map(np.shape, plain) == jax.tree.map(lambda leaf: leaf.shape, dict(shapes))
    expected, _ = model.Net(graph).apply(variables, images, train=True, mutable=['batch_stats'])
    logits, _ = PlainResNet(8).apply(plain, images, mutable=['batch_stats'])
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_ratios_are_medians_over_rounds():
    plain = np.array([[0.1, 0.2], [0.4, 0.8], [0.2, 0.4]])
    rows = table({'gated': plain * [[1.1, 1.0], [1.2, 1.0], [1.3, 1.0]], 'plain': plain}, batch=100).splitlines()
    assert rows[2] == '| gated | 1.200 | 1.000 | 260.0 | 400.0 | 385 |'
    assert rows[3] == '| plain | 1.000 | 1.000 | 200.0 | 400.0 | 500 |'
