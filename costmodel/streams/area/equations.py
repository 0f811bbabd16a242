"""The amounts that a part's LUTs and flip-flops are made of: what the coefficients multiply.

    price of a part = sum over its terms of coefficient[part, resource][term] x amount

The amounts (adders, their bits, counters, memories) follow from the structure of the part; how many LUTs and flip-flops
one of each takes is fitted to synthesis (`experiments.calibrate`). The model and the fit use these same functions.
Parts are those of `hls_export/verilog/rtl`. A ROM in LUTs is made of instances: its price is a closed form
(`memory.rom_luts`), no fit.
"""

from __future__ import annotations

import math

from costmodel.streams.area import memory
from costmodel.streams.area.coefficients import COEFFICIENTS
from tailor_jax.dataflow import latency

Terms = dict[str, float]


def price(part: str, terms: dict[str, Terms]) -> tuple[float, float]:
    """(LUTs, flip-flops) of a part from its terms of each."""
    lut, ff = (
        sum(COEFFICIENTS[f'{part}.{resource}'][term] * amount for term, amount in terms[resource].items())
        for resource in ('lut', 'ff')
    )
    return lut, ff


def address_bits(count: int) -> int:
    """Bits of a number below `count`."""
    return (count - 1).bit_length()


def clone(count: int) -> dict[str, Terms]:
    """Words go through; all readers' places are asked for."""
    return {'lut': {'reader': math.ceil(count / 5)}, 'ff': {}}


def credit(depth: int) -> dict[str, Terms]:
    """Words promised to a FIFO and not yet read: a counter up and down, compared."""
    bits = {'one': 1.0, 'counter_bit': address_bits(depth + 1)}
    return {'lut': bits, 'ff': dict(bits)}


def relu(lanes: int, bits: int) -> dict[str, Terms]:
    """A register with a reset a lane."""
    return {'lut': {'one': 1}, 'ff': {'one': 1, 'bit': lanes * (bits - 1)}}


def add(lanes: int, bits: int, align: int, shift: int, relu: bool) -> dict[str, Terms]:
    """Adders, saturation where a sum may not fit, a register."""
    saturates = align + 1 > shift
    lut: Terms = {
        'one': 1,
        'adder_bit': lanes * bits,
        'saturated_bit': lanes * bits * saturates,
        'clipped_bit': lanes * (bits - 1) * (relu and not saturates),
    }
    return {'lut': lut, 'ff': {'one': 1, 'bit': lanes * bits}}


def choose_luts(count: int) -> int:
    """LUTs that choose one bit of `count`: four a LUT, and its own to join."""
    return math.ceil((count - 1) / 3)


def convert(source: int, out: int, bits: int) -> dict[str, Terms]:
    """A counter; words are gathered in a register, or held and chosen from."""
    times = address_bits(max(source, out) // min(source, out))
    splits = source > out
    lut: Terms = {'one': 1, 'counter_bit': times, 'choice': out * bits * splits * choose_luts(source // out)}
    return {'lut': lut, 'ff': {'one': 1, 'counter_bit': times * (1 + splits), 'bit': max(source, out) * bits}}


def finish(outputs: int, lanes: int, acc: int, bits: int, shift: int, depth: int, adds: bool) -> dict[str, Terms]:
    """Of PE = `outputs` sums: the bias of `depth` words, saturation of min(PE, lanes) at once, gathering or splitting,
    and where an add is absorbed its adders, one a lane.
    """
    units, splits = min(outputs, lanes), outputs > lanes
    times = max(outputs, lanes) // units
    counters = address_bits(times) + address_bits(depth)
    tested = units * max(0, acc - shift - bits)
    lut: Terms = {
        'one': 1,
        'counter_bit': counters,
        'rom_lut': memory.rom_luts(depth, units * acc),
        'adder_bit': units * acc,
        'tested_bit': tested,
        'value_bit': units * min(bits, acc - shift) * (shift > 0),
        'choice': units * acc * splits * choose_luts(times),
        'added_bit': lanes * bits * adds,
    }
    ff: Terms = {
        'one': 1,
        'counter_bit': counters,
        'bit': outputs * acc * splits + units * (acc - shift) + lanes * bits + (3 + splits) * lanes * bits * adds,
    }
    return {'lut': lut, 'ff': ff}


def tree_bits(count: int, bits: int) -> int:
    """Bits of all adders of a tree over `count` numbers of `bits`."""
    total, level = 0, 0
    while count > 1:
        level += 1
        total += count // 2 * (bits + level)
        count = math.ceil(count / 2)
    return total


def tree_registers(count: int, bits: int) -> int:
    """Bits registered behind the levels of the tree."""
    return sum(math.ceil(count / (1 << level)) * (bits + level) for level in range(1, latency.levels(count) + 1))


def maximum(taps: int, lanes: int, bits: int) -> dict[str, Terms]:
    """A tree of compare-and-select, a register behind each level."""
    nodes = (taps - 1) * lanes
    held = sum(math.ceil(taps / (1 << level)) for level in range(1, latency.levels(taps) + 1))
    lut: Terms = {'one': 1, 'compared_bit': nodes * bits, 'compared': nodes}
    return {'lut': lut, 'ff': {'one': 1, 'bit': held * lanes * bits}}


def mean(taps: int, lanes: int, bits: int) -> dict[str, Terms]:
    """A tree a lane; a rounding and a saturation, or a DSP and a saturation."""
    multiplies, wide = bool(taps & (taps - 1)), bits + latency.levels(taps)
    lut: Terms = {
        'one': 1,
        'adder_bit': lanes * tree_bits(taps, bits),
        'rounded_bit': lanes * wide * (not multiplies),
        'value_bit': lanes * bits,
    }
    return {'lut': lut, 'ff': {'one': 1, 'bit': lanes * (tree_registers(taps, bits) + bits)}}


def average(pixels: int, words: int, lanes: int, bits: int) -> dict[str, Terms]:
    """Counters; an adder a lane on a memory of `words` sums; the last words' sums held and shifted; a quotient."""
    multiplies, wide = bool(pixels & (pixels - 1)), bits + address_bits(pixels)
    counters = address_bits(words) + address_bits(pixels) + 2 * address_bits(lanes)
    lut: Terms = {
        'one': 1,
        'counter_bit': counters,
        'adder_bit': lanes * wide,
        'shifted_bit': (lanes - 1) * wide,
        'memory_lut': memory.lutram_luts(words, lanes * wide) if words > 1 else 0,
        'rounded_bit': wide * (not multiplies),
        'value_bit': bits,
    }
    held = lanes * wide * (2 if words == 1 else 1) + lanes * bits
    return {'lut': lut, 'ff': {'one': 1, 'counter_bit': counters, 'bit': held}}


def window(
    style: str, kernel: tuple[int, int], size: tuple[int, int], words: int, width: int, hands: int
) -> dict[str, Terms]:
    """Counters, masks; the memories of rows and of earlier columns; the register of the word that goes out."""
    (rows, columns), (high, wide) = kernel, size
    counters = address_bits(words) + address_bits(wide * words) + address_bits(wide) + address_bits(high)
    waits = address_bits((rows - 1) * wide + columns) * hands
    above, earlier = (rows - 1) * width, (columns - 1) * rows * width
    held = rows * columns * width + width + width * hands
    if style == 'lutram':
        held += above
    lut: Terms = {
        'one': 1,
        'counter_bit': counters + waits,
        'edge': rows + columns,
        'mask': rows * columns,
        'memory_lut': (memory.lutram_luts(wide * words, above) if style == 'lutram' else 0)
        + (memory.lutram_luts(words, earlier) if words > 1 else 0),
        'ram_mux': memory.bram_luts(wide * words, above) if style == 'bram' and above else 0,
    }
    ff: Terms = {
        'one': 1,
        'counter_bit': counters + waits,
        'tap': rows * columns,
        'bit': held + (earlier if words == 1 else 0),
    }
    return {'lut': lut, 'ff': ff}


def ring(
    style: str,
    column: bool,
    kernel: tuple[int, int],
    size: tuple[int, int],
    words: int,
    group: int,
    width: int,
    kept: int,
) -> dict[str, Terms]:
    """Counters, an address that is stepped, masks; the ring of `kept` rows; of columns, what rotates them."""
    (rows, columns), (high, wide) = kernel, size
    address = address_bits(wide * words)
    counters = address + address_bits(words) + address_bits(wide) + address_bits(high) + address_bits(group)
    counters += address_bits(words // group) + address_bits(columns) + address_bits(kept) * (2 if column else 4)
    taps, banks = (rows, kept) if column else (1, 1)
    one = memory.ring(column, kept, wide * words, width)
    lut: Terms = {
        'one': 1,
        'counter_bit': counters,
        'step_bit': address,
        'edge': rows + columns,
        'choice': taps * width * choose_luts(banks),
        'memory_lut': memory.lutram_luts(*one) * banks if style == 'lutram' else 0,
        'ram_mux': memory.bram_luts(*one) * banks if style == 'bram' else 0,
    }
    held = (taps + banks * (style == 'lutram')) * width
    return {'lut': lut, 'ff': {'one': 1, 'counter_bit': counters + address, 'edge': rows + columns, 'bit': held}}


def mac(
    multiplier: str, style: str, slices: int, blocks: int, products: int, outputs: int, w: int, a: int, depthwise: bool
) -> dict[str, Terms]:
    """Control; the word and what delays it along the chains; products; trees and accumulators.

    `products` an output and cycle; `style`: of the memory that keeps the words for further passes.
    """
    chain = latency.chain(multiplier, products, w, a)
    chains, values = math.ceil(products / chain), products * (outputs if depthwise else 1)
    pairs, single = (outputs // 2, outputs % 2) if multiplier == 'pair' else (0, outputs)
    narrow = a + w + address_bits(chain)
    paired, acc = min(18, narrow), a + w + address_bits(slices * products)
    counters = address_bits(slices * blocks) + (address_bits(slices) if blocks > 1 and slices & (slices - 1) else 0)
    pipeline = latency.mac(multiplier, slices, products, w, a)
    adds = slices > 1
    trees = 2 * pairs * tree_bits(chains, paired) + single * tree_bits(chains, narrow)
    registers = 2 * pairs * tree_registers(chains, paired) + single * tree_registers(chains, narrow)
    kept = blocks > 1 and slices > 1
    lut: Terms = {
        'one': 1,
        'counter_bit': counters,
        'adder_bit': trees,
        'sum_bit': outputs * acc * adds,
        'increment_bit': pairs * acc * (not adds),
        'memory_lut': memory.lutram_luts(slices, values * a) if kept and style == 'lutram' else 0,
        'word_bit': values * a if kept and style == 'bram' else 0,
    }
    waiting = sum(max(0, place - 1) * at for place, at in enumerate(latency.places(products, chain)))
    ff: Terms = {
        'one': 1,
        'counter_bit': counters + (chain - 1) * address_bits(slices * blocks) + 2 * pipeline,
        'bit': registers
        + (outputs * acc if adds or multiplier == 'pair' else 0)
        + (0 if kept and style == 'lutram' else values * a)
        + waiting * a * (values // products),
    }
    if multiplier == 'lut':
        count, wide = products * outputs, a + w
        if min(w, a) == 1:
            lut['signed_bit'] = count * max(w, a)
        elif wide <= 6:  # tables of the operands
            lut |= {'table_bit': count * wide, 'table': count * (wide - 4)}
        elif min(w, a) == 2:  # two rows, added
            lut['two_row_bit'] = count * wide
        else:  # rows of partial products, all but two of them compressed
            lut |= {'row_bit': count * (min(w, a) - 2) * max(w, a), 'product_bit': count * wide}
        ff['bit'] += count * wide
    return {'lut': lut, 'ff': ff}


def rom(style: str, words: int, bits: int) -> dict[str, Terms]:
    """In LUTs: the register of the address, and the LUTs, which are instances; block RAM has all of it."""
    if style == 'bram':
        return {'lut': {'ram_mux': memory.bram_luts(words, bits)}, 'ff': {}}
    return {'lut': {'rom_lut': memory.rom_luts(words, bits)}, 'ff': {'address_bit': address_bits(words)}}
