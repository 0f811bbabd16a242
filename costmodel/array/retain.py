"""Retain: a tensor stays on chip from its layer to its last reader where there is room, in one buffer that everything shares.

Layer after layer, in this order:

1. Room for the layer. Operands on chip stay unless no tile fits beside them; then the largest leaves. Other tensors leave, the one needed last first,
   until the layer's tiles move no more bytes than they would beside the operands alone.
2. Room for each result. It stays if it fits beside what is there and the tiles still move no more bytes. If not, tensors that are needed later than
   it is, and that this layer does not read, leave for it, the one needed last first, provided that this makes enough room. Else it goes to DRAM.
3. Tensors that no later layer reads are gone.

What leaves is written to DRAM, and read from there by all its readers to come. The network's input comes from DRAM and its results go there. Between
two layers that every path passes, one tensor lives: the state is whether it lies on chip.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Hashable

from costmodel.array.layers import Plan
from costmodel.array.policy import Policy, Traffic, check_shared, traffic
from costmodel.array.target import PEArray
from costmodel.array.tiling import Tiling, tiled, whole


def run(plan: Plan, state: Hashable, target: PEArray) -> tuple[list[Traffic], Hashable]:
    """See `costmodel.array.policy`; the state is whether the plan's first (last) tensor lies on chip."""
    check_shared(target)
    held = {plan.graph.input.name: plan.tensor_bytes(plan.graph.input.name, target)} if state else {}
    moved = []
    for index, layer in enumerate(plan.layers):
        tiles, evicted = _room_for_layer(plan, index, held, target)
        on_chip = set(held)
        for name in layer.outputs:
            size = plan.tensor_bytes(name, target)
            leaving = _room_for_result(plan, index, name, size, held, on_chip, tiles, target)
            if leaving is not None:
                evicted += sum(held.pop(other) for other in leaving)
                held[name] = size
        occupied = sum(held.values())
        tiles = tiled(plan, layer, target, on_chip, target.sram_bytes - occupied) or tiles
        each = traffic(plan, layer, target, tiles, on_chip | set(held))
        moved.append(dataclasses.replace(each, output_bytes=each.output_bytes + evicted, buffer_bytes=tiles.buffer_bytes + occupied))
        for name in layer.reads:
            if plan.last_reader.get(name) == index:
                held.pop(name, None)
    return moved, all(name in held for name in plan.results())


def _room_for_layer(plan: Plan, index: int, held: dict[str, int], target: PEArray) -> tuple[Tiling, int]:
    """Step 1: the layer's tiles and the bytes that left for them; removes from `held` what leaves."""
    layer, before = plan.layers[index], sum(held.values())
    operands = sorted((name for name in layer.reads if name in held), key=lambda name: held[name])
    while (best := _beside(plan, index, {name: held[name] for name in operands}, target)) is None:
        del held[operands.pop()]
    others = _needed_last(plan, index, held, operands)
    while (tiles := _beside(plan, index, held, target)) is None or tiles.moved_bits > best.moved_bits:
        del held[others.pop(0)]
    return tiles, before - sum(held.values())


def _beside(plan: Plan, index: int, held: dict[str, int], target: PEArray) -> Tiling | None:
    """The layer's tiles beside these tensors, None if there is no room; CostError if there is none even without them."""
    layer = plan.layers[index]
    return tiled(plan, layer, target, held, target.sram_bytes - sum(held.values())) if held else whole(plan, layer, target)


def _room_for_result(
    plan: Plan, index: int, name: str, size: int, held: dict[str, int], on_chip: Collection[str], tiles: Tiling, target: PEArray
) -> list[str] | None:
    """Step 2: the tensors that leave for a result of this size, or None if it goes to DRAM itself."""
    if plan.final and name in plan.results():
        return None
    layer, leaving, room = plan.layers[index], [], target.sram_bytes - sum(held.values()) - size

    def fits() -> bool:
        beside = tiled(plan, layer, target, on_chip, room)
        return beside is not None and beside.moved_bits == tiles.moved_bits

    for other in _needed_last(plan, index, held, layer.reads):
        if fits() or plan.next_reader(index, other) <= plan.next_reader(index, name):
            break
        leaving.append(other)
        room += held[other]
    return leaving if fits() else None


def _needed_last(plan: Plan, index: int, held: Collection[str], without: Collection[str]) -> list[str]:
    return sorted((name for name in held if name not in without), key=lambda name: plan.next_reader(index, name), reverse=True)


def monotone(target: PEArray) -> tuple[str, ...]:
    """Traffic of maps falls as a rule, not by law: room that a skip leaves is given to the next tensor, which is not always the best one."""
    return ('macs',) if target.rereads else ('macs', 'dram_weight_bytes')


RETAIN = Policy(False, run, monotone)
