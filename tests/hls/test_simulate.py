"""Integer reference == C++ in its three simulations, bit for bit; and the simulation notices when they differ."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from plans import folded, plan_of, plans, unfolded
from random_nets import random_images, random_qgraph, residual_graphs

import hls_export
from hls_export import csim
from hls_export import index as indexing
from hls_export.index import ExportError
from tailor_jax import build, rewrite
from tailor_jax.dataflow import packing
from tailor_jax.dataflow.folding import TAPS, Folding, Layer
from tailor_jax.dataflow.plan import Plan
from tailor_jax.fields import header
from tailor_jax.graph import Graph, Node
from tailor_jax.integers import fixed as fx
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.qgraph import QGraph, QNode, run_int

pytestmark = pytest.mark.usefixtures('quick_compiler')

FUZZ = int(os.environ.get('HLS_FUZZ', '2'))


# `strict` takes half of the compile time; the fuzz and a few have it, for the others `QUICK` does.
MODES = ('fast', 'strict', 'cycle')
QUICK = ('fast', 'cycle')


def check_all(
    path,
    qgraph: QGraph,
    plan: Plan | Folding | None = None,
    count: int = 5,
    modes: tuple[str, ...] = MODES,
) -> None:
    plan = plan if isinstance(plan, Plan) else plan_of(qgraph.graph, plan)
    images = random_images(qgraph, count)
    hls_export.write(path, qgraph, plan, images, np.zeros(count, int))
    expected = run_int(qgraph, images)
    for mode in modes:
        np.testing.assert_array_equal(
            hls_export.compile(path, mode)(images), expected, err_msg=f'{mode}\n{qgraph.graph}\n{plan}'
        )


@pytest.mark.parametrize(
    ('skips', 'gates', 'folding', 'modes'),
    [
        ('long', {}, unfolded, MODES),
        ('long', {'s1b0_long': 0, 's2b0_long': 0, 's3b0_long': 0}, folded, QUICK),
        ('long+short', {'s1b0_long': 0, 's2b0_short2': 0}, folded, QUICK),
        ('short_pre', {'s3b0_short1': 0}, unfolded, QUICK),
    ],
)
def test_resnets(tmp_path, skips, gates, folding, modes):
    qgraph = random_qgraph(build.resnet(8, (9, 7, 3), 5, 2, skips), seed=len(skips), gates=gates)
    check_all(tmp_path / 'p', qgraph, folding(qgraph.graph), modes=modes)


def test_one_dimensional(tmp_path):
    qgraph = random_qgraph(build.resnet(8, (1, 23, 2), 4, 4, 'short'), seed=3)
    check_all(tmp_path / 'p', qgraph, folded(qgraph.graph), modes=QUICK)


def bottlenecks(skips: str) -> Graph:
    """Two bottleneck blocks by hand, 1x1 - 3x3 - 1x1 to four times the channels: the first strided with projections,
    the second without.

    'long' adds once before the last ReLU; 'short', Tailor's form, adds over each convolution behind its ReLU, where a
    projection must fit it.
    """
    nodes = [Node('input', 'input', (), (6, 5, 3))]

    def conv(name: str, source: Node, channels: int, size: int = 1, stride: int = 1, relu: bool = True) -> Node:
        height, width, _ = source.shape
        pads = (size // 2,) * 4
        shape = (-(-height // stride), -(-width // stride), channels)
        nodes.append(
            Node(name, 'conv', (source.name,), shape, (size, size), (stride, stride), pads, bias=True, relu=relu)
        )
        return nodes[-1]

    def add(name: str, main: Node, skip: Node, relu: bool) -> Node:
        nodes.append(Node(name, 'add', (main.name, skip.name), main.shape, relu=relu))
        return nodes[-1]

    tensor = conv('stem', nodes[0], 4, 3)
    for block, stride in enumerate((2, 1)):
        skip = tensor if tensor.shape[2] == 8 else conv(f'b{block}_proj', tensor, 8, stride=stride, relu=False)
        for index, (channels, size, step) in enumerate(((2, 1, 1), (2, 3, stride), (8, 1, 1))):
            source = tensor
            tensor = conv(f'b{block}_conv{index}', source, channels, size, step, relu=skips == 'short' or index < 2)
            if skips == 'short':
                same = source.shape == tensor.shape
                short = source if same else conv(f'b{block}_proj{index}', source, channels, stride=step, relu=False)
                tensor = add(f'b{block}_short{index}', tensor, short, relu=False)
        if skips == 'long':
            tensor = add(f'b{block}_long', tensor, skip, relu=True)
    nodes.append(Node('mean', 'global_avg_pool', (tensor.name,), (1, 1, 8)))
    nodes.append(Node('classes', 'dense', ('mean',), (1, 1, 3), bias=True))
    return rewrite.dead_code(Graph(tuple(nodes)))


@pytest.mark.parametrize('skips', ['long', 'short'])
def test_bottleneck_blocks(tmp_path, skips):
    """Every node with bit widths of its own, a mean over 3 x 3 pixels, which is no power of two."""
    qgraph = random_qgraph(bottlenecks(skips), seed=7)
    assert sum(node.op == 'add' for node in qgraph.graph) == (2 if skips == 'long' else 6)
    assert (
        len({qnode.out.bits for qnode in qgraph.nodes}) > 3
        and len({qnode.weight_type.bits for qnode in qgraph.nodes if qnode.weight_type}) > 3
    )
    folding = folded(qgraph.graph, b0_conv1=Layer('column', 1, 2), b1_conv2=Layer('all', 2, 4))
    check_all(tmp_path / 'p', qgraph, folding, modes=QUICK)


def test_inverted_residuals(tmp_path):
    """MobileNetV2's blocks: expand, depthwise (strided once), a linear projection, and a skip between the narrow
    tensors.
    """
    narrow, wide = (6, 4, 2), (6, 4, 6)
    depthwise = {'kernel': (3, 3), 'padding': (1, 1, 1, 1), 'groups': 6, 'bias': True, 'relu': True}
    graph = Graph(
        (
            Node('input', 'input', (), (6, 4, 1)),
            Node('stem', 'conv', ('input',), narrow, bias=True),
            Node('expand', 'conv', ('stem',), wide, bias=True, relu=True),
            Node('depthwise', 'conv', ('expand',), wide, **depthwise),
            Node('project', 'conv', ('depthwise',), narrow, bias=True),
            Node('sum', 'add', ('project', 'stem'), narrow),
            Node('expand2', 'conv', ('sum',), wide, bias=True, relu=True),
            Node('depthwise2', 'conv', ('expand2',), (3, 2, 6), stride=(2, 2), **depthwise),
            Node('project2', 'conv', ('depthwise2',), (3, 2, 4), bias=True),
        )
    )
    qgraph = random_qgraph(graph, seed=8)
    layers = {'depthwise': Layer('one', 2, 2), 'expand2': Layer('all', 2, 3), 'depthwise2': Layer('column', 3, 3)}
    check_all(tmp_path / 'p', qgraph, folded(qgraph.graph, **layers), modes=QUICK)


def test_depthwise_pool_relu_and_wide_types(tmp_path):
    """Groups, a max pool with padding before a ReLU of its own, a tensor read twice by one add, no head: the output is
    a map.
    """
    graph = Graph(
        (
            Node('input', 'input', (), (7, 6, 4)),
            Node('depthwise', 'conv', ('input',), (7, 6, 8), (3, 3), (1, 1), (1, 1, 1, 1), groups=4),
            Node('pool', 'max_pool', ('depthwise',), (4, 3, 8), (3, 3), (2, 2), (1, 1, 1, 1)),
            Node('relu', 'relu', ('pool',), (4, 3, 8)),
            Node('grouped', 'conv', ('relu',), (4, 3, 6), (2, 3), (1, 1), (0, 1, 1, 1), groups=2),
            Node('twice', 'add', ('grouped', 'grouped'), (4, 3, 6)),
            Node('mean', 'global_avg_pool', ('twice',), (1, 1, 6)),
            Node('project', 'conv', ('mean',), (1, 1, 3)),
        )
    )
    qgraph = random_qgraph(graph, seed=5, bits=(6, 9))
    layers = {'depthwise': Layer('column', 1, 2), 'grouped': Layer('one', 2, 3), 'project': Layer('all', 3, 1)}
    check_all(tmp_path / 'p', qgraph, folded(qgraph.graph, **layers))


def ends(weights: np.ndarray, signed: bool, inputs: int) -> tuple[QGraph, np.ndarray]:
    """(a 1x1 convolution with these weights for each of its inputs, images of the ends of its input's type)"""
    channels = len(weights)
    source, kind = Fixed(8, 0, signed), Fixed(8, 0)
    nodes = (Node('input', 'input', (), (2, 2, inputs)), Node('conv', 'conv', ('input',), (2, 2, channels)))
    bound = int(np.abs(weights).max()) * 256 * inputs
    acc, out = fx.smallest(-bound, bound, 0), Fixed(21, 0)
    bias = np.zeros(channels, np.int64)
    conv = QNode(nodes[1], out, acc, np.tile(weights, (1, 1, inputs, 1)), bias, kind)
    values = np.array([source.lo, source.lo + 1, source.hi - 1, source.hi])
    return QGraph((QNode(nodes[0], source, source), conv)), np.repeat(values, inputs).reshape(1, 2, 2, inputs)


@pytest.mark.parametrize('signed, inputs', [(True, 1), (False, 1), (True, 7), (False, 12)])
def test_two_products_of_a_multiplier_are_both_exact(tmp_path, signed, inputs):
    """Every pair of the ends of the weights' type and of small weights, where the low products borrow from the high
    ones, alone and added up in chains; an odd output stays alone."""
    few = (-128, -127, -1, 0, 1, 126, 127)
    weights = np.array([each for low in few for high in few for each in (low, high)] + [-3])
    qgraph, images = ends(weights, signed, inputs)
    at_once = folded(qgraph.graph, conv=Layer('all', inputs, len(weights)))
    made = plan_of(qgraph.graph, at_once, multipliers={'conv': 'pair'})
    hls_export.write(tmp_path / 'p', qgraph, made, images, np.zeros(1, int))
    layers = (tmp_path / 'p' / 'layers.h').read_text()
    assert 'packed = true' in layers and f'chain = {packing.chain(inputs, 8, 8)};' in layers
    for mode in ('strict', 'cycle'):
        np.testing.assert_array_equal(hls_export.compile(tmp_path / 'p', mode)(images), run_int(qgraph, images))


@pytest.mark.parametrize(('relu', 'out'), [(False, Fixed(4, -3)), (True, Fixed(4, -3)), (True, Fixed(9, 1))])
def test_rounding_is_part_of_the_biases(tmp_path, relu, out):
    """Sums at every residue of an output's step, beyond both of its ends, and below 0 in front of a ReLU."""
    graph = Graph(
        (
            Node('input', 'input', (), (16, 16, 1)),
            Node('conv', 'conv', ('input',), (16, 16, 3), bias=True, relu=relu),
        )
    )
    source, weight = Fixed(8, 0), np.array([1, -1, 3]).reshape(1, 1, 1, 3)
    conv = QNode(graph['conv'], out, Fixed(11, 0), weight, np.array([0, 5, -7]), Fixed(8, 0))
    qgraph = QGraph((QNode(graph['input'], source, source), conv))
    images = np.arange(source.lo, source.hi + 1).reshape(1, 16, 16, 1)
    expected = run_int(qgraph, images)
    assert set(np.unique(expected)) >= {0 if relu else out.lo, out.hi}
    hls_export.write(tmp_path / 'p', qgraph, plan_of(graph, folded(graph)), images, np.zeros(1, int))
    np.testing.assert_array_equal(hls_export.compile(tmp_path / 'p', 'strict')(images), expected)


@pytest.mark.parametrize('taps', TAPS)
def test_windows_wider_than_the_image(tmp_path, taps):
    """The newest pixel of a window is rows below its last one that counts; maps of one pixel's width, too."""
    graph = Graph(
        (
            Node('input', 'input', (), (5, 3, 2)),
            Node('wide', 'conv', ('input',), (5, 3, 2), (2, 5), (1, 1), (1, 0, 1, 3)),
            Node('down', 'conv', ('wide',), (5, 1, 4), (3, 3), (1, 3), (1, 1, 1, 1)),
            Node('narrow', 'conv', ('down',), (5, 1, 2), (2, 2), (1, 1), (1, 0, 0, 1)),
            Node('tall', 'conv', ('narrow',), (3, 1, 2), (3, 1), (2, 1), (1, 1, 0, 0)),
        )
    )
    qgraph = random_qgraph(graph, seed=3)
    layers = {node.name: Layer(taps, 1, 2) for node in graph.nodes[1:]}
    check_all(tmp_path / 'p', qgraph, folded(qgraph.graph, **layers), modes=('strict',))


@hypothesis.settings(
    max_examples=FUZZ, deadline=None, derandomize=FUZZ <= 2, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(graph=residual_graphs(), seed=st.integers(0, 2**16), data=st.data())
def test_fuzz(tmp_path_factory, graph, seed, data):
    """Random networks, gates, bit widths and plans. HLS_FUZZ=200 runs as many."""
    gates = {gate: data.draw(st.integers(0, 1), label=gate) for gate in graph.gates}
    qgraph = random_qgraph(graph, seed, bits=(data.draw(st.integers(2, 8)), data.draw(st.integers(3, 8))), gates=gates)
    check_all(tmp_path_factory.mktemp('fuzz') / 'p', qgraph, data.draw(plans(qgraph)))


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    """(path, qgraph, images, labels) of a small network whose testbench is compiled."""
    path = tmp_path_factory.mktemp('project') / 'p'
    qgraph = random_qgraph(build.resnet(8, (6, 6, 1), 4, 2, 'long'), seed=1)
    images = random_images(qgraph, 12)
    labels = run_int(qgraph, images).argmax(1)
    hls_export.write(
        path, qgraph, plan_of(qgraph.graph), images, labels, hardware=header('hardware', 1) | {'total': {'lut': 1}}
    )
    return path, qgraph, images, labels


def test_csim_command(project, capsys):
    path, *_ = project
    assert csim.main([str(path), '--images=5']) == 0
    written = json.loads((path / 'csim.json').read_text())
    assert (
        written['mode'] == 'fast'
        and written['images'] == 5
        and written['mismatched_values'] == 0
        and written['accuracy'] == 1
    )
    assert {'seconds', 'images_per_second'} <= set(written)
    assert 'mismatched values  0 of 20' in capsys.readouterr().out


def test_flipped_weight_fails(project):
    path, *_ = project
    file = path / 'weights' / 'head_dense.h'
    text = file.read_text()
    try:
        file.write_text(re.sub(r'\{( *)(-?\d+),', lambda match: f'{{{match[1]}{int(match[2]) ^ 1},', text, count=1))
        assert csim.main([str(path)]) == 1
        assert csim.simulate(path)['mismatched_values'] > 0
    finally:
        file.write_text(text)
    assert csim.main([str(path)]) == 0


def test_a_word_that_is_lost_is_a_deadlock(project, capsys):
    """Plain queues run dry where hardware would wait for ever."""
    path, _, images, _ = project
    file = path / 'tailor_top.cpp'
    text = file.read_text()
    lost = re.findall(r'PROCESS\(head_dense, ::process_head_dense\(images, (\w+),', text)[0]
    try:
        file.write_text(text.replace('    PROCESS(head_dense,', f'    {lost}.read();\n    PROCESS(head_dense,'))
        assert csim.main([str(path)]) == 1
        assert f'waits to read from the empty FIFO {lost}\n' in capsys.readouterr().out
        assert subprocess.run(['build/fast/testbench'], cwd=path, stdout=subprocess.DEVNULL).returncode == 3
        with pytest.raises(ExportError, match=f'did not finish: .*empty FIFO {lost}'):
            hls_export.compile(path)(images)
    finally:
        file.write_text(text)


def test_corrupted_expectation_fails(project, capsys):
    path, *_ = project
    file = path / 'tb_data' / 'expected.bin'
    good = file.read_bytes()
    wrong = np.frombuffer(good, '<i4').copy()
    wrong[4 * 3 + 2] += 7
    index = indexing.load(path)
    vouched = dataclasses.replace(
        index, test_data={**index.test_data, 'expected.bin': indexing.digest(wrong.tobytes())}
    )
    try:
        file.write_bytes(wrong.tobytes())
        (path / 'project.json').write_text(indexing.to_json(vouched))
        assert csim.main([str(path)]) == 1
        written = json.loads((path / 'csim.json').read_text())
        assert written['mismatched_values'] == 1 and written['largest_difference'] == 7
        assert written['first_mismatch'] == {
            'image': 3,
            'class': 2,
            'got': int(wrong[14] - 7),
            'expected': int(wrong[14]),
        }
        assert 'image 3, class 2' in capsys.readouterr().out
        file.write_bytes(good[:-2])
        assert csim.main([str(path)]) == 1
        assert 'expected.bin is damaged' in capsys.readouterr().err
    finally:
        file.write_bytes(good)
        (path / 'project.json').write_text(indexing.to_json(index))


def test_design_in_python(project):
    path, qgraph, images, _ = project
    design = hls_export.compile(path)
    np.testing.assert_array_equal(design(images[3:9].astype(np.int8)), run_int(qgraph, images[3:9]))
    report = design.report()
    assert report['mode'] == 'fast' and report['images'] == 6 and report['hardware'] == {'lut': 1}
    assert design(images[:0]).shape == (0, 4)
    for wrong in (images[0], images[:, :3], images.astype(float), images + 1000):
        with pytest.raises(ValueError, match='images must be integers'):
            design(wrong)


def test_design_sees_new_sources(tmp_path):
    """A design that is compiled, exported anew to the same path and compiled again is the new one."""
    for seed in (1, 2):
        qgraph = random_qgraph(build.resnet(8, (4, 4, 1), 3, 1, 'none'), seed)
        images = random_images(qgraph, 4)
        hls_export.write(tmp_path / 'p', qgraph, plan_of(qgraph.graph), images, np.zeros(4, int), overwrite=True)
        np.testing.assert_array_equal(hls_export.compile(tmp_path / 'p')(images), run_int(qgraph, images))


def test_wide_types(tmp_path):
    """Accumulators beyond 32 bits, which float training never makes but the integer graph allows."""
    rng = np.random.default_rng(0)
    graph = Graph(
        (
            Node('input', 'input', (), (5, 4, 2)),
            Node('wide', 'conv', ('input',), (5, 4, 3), (3, 3), (1, 1), (1, 1, 1, 1), bias=True, relu=True),
        )
    )
    source, weight_type, out = Fixed(17, 0), Fixed(20, 0), Fixed(24, -14, signed=False)
    weight = rng.integers(weight_type.lo, weight_type.hi + 1, (3, 3, 2, 3))
    conv = QNode(graph['wide'], out, Fixed(42, 0), weight, rng.integers(-(1 << 33), 1 << 33, 3), weight_type)
    check_all(tmp_path / 'p', QGraph((QNode(graph['input'], source, source), conv)), folded(graph))


def test_left_shift_to_a_finer_output(tmp_path):
    """An output with more fractional bits than the accumulator shifts left, and saturates."""
    qgraph = random_qgraph(rewrite.dead_code(build.resnet(8, (4, 4, 1), 3, 1, 'none')), seed=4)
    last = dataclasses.replace(
        qgraph.output, out=dataclasses.replace(qgraph.output.out, frac=qgraph.output.acc.frac + 3)
    )
    assert last.shift == -3
    check_all(tmp_path / 'p', QGraph((*qgraph.nodes[:-1], last)), modes=('fast', 'strict'))
