"""The folding that a target gets for a network: the one of least resources that meets the interval.

What counts is the share of the device, added up over LUTs, DSPs, RAMB18 and URAM288, of layers with their inner
streams, of pools, adds and activations, and of a short FIFO for every reader of a tensor.
"""

from __future__ import annotations

import dataclasses

from costmodel.cost import CostError
from costmodel.devices import device
from costmodel.streams.area import logic
from costmodel.streams.area.logic import Options, Parts, Widths
from costmodel.streams.fold.catalogue import Amounts, Price
from costmodel.streams.fold.solve import solve
from costmodel.streams.settings import Dataflow, interval_wanted
from tailor_jax import rewrite
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow import folding_file
from tailor_jax.dataflow.folding import Folding, Layer
from tailor_jax.graph import Graph, Node

_COUNTED = ('lut', 'dsp', 'bram18', 'uram')


def settled(graph: Graph, target: Dataflow) -> Dataflow:
    """The target with the folding that the graph's layers have on it, whatever its gates do.

    Raises:
      GraphError: for a node that is no streaming process, or a folding that does not fit.
      CostError: for an interval that cannot be met; the message names the node and the nearest interval.
    """
    folded = rewrite.fold(graph)
    if isinstance(target.folding, Folding):
        fold.check(folded, fold.kept(target.folding, folded))
        return target
    if target.folding:
        return dataclasses.replace(target, folding=_loaded(folded, target.folding))
    found = solve(folded, interval_wanted(folded, target), price(folded, target))
    return dataclasses.replace(target, folding=found)


def _loaded(folded: Graph, path: str) -> Folding:
    try:
        return folding_file.load(path, folded)[0]
    except FileNotFoundError:
        raise CostError(f'folding: there is no file {path!r}') from None


def price(graph: Graph, target: Dataflow) -> Price:
    """What the parts of a folded graph take, as the solver asks for it."""
    part, options = device(target.device), options_of(target)
    bits = logic.widths(graph, target)

    def layer(node: Node, folded: Layer, arriving: int, leaving: int) -> Amounts:
        total = logic.layer(graph, node, folded, arriving, leaving, bits, options, part)
        for width in _inner_bits(graph, node, folded, arriving, bits):
            total += logic.stream(target.stream_depth, width, part)
        return _amounts(total)

    def tensor(node: Node, lanes: int) -> Amounts:
        total = logic.tensor(graph, node, lanes, bits, part)
        for _ in graph.consumers[node.name]:
            total += logic.stream(target.stream_depth, lanes * bits.tensors[node.name], part)
        return _amounts(total)

    def kind(node: Node) -> tuple:
        arriving = tuple(bits.tensors[name] for name in node.inputs)
        return arriving, bits.tensors[node.name], bits.weights.get(node.name), bits.sums.get(node.name)

    worth = {resource: 1 / most for resource in _COUNTED if (most := part.capacity.get(resource))}
    return Price(layer, tensor, worth, kind)


def options_of(target: Dataflow) -> Options:
    return Options(multiplier=target.multiplier, packing=target.dsp_packing)


def _inner_bits(graph: Graph, node: Node, folded: Layer, arriving: int, bits: Widths) -> list[int]:
    """The widths of the streams between the processes of a layer."""
    value = bits.tensors[node.inputs[0]]
    found = [folded.outputs * bits.sums[node.name]]
    if folded.lanes != arriving:
        found.append(folded.lanes * value)
    if fold.has_window(node):
        found.append(fold.taps_at_once(node, folded.taps) * folded.lanes * value)
    return found


def _amounts(total: Parts) -> Amounts:
    return {resource: getattr(total, resource) for resource in _COUNTED}


