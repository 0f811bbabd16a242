"""The design of a graph as it is exported: `tailor_jax.dataflow.plan.Plan`."""

from __future__ import annotations

from costmodel.devices import Device, device
from costmodel.streams.area import fifo_area, logic, memory
from costmodel.streams.area.unit import Options, multiplier
from costmodel.streams.built import Built
from costmodel.streams.settings import Dataflow
from costmodel.streams.solved import options_of
from costmodel.streams.structure import stream_bits
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow.design import WINDOW, Actor
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
        lines={actor.name: _lines(built, actor, part) for actor in made.design.actors if actor.part == WINDOW},
        packed=tuple(name for name in folding.layers if _is_packed(built, made.design.graph[name], options, part)),
        multiplier=target.multiplier,
        part=part.part,
        clock_mhz=target.clock_mhz,
    )


def _lines(built: Built, actor: Actor, part: Device) -> str:
    """The memory of the rows of a window."""
    made = built.structure
    node, folding = made.design.graph[actor.node], made.design.folding
    layer = folding.layers.get(node.name)
    taps, lanes = (layer.taps, layer.lanes) if layer else ('all', folding.lanes[node.name])
    return memory.choose(logic.lines(made.design.graph, node, taps, lanes, made.bits, part), part)


def _is_packed(built: Built, node: Node, options: Options, part: Device) -> bool:
    """Whether a layer's DSPs make two products each."""
    made = built.structure
    graph, outputs = made.design.graph, made.design.folding.layers[node.name].outputs
    weight, source = made.bits.weights[node.name], made.bits.tensors[node.inputs[0]]
    return multiplier(options, weight, source, outputs, fold.is_depthwise(graph, node), part) == 'pair'
