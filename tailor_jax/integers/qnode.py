"""A node of the integer graph: see `qgraph`."""

from __future__ import annotations

import dataclasses

import numpy as np

from tailor_jax.graph import GraphError, Node
from tailor_jax.integers.fixed import Fixed

MOST_ALIGN = 31  # 32 bits shifted by it, and two of them added, fit an int64


@dataclasses.dataclass(frozen=True, eq=False)
class QNode:
    """A node of the integer graph.

    Attributes:
      node: the folded node: name, op, inputs, shape, window, relu.
      out: type of the output's integers, which travel on streams.
      acc: type of the accumulator (equal to `out` where there is none).
      weight: integers, conv [kernel h, kernel w, C_in / groups, C_out], dense [C_in, C_out]; None elsewhere.
      bias: integers of scale 2^-acc.frac, [C_out]; None elsewhere.
      weight_type: type of the weight's integers; None elsewhere.
      align: left shifts of the inputs of an add or a concat, of what a leaky_relu lets pass, or of a pool's sum.
      multiplier: the integer factor of a leaky_relu below zero; its scale is part of acc.frac.
      divisor: of an average pool, odd.
      table: the output's integer for each integer of the input, from the least to the greatest, of an op of
        `ops.TABLED`; None elsewhere.
    """

    node: Node
    out: Fixed
    acc: Fixed
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    weight_type: Fixed | None = None
    align: tuple[int, ...] = (0, 0)
    multiplier: int = 1
    divisor: int = 1
    table: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(shift, int) and 0 <= shift <= MOST_ALIGN for shift in self.align):
            raise GraphError(
                f'node {self.name!r} ({self.node.op}): align must be left shifts of 0..{MOST_ALIGN} bits, got '
                f'{self.align}'
            )

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def shift(self) -> int:
        """Right shift from accumulator to output (negative: left)."""
        return self.acc.frac - self.out.frac


def passed_type(node: Node, source: Fixed) -> Fixed:
    """Output type of a node that hands its integers on: a ReLU of its own drops the sign's half of the range, the
    others keep the type.
    """
    if node.op == 'relu' and source.signed:
        return Fixed(max(source.bits - 1, 1), source.frac, signed=False)
    return source
