"""Layers of the PE array: every node in one place, operands before their readers, what fuses and what does not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_graphs import nested_graphs

import costmodel
from costmodel.array.layers import layer_graph
from tailor_jax import build, rewrite
from tailor_jax.graph import macs
from tailor_jax.ops import VIEWS


@given(nested_graphs(8), st.booleans())
def test_layers_hold_every_node_once_and_run_in_order(graph, fuse_add):
    folded = rewrite.fold(graph)
    layers = layer_graph(folded, costmodel.pe_array(fuse_add=fuse_add))
    members = [node.name for layer in layers.layers for node in layer.nodes]
    assert sorted(members) == sorted(node.name for node in folded.nodes[1:] if node.op not in VIEWS)
    written = {folded.input.name}
    for layer in layers.layers:
        assert set(layer.reads) <= written, layer.name
        written.update(layer.outputs)
    assert set(layers.results) <= written
    assert sum(layer.macs for layer in layers.layers) == macs(folded)


@given(nested_graphs(8))
def test_with_separate_adds_the_traffic_is_that_of_the_edges(graph):
    """Each edge between layers is one read and each tensor one write; pools and ReLUs that fuse take theirs away."""
    folded, target = rewrite.fold(graph), costmodel.pe_array()
    layers = layer_graph(folded, target)
    host = {node.name: layer.name for layer in layers.layers for node in layer.nodes}
    size = {node.name: math.prod(node.shape) for node in folded.nodes}
    edges = {
        (source, host[node.name])
        for node in folded.nodes
        for source in node.inputs
        if host.get(source) != host[node.name]
    }
    reads = sum(size[source] for source, _ in edges)
    both = sum(size[node.inputs[0]] for node in folded.nodes if node.op == 'add' and node.inputs[0] == node.inputs[1])
    kept = {source for source, _ in edges} - {folded.input.name} | {folded.output.name}
    total = costmodel.evaluate(graph, target).total
    assert total['dram_feature_map_bytes'] == reads + both + sum(size[name] for name in kept)


def test_what_fuses_in_a_resnet():
    folded = rewrite.fold(build.resnet(50, (64, 64, 3)))
    fused = layer_graph(folded, costmodel.pe_array(fuse_add=True)).layers
    separate = layer_graph(folded, costmodel.pe_array(fuse_add=False)).layers
    assert len(separate) - len(fused) == 16  # one a block
    assert [node.op for node in fused[0].nodes] == ['conv', 'max_pool'] and fused[0].outputs == ('stem_pool',)
    assert [node.op for node in fused[-2].nodes] == ['conv', 'add', 'global_avg_pool'] and fused[-2].shortcuts == (
        's4b1_long',
    )


@pytest.mark.parametrize(
    'settings, message',
    [
        ({'preset': 'shortcut_fussion'}, "did you mean 'shortcut_fusion'.*tailor_2d"),
        ({'preset': 'missing.json'}, 'no file'),
        ({'row': 4}, "no setting 'row'; did you mean 'rows'"),
        ({'rows': 0}, 'rows must be an integer of 1..65536, got 0'),
        ({'policy': 'layerbylayer'}, "did you mean 'layer_by_layer'"),
        ({'dataflow': 'row_stationary'}, 'output_stationary, weight_stationary, input_stationary, channel_parallel'),
        ({'clock_mhz': 0}, 'clock_mhz must be a finite number above 0, got 0'),
        ({'fuse_add': 1}, 'fuse_add must be True or False'),
        ({'bandwidth_gb_s': 1, 'dram_bytes_per_cycle': 8}, 'not both'),
        ({'input_buffer_bytes': 100}, 'must all be positive'),
        ({'preset': 'vta', 'input_buffer_bytes': 100, 'sram_bytes': 100}, 'add up to sram_bytes'),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(costmodel.CostError, match=message):
        costmodel.pe_array(**settings)


def test_settings_override_the_preset():
    assert costmodel.pe_array('vta').sram_bytes == (32 + 256 + 128 + 32) * 1024
    assert costmodel.pe_array('vta', sram_bytes=1000).input_buffer_bytes == 0
    assert costmodel.pe_array('vta', input_buffer_bytes=65536).sram_bytes == (64 + 256 + 128 + 32) * 1024
    assert costmodel.pe_array(bandwidth_gb_s=1.6, clock_mhz=100).dram_bytes_per_cycle == 16


def test_a_preset_of_ones_own(tmp_path):
    path = tmp_path / 'mine.json'
    path.write_text('{"rows": 8, "policy": "layer_by_layer"}')
    with pytest.raises(costmodel.CostError, match=r'mine.json lacks columns, dataflow, sram_bytes'):
        costmodel.pe_array(str(path))
    path.write_text('{"rowz": 8}')
    with pytest.raises(costmodel.CostError, match="no setting 'rowz'; did you mean 'rows'"):
        costmodel.pe_array(str(path))


def test_efficientnet_b1_has_the_groups_that_shortcut_fusion_counts():
    """139 groups (arXiv 2106.08167): expand, depthwise with the pool of its squeeze, reduce, excite, scale, project
    with the add.
    """
    layers = layer_graph(rewrite.fold(build.named('efficientnet_b1')), costmodel.pe_array('shortcut_fusion'))
    assert len(layers.layers) == 139
    depthwise = next(layer for layer in layers.layers if layer.name == 's2b1_depthwise')
    assert len(depthwise.outputs) == 2  # the map, and its mean made on the side


def test_views_are_the_tensors_that_they_are_made_of():
    layers = layer_graph(rewrite.fold(build.named('squeezenet')), costmodel.pe_array())
    squeeze = next(layer for layer in layers.layers if layer.name == 'fire3_squeeze')
    assert squeeze.inputs == ('fire2_expand1', 'fire2_expand3')
