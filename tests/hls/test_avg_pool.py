"""avg_pool as a streaming op: the integer reference == C++ in its three simulations, the cost model's cycles and FIFOs
== the clock's, its price against what is emitted.
"""

import dataclasses
import functools
import json
import math
import os
import re

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from random_nets import random_images, random_qgraph

import costmodel
import hls_export
from costmodel import devices
from costmodel.streams.area import logic
from costmodel.streams.settings import Dataflow
from costmodel.streams.timing.simulate import simulate
from hls_export import csim
from hls_export.dataflow import emit, plan
from tailor_jax import rewrite
from tailor_jax.build import builder
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


def export(path, qgraph: QGraph, target: Dataflow | None = None, count: int = 5):
    """Writes a network with the cost model's reuse factors and FIFOs; returns the cost and the images."""
    target = target or costmodel.dataflow(process_latency_cycles=3)
    cost = costmodel.evaluate(qgraph.graph, target)
    fifos = {fifo['name']: hls_export.Fifo(fifo['depth'], fifo['storage']) for fifo in cost.fifos}
    design = hls_export.Plan(cost.reuse_factors, fifos, process_latency_cycles=target.process_latency_cycles)
    images = random_images(qgraph, count)
    hls_export.write(path, qgraph, design, images, np.zeros(count, int))
    return cost, images


def check_all(path, qgraph: QGraph) -> None:
    _, images = export(path, qgraph)
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
@hypothesis.given(net=pooled_nets())
def test_fuzz(tmp_path_factory, net):
    """HLS_FUZZ=200 runs as many."""
    check_all(tmp_path_factory.mktemp('fuzz') / 'p', in_integers(*net))


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


@pytest.mark.parametrize(
    ('reuse', 'latency', 'policy'), [(None, 0, 'exact'), (None, 8, 'exact'), (1, 8, 'exact'), (1, 0, 'pow2')]
)
def test_cycles_and_fifos_of_a_resnet_equal(tmp_path, reuse, latency, policy):
    """The schedule, the token-by-token simulator and the generated C++; FIFOs no deeper than the model says."""
    graph = resnet()
    target = costmodel.dataflow(reuse_factor=reuse, process_latency_cycles=latency, fifo_policy=policy)
    cost, _ = export(tmp_path / 'p', random_qgraph(graph, seed=3), target, 16)
    result = csim.simulate(tmp_path / 'p', 'cycle')
    assert result['mismatched_values'] == 0 and result['deadlock'] is None
    assert (result['interval_cycles'], result['latency_cycles']) == (
        cost.total['interval_cycles'],
        cost.total['latency_cycles'],
    )
    depths = {fifo['name']: fifo['depth'] for fifo in cost.fifos}
    occupancy = {fifo['name']: fifo['max_occupancy'] for fifo in result['fifos']}
    assert all(occupancy[name] <= depths[name] for name in depths)
    run = simulate(graph, cost.reuse_factors, depths, 16, process_latency_cycles=latency)
    assert {name: run.occupancy[name] for name in depths} == occupancy


@pytest.mark.parametrize('window', [SAME, ((4, 3), (3, 2), (2, 0, 0, 1))])
def test_cycles_of_a_pool_in_a_skip_equal(tmp_path, window):
    """A trip a token whatever the window, and a FIFO beside it that holds its lag."""
    start = Node('input', 'input', (), (6, 7, 2))
    mean = pool('pool', start, *window)
    other = dataclasses.replace(mean, name='largest', op='max_pool')
    graph = Graph((start, mean, other, Node('sum', 'add', ('pool', 'largest'), mean.shape)))
    qgraph = in_integers(graph, (Fixed(8, 4), Fixed(8, 5), Fixed(8, 4), Fixed(8, 4)))
    cost, _ = export(tmp_path / 'p', qgraph, costmodel.dataflow(reuse_factor=1, process_latency_cycles=2), 12)
    result = csim.simulate(tmp_path / 'p', 'cycle')
    assert result['mismatched_values'] == 0 and result['deadlock'] is None
    assert result['interval_cycles'] == cost.total['interval_cycles'] == 42
    assert result['latency_cycles'] == cost.total['latency_cycles']


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


@pytest.mark.parametrize('bits', [4, 8, 12])
@pytest.mark.parametrize('kernel', [(1, 1), (2, 2), (3, 3), (7, 7), (4, 2), (5, 3)])
def test_its_price(bits, kernel):
    """The multipliers are those of the emitted widths, for outputs as fine as the input and up to eight times finer;
    buffers and cycles those of a max_pool; logic more than the window's and the least adders', and less than that of a
    layer that multiplies each tap.
    """
    graph = chain((kernel,), shape=(9, 8, 3))
    largest = Graph((graph.input, dataclasses.replace(graph.output, op='max_pool')))
    layer = Graph((graph.input, dataclasses.replace(graph.output, op='conv', groups=3)))
    target = costmodel.dataflow(weight_bits=bits, activation_bits=bits, reuse_factor=1)
    total, other, above = (costmodel.evaluate(each, target).total for each in (graph, largest, layer))
    for key in ('line_buffer_bits', 'bram18', 'interval_cycles', 'latency_cycles'):
        assert total[key] == other[key]
    made = []
    for finer in range(4):
        net = in_integers(graph, (Fixed(bits, 0, False), Fixed(bits, finer, False)))
        text = emit.source(net, plan.Plan.default(net))['layers.h']
        widths = [int(re.search(rf'using {name} = ap_uint<(\d+)>', text)[1]) for name in ('sum_t', 'multiplier_t')]
        multiplies = int(re.search(r' multiplier = (\d+);', text)[1]) > 1
        made.append(multiplies * logic.dsp_count(1, 3, *widths, devices.device(target.device), shared=False))
    assert max(made) == total['dsp']
    window = logic.Parts()
    logic._window(window, graph, graph.output, target, devices.device(target.device))
    adders = 3 * (math.prod(kernel) - 1)
    assert window.lut + 0.9 * adders * bits < total['lut'] < above['lut'] and window.ff < total['ff'] < above['ff']


def test_padding_that_no_process_allows_is_refused():
    graph = chain(((3, 3), (1, 1), (2, 2, 2, 2)), shape=(4, 4, 2))
    with pytest.raises(GraphError, match="'pool0'.*pad less"):
        costmodel.evaluate(graph, costmodel.dataflow())
    with pytest.raises(GraphError, match=r"'pool0' \(avg_pool\): padding"):
        net = in_integers(graph, (Fixed(8, 4), Fixed(8, 4)))
        emit.source(net, plan.Plan.default(net))
