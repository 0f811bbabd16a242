"""ResNeXt against its published sizes, and a small one from training to the C-simulation."""

import jax
import numpy as np
import pytest
from hypothesis import settings
from trained import train_named

import costmodel
from hls_export import csim
from tailor_jax import build, graph, model, rewrite
from tailor_jax.build.resnext import resnext29

LONG = pytest.mark.skipif(
    settings.default.max_examples <= 25, reason='half a minute: with HYPOTHESIS_PROFILE=thorough, make laws'
)
TINY = {'model.depth': 11, 'model.width': 8, 'model.multiplier': 1 / 16}  # cardinality 8, of no channel less


@pytest.mark.parametrize('cardinality, published', [(8, 34.4e6), (16, 68.1e6)])
def test_parameters_are_the_published_ones(cardinality, published):
    """Table 7 of the paper, to the tenth of a million that it gives."""
    assert graph.parameters(resnext29(cardinality=cardinality)) == pytest.approx(published, abs=0.1e6)


@pytest.mark.parametrize('cardinality', [8, 16])
def test_parameters_are_those_of_a_sum_by_hand(cardinality):
    """Layer by layer: 1x1, 3x3 in groups, 1x1, the projection of each stage's first block, and their batch norms."""
    count, before = 3 * 3 * 3 * 64 + 2 * 64, 64
    for stage in range(3):
        inside, out = cardinality * 64 * 2**stage, 256 * 2**stage
        for block in range(3):
            count += before * inside + 9 * inside * inside // cardinality + inside * out + 2 * (inside + inside + out)
            count += before * out + 2 * out if block == 0 else 0
            before = out
    assert graph.parameters(resnext29(cardinality=cardinality)) == count + (before + 1) * 10


def test_shapes_groups_and_gates():
    net = build.named('resnext29')
    assert net == resnext29() and build.named('resnext29', classes=100).output.shape == (1, 1, 100)
    assert net.gates == tuple(f's{stage}b{block}_long' for stage in (1, 2, 3) for block in (0, 1, 2))
    for stage, side in ((1, 32), (2, 16), (3, 8)):
        assert net[f's{stage}b2_relu3'].shape == (side, side, 128 * 2**stage)
        for block in (0, 1, 2):
            conv = net[f's{stage}b{block}_conv2']
            assert (conv.groups, conv.shape) == (8, (side, side, 8 * 32 * 2**stage))
    assert {node.groups for node in net if node.op == 'conv' and not node.name.endswith('conv2')} == {1}
    assert [node.name for node in net if 'proj' in node.name and node.op == 'conv'] == [
        f's{stage}b0_proj' for stage in (1, 2, 3)
    ]
    assert graph.from_json(graph.to_json(net)) == net


def test_without_its_gates_it_is_the_network_without_skips():
    net = resnext29(multiplier=0.125)
    assert rewrite.remove(net, net.gates) == resnext29(multiplier=0.125, skips='none')


def test_a_group_sees_its_own_channels_alone():
    """The grouped convolution against one convolution a group, of that group's channels."""
    net = resnext29((8, 8, 3), depth=11, cardinality=4, width=3, multiplier=0.25)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    variables = model.init(net, 0)
    tensors = model.Net(net).apply(variables, images, capture=True)
    source, kernel = tensors['s1b0_relu1'], variables['params']['s1b0_conv2']['kernel']
    size = source.shape[-1] // 4
    layout, parts = ('NHWC', 'HWIO', 'NHWC'), []
    for at in range(0, 4 * size, size):
        mine, filters = source[..., at : at + size], kernel[..., at : at + size]
        parts.append(jax.lax.conv_general_dilated(mine, filters, (1, 1), 'SAME', dimension_numbers=layout))
    np.testing.assert_allclose(np.concatenate(parts, -1), tensors['s1b0_conv2'], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('target', [costmodel.dataflow(), costmodel.pe_array()], ids=['dataflow', 'pe_array'])
def test_the_expected_cost_of_a_setting_is_the_price_of_its_network(target):
    net = resnext29((16, 16, 3), depth=20, multiplier=0.125)
    target = costmodel.settled(net, target)
    table, rng = costmodel.tabulate(net, target), np.random.default_rng(0)
    for _ in range(4):
        setting = {gate: int(rng.integers(2)) for gate in net.gates}
        found = costmodel.expected(table, {gate: float(value) for gate, value in setting.items()})
        total = costmodel.evaluate(rewrite.binarize(net, setting), target).total
        assert {key: float(value) for key, value in found.items()} == {key: total[key] for key in found}


@pytest.mark.parametrize('kept', ['all', pytest.param('none', marks=LONG)])
def test_it_trains_and_its_c_simulation_gives_the_integers_bit_for_bit(kept, tmp_path, monkeypatch):
    monkeypatch.setenv('OPTIMIZE_fast', '-O0')
    settings = TINY | {'method': 'keep', 'gates.keep': kept, 'cost.dataflow.interval_cycles': 4096}
    summary = train_named('resnext29', (8, 8, 3), settings, tmp_path)
    assert summary['gates'] == dict.fromkeys(summary['gates'], int(kept == 'all')) and len(summary['gates']) == 3
    told = csim.simulate(tmp_path / 'p', images=8)
    assert (told['images'], told['mismatched_values']) == (8, 0)


@pytest.mark.parametrize(
    'arguments, message',
    [
        ({'depth': 28}, r'resnext29 depth must be 9n \+ 2 .*, got 28; the nearest is 29'),
        ({'depth': 2}, 'the nearest is 11'),
        ({'cardinality': 0}, r'cardinality must be an integer of 1\.\..*, got 0'),
        ({'width': 2.5}, r'width must be an integer of 1\.\..*, got 2.5'),
        ({'multiplier': 0}, 'multiplier must be a number above 0'),
        ({'skips': 'short'}, "skips must be long or none for resnext29, got 'short'"),
    ],
)
def test_what_cannot_be_built_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        build.named('resnext29', **arguments)
