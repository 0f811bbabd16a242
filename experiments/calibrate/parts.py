"""The parts that are synthesized: for each point its Verilog top, its streams and what it must do, as integers.

A point is (kind, {parameter: value}); its key, `kind name=value ...`, names it in the results. Templates are in `rtl/`,
named as the kind.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Iterator
from pathlib import Path

RTL = Path(__file__).parent / 'rtl'
FILES = {'add': ('add.v', 'requantize.v')}


@dataclasses.dataclass(frozen=True)
class Point:
    """A template and its parameters, as an ordered tuple of pairs."""

    kind: str
    parameters: tuple[tuple[str, int | str], ...]

    def __getitem__(self, name: str) -> int:
        return dict(self.parameters)[name]  # type: ignore[return-value]

    @property
    def key(self) -> str:
        return ' '.join([self.kind, *(f'{name}={value}' for name, value in self.parameters)])

    @property
    def style(self) -> str:
        return str(dict(self.parameters).get('style', dict(self.parameters).get('multiplier', '')))


def point(kind: str, **parameters: int | str) -> Point:
    return Point(kind, tuple(parameters.items()))


def parse(key: str) -> Point:
    """The point of a key. Raises ValueError for text that is none."""
    kind, *pairs = key.split()
    found: dict[str, int | str] = {}
    for pair in pairs:
        name, _, value = pair.partition('=')
        if name not in ('style', 'multiplier') and not re.fullmatch(r'\d{1,9}', value):
            raise ValueError(f'{pair!r} is no parameter with its number')
        found[name] = value if name in ('style', 'multiplier') else int(value)
    return Point(kind, tuple(found.items()))


def files(part: Point) -> list[Path]:
    """The Verilog files of a part."""
    return [RTL / name for name in FILES.get(part.kind, (f'{part.kind}.v',))]


def streams(part: Point) -> tuple[list[int], list[int]]:
    """Widths in bits of the input and of the output streams."""
    match part.kind:
        case 'fifo':
            return [part['width']], [part['width']]
        case 'clone':
            return [part['width']], [part['width']] * 2
        case 'add':
            token = part['channels'] * part['bits']
            return [token, token], [token]
        case 'requantize':
            return [part['channels'] * part['acc']], [part['channels'] * part['bits']]
        case 'maximum':
            token = part['channels'] * part['bits']
            return [part['taps'] * token], [token]
        case 'window':
            return [part['width']], [part['kernel'] ** 2 * part['width']]
        case 'mac':
            inner = [part['slices'] * part['products'] * part['a'], part['channels'] * part['products'] * part['w']]
            return inner, [part['channels'] * accumulator(part)]
        case 'rom':
            return [1], [part['width']]
        case _:
            raise ValueError(f'no template of the kind {part.kind!r}')


def accumulator(part: Point) -> int:
    """Bits of the sums of a mac."""
    return part['a'] + part['w'] + (part['slices'] * part['products'] - 1).bit_length()


def top(part: Point, name: str) -> str:
    """A module of that name with the streams as ports, no parameters; a ROM reads the file of the same name."""
    (sources, sinks), memory = streams(part), f', .FILE("{name}.hex")' if part.kind == 'rom' else ''
    given = ', '.join(
        f'.{name.upper()}({value if isinstance(value, int) else chr(34) + value + chr(34)})'
        for name, value in part.parameters
    )
    ins, outs = len(sources), len(sinks)
    return (
        f'(* keep_hierarchy *) module {name} (input clk, input rst,\n'
        f'    input [{sum(sources) - 1}:0] in_data, input [{ins - 1}:0] in_valid, output [{ins - 1}:0] in_ready,\n'
        f'    output [{sum(sinks) - 1}:0] out_data, output [{outs - 1}:0] out_valid, input [{outs - 1}:0] out_ready);\n'
        f'    {part.kind} #({given}{memory}) template (clk, rst, in_data, in_valid, in_ready, out_data, out_valid, '
        'out_ready);\n'
        f'endmodule\n'
    )


def words(part: Point) -> list[int]:
    """The contents of a ROM: random, and the same every time."""
    rng = random.Random(part.key)
    return [rng.getrandbits(part['width']) for _ in range(part['depth'])]


def stimulus(part: Point) -> list[list[int]]:
    """Random tokens for each input, enough to fill what stores and to pass every state."""
    rng = random.Random(part.key)
    sources, _ = streams(part)
    counts = [{'fifo': 60, 'window': 60, 'rom': 40}.get(part.kind, 40)] * len(sources)
    if part.kind in ('fifo', 'rom'):
        counts = [counts[0] + 2 * part['depth']]
    if part.kind == 'window':
        counts = [2 * part['height'] * part['columns'] + 2 * part['columns'] + 5]
    if part.kind == 'mac':
        counts[1] *= part['slices']
    return [
        [rng.getrandbits(width) if k > 1 else -k % (1 << width) for k in range(count)]
        for width, count in zip(sources, counts)
    ]


def reference(part: Point, tokens: list[list[int]]) -> list[list[int]]:
    """The tokens that must come out, an independent statement of each template in plain integers."""
    match part.kind:
        case 'fifo':
            return tokens
        case 'clone':
            return tokens * 2
        case 'rom':
            return [[words(part)[k % part['depth']] for k in range(len(tokens[0]))]]
        case 'requantize':
            return [
                [
                    _join((_requantized(x, part) for x in _split(token, part['acc'], part['channels'])), part['bits'])
                    for token in tokens[0]
                ]
            ]
        case 'add':
            bits, channels = part['bits'], part['channels']
            pairs = zip(*([_split(token, bits, channels) for token in stream] for stream in tokens))
            return [[_join((_requantized(x + y, part) for x, y in zip(one, other)), bits) for one, other in pairs]]
        case 'maximum':
            channels, bits = part['channels'], part['bits']
            fields = [_split(token, bits, part['taps'] * channels) for token in tokens[0]]
            return [[_join([max(values[c::channels]) for c in range(channels)], bits) for values in fields]]
        case 'window':
            return [list(_windows(part, tokens[0]))]
        case 'mac':
            return [list(_sums(part, *tokens))]
        case _:
            raise ValueError(f'no template of the kind {part.kind!r}')


def _requantized(x: int, part: Point) -> int:
    shift, bits = part['shift'], part['bits']
    rounded = (x + (1 << shift >> 1)) >> shift
    low, high = (0, (1 << bits) - 1) if part['relu'] else (-(1 << bits >> 1), (1 << bits >> 1) - 1)
    return min(max(rounded, low), high)


def _windows(part: Point, tokens: list[int]) -> Iterator[int]:
    """Every whole window, "same" padding: token k completes the one anchored `lag` tokens before it."""
    kernel, height, columns, width = part['kernel'], part['height'], part['columns'], part['width']
    pad = (kernel - 1) // 2
    lag = (kernel - 1 - pad) * (columns + 1)
    for anchor in range(len(tokens) - lag):
        image, (row, column) = anchor // (height * columns), divmod(anchor % (height * columns), columns)
        taps = []
        for y in range(row - pad, row - pad + kernel):
            for x in range(column - pad, column - pad + kernel):
                inside = 0 <= y < height and 0 <= x < columns
                taps.append(tokens[image * height * columns + y * columns + x] if inside else 0)
        yield _join(taps, width)


def _sums(part: Point, activations: list[int], weights: list[int]) -> Iterator[int]:
    slices, products, channels = part['slices'], part['products'], part['channels']
    for index, token in enumerate(activations):
        values, totals = _split(token, part['a'], slices * products), [0] * channels
        for number in range(slices):
            row = _split(weights[index * slices + number], part['w'], channels * products)
            for c in range(channels):
                totals[c] += sum(values[number * products + k] * row[c * products + k] for k in range(products))
        yield _join(totals, accumulator(part))


def _split(token: int, bits: int, count: int) -> list[int]:
    """Signed fields of a token, the first in its lowest bits."""
    fields = [token >> index * bits & (1 << bits) - 1 for index in range(count)]
    return [value - (1 << bits) if value >> bits - 1 else value for value in fields]


def _join(values: Iterator[int] | list[int], bits: int) -> int:
    return sum((value & (1 << bits) - 1) << index * bits for index, value in enumerate(values))
