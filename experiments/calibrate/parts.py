"""The parts that are synthesized: for each point its Verilog top, its streams, its process and its latency.

A point is (kind, {parameter: value}); its key, `kind name=value ...`, names it in the results. Templates are in `rtl/`,
named as the kind. What a part must do is in `reference`.
"""

from __future__ import annotations

import dataclasses
import math
import random
import re
from itertools import product
from pathlib import Path

from tailor_jax.dataflow import latency
from tailor_jax.dataflow.process import Average, Convert, Mac, Process, Window, Words

RTL = Path(__file__).parent / 'rtl'
TEXTS = ('style', 'multiplier')  # parameters that are no numbers
FILES = {
    'add': ('add.v', 'value.v'),
    'average': ('average.v', 'quotient.v', 'ram.v', 'dsp.v', 'value.v'),
    'finish': ('finish.v', 'rom.v', 'value.v', 'convert.v'),
    'mac': ('mac.v', 'tree.v', 'dsp.v', 'ram.v'),
    'mean': ('mean.v', 'tree.v', 'quotient.v', 'dsp.v', 'value.v'),
    'ring': ('ring.v', 'anchor.v', 'ram.v', 'convert.v'),
    'window': ('window.v', 'anchor.v', 'ram.v'),
}


@dataclasses.dataclass(frozen=True)
class Point:
    """A template and its parameters, as an ordered tuple of pairs."""

    kind: str
    parameters: tuple[tuple[str, int | str], ...]

    def __getitem__(self, name: str) -> int:
        return dict(self.parameters)[name]  # type: ignore[return-value]

    def text(self, name: str) -> str:
        return str(dict(self.parameters).get(name, ''))

    @property
    def key(self) -> str:
        return ' '.join([self.kind, *(f'{name}={value}' for name, value in self.parameters)])


def point(kind: str, **parameters: int | str) -> Point:
    return Point(kind, tuple(parameters.items()))


def parse(key: str) -> Point:
    """The point of a key. Raises ValueError for text that is none."""
    kind, *pairs = key.split()
    found: dict[str, int | str] = {}
    for pair in pairs:
        name, _, value = pair.partition('=')
        if name not in TEXTS and not re.fullmatch(r'\d{1,9}', value):
            raise ValueError(f'{pair!r} is no parameter with its number')
        found[name] = value if name in TEXTS else int(value)
    return Point(kind, tuple(found.items()))


def files(part: Point) -> list[Path]:
    """The Verilog files of a part."""
    return [RTL / name for name in FILES.get(part.kind, (f'{part.kind}.v',))]


def streams(part: Point) -> tuple[list[int], list[int]]:
    """Widths in bits of the input and of the output streams."""
    match part.kind:
        case 'clone':
            return [part['width']], [part['width']] * part['count']
        case 'credit':
            return [1, 1], [1]
        case 'add':
            word = part['lanes'] * part['bits']
            return [word, word], [word]
        case 'relu':
            return [part['lanes'] * part['bits']], [part['lanes'] * (part['bits'] - 1)]
        case 'convert':
            return [part['in'] * part['bits']], [part['out'] * part['bits']]
        case 'maximum' | 'mean':
            word = part['lanes'] * part['bits']
            return [part['taps'] * word], [word]
        case 'average':
            return [part['lanes'] * part['bits']] * 1, [part['lanes'] * part['bits']]
        case 'window':
            return [part['width']], [part['kh'] * part['kw'] * part['width']] + [part['width']] * part['hand']
        case 'ring':
            return [part['width']], [(part['kh'] if part['column'] else 1) * part['width']]
        case 'mac':
            return [part['simd'] * part['a']], [part['pe'] * sum_bits(part)]
        case 'finish':
            word = part['lanes'] * part['bits']
            return [part['pe'] * part['acc']] + [word] * part['add'], [word]
        case 'rom':
            return [address_bits(part['depth'])], [part['width']]
        case _:
            raise ValueError(f'no template of the kind {part.kind!r}')


def address_bits(depth: int) -> int:
    return max(1, (depth - 1).bit_length())


def products(part: Point) -> int:
    """Products that a mac adds for an output in a cycle."""
    return part['simd'] // (part['pe'] if part['depthwise'] else 1)


def sum_bits(part: Point) -> int:
    """Bits of the sums of a mac."""
    return part['a'] + part['w'] + (part['slices'] * products(part) - 1).bit_length()


def chain(part: Point) -> int:
    return latency.chain(part.text('multiplier'), products(part), part['w'], part['a'])


def latency_cycles(part: Point) -> int:
    """From a promise to the word."""
    match part.kind:
        case 'window' | 'ring':
            return latency.WINDOW
        case 'mac':
            return latency.mac(part.text('multiplier'), part['slices'], products(part), part['w'], part['a'])
        case 'finish':
            return latency.finish(part['pe'], part['lanes'], bool(part['add']))
        case 'maximum':
            return latency.levels(part['taps'])
        case 'mean':
            return latency.mean(part['taps'], bool(quotient(part)['MULTIPLY']))
        case 'average':
            return latency.average(bool(quotient(part)['MULTIPLY']))
        case 'clone' | 'credit':
            return latency.CLONE
        case _:
            return latency.WORDS


def quotient(part: Point) -> dict[str, int]:
    """The constants of a mean of `taps` or `pixels` values: exact, rounding half up."""
    count = part['taps'] if part.kind == 'mean' else part['pixels']
    shift = (count - 1).bit_length()
    if count == 1 << shift:
        return {'MULTIPLY': 0, 'M': 1, 'B': count // 2, 'SHIFT': shift}
    right = 17 + (count - 1).bit_length() - 1
    return {'MULTIPLY': 1, 'M': round((1 << right) / count), 'B': 1 << (right - 1), 'SHIFT': right}


def process(part: Point, words: int) -> Process:
    """What the part does when, for an image of so many words at its first input."""
    match part.kind:
        case 'window' | 'ring':
            size, stride = (part['height'], part['columns']), part['stride']
            kh, kw = part['kh'], part['kw']
            lag = (kh - 1 - (kh - 1) // 2) * size[1] + kw - 1 - (kw - 1) // 2
            taps = 1 if part.kind == 'window' else kw if part['column'] else kh * kw
            out = (math.ceil(size[0] / stride), math.ceil(size[1] / stride))
            handed = ((kh - 1) * size[1] + kw - 1,) if part.kind == 'window' and part['hand'] else ()
            return Window(size, out, (stride, stride), lag, part['words'], part['words'] * taps, handed)
        case 'mac':
            return Mac(words // part['slices'], part['slices'], part['blocks'])
        case 'finish':
            pe, lanes = part['pe'], part['lanes']
            return Convert(words, max(1, lanes // pe), max(1, pe // lanes), part['add'])
        case 'convert':
            return Convert(words, max(1, part['out'] // part['in']), max(1, part['in'] // part['out']))
        case 'average':
            return Average(part['pixels'], part['words'], part['lanes'] - 1)
        case 'clone':
            return Words(words, outlets=part['count'])
        case _:
            return Words(words, inlets=len(streams(part)[0]))


def contents(part: Point) -> list[int]:
    """The words of a part's ROM: random, and the same every time."""
    rng = random.Random(part.key)
    match part.kind:
        case 'rom':
            return [rng.getrandbits(part['width']) for _ in range(part['depth'])]
        case 'mac':
            width = part['pe'] * products(part) * part['w']
            return [rng.getrandbits(width) for _ in range(part['slices'] * part['blocks'])]
        case 'finish':  # biases of half the range, so that a sum and its bias stay within theirs
            units, acc = min(part['pe'], part['lanes']), part['acc']
            values = [
                [rng.randrange(-(1 << (acc - 2)), 1 << (acc - 2)) for _ in range(units)] for _ in range(part['depth'])
            ]
            return [sum((value % (1 << acc)) << (c * acc) for c, value in enumerate(row)) for row in values]
        case _:
            return []


def top(part: Point, name: str, simulated: bool) -> str:
    """A module of that name with the streams as ports, no parameters. A ROM of block RAM reads the file of its name. A
    mac is simulated with its ROMs, and synthesized without: they are parts of their own."""
    sources, sinks = streams(part)
    ins, outs = len(sources), len(sinks)
    ports = (
        f'input clk, input rst,\n    input [{sum(sources) - 1}:0] in_data, input [{ins - 1}:0] in_valid, '
        f'output [{ins - 1}:0] in_take,\n    output [{sum(sinks) - 1}:0] out_data, input [{outs - 1}:0] out_room, '
        f'output [{outs - 1}:0] out_promise, output [{outs - 1}:0] out_valid'
    )
    inner = 'clk, rst, in_data, in_valid, in_take, out_data, out_room, out_promise, out_valid'
    body = f'{part.kind} #({_given(part, name)}) template_of ({inner}'
    if part.kind == 'rom':
        if not simulated:
            ports = f'input clk, input [{sources[0] - 1}:0] in_data, output [{sinks[0] - 1}:0] out_data'
            body = f'rom #({_given(part, name)}) template_of (clk, in_data, out_data'
        else:
            body = (
                'reg valid; assign in_take = in_valid && out_room, out_promise = in_take, out_valid = valid;\n'
                f'always @(posedge clk) valid <= in_take && !rst;\nrom #({_given(part, name)}) template_of '
                '(clk, in_data, out_data'
            )
    if part.kind == 'mac':
        address, count = address_bits(part['slices'] * part['blocks']), chain(part)
        width = part['pe'] * products(part) * part['w']
        lines = f'[{count * address - 1}:0] rom_at', f'[{width - 1}:0] weights'
        if simulated:
            body = f'wire {lines[0]};\nwire {lines[1]};\n{_roms(part, name)}{body}, rom_at, weights'
        else:
            ports += f',\n    output {lines[0]}, input {lines[1]}'
            body += ', rom_at, weights'
    return f'(* keep_hierarchy *) module {name} ({ports});\n{body});\nendmodule\n'


def _given(part: Point, name: str) -> str:
    """The parameters of the template."""
    given: dict[str, int | str] = {key.upper(): value for key, value in part.parameters}
    if part.kind in ('mean', 'average'):
        given |= quotient(part)
    if part.kind == 'mac':
        given['CHAIN'] = chain(part)
    pairs = [
        f'.{key}({value if isinstance(value, int) else chr(34) + value + chr(34)})' for key, value in given.items()
    ]
    if part.kind == 'rom' and part.text('style') == 'bram':
        pairs.append(f'.FILE("{name}.hex")')
    elif part.kind in ('rom', 'finish'):
        words = contents(part)
        width = part['width'] if part.kind == 'rom' else min(part['pe'], part['lanes']) * part['acc']
        value = sum(word << (k * width) for k, word in enumerate(words))
        pairs.append(f".WORDS({len(words) * width}'h{value:x})")
    return ', '.join(pairs)


def _roms(part: Point, name: str) -> str:
    """For each place in the chains a ROM of its own, and the bits that are taken from it."""
    count, inner, width = chain(part), products(part), part['w']
    depth, whole = part['slices'] * part['blocks'], part['pe'] * inner * part['w']
    address = address_bits(depth)
    lines = []
    for k in range(count):
        lines.append(f'wire [{whole - 1}:0] words{k};')
        at = f'rom_at[{k * address} +: {address}]'
        sizes = f'.STYLE("bram"), .DEPTH({depth}), .WIDTH({whole}), .FILE("{name}.hex")'
        lines.append(f'rom #({sizes}) rom{k} (clk, {at}, words{k});')
    if depth == 1:
        lines = [f"wire [{whole - 1}:0] words{k} = {whole}'h{contents(part)[0]:x};" for k in range(count)]
    chains = math.ceil(inner / count)
    taken = []
    for c, n in product(range(part['pe']), range(inner)):
        place = n % count + (chains * count - inner if n // count == chains - 1 else 0)
        taken.append(f'words{place}[{(c * inner + n) * width} +: {width}]')
    lines.append(f'assign weights = {{{", ".join(reversed(taken))}}};')
    return '\n'.join(lines) + '\n'
