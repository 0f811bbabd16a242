"""The chip that the engine runs a program on: DRAM, memories of the stated sizes, and a count of DRAM's bytes."""

from __future__ import annotations

import collections

import numpy as np

from hls_export.array.memory import EVERY, Memory, Operand, applied, to_integers
from hls_export.array.program import Program
from tailor_jax.array_schedule import DRAM, MEMORIES


class Chip:
    """The memories of one run.

    Attributes:
      program: whose sizes they have.
      traffic: {kind: bytes moved between DRAM and the chip}.
      dram, memories: DRAM; the memories on chip, in the order of `MEMORIES`.
    """

    def __init__(self, program: Program):
        self.program = program
        self.traffic = collections.Counter[str](input=0, weight=0, output=0, shortcut=0)
        self.dram = Memory('dram', program.dram_bytes, self.traffic)
        self.memories = [Memory(name.removesuffix('_bytes'), size) for name, size in zip(MEMORIES, program.memories)]

    def memory(self, index: int) -> Memory:
        return self.dram if index == DRAM else self.memories[index]

    def gather(self, operands: list[Operand], kind: str, rows: slice = EVERY, channels: slice = EVERY) -> np.ndarray:
        """These rows and channels of operands that lie one after another in each pixel, [h, w, c]."""
        found, at = [], 0
        for each in operands:
            depth = each.shape[2]
            begin, end = (channels.start or 0) - at, depth if channels.stop is None else channels.stop - at
            part = slice(max(begin, 0), min(end, depth))
            if part.start < part.stop:
                raw = self.memory(each.memory).read(
                    each.address, (*each.shape, each.value_bytes), kind, (rows, EVERY, part)
                )
                found.append(applied(to_integers(raw, each.signed), each))
            at += depth
        return np.concatenate(found, axis=-1)
