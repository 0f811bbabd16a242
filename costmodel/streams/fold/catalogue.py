"""All that a folding of a network can be made of, with periods and prices: what `solve` chooses from.

The price of a layer is a sum over its processes, of which the adaptor depends on the lanes of its input stream and of
the layer, the finish on its outputs and the lanes of its output stream:

    price(layer, lanes in, lanes out) = own(layer) + adapt(lanes in, layer.lanes) + finish(layer.outputs, lanes out)

so a few hundred calls price the tens of thousands of ways to build a layer, and layers alike share them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import NamedTuple

import numpy as np

from costmodel.streams.fold import candidates
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow.folding import TAPS, Layer
from tailor_jax.graph import Graph, Node

Amounts = Mapping[str, float]  # {resource: so much of it}


@dataclasses.dataclass(frozen=True)
class Price:
    """What a folding is judged by.

    Attributes:
      layer: (node, layer, lanes of its input stream, of its output stream) -> amounts of all processes and inner
        streams of a conv or dense node; a sum over its processes, see the module docstring.
      tensor: (node, lanes) -> amounts of its stream, and of the processes of a node that is no layer.
      worth: {resource: what one of it counts in the sum that shall be least}, one over what a device has of it.
      kind: what the price of a node depends on beside its fields, names apart, and the shape of its input.
    """

    layer: Callable[[Node, Layer, int, int], Amounts]
    tensor: Callable[[Node, int], Amounts]
    worth: Amounts
    kind: Callable[[Node], Hashable] = lambda node: None


@dataclasses.dataclass(frozen=True)
class TensorClass:
    """Tensors of equal lanes. [choices] lanes, ascending, and their periods; [choices, resources] amounts."""

    members: tuple[Node, ...]
    lanes: tuple[int, ...]
    cycles: np.ndarray
    amounts: np.ndarray


@dataclasses.dataclass(frozen=True)
class Kind:
    """The ways to build layers that are alike: [ways] layers and their periods; [ways, resources] own; for each choice
    of the lanes of the input stream, or of the output stream, [choices, ways, resources] adapt, finish: infinite where
    the widths do not fit."""

    layers: tuple[Layer, ...]
    cycles: np.ndarray
    own: np.ndarray
    adapt: np.ndarray
    finish: np.ndarray


class Place(NamedTuple):
    """A layer of the network; `source`, `target`: indices of the classes of its input and output tensor."""

    node: Node
    kind: Kind
    source: int
    target: int

    @property
    def ends(self) -> tuple[int, int]:
        return self.source, self.target


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """`resources` names the columns of all amounts; [resources] worth."""

    graph: Graph
    resources: tuple[str, ...]
    worth: np.ndarray
    classes: tuple[TensorClass, ...]
    places: tuple[Place, ...]


def catalogue(graph: Graph, price: Price, taps: Collection[str] = TAPS) -> Catalogue:
    """Of a folded graph; `taps`: those that windows may deliver.

    Raises GraphError for a node that is no streaming process.
    """
    resources = tuple(price.worth)
    priced: dict[Hashable, np.ndarray] = {}
    kinds: dict[Hashable, Kind] = {}

    def of_tensor(node: Node, lanes: int) -> np.ndarray:
        key = (_alike(graph, node, price), lanes)
        if key not in priced:
            priced[key] = _vector(price.tensor(node, lanes), resources)
        return priced[key]

    classes: list[TensorClass] = []
    index: dict[str, int] = {}
    for members in fold.classes(graph):
        periods = candidates.lanes_periods(graph, members)
        amounts = [sum(of_tensor(node, lanes) for node in members) for lanes in periods]
        index |= {node.name: len(classes) for node in members}
        classes.append(TensorClass(members, tuple(periods), np.array(list(periods.values())), np.array(amounts)))
    places = []
    for node in graph.nodes:
        if node.weighted:
            source, target = index[node.inputs[0]], index[node.name]
            widths = classes[source].lanes, classes[target].lanes
            key = (_alike(graph, node, price), widths)
            if key not in kinds:
                kinds[key] = _kind(graph, node, price, taps, *widths)
            places.append(Place(node, kinds[key], source, target))
    worth = np.array([price.worth[resource] for resource in resources])
    return Catalogue(graph, resources, worth, tuple(classes), tuple(places))


def _alike(graph: Graph, node: Node, price: Price) -> Hashable:
    """Equal for nodes of equal prices and periods."""
    shape = graph.in_shape(node) if node.inputs else None
    return dataclasses.replace(node, name='alike', inputs=(), gate='', block='', weights=''), shape, price.kind(node)


def _vector(amounts: Amounts, resources: tuple[str, ...]) -> np.ndarray:
    return np.array([float(amounts.get(resource, 0)) for resource in resources])


def _kind(
    graph: Graph, node: Node, price: Price, taps: Collection[str], arriving: tuple[int, ...], leaving: tuple[int, ...]
) -> Kind:
    periods = candidates.layer_periods(graph, node, taps)
    layers, resources = tuple(periods), tuple(price.worth)

    def priced(layer: Layer, lanes_in: int, lanes_out: int) -> np.ndarray:
        return _vector(price.layer(node, layer, lanes_in, lanes_out), resources)

    own = {layer: priced(layer, layer.lanes, layer.outputs) for layer in layers}
    of_lanes = {layer.lanes: layer for layer in reversed(layers)}
    of_outputs = {layer.outputs: layer for layer in reversed(layers)}
    unfit = np.full(len(resources), np.inf)

    def adapt(lanes: int, stream: int) -> np.ndarray:
        like = of_lanes[lanes]
        return priced(like, stream, like.outputs) - own[like] if candidates.fit(lanes, stream) else unfit

    def finish(outputs: int, stream: int) -> np.ndarray:
        like = of_outputs[outputs]
        return priced(like, like.lanes, stream) - own[like] if candidates.fit(outputs, stream) else unfit

    adapts = {(lanes, stream): adapt(lanes, stream) for lanes in of_lanes for stream in arriving}
    finishes = {(outputs, stream): finish(outputs, stream) for outputs in of_outputs for stream in leaving}
    return Kind(
        layers,
        np.array(list(periods.values())),
        np.array(list(own.values())),
        np.array([[adapts[layer.lanes, stream] for layer in layers] for stream in arriving]),
        np.array([[finishes[layer.outputs, stream] for layer in layers] for stream in leaving]),
    )
