"""How long the pipeline of a process is: cycles from the end of a trip to its word's entry into a FIFO.

    Window    2                                 memories; the register that masks
    Mac       m + ceil(log2 n) + s              m = 3 + C behind DSPs that add C products one after another, 2 behind
                                                products in LUTs; n sums (or products) meet in a tree with a register a
                                                level; s = 1 where slices are added up, or pairs of products come apart
    Convert   1; finish: 2, 3 where it splits   bias; saturation; and 1 for an absorbed add
    Words     1; clone 0; max ceil(log2 taps)   a mean: 1 more for its rounding, 4 if it multiplies; leaky_relu 4
    Average   2, 5 if it multiplies

These are the registers of the Verilog in `hls_export/verilog/rtl`, whose test bench checks that every word comes
just then.
"""

from __future__ import annotations

import math

from tailor_jax.dataflow import packing

WINDOW = 2
CONVERT = 1
WORDS = 1
CLONE = 0
DSP_CYCLES = 3  # input, product and sum registers of a DSP
LEAKY = DSP_CYCLES + WORDS


def levels(count: int) -> int:
    """Levels of a tree over `count` numbers."""
    return (count - 1).bit_length()


def chain(multiplier: str, products: int, weight_bits: int, activation_bits: int) -> int:
    """Products that are added within DSPs one after another, the chains being as equal as can be."""
    match multiplier:
        case 'lut':
            return 1
        case 'pair':
            return packing.chain(products, weight_bits, activation_bits)
        case _:
            return math.ceil(products / math.ceil(products / packing.CHAIN))


def places(products: int, chain: int) -> tuple[int, ...]:
    """How many products stand at each place of a chain; where they do not fill all, the last chain starts late."""
    chains = math.ceil(products / chain)
    return tuple(chains - (place < chains * chain - products) for place in range(chain))


def mac(multiplier: str, slices: int, products: int, weight_bits: int, activation_bits: int) -> int:
    """Of a matrix-vector unit that adds `products` an output and cycle; `multiplier`: 'dsp', 'pair' or 'lut'."""
    count = chain(multiplier, products, weight_bits, activation_bits)
    added = slices > 1 or multiplier == 'pair'
    if multiplier == 'lut':
        return 2 + levels(products) + added
    return DSP_CYCLES + count + levels(math.ceil(products / count)) + added


def finish(outputs: int, lanes: int, adds: bool) -> int:
    """Of PE = `outputs` sums finished into words of `lanes`."""
    return 2 + (outputs > lanes) + adds


def mean(taps: int, multiplies: bool) -> int:
    """Of the mean of a window."""
    return levels(taps) + 1 + 3 * multiplies


def average(multiplies: bool) -> int:
    """Of the mean of an image."""
    return 5 if multiplies else 2
