"""Row mode and frame mode: which tensors three buffers hold, layer after layer, and how large the buffers must be.

In row mode a layer streams its rows: every operand comes from DRAM and every result goes there, and nothing survives a
layer. In frame mode whole feature maps stay in the buffers. With a layer of K x K windows, N input and M output
channels, an H x W output of QS-bit accumulators, a W_in wide input of QA-bit values, and R x C multipliers (ceil to
bytes; row mode handles one image after another, frame mode the batch at once):

    memory        row mode                              frame mode
    buffer 0      (K + 1) N W_in QA, at most the map    the largest map that is given to it
    buffer 1      rows of a fused pool's window         the same
    buffer 2                                            the same
    vectors       factors of a scale                    1 x 1 maps, first fit
    weights       all; for one row in all as frame      a tile of K K min(N, R) min(M, C) weights, and the next one
    accumulators  min(M, C) W QS                        min(M, C) H W QS, also for a pool fused to a pass
                  N QS for the sums of a global average pool, in both modes

Each memory is as large as its largest user. Frame mode gives out the buffers by these rules:

1. What a layer's main operand needs and does not lie on chip is loaded. A shortcut that does not lie on chip streams
   past the adder.
2. A map goes to the highest free buffer if no other tensor lives, else to the lowest. An element-wise operand that dies
   counts as free: conv + add writes over its shortcut. So plain layers take turns, a residual block's input sits in
   buffer 2, and its convolutions take turns in 0 and 1.
3. If none is free, the tensor whose next reader is farthest, and that the layer does not read, goes to DRAM: it is
   written there unless it came from there. That may be the result itself. If operands alone need more than three
   buffers, the layer runs in row mode.
4. A layer in row mode finds the buffers empty: what lives is written to DRAM before it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from costmodel.array.layers import bits_to_bytes, tensor_bytes
from costmodel.array.policies.policy import Traffic
from costmodel.array.settings import PEArray
from tailor_jax.array_schedule import DRAM, MAPS, VECTORS, Layer, LayerGraph, Place, Step
from tailor_jax.graph import Node, weight_shape
from tailor_jax.ops import ELEMENTWISE, WINDOW_POOLS

OFF_CHIP: Place = (DRAM, 0)

# Of the one tensor that lives: where it lies on chip, and whether DRAM has it too; None if only DRAM has it.
State = tuple[Place, bool] | None
Moves = list[tuple[str, Place]]


@dataclasses.dataclass
class _Live:
    """The tensors that live between two layers: where those on chip lie, and which of all DRAM has."""

    places: dict[str, Place]
    stored: set[str]

    def free_buffer(self, highest: bool, dying: Iterable[str] = ()) -> int | None:
        """The highest or the lowest buffer that holds nothing but dying operands; None if there is none."""
        taken = {place[0] for name, place in self.places.items() if name not in dying}
        free = [buffer for buffer in MAPS if buffer not in taken]
        return (free[-1] if highest else free[0]) if free else None


class BufferAllocator:
    """Gives out the buffers, layer after layer, by the rules above.

    A value but for what it remembers of the network, so that many cuts can be tried quickly.
    """

    def __init__(self, network: LayerGraph, target: PEArray):
        self.network, self.target = network, target
        names = [network.graph.input.name, *(name for layer in network.layers for name in layer.outputs)]
        self.bytes = {name: tensor_bytes(network, name, target) for name in names}
        self.vector = {name: network.graph[name].shape[:2] == (1, 1) for name in names}
        self.results = set(network.results)
        # Index of the last layer that reads each tensor: -1 if none does, infinite if it outlives the network.
        self.last: dict[str, float] = {name: network.readers.get(name, [-1])[-1] for name in names}
        if not network.final:
            self.last |= dict.fromkeys(self.results, math.inf)
        born = {name: index for index, layer in enumerate(network.layers) for name in layer.outputs}
        born[network.graph.input.name] = -1
        # For each layer the tensors that it finds alive.
        self.alive = [
            [name for name in names if born[name] < index <= self.last[name]] for index in range(len(network.layers))
        ]
        self.memories = [
            (row_memories(network, layer, target), frame_memories(network, layer, target)) for layer in network.layers
        ]

    def run(self, state: State, frame: Sequence[bool]) -> tuple[list[Step], State]:
        """Runs all layers from a state, layer i in frame mode if frame[i]; the state after."""
        live = self._entered(state)
        steps = []
        for index in range(len(self.network.layers)):
            step = self._frame(index, live) if frame[index] else None
            steps.append(step or self._row(index, live))
            self._drop_dead(index, live)
        (end, *_) = self.network.results
        if not self.network.final:
            return steps, (live.places[end], end in live.stored) if end in live.places else None
        late = [(name, live.places[name]) for name in self.results if name in live.places and name not in live.stored]
        if late:
            steps[-1] = dataclasses.replace(steps[-1], late_stores=tuple(late))
        return steps, None

    def _entered(self, state: State) -> _Live:
        """What lives before the first layer."""
        first = self.network.graph.input.name
        if state is None:
            return _Live({}, {first})
        place, in_dram = state
        return _Live({first: place}, {first} if in_dram else set())

    def _drop_dead(self, index: int, live: _Live) -> None:
        """Forgets the tensors that no layer after this one reads; results of the network only once DRAM has them."""
        for name in [*live.places]:
            if self.last[name] <= index and (name in live.stored or name not in self.results):
                del live.places[name]

    def _row(self, index: int, live: _Live) -> Step:
        """The step in row mode, which finds the buffers empty (rule 4)."""
        layer = self.network.layers[index]
        stores = tuple((name, place) for name, place in live.places.items() if name not in live.stored)
        live.places.clear()
        live.stored.update(name for name, _ in stores)
        live.stored.update(layer.outputs)
        at = dict.fromkeys((*layer.reads, *layer.outputs), OFF_CHIP)
        return Step(layer, False, stores, (), at, (), self.memories[index][0])

    def _frame(self, index: int, live: _Live) -> Step | None:
        """The step in frame mode, or None if three buffers do not hold its operands; then nothing has changed."""
        layer = self.network.layers[index]
        maps = {name for name in layer.reads if not self.vector[name]}
        if sum(name in layer.inputs or name in live.places for name in maps) > len(MAPS):
            return None
        stores: Moves = []
        loads: Moves = []
        for name in dict.fromkeys(layer.inputs):
            if name not in live.places:
                live.places[name] = self._place_of_operand(index, name, live, stores)
                loads.append((name, live.places[name]))
        at = {name: live.places.get(name, OFF_CHIP) for name in layer.reads}
        during = dict(live.places)
        for name in layer.outputs:
            at[name] = self._place_of_result(index, name, live, stores)
        sizes = list(self.memories[index][1])
        for name, (memory, address) in (during | live.places).items():
            sizes[memory] = max(sizes[memory], address + self.bytes[name])
        return Step(layer, True, tuple(stores), tuple(loads), at, (), tuple(sizes))

    def _place_of_operand(self, index: int, name: str, live: _Live, stores: Moves) -> Place:
        """Where a main operand is loaded to (rules 1 and 2)."""
        if self.vector[name]:
            return VECTORS, self._fit(name, live.places)
        alone = self.alive[index] == [name]
        while (buffer := live.free_buffer(alone)) is None:
            self._spill(index, -1, live, stores)
        return buffer, 0

    def _place_of_result(self, index: int, name: str, live: _Live, stores: Moves) -> Place:
        """Where a result goes (rules 2 and 3); `live` is changed."""
        place = OFF_CHIP
        if self.vector[name] and self.last[name] >= 0:
            place = VECTORS, self._fit(name, live.places)
        elif self.last[name] >= 0:
            overwritten = overwritable(self.network, self.network.layers[index], name)
            dying = [other for other in overwritten if other in live.places and self.last[other] <= index]
            alone = all(self.last[other] <= index for other in self.alive[index])
            needed = self.network.next_reader(index, name)
            while (buffer := live.free_buffer(alone, dying)) is None and self._spill(index, needed, live, stores):
                pass
            if buffer is not None:
                place = buffer, 0
                for other in dying:
                    if live.places[other][0] == buffer:
                        del live.places[other]
        if place == OFF_CHIP:
            live.stored.add(name)
        else:
            live.places[name] = place
        return place

    def _spill(self, index: int, later_than: float, live: _Live, stores: Moves) -> bool:
        """Sends the tensor that is needed last to DRAM, if that is after `later_than`; whether one is (rule 3)."""
        reads = self.network.layers[index].reads
        others = [name for name, place in live.places.items() if name not in reads and place[0] in MAPS]
        farthest = max(others, key=lambda name: self.network.next_reader(index, name), default=None)
        if farthest is None or self.network.next_reader(index, farthest) <= later_than:
            return False
        place = live.places.pop(farthest)
        if farthest not in live.stored:
            stores.append((farthest, place))
            live.stored.add(farthest)
        return True

    def _fit(self, name: str, places: dict[str, Place]) -> int:
        """The lowest address of the vector memory at which a vector fits beside those that are there."""
        vectors = {other: address for other, (memory, address) in places.items() if memory == VECTORS}
        address = 0
        for begin, end in sorted((begin, begin + self.bytes[other]) for other, begin in vectors.items()):
            if address + self.bytes[name] <= begin:
                break
            address = end
        return address

    def traffic(self, step: Step) -> Traffic:
        """What a step moves."""
        layer = step.layer

        def from_dram(names: Iterable[str]) -> int:
            return sum(self.bytes[name] for name in names if step.places[name][0] == DRAM)

        loaded = sum(self.bytes[name] for name, _ in step.loads)
        written = sum(self.bytes[name] for name, _ in (*step.stores, *step.late_stores))
        return Traffic(
            input_bytes=from_dram(layer.inputs) + loaded,
            weight_bytes=bits_to_bytes(layer.weights * self.target.weight_bits),
            output_bytes=from_dram(layer.outputs) + written,
            shortcut_bytes=from_dram(layer.shortcuts),
            buffer_bytes=sum(step.memories),
        )


def overwritable(network: LayerGraph, layer: Layer, output: str) -> list[str]:
    """The operands that a layer reads element by element, each before it writes the same element of this output."""
    graph, add = network.graph, layer.member('add')
    if layer.member('upsample', *WINDOW_POOLS) or graph[output].op == 'global_avg_pool':
        return []
    found = [add.inputs[1]] if add else []
    if layer.op in ELEMENTWISE:
        found.append(layer.nodes[0].inputs[0])
    elif add and add.inputs[1] in layer.inputs:
        return []
    once = dict.fromkeys(found)  # an add may read one tensor twice
    return [name for name in once if name in layer.reads and graph[name].shape == graph[output].shape]


def row_memories(network: LayerGraph, layer: Layer, target: PEArray) -> tuple[int, ...]:
    node, graph = layer.nodes[0], network.graph
    height, width, channels = graph.in_shape(node)
    lines = bits_to_bytes(min(node.kernel[0] + 1, height) * width * channels * target.activation_bits)
    pool, pooled = _fused_pool(layer), 0
    if pool:
        height, width, channels = graph.in_shape(pool)
        pooled = bits_to_bytes(min(pool.kernel[0], height) * width * channels * target.activation_bits)
    vector = bits_to_bytes(graph[node.inputs[1]].shape[2] * target.activation_bits) if node.op == 'scale' else 0
    rows = target.batch * node.shape[0]
    weights = bits_to_bytes(layer.weights * target.weight_bits) if rows > 1 else weight_tile(network, node, target)
    accumulators = _accumulators(layer, target, 1, 1, node.weighted)
    return lines, pooled, 0, vector, weights, accumulators


def frame_memories(network: LayerGraph, layer: Layer, target: PEArray) -> tuple[int, ...]:
    node = layer.nodes[0]
    summed = node.weighted or _fused_pool(layer) is not None
    accumulators = _accumulators(layer, target, target.batch, node.shape[0], summed)
    return 0, 0, 0, 0, weight_tile(network, node, target), accumulators


def _fused_pool(layer: Layer) -> Node | None:
    """The pool whose window needs rows of what the layer computes."""
    pool = layer.member(*WINDOW_POOLS)
    return pool if pool is not layer.nodes[0] else None


def weight_tile(network: LayerGraph, node: Node, target: PEArray) -> int:
    """Bytes of the tile of weights in use and, with double buffering, of the one that follows."""
    if not node.weighted:
        return 0
    *window, inputs, outputs = weight_shape(network.graph, node)
    high, wide = min(inputs, target.rows), min(outputs, target.columns)
    second = 0
    if target.double_buffered and inputs > high:  # tiles go over the inputs first
        second = min(inputs - high, high) * wide
    elif target.double_buffered and outputs > wide:
        second = high * min(outputs - wide, wide)
    return sum(bits_to_bytes(math.prod(window) * tile * target.weight_bits) for tile in (high * wide, second))


def _accumulators(layer: Layer, target: PEArray, images: int, rows: int, summed: bool) -> int:
    """Bytes of the partial sums of so many rows of so many images, one tile of channels, and of a global pool's."""
    node, average = layer.nodes[0], layer.member('global_avg_pool')
    tile = rows * node.shape[1] * min(node.shape[2], target.columns) if summed else 0
    sums = average.shape[2] if average else 0
    return bits_to_bytes(images * (tile + sums) * target.accumulator_bits)
