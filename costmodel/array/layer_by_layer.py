"""Layer by layer: every layer reads each of its operands from DRAM once and writes each of its results once; nothing survives a layer.

This is the baseline of the papers. An add of its own takes two reads and one write, a fused one only the read of the shortcut.
"""

from __future__ import annotations

from collections.abc import Hashable

from costmodel.array.layers import Plan, bits_to_bytes
from costmodel.array.policy import Policy, Traffic
from costmodel.array.target import PEArray


def run(plan: Plan, state: Hashable, target: PEArray) -> tuple[list[Traffic], Hashable]:
    """Stateless: see `costmodel.array.policy`."""

    def total(names: tuple[str, ...]) -> int:
        return sum(plan.tensor_bytes(name, target) for name in names)

    moved = [
        Traffic(total(layer.inputs), bits_to_bytes(layer.weights * target.weight_bits), total(layer.outputs), total(layer.shortcuts), 0)
        for layer in plan.layers
    ]
    return moved, state


LAYER_BY_LAYER = Policy(
    None, run, ('dram_bytes', 'dram_feature_map_bytes', 'dram_input_bytes', 'dram_weight_bytes', 'dram_output_bytes', 'dram_shortcut_bytes', 'macs')
)
