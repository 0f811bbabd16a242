"""The exact cost of a graph on the dataflow target.

    evaluate(graph, target)   rows of integers, blocks, totals, FIFOs, latency
    chains(graph, target)     the costs of every setting of the gates, stretch by stretch

A gated add is priced as open. Where skips close, the graph is another graph: `rewrite.binarize` it and evaluate that,
on the target of `settled`, whose folding is that of the network with every skip open.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Mapping
from typing import Any

from costmodel import devices
from costmodel.cost import Cost, by_block, reduced
from costmodel.expectation.chain import Chain, Run, carried
from costmodel.expectation.stretches import Stretch, stretches
from costmodel.streams.area import fifo_area, logic
from costmodel.streams.area.logic import Parts
from costmodel.streams.built import REDUCTIONS, Built, built, folding_of, pace_cycles
from costmodel.streams.flow import depths as flow
from costmodel.streams.flow.depths import Leaving
from costmodel.streams.flow.part import edges, whole
from costmodel.streams.plan import plan
from costmodel.streams.settings import Dataflow
from costmodel.streams.solved import options_of, solved
from costmodel.streams.structure import stream_bits
from tailor_jax import rewrite
from tailor_jax.dataflow.folding import Folding
from tailor_jax.graph import Graph, Node

_ALWAYS_MONOTONE = ('dsp', 'weight_memory_bits', 'line_buffer_bits', 'stream_bits', 'macs', 'bops', 'interval_cycles')


def monotone(target: Dataflow) -> tuple[str, ...]:
    """The resources that removing a skip can never raise.

    FIFOs are not among them: a removal can lengthen others (a skip that was the slow branch no longer delays its
    neighbour), so storage and logic fall as a rule, but not by law.
    """
    return _ALWAYS_MONOTONE


def settled(graph: Graph, target: Dataflow) -> Dataflow:
    """The target with the folding that the graph's layers have on it, whatever its gates do: the one given, or the one
    of least resources, with weights in block RAM as far as that lessens the greater share of the device, LUTs or block
    RAM.

    Raises:
      GraphError: for a node that is no streaming process, or a folding that does not fit.
      CostError: for an interval that cannot be met; the message names the node and the nearest interval.
    """
    if isinstance(target.folding, Folding):
        return target
    folded = rewrite.fold(graph)
    given = dataclasses.replace(target, folding=solved(folded, target))
    if target.folding:
        return given
    made, part = built(folded, given, pace_cycles(folded, given)), devices.device(target.device)
    design, bits, streams = made.structure.design, made.structure.bits, Parts()
    width_bits = stream_bits(design, bits)
    for name, depth in made.sized.depths.items():
        streams += logic.stream(depth, width_bits[name], part)
    options = dataclasses.replace(options_of(given), weights={})
    weights = logic.stored(design, bits, options, part, streams)
    folding = folding_of(given)
    layers = {name: dataclasses.replace(layer, weights=weights[name]) for name, layer in folding.layers.items()}
    return dataclasses.replace(given, folding=dataclasses.replace(folding, layers=layers))


def evaluate(graph: Graph, target: Dataflow) -> Cost:
    """Prices a graph, with or without learnable gates (gated adds count as open).

    Raises:
      GraphError, CostError: for a node without a dataflow process, a folding that does not fit, an interval that cannot
        be met, FIFOs that cannot keep it.
    """
    made, target = built_whole(graph, target)
    total = reduced(made.rows, REDUCTIONS) | {'latency_cycles': _latency_cycles(made)}
    blocks = by_block(made.rows, REDUCTIONS)
    return Cost(target, total, made.rows, blocks, _fifo_rows(made, target), plan(made, target))


def built_whole(graph: Graph, target: Dataflow) -> tuple[Built, Dataflow]:
    """A graph on a target, and the target with its folding. Raises as `evaluate`."""
    target, folded = settled(graph, target), rewrite.fold(graph)
    return built(folded, target, pace_cycles(folded, target)), target


def chains(graph: Graph, target: Dataflow) -> list[Chain]:
    """The costs of every setting of the gates: a stretch hands on how words leave it, and which tensor they are of."""
    target = settled(graph, target)
    cycles = pace_cycles(rewrite.fold(graph), target)

    def run(part: Stretch, first: bool, setting: Mapping[str, int], state: Hashable) -> tuple[dict[str, int], Hashable]:
        assert isinstance(state, _State)
        entered = part.graph if first else _entered(part.graph, state.tensor)
        made = built(rewrite.fold(rewrite.binarize(entered, setting)), target, cycles, state.leaving, part.final)
        rows = made.rows if first else made.rows[1:]  # the input of a stretch is a row of the one before
        last = made.structure.design.graph.output
        tensor = last.name if last.name in folding_of(target).lanes else last.inputs[0]  # a ReLU that a gate left
        state = _State(made.sized.leaving, tensor)
        return reduced(rows or [dict.fromkeys(REDUCTIONS, 0)], REDUCTIONS), state

    found = stretches(graph) or [Stretch(graph, True)]  # an input alone
    parts: list[tuple[tuple[str, ...], Run]] = [
        (part.graph.gates, functools.partial(run, part, index == 0)) for index, part in enumerate(found)
    ]
    return [carried(parts, _State(None, graph.input.name), REDUCTIONS)]


@dataclasses.dataclass(frozen=True)
class _State:
    """What a stretch must know of those before it: how words come in, None for a port, and the node that made them."""

    leaving: Leaving | None
    tensor: str


def _entered(graph: Graph, tensor: str) -> Graph:
    """A stretch whose input has the name of the folded node that makes it."""
    was = graph.input.name

    def renamed(node: Node) -> Node:
        inputs = tuple(tensor if name == was else name for name in node.inputs)
        return dataclasses.replace(node, name=tensor if node.name == was else node.name, inputs=inputs)

    return Graph(tuple(map(renamed, graph.nodes)))


def _latency_cycles(found: Built) -> int:
    made = found.structure
    if not made.design.actors:  # the input is the output: a word a cycle
        return found.rows[0]['interval_cycles']
    names = edges(made.design.actors)
    depths = {edge: found.sized.depths[name] for edge, name in names.items() if name in found.sized.depths}
    interval_cycles = max(row['interval_cycles'] for row in found.rows)
    return flow.latency_cycles(whole(made.design, made.latency_cycles), interval_cycles, depths)


def _fifo_rows(found: Built, target: Dataflow) -> list[dict[str, Any]]:
    made, part = found.structure, devices.device(target.device)
    bits, rows = stream_bits(made.design, made.bits), []
    for stream in made.design.streams:
        if stream.name not in found.sized.depths:
            continue
        depth, width = found.sized.depths[stream.name], bits[stream.name]
        taken = logic.stream(depth, width, part).rounded()
        rows.append(
            {
                'name': stream.name,
                'node': found.sized.row_of_fifo[stream.name],
                'producer': stream.producer,
                'consumer': stream.consumer,
                'tensor': stream.tensor,
                'kind': stream.kind,
                'lanes': stream.lanes,
                'depth': depth,
                'width_bits': width,
                'fifo_bits': depth * width,
                'storage': fifo_area.choose(depth, width, part),
                **{resource: taken[resource] for resource in ('bram18', 'uram', 'lut', 'ff')},
            }
        )
    return rows
