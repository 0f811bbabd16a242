"""What a memory policy is: a walk over the layers that says what each moves between DRAM and the buffers.

    run(network, state, target) -> [Traffic of each layer], state

The state at the ends of a layer graph says what is known of the one tensor that lives there (on chip or not); tensors
inside carry their names, ends do not. A layer graph can be cut at any tensor that all later layers reach the earlier
ones through, and

    run(A + B, s) = run(A, s) followed by run(B, state after A)

so that a policy may look at all tensors that live, and at their readers up to the end, but never beyond it. The
expectation over gates rests on this: it runs every stretch of a network on its own, from each state that can reach it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Hashable, Sequence

from costmodel.array.layers import bits_to_bytes, tensor_bytes
from costmodel.array.settings import BUFFERS, PEArray
from costmodel.array.tiling import Tiling
from costmodel.cost import CostError
from tailor_jax.array_schedule import Layer, LayerGraph
from tailor_jax.graph import Graph


@dataclasses.dataclass(frozen=True)
class Traffic:
    """What a layer moves between DRAM and the buffers, in bytes a batch, and the most that they hold meanwhile.

    Attributes:
      input_bytes: main operands read.
      weight_bytes: weights read.
      output_bytes: results written, and tensors that make room.
      shortcut_bytes: second operands of adds read.
      buffer_bytes: bytes of the buffers in use.
      compute_cycles: of the array; None for those of the layer as one piece, `compute.cycles`.
    """

    input_bytes: int
    weight_bytes: int
    output_bytes: int
    shortcut_bytes: int
    buffer_bytes: int
    compute_cycles: int | None = None

    @property
    def dram_bytes(self) -> int:
        return self.input_bytes + self.weight_bytes + self.output_bytes + self.shortcut_bytes


@dataclasses.dataclass(frozen=True)
class Policy:
    """A policy and the state that it starts a network in (the input lies in DRAM).

    Attributes:
      start: the state before the first layer.
      run: see the module docstring. Raises CostError naming the layer that cannot be placed.
      monotone: the resources that removing a skip can never raise on a target.
      alternatives: None, or the targets among which one is taken for the network as a whole (where to cut it, say), by
        the graph: that of the fewest DRAM bytes that fits `sram_bytes`, the first of equals. Those of a graph with
        closed gates are those of the open one, or the same in effect.
    """

    start: Hashable
    run: Callable[[LayerGraph, Hashable, PEArray], tuple[list[Traffic], Hashable]]
    monotone: Callable[[PEArray], tuple[str, ...]]
    alternatives: Callable[[Graph, PEArray], Sequence[PEArray]] | None = None


def check_shared(target: PEArray) -> None:
    """Raises CostError if the target has separate buffers, which the policies that keep tensors cannot use."""
    if target.input_buffer_bytes:
        raise CostError(
            f'policy {target.policy} keeps tensors in one shared buffer, and the target has {", ".join(BUFFERS)}; '
            'give sram_bytes instead'
        )


def traffic(
    network: LayerGraph, layer: Layer, target: PEArray, tiles: Tiling, on_chip: Collection[str] = ()
) -> Traffic:
    """What a layer moves in these tiles, when the tensors `on_chip` are not read and not written."""

    def size(names: Collection[str]) -> int:
        return sum(tensor_bytes(network, name, target) for name in names if name not in on_chip)

    weight_bytes = bits_to_bytes(layer.weights * target.weight_bits)
    if not target.rereads:
        return Traffic(size(layer.inputs), weight_bytes, size(layer.outputs), size(layer.shortcuts), tiles.buffer_bytes)
    return Traffic(
        sum(tensor_bytes(network, name, target, tiles.repeats) for name in layer.inputs if name not in on_chip),
        weight_bytes * tiles.weight_reads,
        size(layer.outputs) + tiles.partial_bytes,
        size(layer.shortcuts),
        tiles.buffer_bytes,
        tiles.cycles or None,
    )
