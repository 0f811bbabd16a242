"""The design of a graph as it is exported: `tailor_jax.dataflow.plan.Plan`."""

from __future__ import annotations

from costmodel.devices import Device, device
from costmodel.streams.area import fifo_area, logic, memory
from costmodel.streams.area.memory import Memory
from costmodel.streams.area.unit import Options, multiplier, unit
from costmodel.streams.built import Built
from costmodel.streams.settings import Dataflow
from costmodel.streams.solved import options_of
from costmodel.streams.structure import stream_bits
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow.design import MAC, WINDOW, Actor
from tailor_jax.dataflow.plan import Fifo, Plan
from tailor_jax.graph import Node


def plan(built: Built, target: Dataflow) -> Plan:
    """The plan of a folded graph as a settled target builds it."""
    made, part, options = built.structure, device(target.device), options_of(target)
    folding, bits = made.design.folding, stream_bits(made.design, made.bits)
    return Plan(
        folding=folding,
        fifos={
            name: Fifo(depth, fifo_area.choose(depth, bits[name], part)) for name, depth in built.sized.depths.items()
        },
        latency_cycles=made.latency_cycles,
        absorbed=made.absorbed,
        handed=made.handed,
        lines={
            actor.name: memory.choose(kept, part)
            for actor in made.design.actors
            if (kept := _kept(built, actor, options, part))
        },
        packed=tuple(name for name in folding.layers if _is_packed(built, made.design.graph[name], options, part)),
        multiplier=target.multiplier,
        part=part.part,
        clock_mhz=target.clock_mhz,
    )


def _kept(built: Built, actor: Actor, options: Options, part: Device) -> dict[str, Memory]:
    """The storages of the rows of a window, or of the words that a mac reads again."""
    made = built.structure
    graph, folding = made.design.graph, made.design.folding
    node, layer = graph[actor.node], folding.layers.get(actor.node)
    if actor.part == WINDOW:
        taps, lanes = (layer.taps, layer.lanes) if layer else ('all', folding.lanes[node.name])
        return logic.lines(graph, node, taps, lanes, made.bits, part)
    if actor.part == MAC and layer:
        _, passes = fold.slices_and_blocks(graph, node, layer)
        return logic.replay(unit(graph, node, layer, made.bits, options, part), passes, part)
    return {}


def _is_packed(built: Built, node: Node, options: Options, part: Device) -> bool:
    """Whether a layer's DSPs make two products each."""
    made = built.structure
    graph, outputs = made.design.graph, made.design.folding.layers[node.name].outputs
    weight, source = made.bits.weights[node.name], made.bits.tensors[node.inputs[0]]
    return multiplier(options, weight, source, outputs, fold.is_depthwise(graph, node), part) == 'pair'
