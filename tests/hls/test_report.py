"""Reports beside hardware.json: a Vitis csynth.xml, and FIFO occupancy over time.

`data/csynth.xml` is HAND-MADE: its elements are those of Vitis HLS 2022 to 2024, its numbers are invented. No Vitis was
at hand.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from plans import plan_of
from random_nets import random_images, random_qgraph

import costmodel
import hls_export
from costmodel.streams.area import coefficients
from experiments.calibrate import __main__ as calibrate
from hls_export import csim, index, report
from tailor_jax.graph import Graph, Node

CSYNTH = Path(__file__).parents[1] / 'support' / 'csynth.xml'
SAME = {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    """stem -> conv0 (+) stem on 6x8 pixels, written with the cost model's plan and report."""
    shape = (6, 8, 2)
    graph = Graph(
        (
            Node('input', 'input', (), (6, 8, 1)),
            Node('stem', 'conv', ('input',), shape, relu=True, bias=True),
            Node('conv0', 'conv', ('stem',), shape, bias=True, **SAME),
            Node('sum', 'add', ('conv0', 'stem'), shape),
        )
    )
    cost = costmodel.evaluate(graph, costmodel.dataflow(add='separate', skip='clone'))
    net = random_qgraph(graph)
    path = tmp_path_factory.mktemp('report') / 'p'
    hardware = costmodel.to_json(cost, network='small')
    return hls_export.write(path, net, plan_of(graph), random_images(net, 3), np.zeros(3, int), hardware)


def test_csynth_node_by_node(project, capsys):
    compared = report.compare(project, CSYNTH)
    rows = {row['name']: row for row in compared['rows']}
    assert list(rows) == ['stem', 'conv0', 'sum', report.FIFOS, 'total']
    pipelined_loop_once = {'bram18': 1, 'uram': 0, 'lut': 955, 'ff': 702, 'dsp': 20}
    assert rows['conv0']['synthesis'] == pipelined_loop_once
    add_and_its_clone = {'bram18': 0, 'uram': 0, 'lut': 260 + 164, 'ff': 93 + 71, 'dsp': 0}
    assert rows['sum']['synthesis'] == add_and_its_clone
    assert [(rows[name]['interval_cycles'], rows[name]['depth_cycles']) for name in ('stem', 'conv0', 'sum')] == [
        (1, 4),
        (1, 11),
        (1, 3),
    ]
    assert compared['unmatched'] == ['entry_proc']
    assert (compared['vitis'], compared['target_ns'], compared['estimated_ns']) == ('2023.2', 5.0, 3.412)

    hardware = json.loads((project / 'hardware.json').read_text())
    for resource in report.TAGS:
        *parts, total = (row['estimate'][resource] for row in compared['rows'])
        assert sum(parts) == total == hardware['total'][resource]
        *parts, total = ((row['synthesis'] or {}).get(resource, 0) for row in compared['rows'])
        unmatched = {'lut': 29, 'ff': 3}.get(resource, 0)
        assert sum(parts) + unmatched == total

    assert report.main([str(project), f'--csynth={CSYNTH}']) == 0
    printed = capsys.readouterr().out
    assert (
        'lut est  vitis' in printed
        and 'Vitis HLS 2023.2, clock 3.412 ns of 5 ns' in printed
        and 'entry_proc' in printed
    )
    assert report.main([str(project), f'--csynth={CSYNTH}', '--json']) == 0
    assert json.loads(capsys.readouterr().out) == compared


def test_coefficients_from_a_report(project, tmp_path, capsys, monkeypatch):
    """csynth.xml -> report.json -> coefficients: with them the estimate of the adds is what synthesis said."""
    file, kept = tmp_path / 'report.json', tmp_path / 'coefficients.json'
    assert report.main([str(project), f'--csynth={CSYNTH}', '--json']) == 0
    file.write_text(capsys.readouterr().out)
    coefficients.save(kept, coefficients.load(coefficients.FILE))
    monkeypatch.setattr(coefficients, 'FILE', kept)
    assert calibrate.main([f'--csynth={file}', '--write']) == 0
    found = coefficients.load(kept).coefficients
    assert found.keys() == coefficients.COEFFICIENTS.keys()
    row = next(row for row in json.loads(file.read_text())['rows'] if row['op'] == 'add')
    for resource in ('lut', 'ff'):
        for part in ('add', 'clone'):
            for term, value in coefficients.COEFFICIENTS[f'{part}.{resource}'].items():
                assert found[f'{part}.{resource}'][term] == pytest.approx(
                    value * row['synthesis'][resource] / row['estimate'][resource], rel=1e-3
                )
    assert 'adds, clones, lut' in capsys.readouterr().out
    file.write_text('{"rows": 3}')
    assert calibrate.main([f'--csynth={file}']) == 1
    assert 'give what python -m hls_export.report' in capsys.readouterr().err


def test_module_names():
    nodes = ['s1b0_conv1', 's1b0_conv1_2', 's1', 'stem', 'stem_mac']
    assert report.node_of('process_s1b0_conv1__mac', nodes) == ('s1b0_conv1', False)
    assert report.node_of('process_s1b0_conv1_2_window_U0', nodes) == ('s1b0_conv1_2', False)
    assert report.node_of('process_s1_s', nodes) == ('s1', False)
    assert (
        report.node_of('process_stem__clone', nodes) == report.node_of('process_stem_clone_1', nodes) == ('stem', True)
    )
    assert report.node_of('process_stem_mac__mac', nodes) == ('stem_mac', False)
    assert report.node_of('process_stem__mac#3', nodes) == ('stem', False)
    assert report.node_of('entry_proc', nodes) is None and report.node_of('process_other_s', nodes) is None


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda text: text[: len(text) // 2], 'is not XML'),
        (lambda text: '== Vitis HLS Report ==', 'is not XML .*not the .rpt'),
        (lambda text: '<html/>', 'is no csynth.xml of Vitis HLS.*root is <html>'),
        (
            lambda text: text.replace('<TopModelName>tailor_top', '<TopModelName>myproject'),
            "of the top function 'myproject'",
        ),
        (lambda text: text[: text.index('    <RTLDesign')] + '</profile>', 'lists no instances'),
        (
            lambda text: text.replace('<Name>process_conv0__mac<', '<Name>gone<'),
            "instance 'process_conv0__mac', but no module",
        ),
        (lambda text: text.replace('<LUT>955</LUT>', '<LUT>many</LUT>'), "LUT is 'many', not a number"),
        (lambda text: text.replace('<LUT>955</LUT>', '<LUT>²</LUT>'), "LUT is '²', not a number"),
        (lambda text: text.replace('<LUT>955</LUT>', f'<LUT>{"9" * 5000}</LUT>'), 'not a number'),
        (
            lambda text: '<?xml version="1.0" encoding="nonsense"?>' + text[text.index('<profile') :],
            'is not XML .unknown encoding',
        ),
        (lambda text: text.replace('AreaEstimates>', 'Area>'), 'has no AreaEstimates/Resources'),
        (
            lambda text: text.replace('process_', 'config_'),
            'it is the report of another design',
        ),
    ],
)
def test_files_that_are_no_such_report(project, tmp_path, capsys, change, message):
    file = tmp_path / 'csynth.xml'
    file.write_text(change(CSYNTH.read_text()))
    with pytest.raises(hls_export.ExportError, match=message):
        report.compare(project, file)
    assert report.main([str(project), f'--csynth={file}']) == 1
    assert capsys.readouterr().err.startswith('error: ')


def test_missing_files(project, tmp_path):
    with pytest.raises(hls_export.ExportError, match='No such file'):
        report.compare(project, tmp_path / 'none.xml')
    with pytest.raises(hls_export.ExportError, match='is not a project'):
        report.compare(tmp_path, CSYNTH)
    (tmp_path / 'project.json').write_bytes((project / 'project.json').read_bytes())
    with pytest.raises(hls_export.ExportError, match='hardware.json.* is missing'):
        report.compare(tmp_path, CSYNTH)


def test_occupancy_picture(project, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('OPTIMIZE_cycle', '-O0')
    trace, picture = tmp_path / 'trace.csv', tmp_path / 'occupancy.png'
    result = csim.simulate(project, 'cycle', trace=str(trace))
    assert result['mismatched_values'] == 0
    most = {name: max(tokens) for name, (_, tokens) in report.read_trace(trace).items()}
    assert most == {fifo['name']: fifo['max_occupancy'] for fifo in result['fifos']}
    assert report.main([str(project), f'--trace={trace}', f'--plot={picture}']) == 0
    assert picture.read_bytes().startswith(b'\x89PNG')
    deep = {name for name, fifo in index.load(project).plan.fifos.items() if fifo.depth > 2}
    assert set(report.plot(project, trace, picture)) == deep
    with pytest.raises(hls_export.ExportError, match='cannot write the picture'):
        report.plot(project, trace, tmp_path / 'occupancy.nonsense')
    with pytest.raises(hls_export.ExportError, match='is no trace of FIFOs'):
        report.plot(project, CSYNTH, picture)
    for row in ('stem__sum,1', 'stem__sum,1,1,1', f'stem__sum,1,{"9" * 400}', 'stem__sum,-1,1', 'stem__sum,1,²', ''):
        trace.write_text(f'fifo,cycle,occupancy\nstem__sum,0,1\n{row}\n')
        with pytest.raises(hls_export.ExportError, match='is no trace of FIFOs'):
            report.plot(project, trace, picture)
    trace.write_text('fifo,cycle,occupancy\nstem__sum,1,1\n')
    assert report.plot(project, trace, picture, title=r'100 $\frac$') == ['stem__sum']
    trace.unlink()
    os.mkfifo(trace)
    with pytest.raises(hls_export.ExportError, match='is no file'):
        report.plot(project, trace, picture)
    trace.unlink()
    trace.write_text('fifo,cycle,occupancy\nother__fifo,1,1\n')
    with pytest.raises(hls_export.ExportError, match="FIFO 'other__fifo'"):
        report.plot(project, trace, picture)
    assert report.main([str(project), f'--plot={picture}']) == 1
    assert 'error: give --csynth=csynth.xml, or --trace' in capsys.readouterr().err


def test_a_trace_replaces_no_file_but_a_trace(project):
    before = (project / 'project.json').read_bytes()
    with pytest.raises(
        hls_export.ExportError, match=r'--trace must be a file with the suffix .csv, got .*project.json'
    ):
        csim.simulate(project, 'cycle', trace=str(project / 'project.json'))
    assert (project / 'project.json').read_bytes() == before
