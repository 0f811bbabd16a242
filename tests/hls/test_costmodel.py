"""What the cost model says of a design, beside the exported design in its cycle simulation."""

import dataclasses
import math
import re

import numpy as np
import pytest
from random_nets import random_qgraph

import costmodel
import hls_export
from experiments.benchmarks import random_resnet
from hls_export import csim
from hls_export.dataflow import emit
from tailor_jax.dataflow.folding import Folding, Layer
from tailor_jax.graph import Graph, Node

IMAGES = 16


def run(path, network, plan):
    images = random_resnet.images(network, IMAGES)
    hls_export.write(path, network, plan, images, np.zeros(IMAGES, int), overwrite=True)
    return csim.simulate(path, 'cycle', IMAGES)


@pytest.mark.parametrize('interval_cycles', [256, 1024, 4096])
def test_the_exported_design_keeps_the_priced_interval(tmp_path, interval_cycles):
    network, plan, cost = random_resnet.make(8, 8, width=8, interval_cycles=interval_cycles)
    found = run(tmp_path / 'p', network, plan)
    assert found['mismatched_values'] == 0 and found['deadlock'] is None
    assert found['interval_cycles'] == cost.total['interval_cycles'] <= interval_cycles
    seen = {fifo['name']: fifo for fifo in found['fifos']}
    assert {name: fifo['depth'] for name, fifo in seen.items()} == cost.depths
    # Half of the skip of the first block costs throughput.
    skip = 'stem_conv__s1b0_long'
    fewer = dataclasses.replace(plan.fifos[skip], depth=plan.fifos[skip].depth // 2)
    slower = run(tmp_path / 'p', network, dataclasses.replace(plan, fifos={**plan.fifos, skip: fewer}))
    assert slower['interval_cycles'] is None or slower['interval_cycles'] > found['interval_cycles']


def test_priced_multipliers_are_those_that_are_emitted(tmp_path):
    """Two products of 8 bits a DSP, an odd one alone, none left to the tool; read off the generated sources."""
    network, plan, cost = random_resnet.make(8, 8, width=8, interval_cycles=512)
    hls_export.write(tmp_path / 'p', network, plan, random_resnet.images(network, 1), np.zeros(1, int))
    text = (tmp_path / 'p' / 'layers.h').read_text()
    dsps = 0
    for name, layer in plan.folding.layers.items():
        struct = re.search(rf'struct layer_{name}__mac \{{(.*?)\n\}};', text, re.S)[1]
        number = {key: int(value) for key, value in re.findall(r'\bint (\w+) = (?:fold\()?(\d+)', struct)}
        assert (number['lanes'], number['outputs']) == (layer.lanes, layer.outputs)
        assert plan.multipliers[name] == ('pair' if layer.outputs > 1 else 'dsp')
        dsps += number['taps'] * number['lanes'] * math.ceil(number['outputs'] / 2)
    pool = next(row for row in cost.nodes if row['op'] == 'global_avg_pool')
    assert dsps == cost.total['dsp'] - pool['dsp']


@pytest.mark.parametrize('channels, storage, bram18', [(4608, 'bram', 2), (144, 'lut', 0)])
def test_words_that_are_reread_are_kept_where_they_are_priced(channels, storage, bram18):
    """Words of 72 bits for a second pass: 512 of them are cheaper in two RAMB18, 16 in LUTs."""
    graph = Graph(
        (Node('input', 'input', (), (1, 1, channels)), Node('classes', 'dense', ('input',), (1, 1, 4), bias=True))
    )
    folding = Folding({'input': 9, 'classes': 2}, {'classes': Layer('all', 9, 2)})
    cost = costmodel.evaluate(graph, costmodel.dataflow(folding=folding))
    assert cost.plan.replays == {'classes': storage} and cost.total['bram18'] == bram18
    top = emit.source(random_qgraph(graph, mixed=False), cost.plan)['tailor_top.cpp']
    assert f'variable=replay type=ram_s2p impl={"bram" if bram18 else "lutram"} ' in top


def one_layer(size: tuple[int, int], kernel: tuple[int, int], padding: tuple[int, ...]) -> Graph:
    shape = (*size, 2)
    return Graph(
        (
            Node('input', 'input', (), shape),
            Node('layer', 'conv', ('input',), shape, kernel=kernel, padding=padding, bias=True),
        )
    )


@pytest.mark.parametrize('taps', ['column', 'one'])
@pytest.mark.parametrize('width', [1, 2, 3])
def test_rows_of_a_ring_are_priced_as_they_are_emitted(taps, width):
    """A window that is wider than the image keeps more rows than its own."""
    graph = one_layer((4, width), (3, 3), (1, 1, 1, 1))
    folding = Folding({'input': 1, 'layer': 1}, {'layer': Layer(taps, 1, 1)})
    cost = costmodel.evaluate(graph, costmodel.dataflow(folding=folding))
    struct = emit.source(random_qgraph(graph, mixed=False), cost.plan)['layers.h']
    rows = int(re.search(r'ring_rows = (\d+);', struct)[1])
    assert rows == (3 if width == 3 else 4)
    assert cost.total['line_buffer_bits'] == rows * width * 2 * 8


def test_a_column_that_is_the_whole_window_is_built_as_one():
    graph = one_layer((6, 4), (3, 1), (1, 1, 0, 0))
    costs, tops = [], []
    for taps in ('all', 'column'):
        folding = Folding({'input': 1, 'layer': 1}, {'layer': Layer(taps, 1, 1)})
        costs.append(costmodel.evaluate(graph, costmodel.dataflow(folding=folding)))
        tops.append(emit.source(random_qgraph(graph, mixed=False), costs[-1].plan)['tailor_top.cpp'])
    assert tops[0] == tops[1] and 'window_all' in tops[0]
    assert costs[0].total == costs[1].total
