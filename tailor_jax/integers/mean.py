"""Means in integers: the exact quotient of a sum, rounded to a scale that is fine enough for any output and coarse
enough for float32.

Of `count` = 2^e divisor integers with the sum S, divisor odd,

    a = floor((S 2^shift + (divisor - 1) / 2) / divisor)

is the integer nearest to mean * 2^(shift + e); an odd divisor knows no ties.
For a power of two a = S. Otherwise |a| < 2^23, one half of what float32 holds exactly; the other takes the rounding
constant of the output. There are three ways to a, equal for every |S| <= largest:

    the definition     integer division (`qgraph.run_node`)
    hardware           (S m + b) >> j by (m, b, j) of `reciprocal`: the division and the output's rounding in one, so
                       that m is no wider than the output wants it
    float32            long division by digits of `digits` bits: with |x| < 2^22, (x + 1/2) / divisor is no nearer to
                       an integer than 1 / (2 divisor), which exceeds the error of a product with the rounded
                       1 / divisor; so its floor is exact
"""

from __future__ import annotations

import dataclasses
import math

from tailor_jax.graph import GraphError, Node
from tailor_jax.integers.fixed import FLOAT32_EXACT, Fixed

_LARGEST_DIVIDEND = 1 << 22  # of a step of the long division
_LARGEST_DIVISOR = 1 << 20  # so that a step brings down two bits, all that a sum has beyond the largest dividend
_WIDEST_PRODUCT = 1 << 61  # of a sum and its reciprocal: it and its rounding fit a native integer


@dataclasses.dataclass(frozen=True)
class Mean:
    """How a mean of `count` integers of a type is computed, see above; `frac` is its fractional bits beyond theirs."""

    count: int
    divisor: int
    shift: int
    largest: int  # of |S|

    @property
    def frac(self) -> int:
        return self.shift + (self.count // self.divisor).bit_length() - 1

    @property
    def inverse(self) -> float:
        return 1 / self.divisor

    @property
    def low_bits(self) -> int:
        """How many bits of S the long division brings down after its first step."""
        return max(self.largest.bit_length() - (_LARGEST_DIVIDEND - 1).bit_length(), 0)

    @property
    def digits(self) -> tuple[int, ...]:
        """Bits of each further step, zeros brought down behind S; the last one brings the rounding constant with it."""
        most = (
            _LARGEST_DIVIDEND - 1
        ).bit_length() - self.divisor.bit_length()  # a remainder and they stay below the largest dividend
        full, rest = divmod(self.shift, most)
        return (most,) * full + ((rest,) if rest or not full else ())

    @property
    def rounding(self) -> int:
        return (self.divisor - 1) // 2


def mean_of(node: Node, map_shape: tuple[int, ...], source: Fixed) -> Mean:
    """The mean that an avg_pool, or a global_avg_pool over a map of this shape, takes of integers of `source`.

    Raises GraphError where the sum is too large for float32, saying which widths and sizes are not.
    """
    count = values(node, map_shape)
    magnitude, divisor = max(-source.lo, source.hi), count // (count & -count)
    where = f'node {node.name!r} ({node.op})'
    largest = count * magnitude
    if largest >= FLOAT32_EXACT:
        most = (FLOAT32_EXACT - 1) // count
        bits = most.bit_length() if source.signed else (most + 1).bit_length() - 1
        fitting = f', {count} values only of at most {bits} bits' if bits > source.signed else ''
        raise GraphError(
            f'{where}: the sum of {count} values of {source.bits} bits reaches {largest}, but float32 training is '
            f'exact only below 2^24 = {FLOAT32_EXACT}; of {source.bits} bits at most '
            f'{(FLOAT32_EXACT - 1) // magnitude} values can be averaged{fitting}'
        )
    if divisor >= _LARGEST_DIVISOR:
        raise GraphError(
            f'{where}: a mean of {count} values divides by {divisor}, which is exact only below {_LARGEST_DIVISOR}; '
            'pool in two steps'
        )
    if divisor == 1:
        return Mean(count, 1, 0, largest)
    shift = ((FLOAT32_EXACT // 2 - 1) // magnitude * divisor // count).bit_length() - 1
    while largest * reciprocal(Mean(count, divisor, shift, largest))[0] >= _WIDEST_PRODUCT:
        shift -= 1
    return Mean(count, divisor, shift, largest)


def values(node: Node, map_shape: tuple[int, ...]) -> int:
    """How many values an avg_pool, or a global_avg_pool over a map of this shape, takes the mean of."""
    return math.prod(node.kernel if node.op == 'avg_pool' else map_shape[:2])


def reciprocal(mean: Mean, right: int = 0) -> tuple[int, int, int]:
    """(m, b, j) with (S m + b) >> j = (a + half) >> right for every |S| <= largest, where half is 2^(right - 1), or 0
    for no shift; j is the least.

    With n = 2^(shift - g), d = divisor 2^(right - g), g = min(shift, right), that is floor((S n + c) / d) for an
    integer c. The quotient (S n + c + 1/2) / d is no nearer to an integer than 1 / (2 d); so it holds if S m / 2^j and
    b / 2^j are off by less together.
    """
    half = mean.divisor << right >> 1 if right else 0
    if mean.divisor == 1:
        return 1 << mean.shift, half, right
    common = min(mean.shift, right)
    n, d, c = 1 << (mean.shift - common), mean.divisor << (right - common), (mean.rounding + half) >> common
    j = 0
    while True:
        m, b = _nearest(n << j, d), _nearest((2 * c + 1) << j, 2 * d)
        if 2 * mean.largest * abs(m * d - (n << j)) + abs(2 * b * d - ((2 * c + 1) << j)) < 1 << j:
            return m, b, j
        j += 1


def _nearest(numerator: int, denominator: int) -> int:
    """The integer nearest to a quotient."""
    return (2 * numerator + denominator) // (2 * denominator)
