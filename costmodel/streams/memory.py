"""Memories: from depth and width to block RAM, UltraRAM, distributed RAM or shift registers.

    RAMB18        min over (d, w) in {16Kx1, 8Kx2, 4Kx4, 2Kx9, 1Kx18, 512x36} of ceil(D/d) ceil(W/w)     equals yosys on 17 of 18 shapes
    URAM288       ceil(D/4096) ceil(W/72)
    SRL           W ceil(D/32) LUTs                                                  SRLC32E, one per bit and 32 tokens
    LUTRAM        D <= 32: 8 ceil(W/14) LUTs (RAM32M16); else 8 ceil(D/64) ceil(W/7) (RAM64M8), ceil(D/64) > 1 adds a multiplexer
    ROM in LUTs   W ceil(D/64) LUTs                                                  one LUT6 is a 64 x 1 ROM

FIFOs become shift registers up to 1024 bits or depth 2 (Vitis HLS default), else memory: LUTRAM up to depth 64, block RAM beyond, UltraRAM
when large and present. The thresholds are the device family's (`devices.Family`); control logic is in `coefficients`.
"""

from __future__ import annotations

import dataclasses
import functools
import math

from costmodel.devices import Device
from costmodel.streams.coefficients import FIRST_PRINCIPLES, Coefficients

BRAM18_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))


@dataclasses.dataclass(frozen=True)
class Memory:
    """One memory as mapped: its `storage` ('none', 'srl', 'lutram', 'bram', 'uram' or 'rom') and what it takes."""

    storage: str
    bram18: int = 0
    uram: int = 0
    lut: float = 0
    ff: float = 0


def bram18_count(depth: int, width: int) -> int:
    """RAMB18 blocks of a simple dual-port memory."""
    return min(math.ceil(depth / d) * math.ceil(width / w) for d, w in BRAM18_SHAPES)


def uram_count(depth: int, width: int) -> int:
    return math.ceil(depth / 4096) * math.ceil(width / 72)


def srl_lut(depth: int, width: int) -> int:
    return width * math.ceil(depth / 32)


def lutram_lut(depth: int, width: int) -> float:
    if depth <= 32:
        return math.ceil(width / 14) * 8
    banks = math.ceil(depth / 64)
    return banks * math.ceil(width / 7) * 8 + (banks - 1) * width / 3


@functools.lru_cache(maxsize=65536)
def fifo(depth: int, width: int, device: Device, coefficients: Coefficients = FIRST_PRINCIPLES) -> Memory:
    """A FIFO of `depth` tokens of `width` bits, with its control."""
    family, c, address = device.family, coefficients, max(1, math.ceil(math.log2(depth)))
    lut, ff = c.fifo_lut + c.fifo_lut_per_address_bit * address, c.fifo_ff + c.fifo_ff_per_address_bit * address
    if depth <= family.srl_max_depth or depth * width <= family.srl_max_bits:
        return Memory('srl', lut=lut + srl_lut(depth, width), ff=c.srl_ff + c.fifo_ff_per_address_bit * address)
    if depth <= family.lutram_max_depth:
        return Memory('lutram', lut=lut + lutram_lut(depth, width), ff=ff + width)
    return _block(depth, width, device, lut, ff)


@functools.lru_cache(maxsize=65536)
def buffer(depth: int, width: int, device: Device) -> Memory:
    """A memory that is read and written once a cycle at a running address, such as one row of a line buffer. Depth 1 is a register."""
    family = device.family
    if depth == 1:
        return Memory('none', ff=width)
    if depth <= family.lutram_max_depth or depth * width <= family.lutram_max_bits:
        return Memory('lutram', lut=lutram_lut(depth, width))
    return _block(depth, width, device, 0, 0)


@functools.lru_cache(maxsize=65536)
def rom(depth: int, width: int, device: Device) -> Memory:
    """A ROM; depth 1 is wiring: constants that go into the logic behind it."""
    if depth == 1:
        return Memory('none')
    if depth <= device.family.rom_lut_max_depth or depth * width <= device.family.lutram_max_bits:
        return Memory('rom', lut=width * math.ceil(depth / 64))
    return Memory('bram', bram18=bram18_count(depth, width))  # UltraRAM cannot be initialized


def _block(depth: int, width: int, device: Device, lut: float, ff: float) -> Memory:
    if device.uram and depth * width >= device.family.uram_min_bits:
        return Memory('uram', uram=uram_count(depth, width), lut=lut, ff=ff)
    return Memory('bram', bram18=bram18_count(depth, width), lut=lut, ff=ff)
