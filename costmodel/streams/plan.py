"""The design of a graph as it is exported: `tailor_jax.dataflow.plan.Plan`; and whether a plan of one's own runs."""

from __future__ import annotations

from collections.abc import Mapping

from costmodel.cost import CostError
from costmodel.devices import Device, device
from costmodel.streams.area import fifo_area, logic, memory
from costmodel.streams.area import unit as units
from costmodel.streams.area.unit import Options, Unit
from costmodel.streams.built import Built
from costmodel.streams.flow.depths import Edge, greatest, keeps, own_period
from costmodel.streams.flow.part import Part, edges, whole
from costmodel.streams.settings import Dataflow
from costmodel.streams.solved import options_of
from costmodel.streams.structure import stream_bits
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow import plan as planning
from tailor_jax.dataflow.design import WINDOW, Actor
from tailor_jax.dataflow.plan import Fifo, Plan
from tailor_jax.graph import Graph


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


def check_depths(graph: Graph, plan: Plan) -> None:
    """Raises CostError where FIFOs of a plan, set by hand, let a design stop or run slower than its slowest process:
    naming each that is too short, however deep the others, and the least depth that it needs.

    Args:
      graph: without batch norms and gates.
      plan: of a design for it.
    """
    design = planning.check(graph, plan)
    part = whole(design, plan.latency_cycles)
    period, names = own_period(part), {edge: name for edge, name in edges(design.actors).items() if name in plan.fifos}
    given = {edge: plan.fifos[name].depth for edge, name in names.items()}
    if keeps(part, period, given):
        return
    ample = greatest(part, period).streams
    found = []
    for edge in names:
        least = _least(part, period, ample, edge, given[edge])
        if given[edge] < least:
            found.append(f'{names[edge]!r} has {given[edge]} words and needs {least}')
    told = '; '.join(found) or 'each would do alone, together they do not: deepen any'
    raise CostError(f'FIFOs too short to run at {period} cycles an image: {told}')


def _least(part: Part, period: int, ample: Mapping[Edge, int], edge: Edge, given: int) -> int:
    """The least depth of a FIFO, at least what is given, with which a part keeps a period if all others are ample."""
    low, high = given, max(given, ample[edge])
    while low < high:
        middle = (low + high) // 2
        if keeps(part, period, {**ample, edge: middle}):
            high = middle
        else:
            low = middle + 1
    return low
