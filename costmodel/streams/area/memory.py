"""Memories: from depth and width to block RAM, UltraRAM, distributed RAM or shift registers.

FIFOs become shift registers up to 1024 bits or depth 2 (Vitis HLS default; at depth 2 they are plain registers), else
memory: LUTRAM up to depth 64, block RAM beyond, UltraRAM when large and present. The thresholds are the device family's
(`devices.Family`), how many primitives a memory takes is in `primitives`, and the logic around them in `equations`.
"""

from __future__ import annotations

import dataclasses
import functools

from costmodel.devices import Device
from costmodel.streams.area import equations
from costmodel.streams.area.primitives import bram18_count, uram_count


@dataclasses.dataclass(frozen=True)
class MappedMemory:
    """One memory as mapped: its `storage` ('none', 'srl', 'lutram', 'bram', 'uram' or 'rom') and what it takes."""

    storage: str
    bram18: int = 0
    uram: int = 0
    lut: float = 0
    ff: float = 0


@functools.lru_cache(maxsize=65536)
def fifo(depth: int, width: int, device: Device) -> MappedMemory:
    """A FIFO of `depth` tokens of `width` bits, with its control."""
    family = device.family
    if depth <= family.srl_max_depth or depth * width <= family.srl_max_bits:
        style = 'srl'
    elif depth <= family.lutram_max_depth:
        style = 'lutram'
    else:
        style = _block(depth, width, device)
    part = 'fifo_register' if depth <= 2 else f'fifo_{style}'
    return _with_blocks(style, depth, width, *equations.price(part, equations.fifo(style, depth, width)))


@functools.lru_cache(maxsize=65536)
def buffer(depth: int, width: int, device: Device) -> MappedMemory:
    """A memory read and written once a cycle at a running address, as a row of a line buffer; depth 1: a register.

    Without its LUTs, which are among the window's terms (`equations.window`).
    """
    family = device.family
    if depth == 1:
        return MappedMemory('none', ff=width)
    if depth <= family.lutram_max_depth or depth * width <= family.lutram_max_bits:
        return MappedMemory('lutram')
    return _with_blocks(_block(depth, width, device), depth, width, 0, 0)


@functools.lru_cache(maxsize=65536)
def rom(depth: int, width: int, device: Device) -> MappedMemory:
    """A ROM read in order; depth 1 is wiring: constants that go into the logic behind it."""
    if depth == 1:
        return MappedMemory('none')
    in_lut = depth <= device.family.rom_lut_max_depth or depth * width <= device.family.lutram_max_bits
    style = 'lut' if in_lut else 'bram'
    lut, ff = equations.price(f'rom_{style}', equations.rom(style, depth, width))
    if in_lut:
        return MappedMemory('rom', lut=lut, ff=ff)
    return _with_blocks('bram', depth, width, lut, ff)  # UltraRAM cannot be initialized


def _block(depth: int, width: int, device: Device) -> str:
    return 'uram' if device.uram and depth * width >= device.family.uram_min_bits else 'bram'


def _with_blocks(style: str, depth: int, width: int, lut: float, ff: float) -> MappedMemory:
    bram18 = bram18_count(depth, width) if style == 'bram' else 0
    return MappedMemory(style, bram18, uram_count(depth, width) if style == 'uram' else 0, lut, ff)
