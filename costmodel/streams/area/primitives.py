"""How many memory primitives a memory of D words of W bits takes: closed forms, checked against synthesis.

RAMB18        min over (d, w) in {16Kx1, 8Kx2, 4Kx4, 2Kx9, 1Kx18, 512x36} of ceil(D/d) ceil(W/w)
URAM288       ceil(D/4096) ceil(W/72)
SRL           W ceil(D/32) LUTs                                SRLC32E, one per bit and 32 tokens
LUTRAM        8 ceil(W/14) LUTs for D <= 32 (RAM32M16), else 8 ceil(D/64) ceil(W/7) (RAM64M8)
              and, for ceil(D/64) > 1, a multiplexer
"""

from __future__ import annotations

import math

BRAM18_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))


def bram18_count(depth: int, width: int) -> int:
    """RAMB18 blocks of a simple dual-port memory."""
    return min(math.ceil(depth / d) * math.ceil(width / w) for d, w in BRAM18_SHAPES)


def bram18_banks(depth: int, width: int) -> int:
    """How many blocks deep the memory is: inputs of the multiplexer that its read data goes through.

    Pairs of RAMB18 are RAMB36 of twice the depth. Of the shapes that take the fewest blocks the shallowest counts.
    """
    return min((math.ceil(depth / d) * math.ceil(width / w), math.ceil(depth / (2 * d))) for d, w in BRAM18_SHAPES)[1]


def uram_banks(depth: int) -> int:
    return math.ceil(depth / 4096)


def uram_count(depth: int, width: int) -> int:
    return uram_banks(depth) * math.ceil(width / 72)


def srl_lut(depth: int, width: int) -> int:
    return width * math.ceil(depth / 32)


def lutram_lut(depth: int, width: int) -> float:
    if depth <= 32:
        return math.ceil(width / 14) * 8
    banks = math.ceil(depth / 64)
    return banks * math.ceil(width / 7) * 8 + (banks - 1) * width / 3
