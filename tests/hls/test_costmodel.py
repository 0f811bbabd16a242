"""Two independent routes to one number: the cost model's schedule and the clock of the exported C++ give the same
cycles and FIFO depths.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from random_nets import random_images, random_qgraph

import costmodel
import hls_export
from costmodel import devices
from costmodel.streams.area import logic
from costmodel.streams.timing.simulate import simulate
from hls_export import csim
from hls_export.dataflow import emit, plan
from tailor_jax import build, rewrite
from tailor_jax.graph import Graph, Node
from tailor_jax.integers import lower
from tailor_jax.integers.fixed import Fixed

pytestmark = pytest.mark.usefixtures('quick_compiler')


def export(path, graph, target, count: int = 8, latency: int | None = None):
    """Writes a priced network with the cost model's reuse factors and FIFOs, for pipelines of the target's or another
    latency; returns the cost.
    """
    cost = costmodel.evaluate(graph, target)
    net = random_qgraph(graph)
    images = random_images(net, count)
    fifos = {fifo['name']: hls_export.Fifo(fifo['depth'], fifo['storage']) for fifo in cost.fifos}
    latency = target.process_latency_cycles if latency is None else latency
    design = hls_export.Plan(cost.reuse_factors, fifos, process_latency_cycles=latency)
    hls_export.write(path, net, design, images, np.zeros(count, int))
    return cost


def kept(graph, gate: int = 1):
    return rewrite.binarize(graph, dict.fromkeys(graph.gates, gate))


@pytest.mark.parametrize(
    ('skips', 'gate', 'reuse', 'latency'),
    [
        ('long', 1, None, 0),
        ('long', 0, None, 20),
        ('long', 1, 1, 1),
        ('short', 1, {'s1b0_conv1': 9, 's1b0_conv2': 2, 's2b0_conv1': 12, 's3b0_conv2': 36}, 20),
        ('long+short', 1, None, 8),
        ('long+short', 1, 2, 0),
        ('short_pre', 1, 4, 8),
    ],
)
def test_cycles_and_fifos_equal(tmp_path, skips, gate, reuse, latency):
    """Three routes: the schedule, the token-by-token simulator and the generated C++; the interval is the slowest
    process's.
    """
    graph = kept(build.resnet(8, (8, 8, 1), 4, 4, skips), gate)
    cost = export(tmp_path / 'p', graph, costmodel.dataflow(reuse_factor=reuse, process_latency_cycles=latency), 16)
    result = csim.simulate(tmp_path / 'p', 'cycle')
    assert result['mismatched_values'] == 0 and result['deadlock'] is None
    assert (result['interval_cycles'], result['latency_cycles']) == (
        cost.total['interval_cycles'],
        cost.total['latency_cycles'],
    )
    depths = {fifo['name']: fifo['depth'] for fifo in cost.fifos}
    assert {fifo['name']: fifo['depth'] for fifo in result['fifos']} == depths
    occupancy = {fifo['name']: fifo['max_occupancy'] for fifo in result['fifos']}
    assert all(occupancy[name] <= depths[name] for name in depths)
    run = simulate(rewrite.fold(graph), cost.reuse_factors, depths, 16, process_latency_cycles=latency)
    assert {name: run.occupancy[name] for name in depths} == occupancy


def shorten(project, fifo: str) -> None:
    """Takes a token off a FIFO in the generated source."""
    top = project / 'tailor_top.cpp'
    top.write_text(
        re.sub(rf'(variable={fifo} depth=)(\d+)', lambda match: f'{match[1]}{int(match[2]) - 1}', top.read_text())
    )


@pytest.mark.parametrize(('reuse', 'latency'), [(None, 0), (None, 8), (1, 8)])
def test_one_token_less_costs_throughput(tmp_path, reuse, latency):
    """The depths are sufficient and not one token more, for every skip FIFO of this network, with pipelines and
    without.
    """
    graph = kept(build.resnet(8, (8, 8, 1), 4, 8, 'long'))
    cost = export(tmp_path / 'p', graph, costmodel.dataflow(reuse_factor=reuse, process_latency_cycles=latency))
    source = (tmp_path / 'p' / 'tailor_top.cpp').read_text()
    assert csim.simulate(tmp_path / 'p', 'cycle')['interval_cycles'] == cost.total['interval_cycles']
    skips = plan.skip_fifos(rewrite.fold(graph))
    for name in skips:
        (tmp_path / 'p' / 'tailor_top.cpp').write_text(source)
        shorten(tmp_path / 'p', name)
        result = csim.simulate(tmp_path / 'p', 'cycle')
        assert result['deadlock'] or result['interval_cycles'] > cost.total['interval_cycles'], name


def test_an_interval_that_alternates_is_its_mean(tmp_path):
    """One token less makes every second image a cycle later; both simulators say so, and so does a batch five times as
    long.
    """
    window = {'stride': (2, 2), 'kernel': (4, 4), 'padding': (1, 2, 1, 2), 'relu': True}
    nodes = (
        Node('input', 'input', (), (3, 8, 3)),
        Node('conv1', 'conv', ('input',), (3, 8, 4), relu=True),
        Node('conv3', 'conv', ('conv1',), (2, 4, 8), stride=(2, 2)),
        Node('conv4', 'conv', ('conv1',), (2, 4, 8), **window),
        Node('add6', 'add', ('conv4', 'conv3'), (2, 4, 8)),
        Node('conv7', 'conv', ('add6',), (2, 4, 8), (2, 2), padding=(0, 1, 0, 1), relu=True),
    )
    cost = export(tmp_path / 'p', Graph(nodes), costmodel.dataflow(), 16)
    shorten(tmp_path / 'p', 'conv1__conv3')
    depths = {fifo['name']: fifo['depth'] for fifo in cost.fifos}
    depths['conv1__conv3'] -= 1
    result = csim.simulate(tmp_path / 'p', 'cycle')
    run, long = (simulate(Graph(nodes), cost.reuse_factors, depths, images) for images in (16, 80))
    assert (
        (result['interval_cycles'], result['interval_images'])
        == (run.interval_cycles, run.interval_images)
        == (290.5, 6)
    )
    assert (long.outputs[8 * 60 - 1] - long.outputs[8 * 20 - 1]) / 40 == 290.5


def test_depths_without_latency_lose_throughput_in_real_pipelines(tmp_path):
    """Why process_latency_cycles is a setting: with pipelines of eight stages, depths found for none are half as fast
    again, or worse.
    """
    graph = kept(build.resnet(8, (8, 8, 1), 4, 8, 'long'))
    target = costmodel.dataflow()
    cost = export(tmp_path / 'p', graph, target, latency=8)
    assert csim.simulate(tmp_path / 'p', 'cycle')['interval_cycles'] > 1.4 * cost.total['interval_cycles']
    right = export(tmp_path / 'q', graph, dataclasses.replace(target, process_latency_cycles=8))
    assert (
        csim.simulate(tmp_path / 'q', 'cycle')['interval_cycles']
        == right.total['interval_cycles']
        == cost.total['interval_cycles']
    )


@pytest.mark.parametrize('bits', [4, 8, 12, 16])
@pytest.mark.parametrize('side', [3, 7, 8, 14])
def test_the_multipliers_of_a_mean_are_priced(bits, side):
    """Widths of the emitted sum and reciprocal, for outputs as fine as the input and up to eight times finer, beside
    the model's DSPs.
    """
    graph = Graph((Node('input', 'input', (), (side, side, 3)), Node('pool', 'global_avg_pool', ('input',), (1, 1, 3))))
    target = costmodel.dataflow(weight_bits=bits, activation_bits=bits)
    made = []
    for finer in range(4):
        net = lower.lower(graph, {}, {'input': Fixed(bits, 0, False), 'pool': Fixed(bits, finer, False)}, {})
        text = emit.source(net, plan.Plan.default(net))['layers.h']
        widths = [
            int(re.search(rf'using {name} = ap_uint<(\d+)>', text).group(1)) for name in ('sum_t', 'multiplier_t')
        ]
        multiplies = int(re.search(r' multiplier = (\d+);', text).group(1)) > 1
        made.append(multiplies * logic.dsp_count(1, 3, *widths, devices.device(target.device), shared=False))
    assert max(made) == costmodel.evaluate(graph, target).total['dsp']
