"""FIFOs as memories: what they hold, counts against brute force and published examples, costs that never fall."""

import functools
import itertools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.cost import CostError
from costmodel.devices import DEVICES, SERIES7, ULTRASCALE, VERSAL
from costmodel.streams.area import fifo_area
from costmodel.streams.area.fifo_area import build, choose, price
from tailor_jax.dataflow.slices import (
    PRIMITIVES,
    STORAGES,
    bram18_columns,
    bram18_count,
    capacity,
    fifo_slices,
    lutram_luts,
)

ZCU104, PYNQ = DEVICES['zcu104'], DEVICES['pynq_z2']
families = st.sampled_from((SERIES7, ULTRASCALE, VERSAL))


@given(st.integers(1, 300_000), st.integers(1, 400), st.sampled_from(STORAGES), families)
@settings(deadline=None)
def test_slices_tile_the_words_of_a_fifo(depth, width, storage, family):
    """Every bit of every word is in exactly one slice, and there are at least as many words as asked for."""
    if storage == 'uram' and family is SERIES7:
        with pytest.raises(ValueError, match='uram'):
            fifo_slices(depth, width, storage, family.name)
        return
    slices = fifo_slices(depth, width, storage, family.name)
    assert capacity(slices) >= max(2, depth)
    assert sum(each.depth * each.width_bits for each in slices) == capacity(slices) * width
    for one, other in itertools.combinations(slices, 2):
        assert (
            one.word + one.depth <= other.word
            or other.word + other.depth <= one.word
            or one.bit + one.width_bits <= other.bit
            or other.bit + other.width_bits <= one.bit
        )
    bits = {'srl': 32, 'lutram': 64, 'bram': 18_432, 'uram': 294_912, 'register': 1}
    assert all(each.count * bits[each.storage] >= each.depth * each.width_bits for each in slices)
    assert all(each.depth & (each.depth - 1) == 0 for each in slices if each.storage not in ('srl', 'register'))


@pytest.mark.parametrize('depth', [32, 512, 1024, 2048, 4096, 8192, 16384, 65536])
def test_no_other_columns_take_fewer_blocks(depth):
    """Against every multiset of aspects, by recursion over the aspects."""

    @functools.cache
    def least(width, index):
        if width <= 0:
            return 0
        rows, bits = PRIMITIVES['ultrascale'].bram18[index]
        one = math.ceil(depth / rows)
        if index == 5:
            return math.ceil(width / bits) * one
        return min(n * one + least(width - n * bits, index + 1) for n in range(math.ceil(width / bits) + 1))

    for width in range(1, 80):
        assert bram18_count(depth, width, ULTRASCALE.name) == least(width, 0)
        alike = min(math.ceil(depth / rows) * math.ceil(width / bits) for rows, bits in PRIMITIVES['versal'].bram18)
        assert bram18_count(depth, width, VERSAL.name) == alike >= least(width, 0)


@pytest.mark.parametrize(
    'depth, width, storage, family, bram18, uram, lutram',
    [
        (545, 72, 'bram', ULTRASCALE, 2, 0, 44),
        (65_536, 64, 'bram', ULTRASCALE, 228, 0, 0),
        (65_536, 64, 'bram', VERSAL, 256, 0, 0),
        (4_096 + 17, 64, 'uram', ULTRASCALE, 0, 1, 0),
        (4_096 + 32 + 17, 144, 'uram', ULTRASCALE, 0, 2, 84),
    ],
)
def test_counts(depth, width, storage, family, bram18, uram, lutram):
    """545 x 72 and 65,536 x 64 as Vivado counts them; a queue of 16 and a register behind UltraRAM."""
    slices = fifo_slices(depth, width, storage, family.name)
    found = {kind: sum(each.count for each in slices if each.storage == kind) for kind in ('bram', 'uram', 'lutram')}
    assert found == {'bram': bram18, 'uram': uram, 'lutram': lutram}


def test_columns_of_a_word_are_slices_of_their_own():
    assert bram18_columns(65_536, 64, ULTRASCALE.name) == ((2048, 9, 7), (16384, 1, 1))
    words = [(each.width_bits, each.count) for each in fifo_slices(65_536, 64, 'bram', ULTRASCALE.name)[:-1]]
    assert words == [(63, 224), (1, 4)]


@given(st.integers(1, 200), st.sampled_from((32, 64, 128, 256)), families)
def test_lutram_holds_the_bits_and_grows_with_them(width, depth, family):
    luts = lutram_luts(depth, width, family.name)
    assert luts * 64 >= depth * width and luts <= lutram_luts(depth, width + 1, family.name) <= lutram_luts(
        2 * depth, 400, family.name
    )


@given(
    st.integers(1, 70_000),
    st.integers(1, 300),
    st.integers(0, 3_000),
    st.integers(0, 40),
    st.sampled_from((ZCU104, PYNQ)),
)
@settings(deadline=None, max_examples=60)
def test_a_larger_fifo_never_costs_less(depth, width, deeper, wider, device):
    own = build(depth, width, device)
    assert own.capacity_words >= depth and own.storage == choose(depth, width, device)
    assert own.uram == 0 or device.uram
    assert build(depth + deeper, width + wider, device).share(device) >= own.share(device) - 1e-12
    for storage in STORAGES[:3]:
        assert own.share(device) <= price(depth, width, storage, device.family).share(device) + 1e-12


def test_a_deeper_fifo_is_built_where_it_is_cheaper():
    assert price(700, 16, 'bram', ULTRASCALE).bram18 == 2
    assert (build(700, 16, ZCU104).bram18, build(700, 16, ZCU104).capacity_words) == (1, 1025)


def test_the_monitor_is_in_no_price():
    """What is left is near yosys' control of a FIFO in block RAM (`coefficients`): 7 + 2.8 x 9 LUTs at 513 words."""
    bare = price(513, 18, 'bram', ULTRASCALE)
    assert (
        'monitor_bit' in fifo_area.COEFFICIENTS.of['lut']
        and 'monitor_bit' not in fifo_area.terms('bram', bare.slices, ULTRASCALE)['lut']
    )
    assert 25 <= bare.lut <= 45


def test_every_term_has_a_coefficient():
    for storage, family in itertools.product(STORAGES, (ULTRASCALE, VERSAL)):
        for depth in (2, 40, 545, 5_000, 50_000):
            found = fifo_area.terms(storage, fifo_slices(depth, 48, storage, family.name), family)
            assert all(set(found[resource]) <= set(fifo_area.COEFFICIENTS.of[resource]) for resource in ('lut', 'ff'))


@pytest.mark.parametrize(
    'depth, width, storage, message', [(0, 8, 'srl', '0 words'), (8, 0, 'srl', '0 bits'), (8, 8, 'flash', "'flash'")]
)
def test_what_is_no_fifo(depth, width, storage, message):
    with pytest.raises(ValueError, match=message):
        fifo_slices(depth, width, storage, ULTRASCALE.name)


def test_a_file_of_coefficients_is_read_and_checked(tmp_path):
    path = tmp_path / 'fifo.json'
    fifo_area.save(path, fifo_area.COEFFICIENTS)
    assert fifo_area.load(path) == fifo_area.COEFFICIENTS
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {'lut': {'bram.one': -1}}))
    with pytest.raises(CostError, match='bram.one'):
        fifo_area.load(path)
    with pytest.raises(CostError, match='no file'):
        fifo_area.load(tmp_path / 'none.json')
