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
    accumulators  min(M, C) W QS                        min(M, C) H W QS, also for a pool fused to a layer without weights
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

State = (
    tuple[Place, bool] | None
)  # of the one tensor that lives: where it lies on chip, and whether DRAM has it too; None if only DRAM has it


class Machine:
    """Runs the layers of one plan; a value but for what it remembers of the network, so that many cuts can be tried
    quickly.
    """

    def __init__(self, network: LayerGraph, target: PEArray):
        self.network, self.target = network, target
        names = [network.graph.input.name, *(name for layer in network.layers for name in layer.outputs)]
        self.bytes = {name: tensor_bytes(network, name, target) for name in names}
        self.vector = {name: network.graph[name].shape[:2] == (1, 1) for name in names}
        self.results = set(network.results)
        self.outliving = set() if network.final else self.results
        born = {name: index for index, layer in enumerate(network.layers) for name in layer.outputs} | {
            network.graph.input.name: -1
        }
        last = {name: self.last(name) for name in names}
        self.beside = [
            [name for name in names if born[name] < index <= last[name]] for index in range(len(network.layers))
        ]
        self.memories = [
            (row_memories(network, layer, target), frame_memories(network, layer, target)) for layer in network.layers
        ]

    def last(self, name: str) -> float:
        """Index of the last layer that reads a tensor; infinite if it outlives the network."""
        return math.inf if name in self.outliving else self.network.readers.get(name, [-1])[-1]

    def run(self, state: State, frame: Sequence[bool]) -> tuple[list[Step], State]:
        """Runs all layers from a state, layer i in frame mode if frame[i]; the state after."""
        first = self.network.graph.input.name
        places: dict[str, Place] = {first: state[0]} if state else {}
        stored = {first} if state is None or state[1] else set()
        steps = []
        for index in range(len(self.network.layers)):
            step = self._frame(index, places, stored) if frame[index] else None
            step = step or self._row(index, places, stored)
            for name in [
                name for name in places if self.last(name) <= index and (name in stored or name not in self.results)
            ]:
                del places[name]
            steps.append(step)
        if self.network.final and (
            left := [(name, places[name]) for name in self.results if name in places and name not in stored]
        ):
            steps[-1] = dataclasses.replace(steps[-1], late_stores=tuple(left))
        (end, *_) = self.network.results
        return steps, (places[end], end in stored) if end in places and not self.network.final else None

    def _row(self, index: int, places: dict[str, Place], stored: set[str]) -> Step:
        layer = self.network.layers[index]
        stores = tuple((name, place) for name, place in places.items() if name not in stored)
        places.clear()
        stored.update(name for name, _ in stores)
        stored.update(layer.outputs)
        at = dict.fromkeys((*layer.reads, *layer.outputs), (DRAM, 0))
        return Step(layer, False, stores, (), at, (), self.memories[index][0])

    def _frame(self, index: int, places: dict[str, Place], stored: set[str]) -> Step | None:
        """The step in frame mode, or None if three buffers do not hold its operands; then nothing has changed."""
        layer = self.network.layers[index]
        if len(
            {name for name in layer.reads if not self.vector[name] and (name in layer.inputs or name in places)}
        ) > len(MAPS):
            return None
        stores: list[tuple[str, Place]] = []
        loads = []

        def leave(later_than: float) -> bool:
            """Sends the tensor that is needed last to DRAM, if that is after `later_than`; whether there is one."""
            others = [name for name, place in places.items() if name not in layer.reads and place[0] in MAPS]
            farthest = max(others, key=lambda name: self.network.next_reader(index, name), default=None)
            if farthest is None or self.network.next_reader(index, farthest) <= later_than:
                return False
            place = places.pop(farthest)
            if farthest not in stored:
                stores.append((farthest, place))
                stored.add(farthest)
            return True

        def room(name: str, alone: bool, dying: Iterable[str] = ()) -> int | None:
            taken = {place[0] for other, place in places.items() if other not in dying}
            free = [buffer for buffer in MAPS if buffer not in taken]
            return (free[-1] if alone else free[0]) if free else None

        for name in dict.fromkeys(layer.inputs):
            if name in places:
                continue
            if self.vector[name]:
                places[name] = (VECTORS, self._fit(name, places))
            else:
                alone = self.beside[index] == [name]
                while (buffer := room(name, alone)) is None:
                    leave(-1)
                places[name] = (buffer, 0)
            loads.append((name, places[name]))
        at = {name: places.get(name, (DRAM, 0)) for name in layer.reads}
        alone = all(self.last(name) <= index for name in self.beside[index])
        held = dict(places)
        for name in layer.outputs:
            if self.last(name) < 0:
                at[name] = (DRAM, 0)
            elif self.vector[name]:
                at[name] = places[name] = (VECTORS, self._fit(name, places))
            else:
                dying = [
                    other
                    for other in overwritable(self.network, layer, name)
                    if other in places and self.last(other) <= index
                ]
                while (buffer := room(name, alone, dying)) is None and leave(self.network.next_reader(index, name)):
                    pass
                at[name] = (DRAM, 0) if buffer is None else (buffer, 0)
                if buffer is not None:
                    for other in [other for other in dying if places[other][0] == buffer]:
                        del places[other]
                    places[name] = at[name]
            if at[name][0] == DRAM:
                stored.add(name)
        sizes = list(self.memories[index][1])
        for name, (memory, address) in (held | places).items():
            sizes[memory] = max(sizes[memory], address + self.bytes[name])
        return Step(layer, True, tuple(stores), tuple(loads), at, (), tuple(sizes))

    def _fit(self, name: str, places: dict[str, Place]) -> int:
        """The lowest address of the vector memory at which a vector fits beside those that are there."""
        address = 0
        for begin, end in sorted(
            (place[1], place[1] + self.bytes[other]) for other, place in places.items() if place[0] == VECTORS
        ):
            if address + self.bytes[name] <= begin:
                break
            address = end
        return address

    def traffic(self, step: Step) -> Traffic:
        """What a step moves."""
        layer = step.layer

        def from_dram(names: Iterable[str]) -> int:
            return sum(self.bytes[name] for name in names if step.places[name][0] == DRAM)

        loaded, written = (
            sum(self.bytes[name] for name, _ in moves) for moves in (step.loads, (*step.stores, *step.late_stores))
        )
        return Traffic(
            input_bytes=from_dram(layer.inputs) + loaded,
            weight_bytes=bits_to_bytes(layer.weights * self.target.weight_bits),
            output_bytes=from_dram(layer.outputs) + written,
            shortcut_bytes=from_dram(layer.shortcuts),
            buffer_bytes=sum(step.memories),
        )


def overwritable(network: LayerGraph, layer: Layer, output: str) -> list[str]:
    """The operands that a layer reads element by element, each just before it writes the same element of this output."""
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
    weights = (
        bits_to_bytes(layer.weights * target.weight_bits)
        if target.batch * node.shape[0] > 1
        else weight_tile(network, node, target)
    )
    return lines, pooled, 0, vector, weights, _accumulators(layer, target, 1, 1, node.weighted)


def frame_memories(network: LayerGraph, layer: Layer, target: PEArray) -> tuple[int, ...]:
    node = layer.nodes[0]
    summed = node.weighted or _fused_pool(layer) is not None
    return (
        0,
        0,
        0,
        0,
        weight_tile(network, node, target),
        _accumulators(layer, target, target.batch, node.shape[0], summed),
    )


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
    """Bytes of the partial sums of so many rows of so many images, one tile of channels, and of the sums of a global
    average pool.
    """
    node, average = layer.nodes[0], layer.member('global_avg_pool')
    tile = rows * node.shape[1] * min(node.shape[2], target.columns) if summed else 0
    sums = average.shape[2] if average else 0
    return bits_to_bytes(images * (tile + sums) * target.accumulator_bits)
