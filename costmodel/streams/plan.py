"""The design of a graph as it is exported: `tailor_jax.dataflow.plan.Plan`."""

from __future__ import annotations

from costmodel.devices import Device, device
from costmodel.streams.area import fifo_area, logic, memory
from costmodel.streams.area import unit as units
from costmodel.streams.area.unit import Options, Unit
from costmodel.streams.built import Built
from costmodel.streams.settings import Dataflow
from costmodel.streams.solved import options_of
from costmodel.streams.structure import stream_bits
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow.design import WINDOW, Actor
from tailor_jax.dataflow.plan import Fifo, Plan


def plan(built: Built, target: Dataflow) -> Plan:
    """The plan of a folded graph as a settled target builds it."""
    made, part = built.structure, device(target.device)
    units_of = _units(built, options_of(target), part)
    folding, bits = made.design.folding, stream_bits(made.design, made.bits)
    return Plan(
        folding=folding,
        fifos={name: _fifo(depth, bits[name], part) for name, depth in built.sized.depths.items()},
        latency_cycles=made.latency_cycles,
        absorbed=made.absorbed,
        handed=made.handed,
        lines={actor.name: _lines(built, actor, part) for actor in made.design.actors if actor.part == WINDOW},
        replays={name: logic.replay(*each, part).storage for name, each in units_of.items()},
        multipliers={name: unit.kind for name, (unit, _) in units_of.items()},
        family=part.family.name,
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


def _units(built: Built, options: Options, part: Device) -> dict[str, tuple[Unit, int]]:
    """{layer: its matrix-vector unit, and its passes over the same words}."""
    made = built.structure
    graph, found = made.design.graph, {}
    for name, folded in made.design.folding.layers.items():
        unit = units.unit(graph, graph[name], folded, made.bits, options, part)
        found[name] = unit, fold.slices_and_blocks(graph, graph[name], folded)[1]
    return found


def _fifo(depth: int, width_bits: int, part: Device) -> Fifo:
    chosen = fifo_area.build(depth, width_bits, part)
    return Fifo(depth, chosen.storage, chosen.rows, chosen.more, chosen.rest)
