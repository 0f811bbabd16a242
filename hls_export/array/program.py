"""A program for the PE array: its words and constants, and what lies in DRAM. `hls_export.array.lower` makes it,
`.engine` runs it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tailor_jax import array_isa as instructions


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """What the engine is given.

    Attributes:
      words: [n, 11] uint32, see `tailor_jax.array_isa`.
      constants: uint32, biases, stages and tables.
      weights: bytes at the start of DRAM.
      memories: bytes of the three buffers, of vectors, weights and accumulators.
      dram_bytes: size of DRAM.
      input_address: where the image lies.
      value_bytes, weight_value_bytes: of a value of a map, of a weight.
      rows, columns: input and output channels of a tile of weights.
      names: what each instruction is for.
      traffic: {kind: DRAM bytes} that the cost model predicts; results wider than activations counted with the bytes
        that they take.
    """

    words: np.ndarray
    constants: np.ndarray
    weights: np.ndarray
    memories: tuple[int, ...]
    dram_bytes: int
    input_address: int
    value_bytes: int
    weight_value_bytes: int
    rows: int
    columns: int
    names: tuple[str, ...]
    traffic: dict[str, int]

    def listing(self) -> str:
        return instructions.listing([instructions.decode(words) for words in self.words], self.names)
