"""What the engine of a PE array works on: memories of bytes that know their bounds, operands in them, stages, and
integers as bytes.
"""

from __future__ import annotations

import collections
import dataclasses

import numpy as np

from tailor_jax.array_isa import Stage
from tailor_jax.graph import Node
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.qgraph import QNode, run_node

EVERY = slice(None)
OPS = {'products': 'add', 'leaky': 'leaky_relu', 'table': 'sigmoid', 'align': 'concat'}


class EngineFault(ValueError):
    """An access outside a memory or of bytes that nobody wrote; names the memory, bytes and instruction."""


class Memory:
    """Bytes that know their end and which of them were written; `counts`, if given, gets the bytes moved by kind."""

    def __init__(self, name: str, size: int, counts: collections.Counter[str] | None = None):
        self.name, self.counts = name, counts
        self.data, self.written = np.zeros(size, np.uint8), np.zeros(size, bool)

    def read(self, address: int, shape: tuple[int, ...], kind: str, where: tuple[slice, ...] = ()) -> np.ndarray:
        """The part `where` of an array of bytes of this shape at an address."""
        part = self._at(self.data, address, shape)[where]
        if not self._at(self.written, address, shape)[where].all():
            raise EngineFault(
                f'{self.name}: reads bytes at {address} to {address + int(np.prod(shape))} that nobody wrote'
            )
        self._count(kind, part.size)
        return part.copy()

    def write(
        self, address: int, shape: tuple[int, ...], values: np.ndarray, kind: str, where: tuple[slice, ...] = ()
    ) -> None:
        """Writes the part `where` of an array of bytes of this shape at an address."""
        self._at(self.data, address, shape)[where] = values
        self._at(self.written, address, shape)[where] = True
        self._count(kind, values.size)

    def _at(self, array: np.ndarray, address: int, shape: tuple[int, ...]) -> np.ndarray:
        end = address + int(np.prod(shape))
        if end > len(array):
            raise EngineFault(f'{self.name} has {len(array)} bytes, and bytes {address} to {end} are accessed')
        return array[address:end].reshape(shape)

    def _count(self, kind: str, size: int) -> None:
        if self.counts is not None:
            self.counts[kind] += size


@dataclasses.dataclass(frozen=True)
class Operand:
    """A tensor as an instruction reads it: its place, its type, and what is done to it."""

    memory: int
    address: int
    shape: tuple[int, int, int]
    value_bytes: int
    signed: bool
    bits: int
    stages: tuple[QNode, ...] = ()


def stage_node(stage: Stage, table: np.ndarray | None, bias: np.ndarray | None) -> QNode:
    """A stage as the node of the integer graph that `run_node` runs. Sums of products and their bias are an add."""
    op = OPS.get(stage.operation, stage.operation)
    kernel, stride = (stage.kernel_height, stage.kernel_width), (stage.stride_down, stage.stride_across)
    padding = (stage.pad_top, stage.pad_bottom, stage.pad_left, stage.pad_right)
    node = Node(
        'stage',
        op,
        (),
        (1, 1, 1),
        kernel,
        stride,
        padding,
        factor=stride if op == 'upsample' else (1, 1),
        relu=bool(stage.relu),
    )
    align = (stage.align, stage.second_align)
    try:
        out, divisor = Fixed(stage.bits, 0, bool(stage.signed)), max(stage.multiplier, 1)
        return QNode(
            node,
            out,
            Fixed(32, stage.shift),
            bias=bias,
            align=align,
            multiplier=stage.multiplier,
            divisor=divisor,
            table=table,
        )
    except ValueError as error:
        raise EngineFault(f'stage {stage.operation}: {error}') from None


def applied(values: np.ndarray, operand: Operand) -> np.ndarray:
    """A piece after its stages."""
    for stage in operand.stages:
        values = run_node(stage, [values])
    return values


def to_bytes(values: np.ndarray, count: int) -> np.ndarray:
    """Integers -> little-endian bytes, [..., count]."""
    shifts = 8 * np.arange(count)
    return ((np.asarray(values, np.int64)[..., None] >> shifts) & 255).astype(np.uint8)


def to_integers(raw: np.ndarray, signed: bool) -> np.ndarray:
    """The inverse of `to_bytes`, as int64."""
    count = raw.shape[-1]
    values = (raw.astype(np.int64) << 8 * np.arange(count)).sum(axis=-1)
    return np.where(values >> (8 * count - 1) & 1, values - (1 << 8 * count), values) if signed else values
