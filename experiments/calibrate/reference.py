"""What the parts must do: random words for their inputs, and the words that must come out, in plain integers.

Activations are unsigned, weights and sums signed; a word's first value lies in its lowest bits.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from experiments.calibrate import parts
from experiments.calibrate.parts import Point

Words = list[int]


def stimulus(part: Point) -> list[Words]:
    """Random words for each input, enough to pass every state; among the first are words of zeros and of ones."""
    rng = random.Random(part.key)
    sources, _ = parts.streams(part)
    if part.kind == 'finish':
        return _sums_and_skips(part, rng)
    count = {
        'window': lambda: _images(part),
        'ring': lambda: _images(part),
        'mac': lambda: (
            part['slices'] * min(40, max(6, 4000 // (part['slices'] * part['blocks'] * part['simd'] * part['pe'])))
        ),
        'average': lambda: 3 * part['pixels'] * part['words'],
        'convert': lambda: 40 * max(1, part['out'] // part['in']),
        'rom': lambda: 2 * part['depth'],
    }.get(part.kind, lambda: 40)()
    found = [[rng.getrandbits(width) if k > 1 else -k % (1 << width) for k in range(count)] for width in sources]
    if part.kind == 'rom':
        return [[k % part['depth'] for k in range(count)]]
    return found


def _pixels(part: Point) -> int:
    """Of a mac: fewer of a large one."""
    work = part['slices'] * part['blocks'] * part['simd'] * part['pe']
    return min(40, max(6, 4000 // work))


def _images(part: Point) -> int:
    """Words of two images, or of the first rows of a large one."""
    rows = 2 * part['height'] if part['height'] * part['words'] <= 64 else part['kh'] + 4
    return rows * part['columns'] * part['words']


def _sums_and_skips(part: Point, rng: random.Random) -> list[Words]:
    """Sums small enough for a bias on top of them, and around what saturates."""
    pe, lanes, acc = part['pe'], part['lanes'], part['acc']
    most = min(1 << (acc - 2), 1 << (part['bits'] + part['shift'] + 1))
    count = 40 * max(1, lanes // pe)
    sums = [join([rng.randrange(-most, most) for _ in range(pe)], acc) for _ in range(count)]
    return [sums] + [[rng.getrandbits(lanes * part['bits']) for _ in range(count * pe // lanes)]] * part['add']


def reference(part: Point, words: list[Words]) -> list[Words]:
    """The words that must come out of each output."""
    match part.kind:
        case 'clone':
            return [words[0]] * part['count']
        case 'credit':
            return [[bit & 1 for bit in words[0]]]
        case 'rom':
            return [[parts.contents(part)[at] for at in words[0]]]
        case 'add':
            pairs = zip(*([split(word, part['bits'], part['lanes']) for word in stream] for stream in words))
            return [[join([_added(x, y, part) for x, y in zip(one, other)], part['bits']) for one, other in pairs]]
        case 'relu':
            values = ([max(0, x) for x in split(word, part['bits'], part['lanes'])] for word in words[0])
            return [[join(each, part['bits'] - 1) for each in values]]
        case 'convert':
            return [_rejoined(words[0], part['bits'], part['in'], part['out'])]
        case 'maximum' | 'mean':
            return [list(_reduced(part, words[0]))]
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


def requantized(x: int, shift: int, bits: int, relu: bool) -> int:
    rounded = (x + (1 << shift >> 1)) >> shift
    low, high = (0, (1 << bits) - 1) if relu else (-(1 << bits >> 1), (1 << bits >> 1) - 1)
    return min(max(rounded, low), high)


def _added(x: int, y: int, part: Point) -> int:
    return requantized((x << part['align']) + y, part['shift'], part['bits'], bool(part['relu']))


def _rejoined(words: Words, bits: int, one: int, other: int) -> Words:
    values = [value for word in words for value in split(word, bits, one, signed=False)]
    return [join(values[k : k + other], bits) for k in range(0, len(values), other)]


def _reduced(part: Point, words: Words) -> Iterator[int]:
    lanes, bits, taps = part['lanes'], part['bits'], part['taps']
    for word in words:
        values = split(word, bits, taps * lanes, signed=False)
        by_lane = [values[c::lanes] for c in range(lanes)]
        yield join([max(each) if part.kind == 'maximum' else _rounded(sum(each), taps) for each in by_lane], bits)


def _averages(part: Point, words: Words) -> Iterator[int]:
    """Image by image; words of a pixel follow one another."""
    count, size = part['words'], part['pixels'] * part['words']
    for image in range(len(words) // size):
        pixels = words[image * size : (image + 1) * size]
        for f in range(count):
            lanes = zip(*(split(word, part['bits'], part['lanes'], signed=False) for word in pixels[f::count]))
            yield join([_rounded(sum(each), part['pixels']) for each in lanes], part['bits'])


def _rounded(total: int, count: int) -> int:
    """The mean, rounded half up."""
    return (2 * total + count) // (2 * count)


def _windows(part: Point, words: Words) -> list[Words]:
    """Windows of pixels whose anchor is on the grid: visit k completes the one anchored `lag` pixels before it."""
    kh, kw, height, columns, size = part['kh'], part['kw'], part['height'], part['columns'], part['words']
    top, left = (kh - 1) // 2, (kw - 1) // 2
    lag = (kh - 1 - top) * columns + kw - 1 - left
    pixels = [words[k : k + size] for k in range(0, len(words), size)]
    found: Words = []
    for anchor in range(len(pixels) - lag):
        image, (row, column) = anchor // (height * columns), divmod(anchor % (height * columns), columns)
        if row % part['stride'] or column % part['stride']:
            continue

        def tap(i: int, j: int, word: int, row: int = row, column: int = column, image: int = image) -> int:
            y, x = row - top + i, column - left + j
            inside = 0 <= y < height and 0 <= x < columns
            return pixels[(image * height + y) * columns + x][word] if inside else 0

        found += [join([tap(*at) for at in group], part['width']) for group in _order(part)]
    if part.kind == 'ring' or not part['hand']:
        return [found]
    wait = (kh - 1) * columns + kw - 1
    return [found, words[: len(words) - wait * size]]


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
    slices, inner, pe, simd = part['slices'], parts.products(part), part['pe'], part['simd']
    rom = [split(word, part['w'], pe * inner) for word in parts.contents(part)]
    for first in range(0, len(words), slices):
        values = [split(word, part['a'], simd, signed=False) for word in words[first : first + slices]]
        for block in range(part['blocks']):
            totals = []
            for c in range(pe):
                own = [row[c::pe] if part['depthwise'] else row for row in values]
                weights = [rom[block * slices + s][c * inner : (c + 1) * inner] for s in range(slices)]
                totals.append(sum(x * w for xs, ws in zip(own, weights) for x, w in zip(xs, ws)))
            yield join(totals, parts.sum_bits(part))


def _finished(part: Point, sums: Words, skips: Words | None = None) -> Iterator[int]:
    """The ROM's words have the rounding in them."""
    pe, lanes, acc, bits = part['pe'], part['lanes'], part['acc'], part['bits']
    units, half = min(pe, lanes), 1 << part['shift'] >> 1
    biases = [value - half for word in parts.contents(part) for value in split(word, acc, units)]
    values = [value for word in sums for value in split(word, acc, pe)]
    relu = bool(part['relu'])
    done = [
        requantized(value + biases[k % len(biases)], part['shift'], bits, relu and not part['add'])
        for k, value in enumerate(values)
    ]
    for number, first in enumerate(range(0, len(done), lanes)):
        word = done[first : first + lanes]
        if skips is not None:
            skip = split(skips[number], bits, lanes)
            word = [requantized(x + y, 0, bits, relu) for x, y in zip(word, skip)]
        yield join(word, bits)


def split(word: int, bits: int, count: int, signed: bool = True) -> list[int]:
    """The fields of a word."""
    fields = [word >> index * bits & (1 << bits) - 1 for index in range(count)]
    return [value - (1 << bits) if signed and value >> bits - 1 else value for value in fields]


def join(values: list[int], bits: int) -> int:
    return sum((value & (1 << bits) - 1) << index * bits for index, value in enumerate(values))
