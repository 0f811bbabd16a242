"""FIFO depths against the simulator: random networks, the machine with their FIFOs, and with a token less."""

import dataclasses

from hypothesis import strategies as st
from random_graphs import nested_graphs

import costmodel
from costmodel.streams.timing.simulate import simulate
from tailor_jax import rewrite
from tailor_jax.graph import Graph

LATENCIES = (0, 1, 8, 20)  # process_latency_cycles


def paces(graph: Graph) -> list[dict]:
    height, width, _ = graph.input.shape
    return [{'reuse_factor': 1}, {}, {'interval_cycles': height * width}, {'interval_cycles': 5 * height * width}]


@st.composite
def pruned(draw: st.DrawFn) -> tuple[Graph, costmodel.Dataflow]:
    """A random graph with random skips removed, and a target: pace, latency, adds absorbed or not, skips from clones or
    line buffers.
    """
    graph = draw(nested_graphs(max_gates=6))
    graph = rewrite.binarize(graph, {gate: draw(st.integers(0, 1)) for gate in graph.gates})
    return graph, costmodel.dataflow(
        add=draw(st.sampled_from(['separate', 'absorbed'])),
        skip=draw(st.sampled_from(['clone', 'line_buffer'])),
        process_latency_cycles=draw(st.sampled_from(LATENCIES)),
        **draw(st.sampled_from(paces(graph))),
    )


def simulated(graph: Graph, cost: costmodel.Cost, bounded: bool = True, images: int = 24):
    """The machine that the cost describes, token by token."""
    taps = {row['name']: (row['tap_host'], row['tap_lag']) for row in cost.fifos if row['tap_host']}
    room = cost.depths if bounded else None
    return simulate(
        rewrite.fold(graph),
        cost.reuse_factors,
        room,
        images,
        absorb=cost.target.add == 'absorbed',
        taps=taps,
        process_latency_cycles=cost.target.process_latency_cycles,
    )


def keeps_interval(graph: Graph, cost: costmodel.Cost) -> bool:
    """Whether the simulated machine takes no cycle more than predicted over 16 images, once 10 have gone through."""
    run = simulated(graph, cost, images=30)
    ends = run.outputs[run.per_image - 1 :: run.per_image]
    return not run.deadlocked and ends[26] - ends[10] <= 16 * cost.total['interval_cycles']


def one_token_less(cost: costmodel.Cost, name: str) -> costmodel.Cost:
    """The cost with a shorter FIFO."""
    return dataclasses.replace(
        cost, fifos=[row | {'depth': row['depth'] - (row['name'] == name)} for row in cost.fifos]
    )
