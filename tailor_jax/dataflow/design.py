"""A folded graph and its folding -> the processes and streams of a streaming design, in the order in which data flow.

    node                        processes, each named NODE or NODE__PART
    conv, dense                 [NODE__adapt] [NODE__window] NODE__mac NODE      NODE requantizes, and takes in the skip
                                                                                 of an add that is absorbed
    max_pool, avg_pool          NODE__window NODE
    add, relu, leaky_relu       NODE
    global_avg_pool             NODE
    a tensor of several readers [TENSOR__clone]

A window stands where a node looks at other pixels than the one that comes in; an adaptor where the lanes of the layer
and of the stream that it reads differ. A stream is named PRODUCER__CONSUMER after the processes' nodes, with the part
where it is inside a node. The input and the output of the network are ports, which hold no words.

`absorb` names the adds that the convolution before them takes in; `handed` names, for a tensor, the windowed reader
that hands it on to the others and how many pixels later (`Hand`), in place of a clone.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping

from tailor_jax import streaming
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow.folding import Folding
from tailor_jax.dataflow.process import Average, Convert, Mac, Process, Window, Words
from tailor_jax.graph import Graph, GraphError, Node
from tailor_jax.streaming import fifo_name

IN_PORT, OUT_PORT = 'input_stream', 'output_stream'
TENSOR, ADAPTED, WINDOW, SUMS, CLONE, MAC = 'tensor', 'adapt', 'window', 'sums', 'clone', 'mac'
PARTS = (ADAPTED, WINDOW, SUMS, CLONE, MAC)
Thing = tuple[str, str]  # what flows: its kind, the node that it is of


@dataclasses.dataclass(frozen=True)
class Hand:
    """A windowed node that hands its input on: the words of a pixel `pixels` visits after it came in."""

    host: str
    pixels: int


@dataclasses.dataclass(frozen=True)
class Actor:
    """A process in its place.

    Attributes:
      name: see the module docstring; node: the node that it belongs to; part: '', 'adapt', 'window', 'mac' or 'clone'.
      process: what it does when.
      inlets, outlets: names of streams, in the order of the process's.
    """

    name: str
    node: str
    part: str
    process: Process
    inlets: tuple[str, ...]
    outlets: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Stream:
    """A stream of words: `tensor` is the node whose values it carries, `lanes` how many of them; `kind` is 'tensor',
    'window' (taps of the tensor) or 'sums' (accumulators of the node); `producer` and `consumer` are actors, '' for the
    outside."""

    name: str
    producer: str
    consumer: str
    kind: str
    tensor: str
    lanes: int


@dataclasses.dataclass(frozen=True)
class Design:
    """`actors` in the order in which data flow, `streams` in the order of their consumers' inlets."""

    graph: Graph
    folding: Folding
    actors: tuple[Actor, ...]
    streams: tuple[Stream, ...]

    @functools.cached_property
    def by_name(self) -> dict[str, Stream]:
        """{name: stream}."""
        return {each.name: each for each in self.streams}


def absorbable(graph: Graph) -> dict[str, str]:
    """{add: the convolution that can take it in}: its main branch, if nothing else reads it and no activation stands
    between."""
    main = {node.name: graph[node.inputs[0]] for node in graph.nodes if node.op == 'add'}
    return {
        name: node.name
        for name, node in main.items()
        if node.op == 'conv' and not node.relu and len(graph.consumers[node.name]) == 1
    }


def design(
    graph: Graph, folding: Folding, absorb: Mapping[str, str] | None = None, handed: Mapping[str, Hand] | None = None
) -> Design:
    """The design of a folded graph.

    Args:
      graph: without batch norms and gates.
      folding: of the whole network; names of nodes that the graph has not are passed over.
      absorb: {add: convolution}, of those in `absorbable`.
      handed: {tensor: Hand}.

    Raises:
      GraphError: for a node that is no streaming process, or a folding that does not fit.
    """
    folding, absorb, handed = fold.kept(folding, graph), dict(absorb or {}), dict(handed or {})
    fold.check(graph, folding)
    for name in graph.by_name:
        if name in PARTS:
            raise GraphError(f'node {name!r}: a streaming design uses this name for a part of a node; rename the node')
    drafts = list(_drafts(graph, folding, absorb))
    return _connected(graph, folding, drafts, handed)


@dataclasses.dataclass(frozen=True)
class _Draft:
    """An actor before its streams: what it reads, in order, and the thing that it makes: (kind, name of the node)."""

    node: str
    part: str
    process: Process
    reads: tuple[Thing, ...]
    makes: Thing

    @property
    def name(self) -> str:
        return f'{self.node}__{self.part}' if self.part else self.node


def _drafts(graph: Graph, folding: Folding, absorb: Mapping[str, str]) -> Iterator[_Draft]:
    finished = {conv: add for add, conv in absorb.items()}
    for node in graph.nodes[1:]:
        words = math.prod(node.shape[:2]) * node.shape[2] // folding.lanes[node.name]
        tensors = tuple((TENSOR, name) for name in node.inputs)
        made = (TENSOR, node.name)
        match node.op:
            case _ if node.weighted:
                yield from _sums(graph, node, folding)
                if node.name not in finished:
                    yield _Draft(node.name, '', _finish(graph, node, folding), ((SUMS, node.name),), made)
            case 'add' if node.name in absorb:
                host = graph[absorb[node.name]]
                finish = dataclasses.replace(_finish(graph, host, folding), further=1)
                yield _Draft(node.name, '', finish, ((SUMS, host.name), tensors[1]), made)
            case 'add' | 'relu' | 'leaky_relu':
                yield _Draft(node.name, '', Words(words, inlets=len(tensors)), tensors, made)
            case _ if node.windowed:
                taps = window(graph, node, 'all', folding.lanes[node.name])
                yield _Draft(node.name, WINDOW, taps, tensors, (WINDOW, node.name))
                yield _Draft(node.name, '', Words(words), ((WINDOW, node.name),), made)
            case 'global_avg_pool':
                yield _Draft(node.name, '', average(graph, node, folding.lanes[node.name]), tensors, made)
            case _:
                raise streaming.unsupported(node)


def _sums(graph: Graph, node: Node, folding: Folding) -> Iterator[_Draft]:
    """What makes the accumulators of a conv or dense node."""
    layer, arriving = folding.layers[node.name], folding.lanes[node.inputs[0]]
    reads = (TENSOR, node.inputs[0])
    if layer.lanes != arriving:
        count = math.prod(graph.in_shape(node)) // arriving
        convert = Convert(count, max(1, layer.lanes // arriving), max(1, arriving // layer.lanes))
        yield _Draft(node.name, ADAPTED, convert, (reads,), (ADAPTED, node.name))
        reads = (ADAPTED, node.name)
    if fold.has_window(node):
        taps = window(graph, node, layer.taps, layer.lanes)
        yield _Draft(node.name, WINDOW, taps, (reads,), (WINDOW, node.name))
        reads = (WINDOW, node.name)
    slices, blocks = fold.slices_and_blocks(graph, node, layer)
    yield _Draft(node.name, MAC, Mac(fold.steps(graph, node, layer), slices, blocks), (reads,), (SUMS, node.name))


def _finish(graph: Graph, node: Node, folding: Folding) -> Convert:
    outputs, lanes = folding.layers[node.name].outputs, folding.lanes[node.name]
    return Convert(math.prod(node.shape) // outputs, max(1, lanes // outputs), max(1, outputs // lanes))


def window(graph: Graph, node: Node, taps: str, lanes: int) -> Window:
    """The window of a layer or pool that delivers these taps of so many lanes a cycle."""
    height, width, channels = graph.in_shape(node)
    words = channels // lanes
    emits = words * (math.prod(node.kernel) // fold.taps_at_once(node, taps))
    return Window((height, width), node.shape[:2], node.stride, streaming.lag(graph, node), words, emits)


def average(graph: Graph, node: Node, lanes: int) -> Average:
    """The global average of words of so many lanes, which share one multiplier."""
    height, width, channels = graph.in_shape(node)
    return Average(height * width, channels // lanes, lanes - 1)


def _connected(graph: Graph, folding: Folding, drafts: list[_Draft], handed: Mapping[str, Hand]) -> Design:
    readers: dict[Thing, list[_Draft]] = {}
    for draft in drafts:
        for thing in draft.reads:
            readers.setdefault(thing, []).append(draft)
    actors: list[Actor] = []
    made: dict[tuple[str, Thing], list[Stream]] = {}  # of a reader, for each time that it reads a thing
    hands: dict[str, list[tuple[str, int]]] = {}  # of a window: (stream that it hands on, pixels later)

    def stream(producer: str, consumer: str, node: str, thing: Thing) -> str:
        same = made.setdefault((consumer, thing), [])
        name = fifo_name(thing[1], node if thing[0] == TENSOR else thing[0]) + '__2' * bool(same)
        name = name if producer else IN_PORT
        same.append(Stream(name, producer, consumer, *thing, _lanes(graph, folding, thing)))
        return name

    def outlets(producer: str, thing: Thing) -> tuple[str, ...]:
        """The streams of a thing, made; its clone, if it takes one, follows its producer."""
        found = readers.get(thing, [])
        if not found:  # the network's result
            made['', thing] = [Stream(OUT_PORT, producer, '', *thing, _lanes(graph, folding, thing))]
            return (OUT_PORT,)
        if len(found) == 1:
            return (stream(producer, found[0].name, found[0].node, thing),)
        if thing[1] in handed:
            hand = handed[thing[1]]
            host = next(draft for draft in found if draft.node == hand.host and draft.part == WINDOW)
            for draft in found:
                if draft is not host:
                    name = stream(host.name, draft.name, draft.node, thing)
                    hands.setdefault(host.name, []).append((name, hand.pixels))
            return (stream(producer, host.name, host.node, thing),)
        clone = fifo_name(thing[1], CLONE)
        into = stream(producer, clone, CLONE, thing)
        copies = tuple(stream(clone, draft.name, draft.node, thing) for draft in found)
        count = math.prod(graph[thing[1]].shape) // folding.lanes[thing[1]]
        clones[producer] = Actor(clone, thing[1], CLONE, Words(count, outlets=len(found)), (into,), copies)
        return (into,)

    clones: dict[str, Actor] = {}
    outlets('', (TENSOR, graph.input.name))
    written = {draft.name: outlets(draft.name, draft.makes) for draft in drafts}
    taken: dict[tuple[str, Thing], int] = {}
    actors += [clones['']] if '' in clones else []
    for draft in drafts:
        names = []
        for thing in draft.reads:
            index = taken[draft.name, thing] = taken.get((draft.name, thing), -1) + 1
            names.append(made[draft.name, thing][index].name)
        process, handing = draft.process, hands.get(draft.name, [])
        if handing:
            assert isinstance(process, Window)
            process = dataclasses.replace(process, taps_pixels=tuple(pixels for _, pixels in handing))
        streams_out = (*written[draft.name], *(name for name, _ in handing))
        actors.append(Actor(draft.name, draft.node, draft.part, process, tuple(names), streams_out))
        actors += [clones[draft.name]] if draft.name in clones else []
    by_name = {each.name: each for group in made.values() for each in group}
    in_order = _in_order(actors)
    order = [name for actor in in_order for name in actor.inlets]
    return Design(graph, folding, in_order, tuple(by_name[name] for name in (*order, OUT_PORT)))


def _in_order(actors: list[Actor]) -> tuple[Actor, ...]:
    """Each behind those that it reads from, otherwise as they stand: readers of what a window hands on come behind."""
    found: list[Actor] = []
    written, waiting = {IN_PORT}, list(actors)
    while waiting:
        first = next(index for index, actor in enumerate(waiting) if written.issuperset(actor.inlets))
        found.append(waiting.pop(first))
        written.update(found[-1].outlets)
    return tuple(found)


def _lanes(graph: Graph, folding: Folding, thing: Thing) -> int:
    """Values in a word."""
    kind, name = thing
    node = graph[name]
    if kind == TENSOR:
        return folding.lanes[name]
    if not node.weighted:
        return folding.lanes[name] * math.prod(node.kernel)
    layer = folding.layers[name]
    if kind == SUMS:
        return layer.outputs
    return layer.lanes * (fold.taps_at_once(node, layer.taps) if kind == WINDOW else 1)
