"""The project directory: complete or absent, repeatable, readable; and every bad input gets a clear error."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from plans import unfolded
from random_nets import random_qgraph, small_project
from run_processes import HOOK, ROOT

import hls_export
from hls_export import csim, project, toolchain
from hls_export.dataflow import emit
from tailor_jax import files
from tailor_jax.dataflow.plan import Plan
from tailor_jax.graph import Graph, GraphError, Node
from tailor_jax.integers import qgraph
from tailor_jax.integers.qgraph import QGraph, QNode


@pytest.fixture(scope='module')
def network():
    return small_project()


def content(path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob('*') if file.is_file()}


def test_two_writes_are_byte_identical(network, tmp_path):
    first, second = (
        content(hls_export.write(tmp_path / name, *network, hardware={'total': {'lut': 1}}))
        for name in ('a', 'elsewhere')
    )
    assert first == second
    assert not [name for name, data in first.items() if str(tmp_path).encode() in data]
    assert {
        'tailor_top.cpp',
        'tailor_top.h',
        'layers.h',
        'timing.h',
        'weights/stem_conv.h',
        'include/mac.h',
        'sim/native/ap_int.h',
        'sim/cycle/fibers.h',
        'testbench.cpp',
        'tb_data/images.bin',
        'Makefile',
        'README.md',
        'build.tcl',
        'hls_config.cfg',
        'qgraph.npz',
        'hardware.json',
        'project.json',
    } <= set(first)


def test_qgraph_in_the_project_is_the_network(network, tmp_path):
    net, _, images, _ = network
    hls_export.write(tmp_path / 'p', *network)
    loaded = qgraph.load(tmp_path / 'p' / 'qgraph.npz')
    np.testing.assert_array_equal(qgraph.run_int(loaded, images), qgraph.run_int(net, images))


def test_unknown_op_names_the_node(network):
    net, made, _, _ = network
    nodes = list(net.nodes)
    # The IR knows batch_norm, the integer graph does not.
    odd = Node('odd', 'batch_norm', (nodes[-1].name,), nodes[-1].node.shape)
    with pytest.raises(GraphError, match="node 'odd'.*op 'batch_norm' has no integers; fold the graph first"):
        emit.source(QGraph((*nodes, QNode(odd, nodes[-1].out, nodes[-1].out))), made)
    large = Node('large', 'upsample', (nodes[-1].name,), (2, 2, nodes[-1].node.shape[2]), factor=(2, 2))
    lanes = {**made.folding.lanes, 'large': 1}
    folding = dataclasses.replace(made.folding, lanes=lanes)
    with pytest.raises(GraphError, match="node 'large': op 'upsample' has no streaming process"):
        emit.source(
            QGraph((*nodes, QNode(large, nodes[-1].out, nodes[-1].out))), dataclasses.replace(made, folding=folding)
        )


def test_networks_that_cannot_stream(tmp_path):
    reserved = random_qgraph(
        Graph((Node('input', 'input', (), (4, 4, 1)), Node('clone', 'conv', ('input',), (4, 4, 1))))
    )
    with pytest.raises(GraphError, match="'clone': a streaming design uses this name"):
        emit.source(reserved, Plan(unfolded(reserved.graph), {}, {}))
    beyond = random_qgraph(
        Graph(
            (
                Node('input', 'input', (), (4, 4, 1)),
                Node('wide', 'conv', ('input',), (6, 6, 1), (3, 3), (1, 1), (2, 2, 2, 2)),
            )
        )
    )
    with pytest.raises(GraphError, match=r"node 'wide'.*pad less"):
        emit.source(beyond, Plan(unfolded(beyond.graph), {}, {}))


def test_test_data_must_fit(network, tmp_path):
    net, made, images, labels = network
    for bad_images, bad_labels, error in (
        (images.astype(float), labels, GraphError),
        (images[:0], labels[:0], GraphError),
        (images, labels[:2], GraphError),
        (images[:, :3], labels, ValueError),
        (images + 10_000, labels, ValueError),
    ):
        with pytest.raises(error):
            hls_export.write(tmp_path / 'p', net, made, bad_images, bad_labels)
    assert not list(tmp_path.iterdir())


def test_existing_directory(network, tmp_path):
    path = tmp_path / 'p'
    path.mkdir()
    hls_export.write(path, *network)  # an empty directory is free to take
    (path / 'csim.json').write_text('{}')
    before = content(path)
    with pytest.raises(hls_export.ExportError, match='not empty'):
        hls_export.write(path, *network)
    assert content(path) == before
    hls_export.write(path, *network, overwrite=True)
    assert not (path / 'csim.json').exists() and [each.name for each in tmp_path.iterdir()] == ['p']

    foreign = tmp_path / 'thesis'
    foreign.mkdir()
    (foreign / 'chapter.txt').write_text('years of work')
    with pytest.raises(hls_export.ExportError, match='no project of tailor_jax'):
        hls_export.write(foreign, *network, overwrite=True)
    assert content(foreign) == {'chapter.txt': b'years of work'}
    with pytest.raises(hls_export.ExportError, match='is a file'):
        hls_export.write(foreign / 'chapter.txt', *network, overwrite=True)


def test_half_written_project_is_never_left(network, tmp_path, monkeypatch):
    path = hls_export.write(tmp_path / 'p', *network)
    before = content(path)

    def full_disk(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('hls_export.project.qg.save', full_disk)
    for target in (path, tmp_path / 'new'):
        with pytest.raises(hls_export.ExportError, match='No space left'):
            hls_export.write(target, *network, overwrite=True)
    assert content(path) == before and [each.name for each in tmp_path.iterdir()] == ['p']


def test_failed_replacement_keeps_the_old_project(network, tmp_path, monkeypatch):
    path = hls_export.write(tmp_path / 'p', *network)
    before, rename = content(path), pathlib.Path.rename

    def failing(self, target):
        if self.name == 'project':
            raise OSError(5, 'Input/output error')
        return rename(self, target)

    monkeypatch.setattr(pathlib.Path, 'rename', failing)
    with pytest.raises(hls_export.ExportError, match='Input/output error'):
        hls_export.write(path, *network, overwrite=True)
    assert content(path) == before and [each.name for each in tmp_path.iterdir()] == ['p']


def test_unwritable_directory(network, tmp_path, monkeypatch):
    locked = tmp_path / 'locked'
    locked.mkdir()
    locked.chmod(0o555)
    if os.access(locked, os.W_OK):  # root may write anywhere
        locked = tmp_path / 'file'
        locked.write_text('')
    with pytest.raises(hls_export.ExportError, match=r'cannot write the project|is a file'):
        hls_export.write(locked / 'p', *network)


def test_missing_compiler(network, tmp_path, monkeypatch, capsys):
    hls_export.write(tmp_path / 'p', *network)
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CXX', raising=False)
    with pytest.raises(hls_export.ExportError, match=r'g\+\+ was not found.*apt install g\+\+ make'):
        hls_export.compile(tmp_path / 'p')
    assert csim.main([str(tmp_path / 'p')]) == 1
    assert 'apt install' in capsys.readouterr().err and not (tmp_path / 'p' / 'csim.json').exists()


def test_compiler_error_shows_its_lines(network, tmp_path):
    hls_export.write(tmp_path / 'p', *network)
    top = tmp_path / 'p' / 'tailor_top.cpp'
    top.write_text(top.read_text().replace('tailor::mac<layer_s1b0_conv1__mac>', 'tailor::nac<layer_s1b0_conv1__mac>'))
    with pytest.raises(hls_export.ExportError, match=r'tailor_top\.cpp:\d+:\d+: error: .nac.'):
        hls_export.compile(tmp_path / 'p')


def test_no_stale_binary_passes(network, tmp_path, capsys):
    """A header that is gone, or changed and dated back: make alone would not see it."""
    path = hls_export.write(tmp_path / 'p', *network)
    assert csim.main([str(path)]) == 0
    header = path / 'layers.h'
    text, old = header.read_text(), header.stat()
    header.unlink()
    assert csim.main([str(path)]) == 1
    assert 'layers.h: No such file' in capsys.readouterr().err
    header.write_text(text)
    assert csim.main([str(path)]) == 0
    weights = sorted((path / 'weights').glob('*.h'))[0]
    changed = re.sub(r'(-?\d+)(,)', lambda match: f'{1 - int(match[1]) % 2}{match[2]}', weights.read_text())
    weights.write_text(changed)
    os.utime(weights, ns=(old.st_atime_ns, old.st_mtime_ns - 10**12))
    assert csim.main([str(path)]) == 1
    assert 'first mismatch' in capsys.readouterr().out


def test_missing_amd_headers(network, tmp_path, monkeypatch):
    hls_export.write(tmp_path / 'p', *network)
    for name in ('XILINX_HLS', 'VITIS_HLS'):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(toolchain.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(hls_export.ExportError, match='pip install hls4ml'):
        hls_export.compile(tmp_path / 'p', 'strict')


def test_bad_arguments(network, tmp_path, capsys):
    with pytest.raises(hls_export.ExportError, match='is not a project'):
        hls_export.compile(tmp_path)
    with pytest.raises(hls_export.ExportError, match='mode must be one of fast, strict, cycle'):
        hls_export.compile(tmp_path, 'quick')
    assert csim.main([str(tmp_path)]) == 1
    assert csim.main([str(tmp_path), '--images=0']) == 1
    assert csim.main([str(tmp_path), '--trace=x.csv']) == 1
    assert 'needs --mode=cycle' in capsys.readouterr().err


def test_readme_has_no_open_placeholder(network, tmp_path):
    hls_export.write(tmp_path / 'p', *network)
    for name in ('README.md', 'build.tcl', 'hls_config.cfg'):
        assert not re.search(r'\$\{?[a-z]', (tmp_path / 'p' / name).read_text())
    index = json.loads((tmp_path / 'p' / 'project.json').read_text())
    made = network[1]
    assert index['fifos']['stem_conv__clone'] == dataclasses.asdict(made.fifos['stem_conv__clone'])
    assert index['folding']['layers']['stem_conv'] == {
        'taps': 'all',
        'lanes': 1,
        'outputs': 2,
        'weights': 'lut',
    }


# In the order in which a write comes by.
KILLS = {
    'before the work begins': ('os.mkdir', '*/.p.*/project', 'old'),
    'while files are written': ('os.mkdir', '*/project/tb_data', 'old'),
    'before the old project moves': ('os.rename', '*/replaced', 'old'),
    'between the old and the new': ('os.rename', '*/project', 'old'),
    'before the old one is discarded': ('os.rename', '*/discarded', 'new'),
    'while it is discarded': ('shutil.rmtree', '*', 'new'),
}


@pytest.mark.parametrize('event, pattern, left', KILLS.values(), ids=KILLS)
def test_a_write_that_is_killed_loses_nothing_and_the_next_one_clears_up(network, tmp_path, event, pattern, left):
    *_, images, labels = network
    path = tmp_path / 'p'
    old = content(hls_export.write(path, *network, hardware={'old': 1}))
    new = content(hls_export.write(tmp_path / 'q', *network, hardware={'new': 1}))
    program = (
        'import sys, numpy, hls_export\nfrom hls_export import index\n'
        'from tailor_jax.integers import qgraph\nnet = qgraph.load(sys.argv[1] + "/qgraph.npz")\n'
        'plan = index.load(sys.argv[1]).plan\n'
        'given = numpy.load(sys.argv[2])\n'
        'hls_export.write(sys.argv[1], net, plan, given["images"], given["labels"], hardware={"new": 1}, '
        'overwrite=True)\n'
    )
    np.savez(tmp_path / 'given.npz', images=images, labels=labels)
    command = [sys.executable, '-c', f'import os\n{HOOK}\n{program}', path, tmp_path / 'given.npz']
    environment = os.environ | {'KILL_AT': f'{event} {pattern}'}
    killed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (leftover,) = tmp_path.glob('.p.*')
    assert project.is_partial(leftover) and project.is_partial(leftover, 'p') and not project.is_partial(leftover, 'q')
    with pytest.raises(hls_export.ExportError, match='is not empty'):  # and puts back what was there
        hls_export.write(path, *network)
    assert content(path) == (old if left == 'old' else new)
    assert not list(tmp_path.glob('.p.*'))
    hls_export.write(path, *network, hardware={'new': 1}, overwrite=True)
    assert content(path) == new and {each.name for each in tmp_path.iterdir()} == {'p', 'q', 'given.npz'}


def test_only_what_a_write_leaves_is_cleared_away(network, tmp_path):
    """By a strict rule: the name that tempfile gives, and nothing else in it. What another process is writing stays
    too.
    """
    mine = {
        '.p.backup': '',
        '.p.abcd123': '',
        '.p.abcd12345': '',
        '.p.ABCD1234': '',
        '.p.abcd1234': 'notes.txt',
        '.q.abcd1234': 'project',
    }
    for name, inside in mine.items():
        (tmp_path / name).mkdir()
        if inside:
            (tmp_path / name / inside).mkdir()
    (tmp_path / '.p.linked__').symlink_to(tmp_path / '.q.abcd1234')
    (tmp_path / '.p.busy____').mkdir()
    before = {path.name for path in tmp_path.iterdir()}
    with files.locked(tmp_path / '.p.busy____'):
        hls_export.write(tmp_path / 'p', *network)
    assert {path.name for path in tmp_path.iterdir()} == {*before, 'p'}
    hls_export.write(tmp_path / 'p', *network, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {*before, 'p'} - {'.p.busy____'}


@pytest.mark.parametrize(
    'name', ['notes.txt', 'vitis/solution/csynth.xml', 'weights/mine.txt', 'tb_data/more.bin', 'dangling']
)
def test_a_project_with_files_of_others_is_not_replaced(network, tmp_path, name):
    path = hls_export.write(tmp_path / 'p', *network)
    (path / 'build' / 'fast').mkdir(parents=True)
    (path / 'build' / 'fast' / 'testbench').write_text('what simulations leave')
    (path / 'csim.json').write_text('{}')
    hls_export.write(path, *network, overwrite=True)
    mine = path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    if name == 'dangling':
        mine.symlink_to('nowhere')
    else:
        mine.write_text('mine')
    before = content(path)
    with pytest.raises(hls_export.ExportError, match=f'{name}.*which no export wrote'):
        hls_export.write(path, *network, overwrite=True)
    assert content(path) == before and os.path.lexists(mine)
