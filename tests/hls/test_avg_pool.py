"""avg_pool as a streaming op: the integer reference == C++ in its three simulations, the machine's cycles and FIFOs ==
the clock's.
"""

import functools
import json
import os
import re

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from plans import folded, plan_of, plans, unfolded
from random_nets import random_images, random_qgraph

import hls_export
from costmodel.streams.flow.simulate import simulate
from hls_export import csim
from hls_export.dataflow import emit
from tailor_jax import rewrite
from tailor_jax.build import builder
from tailor_jax.dataflow import plan as planning
from tailor_jax.dataflow.plan import Plan
from tailor_jax.dataflow.process import period_cycles
from tailor_jax.graph import Graph, GraphError, Node, window_shape
from tailor_jax.integers import lower
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.qgraph import QGraph, run_int

pytestmark = pytest.mark.usefixtures('quick_compiler')

FUZZ = int(os.environ.get('HLS_FUZZ', '2'))
MODES = ('fast', 'strict', 'cycle')
ZERO = (0, 0, 0, 0)


def pool(name: str, source: Node, kernel=(2, 2), stride=(1, 1), padding=ZERO) -> Node:
    shape = (*window_shape(source.shape, kernel, stride, padding), source.shape[2])
    return Node(name, 'avg_pool', (source.name,), shape, kernel, stride, padding)


def chain(*windows: tuple, shape=(9, 8, 3)) -> Graph:
    """An avg_pool after another over a map of this shape."""
    nodes = [Node('input', 'input', (), shape)]
    for number, window in enumerate(windows):
        nodes.append(pool(f'pool{number}', nodes[-1], *window))
    return Graph(tuple(nodes))


def in_integers(graph: Graph, kinds: tuple[Fixed, ...]) -> QGraph:
    """A graph without weights; a type a node."""
    return lower.lower(graph, {}, {node.name: kind for node, kind in zip(graph, kinds, strict=True)}, {})


def export(path, qgraph: QGraph, made: Plan | None = None, count: int = 5):
    """Writes a network; returns its images."""
    images = random_images(qgraph, count)
    hls_export.write(path, qgraph, made or plan_of(qgraph.graph), images, np.zeros(count, int))
    return images


def check_all(path, qgraph: QGraph, made: Plan | None = None) -> None:
    images = export(path, qgraph, made)
    expected = run_int(qgraph, images)
    for mode in MODES:
        np.testing.assert_array_equal(
            hls_export.compile(path, mode)(images), expected, err_msg=f'{mode}\n{qgraph.graph}'
        )


SAME = ((3, 3), (1, 1), (1, 1, 1, 1))
WINDOWS = {
    'powers of two': (((2, 2), (1, 1), (0, 1, 1, 0)), ((4, 2), (2, 1), (1, 1, 0, 1)), ((2, 2), (2, 2))),
    'others': (SAME, ((3, 2), (2, 1), (2, 0, 0, 1)), ((5, 3), (1, 2), (2, 2, 1, 1))),
    'both, and of one place': (((3, 1), (1, 1), (1, 1, 0, 0)), ((1, 1), (2, 2)), ((2, 4), (1, 1), (1, 0, 2, 1))),
}


@pytest.mark.parametrize('signs', [(True, True), (False, True)])
@pytest.mark.parametrize('windows', WINDOWS.values(), ids=WINDOWS)
def test_windows_bit_for_bit(tmp_path, windows, signs):
    """Outputs of coarser and finer scales than the inputs', some of which saturate."""
    first, others = signs
    kinds = (Fixed(8, 4, first), Fixed(7, 3, others), Fixed(9, 8, first), Fixed(6, 4, others))
    check_all(tmp_path / 'p', in_integers(chain(*windows), kinds))


kinds_of = st.builds(Fixed, st.integers(2, 9), st.integers(-1, 9), st.booleans())


@st.composite
def pooled_nets(draw: st.DrawFn) -> tuple[Graph, tuple[Fixed, ...]]:
    """Two to four pools, each over an earlier tensor, and the add of those of one shape, or the last of them."""
    nodes = [Node('input', 'input', (), (draw(st.integers(1, 8)), draw(st.integers(2, 8)), draw(st.integers(1, 3))))]

    def window(size: int) -> tuple[int, int, tuple[int, int]]:
        kernel, stride = draw(st.integers(1, min(4, size))), draw(st.integers(1, 3))
        before = draw(st.integers(0, kernel - 1))
        most = max(after for after in range(kernel) if (size + before + after - kernel) // stride * stride < size)
        return kernel, stride, (before, draw(st.integers(0, most)))

    for number in range(draw(st.integers(2, 4))):
        source = nodes[-1]
        rows, columns = window(source.shape[0]), window(source.shape[1])
        nodes.append(pool(f'pool{number}', source, *zip(rows[:2], columns[:2], strict=True), (*rows[2], *columns[2])))
    if nodes[-1].shape == nodes[-2].shape:
        nodes.append(Node('sum', 'add', (nodes[-1].name, nodes[-2].name), nodes[-1].shape))
    return Graph(tuple(nodes)), tuple(draw(kinds_of) for _ in nodes)


@hypothesis.settings(
    max_examples=FUZZ, deadline=None, derandomize=FUZZ <= 2, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(net=pooled_nets(), data=st.data())
def test_fuzz(tmp_path_factory, net, data):
    """HLS_FUZZ=200 runs as many."""
    qgraph = in_integers(*net)
    check_all(tmp_path_factory.mktemp('fuzz') / 'p', qgraph, data.draw(plans(qgraph)))


@functools.cache
def resnet() -> Graph:
    """A stem and two blocks whose downsampling skips are a pool and a 1x1 convolution, as in ResNet-D: of 2 x 2, and of
    3 x 3 with padding.
    """
    net = builder.Builder((8, 6, 2))

    def unit(name: str, source: str, channels: int, stride: int = 1) -> str:
        conv = net.conv(f'{name}_conv', source, channels, stride=stride)
        return net.relu(f'{name}_relu', net.batch_norm(f'{name}_bn', conv))

    tensor = unit('stem', 'input', 4)
    for block, size, channels in (('b1', 2, 4), ('b2', 3, 6)):
        main = net.conv(f'{block}_conv2', unit(f'{block}_1', tensor, channels, 2), channels)
        short = net.conv(f'{block}_proj', net.avg_pool(f'{block}_pool', tensor, size, 2), channels, size=1)
        tensor = net.relu(f'{block}_relu', net.add(f'{block}_add', main, short))
    net.head(tensor, 3)
    graph = net.graph()
    return rewrite.fold(rewrite.binarize(graph, dict.fromkeys(graph.gates, 1)))


@pytest.mark.parametrize('folding', [unfolded, folded])
def test_cycles_and_fifos_of_a_resnet_equal(tmp_path, folding):
    """The simulator word by word and the generated C++."""
    qgraph = random_qgraph(resnet(), seed=3)
    made = plan_of(qgraph.graph, folding(qgraph.graph))
    export(tmp_path / 'p', qgraph, made, 16)
    result = csim.simulate(tmp_path / 'p', 'cycle')
    depths = {name: fifo.depth for name, fifo in made.fifos.items()}
    design = planning.check(qgraph.graph, made)
    run = simulate(design, made.latency_cycles, depths, 16)
    assert result['mismatched_values'] == 0 and result['deadlock'] is None
    assert (result['interval_cycles'], result['latency_cycles']) == (run.interval_cycles, run.latency_cycles)
    assert run.interval_cycles == max(period_cycles(actor.process) for actor in design.actors)
    assert {fifo['name']: fifo['max_occupancy'] for fifo in result['fifos']} == run.occupancy


def test_a_resnet_with_pools_in_its_skips(tmp_path):
    """End to end in all simulations; a weight or a reciprocal that is another is seen."""
    path, qgraph = tmp_path / 'p', random_qgraph(resnet(), seed=3)
    check_all(path, qgraph)
    assert csim.main([str(path)]) == 0
    weights, layers = path / 'weights' / 'b2_proj.h', path / 'layers.h'
    reciprocal = re.compile(r'(struct layer_b2_pool \{.*? multiplier = )(\d+)', re.DOTALL)
    for file, pattern, change in (
        (weights, re.compile(r'(\{ *)(-?\d+)(?=,)'), lambda value: value ^ 1),
        (layers, reciprocal, lambda value: value // 2),
    ):
        text = file.read_text()
        file.write_text(pattern.sub(lambda match, f=change: f'{match[1]}{f(int(match[2]))}', text, count=1))
        assert file.read_text() != text
        assert csim.main([str(path)]) == 1
        assert json.loads((path / 'csim.json').read_text())['mismatched_values'] > 0
        file.write_text(text)
    assert csim.main([str(path)]) == 0


def test_padding_that_no_process_allows_is_refused():
    graph = chain(((3, 3), (1, 1), (2, 2, 2, 2)), shape=(4, 4, 2))
    net = in_integers(graph, (Fixed(8, 4), Fixed(8, 4)))
    with pytest.raises(GraphError, match=r"'pool0' \(avg_pool\): padding.*pad less"):
        emit.source(net, Plan(unfolded(graph), {}, {}))
