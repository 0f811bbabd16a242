"""What nodes are as processes of a streaming design, against brute force."""

import pytest
from plans import folded

from tailor_jax import build, rewrite, streaming
from tailor_jax.dataflow import design as designs
from tailor_jax.graph import Graph, GraphError, Node, parameters


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


def test_products_are_the_weights_of_each_output_channel():
    net = rewrite.fold(build.resnet(8, (8, 8, 3), width=4))
    layers = [streaming.products(net, node) for node in net if node.weighted]
    biases = sum(channels for _, channels in layers)
    assert sum(count * channels for count, channels in layers) + biases == parameters(net)
    conv = Node('conv', 'conv', ('input',), (4, 4, 6), (3, 2), padding=(1, 1, 0, 1), groups=2)
    assert streaming.products(Graph((Node('input', 'input', (), (4, 4, 8)), conv)), conv) == (3 * 2 * 4, 6)


def test_a_batch_norm_has_no_process():
    net = build.resnet(8)
    with pytest.raises(GraphError, match='stem_bn.*fold the graph first'):
        designs.design(net, folded(net))
