"""Retain: a tensor stays on chip from its layer to its last reader where there is room, in one shared buffer.

A tensor stays through a layer if there is room for it, for those that come before it, and for tiles that move no more
than they would with any room (`tiling.calm_room`):

    stays at layer j   sram_bytes >= sizes of the tensors that live at j and come before it + its own + calm_room(j)

At a layer live its operands, its results that some layer reads later, and what was made before and is read later, on
chip or not. Before a tensor come smaller ones; of the same size operands, then what is read sooner. The layer's
operands among them need no tile; where one lies in DRAM there must be room for its tile as well, in place of the
operand. A tensor that does not stay is written to DRAM, by its own layer or the one that it leaves at, and read from
there by all its readers to come. The network's input comes from DRAM and its results go there.

So a larger buffer keeps each tensor for as long as a smaller one does, or longer: what comes before a tensor is counted
whether it lies on chip or not. And as tiles beside a tensor move every operand once, it never moves more bytes. Between
two layers that every path passes, one tensor lives: the state is whether it lies on chip.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Hashable, Iterable, Iterator

from costmodel.array.layers import tensor_bytes
from costmodel.array.policies.policy import Policy, Traffic, check_shared, traffic
from costmodel.array.settings import PEArray
from costmodel.array.tiling import calm_room, check_room, tiled
from tailor_jax.array_schedule import Layer, LayerGraph


def run(network: LayerGraph, state: Hashable, target: PEArray) -> tuple[list[Traffic], Hashable]:
    """See `costmodel.array.policies.policy`; the state is whether the first (last) tensor lies on chip.

    Raises TooSmall as `layer_by_layer` does.
    """
    check_shared(target)
    check_room(network, target)
    first, final = network.graph.input.name, set(network.results) if network.final else set()
    held = {first} if state else set()
    alive = {first: None}  # in the order in which they were made
    moved = []
    for index, layer in enumerate(network.layers):
        alive |= dict.fromkeys(name for name in layer.outputs if name not in final)
        staying = _staying(network, index, alive, held, target)
        leaving, held = held - staying, staying
        occupied = sum(tensor_bytes(network, name, target) for name in held)
        tiles = tiled(network, layer, target, held, target.sram_bytes - occupied)
        each = traffic(network, layer, target, tiles, held)
        written = each.output_bytes + sum(tensor_bytes(network, name, target) for name in leaving)
        moved.append(dataclasses.replace(each, output_bytes=written, buffer_bytes=tiles.buffer_bytes + occupied))
        for name in layer.reads:
            if network.last_reader.get(name) == index:
                alive.pop(name, None)
                held.discard(name)
    return moved, all(name in held for name in network.results)


def _staying(network: LayerGraph, index: int, alive: Iterable[str], held: Collection[str], target: PEArray) -> set[str]:
    """Of the tensors that live at a layer those that stay through it; those that are `held` come there, and its results
    can begin to.
    """
    layer = network.layers[index]

    def rank(name: str) -> tuple[int, int, float]:
        role = 0 if name in layer.inputs else 1 if name in layer.outputs else 2
        return tensor_bytes(network, name, target), role, network.next_reader(index, name)

    staying: set[str] = set()
    found, taken = [], 0
    for name in sorted(alive, key=rank):
        found.append(name)
        taken += tensor_bytes(network, name, target)
        if taken >= target.sram_bytes:
            break
        if name in held or name in layer.outputs:
            here = staying | {name}
            if all(
                taken - free + room <= target.sram_bytes
                for free, room in _tiles(network, layer, set(found), here, target)
            ):
                staying = here
    return staying


def _tiles(
    network: LayerGraph, layer: Layer, found: set[str], here: set[str], target: PEArray
) -> Iterator[tuple[int, int]]:
    """(bytes left free, calm room) of a layer for each set of operands that may lie on chip: those among `found`, at
    least those that are `here`.

    With more room an operand that lies in DRAM now may lie on chip, so what has room beside it in DRAM must have room
    beside it on chip, too.
    """
    parts = [
        part
        for part in (layer.inputs, layer.shortcuts)
        if part and found.issuperset(part) and not here.issuperset(part)
    ]
    for count in range(len(parts) + 1):
        for away in itertools.combinations(parts, count):
            free = max((min(tensor_bytes(network, name, target) for name in part) for part in away), default=0)
            yield free, calm_room(network, layer, target, found.difference(*away))


def monotone(target: PEArray) -> tuple[str, ...]:
    """Traffic of maps falls as a rule, not by law: room that a skip leaves is given to the next tensor, which is not
    always the best one.
    """
    return ('macs',) if target.rereads else ('macs', 'dram_weight_bytes')


RETAIN = Policy(False, run, monotone)
