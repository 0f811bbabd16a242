"""What a PE array runs, layer after layer, as the cost model schedules it and `hls_export.array` encodes it.

A *layer* is a node of the folded graph that computes, with the element-wise nodes and pools that run along with it. A
*step* is a layer in its place: in row mode or frame mode, with what is stored and loaded before it. A `Schedule` is all
that a program needs beside the integers of the network.
"""

from __future__ import annotations

import dataclasses
import functools
import math

from tailor_jax.graph import Graph, Node
from tailor_jax.ops import VIEWS

MEMORIES = ('buffer0_bytes', 'buffer1_bytes', 'buffer2_bytes', 'vector_bytes', 'weight_bytes', 'accumulator_bytes')
MAPS, VECTORS, WEIGHTS, ACCUMULATORS = (0, 1, 2), 3, 4, 5  # places in `MEMORIES`
DRAM = 4  # where a tensor may lie beside `MAPS` and `VECTORS`
TRAFFIC = ('input', 'weight', 'output', 'shortcut')  # kinds of DRAM bytes

Place = tuple[int, int]  # (memory, address); the address of a tensor in DRAM is not given here


@dataclasses.dataclass(frozen=True)
class Layer:
    """One step of the array.

    Attributes:
      nodes: its members, in graph order; the first does the arithmetic that the array is for.
      inputs: tensors read by the first node's main operand (several under a concat), and by a scale.
      shortcuts: tensors read as the second operand of an add.
      outputs: tensors written.
      weights: number of weights, biases not counted.
      macs: multiply-accumulates for one image.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    shortcuts: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: int
    macs: int

    @property
    def name(self) -> str:
        return self.nodes[0].name

    @property
    def op(self) -> str:
        return self.nodes[0].op

    @property
    def block(self) -> str:
        return self.nodes[0].block

    @property
    def reads(self) -> tuple[str, ...]:
        """Every tensor read, each once."""
        return tuple(dict.fromkeys(self.inputs + self.shortcuts))

    def member(self, *ops: str) -> Node | None:
        """The first member of one of these ops."""
        return next((node for node in self.nodes if node.op in ops), None)


@dataclasses.dataclass(frozen=True)
class LayerGraph:
    """The layers of a folded graph, in the order in which they run.

    Attributes:
      graph: the folded graph.
      layers: its layers.
      final: whether the graph's output is the network's, which must reach DRAM; False for a part of a network whose
        rest is still to run.
    """

    graph: Graph
    layers: tuple[Layer, ...]
    final: bool = True

    @functools.cached_property
    def readers(self) -> dict[str, list[int]]:
        """{tensor: indices of the layers that read it}."""
        found: dict[str, list[int]] = {}
        for index, layer in enumerate(self.layers):
            for name in layer.reads:
                found.setdefault(name, []).append(index)
        return found

    @functools.cached_property
    def last_reader(self) -> dict[str, int]:
        """{tensor: index of the last layer that reads it}; the graph's results, which live on, have none."""
        return {name: indices[-1] for name, indices in self.readers.items() if name not in self.results}

    def next_reader(self, index: int, name: str) -> float:
        """Index of the next layer after this one that reads a tensor; infinite if none does."""
        return next((reader for reader in self.readers.get(name, ()) if reader > index), math.inf)

    @functools.cached_property
    def results(self) -> tuple[str, ...]:
        """The tensors that the graph's output consists of."""
        return stored(self.graph, self.graph.output)


@dataclasses.dataclass(frozen=True)
class Step:
    """One layer in its place, in this order: stores, loads, the layer, late stores.

    Attributes:
      layer: the layer.
      frame: whether it runs in frame mode.
      stores: (tensor, place) written to DRAM to make room.
      loads: (tensor, place) read from DRAM into a buffer.
      places: {tensor: place} of the operands and results during the layer.
      late_stores: (tensor, place) of results of the network that must not end on chip.
      memories: bytes of each of `MEMORIES` that the step needs.
    """

    layer: Layer
    frame: bool
    stores: tuple[tuple[str, Place], ...]
    loads: tuple[tuple[str, Place], ...]
    places: dict[str, Place]
    late_stores: tuple[tuple[str, Place], ...]
    memories: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A whole network on a PE array.

    Attributes:
      layer_graph: its layers.
      steps: each layer in its place, in the order in which they run.
      rows, columns: input and output channels of a tile of weights.
      weight_bits, activation_bits: 8 or 16.
      traffic: {kind: DRAM bytes} that the cost model predicts, by the kinds of `TRAFFIC`; a value of a map takes
        `activation_bits`.
    """

    layer_graph: LayerGraph
    steps: tuple[Step, ...]
    rows: int
    columns: int
    weight_bits: int
    activation_bits: int
    traffic: dict[str, int]

    @property
    def memories(self) -> tuple[int, ...]:
        """Bytes of each of `MEMORIES`."""
        return sizes(self.steps)


def sizes(steps: tuple[Step, ...] | list[Step]) -> tuple[int, ...]:
    """Bytes of each of `MEMORIES`: as large as its largest user."""
    return tuple(map(max, zip(*(step.memories for step in steps))))


def stored(graph: Graph, node: Node) -> tuple[str, ...]:
    """The tensors in memory that a node's output is: itself, or what a view is made of, each once."""
    found: dict[str, None] = {}
    seen, waiting = set(), [node]
    while waiting:
        each = waiting.pop()
        if each.op not in VIEWS:
            found[each.name] = None
        elif each.name not in seen:
            seen.add(each.name)
            waiting += [graph[name] for name in reversed(each.inputs)]
    return tuple(found)
