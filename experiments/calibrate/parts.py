"""The parts that are synthesized: for each point its Verilog top, its streams, its process and its latency.

A point is (kind, {parameter: value}); its key, `kind name=value ...`, names it in the results. The parts are those of
`hls_export/verilog/rtl`, named as the kind; `templates` says what a point's parameters are in full. What a part must do
is in `reference`.
"""

from __future__ import annotations

import math
import random
from itertools import product
from pathlib import Path

from experiments.calibrate import templates
from experiments.calibrate.point import Point
from hls_export.verilog.tools import RTL
from tailor_jax.dataflow import latency
from tailor_jax.dataflow.process import Average, Convert, Mac, Process, Window, Words

FILES = {
    'add': ('add.v', 'value.v'),
    'average': ('average.v', 'quotient.v', 'ram.v', 'dsp.v', 'value.v'),
    'finish': ('finish.v', 'rom.v', 'value.v', 'convert.v'),
    'leaky_relu': ('leaky_relu.v', 'dsp.v', 'value.v'),
    'mac': ('mac.v', 'tree.v', 'dsp.v', 'ram.v'),
    'mean': ('mean.v', 'tree.v', 'quotient.v', 'dsp.v', 'value.v'),
    'ring': ('ring.v', 'anchor.v', 'ram.v', 'convert.v'),
    'window': ('window.v', 'anchor.v', 'ram.v'),
}


def files(part: Point) -> list[Path]:
    """The Verilog files of a part."""
    return [RTL / name for name in FILES.get(part.kind, (f'{part.kind}.v',))]


def streams(part: Point) -> tuple[list[int], list[int]]:
    """Widths in bits of the input and of the output streams."""
    of = templates.numbers(part)
    lanes = of.get('lanes', 1)
    match part.kind:
        case 'clone':
            return [of['width']], [of['width']] * of['count']
        case 'credit':
            return [1, 1], [1]
        case 'add':
            return [lanes * of['a_bits'], lanes * of['b_bits']], [lanes * of['bits']]
        case 'relu':
            return [lanes * of['bits']], [lanes * of['out_bits']]
        case 'convert':
            return [of['in'] * of['bits']], [of['out'] * of['bits']]
        case 'maximum':
            return [of['taps'] * lanes * of['bits']], [lanes * of['bits']]
        case 'mean':
            return [of['taps'] * lanes * of['in_bits']], [lanes * of['bits']]
        case 'average' | 'leaky_relu':
            return [lanes * of['in_bits']], [lanes * of['bits']]
        case 'window':
            return [of['width']], [of['kh'] * of['kw'] * of['width']] + [of['width']] * of['hands']
        case 'ring':
            return [of['width']], [(of['kh'] if of['column'] else 1) * of['width']]
        case 'mac':
            return [of['simd'] * of['a']], [of['pe'] * of['sum']]
        case 'finish':
            sums = of['pe'] * of['sum']
            if of['add']:
                return [sums, lanes * of['skip_bits']], [lanes * of['out_bits']]
            return [sums], [lanes * of['bits']]
        case 'rom':
            return [address_bits(of['depth'])], [of['width']]
        case _:
            raise ValueError(f'no template of the kind {part.kind!r}')


def address_bits(depth: int) -> int:
    return max(1, (depth - 1).bit_length())


def products(part: Point) -> int:
    """Products that a mac adds for an output in a cycle."""
    return part['simd'] // (part['pe'] if part['depthwise'] else 1)


def latency_cycles(part: Point) -> int:
    """From a promise to the word."""
    of = templates.numbers(part)
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
            return latency.mean(part['taps'], bool(of['multiply']))
        case 'average':
            return latency.average(bool(of['multiply']))
        case 'leaky_relu':
            return latency.DSP_CYCLES + latency.WORDS
        case 'clone' | 'credit':
            return latency.CLONE
        case _:
            return latency.WORDS


def lag(part: Point) -> int:
    """Pixels from the anchor of a window to the one that comes in."""
    of = templates.numbers(part)
    return (of['kh'] - 1 - of['top']) * of['columns'] + of['kw'] - 1 - of['left']


def process(part: Point, words: int) -> Process:
    """What the part does when, for an image of so many words at its first input."""
    of = templates.numbers(part)
    match part.kind:
        case 'window' | 'ring':
            size, kh, kw = (of['height'], of['columns']), of['kh'], of['kw']
            taps = 1 if part.kind == 'window' else kw if of['column'] else kh * kw
            out, stride = (of['out_rows'], of['out_columns']), (of['stride_h'], of['stride_w'])
            handed = (wait_pixels(part),) * of['hands'] if part.kind == 'window' else ()
            return Window(size, out, stride, lag(part), of['words'], of['words'] * taps, handed)
        case 'mac':
            return Mac(words // of['slices'], of['slices'], of['blocks'])
        case 'finish':
            pe, lanes = of['pe'], of['lanes']
            return Convert(words, max(1, lanes // pe), max(1, pe // lanes), of['add'])
        case 'convert':
            return Convert(words, max(1, of['out'] // of['in']), max(1, of['in'] // of['out']))
        case 'average':
            return Average(of['pixels'], of['words'], of['lanes'] - 1)
        case 'clone':
            return Words(words, outlets=of['count'])
        case _:
            return Words(words, inlets=len(streams(part)[0]))


def wait_pixels(part: Point) -> int:
    """Pixels from the one that a window hands on to the one that comes in."""
    of = templates.numbers(part)
    return (of['kh'] - 1 - of['hand_row']) * of['columns'] + of['kw'] - 1 - of['hand_column']


def rom_words(part: Point) -> int:
    """Words of a mac's ROMs."""
    of = templates.numbers(part)
    return of['slices'] * of['blocks'] * of['groups']


def contents(part: Point) -> list[int]:
    """The words of a part's ROM: random, and the same every time."""
    rng = random.Random(part.key)
    match part.kind:
        case 'rom':
            return [rng.getrandbits(part['width']) for _ in range(part['depth'])]
        case 'mac':
            width = part['pe'] * products(part) * part['w']
            return [rng.getrandbits(width) for _ in range(rom_words(part))]
        case 'finish':  # biases of half the range, so that a sum and its bias stay within theirs
            units, acc = min(part['pe'], part['lanes']), part['acc']
            values = [
                [rng.randrange(-(1 << (acc - 2)), 1 << (acc - 2)) for _ in range(units)] for _ in range(part['depth'])
            ]
            return [sum((value % (1 << acc)) << (c * acc) for c, value in enumerate(row)) for row in values]
        case _:
            return []


_RESTING = (
    'average',
    'convert',
    'finish',
    'mac',
    'ring',
    'window',
)  # say last whether they are in the midst of something


def top(part: Point, name: str, simulated: bool) -> str:
    """A module of that name with the streams as ports, no parameters; a ROM reads the file of its name. A mac is
    simulated with its ROMs, and synthesized without: they are parts of their own."""
    sources, sinks = streams(part)
    ins, outs = len(sources), len(sinks)
    ports = (
        f'input clk, input rst,\n    input [{sum(sources) - 1}:0] in_data, input [{ins - 1}:0] in_valid, '
        f'output [{ins - 1}:0] in_take,\n    output [{sum(sinks) - 1}:0] out_data, input [{outs - 1}:0] out_room, '
        f'output [{outs - 1}:0] out_promise, output [{outs - 1}:0] out_valid'
    )
    inner = 'clk, rst, in_data, in_valid, in_take, out_data, out_room, out_promise, out_valid'
    body = f'{part.kind} #({_given(part, name)}) template_of ({inner}'
    if part.kind == 'window':
        body += ", 1'b0"  # it is never muted
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
        address, count = address_bits(rom_words(part)), templates.numbers(part)['chain']
        width = part['pe'] * products(part) * part['w']
        lines = f'[{count * address - 1}:0] rom_at', f'[{width - 1}:0] weights'
        if simulated:
            body = f'wire {lines[0]};\nwire {lines[1]};\n{_roms(part, name)}{body}, rom_at, weights'
        else:
            ports += f',\n    output {lines[0]}, input {lines[1]}'
            body += ', rom_at, weights'
    if part.kind in _RESTING:
        body = f'wire rests;\n{body}, rests'
    return f'(* keep_hierarchy *) module {name} ({ports});\n{body});\nendmodule\n'


def _given(part: Point, name: str) -> str:
    """The parameters of the template."""
    given = templates.full(part)
    if part.kind in ('rom', 'finish'):
        given['file'] = f'{name}.hex'
    return ', '.join(f'.{key.upper()}({_literal(value)})' for key, value in given.items())


def _literal(value: int | str) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value) if -(1 << 31) <= value < 1 << 31 else f"{value.bit_length()}'d{value}"


def _roms(part: Point, name: str) -> str:
    """For each place in the chains a ROM of its own, and the bits that are taken from it."""
    count, inner, width = templates.numbers(part)['chain'], products(part), part['w']
    depth, whole = rom_words(part), part['pe'] * inner * part['w']
    address = address_bits(depth)
    lines = []
    for k in range(count):
        lines.append(f'wire [{whole - 1}:0] words{k};')
        at = f'rom_at[{k * address} +: {address}]'
        sizes = f'.STYLE("bram"), .DEPTH({depth}), .WIDTH({whole}), .FILE("{name}.hex")'
        lines.append(f'rom #({sizes}) rom{k} (clk, {at}, words{k});')
    chains = math.ceil(inner / count)
    taken = []
    for c, n in product(range(part['pe']), range(inner)):
        place = n % count + (chains * count - inner if n // count == chains - 1 else 0)
        taken.append(f'words{place}[{(c * inner + n) * width} +: {width}]')
    lines.append(f'assign weights = {{{", ".join(reversed(taken))}}};')
    return '\n'.join(lines) + '\n'
