"""What a memory policy is: a machine that walks the layers and says what each moves between DRAM and the buffers.

    run(plan, state, target) -> [Traffic of each layer], state

The state at the ends of a plan says what is known of the one tensor that lives there (on chip or not); tensors inside carry their names, ends do
not. A plan can be cut at any tensor that all later layers reach the earlier ones through, and

    run(A + B, s) = run(A, s) followed by run(B, state after A)

so that a policy may look at all tensors that live, and at their readers up to the end, but never beyond it. The expectation over gates rests on
this: it runs every stretch of a network on its own, from each state that can reach it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable

from costmodel.array.layers import Plan
from costmodel.array.target import PEArray


@dataclasses.dataclass(frozen=True)
class Traffic:
    """What a layer moves between DRAM and the buffers, in bytes for the batch, and the most that the buffers hold meanwhile.

    Attributes:
      input_bytes: main operands read.
      weight_bytes: weights read.
      output_bytes: results written, and tensors that make room.
      shortcut_bytes: second operands of adds read.
      buffer_bytes: bytes of the buffers in use.
    """

    input_bytes: int
    weight_bytes: int
    output_bytes: int
    shortcut_bytes: int
    buffer_bytes: int

    @property
    def dram_bytes(self) -> int:
        return self.input_bytes + self.weight_bytes + self.output_bytes + self.shortcut_bytes


@dataclasses.dataclass(frozen=True)
class Policy:
    """A policy and the state that it starts a network in (the input lies in DRAM).

    Attributes:
      start: the state before the first layer.
      run: see the module docstring. Raises CostError naming the layer that cannot be placed.
      monotone: the resources that removing a skip can never raise.
    """

    start: Hashable
    run: Callable[[Plan, Hashable, PEArray], tuple[list[Traffic], Hashable]]
    monotone: tuple[str, ...]
