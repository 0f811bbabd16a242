"""The points that are synthesized: sizes as networks have them, from a few channels to 32 of 8 bits, and products up to
one filter of 144.

Every fifth point, in an order drawn once, is held out: coefficients are fitted to the others and judged on these.
"""

from __future__ import annotations

import random
from itertools import product

from experiments.calibrate.parts import Point, point

FIFTHS = 5
WIDTHS = (16, 32, 72, 128, 256)


def points() -> list[Point]:
    """All points."""
    found = [
        point('fifo', style='srl', depth=d, width=w) for d, w in product((3, 4, 8, 16, 24, 32, 34, 64, 67), (16, 128))
    ]
    found += [point('fifo', style='srl', depth=2, width=w) for w in WIDTHS]
    found += [
        point('fifo', style='lutram', depth=d, width=w) for d, w in product((12, 16, 32, 34, 48, 64), (16, 72, 256))
    ]
    found += [
        point('fifo', style='bram', depth=d, width=w)
        for d, w in product((65, 100, 128, 256, 512, 600, 1024, 1089, 2048, 4096), (16, 32, 72, 256))
    ]
    found += [
        point('fifo', style='uram', depth=d, width=w)
        for d, w in product((1024, 2048, 3136, 4096, 5000, 8192), (72, 256))
    ]
    found += [point('clone', width=w) for w in (8, 16, 32, 48, 64, 72, 128, 256, 384, 512)]
    found += _thinned(
        [
            point('add', channels=c, bits=b, shift=s, relu=r)
            for c, b, s, r in product((4, 8, 16, 32), (2, 3, 4, 6, 8, 12, 16), (0, 1), (0, 1))
        ],
        30,
    )
    found += _thinned(
        [
            point('requantize', channels=c, acc=acc, bits=b, shift=s, relu=r)
            for c, acc, b, s, r in product(
                (2, 4, 8, 16), (8, 12, 16, 20, 24, 32, 40), (2, 4, 6, 8, 16), (2, 3, 5, 7, 11, 15), (0, 1)
            )
            if acc - s - b >= 2 and acc - s >= 7
        ],
        48,
    )
    found += _thinned(
        [point('maximum', taps=t, channels=c, bits=b) for t, c, b in product((2, 4, 9), (4, 8, 16), (4, 6, 8, 16))], 15
    )
    found += _thinned(
        [
            point('window', style='lutram', kernel=k, height=c, columns=c, width=w)
            for k, c, w in product((2, 3, 5), (8, 14, 16, 32, 56, 64), WIDTHS)
            if k * k * w <= 1200
        ],
        26,
    )
    found += _thinned(
        [
            point('window', style='bram', kernel=k, height=c, columns=c, width=w)
            for k, c, w in product((2, 3), (80, 112, 224), WIDTHS)
        ],
        12,
    )
    found += _macs('lut', ((2, 2), (2, 4), (3, 3), (4, 4), (3, 6), (4, 8), (6, 6), (8, 8)), 40)
    narrow = product((4, 9), (2, 4), ((1, 2), (1, 4), (1, 8), (2, 6), (2, 8)))
    found += [point('mac', multiplier='lut', slices=1, products=k, channels=c, w=w, a=a) for k, c, (w, a) in narrow]
    found += _macs('dsp', ((4, 8), (6, 6), (8, 8), (8, 16), (16, 16)), 34)
    found += _macs('pair', ((4, 8), (6, 6), (8, 8)), 26)
    found += [point('rom', style='lut', depth=d, width=w) for d, w in product((4, 8, 16, 32, 64), (16, 72, 144))]
    found += [
        point('rom', style='bram', depth=d, width=w) for d, w in product((72, 128, 288, 576, 1024), (16, 72, 256))
    ]
    return found


def held_out(points: list[Point], fifth: int = 0) -> set[str]:
    """Keys of the points that the fit does not see; the five are disjoint."""
    keys = sorted(each.key for each in points)
    random.Random(0).shuffle(keys)
    return set(keys[fifth::FIFTHS])


def _macs(multiplier: str, widths: tuple[tuple[int, int], ...], count: int) -> list[Point]:
    """Of every shape with at most 4,000 bits of products."""
    sizes = product((1, 2, 4, 8), (1, 2, 3, 4, 6, 9, 16, 27, 36, 72, 144), (1, 2, 4, 8), widths)
    return _thinned(
        [
            point('mac', multiplier=multiplier, slices=slices, products=k, channels=c, w=w, a=a)
            for slices, k, c, (w, a) in sizes
            if k * c >= 4 and k * c * w * a <= 4000 and slices * k <= 288 and (c > 1 or multiplier != 'pair')
        ],
        count,
    )


def _thinned(candidates: list[Point], count: int) -> list[Point]:
    """So many of them, drawn once."""
    return random.Random(1).sample(candidates, count)
