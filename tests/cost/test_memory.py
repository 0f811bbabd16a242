"""Memories of processes: closed forms against what they must hold and other tools' counts; the cheapest storage."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.devices import DEVICES
from costmodel.streams.area import memory

KV260 = DEVICES['kv260']

# yosys 0.23 `synth_xilinx -family xcup -flatten` of memories 128 bits wide (shared facts, peers.md): words, RAMB18.
YOSYS_128 = [(128, 4), (256, 4), (512, 4), (1024, 8), (4096, 30)]
# LUTs as RAM of the same, two ports
YOSYS_LUTRAM_128 = [(16, 80), (32, 80), (64, 152)]


@pytest.mark.parametrize('words, count', YOSYS_128)
def test_block_rams_are_those_of_yosys(words, count):
    assert memory.bram18(words, 128) <= count
    assert memory.bram18(words, 128) == count or words == 4096  # mixed aspects within a word take fewer


@pytest.mark.parametrize('words, luts', YOSYS_LUTRAM_128)
def test_luts_as_memory_are_those_of_yosys(words, luts):
    assert memory.lutram_luts(words, 128) <= luts <= memory.lutram_luts(words, 128) + 8


@given(st.integers(1, 20000), st.integers(1, 600))
def test_block_ram_holds_the_bits_and_no_aspect_alone_is_better(words, bits):
    blocks = memory.bram18(words, bits)
    assert blocks * 18432 >= words * bits
    aspects = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
    assert blocks <= min(math.ceil(words / rows) * math.ceil(bits / wide) for rows, wide in aspects)


@given(st.integers(1, 600), st.integers(1, 300))
def test_a_rom_of_luts_holds_its_bits(words, bits):
    """A LUT holds 64 bits; a single word is wiring; no ROM is smaller than one of fewer words or bits."""
    luts = memory.rom_luts(words, bits)
    assert (luts == 0) == (words == 1) and (words == 1 or 64 * luts >= words * bits)
    assert luts <= memory.rom_luts(words + 1, bits) and luts <= memory.rom_luts(words, bits + 1)


def test_roms_of_luts():
    """32 words: two bits a LUT. 128: two LUTs a bit and a multiplexer of the slice. 1,024: another LUT a bit."""
    assert [memory.rom_luts(words, 64) for words in (1, 16, 32, 33, 64, 128, 512, 1024)] == [
        0,
        32,
        32,
        64,
        64,
        128,
        512,
        1088,
    ]


@given(st.integers(2, 5000), st.integers(1, 300), st.integers(1, 4), st.sampled_from(sorted(DEVICES)))
def test_the_cheapest_storage_is_chosen(words, bits, count, name):
    device = DEVICES[name]
    options = memory.ram(words, bits, count, device)
    chosen = options[memory.choose(options, device)]
    assert all(memory.share(chosen, device) <= memory.share(each, device) for each in options.values())
    assert ('uram' in options) == (device.uram > 0)


def test_storages_are_exchanged_at_the_ratio_of_the_device():
    """A RAMB18 for some 400 LUTs of a KV260; the fewer block RAMs a device has, the more is in LUTs."""
    assert KV260.lut / KV260.bram18 == pytest.approx(406.7, abs=0.1)
    row = memory.ram(512, 16, 1, KV260)
    assert memory.choose(row, KV260) == 'lut'
    assert memory.choose(row, dataclasses.replace(KV260, bram18=4 * KV260.bram18)) == 'bram'


LAYERS = st.lists(st.tuples(st.integers(1, 2000), st.integers(8, 600)), min_size=1, max_size=7)


@given(LAYERS, st.integers(0, 100_000), st.integers(0, 300))
def test_weights_are_balanced(layers, lut, bram18):
    """One more layer in block RAM lessens the greater share no further; with no memory to spare nothing moves."""
    options = {f'layer{k}': memory.rom(words, (bits,)) for k, (words, bits) in enumerate(layers)}
    found = memory.balanced(options, lut, bram18, KV260)

    def greater(storages):
        taken = [options[name][storage] for name, storage in storages.items()]
        luts, rams = lut + sum(each.lut for each in taken), bram18 + sum(each.bram18 for each in taken)
        return max(luts / KV260.lut, rams / KV260.bram18)

    assert found.keys() == options.keys() and greater(found) <= greater(dict.fromkeys(options, 'lut'))
    for name, storage in found.items():
        if storage == 'lut' and 'bram' in options[name]:
            assert greater(found | {name: 'bram'}) >= greater(found)
    assert set(memory.balanced(options, 0, KV260.bram18, KV260).values()) == {'lut'}


def test_a_ring_of_all_rows_in_one_memory_starts_rows_at_powers_of_two():
    assert memory.ring(True, 3, 48, 8) == (48, 8) and memory.ring(False, 3, 48, 8) == (2 * 64 + 48, 8)


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
