"""The networks against their published sizes, and their skip variants."""

import pytest

from tailor_jax import build, graph, rewrite

# Parameters and multiply-accumulates at 224x224 as torchvision's documentation gives them (stride on the 3x3 convolution).
PUBLISHED = {
    'resnet18': (11_689_512, 1.81e9),
    'resnet34': (21_797_672, 3.66e9),
    'resnet50': (25_557_032, 4.09e9),
    'resnet101': (44_549_160, 7.80e9),
    'resnet152': (60_192_808, 11.51e9),
    'mobilenet_v2': (3_504_872, 0.30e9),
}


@pytest.mark.parametrize('name', PUBLISHED)
def test_parameters_and_macs_are_the_published_ones(name):
    net = build.named(name)
    parameters, macs = PUBLISHED[name]
    assert graph.parameters(net) == parameters
    assert graph.macs(net) == pytest.approx(macs, rel=3e-3)


def test_quartznet_has_the_published_size():
    """6.7 M parameters for QuartzNet 5x5 (table 2 of arXiv 1910.10261)."""
    assert graph.parameters(build.quartznet()) == pytest.approx(6.7e6, rel=0.01)


@pytest.mark.parametrize('skips, a_block', [('long', 1), ('short', 3), ('long+short', 4), ('none', 0)])
def test_gates_of_bottleneck_networks(skips, a_block):
    net = build.resnet(50, (64, 64, 3), 10, width=8, skips=skips)
    assert len(net.gates) == 16 * a_block
    closed = rewrite.remove(net, net.gates)
    assert [node.name for node in closed] == [node.name for node in build.resnet(50, (64, 64, 3), 10, width=8, skips='none')]
    assert not any(node.op in ('batch_norm', 'relu') for node in rewrite.fold(closed))


def test_mobilenet_and_quartznet_without_skips():
    for make in (build.mobilenet_v2, build.quartznet):
        whole, bare = make(), make(skips='none')
        assert [node.name for node in rewrite.remove(whole, whole.gates)] == [node.name for node in bare]


def test_one_dimensional_networks_have_one_dimensional_windows():
    for net in (build.quartznet((1, 40, 8)), build.resnet(8, (1, 32, 4))):
        assert {node.kernel[0] for node in net} == {1} and {node.shape[0] for node in net} == {1}


@pytest.mark.parametrize(
    'arguments, message',
    [
        ({'name': 'resnt20'}, "no network 'resnt20'.*did you mean 'resnet20'"),
        ({'name': 'resnet20_shrt'}, "got 'shrt'; did you mean 'short'"),
        ({'name': 'resnet20_short', 'skips': 'long'}, "asks for 'short' skips and the skips given are 'long'"),
        ({'name': 'resnet21'}, 'got 21; the nearest is 20'),
        ({'name': 'resnet50_short_pre'}, 'resnet50 has bottleneck blocks'),
        ({'name': 'mobilenet_v2', 'skips': 'short'}, "must be long or none for mobilenet_v2, got 'short'"),
        ({'name': 'mobilenet_v2', 'width': 8}, 'mobilenet_v2 has no width'),
        ({'name': 'quartznet', 'input_shape': (8, 8, 3)}, r'takes \(1, time steps, features\), got \(8, 8, 3\)'),
    ],
)
def test_what_cannot_be_built_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        build.named(**arguments)
