"""The clock of the cycle simulation: FIFO depths, intervals and deadlocks against what the streaming model predicts on
paper.
"""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from random_nets import random_images, random_qgraph

import hls_export
from hls_export import csim
from hls_export.dataflow import plan
from hls_export.dataflow.plan import Plan
from tailor_jax import streaming
from tailor_jax.graph import Graph, Node

pytestmark = pytest.mark.usefixtures('quick_compiler')

HEIGHT, WIDTH = 6, 8
SAME = {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}


def skip_network(convolutions: int, kernel: int = 3, channels: int = 2) -> Graph:
    """input -> stem -> `convolutions` convs (+) stem: one skip over them all."""
    shape = (HEIGHT, WIDTH, channels)
    before = (kernel - 1) // 2
    window = {'kernel': (kernel, kernel), 'padding': (before, kernel - 1 - before, before, kernel - 1 - before)}
    nodes = [Node('input', 'input', (), (HEIGHT, WIDTH, 1)), Node('stem', 'conv', ('input',), shape)]
    for index in range(convolutions):
        nodes.append(Node(f'conv{index}', 'conv', (nodes[-1].name,), shape, **window))
    return Graph((*nodes, Node('sum', 'add', (nodes[-1].name, 'stem'), shape)))


def export(path, graph: Graph, skip_depths: dict[str, int], reuse: dict[str, int] | None = None, images: int = 6):
    net = random_qgraph(graph, seed=2)
    data = random_images(net, images)
    return hls_export.write(path, net, Plan.default(net, skip_depths, reuse), data, np.zeros(images, int))


def shorten(path, fifo: str, tokens: int = 1) -> None:
    """Takes tokens off a FIFO in the generated source."""
    top = path / 'tailor_top.cpp'
    text, count = re.subn(
        rf'(variable={fifo} depth=)(\d+)', lambda match: f'{match[1]}{int(match[2]) - tokens}', top.read_text()
    )
    assert count == 1
    top.write_text(text)


@pytest.mark.parametrize(('convolutions', 'depth'), [(1, WIDTH + 2), (2, 2 * WIDTH + 3), (3, 3 * WIDTH + 4)])
def test_exact_depth_is_enough_and_necessary(tmp_path, capsys, convolutions, depth):
    path = export(tmp_path / 'p', skip_network(convolutions), {'stem__sum': depth})
    assert csim.main([str(path), '--mode=cycle']) == 0
    result = json.loads((path / 'csim.json').read_text())
    assert result['interval_cycles'] == HEIGHT * WIDTH
    # Every token passes at once where nothing is held back: the last pixel's lag behind the first is the network's
    # latency.
    assert result['latency_cycles'] == HEIGHT * WIDTH + convolutions * (WIDTH + 1)
    occupancy = {fifo['name']: fifo['max_occupancy'] for fifo in result['fifos']}
    assert occupancy['stem__sum'] == depth and all(
        tokens <= 2 for name, tokens in occupancy.items() if name != 'stem__sum'
    )
    assert result['deadlock'] is None

    # One token less: the clone waits for the add, which waits for the convolutions, which wait for the clone.
    shorten(path, 'stem__sum')
    status = csim.main([str(path), '--mode=cycle'])
    result = json.loads((path / 'csim.json').read_text())
    assert status == 1 or result['interval_cycles'] > HEIGHT * WIDTH
    assert {fifo['name']: fifo['depth'] for fifo in result['fifos']}['stem__sum'] == depth - 1


def test_deadlock_is_named(tmp_path, capsys):
    path = export(tmp_path / 'p', skip_network(2), {'stem__sum': WIDTH})
    assert csim.main([str(path), '--mode=cycle']) == 1
    result = json.loads((path / 'csim.json').read_text())
    assert result['deadlock']['full_fifos'] == ['stem__sum'] and result['mismatched_values'] > 0
    waiting = '\n'.join(result['deadlock']['waiting'])
    assert 'stem__clone waits to write into the full FIFO stem__sum (depth 8)' in waiting
    assert 'sum waits to read from the empty FIFO conv1__sum' in waiting
    assert 'DEADLOCK' in capsys.readouterr().out
    with pytest.raises(hls_export.ExportError, match='stem__sum'):
        hls_export.compile(path, 'cycle')(np.zeros((2, HEIGHT, WIDTH, 1), int))


@pytest.mark.parametrize('reuse', [{'conv0': 2}, {'conv1': 36}, {'stem': 2, 'conv0': 6, 'conv1': 9}])
def test_interval_is_the_slowest_process(tmp_path, reuse):
    graph = skip_network(2)
    path = export(tmp_path / 'p', graph, {'stem__sum': 3 * WIDTH + 4}, reuse)
    result = csim.simulate(path, 'cycle')
    periods = [streaming.period_cycles(graph, node, reuse.get(node.name, 1)) for node in graph.nodes]
    assert result['mismatched_values'] == 0 and result['interval_cycles'] == max(periods)


def test_one_image_takes_the_hand_computed_cycles(tmp_path):
    """A 3x3 conv with reuse R: pixel (0, 0) is written in cycle lag + R, and each of the others R cycles later."""
    shape, factor = (HEIGHT, WIDTH, 2), 3
    graph = Graph((Node('input', 'input', (), (HEIGHT, WIDTH, 1)), Node('conv', 'conv', ('input',), shape, **SAME)))
    path = export(tmp_path / 'p', graph, {}, {'conv': factor}, images=1)
    result = csim.simulate(path, 'cycle')
    assert result['latency_cycles'] == WIDTH + 1 + HEIGHT * WIDTH * factor
    assert result['interval_cycles'] is None


def test_trace(tmp_path):
    path = export(tmp_path / 'p', skip_network(1), {'stem__sum': WIDTH + 2})
    csim.simulate(path, 'cycle', images=3, trace=tmp_path / 'trace.csv')
    with open(tmp_path / 'trace.csv') as file:
        rows = list(csv.DictReader(file))
    skip = [(int(row['cycle']), int(row['occupancy'])) for row in rows if row['fifo'] == 'stem__sum']
    assert max(tokens for _, tokens in skip) == WIDTH + 2 and skip[-1][1] == 0
    assert [cycle for cycle, _ in skip] == sorted(cycle for cycle, _ in skip)
    assert {row['fifo'] for row in rows} == set(plan.fifos(skip_network(1)))


def test_repeated_runs_agree(tmp_path):
    path = export(tmp_path / 'p', skip_network(2), {'stem__sum': 2 * WIDTH + 3}, {'conv0': 4})
    design = hls_export.compile(path, 'cycle')
    images = random_images(random_qgraph(skip_network(2), seed=2), 4)
    reports = []
    for _ in range(2):
        design(images)
        reports.append({key: value for key, value in design.report().items() if 'second' not in key})
    assert reports[0] == reports[1]
