"""Memories of processes: what they take, and which of LUTs, block RAM and UltraRAM is cheapest.

    weights   a ROM of N_s N_b words for each place k of the DSP chains, of PE x (products at that place) weights
    lines     taps = all: W F words of (kh - 1) x lanes values; column: kh memories of W F words of lanes values; one:
              the same rows one behind another, rows at powers of two
    replay    N_s words of SIMD values, where there are further passes over them

    ROM in LUTs   ceil(bits / 2) LUTs a word up to 32 words, else bits ceil(words / 64); F7 to F9 join up to 512 words
    RAM in LUTs   `slices.lutram_luts`, and a multiplexer where it is more than 64 words deep
    block RAM     fewest RAMB18 over the aspects, mixed within a word (`slices.bram18_count`)

Of the storages of rows and of what is replayed the one with the least share of the device is taken (`share`), so that a
RAMB18 is exchanged for device.lut / device.bram18 LUTs. Weights would all be in LUTs by that: 407 LUTs of a KV260 hold
26,048 bits of ROM, a RAMB18 18,432. So `balanced` puts those into block RAM that save most LUTs for each RAMB18, as
long as the greater of both shares falls. UltraRAM cannot be initialized and so holds no weights.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from costmodel.cost import CostError
from costmodel.devices import ULTRASCALE, Device
from tailor_jax.dataflow import slices

ROM_WORDS = 512  # that a slice's own multiplexers join


@dataclasses.dataclass(frozen=True)
class Memory:
    """`storage`: 'lut', 'bram' or 'uram'; what it takes, the logic around it apart."""

    storage: str
    lut: float = 0
    bram18: int = 0
    uram: int = 0


def share(taken: Memory, device: Device) -> float:
    """The cost: shares of the device's LUTs, RAMB18 and URAM288, added up."""
    parts = ((taken.lut, device.lut), (taken.bram18, device.bram18), (taken.uram, device.uram))
    return sum(count / total for count, total in parts if count)


def choose(options: Mapping[str, Memory], device: Device) -> str:
    """The cheapest storage; of equals the first."""
    return min(options, key=lambda storage: share(options[storage], device))


def named(options: Mapping[str, Memory], storage: str, what: str) -> Memory:
    """The memory of a storage. Raises CostError that says which there are of `what`."""
    if storage not in options:
        raise CostError(f'{what} cannot be stored in {storage!r}; expected one of {", ".join(options)}')
    return options[storage]


def balanced(options: Mapping[str, Mapping[str, Memory]], lut: float, bram18: int, device: Device) -> dict[str, str]:
    """The storages of weights: as many in block RAM as lessen the greater share of the device, LUTs or block RAM.

    Args:
      options: {node: {storage: Memory}}, as from `rom`.
      lut, bram18: what all else takes.
    """
    found = dict.fromkeys(options, 'lut')
    movable = {name: (each['lut'], each['bram']) for name, each in options.items() if 'bram' in each}
    lut += sum(each['lut'].lut for each in options.values())

    def saved(name: str) -> float:
        here, there = movable[name]
        return (here.lut - there.lut) / there.bram18

    for name in sorted(movable, key=lambda name: -saved(name)):
        here, there = movable[name]
        less, more = lut - here.lut + there.lut, bram18 + there.bram18
        if max(less / device.lut, more / device.bram18) < max(lut / device.lut, bram18 / device.bram18):
            found[name], lut, bram18 = 'bram', less, more
    return found


def rom_luts(words: int, bits: int) -> int:
    """LUTs of a ROM; a single word is wiring."""
    if words == 1:
        return 0
    if words <= 32:
        return math.ceil(bits / 2)
    return bits * (math.ceil(words / 64) + math.ceil((math.ceil(words / ROM_WORDS) - 1) / 3))


def lutram_luts(words: int, bits: int) -> float:
    """LUTs of a memory with a port to write and one to read."""
    rows = 32 if words <= 32 else 64
    return slices.lutram_luts(words, bits, ULTRASCALE.name) + bits * slices.mux_luts(math.ceil(words / rows))


def bram18(words: int, bits: int) -> int:
    return slices.bram18_count(words, bits, ULTRASCALE.name)


def bram_luts(words: int, bits: int) -> int:
    """LUTs that choose among banks of block RAM; pairs of RAMB18 are twice as deep without."""
    total = 0
    for rows, wide, columns in slices.bram18_columns(words, bits, ULTRASCALE.name):
        used = min(bits, wide * columns)
        total += used * math.ceil((math.ceil(words / (2 * rows)) - 1) / 3)
        bits -= used
    return total


def uram(words: int, bits: int) -> int:
    return math.ceil(words / 4096) * math.ceil(bits / 72)


def rom(words: int, widths: tuple[int, ...]) -> dict[str, Memory]:
    """The storages of ROMs of so many words and these widths."""
    found = {'lut': rom_in_luts(words, widths)}
    if words > 1:
        found['bram'] = Memory(
            'bram', sum(bram_luts(words, bits) for bits in widths), sum(bram18(words, bits) for bits in widths)
        )
    return found


def rom_in_luts(words: int, widths: tuple[int, ...]) -> Memory:
    return Memory('lut', sum(rom_luts(words, bits) for bits in widths))


def ram(words: int, bits: int, count: int, device: Device) -> dict[str, Memory]:
    """The storages of `count` memories, read a cycle before their word is used."""
    found = {'lut': Memory('lut', count * lutram_luts(words, bits))}
    if words > 1:
        found['bram'] = Memory('bram', count * bram_luts(words, bits), count * bram18(words, bits))
        if device.uram:
            found['uram'] = Memory('uram', uram=count * uram(words, bits))
    return found


def ring(column: bool, rows: int, words: int, bits: int) -> tuple[int, int]:
    """(words, bits) of one memory of a ring of `rows` rows of so many words: one a row, or one for all."""
    return (words, bits) if column else (((rows - 1) << (words - 1).bit_length()) + words, bits)
