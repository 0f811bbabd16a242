"""The parameters of the Verilog parts (`hls_export/verilog/rtl`), all of them, for a point of the grid.

A point gives some, in the names of its kind's template in lower case, or shorter: `bits` of an add are those of all its
values, signed; `stride` is both strides; `hand` the number of further readers; `acc` of a finish the bits of its sums
too. What it does not give follows from what it gives: padding as `same` has it, outputs of the inputs' types.
"""

from __future__ import annotations

import functools
import math

from experiments.calibrate.point import Point
from tailor_jax.dataflow import latency
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.mean import Mean, reciprocal

Full = dict[str, int | str]
SHORT = {
    'add': ('align',),
    'window': ('stride', 'hand'),
    'ring': ('stride',),
    'mean': ('right',),
    'average': ('right',),
}


@functools.lru_cache(maxsize=4096)
def _full(part: Point) -> tuple[tuple[str, int | str], ...]:
    given: Full = dict(part.parameters)
    own = {name: value for name, value in given.items() if name not in SHORT.get(part.kind, ())}
    number = {name: value for name, value in given.items() if isinstance(value, int)}
    match part.kind:
        case 'add':
            derived = _add(number)
        case 'relu':
            signed = number.get('signed', 1)
            derived = {'signed': signed, 'out_bits': number['bits'] - signed}
        case 'leaky_relu':
            derived = {'in_signed': 1, 'relu': 0, 'signed': 1}
        case 'maximum':
            derived = {'signed': 0}
        case 'mean' | 'average':
            derived = _mean(part.kind, number)
        case 'window' | 'ring':
            derived = _window(part.kind, number)
        case 'mac':
            derived = _mac(str(given['multiplier']), number)
        case 'finish':
            derived = _finish(number)
        case _:
            derived = {}
    return tuple((derived | own).items())


def full(part: Point) -> Full:
    """{parameter: value} of the part's template, in lower case; FILE apart."""
    return dict(_full(part))


def numbers(part: Point) -> dict[str, int]:
    """Those of them that are numbers."""
    return {name: value for name, value in _full(part) if isinstance(value, int)}


def mean_of(part: Point) -> Mean:
    """How the mean of a mean or average is defined (`tailor_jax.integers.mean`), its sum as fine as it can be."""
    given = dict(part.parameters)
    bits, signed = given.get('in_bits', given.get('bits')), given.get('in_signed', 0)
    count = given['taps'] if part.kind == 'mean' else given['pixels']
    assert isinstance(bits, int) and isinstance(count, int)
    return _mean_of(count, Fixed(bits, 0, bool(signed)))


def _mean_of(count: int, source: Fixed) -> Mean:
    largest, divisor = count * max(-source.lo, source.hi), count // (count & -count)
    shift = 0 if divisor == 1 else max(0, ((1 << 23) // max(-source.lo, source.hi) * divisor // count).bit_length() - 1)
    return Mean(count, divisor, shift, largest)


def _add(given: dict[str, int]) -> Full:
    bits = given['bits']
    return {
        'a_bits': bits,
        'a_signed': 1,
        'b_bits': bits,
        'b_signed': 1,
        'align_a': given.get('align', 0),
        'align_b': 0,
        'signed': int(not given['relu']),
    }


def _mean(kind: str, given: dict[str, int]) -> Full:
    bits, signed = given.get('in_bits', given.get('bits', 8)), given.get('in_signed', 0)
    mean = _mean_of(given['taps' if kind == 'mean' else 'pixels'], Fixed(bits, 0, bool(signed)))
    right = given.get('right', mean.frac)  # bits of the mean that the output drops: as fine as the input
    m, b, shift = reciprocal(mean, max(right, 0))
    return {
        'in_bits': bits,
        'in_signed': signed,
        'multiply': int(mean.divisor > 1),
        'm': m,
        'b': b,
        'shift': shift,
        'left': max(-right, 0),
        'relu': 0,
        'signed': signed,
    }


def _window(kind: str, given: dict[str, int]) -> Full:
    stride, kh, kw = given.get('stride', 1), given['kh'], given['kw']
    height, columns = given['height'], given['columns']
    left = given.get('left', (kw - 1) // 2)
    strides = given.get('stride_h', stride), given.get('stride_w', stride)
    derived: Full = {
        'top': (kh - 1) // 2,
        'left': left,
        'stride_h': strides[0],
        'stride_w': strides[1],
        'out_rows': math.ceil(height / strides[0]),
        'out_columns': math.ceil(columns / strides[1]),
    }
    if kind == 'window':
        return derived | {'outside': 0, 'hands': given.get('hand', 0), 'hand_row': 0, 'hand_column': 0}
    further = 0 if kw <= columns else (columns + kw - 2 - left) // columns
    return derived | {'rows': kh + further}


def _mac(multiplier: str, given: dict[str, int]) -> Full:
    count = given['simd'] // (given['pe'] if given['depthwise'] else 1)
    chain = latency.chain(multiplier, count, given['w'], given['a'])
    bits = given['a'] + given['w'] + (given['slices'] * count - 1).bit_length()
    return {'groups': 1, 'signed': 0, 'chain': chain, 'sum': bits}


def _finish(given: dict[str, int]) -> Full:
    adds, relu, bits = given['add'], given['relu'], given['bits']
    signed = given.get('signed', int(adds or not relu))
    derived: Full = {'sum': given['acc'], 'signed': signed, 'relu': int(relu and not adds)}
    if adds:
        derived |= {
            'skip_bits': bits,
            'skip_signed': 1,
            'align_main': 0,
            'align_skip': 0,
            'add_shift': 0,
            'add_relu': relu,
            'out_bits': bits,
            'out_signed': int(not relu),
        }
    return derived
