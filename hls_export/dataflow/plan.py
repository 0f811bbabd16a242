"""What the exporter needs beyond the integers: reuse factors, depth and storage of each FIFO, device and clock.

The FIFOs of a network are the edges between its processes (see `tailor_jax.streaming`): `producer__consumer`; a tensor
with several readers goes through `producer__clone` into a clone process, whose outputs are `producer__consumer`. The
AXI ports are no FIFOs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from tailor_jax import streaming
from tailor_jax.fields import is_integer
from tailor_jax.graph import Graph, GraphError, Node
from tailor_jax.integers.qgraph import QGraph
from tailor_jax.ops import WEIGHTED, listed

STORAGE = ('srl', 'lutram', 'bram', 'uram')
CLONE = 'clone'
PART = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,99}')
MOST_DEPTH, MOST_LATENCY, MOST_CLOCK_MHZ = (1 << 31) - 1, 10_000, 10_000


@dataclasses.dataclass(frozen=True)
class Fifo:
    """One FIFO: `depth` tokens, kept in `storage`, one of `STORAGE`."""

    depth: int
    storage: str = 'srl'


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a network becomes a design.

    Attributes:
      reuse_factors: {node: reuse factor} of weighted nodes; 1 where a node is missing.
      fifos: {FIFO name: Fifo}, exactly those of `fifos(graph)`.
      process_latency_cycles: the depth of a process's pipeline that the depths of the FIFOs allow for (see
        `tailor_jax.streaming`).
      part, clock_mhz: the device and the clock that synthesis is asked for.
    """

    reuse_factors: Mapping[str, int]
    fifos: Mapping[str, Fifo]
    part: str = 'xczu7ev-ffvc1156-2-e'
    clock_mhz: float = 200.0
    process_latency_cycles: int = 0

    @staticmethod
    def default(
        qgraph: QGraph, skip_depths: Mapping[str, int] | None = None, reuse_factors: Mapping[str, int] | None = None
    ) -> Plan:
        """Depth 2 everywhere but in the FIFOs that hold a skip tensor, whose depths the caller gives.

        Raises GraphError naming the first skip FIFO without a depth: too few tokens deadlock, so none is guessed.
        """
        graph, given = qgraph.graph, dict(skip_depths or {})
        waiting = skip_fifos(graph)
        for name in waiting:
            if name not in given:
                raise GraphError(
                    f'FIFO {name!r} holds a skip tensor while its main branch catches up; give its depth (costmodel '
                    'has it)'
                )
        return Plan(dict(reuse_factors or {}), {name: Fifo(given.pop(name, 2)) for name in fifos(graph)})

    def reuse_factor(self, name: str) -> int:
        return self.reuse_factors.get(name, 1)


def readers(graph: Graph, name: str) -> tuple[str, ...]:
    """Names of the FIFOs on a tensor's edges, one a read, in graph order; the second read by one node gets `__2`.

    Raises GraphError for a node that nothing reads.
    """
    consumers = graph.consumers[name]
    if not consumers and name != graph.output.name:
        raise GraphError(f'node {name!r}: nothing reads its output; remove it with rewrite.dead_code')
    return tuple(
        streaming.fifo_name(name, consumer) + ('__2' if consumer in consumers[:index] else '')
        for index, consumer in enumerate(consumers)
    )


def source(node: Node, index: int) -> str:
    """Name of the FIFO that a node's input `index` comes from."""
    name = node.inputs[index]
    return streaming.fifo_name(name, node.name) + ('__2' if name in node.inputs[:index] else '')


def fifos(graph: Graph) -> dict[str, str]:
    """{FIFO name: the node whose tensor it carries} of every FIFO of the design, in graph order."""
    names = {}
    for node in graph.nodes:
        edges = readers(graph, node.name)
        is_port = node.op == 'input'
        if len(edges) > 1 and not is_port:
            names[streaming.fifo_name(node.name, CLONE)] = node.name
        if len(edges) > 1 or not is_port:
            names.update(dict.fromkeys(edges, node.name))
    return names


def skip_fifos(graph: Graph) -> tuple[str, ...]:
    """The FIFOs that feed the second input of an add: a skip tensor waits there."""
    names = fifos(graph)
    skips = (source(node, 1) for node in graph.nodes if node.op == 'add')
    return tuple(name for name in skips if name in names)


def check(graph: Graph, plan: Plan) -> None:
    """Raises GraphError where the plan does not fit: a FIFO missing or unknown, a reuse factor that does not divide, a
    negative latency, or what is no number or name: all of it is printed into sources and scripts."""
    latency, clock = plan.process_latency_cycles, plan.clock_mhz
    if not is_integer(latency) or not 0 <= latency <= MOST_LATENCY:
        raise GraphError(
            f'process_latency_cycles must be an integer, 0 or more, and at most {MOST_LATENCY}, got {latency!r}'
        )
    if not isinstance(plan.part, str) or not PART.fullmatch(plan.part):
        raise GraphError(f'part must be the name of a device, letters, digits, dots and dashes, got {plan.part!r}')
    if not isinstance(clock, (int, float)) or isinstance(clock, bool) or not 0 < clock <= MOST_CLOCK_MHZ:
        raise GraphError(f'clock_mhz must be a number above 0 and at most {MOST_CLOCK_MHZ}, got {clock!r}')
    names = fifos(graph)
    if missing := [name for name in names if name not in plan.fifos]:
        raise GraphError(f'the plan has no FIFO {missing[0]!r}; the network has {", ".join(names)}')
    if unknown := [name for name in plan.fifos if name not in names]:
        raise GraphError(
            f'the plan has a FIFO {unknown[0]!r} that the network does not have; it has {", ".join(names)}'
        )
    for name, fifo in plan.fifos.items():
        if fifo.storage not in STORAGE:
            raise GraphError(f'FIFO {name!r}: storage must be one of {", ".join(STORAGE)}, got {fifo.storage!r}')
        if not is_integer(fifo.depth) or not 1 <= fifo.depth <= MOST_DEPTH:
            raise GraphError(
                f'FIFO {name!r}: depth must be a positive integer, at most {MOST_DEPTH}, got {fifo.depth!r}'
            )
    for name, factor in plan.reuse_factors.items():
        if name not in graph.by_name or not graph[name].weighted:
            raise GraphError(
                f'the plan gives {name!r} a reuse factor, but it is no {listed(WEIGHTED, "or")} node of the network'
            )
        if not is_integer(factor):
            raise GraphError(f'node {name!r}: its reuse factor must be an integer, got {factor!r}')
        streaming.reuse_split(graph, graph[name], factor)
