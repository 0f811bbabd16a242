"""ShortcutMining: banks that change roles between input, output and shortcut (Azizimazreh and Chen, HPCA 2019).

The buffer is a pool of banks of `bank_bytes`. A bank holds a part of one tensor, whatever its role, so that a result is
the next layer's input where it lies, and a shortcut stays where it is while other layers run. A tensor's first banks
lie on chip, the rest in DRAM. Beside the banks a layer takes the memory that it works in (memories as in
`costmodel.array.policies.frames`), the least of two loop orders that read every operand once:

    rows        K + 1 input rows, all weights of the layer, accumulators of one row
    channels    two tiles of weights, accumulators of min(M, C) whole maps, and the input as a whole, which passes once
                for each C of the M outputs: what the banks lack of it is read into the working memory, and none of its
                banks is given up; if M <= C, K + 1 rows are enough

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
from collections.abc import Collection, Iterable, Sequence
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


@dataclasses.dataclass
class _Pool:
    """The banks while one layer runs.

    Attributes:
      held: the tensors that live.
      bank_bytes: size of a bank.
      count: banks beside the layer's working memory.
      used: banks that hold something; a bank that is overwritten counts once.
      written: bytes written to DRAM.
    """

    held: dict[str, _Held]
    bank_bytes: int
    count: int
    used: int
    written: int = 0

    def wanted(self, name: str) -> int:
        """Banks that would hold all of a tensor."""
        return -(-self.held[name].size // self.bank_bytes)

    def missing(self, names: Collection[str]) -> int:
        """Bytes of these tensors that do not lie on chip."""
        return _missing((self.held[name] for name in names), self.bank_bytes)

    def give_up(self, name: str, count: int) -> int:
        """Takes up to so many of a tensor's last banks, and writes those to DRAM that it lacks; how many were taken."""
        tensor = self.held[name]
        taken = min(max(count, 0), tensor.banks)
        kept, only_here = tensor.banks - taken, tensor.banks - tensor.copied
        self.written += min(tensor.size, max(kept, only_here) * self.bank_bytes)
        self.written -= min(tensor.size, kept * self.bank_bytes)
        tensor.banks, tensor.copied = kept, max(0, tensor.copied - taken)
        self.used -= taken
        return taken

    def keep(self, name: str) -> None:
        """Leaves what was read from DRAM in the banks that are still free."""
        tensor = self.held[name]
        kept = min(self.count - self.used, self.wanted(name) - tensor.banks)
        tensor.banks += kept
        tensor.copied += kept
        self.used += kept


def _missing(tensors: Iterable[_Held], bank_bytes: int) -> int:
    return sum(max(0, each.size - each.banks * bank_bytes) for each in tensors)


def run(network: LayerGraph, state: Any, target: PEArray) -> tuple[list[Traffic], Any]:
    """See `costmodel.array.policies.policy`. Raises TooSmall naming the layer that needs the most room."""
    check_shared(target)
    _check_room(network, target)
    mining = _Mining(network, target)
    first = network.graph.input.name
    held = {first: _Held(tensor_bytes(network, first, target), *state)}
    moved = [mining.step(index, held) for index in range(len(network.layers))]
    (end, *_) = network.results
    return moved, (held[end].banks, held[end].copied) if end in held and not network.final else START


@dataclasses.dataclass(frozen=True)
class _Order:
    """A loop order of a layer.

    Attributes:
      working_bytes: what it takes beside the banks.
      passes: how often it reads what the banks lack of its input.
      keeps_input: whether none of the input's banks may be given up.
    """

    working_bytes: int
    passes: int = 1
    keeps_input: bool = False


def _orders(network: LayerGraph, layer: Layer, missing: int, target: PEArray) -> list[_Order]:
    """The loop orders by preference, where the banks lack so many bytes of the input."""
    node, memories = layer.nodes[0], frames.row_memories(network, layer, target)
    rows, lines = sum(memories), memories[0]
    if not node.weighted:
        return [_Order(rows)]
    maps, passes = sum(frames.frame_memories(network, layer, target)), -(-node.shape[2] // target.columns)
    in_lines = _Order(maps + lines, passes)
    once = [_Order(rows), _Order(maps + missing, keeps_input=True)]
    if passes == 1:
        once.append(in_lines)
    return [*sorted(once, key=lambda order: order.working_bytes), in_lines]


def _check_room(network: LayerGraph, target: PEArray) -> None:
    """Raises TooSmall unless every layer has an order that keeps no bank: these work whatever the banks hold.

    An order that keeps the input takes more than the last of them.
    """
    least = [
        min(order.working_bytes for order in _orders(network, layer, 0, target) if not order.keeps_input)
        for layer in network.layers
    ]
    if least and max(least) > target.sram_bytes:
        name = network.layers[least.index(max(least))].name
        what = f'takes at least {max(least)} bytes of buffers, and sram_bytes is {target.sram_bytes}'
        raise TooSmall(max(least), f'node {name!r} {what}; no layer needs more')


class _Mining:
    def __init__(self, network: LayerGraph, target: PEArray):
        self.network, self.target, self.bank_bytes = network, target, target.bank_bytes
        self.leaving = set(network.results) if network.final else set()  # what goes to DRAM once it is computed
        self.outliving = set() if network.final else set(network.results)

    def _order(self, layer: Layer, held: dict[str, _Held]) -> _Order:
        """The first loop order that fits, with the input's banks where it keeps them."""
        inputs = [held[name] for name in layer.inputs]
        kept_bytes = sum(each.banks for each in inputs) * self.bank_bytes
        orders = _orders(self.network, layer, _missing(inputs, self.bank_bytes), self.target)
        room = self.target.sram_bytes
        return next(order for order in orders if order.working_bytes + kept_bytes * order.keeps_input <= room)

    def step(self, index: int, held: dict[str, _Held]) -> Traffic:
        """What layer `index` moves, by the four rules above; `held` is changed in place."""
        layer = self.network.layers[index]
        order = self._order(layer, held)
        banks = (self.target.sram_bytes - order.working_bytes) // self.bank_bytes
        pool = _Pool(held, self.bank_bytes, banks, sum(each.banks for each in held.values()))

        others = [name for name in held if name not in layer.reads]
        others.sort(key=lambda name: -self.network.next_reader(index, name))
        operands = sorted(layer.reads, key=lambda name: (name in layer.inputs, -held[name].size))
        for name in (*others, *operands):
            pool.give_up(name, pool.used - pool.count)
        input_bytes, shortcut_bytes = pool.missing(layer.inputs) * order.passes, pool.missing(layer.shortcuts)

        for name in layer.outputs:
            self._place(index, name, others, pool)
        for name in layer.reads:
            if not self._is_last(index, name):
                pool.keep(name)
        for name in [*held]:
            if self._is_last(index, name) and name not in self.outliving:
                del held[name]

        weight_bytes = bits_to_bytes(layer.weights * self.target.weight_bits)
        buffer_bytes = order.working_bytes + pool.used * self.bank_bytes
        return Traffic(input_bytes, weight_bytes, pool.written, shortcut_bytes, buffer_bytes)

    def _place(self, index: int, name: str, others: Sequence[str], pool: _Pool) -> None:
        """The result takes the banks that are free, that it overwrites, or that are needed later than it (rule 2)."""
        result = pool.held[name] = _Held(tensor_bytes(self.network, name, self.target))
        if name not in self.leaving or not self._is_last(index, name):
            overwritable = frames.overwritable(self.network, self.network.layers[index], name)
            overwritten = max(
                (pool.held[other].banks for other in overwritable if self._is_last(index, other)), default=0
            )
            free, wanted = pool.count - pool.used + overwritten, pool.wanted(name)
            for other in others:
                if self.network.next_reader(index, other) > self.network.next_reader(index, name):
                    free += pool.give_up(other, wanted - free)
            result.banks = min(wanted, free)
            pool.used += max(0, result.banks - overwritten)
        if name in self.leaving:
            pool.written += result.size
            result.copied = result.banks
        else:
            pool.written += pool.missing([name])

    def _is_last(self, index: int, name: str) -> bool:
        """Whether no layer after this one reads a tensor."""
        return self.network.next_reader(index, name) == math.inf


def monotone(target: PEArray) -> tuple[str, ...]:
    """Traffic of maps falls as a rule, not by law, as under `retain`."""
    return ('macs', 'dram_weight_bytes')


START: State = (0, 0)
SHORTCUT_MINING = Policy(START, run, monotone)
