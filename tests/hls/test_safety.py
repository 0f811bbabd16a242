"""Projects that somebody damaged, planted links in or runs twice at a time: a clear error of one line and status 1, or
the right result.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mutations
import numpy as np
import pytest
from plans import folded, plan_of
from random_nets import random_images, random_qgraph
from run_processes import HUNG_S

import costmodel
import hls_export
from hls_export import csim, hardware, report, toolchain
from hls_export import index as indexing
from hls_export.index import ExportError
from tailor_jax import build
from tailor_jax.dataflow import plan
from tailor_jax.graph import Graph, Node
from tailor_jax.integers import qgraph

pytestmark = pytest.mark.usefixtures('quick_compiler')

CSYNTH = Path(__file__).parents[1] / 'support' / 'csynth.xml'
STORED = 12


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """A project, its testbench compiled, that no test changes."""
    net = random_qgraph(build.resnet(8, (4, 4, 1), 3, 1, 'none'), seed=1)
    images = random_images(net, STORED)
    labels = qgraph.run_int(net, images).argmax(1)
    path = hls_export.write(tmp_path_factory.mktemp('safety') / 'p', net, plan_of(net.graph), images, labels)
    assert csim.main([str(path)]) == 0
    return path


@pytest.fixture
def project(built, tmp_path):
    return Path(shutil.copytree(built, tmp_path / 'p'))


@pytest.mark.parametrize('command', [csim.main, report.main])
@pytest.mark.parametrize(
    'arguments',
    [
        [],
        ['--nonsense'],
        ['P', '--images=x', '--csynth='],
        ['P', '--mode=quick'],
        ['P', '--mod=fast'],
        ['P', 'Q'],
        ['none', '--plot=x'],
    ],
)
def test_bad_arguments_end_with_status_1_and_one_line(command, arguments, capsys):
    assert command(arguments) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith('error: ') and printed.err.count('\n') == 1 and not printed.out


@pytest.mark.parametrize('command', [csim.main, report.main])
def test_help_is_no_failure(command, capsys):
    with pytest.raises(SystemExit) as ended:
        command(['--help'])
    assert ended.value.code == 0 and 'usage: python -m hls_export.' in capsys.readouterr().out


def test_more_images_than_are_stored_are_refused(built, capsys):
    before = (built / 'csim.json').read_bytes()
    for count in (STORED + 1, 9999, 0, -1):
        assert csim.main([str(built), f'--images={count}']) == 1
        assert (
            capsys.readouterr().err
            == f'error: --images must be 1 to {STORED}, which is how many {built}/tb_data stores, got {count}\n'
        )
    assert (built / 'csim.json').read_bytes() == before


@pytest.mark.parametrize('name', indexing.TEST_DATA)
@pytest.mark.parametrize('damage', ['flip', 'cut', 'longer', 'directory', 'gone', 'pipe'])
def test_damaged_test_data_are_named(project, capsys, name, damage):
    """A flipped byte of labels.bin changed the accuracy, and nothing else."""
    file, before = project / 'tb_data' / name, (project / 'csim.json').read_bytes()
    content = file.read_bytes()
    file.unlink()
    match damage:
        case 'flip':
            file.write_bytes(next(mutations.flips(content, 1)))
        case 'cut':
            file.write_bytes(content[:-4])
        case 'longer':
            file.write_bytes(content + bytes(4))
        case 'directory':
            file.mkdir()
        case 'pipe':
            os.mkfifo(file)
    assert csim.main([str(project)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f'error: {file} ') and 'export the project again' in error and error.count('\n') == 1
    assert (project / 'csim.json').read_bytes() == before
    if damage not in ('gone', 'pipe', 'flip'):  # the testbench, run by itself, sees what does not fit
        done = subprocess.run([toolchain.build(project, 'fast').resolve()], cwd=project, capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.startswith('testbench: '), done


@pytest.mark.parametrize('images', ['9999', '13', '0', '-3', '5x', '', '99999999999999999999'])
def test_the_testbench_takes_numbers_of_stored_images_only(built, images):
    done = subprocess.run(
        [toolchain.build(built, 'fast').resolve(), f'--images={images}'], cwd=built, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.startswith('testbench: ') and not done.stdout
    done = subprocess.run(
        [toolchain.build(built, 'fast').resolve(), '--images=7'], cwd=built, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith('7 images, 0 of 21 values mismatched')


@pytest.mark.parametrize('content', [b'', b'\x7fELF', b'#!/bin/false\n'])
def test_a_damaged_testbench_is_built_again(project, content):
    binary = toolchain.build(project, 'fast')
    binary.write_bytes(content)
    assert csim.main([str(project)]) == 0


def test_processes_at_the_same_time_do_not_disturb_each_other(project):
    """Two modes, each of them twice, from nothing built."""
    shutil.rmtree(project / 'build')
    environment = os.environ | {'PYTHONPATH': str(Path(hls_export.__file__).parents[1])}
    started = [
        subprocess.Popen(
            [sys.executable, '-m', 'hls_export.csim', str(project), f'--mode={mode}'],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        for mode in ('fast', 'cycle', 'fast', 'cycle')
    ]
    for process in started:
        out, err = process.communicate(timeout=HUNG_S)
        assert process.returncode == 0, (out, err)
    assert json.loads((project / 'csim.json').read_text())['mismatched_values'] == 0
    assert sorted(each.name for each in (project / 'build').iterdir()) == ['.lock', 'cycle', 'fast']


def test_planted_links_are_not_followed(project, tmp_path, capsys):
    victim = tmp_path / 'precious'
    victim.write_text('years of work')
    for name in (
        'csim.json',
        '.csim.json.partial',
        'build/fast/tailor_top.o',
        'build/fast/sources.sha256',
        'build/fast/testbench.sha256',
    ):
        (project / name).unlink(missing_ok=True)
        (project / name).symlink_to(victim)
    (project / 'tailor_top.cpp').write_text((project / 'tailor_top.cpp').read_text() + '\n')
    assert csim.main([str(project)]) == 0
    assert victim.read_text() == 'years of work' and not (project / 'csim.json').is_symlink()
    (tmp_path / 'trace.csv').symlink_to(victim)
    csim.simulate(project, 'cycle', trace=tmp_path / 'trace.csv')
    assert victim.read_text() == 'years of work' and (tmp_path / 'trace.csv').read_text().startswith(
        'fifo,cycle,occupancy'
    )

    elsewhere = tmp_path / 'elsewhere'
    (elsewhere / 'fast').mkdir(parents=True)
    (elsewhere / 'fast' / 'chapter.txt').write_text('years of work')
    shutil.rmtree(project / 'build')
    (project / 'build').symlink_to(elsewhere)
    assert csim.main([str(project)]) == 1
    assert 'build is a symbolic link, and nothing is built behind it' in capsys.readouterr().err
    (project / 'build').unlink()
    (project / 'build').mkdir()
    (project / 'build' / 'fast').symlink_to(elsewhere / 'fast')
    assert csim.main([str(project)]) == 0
    assert [each.name for each in (elsewhere / 'fast').iterdir()] == ['chapter.txt']


def test_a_trace_that_cannot_be_written_is_an_error(project, tmp_path, capsys):
    assert csim.main([str(project), '--mode=cycle', f'--trace={tmp_path}/none/trace.csv']) == 1
    assert f"error: cannot write the trace '{tmp_path}/none/trace.csv': No such file" in capsys.readouterr().err


def test_project_json_is_as_it_was_written_or_refused_by_its_name(project, capsys):
    file = project / 'project.json'
    good, refused = file.read_text(), 0
    expected = indexing.load(project)
    assert indexing.to_json(expected) == good
    for edited in (*mutations.json_edits(good, 200), '[]', '', '{"generator": "tailor_jax.hls_export", "format": 1}'):
        file.write_text(edited)
        try:
            loaded = indexing.load(project)
        except ExportError as error:
            refused += 1
            assert str(file) in str(error) and '\n' not in str(error)
        else:
            assert all(type(fifo.depth) is int and fifo.storage in plan.STORAGE for fifo in loaded.plan.fifos.values())
            assert plan.PART.fullmatch(loaded.plan.part)
    assert refused > 150
    assert csim.main([str(project)]) == 1
    assert capsys.readouterr().err.startswith(f'error: {file}: expected a file with format')


def test_a_compiled_design_of_another_network_is_refused(project):
    qgraph.save(random_qgraph(build.resnet(8, (4, 4, 1), 5, 1, 'none'), seed=1), project / 'qgraph.npz')
    with pytest.raises(
        ExportError, match='an image has 16 values and 5 results in qgraph.npz, 16 and 3 in the sources'
    ):
        hls_export.compile(project)


def skip_project(path) -> Path:
    """stem -> conv0 (+) stem: what `data/csynth.xml` is a report of."""
    shape, window = (6, 8, 2), {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}
    nodes = (
        Node('input', 'input', (), (6, 8, 1)),
        Node('stem', 'conv', ('input',), shape, relu=True, bias=True),
        Node('conv0', 'conv', ('stem',), shape, bias=True, **window),
        Node('sum', 'add', ('conv0', 'stem'), shape),
    )
    cost = costmodel.evaluate(Graph(nodes), costmodel.dataflow())
    net = random_qgraph(Graph(nodes))
    return hls_export.write(
        path, net, plan_of(net.graph), random_images(net, 3), np.zeros(3, int), costmodel.to_json(cost, network='small')
    )


def test_reports_of_others_are_read_or_refused_by_the_name_of_the_file(tmp_path):
    path = skip_project(tmp_path / 'p')
    csynth, file = tmp_path / 'csynth.xml', path / hardware.FILE
    good, refused = CSYNTH.read_bytes(), 0
    for damaged in (*mutations.flips(good, 150), *mutations.truncations(good, 20)):
        csynth.write_bytes(damaged)
        try:
            report.text_table(report.compare(path, csynth))
        except ExportError as error:
            refused += 1
            assert 'csynth.xml' in str(error)
    assert refused > 40
    text, refused = file.read_text(), 0
    for edited in mutations.json_edits(text, 200):
        file.write_text(edited)
        try:
            report.text_table(report.compare(path, CSYNTH))
        except ExportError as error:
            refused += 1
            assert 'hardware.json' in str(error) or 'csynth.xml' in str(error)
    assert refused > 20
    file.write_text(text)
    csynth.write_bytes(b' ' * (report.MOST_BYTES + 1))
    with pytest.raises(ExportError, match=r'csynth.xml.* at most 67,108,864 are read'):
        report.compare(path, csynth)


@pytest.mark.parametrize('mode', ['fast', 'cycle'])
def test_the_sources_have_no_undefined_behaviour(tmp_path, mode):
    """Adds that align negative values, outputs finer than their accumulators, strides, pools: under the sanitizer,
    which stops at the first.
    """
    net = random_qgraph(build.resnet(8, (6, 7, 2), 3, 2, 'long'), seed=6, bits=(8, 8))
    assert any(
        max(each.align) > 0 and net[each.node.inputs[0]].out.signed for each in net.nodes if each.node.op == 'add'
    )
    finer = dataclasses.replace(net.output, out=dataclasses.replace(net.output.out, frac=net.output.acc.frac + 3))
    net = qgraph.QGraph((*net.nodes[:-1], finer))
    images = random_images(net, 6)
    made = plan_of(net.graph, folded(net.graph))
    path = hls_export.write(tmp_path / 'p', net, made, images, np.zeros(6, int))
    compiler = 'g++ -fsanitize=undefined -fno-sanitize-recover=all'
    subprocess.run(['make', '-C', path, f'build/{mode}/testbench', f'CXX={compiler}'], check=True, capture_output=True)
    done = subprocess.run([path / 'build' / mode / 'testbench'], cwd=path, capture_output=True, text=True)
    assert done.returncode == 0 and 'runtime error' not in done.stderr, done.stderr
