"""Fixed-point numbers with power-of-two scales, and the two roundings that the whole project agrees on.

An integer q of type `Fixed(bits, frac, signed)` stands for the real number q * 2^-frac. With

    quantize(x)     = clip(floor(x * 2^frac + 1/2))                  real -> integer
    requantize(a,s) = clip((a + 2^(s-1)) >> s),  a << -s if s <= 0   accumulator -> integer, s = its frac - the output's

both round half up, so quantizing the real value of an accumulator and requantizing its integer give the same bits:
training (float32, see `quant`), the integer reference (`qgraph`) and the generated C++ all use this one rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from tailor_jax.fields import Fields

MOST_BITS, MOST_FRAC = 64, 256
FLOAT32_EXACT = 1 << 24  # float32 arithmetic on integers is exact below this
BIAS_BITS = 26  # more than any bias takes whose accumulator stays below it


@dataclasses.dataclass(frozen=True)
class Fixed:
    """A fixed-point type: `bits` wide including the sign, `frac` fractional bits (may be negative or exceed `bits`)."""

    bits: int
    frac: int
    signed: bool = True

    def __post_init__(self) -> None:
        for name, value, lo, hi in (('bits', self.bits, 1, MOST_BITS), ('frac', self.frac, -MOST_FRAC, MOST_FRAC)):
            if not isinstance(value, int) or isinstance(value, bool) or not lo <= value <= hi:
                raise ValueError(f'{name} of a fixed-point type must be an integer of {lo}..{hi}, got {value!r}')
        if not isinstance(self.signed, bool):
            raise ValueError(f'signed of a fixed-point type must be True or False, got {self.signed!r}')

    @property
    def lo(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def step(self) -> float:
        """The real value of the integer 1."""
        return 2.0**-self.frac

    def __str__(self) -> str:
        return f'{"int" if self.signed else "uint"}{self.bits}*2^{-self.frac}'


def from_fields(fields: Fields) -> Fixed:
    """The type in a JSON object. Raises the object's error where it is none."""
    made = Fixed(
        fields.integer('bits', 1, MOST_BITS), fields.integer('frac', -MOST_FRAC, MOST_FRAC), fields.boolean('signed')
    )
    fields.end()
    return made


def quantize(x: np.ndarray, fixed: Fixed) -> np.ndarray:
    """Real float32 values to integers (int32) of this type, rounding half up and saturating."""
    scaled = np.asarray(x, np.float32) * np.float32(2.0**fixed.frac)
    return np.clip(np.floor(scaled + np.float32(0.5)), fixed.lo, fixed.hi).astype(np.int32)


def requantize(accumulator: np.ndarray, shift: int, fixed: Fixed) -> np.ndarray:
    """int64 accumulators of up to 61 bits, `shift` fractional bits finer than `fixed`, to int32 of that type."""
    if shift > 0:
        shift = min(shift, 62)  # all that is below 2^61 is 0 from there on
        accumulator = (accumulator + (1 << (shift - 1))) >> shift
    else:
        # What is out of range stays so, and what is not 0 leaves it by a shift of all bits.
        accumulator = np.clip(accumulator, fixed.lo, fixed.hi) << min(-shift, fixed.bits)
    return np.clip(accumulator, fixed.lo, fixed.hi).astype(np.int32)


def lookup(function: Callable[[np.ndarray], np.ndarray], source: Fixed, out: Fixed) -> np.ndarray:
    """int32 integers of `out` for function(x), in float64, at every x of `source` from the least to the greatest."""
    values = function(np.arange(source.lo, source.hi + 1) * source.step)
    return np.clip(np.floor(values * 2.0**out.frac + 0.5), out.lo, out.hi).astype(np.int32)


def smallest(lo: int, hi: int, frac: int) -> Fixed:
    """The narrowest type that holds every integer of [lo, hi]; unsigned if lo >= 0."""
    signed = lo < 0
    bits = max((hi if hi >= 0 else 0).bit_length(), (-lo - 1).bit_length() if signed else 0) + signed
    return Fixed(max(bits, 1), frac, signed)


def bias_type(weight: Fixed, source: Fixed) -> Fixed:
    """The type of a bias: the scale of the products of weights and inputs of these types, to which it is added."""
    return Fixed(BIAS_BITS, weight.frac + source.frac)


def slope_multiplier(slope: float, source: Fixed) -> tuple[int, int]:
    """(m, k) with m / 2^k nearest to `slope`, in lowest terms, for the largest k at which an integer of `source`
    shifted left stays below 2^23.
    """
    frac = max((FLOAT32_EXACT // 2 - 1) // max(-source.lo, source.hi), 1).bit_length() - 1
    multiplier = round(slope * 2**frac)
    while frac and multiplier % 2 == 0:
        multiplier, frac = multiplier // 2, frac - 1
    return multiplier, frac
