"""Foldings by trial of all of them, and prices to try them by."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Iterator, Mapping

from random_foldings import divisors

from costmodel.streams.fold.catalogue import Price
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow.folding import Folding, Layer
from tailor_jax.dataflow.process import period_cycles
from tailor_jax.graph import Graph, GraphError, Node


def random_price(graph: Graph, seed: int, by_name: bool, most: int = 9) -> Price:
    """Small integers of two resources, of which equal ones are common; layers alike have the same prices, or not."""

    def drawn(*of: object) -> dict[str, int]:
        rng = random.Random(repr((seed, *of)))
        return {'area': rng.randrange(most), 'power': rng.randrange(most)}

    def same(node: Node) -> object:
        return node.name if by_name else (node.kernel, node.stride, graph.in_shape(node), node.shape, node.groups)

    def layer(node: Node, built: Layer, lanes_in: int, lanes_out: int) -> dict[str, int]:
        parts = [drawn('own', same(node), built)]
        if lanes_in != built.lanes:
            parts.append(drawn('adapt', same(node), built.lanes, lanes_in))
        if lanes_out != built.outputs:
            parts.append(drawn('finish', same(node), built.outputs, lanes_out))
        return {resource: sum(part[resource] for part in parts) for resource in parts[0]}

    def tensor(node: Node, lanes: int) -> dict[str, int]:
        return drawn('tensor', node.name if by_name else (node.op, node.shape), lanes)

    return Price(layer, tensor, {'area': 1.0, 'power': 0.5}, kind=lambda node: node.name if by_name else None)


def dsps(average: bool) -> Price:
    """Multipliers of layers, two products of one activation in each; with that of an average or without."""

    def layer(node: Node, built: Layer, *_: int) -> dict[str, int]:
        return {'dsp': fold.taps_at_once(node, built.taps) * built.lanes * math.ceil(built.outputs / 2)}

    return Price(layer, lambda node, _: {'dsp': int(average and node.op == 'global_avg_pool')}, {'dsp': 1.0})


def amounts(graph: Graph, folding: Folding, price: Price) -> dict[str, float]:
    """What a folding takes, summed over its nodes."""
    found = [price.tensor(node, folding.lanes[node.name]) for node in graph.nodes]
    for name, layer in folding.layers.items():
        node = graph[name]
        found.append(price.layer(node, layer, folding.lanes[node.inputs[0]], folding.lanes[name]))
    return {resource: sum(each.get(resource, 0) for each in found) for resource in price.worth}


def worth(price: Price, taken: Mapping[str, float]) -> float:
    return sum(price.worth[resource] * amount for resource, amount in taken.items())


def interval_cycles(graph: Graph, folding: Folding) -> int:
    return max(period_cycles(actor.process) for actor in designs.design(graph, folding).actors)


def least(graph: Graph, interval: int, price: Price, limits: Mapping[str, float]) -> float | None:
    """The least worth of all foldings that meet the interval and the limits; None where none does."""

    def sums(taken: list[Mapping[str, float]]) -> tuple[float, ...]:
        """The worth, then the amounts of the limited resources."""
        return sum(worth(price, each) for each in taken), *(sum(each[name] for each in taken) for name in limits)

    tensors: dict[tuple, bool] = {}
    layers: dict[tuple, set] = {}
    best = math.inf
    for lanes in _lanes(graph):
        ends = {node.name: (node, *(lanes[name] for name in (node.name, *node.inputs))) for node in graph.nodes}
        for name, key in ends.items():
            if key not in tensors:
                tensors[key] = _tensor_cycles(graph, graph[name], lanes) <= interval
        if not all(tensors[key] for key in ends.values()):
            continue
        totals = {sums([price.tensor(node, lanes[node.name]) for node in graph.nodes])}
        for node in graph.nodes:
            if node.weighted:
                if ends[node.name] not in layers:
                    layers[ends[node.name]] = {sums([each]) for each in _layers(graph, node, lanes, interval, price)}
                pairs = itertools.product(totals, layers[ends[node.name]])
                totals = _undominated({tuple(map(sum, zip(*pair))) for pair in pairs})
        for taken, *limited in totals:
            if all(amount <= most for amount, most in zip(limited, limits.values())):
                best = min(best, taken)
    return None if best == math.inf else best


def count(graph: Graph) -> int:
    """How many choices of lanes there are to try."""
    return math.prod(map(len, _choices(graph)))


def _choices(graph: Graph) -> list[list[int]]:
    return [divisors(math.gcd(*(node.shape[2] for node in members))) for members in fold.classes(graph)]


def _lanes(graph: Graph) -> Iterator[dict[str, int]]:
    for chosen in itertools.product(*_choices(graph)):
        yield {node.name: lanes for members, lanes in zip(fold.classes(graph), chosen) for node in members}


def _alone(graph: Graph, node: Node) -> Graph:
    """A network of one node."""
    source = Node('before', 'input', (), graph.in_shape(node))
    return Graph((source, dataclasses.replace(node, inputs=('before',) * len(node.inputs), gate='', weights='')))


def _tensor_cycles(graph: Graph, node: Node, lanes: Mapping[str, int]) -> int:
    """Cycles of what makes a tensor, a layer apart, and of its words."""
    words = math.prod(node.shape) // lanes[node.name]
    if node.weighted or node.op == 'input':
        return words
    both = {'before': lanes[node.inputs[0]], node.name: lanes[node.name]}
    return max(words, interval_cycles(_alone(graph, node), Folding(both, {})))


def _layers(
    graph: Graph, node: Node, lanes: Mapping[str, int], interval: int, price: Price
) -> Iterator[Mapping[str, float]]:
    """Amounts of all ways to build a layer that fit the lanes and keep the interval."""
    alone, ends = _alone(graph, node), (lanes[node.inputs[0]], lanes[node.name])
    for taps, width, outputs in itertools.product(
        fold.TAPS, divisors(graph.in_shape(node)[2]), divisors(node.shape[2])
    ):
        layer = Layer(taps, width, outputs)
        try:
            cycles = interval_cycles(alone, Folding(dict(zip(('before', node.name), ends)), {node.name: layer}))
        except GraphError:
            continue
        if cycles <= interval:
            yield price.layer(node, layer, *ends)


def _undominated(totals: set[tuple[float, ...]]) -> set[tuple[float, ...]]:
    def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        return one != other and all(ours <= theirs for ours, theirs in zip(one, other))

    return {each for each in totals if not any(beats(other, each) for other in totals)}
