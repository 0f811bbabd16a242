"""Plans: what the sources make of one, and which ones are refused."""

import dataclasses
import re

import numpy as np
import pytest
from plans import folded, plan_of, unfolded
from random_nets import random_qgraph, small_project

import hls_export
from hls_export import csim
from hls_export.dataflow import emit
from tailor_jax.dataflow import plan as planning
from tailor_jax.dataflow.design import Hand
from tailor_jax.dataflow.folding import Layer
from tailor_jax.dataflow.plan import Fifo, Plan
from tailor_jax.graph import Graph, GraphError, Node

pytestmark = pytest.mark.usefixtures('quick_compiler')


@pytest.fixture(scope='module')
def network():
    return small_project()


def test_source_follows_the_plan(network):
    net, _, _, _ = network
    graph = net.graph
    folding = folded(graph, s1b0_conv1=Layer('column', 1, 2, 'bram'))
    absorbed = {'s1b0_long': 's1b0_conv2'}
    made = plan_of(
        graph,
        folding,
        absorbed=absorbed,
        lines={'s1b0_conv1__window': 'uram'},
        multipliers={'s1b0_conv1': 'lut'},
        replays={'s1b0_conv1': 'bram'},
    )
    names = sorted(made.fifos)
    fifos = {name: Fifo(5 + index, planning.STORAGE[index % 4]) for index, name in enumerate(names)}
    latency = {name: 2 + index for index, name in enumerate(made.latency_cycles)}
    made = dataclasses.replace(made, fifos=fifos, latency_cycles=latency)
    files = emit.source(net, made)
    top = files['tailor_top.cpp']
    for name, fifo in fifos.items():
        assert f'#pragma HLS STREAM variable={name} depth={fifo.depth}\n' in top
        assert f'#pragma HLS BIND_STORAGE variable={name} type=fifo impl={fifo.storage}\n' in top
    assert '#pragma HLS BIND_STORAGE variable=weight_s1b0_conv1 type=rom_1p impl=bram\n' in top
    window = re.search(r'process_s1b0_conv1__window\(\n.*?\n\}', top, re.S)[0]
    assert 'BIND_STORAGE variable=ring type=ram_s2p impl=uram' in window and 'window_column' in window
    assert 'finish<layer_s1b0_conv2, layer_s1b0_long>' in top and 'process_s1b0_conv2(' not in top
    for name, cycles in latency.items():
        assert f'constexpr int latency_{name} = {cycles};\n' in files['timing.h']
        struct = re.search(rf'struct layer_{name} \{{(.*?)\}};', files['layers.h'], re.S)[1]
        assert name in absorbed or f'depth_cycles = {cycles + 1};' in struct
    struct = re.search(r'struct layer_s1b0_conv1__mac \{(.*?)\};', files['layers.h'], re.S)[1]
    assert all(f'{key} = {value};' in struct for key, value in (('taps', 3), ('lanes', 1), ('outputs', 2)))
    assert 'multiply = tailor::fabric;' in struct
    acc = net['s1b0_conv1'].acc
    assert f'using sum_t = ap_{"" if acc.signed else "u"}int<{acc.bits}>;' in struct
    # A row of weights a cycle: column j of channel c, for two outputs three taps.
    table = re.search(r'weight_s1b0_conv1\[6\]\[6\] = \{(.*?)\};', files['weights/s1b0_conv1.h'], re.S)[1]
    numbers = np.reshape([int(value) for value in re.findall(r'-?\d+', table)], (3, 2, 2, 3))
    np.testing.assert_array_equal(numbers, net['s1b0_conv1'].weight.transpose(1, 2, 3, 0))


def hand(net, tensor='stem_conv', host='s1b0_conv1', pixels=7):
    return {'handed': {tensor: Hand(host, pixels)}}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda made: {'fifos': {**made.fifos, 'a__b': Fifo(2)}}, "the FIFO 'a__b', which the network does not have"),
        (lambda made: {'fifos': {}}, "no FIFO 'stem_conv__window'"),
        (
            lambda made: {'fifos': {**made.fifos, 'stem_conv__clone': Fifo(0)}},
            "FIFO 'stem_conv__clone': depth must be an integer of 1..2147483647, got 0",
        ),
        (
            lambda made: {'fifos': {**made.fifos, 'stem_conv__clone': Fifo(2, 'ram')}},
            "must be one of srl, lutram, bram, uram, got 'ram'",
        ),
        (lambda made: {'fifos': {**made.fifos, 'stem_conv__clone': Fifo(True)}}, 'depth must be an integer.*got True'),
        (
            lambda made: {'fifos': {**made.fifos, 'stem_conv__clone': Fifo('2 type=x')}},
            "depth must be an integer.*got '2 type=x'",
        ),
        (
            lambda made: {'part': 'xc7z020\nexec rm'},
            r"part must be the name of a device, letters.*got 'xc7z020\\nexec rm'",
        ),
        (lambda made: {'part': 'x}; exec touch owned; {'}, 'part must be the name'),
        (lambda made: {'clock_mhz': float('nan')}, 'clock_mhz must be a number above 0 and at most 10000, got nan'),
        (lambda made: {'clock_mhz': 0}, 'clock_mhz must be a number above 0'),
        (lambda made: {'clock_mhz': '200'}, "clock_mhz must be a number above 0.*got '200'"),
        (lambda made: {'latency_cycles': {}}, "no process 'stem_conv__window'; the network has"),
        (lambda made: {'latency_cycles': {**made.latency_cycles, 'none': 1}}, "the process 'none', which"),
        (
            lambda made: {'latency_cycles': {**made.latency_cycles, 'head_dense': -1}},
            "process 'head_dense': latency_cycles must be an integer of 0..10000, got -1",
        ),
        (lambda made: {'latency_cycles': {**made.latency_cycles, 'head_dense': 0.5}}, 'got 0.5'),
        (lambda made: {'lines': {'head_dense': 'lut'}}, "the lines of 'head_dense', which the network does not have"),
        (lambda made: {'multipliers': {'head_pool': 'dsp'}}, "the multiplier of 'head_pool', which"),
        (lambda made: {'multipliers': {'stem_conv': 'lots'}}, "'stem_conv' must be one of dsp, pair, lut, got 'lots'"),
        (lambda made: {'replays': {'stem_conv': 'uram'}}, "replay of 'stem_conv' must be one of lut, bram, got 'uram'"),
        (lambda made: {'family': 'lattice'}, "family must be one of 7series, ultrascale, versal, got 'lattice'"),
        (
            lambda made: {'fifos': {**made.fifos, 'stem_conv__clone': Fifo(600, 'bram', 512)}},
            '512 and 0 rows hold 513 words, not its 600',
        ),
        (
            lambda made: {'fifos': {**made.fifos, 'stem_conv__clone': Fifo(5, 'uram')}, 'family': '7series'},
            'the family 7series has no UltraRAM',
        ),
        (lambda made: {'absorbed': {'s1b0_long': 's1b0_conv1'}}, "'s1b0_long': 's1b0_conv1' cannot.*'s1b0_conv2' can"),
        (lambda made: {'absorbed': {'head_dense': 'stem_conv'}}, "'head_dense'.*no convolution can"),
        (lambda made: hand(made, 's1b0_conv1'), "'s1b0_conv1': it has not several readers"),
        (lambda made: hand(made, host='head_dense'), "'head_dense' cannot hand it on: it does not read it once"),
        (lambda made: hand(made, host='s1b0_long'), "'s1b0_long' cannot hand it on: it has no window"),
        (lambda made: hand(made, pixels=5), r'5 pixels later: its taps are 0, 1, 2, 6, 7, 8, 12, 13, 14 pixels old'),
        (
            lambda made: {
                'folding': dataclasses.replace(
                    made.folding, layers={**made.folding.layers, 'head_dense': Layer('all', 3, 1)}
                )
            },
            "'head_dense'.*lanes of its window must divide its 8 channels, got 3",
        ),
    ],
)
def test_plan_that_does_not_fit(network, tmp_path, change, message):
    net, made, images, labels = network
    with pytest.raises(GraphError, match=message):
        hls_export.write(tmp_path / 'p', net, dataclasses.replace(made, **change(made)), images, labels)
    assert not list(tmp_path.iterdir())


def test_what_integers_and_ports_allow():
    """Packing of wide products, words wider than a port."""
    graph = Graph((Node('input', 'input', (), (2, 2, 600)), Node('conv', 'conv', ('input',), (2, 2, 2))))
    net = random_qgraph(graph, bits=(8, 8), mixed=False)
    with pytest.raises(GraphError, match="'input': a word of its 600 lanes takes 4800 bits of a port.*fewer lanes"):
        emit.source(net, plan_of(graph, unfolded(graph)))
    emit.source(net, plan_of(graph, folded(graph), multipliers={'conv': 'pair'}))
    wide = random_qgraph(graph, bits=(8, 9), mixed=False)
    with pytest.raises(GraphError, match="'conv': two products share a DSP only of at most 8 bits each.*inputs of 9"):
        emit.source(wide, plan_of(graph, folded(graph), multipliers={'conv': 'pair'}))


def test_names_that_the_emitter_uses_are_free(tmp_path):
    """A node may be called as any variable, type or file of the project is."""
    names = [
        'images',
        'output',
        'pixel',
        'word',
        'top',
        'tailor_top',
        'rows',
        'layer_conv',
        'rom',
        'next',
        'at',
        'trip',
        *('word_top', 'process_top', 'latency_top', 'linux'),
    ]
    nodes = [Node('weight_input', 'input', (), (3, 3, 2))]
    for name in names:
        window = {'kernel': (2, 2), 'padding': (0, 1, 0, 1)}
        nodes.append(Node(name, 'conv', (nodes[-1].name,), (3, 3, 2), **window))
    nodes.append(Node('input', 'add', (nodes[-1].name, nodes[-2].name), (3, 3, 2)))
    graph = Graph(tuple(nodes))
    net = random_qgraph(graph)
    images = np.zeros((1, 3, 3, 2), int)
    hls_export.write(tmp_path / 'p', net, plan_of(graph), images, np.zeros(1, int))
    assert csim.simulate(tmp_path / 'p', 'cycle')['mismatched_values'] == 0
    reserved = Graph((nodes[0], dataclasses.replace(nodes[1], name='mac', inputs=('weight_input',))))
    with pytest.raises(GraphError, match="'mac': a streaming design uses this name"):
        emit.source(random_qgraph(reserved), Plan(unfolded(reserved), {}, {}))
