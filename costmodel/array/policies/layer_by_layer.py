"""Layer by layer: every layer reads its operands from DRAM and writes its results there; nothing survives a layer.

Each counts once, which is the baseline of the papers; with `rereads` also what the tiles read again. An add of its own
takes two reads and one write, a fused one only the read of the shortcut.
"""

from __future__ import annotations

from collections.abc import Hashable

from costmodel.array.policies.policy import Policy, Traffic, traffic
from costmodel.array.settings import PEArray
from costmodel.array.tiling import check_room, tiled
from tailor_jax.array_schedule import LayerGraph


def run(network: LayerGraph, state: Hashable, target: PEArray) -> tuple[list[Traffic], Hashable]:
    """Stateless: see `costmodel.array.policies.policy`. Raises TooSmall naming the layer that needs the most."""
    check_room(network, target)
    return [traffic(network, layer, target, tiled(network, layer, target)) for layer in network.layers], state


def monotone(target: PEArray) -> tuple[str, ...]:
    """Every kind of traffic if operands count once; with `rereads` the best tiles may trade one for another."""
    if target.rereads:
        return ('dram_bytes', 'dram_shortcut_bytes', 'macs')
    kinds = ('feature_map', 'input', 'weight', 'output', 'shortcut')
    return ('dram_bytes', *(f'dram_{kind}_bytes' for kind in kinds), 'macs')


LAYER_BY_LAYER = Policy(None, run, monotone)
