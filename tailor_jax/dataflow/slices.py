"""How a FIFO of D words of W bits is built from memories: its slices, each a memory of its own to Vivado.

    storage   words in memory                                    words in front of the output    holds
    srl       D - 1                                              a register                      D
    lutram    R = max(32, 2^ceil(log2(D - 1)))                   a register                      R + 1
    bram      P + R, P = max(512, 2^floor(log2(D - 1)))          a register (the RAM's own)      P + R + 1
    uram      P + R, P = max(4096, 2^floor(log2(D - 17)))        16 in a queue, a register       P + R + 17

R = 0 where P suffices, else max(32, 2^ceil(log2(what is left))); P + R becomes 2 P where R = P. The parts stand at
consecutive addresses under one pair of pointers, the top bits say which of them is meant, and a part whose words mix
aspects of block RAM is one slice for each aspect. The rest R is in LUTRAM where that is small, else in block RAM or
UltraRAM (`_rest`): the split that Vivado 2026.1 syntheses of FINN's FIFOs show (`experiments.fidelity.finn_fifo`).

Primitives: RAMB18 in simple dual port, in UltraScale+ and 7 series with mixed aspects within a word; URAM288 of whole
words; RAM32M16 and RAM64M8 (7 series: RAM32M and RAM64M), SRLC32E. Their sizes: AMD UG573, UG574, UG473, UG474, AM007.
"""

from __future__ import annotations

import dataclasses
import functools
import math

STORAGES = ('srl', 'lutram', 'bram', 'uram')
QUEUE = 16  # words behind UltraRAM, which answers late
_RAM_ROWS = {'bram': 512, 'uram': 4096}  # the least that a RAM part is deep
_SRL_ROWS = 32


@dataclasses.dataclass(frozen=True)
class Primitives:
    """The memories of a family.

    Attributes:
      bram18: (rows, bits) of a RAMB18.
      mixed: whether a word may be cut into columns of different aspects.
      uram: (rows, bits) of a URAM288.
      lutram: {rows: (bits, LUTs) of each group of LUTs, the widest first}.
      cascaded: whether stacked block RAMs pass their words on to each other instead of through multiplexers of LUTs.
    """

    bram18: tuple[tuple[int, int], ...] = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
    mixed: bool = True
    uram: tuple[tuple[int, int], ...] = ((4096, 72),)
    lutram: tuple[tuple[int, tuple[tuple[int, int], ...]], ...] = (
        (32, ((14, 8), (6, 4), (1, 2))),
        (64, ((7, 8), (3, 4), (1, 2))),
    )
    cascaded: bool = False


PRIMITIVES = {
    '7series': Primitives(uram=(), lutram=((32, ((6, 4), (1, 2))), (64, ((3, 4), (1, 2))))),
    'ultrascale': Primitives(),
    'versal': Primitives(
        bram18=((2048, 9), (1024, 18), (512, 36)),
        mixed=False,
        uram=((32768, 9), (16384, 18), (8192, 36), (4096, 72)),
        cascaded=True,
    ),
}


@dataclasses.dataclass(frozen=True)
class Slice:
    """One memory of a FIFO: words word .. word + depth - 1, bits bit .. bit + width_bits - 1 of each.

    Attributes:
      storage: 'srl', 'lutram', 'bram', 'uram' or 'register'.
      count: LUTs, RAMB18, URAM288 or flip-flops that it takes.
      rows: words that one primitive holds; it is depth / rows banks deep.
    """

    storage: str
    depth: int
    width_bits: int
    count: int
    rows: int
    word: int = 0
    bit: int = 0

    @property
    def banks(self) -> int:
        return math.ceil(self.depth / self.rows)


def primitives(family: str) -> Primitives:
    if family not in PRIMITIVES:
        raise ValueError(f'no memories known of the family {family!r}; known are {", ".join(PRIMITIVES)}')
    return PRIMITIVES[family]


def fifo_slices(depth: int, width_bits: int, storage: str, family: str, rest: str = '') -> tuple[Slice, ...]:
    """The memories of a FIFO that holds at least `depth` words, from address 0 to the output.

    Args:
      depth, width_bits: 1 or more; at least 2 words are built, so that reading and writing do not wait for each other.
      storage: of `STORAGES`; of the main part.
      rest: of 'lutram', 'bram', 'uram': where the rest of a split depth goes; '' as Vivado chooses.

    Raises:
      ValueError: sizes below 1, or a storage that the family does not have.
    """
    if min(depth, width_bits) < 1:
        raise ValueError(f'a FIFO of {depth} words of {width_bits} bits; expected 1 or more of each')
    if storage not in STORAGES or ('uram' in (storage, rest) and not primitives(family).uram):
        raise ValueError(f'{storage!r}, rest {rest!r}, is no storage of a FIFO in the family {family!r}')
    return assemble(*split(depth, storage), width_bits, storage, family, rest)


@functools.lru_cache(maxsize=65536)
def assemble(main: int, left: int, width_bits: int, storage: str, family: str, rest: str = '') -> tuple[Slice, ...]:
    """The memories of a FIFO with `main` rows in its main part and `left` in the rest, as `split` gives them."""
    parts = _memory(storage, main, width_bits, family)
    if left:
        parts += _memory(rest or _rest(storage, left, width_bits, family), left, width_bits, family, main)
    if storage == 'uram':
        parts += _memory('srl', QUEUE, width_bits, family, main + left)
    end = parts[-1].word + parts[-1].depth
    return (*parts, Slice('register', 1, width_bits, width_bits, 1, end))


def split(depth: int, storage: str) -> tuple[int, int]:
    """Rows of the main part and of the rest, 0 where there is none."""
    rows = max(1, depth - 1 - (QUEUE if storage == 'uram' else 0))
    if storage == 'srl':
        return rows, 0
    if storage == 'lutram':
        return max(_SRL_ROWS, _power(rows)), 0
    main = max(_RAM_ROWS[storage], _power(rows + 1) // 2)
    if rows <= main:
        return main, 0
    left = max(_SRL_ROWS, _power(rows - main))
    return (2 * main, 0) if left == main else (main, left)


def capacity(slices: tuple[Slice, ...]) -> int:
    """Words that a FIFO of these slices holds."""
    return slices[-1].word + slices[-1].depth


def _power(rows: int) -> int:
    """The least power of two that is no less."""
    return 1 << (rows - 1).bit_length()


def _memory(storage: str, depth: int, width_bits: int, family: str, word: int = 0) -> tuple[Slice, ...]:
    """One part of the depth: a slice, or one for each aspect of block RAM in a word."""
    match storage:
        case 'srl':
            return (Slice(storage, depth, width_bits, width_bits * math.ceil(depth / _SRL_ROWS), _SRL_ROWS, word),)
        case 'lutram':
            rows = 32 if depth <= 32 else 64
            return (Slice(storage, depth, width_bits, lutram_luts(depth, width_bits, family), rows, word),)
        case 'uram':
            rows, bits = min((bits, rows) for rows, bits in primitives(family).uram if bits >= min(width_bits, 72))[
                ::-1
            ]
            count = math.ceil(depth / rows) * math.ceil(width_bits / bits)
            return (Slice(storage, depth, width_bits, count, rows, word),)
        case 'bram':
            found, bit = [], 0
            for rows, bits, columns in bram18_columns(depth, width_bits, family):
                wide = min(bits * columns, width_bits - bit)
                found.append(Slice(storage, depth, wide, columns * math.ceil(depth / rows), rows, word, bit))
                bit += wide
            return tuple(found)
        case _:
            raise ValueError(f'{storage!r} is no memory of a FIFO; expected one of {", ".join(STORAGES)}')


def _rest(storage: str, depth: int, width_bits: int, family: str) -> str:
    """Where Vivado puts the rest of a split depth, as its RAM counts show.

    LUTRAM to 256 rows and 8,192 bits, if a RAMB18 would replace at most 72 LUTs (64 go to LUTRAM, 80 do not). Beside
    UltraRAM that again from 4,096 rows, or where one URAM288 replaces 6.5 RAMB18 (7.1 do, 6 do not).
    """
    blocks = bram18_count(depth, width_bits, family)
    luts = lutram_luts(depth, width_bits, family)
    if depth <= 256 and depth * width_bits <= 8192 and luts <= 72 * blocks:
        return 'lutram'
    if storage == 'uram' and (depth >= 4096 or blocks >= 6.5 * _memory('uram', depth, width_bits, family)[0].count):
        return 'uram'
    return 'bram'


def lutram_luts(depth: int, width_bits: int, family: str) -> int:
    """LUTs of simple dual-port LUTRAM without its read multiplexer: banks x (full groups, and the smallest group that
    holds the bits left).
    """
    rows, groups = next(each for each in primitives(family).lutram if depth <= each[0] or each[0] == 64)
    bits, luts = groups[0]
    full, left = divmod(width_bits, bits)
    one = full * luts + (min(luts for bits, luts in groups if bits >= left) if left else 0)
    return math.ceil(depth / rows) * one


def bram18_count(depth: int, width_bits: int, family: str) -> int:
    """RAMB18 of a part whose depth is a power of two."""
    return sum(columns * math.ceil(depth / rows) for rows, _, columns in bram18_columns(depth, width_bits, family))


_SEARCHED = 36 * 36  # bits: of a wider word an optimal cover has a column of least cost a bit


@functools.lru_cache(maxsize=65536)
def bram18_columns(depth: int, width_bits: int, family: str) -> tuple[tuple[int, int, int], ...]:
    """((rows, bits, columns), ...), the widest aspect first: the fewest RAMB18 that `width_bits` can be cut into; of
    equals the one with the least bits through multiplexers.
    """
    known = primitives(family)
    if not known.mixed:

        def cost(aspect: tuple[int, int]) -> tuple[int, float]:
            count, mux = _column(depth, *aspect, aspect[1])
            columns = math.ceil(width_bits / aspect[1])
            return count * columns, mux * columns

        rows, bits = min(known.bram18, key=cost)
        return ((rows, bits, math.ceil(width_bits / bits)),)
    found, left = dict.fromkeys(known.bram18[::-1], 0), width_bits
    if left > _SEARCHED:  # columns of least cost a bit; what is left decides where widths do not divide

        def of_a_bit(aspect: tuple[int, int]) -> list[float]:
            rows, bits = aspect
            return [cost / bits for cost in _column(depth, rows, bits, bits)]

        cheapest = min(known.bram18, key=of_a_bit)
        found[cheapest] = (left - _SEARCHED) // cheapest[1]
        left -= found[cheapest] * cheapest[1]
    choices = _covers(depth, _power(left), family)
    while left > 0:
        rows, bits = known.bram18[choices[left]]
        found[rows, bits] += 1
        left -= bits
    return tuple((rows, bits, columns) for (rows, bits), columns in found.items() if columns)


def _column(depth: int, rows: int, bits: int, used: int) -> tuple[int, float]:
    """RAMB18 of one column, and its LUTs of multiplexers."""
    return math.ceil(depth / rows), min(bits, used) * mux_luts(math.ceil(depth / (2 * rows)))


def mux_luts(banks: int) -> float:
    """LUTs of a multiplexer of one bit: four inputs a LUT6, its outputs joined by the slice's own F7 and F8."""
    return banks / 4 if banks > 1 else 0.0


@functools.lru_cache(maxsize=1024)
def _covers(depth: int, widest: int, family: str) -> tuple[int, ...]:
    """For every width up to `widest` the aspect of one column of the best cover: dynamic programming over widths."""
    aspects = primitives(family).bram18
    best: list[tuple[int, float, int]] = [(0, 0.0, 0)]
    for width in range(1, widest + 1):
        options = []
        for index, (rows, bits) in enumerate(aspects):
            count, mux = _column(depth, rows, bits, width)
            before = best[max(0, width - bits)]
            options.append((before[0] + count, before[1] + mux, -index))
        best.append(min(options))
    return tuple(-index for _, _, index in best)
