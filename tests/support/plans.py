"""Plans of streaming designs for tests: of a folding, with FIFOs that are deep enough, and random ones.

plan_of(graph, folding)      depths at which nothing waits for a place, of the network's cycle-level schedule
unfolded(graph)              a folding of whole pixels: every layer makes a pixel a cycle
printable(graph)             whole pixels, and FIFOs of any depth
plans(graph)                 a strategy: random foldings, latencies, adds absorbed, skips handed on, memories, packing
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from hypothesis import strategies as st
from random_foldings import foldings

from costmodel.streams.flow import depths as flow
from costmodel.streams.flow.part import edges, whole
from hls_export.verilog import emit
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow import plan as planning
from tailor_jax.dataflow.design import IN_PORT, Design, Hand
from tailor_jax.dataflow.folding import Folding, Layer
from tailor_jax.dataflow.plan import Fifo, Plan
from tailor_jax.dataflow.process import Window
from tailor_jax.graph import Graph
from tailor_jax.integers.qgraph import QGraph

LATENCY = 3


def unfolded(graph: Graph) -> Folding:
    """Whole pixels, all taps, all output channels of a group."""
    layers = {}
    for node in graph.nodes:
        if node.weighted:
            lanes, outputs = graph.in_shape(node)[2] // node.groups, node.shape[2] // node.groups
            depthwise = fold.is_depthwise(graph, node)
            layers[node.name] = Layer('all', *((node.groups,) * 2 if depthwise else (lanes, outputs)))
    return Folding({node.name: node.shape[2] for node in graph.nodes}, layers)


def folded(graph: Graph, **layers: Layer) -> Folding:
    """A channel a word, and one product a cycle in the layers that are not given."""
    return Folding(
        dict.fromkeys(graph.by_name, 1),
        {node.name: layers.get(node.name, Layer('all', 1, 1)) for node in graph.nodes if node.weighted},
    )


def streams_of(design: Design) -> dict[tuple[int, int], str]:
    """{edge of the network as one part: stream}, of those that are FIFOs."""
    return {edge: name for edge, name in edges(design.actors).items() if name != IN_PORT}


def depths_of(design: Design, latency_cycles: Mapping[str, int]) -> dict[str, int]:
    """{stream: depth}: at the pace of the slowest process nothing ever waits for a place."""
    part = whole(design, dict(latency_cycles))
    found = flow.greatest(part, flow.own_period(part)).streams
    return {name: found[edge] for edge, name in streams_of(design).items()}


def plan_of(
    graph: Graph,
    folding: Folding | None = None,
    latency: int | Mapping[str, int] = LATENCY,
    more: int = 0,
    **settings: object,
) -> Plan:
    """A plan whose FIFOs are as deep as they get, and `more`; `settings` are other fields of `Plan`."""
    made = dataclasses.replace(Plan(folding or unfolded(graph), {}, {}), **settings)  # type: ignore[arg-type]
    design = designs.design(graph, made.folding, made.absorbed, made.handed)
    names = [actor.name for actor in design.actors]
    latencies = dict(latency) if isinstance(latency, Mapping) else dict.fromkeys(names, latency)
    depths = depths_of(design, latencies)
    fifos = {name: Fifo(depth + more) for name, depth in depths.items()}
    return dataclasses.replace(made, fifos=fifos, latency_cycles=latencies)


def printable(graph: Graph) -> Plan:
    """A plan that can be emitted; its FIFOs have any depth, and no schedule is computed."""
    made = Plan(unfolded(graph), {}, {})
    design = designs.design(graph, made.folding)
    names = [name for actor in design.actors for name in actor.inlets if name != IN_PORT]
    latency = {actor.name: LATENCY for actor in design.actors}
    return dataclasses.replace(made, fifos={name: Fifo(8) for name in names}, latency_cycles=latency)


def handable(graph: Graph, folding: Folding) -> dict[str, list[Hand]]:
    """{tensor: the ways in which it can be handed on}."""
    found: dict[str, list[Hand]] = {}
    for node in graph.nodes:
        readers = graph.consumers[node.name]
        for name in readers if len(readers) > 1 else ():
            host, layer = graph[name], folding.layers.get(name)
            fits = layer is None or (layer.taps, layer.lanes) == ('all', folding.lanes[node.name])
            if host.windowed and fold.has_window(host) and fits and readers.count(name) == 1:
                pixels = planning.taps_pixels(graph, host)
                found.setdefault(node.name, []).extend(Hand(name, each) for each in pixels)
    return found


@st.composite
def plans(draw: st.DrawFn, qgraph: QGraph, verilog: bool = False) -> Plan:
    """`verilog`: with the latencies of the Verilog parts."""
    graph = qgraph.graph
    folding = draw(foldings(graph))
    absorbed = {add: conv for add, conv in designs.absorbable(graph).items() if draw(st.booleans())}
    handed = {
        tensor: draw(st.sampled_from(hands))
        for tensor, hands in handable(graph, folding).items()
        if draw(st.booleans())
    }
    design = designs.design(graph, folding, absorbed, handed)
    narrow = [
        qnode.name
        for qnode in qgraph.nodes
        if qnode.weight_type is not None
        and max(qnode.weight_type.bits, qgraph[qnode.node.inputs[0]].out.bits) <= 8
        and not fold.is_depthwise(graph, qnode.node)
    ]
    windows = [actor.name for actor in design.actors if isinstance(actor.process, Window)]
    settings = dict(
        absorbed=absorbed,
        handed=handed,
        lines={name: draw(st.sampled_from(planning.LINES)) for name in windows},
        replays={name: draw(st.sampled_from(planning.REPLAYS)) for name in folding.layers},
        multipliers={
            name: draw(st.sampled_from(planning.MULTIPLIERS if name in narrow else ('dsp', 'lut')))
            for name in folding.layers
        },
    )
    made = plan_of(graph, folding, {actor.name: draw(st.integers(0, 6)) for actor in design.actors}, **settings)
    if not verilog:
        return made
    made = plan_of(graph, folding, emit.latencies(qgraph, made), **settings)
    fifos = {name: Fifo(fifo.depth, draw(st.sampled_from(planning.STORAGE))) for name, fifo in made.fifos.items()}
    return dataclasses.replace(made, fifos=fifos)
