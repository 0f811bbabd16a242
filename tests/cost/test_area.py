"""What processes take: chains of packed products against arithmetic, designs against layers, laws of the terms."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_foldings import foldings
from random_graphs import nested_graphs

import costmodel
from costmodel.devices import DEVICES
from costmodel.streams.area import equations, fifo_area, logic, unit, widths
from costmodel.streams.area.logic import Parts
from costmodel.streams.area.unit import Options, dsp_count
from tailor_jax import build, rewrite, streaming
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow import latency, packing
from tailor_jax.dataflow.folding import Folding, Layer
from tailor_jax.dataflow.process import Mac
from tailor_jax.graph import Graph, Node, macs

KV260, PYNQ = DEVICES['kv260'], DEVICES['pynq_z2']
KINDS = st.sampled_from(['dsp', 'pair', 'lut'])
BITS = st.integers(1, 8)


@given(BITS, BITS, st.integers(1, 30), st.data())
def test_two_sums_of_packed_products_come_apart(w, a, products, data):
    """As many products as `chain` says, added as they come out of the multiplier: the low 18 bits are the one sum, what
    is above them, and the borrow, the other; also where all products are extreme.
    """
    count = latency.chain('pair', products, w, a)
    lo, hi = -(1 << (w - 1)), (1 << (w - 1)) - 1
    weights = st.one_of(st.sampled_from([lo, max(hi, 0)]), st.integers(lo, max(hi, 0)))
    values = st.one_of(st.just((1 << a) - 1), st.integers(0, (1 << a) - 1))
    rows = data.draw(st.lists(st.tuples(weights, weights, values), min_size=count, max_size=count))
    total = sum(((w1 << 18) + w0) * x for w0, w1, x in rows)
    low = (total & ((1 << 18) - 1)) - ((total >> 17 & 1) << 18)
    high = (total >> 18) + (total >> 17 & 1)
    assert (low, high) == (sum(w0 * x for w0, _, x in rows), sum(w1 * x for _, w1, x in rows))


@given(KINDS, st.integers(1, 300), BITS, BITS)
def test_chains_hold_all_products_and_are_as_few_as_can_be(kind, products, w, a):
    count = latency.chain(kind, products, w, a)
    places = latency.places(products, count)
    assert sum(places) == products and 1 <= count <= packing.CHAIN and list(places) == sorted(places)
    assert (
        math.ceil(products / count) == math.ceil(products / latency.chain('dsp', 1000 * products, w, a))
        or kind != 'dsp'
    )


def test_a_ninth_eight_bit_product_waits_no_longer_than_the_others():
    assert latency.chain('pair', 9, 8, 8) == 3 and latency.chain('pair', 36, 8, 8) == 4
    assert latency.chain('pair', 36, 8, 9) == 2  # 4 x 128 x 511 exceed 2^17
    assert latency.mac('pair', 4, 36, 8, 8) == 3 + 4 + 4 + 1 and latency.mac('lut', 1, 9, 4, 4) == 2 + 4


@given(st.integers(1, 300), st.integers(2, 32))
def test_the_adders_of_a_tree(count, bits):
    """Adding numbers pairwise: as many adders as numbers but one, each a bit wider than what it adds; a register
    behind each, and behind a number that waits.
    """
    wide, adders, registers = [bits] * count, 0, 0
    while len(wide) > 1:
        sums = [max(pair) + 1 for pair in zip(wide[::2], wide[1::2])]
        adders += sum(sums)
        wide = sums + ([wide[-1] + 1] if len(wide) % 2 else [])
        registers += sum(wide)
    assert equations.tree_bits(count, bits) == adders and equations.tree_registers(count, bits) == registers


def priced(graph: Graph, folding: Folding, options: Options = Options(), **settings) -> dict[str, Parts]:  # noqa: B008
    """Of each actor."""
    target = costmodel.dataflow(device='kv260', **settings)
    design = designs.design(graph, folding)
    bits = widths.widths(graph, target)
    for actor in design.actors:
        assert logic.latency_cycles(design, actor, bits, options, KV260) >= 0
    return {actor.name: logic.price(design, actor, bits, options, KV260) for actor in design.actors}


@st.composite
def folded(draw):
    graph = draw(nested_graphs(max_gates=4))
    graph = rewrite.fold(rewrite.binarize(graph, dict.fromkeys(graph.gates, 1)))
    return graph, draw(foldings(graph))


@given(folded())
def test_a_design_is_priced_as_its_layers_are(case):
    graph, folding = case
    bits, options = widths.widths(graph, costmodel.dataflow(device='kv260')), Options()
    found = priced(graph, folding)
    for node in graph.nodes:
        if node.weighted:
            total = Parts()
            for part in ('adapt', 'window', 'mac'):
                total += found.get(f'{node.name}__{part}', Parts())
            total += found[node.name]
            lanes = folding.lanes[node.inputs[0]], folding.lanes[node.name]
            layer = logic.layer(graph, node, folding.layers[node.name], *lanes, bits, options, KV260)
            assert dataclasses.astuple(total) == pytest.approx(dataclasses.astuple(layer))


@given(folded())
def test_multipliers_and_weights_of_a_design(case):
    """Two outputs of an activation share a DSP; weights and biases are there once; nothing else multiplies."""
    graph, folding = case
    packed, apart = (priced(graph, folding, Options(packing=packing)) for packing in (True, False))
    for node in graph.nodes:
        if node.weighted:
            layer = folding.layers[node.name]
            simd = fold.taps_at_once(node, layer.taps) * layer.lanes
            alone = fold.is_depthwise(graph, node)
            name = f'{node.name}__mac'
            assert apart[name].dsp == simd * (1 if alone else layer.outputs)
            assert packed[name].dsp == simd * (1 if alone else math.ceil(layer.outputs / 2))
            assert packed[name].weight_memory_bits == 8 * math.prod(streaming.products(graph, node))
    assert sum(each.macs for each in packed.values()) == macs(graph)


@given(folded())
def test_storages_are_there_for_all_and_lessen_the_greater_share(case):
    graph, folding = case
    design = designs.design(graph, folding)
    bits = widths.widths(graph, costmodel.dataflow(device='kv260'))
    deep = [actor.node for actor in design.actors if isinstance(actor.process, Mac) and actor.process.blocks > 1]
    for options in (Options(), Options(weights=dict.fromkeys(deep[:1], 'bram'))):
        made = logic.stored(design, bits, options, KV260, Parts(lut=20_000, bram18=10))
        assert made.keys() == folding.layers.keys() and set(made.values()) <= {'lut', 'bram'}
        assert made.items() >= options.weights.items()

        def greater(each, design=design):
            total = Parts(lut=20_000, bram18=10)
            for actor in design.actors:
                total += logic.price(design, actor, bits, each, KV260)
            return max(total.lut / KV260.lut, total.bram18 / KV260.bram18)

        if not options.weights:
            assert greater(Options(weights=made)) <= greater(options) + 1e-9


def test_a_storage_that_there_is_not_is_refused():
    graph, layer = EDGES[-1]
    folding = Folding({'input': 1, 'layer': 2}, {'layer': layer})
    with pytest.raises(
        costmodel.CostError, match=r"the weights of 'layer' cannot be stored in 'bram'; expected one of lut"
    ):
        priced(graph, folding, Options(weights={'layer': 'bram'}))


def test_multiplications_of_resnet20():
    graph = rewrite.fold(build.resnet(20))
    lanes = {node.name: 1 for node in graph.nodes}
    layers = {node.name: Layer('all', 1, 1) for node in graph.nodes if node.weighted}
    found = priced(graph, Folding(lanes, layers))
    assert sum(each.macs for each in found.values()) == macs(build.resnet(20)) == 40_813_184


def test_bops_of_one_convolution():
    """BOPS = m n k^2 (b_a b_w + b_a + b_w + log2(n k^2)) an output position (Karbachevsky et al. 2021)."""
    graph = rewrite.fold(build.resnet(8))
    lanes = {node.name: 1 for node in graph.nodes}
    layers = {node.name: Layer('all', 1, 1) for node in graph.nodes if node.weighted}
    found = priced(graph, Folding(lanes, layers))
    assert found['s1b0_conv1__mac'].bops == math.ceil(32 * 32 * 16 * 16 * 9 * (64 + 16 + math.log2(144)))


def test_multipliers():
    """Two 8-bit products share a DSP of an UltraScale part; wider ones and other families' do not."""
    assert dsp_count(9, 16, 8, 8, KV260, shared=True) == 72
    assert dsp_count(9, 15, 8, 8, KV260, shared=True) == 72
    assert dsp_count(9, 16, 8, 8, KV260, shared=False) == 144
    assert dsp_count(9, 16, 8, 8, PYNQ, shared=True) == 144
    assert dsp_count(9, 16, 16, 16, KV260, shared=True) == 144
    assert dsp_count(9, 16, 20, 20, KV260, shared=True) == 288
    cases = [
        ({}, 4, 4, 2, False),
        ({}, 8, 8, 2, False),
        ({}, 8, 8, 1, False),
        ({}, 8, 8, 2, True),
        ({'packing': False}, 8, 8, 2, False),
        ({'multiplier': 'dsp'}, 4, 4, 2, False),
        ({'multiplier': 'lut'}, 16, 16, 2, False),
        ({}, 9, 8, 2, False),
    ]
    kinds = [unit.multiplier(Options(**given), *sizes, KV260) for given, *sizes in cases]
    assert kinds == ['lut', 'pair', 'dsp', 'dsp', 'dsp', 'pair', 'lut', 'dsp']


def one_layer(op: str = 'conv', channels: int = 8, outputs: int = 8, groups: int = 1, kernel=(3, 3)) -> Graph:
    padding = tuple(itertools.chain(*(((side - 1) // 2, side // 2) for side in kernel)))
    return Graph(
        (
            Node('input', 'input', (), (8, 8, channels)),
            Node('layer', op, ('input',), (8, 8, outputs), kernel=kernel, padding=padding, groups=groups, bias=True),
        )
    )


EDGES = [
    (one_layer(kernel=(1, 1)), Layer('all', 4, 4)),
    (one_layer(groups=8), Layer('all', 4, 4)),
    (one_layer(groups=8), Layer('one', 8, 8)),
    (one_layer(groups=2), Layer('column', 2, 4)),
    (one_layer(kernel=(1, 3)), Layer('column', 8, 8)),
    (one_layer(kernel=(3, 1)), Layer('column', 8, 1)),
    (one_layer(channels=1, outputs=2), Layer('all', 1, 2)),
]


@pytest.mark.parametrize('bits', [1, 4, 8, 16])
@pytest.mark.parametrize('graph, layer', EDGES, ids=str)
def test_edges(graph, layer, bits):
    folding = Folding({'input': layer.lanes, 'layer': layer.outputs}, {'layer': layer})
    found = priced(graph, folding, weight_bits=bits, activation_bits=bits)
    names = ['layer__mac', 'layer'] + ['layer__window'] * (graph['layer'].kernel != (1, 1))
    assert sorted(found) == sorted(names) and all(each.lut > 0 for each in found.values())
    assert (found['layer__mac'].dsp == 0) == (bits <= 4)


AMOUNTS = st.tuples(KINDS, *(st.integers(1, 20) for _ in range(4)), BITS, BITS)


@given(AMOUNTS, st.integers(0, 5))
def test_a_larger_unit_takes_no_less(sizes, which):
    """Another pass, product or output, or a wider operand: no fewer LUTs, nor flip-flops but for words kept in LUTs."""
    kind, slices, _, products, _, w, a = sizes
    larger = list(sizes)
    larger[which + 1] += 1
    if which == 2:  # a multiple, so that chains stay as they are
        larger[which + 1] = 2 * products
    if latency.chain(kind, products, w, a) != latency.chain(kind, *(larger[k] for k in (3, 5, 6))):
        return
    if kind == 'lut' and which >= 4:  # tables of narrow operands are another thing than rows of partial products
        return
    small, large = (
        equations.price('mac', equations.mac(each[0], 'lutram', *each[1:], depthwise=False)) for each in (sizes, larger)
    )
    assert large[0] >= small[0] - 4 and large[1] >= small[1] - slices * products * a


@given(st.integers(1, 4000), st.integers(1, 200))
def test_a_stream_takes_its_fifo_and_the_count_of_promises(depth, bits):
    built, found = fifo_area.build(depth, bits, KV260), logic.stream(depth, bits, KV260)
    assert (found.bram18, found.uram) == (built.bram18, built.uram)
    assert 2 <= found.lut - built.lut <= 40
