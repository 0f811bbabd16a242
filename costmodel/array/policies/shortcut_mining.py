"""ShortcutMining: banks that change roles between input, output and shortcut (Azizimazreh and Chen, HPCA 2019).

The buffer is a pool of banks of `bank_bytes`. A bank holds a part of one tensor, whatever its role, so that a result is
the next layer's input where it lies, and a shortcut stays where it is while other layers run. A tensor's first banks
lie on chip, the rest in DRAM. Beside the banks a layer takes the memory that it works in (memories as in
`costmodel.array.policies.frames`), the least of two loop orders that read every operand once:

    rows        K + 1 input rows, all weights of the layer, accumulators of one row
    channels    two tiles of weights, accumulators of min(M, C) whole maps, and the input as a whole, which passes once for each C of the M outputs:
                what the banks lack of it is read into the working memory, and none of its banks is given up; if M <= C, K + 1 rows are enough

Where neither fits, `channels` with K + 1 input rows: what the banks lack of the input is read ceil(M / C) times, and
counts so often. Layer after layer, in this order:

1. If the working memory leaves too few banks for what they hold, tensors that the layer does not read give banks up,
   the one needed last first; then its shortcuts, then its inputs, the largest first.
2. The result takes free banks. An operand that it can overwrite element by element and that nobody needs afterwards
   counts as free. If these are too few, tensors that the layer does not read and that are needed later than the result
   give banks up. The rest of the result goes to DRAM.
3. What the layer reads from DRAM and a later layer reads again stays in the banks that are still free.
4. Tensors that no later layer reads are gone.

A bank that is given up is the tensor's last on chip. It is written to DRAM unless it came from there; only what exceeds
the banks is ever moved. What does not lie on chip is read from DRAM by each of its readers. The network's input comes
from DRAM and its results go there. The state between two layers that every path passes: how many banks of the tensor
lie on chip, and how many of those DRAM has too.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from costmodel.array.layers import bits_to_bytes, tensor_bytes
from costmodel.array.policies import frames
from costmodel.array.policies.policy import Policy, Traffic, check_shared
from costmodel.array.settings import PEArray
from costmodel.cost import TooSmall
from tailor_jax.array_schedule import Layer, LayerGraph

State = tuple[int, int]


@dataclasses.dataclass
class _Held:
    """A tensor that lives: its bytes, its banks on chip, and how many of these, the last ones, DRAM has too."""

    size: int
    banks: int = 0
    copied: int = 0

    def on_chip(self, bank: int) -> int:
        return min(self.size, self.banks * bank)

    def give(self, count: int, bank: int) -> int:
        """Gives up its last banks; the bytes written to DRAM."""
        kept = self.banks - count
        written = min(self.size, max(kept, self.banks - self.copied) * bank) - min(self.size, kept * bank)
        self.banks, self.copied = kept, max(0, self.copied - count)
        return written


def run(network: LayerGraph, state: Any, target: PEArray) -> tuple[list[Traffic], Any]:
    """See `costmodel.array.policies.policy`. Raises TooSmall naming the layer that needs the most, if the buffer is too
    small to work in.
    """
    check_shared(target)
    _check_room(network, target)
    machine = _Mining(network, target)
    first = network.graph.input.name
    held = {first: _Held(tensor_bytes(network, first, target), *state)}
    moved = [machine.step(index, held) for index in range(len(network.layers))]
    (end, *_) = network.results
    return moved, (held[end].banks, held[end].copied) if end in held and not network.final else START


@dataclasses.dataclass(frozen=True)
class _Order:
    """What a layer takes beside the banks in a loop order, and how often it reads what they lack of its input."""

    working: int
    passes: int = 1


def _orders(network: LayerGraph, layer: Layer, missing: int, target: PEArray) -> list[tuple[_Order, bool]]:
    """(order, whether the banks must keep what they have of the input), by preference."""
    node, memories = layer.nodes[0], frames.row_memories(network, layer, target)
    rows, lines = sum(memories), memories[0]
    if not node.weighted:
        return [(_Order(rows), False)]
    maps, passes = sum(frames.frame_memories(network, layer, target)), -(-node.shape[2] // target.columns)
    once = [
        (_Order(rows), False),
        (_Order(maps + missing), True),
        *([(_Order(maps + lines), False)] if passes == 1 else []),
    ]
    return [*sorted(once, key=lambda each: each[0].working), (_Order(maps + lines, passes), False)]


def _check_room(network: LayerGraph, target: PEArray) -> None:
    """Orders that keep no bank of the input work whatever the banks hold; the one that does takes more than the last of
    them.
    """
    least = [
        min(order.working for order, keeps in _orders(network, layer, 0, target) if not keeps)
        for layer in network.layers
    ]
    if least and max(least) > target.sram_bytes:
        name = network.layers[least.index(max(least))].name
        what = f'takes at least {max(least)} bytes of buffers, and sram_bytes is {target.sram_bytes}'
        raise TooSmall(max(least), f'node {name!r} {what}; no layer needs more')


class _Mining:
    def __init__(self, network: LayerGraph, target: PEArray):
        self.network, self.target, self.bank = network, target, target.bank_bytes
        self.results = set(network.results)

    def _order(self, layer: Layer, held: dict[str, _Held]) -> _Order:
        """The first loop order that fits, with the input's banks where it keeps them."""
        inputs = [held[name] for name in layer.inputs]
        missing, taken = (
            sum(each.size - each.on_chip(self.bank) for each in inputs),
            sum(each.banks for each in inputs) * self.bank,
        )
        orders = _orders(self.network, layer, missing, self.target)
        needed = [order.working + taken * keeps for order, keeps in orders]
        return next(order for (order, _), each in zip(orders, needed) if each <= self.target.sram_bytes)

    def step(self, index: int, held: dict[str, _Held]) -> Traffic:
        layer, bank = self.network.layers[index], self.bank
        order = self._order(layer, held)
        working = order.working
        banks = (self.target.sram_bytes - working) // bank
        others = sorted(
            (name for name in held if name not in layer.reads), key=lambda name: -self.network.next_reader(index, name)
        )
        written = 0
        for name in [*others, *sorted(layer.reads, key=lambda name: (name in layer.inputs, -held[name].size))]:
            excess = sum(each.banks for each in held.values()) - banks
            written += held[name].give(min(max(excess, 0), held[name].banks), bank)

        def missing(names: tuple[str, ...]) -> int:
            return sum(held[name].size - held[name].on_chip(bank) for name in names)

        inputs, shortcuts = missing(layer.inputs) * order.passes, missing(layer.shortcuts)
        occupied = sum(each.banks for each in held.values())
        for name in layer.outputs:
            result = held[name] = _Held(tensor_bytes(self.network, name, self.target))
            dying = [
                other
                for other in frames.overwritable(self.network, layer, name)
                if self.network.next_reader(index, other) == math.inf
            ]
            reused = max((held[other].banks for other in dying), default=0)
            if not (self.network.final and name in self.results and self.network.next_reader(index, name) == math.inf):
                wanted = -(-result.size // bank)
                free = banks - occupied + reused
                for other in others:
                    if self.network.next_reader(index, other) > self.network.next_reader(index, name) and free < wanted:
                        given = min(wanted - free, held[other].banks)
                        written += held[other].give(given, bank)
                        occupied, free = occupied - given, free + given
                result.banks = min(wanted, free)
                occupied += max(0, result.banks - reused)
            rest = result.size - result.on_chip(bank)
            written += result.size if self.network.final and name in self.results else rest
            if self.network.final and name in self.results:
                result.copied = result.banks
        for name in layer.reads:
            if self.network.next_reader(index, name) < math.inf:
                kept = min(banks - occupied, -(-held[name].size // bank) - held[name].banks)
                held[name].banks, held[name].copied, occupied = (
                    held[name].banks + kept,
                    held[name].copied + kept,
                    occupied + kept,
                )
        for name in [*held]:
            if self.network.next_reader(index, name) == math.inf and (self.network.final or name not in self.results):
                del held[name]
        weights = bits_to_bytes(layer.weights * self.target.weight_bits)
        return Traffic(inputs, weights, written, shortcuts, working + occupied * bank)


def monotone(target: PEArray) -> tuple[str, ...]:
    """Traffic of maps falls as a rule, not by law, as under `retain`."""
    return ('macs', 'dram_weight_bytes')


START: State = (0, 0)
SHORTCUT_MINING = Policy(START, run, monotone)
