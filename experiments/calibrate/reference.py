"""What the parts must do: random words for their inputs, and the words that must come out, in plain integers.

Rounding and saturation are `fixed.requantize`, a mean is divided (`integers.mean`): the definitions of `run_int`. Sums
and weights are signed; a word's first value lies in its lowest bits.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from experiments.calibrate import parts, templates
from experiments.calibrate.point import Point
from tailor_jax.integers.fixed import Fixed, requantize

Words = list[int]
Numbers = dict[str, int]


def stimulus(part: Point) -> list[Words]:
    """Random words for each input, enough to pass every state; among the first are words of zeros and of ones."""
    rng = random.Random(part.key)
    of = templates.numbers(part)
    sources, _ = parts.streams(part)
    if part.kind == 'finish':
        return _sums_and_skips(of, rng)
    if part.kind == 'rom':
        return [[k % of['depth'] for k in range(2 * of['depth'])]]
    count = {
        'window': lambda: _images(of, part),
        'ring': lambda: _images(of, part),
        'mac': lambda: of['slices'] * of['groups'] * min(40, max(3, 4000 // _work(of))),
        'average': lambda: 3 * of['pixels'] * of['words'],
        'convert': lambda: 40 * max(1, of['out'] // of['in']),
    }.get(part.kind, lambda: 40)()
    return [[rng.getrandbits(width) if k > 1 else -k % (1 << width) for k in range(count)] for width in sources]


def _work(of: Numbers) -> int:
    """Products of all groups of a mac."""
    return of['slices'] * of['blocks'] * of['groups'] * of['simd'] * of['pe']


def _images(of: Numbers, part: Point) -> int:
    """Words of two images and what the window lags, or of the first rows of a large one."""
    lag_rows = -(-parts.lag(part) // of['columns'])
    rows = 2 * of['height'] + lag_rows if of['height'] * of['words'] <= 64 else of['kh'] + lag_rows + 4
    return rows * of['columns'] * of['words']


def _sums_and_skips(of: Numbers, rng: random.Random) -> list[Words]:
    """Sums small enough for a bias on top of them, and around what saturates."""
    pe, lanes, wide = of['pe'], of['lanes'], of['sum']
    most = min(1 << min(wide - 1, of['acc'] - 2), 1 << max(1, of['bits'] + of['shift'] + 1))
    count = 40 * max(1, lanes // pe)
    sums = [join([rng.randrange(-most, most) for _ in range(pe)], wide) for _ in range(count)]
    if not of['add']:
        return [sums]
    return [sums, [rng.getrandbits(lanes * of['skip_bits']) for _ in range(count * pe // lanes)]]


def reference(part: Point, words: list[Words]) -> list[Words]:
    """The words that must come out of each output."""
    of = templates.numbers(part)
    match part.kind:
        case 'clone':
            return [words[0]] * of['count']
        case 'credit':
            return [[bit & 1 for bit in words[0]]]
        case 'rom':
            return [[parts.contents(part)[at] for at in words[0]]]
        case 'add':
            return [_added(of, *words)]
        case 'relu':
            signed = bool(of['signed'])
            values = ([max(0, x) for x in split(word, of['bits'], of['lanes'], signed)] for word in words[0])
            return [[join(each, of['out_bits']) for each in values]]
        case 'leaky_relu':
            return [[_leaked(of, word) for word in words[0]]]
        case 'convert':
            return [_rejoined(words[0], of['bits'], of['in'], of['out'])]
        case 'maximum':
            return [[join([max(each) for each in _by_lane(of, word, 'bits')], of['bits']) for word in words[0]]]
        case 'mean':
            sums = ([sum(each) for each in _by_lane(of, word, 'in_bits')] for word in words[0])
            return [[join(_divided(part, each), of['bits']) for each in sums]]
        case 'average':
            return [list(_averages(part, words[0]))]
        case 'window' | 'ring':
            return _windows(part, words[0])
        case 'mac':
            return [list(_sums(part, words[0]))]
        case 'finish':
            return [list(_finished(part, *words))]
        case _:
            raise ValueError(f'no template of the kind {part.kind!r}')


def requantized(values: list[int], shift: int, bits: int, signed: int, relu: int) -> list[int]:
    """`fixed.requantize`, behind a ReLU."""
    accumulators = np.array([max(0, value) if relu else value for value in values], np.int64)
    return requantize(accumulators, shift, Fixed(bits, 0, bool(signed))).tolist()


def _added(of: Numbers, first: Words, second: Words) -> Words:
    found = []
    for one, other in zip(first, second):
        a = split(one, of['a_bits'], of['lanes'], bool(of['a_signed']))
        b = split(other, of['b_bits'], of['lanes'], bool(of['b_signed']))
        sums = [(x << of['align_a']) + (y << of['align_b']) for x, y in zip(a, b)]
        found.append(join(requantized(sums, of['shift'], of['bits'], of['signed'], of['relu']), of['bits']))
    return found


def _leaked(of: Numbers, word: int) -> int:
    values = split(word, of['in_bits'], of['lanes'], bool(of['in_signed']))
    products = [x * of['factor'] if x < 0 else x << of['align'] for x in values]
    return join(requantized(products, of['shift'], of['bits'], of['signed'], of['relu']), of['bits'])


def _rejoined(words: Words, bits: int, one: int, other: int) -> Words:
    values = [value for word in words for value in split(word, bits, one, signed=False)]
    return [join(values[k : k + other], bits) for k in range(0, len(values), other)]


def _by_lane(of: Numbers, word: int, bits: str) -> list[list[int]]:
    """The taps of each lane."""
    signed = of['signed'] if bits == 'bits' else of['in_signed']
    values = split(word, of[bits], of['taps'] * of['lanes'], bool(signed))
    return [values[c :: of['lanes']] for c in range(of['lanes'])]


def _divided(part: Point, sums: list[int]) -> list[int]:
    """The means of sums, as `run_node` defines them."""
    of, mean = templates.numbers(part), templates.mean_of(part)
    quotients = [((total << mean.shift) + mean.rounding) // mean.divisor for total in sums]
    right = dict(part.parameters).get('right', mean.frac)
    assert isinstance(right, int)
    return requantized(quotients, right, of['bits'], of['signed'], of['relu'])


def _averages(part: Point, words: Words) -> Iterator[int]:
    """Image by image; words of a pixel follow one another."""
    of = templates.numbers(part)
    count, size = of['words'], of['pixels'] * of['words']
    for image in range(len(words) // size):
        pixels = words[image * size : (image + 1) * size]
        for f in range(count):
            fields = (split(word, of['in_bits'], of['lanes'], bool(of['in_signed'])) for word in pixels[f::count])
            yield join(_divided(part, [sum(each) for each in zip(*fields)]), of['bits'])


def _windows(part: Point, words: Words) -> list[Words]:
    """Windows of pixels whose anchor is on the grid: visit k completes the one anchored `lag` pixels before it."""
    of = templates.numbers(part)
    height, columns, size, lag = of['height'], of['columns'], of['words'], parts.lag(part)
    pixels = [words[k : k + size] for k in range(0, len(words), size)]
    outside, found = of.get('outside', 0), Words()
    for anchor in range(len(pixels) - lag):
        image, (row, column) = anchor // (height * columns), divmod(anchor % (height * columns), columns)
        place, off_row = divmod(row, of['stride_h'])
        other, off_column = divmod(column, of['stride_w'])
        if off_row or off_column or place >= of['out_rows'] or other >= of['out_columns']:
            continue

        def tap(i: int, j: int, word: int, row: int = row, column: int = column, image: int = image) -> int:
            y, x = row - of['top'] + i, column - of['left'] + j
            inside = 0 <= y < height and 0 <= x < columns
            return pixels[(image * height + y) * columns + x][word] if inside else outside

        found += [join([tap(*at) for at in group], of['width']) for group in _order(part)]
    if part.kind == 'ring' or not of['hands']:
        return [found]
    handed = words[: max(0, len(words) - parts.wait_pixels(part) * size)]
    return [found, *[handed] * of['hands']]


def _order(part: Point) -> Iterator[list[tuple[int, int, int]]]:
    """The words of a window: for each the (row, column, word) that it holds."""
    rows, columns, words = range(part['kh']), range(part['kw']), part['words']
    if part.kind == 'window':
        yield from ([(i, j, f) for i in rows for j in columns] for f in range(words))
        return
    for first in range(0, words, part['group']):
        group = range(first, first + part['group'])
        if part['column']:
            yield from ([(i, j, f) for i in rows] for j in columns for f in group)
        else:
            yield from ([(i, j, f)] for i in rows for j in columns for f in group)


def _sums(part: Point, words: Words) -> Iterator[int]:
    of, inner = templates.numbers(part), parts.products(part)
    slices, pe, simd, blocks = of['slices'], of['pe'], of['simd'], of['blocks']
    rom = [split(word, of['w'], pe * inner) for word in parts.contents(part)]
    for step, first in enumerate(range(0, len(words), slices)):
        values = [split(word, of['a'], simd, bool(of['signed'])) for word in words[first : first + slices]]
        for block in range(blocks):
            entry, totals = (step % of['groups'] * blocks + block) * slices, []
            for c in range(pe):
                own = [row[c::pe] if of['depthwise'] else row for row in values]
                weights = [rom[entry + s][c * inner : (c + 1) * inner] for s in range(slices)]
                totals.append(sum(x * w for xs, ws in zip(own, weights) for x, w in zip(xs, ws)))
            yield join(totals, of['sum'])


def _finished(part: Point, sums: Words, skips: Words | None = None) -> Iterator[int]:
    """The ROM's words have the rounding in them, where it is within their bits."""
    of = templates.numbers(part)
    pe, lanes, acc, bits = of['pe'], of['lanes'], of['acc'], of['bits']
    units, half = min(pe, lanes), 1 << of['shift'] >> 1 if 0 < of['shift'] < acc else 0
    biases = [value - half for word in parts.contents(part) for value in split(word, acc, units)]
    values = [value for word in sums for value in split(word, of['sum'], pe)]
    biased = [value + biases[k % len(biases)] for k, value in enumerate(values)]
    done = requantized(biased, of['shift'], bits, of['signed'], of['relu'])
    joined = [join(done[first : first + lanes], bits) for first in range(0, len(done), lanes)]
    if skips is None:
        yield from joined
        return
    add = {
        'lanes': lanes,
        'a_bits': bits,
        'a_signed': of['signed'],
        'b_bits': of['skip_bits'],
        'b_signed': of['skip_signed'],
        'align_a': of['align_main'],
        'align_b': of['align_skip'],
        'shift': of['add_shift'],
        'relu': of['add_relu'],
        'bits': of['out_bits'],
        'signed': of['out_signed'],
    }
    yield from _added(add, joined, skips)


def split(word: int, bits: int, count: int, signed: bool = True) -> list[int]:
    """The fields of a word."""
    fields = [word >> index * bits & (1 << bits) - 1 for index in range(count)]
    return [value - (1 << bits) if signed and value >> bits - 1 else value for value in fields]


def join(values: list[int], bits: int) -> int:
    return sum((value & (1 << bits) - 1) << index * bits for index, value in enumerate(values))
