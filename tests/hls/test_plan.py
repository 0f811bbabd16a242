"""Plans: what the sources make of one, and which ones are refused."""

import dataclasses
import re

import numpy as np
import pytest
from random_nets import small_project

import hls_export
from hls_export.dataflow import emit, plan
from hls_export.dataflow.plan import Fifo, Plan
from tailor_jax.graph import GraphError


@pytest.fixture(scope='module')
def network():
    return small_project()


def test_source_follows_the_plan(network):
    net, _, _, _ = network
    names = plan.fifos(net.graph)
    made = Plan(
        {'s1b0_conv1': 9, 'head_dense': 8},
        {name: Fifo(5 + index, plan.STORAGE[index % 4]) for index, name in enumerate(names)},
    )
    files = emit.source(net, made)
    top = files['tailor_top.cpp']
    for name, fifo in made.fifos.items():
        assert f'#pragma HLS STREAM variable={name} depth={fifo.depth}\n' in top
        assert f'#pragma HLS BIND_STORAGE variable={name} type=fifo impl={fifo.storage}\n' in top
    for pragma in ('INTERFACE mode=axis port=input_stream', 'INTERFACE mode=s_axilite port=images', 'DATAFLOW'):
        assert f'#pragma HLS {pragma}' in top
    struct = re.search(r'struct layer_s1b0_conv1 \{(.*?)\};', files['layers.h'], re.S)[1]
    assert 'slices = 9;' in struct and 'blocks = 1;' in struct
    acc = net['s1b0_conv1'].acc
    assert f'using acc_t = ap_{"" if acc.signed else "u"}int<{acc.bits}>;' in struct
    # The weights' rows and columns are the array's.
    table = re.search(r'weight_s1b0_conv1\[18\]\[2\] = \{(.*?)\};', files['weights/s1b0_conv1.h'], re.S)[1]
    numbers = [int(value) for value in re.findall(r'-?\d+', re.sub(r'//.*', '', table))]
    np.testing.assert_array_equal(np.reshape(numbers, (3, 3, 2, 2)), net['s1b0_conv1'].weight)


def test_default_plan_guesses_no_skip_depth(network):
    with pytest.raises(GraphError, match="FIFO 'stem_conv__s1b0_long' holds a skip tensor"):
        Plan.default(network[0])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda made: {'fifos': {**made.fifos, 'a__b': Fifo(2)}}, "FIFO 'a__b' that the network does not have"),
        (lambda made: {'fifos': {}}, "no FIFO 'stem_conv__clone'"),
        (
            lambda made: {'fifos': {**made.fifos, 'stem_conv__clone': Fifo(0)}},
            'depth must be a positive integer.*, got 0',
        ),
        (
            lambda made: {'fifos': {**made.fifos, 'stem_conv__clone': Fifo(2, 'ram')}},
            "must be one of srl, lutram, bram, uram, got 'ram'",
        ),
        (
            lambda made: {'fifos': {**made.fifos, 'stem_conv__clone': Fifo(True)}},
            'depth must be a positive integer, at most 2147483647, got True',
        ),
        (
            lambda made: {'fifos': {**made.fifos, 'stem_conv__clone': Fifo('2 type=x')}},
            "depth must be a positive integer.*got '2 type=x'",
        ),
        (
            lambda made: {'part': 'xc7z020\nexec rm'},
            r"part must be the name of a device, letters.*got 'xc7z020\\nexec rm'",
        ),
        (lambda made: {'part': 'x}; exec touch owned; {'}, 'part must be the name'),
        (lambda made: {'clock_mhz': float('nan')}, 'clock_mhz must be a number above 0 and at most 10000, got nan'),
        (lambda made: {'clock_mhz': 0}, 'clock_mhz must be a number above 0'),
        (lambda made: {'clock_mhz': '200'}, "clock_mhz must be a number above 0.*got '200'"),
        (
            lambda made: {'reuse_factors': {'head_dense': 2.0}},
            "node 'head_dense': its reuse factor must be an integer, got 2.0",
        ),
        (lambda made: {'process_latency_cycles': 0.5}, 'must be an integer, 0 or more'),
        (lambda made: {'process_latency_cycles': -1}, 'process_latency_cycles must be an integer, 0 or more.*, got -1'),
        (lambda made: {'reuse_factors': {'head_dense': 5}}, "node 'head_dense'.*reuse factor 5 does not divide"),
        (lambda made: {'reuse_factors': {'head_pool': 2}}, "'head_pool' a reuse factor, but it is no conv"),
    ],
)
def test_plan_that_does_not_fit(network, tmp_path, change, message):
    net, made, images, labels = network
    with pytest.raises(GraphError, match=message):
        hls_export.write(tmp_path / 'p', net, dataclasses.replace(made, **change(made)), images, labels)
    assert not list(tmp_path.iterdir())
