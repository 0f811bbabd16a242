"""The Verilog of a design, simulated by Verilator: the values are the integer reference's, every time and occupancy the
machine's simulator's; what must be seen is seen.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil

import hypothesis
import numpy as np
import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from plans import folded, plan_of, plans
from random_nets import random_images, random_qgraph, residual_graphs

import hls_export
from costmodel.streams.flow.simulate import Run, simulate
from hls_export import csim
from hls_export.index import ExportError
from hls_export.verilog import emit
from tailor_jax.dataflow import plan as planning
from tailor_jax.dataflow.plan import Plan
from tailor_jax.graph import Graph, GraphError, Node

pytestmark = pytest.mark.usefixtures('quick_compiler')

FUZZ = int(os.environ.get('HLS_FUZZ', '1'))
IMAGES = 6


def predicted(graph: Graph, plan: Plan, images: int) -> Run:
    depths = {name: fifo.depth for name, fifo in plan.fifos.items()}
    return simulate(planning.check(graph, plan), plan.latency_cycles, depths, images)


def check(found: dict, run: Run) -> None:
    assert found['mismatched_values'] == 0
    assert (found['interval_cycles'], found['interval_images']) == (run.interval_cycles, run.interval_images)
    assert (found['latency_cycles'], found['total_cycles']) == (run.latency_cycles, run.outputs[-1])
    assert {fifo['name']: fifo['max_occupancy'] for fifo in found['fifos']} == run.occupancy


@hypothesis.settings(
    max_examples=FUZZ,
    deadline=None,
    derandomize=FUZZ <= 1,
    phases=[Phase.reuse, Phase.generate],  # a smaller failure takes minutes to find
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(graph=residual_graphs(), seed=st.integers(0, 2**16), data=st.data())
def test_fuzz_every_time_and_value_is_the_simulators(tmp_path_factory, graph, seed, data):
    qgraph = random_qgraph(graph, seed, gates={gate: data.draw(st.integers(0, 1)) for gate in graph.gates})
    plan = data.draw(plans(qgraph, verilog=True))
    path = tmp_path_factory.mktemp('fuzz') / 'p'
    hls_export.write(path, qgraph, plan, random_images(qgraph, IMAGES), np.zeros(IMAGES, int), verilog=True)
    check(csim.simulate(path, 'verilog'), predicted(qgraph.graph, plan, IMAGES))
    assert csim.simulate(path, 'verilog', stall=seed + 1)['mismatched_values'] == 0
    shutil.rmtree(path)


@pytest.fixture(scope='module')
def project(tmp_path_factory, quick_compiler):
    """A skip over one convolution, two images: (path, graph, plan)."""
    shape, same = (4, 5, 2), {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}
    graph = Graph(
        (
            Node('input', 'input', (), (4, 5, 1)),
            Node('stem', 'conv', ('input',), shape),
            Node('conv', 'conv', ('stem',), shape, **same),
            Node('sum', 'add', ('conv', 'stem'), shape),
        )
    )
    net, path = random_qgraph(graph, seed=2), tmp_path_factory.mktemp('verilog') / 'p'
    plan = plan_of(graph, folded(graph), emit.latencies(net, plan_of(graph, folded(graph))))
    hls_export.write(path, net, plan, random_images(net, 8), np.zeros(8, int), verilog=True)
    return path, graph, plan


def test_the_readme_says_what_the_verilog_is(project):
    text = (project[0] / 'README.md').read_text()
    assert '`rtl/tailor_top.v`' in text and not re.search(r'\$\{?[a-z]', text)
    assert '20 transfers an image, row by row' in text


def test_a_flipped_weight_is_seen(project, tmp_path):
    path = shutil.copytree(project[0], tmp_path / 'p')
    assert csim.main([str(path), '--mode=verilog']) == 0
    file = path / 'weights' / 'conv__0.hex'
    words = file.read_text().split()
    file.write_text('\n'.join([f'{int(words[0], 16) ^ 0x40:x}', *words[1:]]))
    assert csim.main([str(path), '--mode=verilog']) == 1
    assert csim.simulate(project[0], 'verilog')['mismatched_values'] == 0


def test_contents_of_a_rom_that_are_missing_or_damaged_are_told(project, tmp_path, capsys):
    path = shutil.copytree(project[0], tmp_path / 'p')
    file = path / 'weights' / 'conv__0.hex'
    words = file.read_text().split()
    for content, told in (
        ([*words[:-1], 'z0'], "'z0' is no hexadecimal number"),
        (words[:-1], f'has {len(words) - 1} words; its ROM has {len(words)}'),
        (None, 'which a ROM holds, cannot be read'),
    ):
        if content is None:
            file.unlink()
        else:
            file.write_text('\n'.join(content))
        assert csim.main([str(path), '--mode=verilog']) == 1
        said = capsys.readouterr().err
        assert told in said and 'conv__0.hex' in said


def test_a_fifo_a_word_short_loses_what_the_model_says(project, tmp_path):
    """The parameter of the FIFO is edited in the Verilog; the simulator is told the same."""
    source, graph, plan = project
    path = shutil.copytree(source, tmp_path / 'p', ignore=shutil.ignore_patterns('build'))
    top, depth = path / emit.TOP, plan.fifos['stem__sum'].depth
    found = re.subn(rf'\.DEPTH\({depth}\)(?=[^;]*?f_stem__sum )', f'.DEPTH({depth - 1})', top.read_text())
    assert found[1] == 1
    top.write_text(found[0])
    fifos = {**plan.fifos, 'stem__sum': dataclasses.replace(plan.fifos['stem__sum'], depth=depth - 1)}
    shorter = predicted(graph, dataclasses.replace(plan, fifos=fifos), 8)
    measured = csim.simulate(path, 'verilog')
    assert measured['interval_cycles'] == shorter.interval_cycles > predicted(graph, plan, 8).interval_cycles


def test_what_cannot_be_simulated_or_written(project, tmp_path):
    path, graph, plan = project
    net = random_qgraph(graph, seed=2)
    late = dataclasses.replace(plan, latency_cycles={**plan.latency_cycles, 'conv__mac': 99})
    with pytest.raises(GraphError, match="process 'conv__mac': the plan gives it a latency of 99 cycles, and its part"):
        hls_export.write(tmp_path / 'p', net, late, random_images(net, 1), np.zeros(1, int), verilog=True)
    hls_export.write(tmp_path / 'p', net, plan, random_images(net, 1), np.zeros(1, int))
    assert 'rtl/' not in (tmp_path / 'p' / 'README.md').read_text()
    with pytest.raises(ExportError, match='holds no Verilog; export it with --target=verilog'):
        csim.simulate(tmp_path / 'p', 'verilog')
    with pytest.raises(ExportError, match='simulated by hls_export.csim'):
        hls_export.compile(path, 'verilog')
    with pytest.raises(ExportError, match='--trace needs --mode=cycle: the verilog simulation does not record'):
        csim.simulate(path, 'verilog', trace=tmp_path / 't.csv')


def test_a_family_without_dsp48e2_gets_plain_multiplications(project):
    _, graph, plan = project
    net = random_qgraph(graph, seed=2)
    files = {family: emit.source(net, dataclasses.replace(plan, family=family)) for family in planning.FAMILIES}
    assert 'DSP48E2' in files['ultrascale'][emit.DSP] and '`define GENERIC' not in files['ultrascale'][emit.DSP]
    for family in ('7series', 'versal'):
        assert files[family][emit.DSP].startswith('`define GENERIC\n')
        assert {name for name, text in files[family].items() if text != files['ultrascale'][name]} == {emit.DSP}
