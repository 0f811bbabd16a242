"""The points that are synthesized: sizes as folded networks have them, words of 1 to 16 lanes, products up to one
filter of 144.

Every fifth point, in an order drawn once, is held out: coefficients are fitted to the others and judged on these.
"""

from __future__ import annotations

import random
from itertools import product

from experiments.calibrate.point import Point, point

FIFTHS = 5


def points() -> list[Point]:
    """All points."""
    found = [point('clone', count=2, width=width) for width in (8, 64)]
    found += [point('credit', depth=depth) for depth in (2, 3, 4, 7, 8, 16, 31, 64, 200, 1024)]
    found += _thinned(
        [
            point('add', lanes=c, bits=b, align=align, shift=shift, relu=r)
            for c, b, (align, shift), r in product(
                (1, 2, 4, 8, 16), (2, 3, 4, 6, 8, 12, 16), ((0, 0), (0, 1), (2, 2)), (0, 1)
            )
        ],
        20,
    )
    found += [point('relu', lanes=c, bits=b) for c, b in product((1, 4, 16), (4, 8))]
    found += [
        point('convert', **{'in': size, 'out': other, 'bits': bits})
        for (one, two), bits in product(((1, 2), (1, 4), (4, 8), (1, 16)), (4, 8))
        for size, other in ((one, two), (two, one))
    ]
    found += _finishes()
    found += [point('rom', style='lut', depth=d, width=w) for d, w in product((16, 32, 48, 128), (16, 72))]
    found += [point('rom', style='bram', depth=d, width=w) for d, w in product((72, 288, 576, 1152), (16, 72, 144))]
    found += _windows()
    found += _rings()
    found += _macs('dsp', ((4, 8), (6, 6), (8, 8), (8, 16), (16, 16)), 20)
    found += _macs('pair', ((4, 8), (6, 6), (8, 8), (8, 8)), 30)
    found += _macs('lut', ((2, 2), (2, 4), (3, 3), (4, 4), (3, 6), (4, 8), (6, 6), (8, 8)), 28)
    found += [
        point('mac', multiplier='lut', style='lutram', slices=1, blocks=1, simd=9, pe=2, w=w, a=a, depthwise=0)
        for w, a in ((1, 1), (1, 2), (1, 4), (1, 8), (2, 1), (8, 1), *product((2,), (5, 6, 7, 8)), (6, 2), (8, 2))
    ]
    found += [point('maximum', taps=t, lanes=c, bits=b) for t, c, b in product((2, 4, 9), (1, 4), (4, 8))]
    found += [point('mean', taps=t, lanes=c, bits=b) for t, c, b in product((4, 9, 16), (1, 3), (4, 8))]
    found += _thinned(
        [
            point('average', pixels=p, words=f, lanes=c, bits=b)
            for p, f, c, b in product((16, 49, 64), (1, 4, 16, 64), (1, 2, 4, 8), (4, 8))
        ],
        16,
    )
    return found


def held_out(points: list[Point], fifth: int = 0) -> set[str]:
    """Keys of the points that the fit does not see; the five are disjoint."""
    keys = sorted(each.key for each in points)
    random.Random(0).shuffle(keys)
    return set(keys[fifth::FIFTHS])


def _finishes() -> list[Point]:
    return _thinned(
        [
            point('finish', pe=pe, lanes=lanes, acc=acc, bits=bits, shift=shift, relu=relu, depth=depth, add=add)
            for pe, lanes in product((1, 2, 4, 8, 16), repeat=2)
            for acc, (bits, shift), relu, depth, add in product(
                (14, 20, 24), ((4, 3), (8, 5), (8, 7), (8, 9)), (0, 1), (2, 8, 32, 64), (0, 1)
            )
            if acc - shift > bits
        ],
        36,
    ) + [
        point('finish', pe=pe, lanes=pe, acc=acc, bits=acc, shift=0, relu=0, depth=5, add=0)
        for pe, acc in ((1, 21), (2, 18))
    ]


def _windows() -> list[Point]:
    lutram = [
        point('window', style='lutram', kh=k, kw=k, height=c, columns=c, stride=s, words=f, width=w, hand=h)
        for k, c, s, f, w, h in product((2, 3, 5), (8, 14, 16, 32), (1, 2), (1, 2, 4, 8, 16), (8, 16, 32, 64), (0, 1))
        if k * k * w <= 600 and c * f <= 128
    ]
    bram = [
        point('window', style='bram', kh=k, kw=k, height=c, columns=c, stride=s, words=f, width=w, hand=h)
        for k, c, s, f, w, h in product(
            (2, 3), (16, 32, 56, 112), (1, 2), (1, 2, 4, 8, 16, 32), (8, 16, 32, 64), (0, 1)
        )
        if k * k * w <= 600 and 128 <= c * f <= 4096
    ]
    odd = [
        point('window', style='lutram', kh=kh, kw=kw, height=16, columns=16, stride=s, words=f, width=16, hand=0)
        for kh, kw, s, f in ((1, 1, 2, 1), (1, 1, 2, 8), (1, 3, 1, 4), (3, 1, 1, 4))
    ]
    large = [
        point('window', style='uram', kh=3, kw=3, height=c, columns=c, stride=1, words=f, width=w, hand=0)
        for c, f, w in ((112, 32, 32), (112, 32, 64), (224, 16, 36), (56, 64, 48))
    ]
    return _thinned(lutram, 20) + _thinned(bram, 16) + odd + large


def _rings() -> list[Point]:
    found = [
        point(
            'ring', style=style, column=v, kh=k, kw=k, height=c, columns=c, stride=s, words=f, group=min(f, g), width=w
        )
        for style, v, k, c, s, f, g, w in product(
            ('lutram', 'bram'), (0, 1), (2, 3, 5), (8, 14, 16, 32, 56), (1, 2), (1, 4, 16), (1, 64), (8, 32, 64)
        )
        if (c * f >= 128) == (style == 'bram') and k * w <= 200 and c * f <= 512
    ]
    return _thinned(list(dict.fromkeys(found)), 24)


def _macs(multiplier: str, widths: tuple[tuple[int, int], ...], count: int) -> list[Point]:
    """Of every shape with at most 4,000 bits of products; some of LUTs and single DSPs depthwise."""
    sizes = product((1, 2, 4, 8, 16), (1, 2, 3, 8), (1, 2, 3, 4, 6, 9, 18, 27, 36, 72, 144), (1, 2, 3, 4, 8), widths)
    most = 2500 if multiplier == 'lut' else 8000
    found = [
        point('mac', multiplier=multiplier, style='lutram', slices=n, blocks=b, simd=k, pe=c, w=w, a=a, depthwise=0)
        for n, b, k, c, (w, a) in sizes
        if k * c >= 4 and k * c * w * a <= most and n * k <= 600 and (c > 1 or multiplier != 'pair')
    ]
    if multiplier == 'pair':
        return _thinned(found, count)
    deep = [
        point(
            'mac',
            multiplier=multiplier,
            style='lutram',
            slices=n,
            blocks=1,
            simd=9 * c // n,
            pe=c,
            w=4,
            a=8,
            depthwise=1,
        )
        for n, c in ((1, 2), (3, 4), (9, 8))
    ]
    return _thinned(found, count - 3) + deep


def _thinned(candidates: list[Point], count: int) -> list[Point]:
    """So many of them, drawn once."""
    return random.Random(1).sample(candidates, min(count, len(candidates)))
