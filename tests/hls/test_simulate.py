"""Integer reference == C++ in its three simulations, bit for bit; and the simulation notices when they differ."""

from __future__ import annotations

import dataclasses
import json
import os
import re

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from random_nets import random_images, random_qgraph, residual_graphs

import hls_export
from hls_export import csim
from hls_export import index as indexing
from hls_export.dataflow import plan
from tailor_jax import build, rewrite, streaming
from tailor_jax.fields import header
from tailor_jax.graph import Graph, Node
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.qgraph import QGraph, QNode, run_int

pytestmark = pytest.mark.usefixtures('quick_compiler')

FUZZ = int(os.environ.get('HLS_FUZZ', '2'))


def roomy(qgraph: QGraph, reuse_factors: dict[str, int] | None = None) -> plan.Plan:
    """Skip FIFOs deep enough for any rates: whole maps, and what all windows together hold back."""
    graph = qgraph.graph
    lag = sum(streaming.lag(graph, node) for node in graph.nodes if node.op in ('conv', 'max_pool'))
    return plan.Plan.default(
        qgraph,
        {name: 3 * int(np.prod(graph.input.shape[:2])) + lag + 4 for name in plan.skip_fifos(graph)},
        reuse_factors,
    )


# `strict` takes half of the compile time; the fuzz and a few have it, for the others `QUICK` does.
MODES = ('fast', 'strict', 'cycle')
QUICK = ('fast', 'cycle')


def check_all(
    path, qgraph: QGraph, reuse_factors: dict[str, int] | None = None, count: int = 5, modes: tuple[str, ...] = MODES
) -> None:
    images = random_images(qgraph, count)
    hls_export.write(path, qgraph, roomy(qgraph, reuse_factors), images, np.zeros(count, int))
    expected = run_int(qgraph, images)
    for mode in modes:
        np.testing.assert_array_equal(
            hls_export.compile(path, mode)(images), expected, err_msg=f'{mode}\n{qgraph.graph}'
        )


def highest_reuse(qgraph: QGraph, below: int) -> dict[str, int]:
    graph = qgraph.graph
    return {
        node.name: max(factor for factor in streaming.reuse_factors(graph, node) if factor <= below)
        for node in graph.nodes
        if node.op in ('conv', 'dense')
    }


@pytest.mark.parametrize(
    ('skips', 'gates', 'reuse', 'modes'),
    [
        ('long', {}, 1, MODES),
        ('long', {'s1b0_long': 0, 's2b0_long': 0, 's3b0_long': 0}, 12, QUICK),
        ('long+short', {'s1b0_long': 0, 's2b0_short2': 0}, 10_000, QUICK),
        ('short_pre', {'s3b0_short1': 0}, 6, QUICK),
    ],
)
def test_resnets(tmp_path, skips, gates, reuse, modes):
    qgraph = random_qgraph(build.resnet(8, (9, 7, 3), 5, 2, skips), seed=len(skips), gates=gates)
    check_all(tmp_path / 'p', qgraph, highest_reuse(qgraph, reuse), modes=modes)


def test_one_dimensional(tmp_path):
    qgraph = random_qgraph(build.resnet(8, (1, 23, 2), 4, 4, 'short'), seed=3)
    check_all(tmp_path / 'p', qgraph, highest_reuse(qgraph, 4), modes=QUICK)


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
    check_all(tmp_path / 'p', qgraph, {'b0_conv1': 18, 'b1_conv2': 4, 'classes': 8}, modes=QUICK)


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
    check_all(
        tmp_path / 'p', random_qgraph(graph, seed=8), {'depthwise': 27, 'expand2': 4, 'depthwise2': 2}, modes=QUICK
    )


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
    check_all(tmp_path / 'p', qgraph, {'depthwise': 9 * 8, 'grouped': 6, 'project': 2})


@hypothesis.settings(
    max_examples=FUZZ, deadline=None, derandomize=FUZZ <= 2, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(graph=residual_graphs(), seed=st.integers(0, 2**16), data=st.data())
def test_fuzz(tmp_path_factory, graph, seed, data):
    """Random networks, gates, bit widths and reuse factors. HLS_FUZZ=200 runs as many."""
    gates = {gate: data.draw(st.integers(0, 1), label=gate) for gate in graph.gates}
    qgraph = random_qgraph(graph, seed, bits=(data.draw(st.integers(2, 8)), data.draw(st.integers(3, 8))), gates=gates)
    folded = qgraph.graph
    reuse = {
        node.name: data.draw(st.sampled_from(streaming.reuse_factors(folded, node)), label=node.name)
        for node in folded.nodes
        if node.op in ('conv', 'dense')
    }
    check_all(tmp_path_factory.mktemp('fuzz') / 'p', qgraph, reuse)


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    """(path, qgraph, images, labels) of a small network whose testbench is compiled."""
    path = tmp_path_factory.mktemp('project') / 'p'
    qgraph = random_qgraph(build.resnet(8, (6, 6, 1), 4, 2, 'long'), seed=1)
    images = random_images(qgraph, 12)
    labels = run_int(qgraph, images).argmax(1)
    hls_export.write(
        path, qgraph, roomy(qgraph), images, labels, hardware=header('hardware', 1) | {'total': {'lut': 1}}
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
        hls_export.write(tmp_path / 'p', qgraph, roomy(qgraph), images, np.zeros(4, int), overwrite=True)
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
    check_all(tmp_path / 'p', QGraph((QNode(graph['input'], source, source), conv)), {'wide': 9})


def test_left_shift_to_a_finer_output(tmp_path):
    """An output with more fractional bits than the accumulator shifts left, and saturates."""
    qgraph = random_qgraph(rewrite.dead_code(build.resnet(8, (4, 4, 1), 3, 1, 'none')), seed=4)
    last = dataclasses.replace(
        qgraph.output, out=dataclasses.replace(qgraph.output.out, frac=qgraph.output.acc.frac + 3)
    )
    assert last.shift == -3
    check_all(tmp_path / 'p', QGraph((*qgraph.nodes[:-1], last)), modes=('fast', 'strict'))
