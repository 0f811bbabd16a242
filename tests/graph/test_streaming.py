"""The streaming machine's rules against brute force."""

import math

import pytest

from tailor_jax import build, rewrite, streaming
from tailor_jax.graph import Graph, GraphError, Node

NET = rewrite.fold(build.resnet(8, (8, 8, 3), width=4))


def test_reuse_factors_are_those_that_split():
    for node in NET:
        if node.op not in ('conv', 'dense'):
            continue
        count, channels = streaming.products(NET, node)
        valid = set(streaming.reuse_factors(NET, node))
        assert 1 in valid and count * channels in valid
        for factor in range(1, 2 * channels + 2):
            if factor in valid:
                slices, blocks = streaming.reuse_split(NET, node, factor)
                assert slices * blocks == factor and count % slices == 0 and channels % blocks == 0
            else:
                with pytest.raises(GraphError, match=f'reuse factor {factor} does not divide'):
                    streaming.reuse_split(NET, node, factor)


@pytest.mark.parametrize(
    'kernel, stride, padding',
    [
        ((3, 3), (1, 1), (1, 1, 1, 1)),
        ((3, 3), (2, 2), (1, 1, 1, 1)),
        ((1, 1), (2, 2), (0, 0, 0, 0)),
        ((5, 3), (1, 2), (2, 2, 1, 1)),
        ((2, 2), (2, 2), (0, 0, 0, 0)),
    ],
)
def test_an_output_needs_exactly_the_tokens_up_to_its_lag(kernel, stride, padding):
    """Each window's last real pixel is at most `lag` tokens after its anchor, and for some window exactly there."""
    height, width = 7, 9
    out = (
        (height + padding[0] + padding[1] - kernel[0]) // stride[0] + 1,
        (width + padding[2] + padding[3] - kernel[1]) // stride[1] + 1,
    )
    conv = Node('conv', 'conv', ('input',), (*out, 1), kernel, stride, padding)
    net = Graph((Node('input', 'input', (), (height, width, 1)), conv))
    lag = streaming.lag(net, conv)
    distances = []
    for row in range(out[0]):
        for column in range(out[1]):
            pixels = [
                (row * stride[0] - padding[0] + y, column * stride[1] - padding[2] + x)
                for y in range(kernel[0])
                for x in range(kernel[1])
            ]
            real = [y * width + x for y, x in pixels if 0 <= y < height and 0 <= x < width]
            distances.append(max(real) - (row * stride[0] * width + column * stride[1]))
    assert max(distances) == lag
    assert streaming.period_cycles(net, conv, 1) == height * width


def test_period_counts_a_pass_for_each_write_and_a_cycle_for_the_rest():
    node = NET['s2b0_conv1']
    writes, reads = math.prod(node.shape[:2]), math.prod(NET.in_shape(node)[:2])
    assert streaming.period_cycles(NET, node, 6) == 6 * writes + (reads - writes)


def test_a_batch_norm_has_no_process():
    net = build.resnet(8)
    with pytest.raises(GraphError, match='stem_bn.*fold the graph first'):
        streaming.period_cycles(net, net['stem_bn'])
