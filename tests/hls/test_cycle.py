"""The clock of the cycle simulation: every interval, latency and occupancy of the generated C++ is that of the
machine's simulator; deadlocks, stalls, poisoned memories.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from plans import folded, plan_of, plans, unfolded
from random_nets import random_images, random_qgraph, residual_graphs

import costmodel
import hls_export
from costmodel.streams.flow.simulate import Run, simulate
from hls_export import csim
from tailor_jax.dataflow import plan as planning
from tailor_jax.dataflow.folding import Folding, Layer
from tailor_jax.dataflow.plan import Fifo, Plan
from tailor_jax.dataflow.process import FORWARD_CYCLES, period_cycles
from tailor_jax.graph import Graph, Node
from tailor_jax.integers.qgraph import run_int

pytestmark = pytest.mark.usefixtures('quick_compiler')

FUZZ = int(os.environ.get('HLS_FUZZ', '2'))
HEIGHT, WIDTH = 6, 8
SAME = {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}


def skip_network(convolutions: int, channels: int = 2) -> Graph:
    """input -> stem -> `convolutions` convs (+) stem: one skip over them all."""
    shape = (HEIGHT, WIDTH, channels)
    nodes = [Node('input', 'input', (), (HEIGHT, WIDTH, 1)), Node('stem', 'conv', ('input',), shape)]
    for index in range(convolutions):
        nodes.append(Node(f'conv{index}', 'conv', (nodes[-1].name,), shape, **SAME))
    return Graph((*nodes, Node('sum', 'add', (nodes[-1].name, 'stem'), shape)))


def export(path: Path, graph: Graph, plan: Plan, images: int = 6) -> Path:
    net = random_qgraph(graph, seed=2)
    return hls_export.write(path, net, plan, random_images(net, images), np.zeros(images, int), overwrite=True)


def predicted(graph: Graph, plan: Plan, images: int) -> Run:
    depths = {name: fifo.depth for name, fifo in plan.fifos.items()}
    return simulate(planning.check(graph, plan), plan.latency_cycles, depths, images)


def shallower(plan: Plan, name: str, words: int = 1) -> Plan:
    fifo = plan.fifos[name]
    return dataclasses.replace(plan, fifos={**plan.fifos, name: Fifo(fifo.depth - words, fifo.storage)})


@hypothesis.settings(
    max_examples=FUZZ, deadline=None, derandomize=FUZZ <= 2, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(graph=residual_graphs(), seed=st.integers(0, 2**16), data=st.data())
def test_every_time_is_the_simulators(tmp_path_factory, graph, seed, data):
    """Random designs, a few of whose FIFOs are too small to keep the pace; a deadlock is one in both."""
    qgraph = random_qgraph(graph, seed, gates={gate: data.draw(st.integers(0, 1)) for gate in graph.gates})
    plan, images = data.draw(plans(qgraph)), 8
    for name in data.draw(st.lists(st.sampled_from(sorted(plan.fifos)), max_size=3)) if plan.fifos else ():
        plan = shallower(plan, name, data.draw(st.integers(0, plan.fifos[name].depth - 1)))
    path = tmp_path_factory.mktemp('fuzz') / 'p'
    hls_export.write(path, qgraph, plan, random_images(qgraph, images), np.zeros(images, int))
    found, run = csim.simulate(path, 'cycle'), predicted(qgraph.graph, plan, images)
    assert (found['deadlock'] is not None) == run.deadlocked
    if not run.deadlocked:
        assert found['mismatched_values'] == 0
        assert (found['interval_cycles'], found['interval_images']) == (run.interval_cycles, run.interval_images)
        assert (found['latency_cycles'], found['total_cycles']) == (run.latency_cycles, run.outputs[-1])
        assert {fifo['name']: fifo['max_occupancy'] for fifo in found['fifos']} == run.occupancy


def test_a_shorter_skip_costs_what_the_page_says():
    """docs/export.md: depth and interval of the network whose processes take a pixel a word, three cycles late."""
    graph = skip_network(2)
    plan = plan_of(graph, unfolded(graph), 3)
    depth = plan.fifos['stem__sum'].depth
    assert depth == 2 * (WIDTH + 7 + 9) + 3 + 3 == 54
    runs = [predicted(graph, shallower(plan, 'stem__sum', depth - words), 24) for words in (54, 53, 50, 19, 18)]
    assert [run.deadlocked for run in runs] == [False] * 4 + [True]
    assert [round(run.interval_cycles, 1) for run in runs[:4]] == [48, 49.4, 54, 1728]


@pytest.mark.parametrize('words', [1, WIDTH])
def test_depths_set_by_hand_are_checked(words):
    graph = skip_network(2)
    plan = plan_of(graph)
    costmodel.check_depths(graph, plan)
    depth = plan.fifos['stem__sum'].depth
    message = f"'stem__sum' has {depth - words} words and needs {depth}$"
    with pytest.raises(costmodel.CostError, match=message):
        costmodel.check_depths(graph, shallower(plan, 'stem__sum', words))
    pace = predicted(graph, plan, 24).interval_cycles
    assert predicted(graph, shallower(plan, 'stem__sum', words), 24).interval_cycles > pace


def test_deadlock_is_named(tmp_path, capsys):
    graph = skip_network(2)
    plan = plan_of(graph)
    path = export(tmp_path / 'p', graph, shallower(plan, 'stem__sum', plan.fifos['stem__sum'].depth - WIDTH))
    assert csim.main([str(path), '--mode=cycle']) == 1
    result = json.loads((path / 'csim.json').read_text())
    assert result['deadlock']['full_fifos'] == ['stem__sum'] and result['mismatched_values'] > 0
    waiting = '\n'.join(result['deadlock']['waiting'])
    assert 'stem__clone waits to write into the full FIFO stem__sum (depth 8)' in waiting
    assert 'sum waits to read from the empty FIFO conv1__sum' in waiting
    assert 'DEADLOCK' in capsys.readouterr().out
    with pytest.raises(hls_export.ExportError, match='stem__sum'):
        hls_export.compile(path, 'cycle')(np.zeros((2, HEIGHT, WIDTH, 1), int))


@pytest.mark.parametrize(
    'layers',
    [{'conv0': Layer('all', 1, 2)}, {'conv1': Layer('one', 1, 1)}, {'conv0': Layer('column', 1, 2)}],
    ids=['all', 'one', 'column'],
)
def test_interval_is_the_slowest_process(tmp_path, layers):
    graph = skip_network(2)
    whole = unfolded(graph)
    plan = plan_of(graph, Folding(whole.lanes, {**whole.layers, **layers}))
    result = csim.simulate(export(tmp_path / 'p', graph, plan, 16), 'cycle')
    periods = [period_cycles(actor.process) for actor in planning.check(graph, plan).actors]
    assert result['mismatched_values'] == 0 and result['interval_cycles'] == max(periods)


def test_one_image_takes_the_hand_computed_cycles(tmp_path):
    """A 3x3 convolution of one channel, a tap a cycle: pixel (0, 0) leaves the window when the pixel below and right of
    it is in and nine taps are out, each of the others nine cycles later; three pipelines and three FIFOs follow."""
    graph = Graph(
        (Node('input', 'input', (), (HEIGHT, WIDTH, 1)), Node('conv', 'conv', ('input',), (HEIGHT, WIDTH, 1), **SAME))
    )
    latency = {'conv__window': 4, 'conv__mac': 5, 'conv': 2}
    plan = plan_of(graph, folded(graph, conv=Layer('one', 1, 1)), latency)
    result = csim.simulate(export(tmp_path / 'p', graph, plan, images=1), 'cycle')
    # Visits before the first anchor take a cycle each; the last taps of the last pixel leave in its last.
    assert result['latency_cycles'] == WIDTH + 1 + HEIGHT * WIDTH * 9 - 1 + sum(latency.values()) + 3 * FORWARD_CYCLES
    assert result['interval_cycles'] is None


@pytest.mark.parametrize('seed', [1, 2, 3])
def test_a_starved_source_and_a_slow_sink_change_no_value(tmp_path, seed):
    graph = skip_network(2)
    path = export(tmp_path / 'p', graph, plan_of(graph, folded(graph, conv0=Layer('column', 1, 2))), 8)
    free, stalled = csim.simulate(path, 'cycle'), csim.simulate(path, 'cycle', stall=seed)
    assert stalled['mismatched_values'] == 0 and stalled['deadlock'] is None
    assert (stalled['stall'], stalled['interval_cycles']) == (seed, None) and 'stall' not in free
    assert 'interval_cycles    -, both ports pause' in csim.text_table(stalled)
    assert stalled['total_cycles'] > free['total_cycles']
    depths = {fifo['name']: fifo['depth'] for fifo in stalled['fifos']}
    assert all(fifo['max_occupancy'] <= depths[fifo['name']] for fifo in stalled['fifos'])
    again = csim.simulate(path, 'cycle', stall=seed)
    assert {key: value for key, value in again.items() if 'second' not in key} == {
        key: value for key, value in stalled.items() if 'second' not in key
    }
    assert csim.simulate(path, 'cycle', stall=seed + 10)['total_cycles'] != stalled['total_cycles']


@pytest.mark.parametrize('taps', ['all', 'column', 'one'])
def test_what_nobody_wrote_shows(tmp_path, taps):
    """A window that does not mask the rows above the first image reads poison; zeros would hide it."""
    window = {'kernel': (3, 1), 'padding': (2, 0, 0, 0)}
    graph = Graph((Node('input', 'input', (), (5, 4, 2)), Node('conv', 'conv', ('input',), (5, 4, 2), **window)))
    path = export(tmp_path / 'p', graph, plan_of(graph, folded(graph, conv=Layer(taps, 1, 1))), images=1)
    assert csim.simulate(path, 'cycle')['mismatched_values'] == 0
    header = path / 'include' / 'window.h'
    text = header.read_text()
    assert text.count('row + i >= cfg::pad_top && ') == 1
    header.write_text(text.replace('row + i >= cfg::pad_top && ', ''))
    assert csim.simulate(path, 'cycle')['mismatched_values'] > 0


def test_trace(tmp_path):
    graph = skip_network(1)
    plan = plan_of(graph)
    path = export(tmp_path / 'p', graph, plan)
    result = csim.simulate(path, 'cycle', images=3, trace=tmp_path / 'trace.csv')
    with open(tmp_path / 'trace.csv') as file:
        rows = list(csv.DictReader(file))
    skip = [(int(row['cycle']), int(row['occupancy'])) for row in rows if row['fifo'] == 'stem__sum']
    occupancy = {fifo['name']: fifo['max_occupancy'] for fifo in result['fifos']}
    assert max(words for _, words in skip) == occupancy['stem__sum'] and skip[-1][1] == 0
    assert [cycle for cycle, _ in skip] == sorted(cycle for cycle, _ in skip)
    assert {row['fifo'] for row in rows} == set(plan.fifos)


def test_repeated_runs_agree(tmp_path):
    graph = skip_network(2)
    path = export(tmp_path / 'p', graph, plan_of(graph, folded(graph)))
    design = hls_export.compile(path, 'cycle')
    images = random_images(random_qgraph(graph, seed=2), 4)
    reports = []
    for _ in range(2):
        np.testing.assert_array_equal(design(images), run_int(random_qgraph(graph, seed=2), images))
        reports.append({key: value for key, value in design.report().items() if 'second' not in key})
    assert reports[0] == reports[1]


def test_latencies_of_the_sources_are_what_is_simulated(tmp_path):
    """timing.h may be edited to see what a report of the tool would do."""
    graph = skip_network(1)
    path = export(tmp_path / 'p', graph, plan_of(graph, more=64), images=1)
    before = csim.simulate(path, 'cycle')['latency_cycles']
    timing = path / 'timing.h'
    timing.write_text(re.sub(r'(latency_conv0__mac = )(\d+)', lambda m: f'{m[1]}{int(m[2]) + 7}', timing.read_text()))
    assert csim.simulate(path, 'cycle')['latency_cycles'] == before + 7
