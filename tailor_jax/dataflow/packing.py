"""What multiplies: LUTs up to 16 bits of w x a, else DSPs, unless it is asked for.

Two products in one DSP: (w1 2^18 + w0) x, of two weights and an input of up to 8 bits each.

Sums of such products are exact while the sum of the low ones fits 18 bits: n of them if n 2^(w-1) (2^a - 1) < 2^17, for
weights of w and inputs of a bits. They are added up in a chain of DSPs and then taken apart; a low sum below zero has
borrowed one from the high one (AMD WP486).
"""

from __future__ import annotations

import math

PACKED_BITS = 8
CHAIN = 4  # products that are added within DSPs, at most
LUT_BITS = 16  # w x a of a product that 'auto' leaves to LUTs


def in_luts(multiplier: str, weight_bits: int, activation_bits: int) -> bool:
    """Whether LUTs make the products of these widths; `multiplier`: 'auto', 'dsp' or 'lut'."""
    return multiplier == 'lut' or (multiplier == 'auto' and weight_bits * activation_bits <= LUT_BITS)


def chain(products: int, weight_bits: int, activation_bits: int) -> int:
    """How many of so many products a chain adds up, the chains being as equal as can be."""
    largest = ((1 << activation_bits) - 1) << (weight_bits - 1)
    most = max(1, min(CHAIN, ((1 << 17) - 1) // largest))
    return math.ceil(products / math.ceil(products / most))
