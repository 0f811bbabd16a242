"""The plan of a streaming design: all that decides it beyond the network and its integers.

    check(graph, plan)  ->  the processes and streams of a folded graph by this plan, or what does not fit

What is priced, simulated, emitted and synthesized is the design of one plan.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow import slices
from tailor_jax.dataflow.design import IN_PORT, OUT_PORT, WINDOW, Design, Hand
from tailor_jax.dataflow.folding import Folding
from tailor_jax.fields import is_integer, shown
from tailor_jax.graph import Graph, GraphError, Node

STORAGE = slices.STORAGES  # of a FIFO
RESTS = ('', 'lutram', 'bram', 'uram')
LINES = ('lut', 'bram', 'uram')
REPLAYS = ('lut', 'bram')
MULTIPLIERS = ('dsp', 'pair', 'lut')
FAMILIES = tuple(slices.PRIMITIVES)
PART = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,99}')
MOST_DEPTH, MOST_ROWS, MOST_LATENCY, MOST_CLOCK_MHZ = (1 << 31) - 1, 1 << 31, 10_000, 10_000


@dataclasses.dataclass(frozen=True)
class Fifo:
    """One FIFO: `depth` words, kept in `storage`, one of `STORAGE`.

    Attributes:
      rows, more: words in the memory of its main part and of the rest; 0 and 0: as many as `slices.split` gives.
      rest: where the rest is, one of `RESTS`; '': as Vivado chooses (`slices`).
    """

    depth: int
    storage: str = 'srl'
    rows: int = 0
    more: int = 0
    rest: str = ''

    def slices(self, width_bits: int, family: str) -> tuple[slices.Slice, ...]:
        """The memories that it is made of. Raises ValueError for a storage that the family does not have."""
        rows = (self.rows, self.more) if self.rows else slices.split(self.depth, self.storage)
        return slices.assemble(*rows, width_bits, self.storage, family, self.rest)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a folded network becomes a design.

    Attributes:
      folding: lanes of the tensors, taps, lanes and outputs of the layers; what it has of other nodes is passed over.
      fifos: {stream: Fifo}, of every stream but the ports.
      latency_cycles: {process: latency of its pipeline}, see `process`.
      absorbed: {add: the convolution that takes it in}.
      handed: {tensor: the windowed node that hands it on}.
      lines: {process of a window: memory of its rows, one of `LINES`}; 'lut' where missing.
      replays: {conv or dense node: memory of the words that it reads again, one of `REPLAYS`}; 'lut' where missing.
      multipliers: {conv or dense node: what multiplies its weights, one of `MULTIPLIERS`; 'pair': a DSP makes two
        products}; 'dsp' where missing.
      family, part, clock_mhz: the device, of a family in `FAMILIES`, and the clock that synthesis is asked for.
    """

    folding: Folding
    fifos: Mapping[str, Fifo]
    latency_cycles: Mapping[str, int]
    absorbed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    handed: Mapping[str, Hand] = dataclasses.field(default_factory=dict)
    lines: Mapping[str, str] = dataclasses.field(default_factory=dict)
    replays: Mapping[str, str] = dataclasses.field(default_factory=dict)
    multipliers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    family: str = 'ultrascale'
    part: str = 'xczu7ev-ffvc1156-2-e'
    clock_mhz: float = 200.0


def check(graph: Graph, plan: Plan) -> Design:
    """The design that a plan makes of a folded graph.

    Raises:
      GraphError: where the plan does not fit it, naming the node, the process or the stream, or holds what is no number
        or name: all of it is printed into sources and scripts.
    """
    _check_device(plan)
    _check_absorbed(graph, plan.absorbed)
    _check_handed(graph, plan)
    design = designs.design(graph, plan.folding, plan.absorbed, plan.handed)
    streams = [stream.name for stream in design.streams if stream.name not in (IN_PORT, OUT_PORT)]
    _check_names('FIFO', plan.fifos, streams)
    _check_names('process', plan.latency_cycles, [actor.name for actor in design.actors])
    for name, fifo in plan.fifos.items():
        _check_fifo(f'FIFO {name!r}', fifo, plan.family)
    for name, latency in plan.latency_cycles.items():
        _check_number(f'process {name!r}: latency_cycles', latency, 0, MOST_LATENCY)
    windows = [actor.name for actor in design.actors if actor.part == WINDOW]
    weighted = [node.name for node in graph.nodes if node.weighted]
    _check_choices('lines of', plan.lines, windows, LINES)
    _check_choices('replay of', plan.replays, weighted, REPLAYS)
    _check_choices('multiplier of', plan.multipliers, weighted, MULTIPLIERS)
    for name, kind in plan.multipliers.items():
        if kind == 'pair' and fold.is_depthwise(graph, graph[name]):
            raise GraphError(f'node {name!r} is depthwise: no two products share an operand, so none can be paired')
    return design


def multiplier(plan: Plan, name: str) -> str:
    """What multiplies in a conv or dense node."""
    return plan.multipliers.get(name, 'dsp')


def _check_fifo(what: str, fifo: Fifo, family: str) -> None:
    _check_choice(f'{what}: storage', fifo.storage, STORAGE)
    _check_choice(f'{what}: rest', fifo.rest, RESTS)
    _check_number(f'{what}: depth', fifo.depth, 1, MOST_DEPTH)
    _check_number(f'{what}: rows', fifo.rows, 0, MOST_ROWS)
    _check_number(f'{what}: more', fifo.more, 0, fifo.rows)
    if 'uram' in (fifo.storage, fifo.rest) and not slices.PRIMITIVES[family].uram:
        raise GraphError(f'{what}: the family {family} has no UltraRAM')
    if (holds := slices.capacity(fifo.slices(1, family))) < fifo.depth:
        raise GraphError(f'{what}: {fifo.rows} and {fifo.more} rows hold {holds} words, not its {fifo.depth}')


def _check_device(plan: Plan) -> None:
    clock = plan.clock_mhz
    if not isinstance(plan.part, str) or not PART.fullmatch(plan.part):
        raise GraphError(f'part must be the name of a device, letters, digits, dots and dashes, got {plan.part!r}')
    if not isinstance(clock, (int, float)) or isinstance(clock, bool) or not 0 < clock <= MOST_CLOCK_MHZ:
        raise GraphError(f'clock_mhz must be a number above 0 and at most {MOST_CLOCK_MHZ}, got {clock!r}')
    _check_choice('family', plan.family, FAMILIES)


def _check_absorbed(graph: Graph, absorbed: Mapping[str, str]) -> None:
    able = designs.absorbable(graph)
    for add, conv in absorbed.items():
        if able.get(add) != conv:
            expected = f'only {able[add]!r} can' if add in able else 'no convolution can'
            raise GraphError(f'node {add!r}: {conv!r} cannot take it in; {expected}')


def _check_handed(graph: Graph, plan: Plan) -> None:
    for tensor, hand in plan.handed.items():
        where = f'tensor {tensor!r}: {hand.host!r} cannot hand it on'
        if tensor not in graph.by_name or len(graph.consumers[tensor]) < 2:
            raise GraphError(f'tensor {tensor!r}: it has not several readers, so none hands it on')
        if graph.consumers[tensor].count(hand.host) != 1:
            raise GraphError(f'{where}: it does not read it once')
        host = graph[hand.host]
        if not host.windowed or not fold.has_window(host):
            raise GraphError(f'{where}: it has no window')
        layer, lanes = plan.folding.layers.get(host.name), plan.folding.lanes.get(tensor)
        if layer is not None and (layer.taps, layer.lanes) != ('all', lanes):
            raise GraphError(f'{where}: its window has taps {layer.taps!r} of {layer.lanes} lanes, not all of {lanes}')
        if hand.pixels not in taps_pixels(graph, host):
            known = ', '.join(map(str, taps_pixels(graph, host)))
            raise GraphError(f'{where} {hand.pixels!r} pixels later: its taps are {known} pixels old')


def taps_pixels(graph: Graph, node: Node) -> tuple[int, ...]:
    """How many pixels ago each tap of a node's window came in, at the visit that emits it, ascending."""
    height, width = node.kernel
    row = graph.in_shape(node)[1]
    return tuple(sorted({up * row + left for up in range(height) for left in range(width)}))


def _check_names(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    given, known = set(given), tuple(known)
    for name in known:
        if name not in given:
            raise GraphError(f'the plan has no {what} {name!r}; the network has {", ".join(known)}')
    _check_known(what, sorted(given, key=str), known)


def _check_known(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            raise GraphError(
                f'the plan has the {what} {name!r}, which the network does not have; it has {", ".join(known)}'
            )


def _check_choices(what: str, given: Mapping[str, str], known: list[str], choices: tuple[str, ...]) -> None:
    _check_known(what, given, known)
    for name, choice in given.items():
        _check_choice(f'{what} {name!r}', choice, choices)


def _check_choice(what: str, given: str, choices: tuple[str, ...]) -> None:
    if given not in choices:
        raise GraphError(f'{what} must be one of {", ".join(choices)}, got {given!r}')


def _check_number(what: str, given: int, lo: int, hi: int) -> None:
    if not is_integer(given, lo, hi):
        raise GraphError(f'{what} must be an integer of {lo}..{hi}, got {shown(given)}')
