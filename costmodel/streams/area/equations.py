"""The amounts that a part's LUTs and flip-flops are made of: what the coefficients multiply.

    price of a part = sum over its terms of coefficient[part, resource][term] x amount

The amounts (adders, their bits, masks, addresses) follow from the structure of the part; how many LUTs and flip-flops
one of each takes is fitted to synthesis (`experiments.calibrate`). The model and the fit use these same functions.
Parts are those of `experiments/calibrate/rtl`.
"""

from __future__ import annotations

import math

from costmodel.streams.area import primitives
from costmodel.streams.area.coefficients import COEFFICIENTS

Terms = dict[str, float]


def price(part: str, terms: dict[str, Terms]) -> tuple[float, float]:
    """(LUTs, flip-flops) of a part from its terms of each."""
    lut, ff = (
        sum(COEFFICIENTS[f'{part}.{resource}'][term] * amount for term, amount in terms[resource].items())
        for resource in ('lut', 'ff')
    )
    return lut, ff


def fifo(style: str, depth: int, width: int) -> dict[str, Terms]:
    """Control, and the LUTs and registers of the memory: see `primitives` for the RAM primitives."""
    address = max(1, math.ceil(math.log2(depth)))
    control = {'one': 1.0, 'address_bit': address}
    match style:
        case 'srl' if depth <= 2:
            return {'lut': control | {'token_bit': width}, 'ff': control | {'stored_bit': depth * width}}
        case 'srl':
            return {'lut': control | {'memory_lut': primitives.srl_lut(depth, width)}, 'ff': control}
        case 'lutram':
            return {
                'lut': control | {'memory_lut': primitives.lutram_lut(depth, width)},
                'ff': control | {'token_bit': width},
            }
        case _:
            banks = primitives.uram_banks(depth) if style == 'uram' else primitives.bram18_banks(depth, width)
            mux = {'bank_bit': (banks - 1) * width}
            return {'lut': control | mux, 'ff': control}


def clone(width: int) -> dict[str, Terms]:
    """A two-way copy: a register for the token and a flag for each reader."""
    return {'lut': {'one': 1}, 'ff': {'one': 1, 'token_bit': width}}


def add(channels: int, bits: int, shift: int, relu: bool) -> dict[str, Terms]:
    """Adders, rounding, saturation, a register."""
    kept = channels * (bits - 1)  # below the sign
    return {
        'lut': {'one': 1, 'value_bit': kept, 'aligned': channels * (shift == 0), 'relu': channels * relu},
        'ff': {'one': 1, 'value_bit': channels * bits},
    }


def requantize(channels: int, acc: int, bits: int, shift: int) -> dict[str, Terms]:
    """Rounding (the adder's carry chain), a test that acc - shift - bits are equal, saturation, a register."""
    lut: Terms = {
        'one': 1,
        'tested_bit': channels * max(0, acc - shift - bits),
        'value_bit': channels * bits,
        'value': channels,
    }
    return {'lut': lut, 'ff': {'one': 1, 'value_bit': channels * bits}}


def maximum(taps: int, channels: int, bits: int) -> dict[str, Terms]:
    """A tree of compare-and-select, a register."""
    nodes = (taps - 1) * channels
    return {
        'lut': {'one': 1, 'compared_bit': nodes * bits, 'compared': nodes},
        'ff': {'one': 1, 'value_bit': channels * bits},
    }


def window(
    style: str, kernel: tuple[int, int], height: int, columns: int, width: int, padded: bool
) -> dict[str, Terms]:
    """Window registers, masks on every tap of a padded input, counters; line buffers that are made of LUTs."""
    taps, rows = kernel[0] * kernel[1], kernel[0] - 1
    counters = 2 * math.ceil(math.log2(max(2, columns))) + math.ceil(math.log2(max(2, height)))
    lut: Terms = {
        'one': 1.0,
        'counter_bit': counters,
        'masked_bit': taps * width * padded,
        'mask': (kernel[0] + kernel[1]) * padded,
    }
    if style == 'lutram':
        lut['memory_lut'] = rows * primitives.lutram_lut(columns, width)
    return {'lut': lut, 'ff': {'one': 1, 'counter_bit': counters, 'tap_bit': taps * width}}


def tree_bits(products: int, bits: int) -> int:
    """Bits of all adders of a tree over `products` numbers of `bits`: products // 2 of bits + 1, then half as many of
    one bit more, ...
    """
    total, level = 0, 0
    while products > 1:
        level += 1
        total += products // 2 * (bits + level)
        products = math.ceil(products / 2)
    return total


def carry_save_bits(products: int, bits: int) -> int:
    """Bits of the carry-save rows that join four numbers between two registers: one row more than there are adders."""
    total, level = 0, 0
    while products > 2:
        total += products // 4 * (bits + level + 1)
        products, level = math.ceil(products / 4), level + 2
    return total


def tree_registers(products: int, bits: int) -> int:
    """Bits registered behind every second level of the tree."""
    levels = math.ceil(math.log2(products)) if products > 1 else 0
    return sum(math.ceil(products / (1 << level)) * (bits + level) for level in range(2, levels + 1, 2))


def mac(multiplier: str, slices: int, products: int, channels: int, w: int, a: int) -> dict[str, Terms]:
    """Products, adder trees, operand multiplexers and accumulators."""
    acc, wide, levels = a + w + math.ceil(math.log2(slices * products)), a + w, math.ceil(math.log2(products))
    many = slices > 1
    lut: Terms = {
        'one': 1.0,
        'level': levels,
        'adder_bit': channels * tree_bits(products, wide),
        'carry_save_bit': channels * carry_save_bits(products, wide),
        'sum_bit': channels * acc * many,
        'mux_bit': products * a * many * math.ceil((slices - 1) / 3),
    }
    ff: Terms = {
        'one': 1.0,
        'level': levels,
        'sum_bit': channels * acc,
        'tree_bit': channels * tree_registers(products, wide),
    }
    count = products * channels
    if multiplier == 'lut':
        if min(w, a) == 1:
            lut |= {'signed_bit': count * max(w, a)}
        elif wide <= 6:  # tables of the operands
            lut |= {'table_bit': count * wide, 'table': count * (wide - 4)}
        else:  # rows of partial products, all but two of them compressed
            lut |= {'row_bit': count * (min(w, a) - 2) * max(w, a), 'product_bit': count * wide}
        ff |= {'product_bit': count * wide}
    elif multiplier == 'pair':
        lut |= {'pair_bit': products * (channels // 2) * wide}
    return {'lut': lut, 'ff': ff}


def rom(style: str, depth: int, width: int) -> dict[str, Terms]:
    """Counter, and where the words are in LUTs one LUT a bit and 64 words; equal columns share theirs."""
    address = max(1, math.ceil(math.log2(depth)))
    control = {'one': 1.0, 'address_bit': address}
    if style != 'lut':
        return {'lut': control, 'ff': control}
    columns = distinct(depth, width)
    return {'lut': control | {'column': columns * math.ceil(depth / 64)}, 'ff': control | {'column': columns}}


def distinct(depth: int, width: int) -> float:
    """Expected number of different columns among `width` random ones of `depth` bits."""
    if depth > 40:
        return width
    count = 2.0**depth
    return count * -math.expm1(width * math.log1p(-1 / count))
