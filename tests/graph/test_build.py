"""The networks against their published sizes, and their skip variants."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from tailor_jax import build, graph, rewrite
from tailor_jax.build import __main__ as command
from tailor_jax.build.named import collect

# Parameters and multiply-accumulates as torchvision's documentation gives them (stride on the 3x3 convolution):
# num_params and "GFLOPS", at 224x224 but for EfficientNet-B1's 240x240. YOLOv3 from darknet: yolov3.weights is
# 248,007,048 bytes, a header of 20 and 62,001,757 float32, which are our parameters and two statistics for each of the
# 26,304 channels of batch norms; 65.86 BFLOPs at 416x416, two a multiply-accumulate. RetinaNet: torchvision's
# 34,014,999 and, at 800x800, 151.54 GFLOPS; its batch norms are frozen, so their 53,120 scales and shifts are no
# parameters there.
PUBLISHED = {
    'resnet18': (11_689_512, 1.81e9),
    'resnet34': (21_797_672, 3.66e9),
    'resnet50': (25_557_032, 4.09e9),
    'resnet101': (44_549_160, 7.80e9),
    'resnet152': (60_192_808, 11.51e9),
    'mobilenet_v2': (3_504_872, 0.30e9),
    'vgg16': (138_357_544, 15.47e9),
    'squeezenet': (1_248_424, 0.82e9),
    'squeezenet1_1': (1_235_496, 0.35e9),
    'efficientnet_b1': (7_794_184, 0.69e9),
    'yolov3': ((248_007_048 - 20) // 4 - 2 * 26_304, 65.86e9 / 2),
}


@pytest.mark.parametrize('name', PUBLISHED)
def test_parameters_and_macs_are_the_published_ones(name):
    net = build.named(name)
    parameters, macs = PUBLISHED[name]
    assert graph.parameters(net) == parameters
    assert graph.macs(net) == pytest.approx(macs, rel=3e-3 if macs > 1e9 else 6e-3)


def test_retinanet_has_the_published_size_and_counts_shared_weights_once():
    net = build.named('retinanet_r50_fpn')
    normalization = sum(graph.parameters(net, node) for node in net if node.op == 'batch_norm')
    assert graph.parameters(net) - normalization == 34_014_999
    assert graph.macs(build.named('retinanet_r50_fpn', (800, 800, 3))) == pytest.approx(151.54e9, rel=1e-4)
    shared = [node for node in net if node.weights]
    assert len(shared) == 5 * 10 and len({node.weights for node in shared}) == 10
    assert {node.name for node in shared if graph.parameters(net, node)} == {
        node.name for node in shared if node.name.startswith('p3_')
    }


@pytest.mark.parametrize(
    'name, gates', [('vgg16', 0), ('squeezenet', 4), ('efficientnet_b1', 16), ('yolov3', 23), ('retinanet_r50_fpn', 16)]
)
def test_networks_of_the_pe_array(name, gates):
    """Their gates, without which they are the network built without skips; every block is one run of nodes; they fold
    and survive JSON.
    """
    net = build.named(name)
    assert len(net.gates) == gates
    assert [node.name for node in rewrite.remove(net, net.gates)] == [
        node.name for node in build.named(name, skips='none')
    ]
    runs = [node.block for before, node in itertools.pairwise(net) if node.block != before.block]
    assert len(runs) == len(set(runs)) and all(runs)
    assert graph.from_json(graph.to_json(net)) == net
    assert not any(node.op == 'batch_norm' for node in rewrite.fold(net))


def test_detectors_put_out_every_box_of_every_head():
    sides = (416 // 32, 416 // 16, 416 // 8)
    assert build.yolov3().output.shape == (1, 1, sum(3 * side * side for side in sides) * 85)
    pixels = sum(side * side for side in (64, 32, 16, 8, 4))
    assert build.retinanet_r50_fpn(classes=80).output.shape == (1, 1, 9 * pixels * 84)


def test_quartznet_has_the_published_size():
    """6.7 M parameters for QuartzNet 5x5 (table 2 of arXiv 1910.10261)."""
    assert graph.parameters(build.quartznet()) == pytest.approx(6.7e6, rel=0.01)


@pytest.mark.parametrize('skips, a_block', [('long', 1), ('short', 3), ('long+short', 4), ('none', 0)])
def test_gates_of_bottleneck_networks(skips, a_block):
    net = build.resnet(50, (64, 64, 3), 10, width=8, skips=skips)
    assert len(net.gates) == 16 * a_block
    closed = rewrite.remove(net, net.gates)
    assert [node.name for node in closed] == [
        node.name for node in build.resnet(50, (64, 64, 3), 10, width=8, skips='none')
    ]
    assert not any(node.op in ('batch_norm', 'relu') for node in rewrite.fold(closed))


def test_mobilenet_and_quartznet_without_skips():
    for make in (build.mobilenet_v2, build.quartznet):
        whole, bare = make(), make(skips='none')
        assert [node.name for node in rewrite.remove(whole, whole.gates)] == [node.name for node in bare]


@pytest.mark.parametrize('name', ['resnet18', 'mobilenet_v2', 'efficientnet_b1', 'yolov3', 'retinanet_r50_fpn'])
def test_a_map_that_has_shrunk_to_one_pixel_keeps_its_square_windows(name):
    net = build.named(name, (32, 32, 3))
    assert any(node.shape[:2] == (1, 1) for node in net if node.op == 'conv')
    assert graph.parameters(net) == graph.parameters(build.named(name))


def test_one_dimensional_networks_have_one_dimensional_windows():
    for net in (build.quartznet((1, 40, 8)), build.resnet(8, (1, 32, 4))):
        assert {node.kernel[0] for node in net} == {1} and {node.shape[0] for node in net} == {1}


def test_the_command_prints_the_table_of_the_documentation_and_the_nodes_of_one_network(capsys):
    page = (Path(__file__).parents[2] / 'docs' / 'networks.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| `\w+` \| \d+x.*$', page, re.MULTILINE)
    assert command.main([]) == 0
    assert len(rows) > 10 and set(rows) <= set(capsys.readouterr().out.splitlines())
    assert command.main(['squeezenet']) == 0
    assert 'fire3_long' in capsys.readouterr().out
    assert command.main(['squezenet']) == 1
    assert "did you mean 'squeezenet'" in capsys.readouterr().err


def test_the_command_takes_one_network_or_none(capsys):
    for arguments in (['resnet20', 'resnet8'], ['--nonsense'], ['']):
        assert command.main(arguments) == 1
        captured = capsys.readouterr()
        assert not captured.out and captured.err.startswith('error: ') and captured.err.count('\n') == 1
    with pytest.raises(SystemExit) as done:
        command.main(['--help'])
    assert done.value.code == 0 and 'python -m tailor_jax.build yolov3' in capsys.readouterr().out


@pytest.mark.parametrize('value', [0, -1, 2.5, True, '8', 1 << 30])
@pytest.mark.parametrize('name', ['resnet8', 'resnet50', *build.NETWORKS])
def test_a_size_of_a_network_is_a_positive_integer_and_the_error_names_it(name, value):
    with pytest.raises(ValueError, match=rf'^classes must be an integer of 1\.\..*, got {value!r}'):
        build.named(name, classes=value)
    if name.startswith('resnet'):
        with pytest.raises(ValueError, match=rf'^width must be an integer of 1\.\..*, got {value!r}'):
            build.named(name, width=value)
    with pytest.raises(ValueError, match='input_shape .*must be an integer of 1'):
        build.named(name, (64, value, 3))


@pytest.mark.parametrize('make', build.NETWORKS.values())
@pytest.mark.parametrize('shape', [(32, 32), 32, '32x32x3', None, (32, 32, 3, 1)])
def test_an_input_shape_is_three_integers(make, shape):
    with pytest.raises(ValueError, match='input_shape must be three integers'):
        make(input_shape=shape)


def test_numbers_of_numpy_build_the_same_network():
    eight = np.int64(8)
    assert build.resnet(eight, (eight, eight, np.int32(3)), np.int8(10), eight) == build.resnet(8, (8, 8, 3), 10, 8)
    assert build.mobilenet_v2(multiplier=np.float32(0.5)) == build.mobilenet_v2(multiplier=0.5)


@pytest.mark.parametrize(
    'arguments, message',
    [
        ({'name': 'resnt20'}, "no network 'resnt20'.*did you mean 'resnet20'"),
        ({'name': 'resnet20_shrt'}, "got 'shrt'; did you mean 'short'"),
        ({'name': 'resnet20_short', 'skips': 'long'}, "asks for skips 'short' and the skips given is 'long'"),
        ({'name': 'resnet21'}, 'got 21; the nearest is 20'),
        ({'name': 'resnet50_short_pre'}, 'resnet50 has bottleneck blocks'),
        ({'name': 'mobilenet_v2', 'skips': 'short'}, "must be long or none for mobilenet_v2, got 'short'"),
        ({'name': 'mobilenet_v2', 'width': 8}, 'width is 8, but mobilenet_v2 has no width; it takes multiplier, skips'),
        ({'name': 'vgg16', 'skips': 'long'}, "vgg16 has no skips, so skips must be none, got 'long'"),
        ({'name': 'vgg16', 'input_shape': (32, 16, 3)}, 'takes 32x32 or more'),
        ({'name': 'yolov3', 'input_shape': (400, 416, 3)}, r'multiples of 32, got \(400, 416, 3\)'),
        ({'name': 'retinanet_r50_fpn', 'input_shape': (100, 96, 3)}, 'multiples of 32'),
        ({'name': 'retinanet_r50_fpn', 'skips': 'all'}, "must be one of .*got 'all'"),
        ({'name': 'squeezenet', 'skips': 'short'}, 'must be long or none for squeezenet'),
        ({'name': 'resnet20', 'multiplier': 2.0}, 'resnet20 has no multiplier; it takes depth, width, skips'),
        ({'name': 'squeezenet1_1', 'version': '1.0'}, 'squeezenet1_1 has no version; it takes multiplier, skips'),
        ({'name': 'resnet20', 'depth': 14}, 'resnet20 asks for depth 20 and the depth given is 14'),
        ({'name': 'yolov4'}, "did you mean 'yolov3'"),
        ({'name': 'resnet\uff18'}, 'no network'),  # a digit, of another script
        ({'name': 'resnet' + '9' * 5000}, 'no network'),
        ({'name': 'resnet60000000002'}, r'depth must be an integer of 1\.\.20000, got 60000000002'),
        ({'name': 'resnet20', 'skips': ''}, "skips must be one of .*got ''"),
        ({'name': 'quartznet', 'input_shape': (8, 8, 3)}, r'takes \(1, time steps, features\), got \(8, 8, 3\)'),
    ],
)
def test_what_cannot_be_built_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        build.named(**arguments)


def test_a_module_of_the_package_adds_its_networks(tmp_path, monkeypatch):
    """Nothing lists it; a name that two modules have is an error."""
    package = tmp_path / 'mine'
    package.mkdir()
    (package / 'one.py').write_text('NETWORKS = {"net": dict}')
    (package / 'helpers.py').write_text('')
    monkeypatch.syspath_prepend(tmp_path)
    assert collect('mine', package) == {'net': dict}
    (package / 'two.py').write_text('NETWORKS = {"other": list, "net": list}')
    with pytest.raises(ValueError, match="mine.two: NETWORKS has 'net', which another module has too"):
        collect('mine', package)


def test_a_name_is_its_builder_with_arguments():
    assert build.named('resnet20_short', width=8) == build.resnet(20, width=8, skips='short')
    assert build.named('resnet', depth=18) == build.named('resnet18') == build.resnet(18, (224, 224, 3), 1000)
    assert build.named('squeezenet1_1') == build.named('squeezenet', version='1.1')
    assert build.named('quartznet', repeats=1, multiplier=0.5) == build.quartznet(repeats=1, multiplier=0.5)


@pytest.mark.parametrize('name', ['vgg16', 'squeezenet', 'squeezenet1_1'])
def test_a_multiplier_scales_every_width_and_no_more(name):
    whole, half = build.named(name), build.named(name, multiplier=0.5)
    assert [(node.name, node.op, node.inputs) for node in whole] == [(node.name, node.op, node.inputs) for node in half]
    assert half.input == whole.input and half.output.shape == whole.output.shape
    weighted = [(one, two) for one, two in zip(whole, half) if one.op in ('conv', 'dense') and one.shape[2] != 1000]
    assert all(one.shape[2] == 2 * two.shape[2] and one.shape[:2] == two.shape[:2] for one, two in weighted)


def test_efficientnet_scaled_to_b2_has_its_published_size():
    """Parameters of torchvision's efficientnet_b2 (width 1.1, depth 1.2), and the channels of its stages."""
    net = build.efficientnet_b1(multiplier=1.1, depth_multiplier=1.2)
    assert graph.parameters(net) == 9_109_994
    ends = [f's{stage}b0_project' for stage in range(1, 8)]
    assert [net[name].shape[2] for name in ('stem_conv', *ends, 'last_conv')] == [
        32,
        16,
        24,
        48,
        88,
        120,
        208,
        352,
        1408,
    ]
