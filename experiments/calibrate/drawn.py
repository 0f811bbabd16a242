"""Random parts beyond the grid that is synthesized: every sign, shift, padding, stride and group that a network may ask
for, in small sizes. They are simulated only.
"""

from __future__ import annotations

import random

from experiments.calibrate.point import Point, point


def points(count: int, seed: int) -> list[Point]:
    """So many parts, kinds in turn."""
    rng = random.Random(seed)
    kinds = (_add, _relu, _leaky_relu, _convert, _maximum, _mean, _average, _rom, _window, _ring, _mac, _finish)
    return [kinds[index % len(kinds)](rng) for index in range(count)]


def _bit(rng: random.Random) -> int:
    return rng.randrange(2)


def _add(rng: random.Random) -> Point:
    low = rng.randint(0, 5)
    align = rng.choice(((0, low), (low, 0), (low, 1)))
    return point(
        'add',
        lanes=rng.randint(1, 3),
        a_bits=rng.randint(1, 9),
        a_signed=_bit(rng),
        b_bits=rng.randint(1, 9),
        b_signed=_bit(rng),
        align_a=align[0],
        align_b=align[1],
        shift=rng.choice((-40, 40, *range(-4, 14))),
        relu=_bit(rng),
        bits=rng.randint(1, 10),
        signed=_bit(rng),
    )


def _relu(rng: random.Random) -> Point:
    bits, signed = rng.randint(1, 9), _bit(rng)
    bits += signed
    return point('relu', lanes=rng.randint(1, 4), bits=bits, signed=signed, out_bits=bits - signed + rng.randint(0, 2))


def _leaky_relu(rng: random.Random) -> Point:
    align = rng.randint(0, 22)
    return point(
        'leaky_relu',
        lanes=rng.randint(1, 3),
        in_bits=rng.choice((rng.randint(1, 10), rng.randint(15, 22))),
        in_signed=_bit(rng),
        align=align,
        factor=rng.randint(0, 1 << align),
        shift=rng.choice((-3, 50, rng.randint(0, align + 6))),
        relu=_bit(rng),
        bits=rng.randint(1, 12),
        signed=_bit(rng),
    )


def _convert(rng: random.Random) -> Point:
    one, times = rng.randint(1, 3), rng.randint(2, 5)
    sizes = rng.choice(((one, one * times), (one * times, one)))
    return point('convert', **{'in': sizes[0], 'out': sizes[1], 'bits': rng.randint(1, 6)})


def _maximum(rng: random.Random) -> Point:
    return point('maximum', taps=rng.randint(1, 10), lanes=rng.randint(1, 3), bits=rng.randint(1, 8), signed=_bit(rng))


def _mean(rng: random.Random) -> Point:
    return point('mean', taps=rng.choice((1, 2, 3, 4, 6, 9, 12, 16, 25)), lanes=rng.randint(1, 3), **_quotient(rng))


def _average(rng: random.Random) -> Point:
    pixels = rng.choice((1, 2, 3, 4, 7, 9, 12, 16))
    return point('average', pixels=pixels, words=rng.randint(1, 5), lanes=rng.randint(1, 4), **_quotient(rng))


def _quotient(rng: random.Random) -> dict[str, int]:
    bits = rng.randint(2, 12)
    return {
        'in_bits': bits,
        'in_signed': _bit(rng),
        'right': rng.choice((-2, 0, 1, rng.randint(0, bits))),
        'relu': _bit(rng),
        'bits': rng.randint(1, 12),
        'signed': _bit(rng),
    }


def _rom(rng: random.Random) -> Point:
    return point('rom', style=rng.choice(('lut', 'bram')), depth=rng.randint(1, 90), width=rng.randint(1, 20))


def _size(rng: random.Random) -> dict[str, int]:
    """A kernel, a padding, a map and strides whose first window reaches into the image."""
    while True:
        kh, kw, height, columns = (rng.randint(1, 5) for _ in range(4))
        top, left = rng.randint(0, kh), rng.randint(0, kw)
        strides = rng.randint(1, 4), rng.randint(1, 4)
        if top < kh and (kh - 1 - top) * columns + kw - 1 - left >= 0:
            return {
                'kh': kh,
                'kw': kw,
                'top': top,
                'left': left,
                'height': height,
                'columns': columns,
                'stride_h': strides[0],
                'stride_w': strides[1],
                'out_rows': rng.randint(1, -(-height // strides[0])),
                'out_columns': rng.randint(1, -(-columns // strides[1])),
            }


def _window(rng: random.Random) -> Point:
    size, width = _size(rng), rng.randint(1, 12)
    return point(
        'window',
        style=rng.choice(('lutram', 'bram', 'uram')),
        **size,
        words=rng.randint(1, 4),
        width=width,
        outside=rng.choice((0, rng.getrandbits(width))),
        hands=rng.randint(0, 3),
        hand_row=rng.randrange(size['kh']),
        hand_column=rng.randrange(size['kw']),
    )


def _ring(rng: random.Random) -> Point:
    size, column = _size(rng), _bit(rng)
    while size['kw'] == 1 and (column or size['kh'] == 1):  # all of its taps are one word
        size = _size(rng)
    words = rng.choice((1, 2, 4, 6))
    group = rng.choice([each for each in (1, 2, 3, 6) if words % each == 0])
    style = rng.choice(('lutram', 'bram', 'uram'))
    return point('ring', style=style, column=column, **size, words=words, group=group, width=rng.randint(1, 8))


def _mac(rng: random.Random) -> Point:
    multiplier, deep = rng.choice(('lut', 'dsp', 'pair')), _bit(rng)
    pe = rng.randint(1, 4)
    if multiplier == 'pair':
        deep, pe = 0, rng.randint(2, 5)
    most = {'lut': 6, 'dsp': 30, 'pair': 8}[multiplier]
    return point(
        'mac',
        multiplier=multiplier,
        style=rng.choice(('lutram', 'bram')),
        slices=rng.randint(1, 5),
        blocks=1 if deep else rng.randint(1, 4),
        groups=rng.randint(1, 4),
        simd=rng.randint(1, 10) * (pe if deep else 1),
        pe=pe,
        w=rng.randint(1, most),
        a=rng.randint(1, most),
        signed=_bit(rng),
        depthwise=deep,
    )


def _finish(rng: random.Random) -> Point:
    pe, lanes = rng.choice(((1, 1), (3, 3), (1, 2), (2, 6), (1, 4), (2, 1), (6, 2), (4, 1)))
    acc = rng.randint(4, 24)
    own = point(
        'finish',
        pe=pe,
        lanes=lanes,
        sum=rng.randint(2, acc),
        acc=acc,
        bits=rng.randint(1, 10),
        signed=_bit(rng),
        relu=_bit(rng),
        shift=rng.choice((-30, -1, acc, 50, rng.randint(0, acc))),
        depth=rng.randint(1, 40),
        add=0,
    )
    if _bit(rng):
        return own
    add = {
        'add': 1,
        'skip_bits': rng.randint(1, 9),
        'skip_signed': _bit(rng),
        'align_main': rng.randint(0, 4),
        'align_skip': rng.randint(0, 4),
        'add_shift': rng.randint(-3, 9),
        'add_relu': _bit(rng),
        'out_bits': rng.randint(1, 10),
        'out_signed': _bit(rng),
    }
    return point('finish', **(dict(own.parameters) | add))
