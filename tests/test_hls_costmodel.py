"""Two independent routes to one number: the cost model's schedule and the clock of the exported C++ give the same cycles and FIFO depths."""

from __future__ import annotations

import re

import numpy as np
import pytest
from random_nets import random_images, random_qgraph

import costmodel
import hls_export
from hls_export import csim, plan
from tailor_jax import build, rewrite


@pytest.fixture(autouse=True, scope='module')
def quick_compiler():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('OPTIMIZE_cycle', '-O0')
        yield


def export(path, graph, target, count: int = 8):
    """Writes a priced network with the cost model's reuse factors and FIFOs; returns the cost."""
    cost = costmodel.evaluate(graph, target)
    net = random_qgraph(graph)
    images = random_images(net, count)
    fifos = {fifo['name']: hls_export.Fifo(fifo['depth'], fifo['storage']) for fifo in cost.fifos}
    hls_export.write(path, net, hls_export.Plan(cost.reuse_factors, fifos), images, np.zeros(count, int))
    return cost


@pytest.mark.parametrize(('skips', 'gate', 'reuse'), [('long', 1, None), ('long', 0, None), ('long+short', 1, None), ('short_pre', 1, 1)])
def test_cycles_and_fifos_equal(tmp_path, skips, gate, reuse):
    graph = build.resnet(8, (8, 8, 1), 4, 4, skips)
    graph = rewrite.binarize(graph, dict.fromkeys(graph.gates, gate))
    cost = export(tmp_path / 'p', graph, costmodel.dataflow(reuse_factor=reuse))
    result = csim.simulate(tmp_path / 'p', 'cycle')
    assert result['mismatched_values'] == 0 and result['deadlock'] is None
    assert (result['interval_cycles'], result['latency_cycles']) == (cost.total['interval_cycles'], cost.total['latency_cycles'])
    assert {fifo['name']: fifo['depth'] for fifo in result['fifos']} == {fifo['name']: fifo['depth'] for fifo in cost.fifos}


def test_one_token_less_costs_throughput(tmp_path):
    """Automatic reuse factors: the depths of the skip FIFOs are sufficient and not one token more."""
    graph = build.resnet(8, (8, 8, 1), 4, 8, 'long')
    graph = rewrite.binarize(graph, dict.fromkeys(graph.gates, 1))
    cost = export(tmp_path / 'p', graph, costmodel.dataflow())
    top = tmp_path / 'p' / 'tailor_top.cpp'
    source = top.read_text()
    assert csim.simulate(tmp_path / 'p', 'cycle')['interval_cycles'] == cost.total['interval_cycles']
    for name in plan.skip_fifos(rewrite.fold(graph)):
        top.write_text(re.sub(rf'(variable={name} depth=)(\d+)', lambda match: f'{match[1]}{int(match[2]) - 1}', source))
        assert csim.simulate(tmp_path / 'p', 'cycle')['interval_cycles'] > cost.total['interval_cycles'], name
