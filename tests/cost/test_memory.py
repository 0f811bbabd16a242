"""Memory closed forms and the logic equations against frozen figures of other tools, and against brute force."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import costmodel
from costmodel.devices import DEVICES
from costmodel.streams.area import equations, logic, memory, primitives
from tailor_jax import build, rewrite, streaming
from tailor_jax.graph import macs

ZCU104, PYNQ = DEVICES['zcu104'], DEVICES['pynq_z2']

# yosys 0.23 `synth_xilinx -family xcup -flatten` of a FIFO 128 bits wide (shared facts, peers.md): depth, RAMB18, LUT
# as RAM, LUT logic, FF.
YOSYS_FIFO_128 = [
    (16, 0, 80, (9, 11), (138, 140)),
    (32, 0, 80, (9, 11), (138, 140)),
    (64, 0, 152, (14, 14), (142, 142)),
    (128, 4, 0, (15, 18), (16, 20)),
    (256, 4, 0, (15, 18), (16, 20)),
    (512, 4, 0, (15, 18), (16, 20)),
    (1024, 8, 0, (20, 20), (22, 22)),
    (4096, 30, 0, (24, 24), (26, 26)),
]


@pytest.mark.parametrize('depth, bram18, lutram, lut, ff', YOSYS_FIFO_128)
def test_fifos_match_yosys(depth, bram18, lutram, lut, ff):
    """Memories equal. Control within 18 LUTs: theirs lets its pointers wrap by themselves, ours counts to any depth
    (`calibrate/rtl/fifo.v`).
    """
    device = dataclasses.replace(ZCU104, uram=0)
    mapped = memory.fifo(depth, 128, device)
    if lutram:
        assert mapped.storage == 'lutram' and primitives.lutram_lut(depth, 128) == lutram
    else:
        assert (mapped.storage, mapped.bram18) == ('bram', bram18)
    assert lut[0] - 2 <= mapped.lut - lutram <= lut[1] + 18
    assert ff[0] - 1 <= mapped.ff <= ff[1] + 1


def test_large_memories_take_ultraram_where_there_is_some():
    assert memory.fifo(4096, 128, ZCU104).uram == 2  # as yosys
    assert memory.fifo(4096, 128, PYNQ).uram == 0 and memory.fifo(4096, 128, PYNQ).bram18 == 30


@pytest.mark.parametrize(
    'depth, width, storage, bram18', [(1024, 256, 'bram', 15), (67, 256, 'bram', 8), (34, 256, 'lutram', 0)]
)
def test_the_skip_of_a_32_by_32_by_32_map(depth, width, storage, bram18):
    """facts/tailor.md: depth 1024 takes 15 RAMB18, 67 takes 8, 34 none."""
    mapped = memory.fifo(depth, width, dataclasses.replace(ZCU104, uram=0))
    assert (mapped.storage, mapped.bram18) == (storage, bram18)


def test_shift_registers_of_the_facts():
    assert (primitives.srl_lut(16, 128), primitives.srl_lut(32, 128), primitives.srl_lut(64, 128)) == (128, 128, 256)
    assert (primitives.srl_lut(67, 256), primitives.srl_lut(34, 256)) == (768, 512)
    assert [memory.fifo(*size, ZCU104).storage for size in ((2, 2048), (8, 128), (9, 128), (65, 128))] == [
        'srl',
        'srl',
        'lutram',
        'bram',
    ]


@given(st.integers(1, 20000), st.integers(1, 600))
def test_block_ram_holds_the_bits_and_no_shape_is_better(depth, width):
    blocks = primitives.bram18_count(depth, width)
    assert blocks * 18432 >= depth * width
    assert blocks <= math.ceil(depth / 16384) * width and blocks <= math.ceil(depth / 512) * math.ceil(width / 36)


@given(st.integers(1, 20000), st.integers(1, 600), st.sampled_from(sorted(DEVICES)))
def test_every_fifo_is_stored_once(depth, width, name):
    mapped = memory.fifo(depth, width, DEVICES[name])
    assert (mapped.bram18 > 0) == (mapped.storage == 'bram') and (mapped.uram > 0) == (mapped.storage == 'uram')
    assert mapped.uram == 0 or DEVICES[name].uram


@given(st.integers(1, 300), st.integers(2, 32))
def test_the_adders_of_a_tree(products, bits):
    """Adding numbers pairwise: as many adders as numbers but one, each a bit wider than what it adds."""
    widths, total = [bits] * products, 0
    while len(widths) > 1:
        pairs = [max(pair) + 1 for pair in zip(widths[::2], widths[1::2])]
        total += sum(pairs)
        widths = pairs + ([widths[-1] + 1] if len(widths) % 2 else [])
    assert equations.tree_bits(products, bits) == total


def test_a_skip_fifo_under_both_thresholds_takes_luts():
    """W = 32, 16 channels of 8 bits: two convolutions' delay is block RAM, one's is LUTRAM, a stream of two tokens is
    registers.
    """
    long, short, stream = (memory.fifo(depth, 128, ZCU104) for depth in (67, 34, 2))
    assert (long.storage, short.storage, stream.storage) == ('bram', 'lutram', 'srl')
    assert stream.ff >= 256 and stream.lut >= 128 and short.lut >= 152 and long.lut < 60


def test_multiplications_and_weights_add_up():
    graph = build.resnet(20)
    cost = costmodel.evaluate(graph, costmodel.dataflow())
    folded = rewrite.fold(graph)
    assert cost.total['macs'] == macs(graph) == 40_813_184
    weights = sum(
        math.prod(streaming.products(folded, node)) * 8 for node in folded.nodes if node.op in ('conv', 'dense')
    )
    biases = sum(
        node.shape[2] * logic.accumulator_bits(folded, node, cost.target)
        for node in folded.nodes
        if node.op in ('conv', 'dense')
    )
    assert cost.total['weight_memory_bits'] == weights + biases


def test_bops_of_one_convolution():
    """BOPS = m n k^2 (b_a b_w + b_a + b_w + log2(n k^2)) an output position (Karbachevsky et al. 2021)."""
    cost = costmodel.evaluate(build.resnet(8), costmodel.dataflow())
    row = next(row for row in cost.nodes if row['name'] == 's1b0_conv1')
    assert row['bops'] == math.ceil(32 * 32 * 16 * 16 * 9 * (64 + 16 + math.log2(144)))


def test_multipliers():
    """Two 8-bit products share a DSP of an UltraScale part; wider ones, other families and depthwise layers do not;
    4-bit ones take LUTs.
    """
    assert logic.dsp_count(9, 16, 8, 8, ZCU104, shared=True) == 72
    assert logic.dsp_count(9, 16, 8, 8, ZCU104, shared=False) == 144
    assert logic.dsp_count(9, 16, 8, 8, PYNQ, shared=True) == 144
    assert logic.dsp_count(9, 16, 16, 16, ZCU104, shared=True) == 144
    assert logic.dsp_count(9, 16, 20, 16, ZCU104, shared=True) == 144
    assert logic.dsp_count(9, 16, 20, 20, ZCU104, shared=True) == 288
    assert costmodel.evaluate(build.resnet(8), costmodel.dataflow(weight_bits=4, activation_bits=4)).total['dsp'] == 0
    assert costmodel.evaluate(build.resnet(8), costmodel.dataflow(multiplier='lut')).total['dsp'] == 0


def test_a_larger_reuse_factor_takes_fewer_multipliers_and_more_time():
    graph = build.resnet(8)
    fast, slow = (
        costmodel.evaluate(graph, costmodel.dataflow(interval_cycles=cycles)).total for cycles in (4096, 65536)
    )
    assert (
        fast['dsp'] > slow['dsp']
        and fast['lut'] > slow['lut']
        and fast['interval_cycles'] < slow['interval_cycles'] <= 65536
    )


def test_without_packing_every_multiplier_is_a_dsp():
    """As the exported sources have it: products an output token over passes."""
    graph = rewrite.fold(build.resnet(8))
    apart, packed = (costmodel.evaluate(graph, costmodel.dataflow(dsp_packing=packing)) for packing in (False, True))
    layers = [(streaming.products(graph, graph[name]), reuse) for name, reuse in apart.reuse_factors.items()]
    assert apart.total['dsp'] == sum(count * channels // reuse for (count, channels), reuse in layers)
    assert packed.total['dsp'] < apart.total['dsp']


@pytest.mark.parametrize(
    'name, part, lut, bram18, dsp',
    [
        ('pynq_z2', 'xc7z020', 53_200, 280, 220),
        ('ultra96', 'xczu3eg', 70_560, 432, 360),
        ('zcu104', 'xczu7ev', 230_400, 624, 1_728),
        ('kv260', 'xck26', 117_120, 288, 1_248),
        ('u200', 'xcu200', 1_182_240, 4_320, 6_840),
        ('u250', 'xcu250', 1_728_000, 5_376, 12_288),
    ],
)
def test_device_totals(name, part, lut, bram18, dsp):
    device = DEVICES[name]
    assert device.part.startswith(part) and device.source
    assert (device.lut, device.ff, device.bram18, device.dsp) == (lut, 2 * lut, bram18, dsp)
