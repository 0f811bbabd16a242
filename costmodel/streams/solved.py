"""The folding that a target gets for a network: the one of least resources that meets the interval.

What counts is the share of the device, added up over LUTs, DSPs, RAMB18 and URAM288, of layers with their inner
streams, of pools, adds and activations, and of a short FIFO for every reader of a tensor.
"""

from __future__ import annotations

from costmodel.cost import CostError
from costmodel.devices import Device, device
from costmodel.streams.area import logic
from costmodel.streams.area.logic import Parts
from costmodel.streams.area.unit import Options
from costmodel.streams.area.widths import Widths, widths
from costmodel.streams.fold.catalogue import Amounts, Price
from costmodel.streams.fold.solve import fastest, solve
from costmodel.streams.settings import Dataflow, interval_wanted
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow import folding_file
from tailor_jax.dataflow.design import design
from tailor_jax.dataflow.folding import Folding, Layer
from tailor_jax.dataflow.process import period_cycles
from tailor_jax.graph import Graph, GraphError, Node

_COUNTED = ('lut', 'dsp', 'bram18', 'uram')


def solved(folded: Graph, target: Dataflow) -> Folding:
    """The folding of the file that a target names, or the one of least resources; see `evaluate.settled`."""
    if isinstance(target.folding, str):
        return _loaded(folded, target.folding, target.interval_cycles)
    if target.device_share is not None:
        most = device(target.device).capacity
        limits = {name: target.device_share * most[name] for name in _COUNTED if most.get(name)}
        return fastest(folded, price(folded, target), limits)[1]
    return solve(folded, interval_wanted(folded, target), price(folded, target))


def _loaded(folded: Graph, path: str, interval_cycles: int | None) -> Folding:
    """The folding of a file. Raises CostError where it is slower than asked for."""
    try:
        found = folding_file.load(path, folded)[0]
        periods = {actor.name: period_cycles(actor.process) for actor in design(folded, found).actors}
    except FileNotFoundError:
        raise CostError(f'folding: there is no file {path!r}') from None
    except GraphError as error:
        raise CostError(f'folding: {error}') from None
    slowest = max(periods, key=lambda name: periods[name])
    if interval_cycles is not None and periods[slowest] > interval_cycles:
        raise CostError(
            f'folding: {slowest!r} in {path!r} takes {periods[slowest]} cycles an image, and interval_cycles asks for '
            f'{interval_cycles}; fold it otherwise, or leave interval_cycles out'
        )
    return found


def price(graph: Graph, target: Dataflow) -> Price:
    """What the parts of a folded graph take, as the solver asks for it."""
    part, options = device(target.device), options_of(target)
    bits = widths(graph, target)

    def layer(node: Node, folded: Layer, arriving: int, leaving: int) -> Amounts:
        total = logic.layer(graph, node, folded, arriving, leaving, bits, options, part)
        for width in _inner_bits(graph, node, folded, arriving, bits):
            total += logic.stream(target.stream_depth, width, part)
        return _amounts(total)

    def tensor(node: Node, lanes: int) -> Amounts:
        total = _alone(graph, node, lanes, bits, part)
        for _ in graph.consumers[node.name]:
            total += logic.stream(target.stream_depth, lanes * bits.tensors[node.name], part)
        return _amounts(total)

    def kind(node: Node) -> tuple:
        arriving = tuple(bits.tensors[name] for name in node.inputs)
        return arriving, bits.tensors[node.name], bits.weights.get(node.name), bits.sums.get(node.name)

    worth = {resource: 1 / most for resource in _COUNTED if (most := part.capacity.get(resource))}
    return Price(layer, tensor, worth, kind)


def options_of(target: Dataflow) -> Options:
    layers = target.folding.layers if isinstance(target.folding, Folding) else {}
    weights = {name: layer.weights for name, layer in layers.items()}
    return Options(multiplier=target.multiplier, packing=target.dsp_packing, weights=weights)


def _inner_bits(graph: Graph, node: Node, folded: Layer, arriving: int, bits: Widths) -> list[int]:
    """The widths of the streams between the processes of a layer."""
    value = bits.tensors[node.inputs[0]]
    found = [folded.outputs * bits.sums[node.name]]
    if folded.lanes != arriving:
        found.append(folded.lanes * value)
    if fold.has_window(node):
        found.append(fold.taps_at_once(node, folded.taps) * folded.lanes * value)
    return found


def _alone(graph: Graph, node: Node, lanes: int, bits: Widths, part: Device) -> Parts:
    """The processes of a node that is no layer."""
    total = Parts()
    if node.weighted or not node.inputs:
        return total
    if node.windowed:
        total += logic.window(graph, node, 'all', lanes, 0, bits, part)
    total += logic.elementwise(graph, node, lanes, bits, part)
    return total


def _amounts(total: Parts) -> Amounts:
    return {resource: getattr(total, resource) for resource in _COUNTED}
