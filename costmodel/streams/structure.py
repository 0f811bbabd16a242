"""What a target makes of a folded graph: its design, the widths of its values, the latencies of its processes.

Adds are absorbed where a convolution can take them in. A tensor of several readers is handed on from the window of one
of them where that leaves fewer bits in the segment's FIFOs than a clone: a layer holds the last (fh - 1) W + fw pixels
anyway, so it passes pixel n on in its visit n + t, t the age of one of its taps, and the FIFO of the skip starts later
by t pixels (NN2FPGA, arXiv 2309.15631, takes the oldest). Past the main branch's own lag a longer t would only make the
main branch wait.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from costmodel.devices import device
from costmodel.expectation.groups import Segment, segments
from costmodel.streams.area import logic
from costmodel.streams.area.widths import Widths, widths
from costmodel.streams.flow import depths as flow
from costmodel.streams.flow.part import edges, whole
from costmodel.streams.settings import Dataflow, activation_bits
from costmodel.streams.solved import options_of
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow.design import ADAPTED, MAC, WINDOW, Design, Hand
from tailor_jax.dataflow.folding import Folding, kept
from tailor_jax.dataflow.plan import taps_pixels
from tailor_jax.dataflow.process import Average, period_cycles
from tailor_jax.graph import Graph, Node


@dataclasses.dataclass(frozen=True)
class Structure:
    """A design on a target.

    Attributes:
      design: its processes and streams.
      bits: widths of its values.
      latency_cycles: {process: latency of its pipeline}.
      absorbed, handed: what `design` was made with.
    """

    design: Design
    bits: Widths
    latency_cycles: Mapping[str, int]
    absorbed: Mapping[str, str]
    handed: Mapping[str, Hand]


def structure(graph: Graph, target: Dataflow, pace_cycles: int, logits: bool = True) -> Structure:
    """What the target, settled for the network, makes of a folded graph, or of a part of it.

    Args:
      graph: the network, or a stretch of it whose input is the tensor before it.
      target: with a folding.
      pace_cycles: see `pace`.
      logits: whether the graph's last node is the network's.
    """
    assert isinstance(target.folding, Folding), 'a target is settled before it is built'
    target = dataclasses.replace(target, folding=kept(target.folding, graph))
    bits = widths(graph, target)
    if not logits:  # the last node is like any other
        last = {graph.output.name: activation_bits(target, graph.output)}
        bits = dataclasses.replace(bits, tensors=dict(bits.tensors) | last)
    absorbed = designs.absorbable(graph) if target.add == 'absorbed' else {}
    handed: dict[str, Hand] = {}
    if target.skip == 'line_buffer':
        for segment in segments(graph):
            alone = Graph((Node(segment.entry.name, 'input', (), segment.entry.shape), *segment.nodes))
            handed |= _handed(alone, segment, target, bits, absorbed, pace_cycles)
    return _made(graph, target, bits, absorbed, handed)


def _made(
    graph: Graph, target: Dataflow, bits: Widths, absorbed: Mapping[str, str], handed: Mapping[str, Hand]
) -> Structure:
    assert isinstance(target.folding, Folding), 'a target is settled before it is built'
    inside = {add: conv for add, conv in absorbed.items() if add in graph.by_name}
    design = designs.design(graph, target.folding, inside, handed)
    part, options = device(target.device), options_of(target)
    latency = {actor.name: logic.latency_cycles(design, actor, bits, options, part) for actor in design.actors}
    return Structure(design, bits, latency, inside, dict(handed))


def _handed(
    graph: Graph, segment: Segment, target: Dataflow, bits: Widths, absorbed: Mapping[str, str], pace_cycles: int
) -> dict[str, Hand]:
    """Which tensors of a segment are handed on."""
    chosen: dict[str, Hand] = {}
    for tensor in (segment.entry, *segment.nodes):
        hosts = list(_hosts(graph, tensor.name, target))
        if not hosts:
            continue
        tried = [chosen | {tensor.name: Hand(host.name, age)} for host in hosts for age in taps_pixels(graph, host)]
        tried.append(chosen)

        def fifo_bits(handed: Mapping[str, Hand]) -> int:
            made = _made(graph, target, bits, absorbed, handed)
            part = whole(made.design, made.latency_cycles)
            most = flow.greatest(part, max(pace_cycles, flow.own_period(part)), target.stream_depth).streams
            names, bits_of = edges(made.design.actors), stream_bits(made.design, bits)
            return sum(depth * bits_of[names[edge]] for edge, depth in most.items())

        chosen = min(tried, key=fifo_bits)
    return chosen


def _hosts(graph: Graph, tensor: str, target: Dataflow) -> Iterator[Node]:
    """The readers of a tensor that can hand it on to the others: they read it once, as it is, through a window of all
    taps, and wait for none of the others."""
    assert isinstance(target.folding, Folding), 'a target is settled before it is built'
    readers, folding = graph.consumers[tensor], target.folding
    for name in readers if len(readers) > 1 else ():
        node = graph[name]
        others = set(readers) - {name}
        if node.windowed and len(taps_pixels(graph, node)) > 1 and readers.count(name) == 1:
            layer = folding.layers.get(name)
            as_it_is = layer is None or (layer.taps, layer.lanes) == ('all', folding.lanes[tensor])
            if as_it_is and not others & _before(graph, name):
                yield node


def _before(graph: Graph, name: str) -> set[str]:
    """The nodes that a node waits for."""
    found, waiting = set[str](), [name]
    while waiting:
        fresh = set(graph[waiting.pop()].inputs) - found
        found |= fresh
        waiting += fresh
    return found


def stream_bits(design: Design, bits: Widths) -> dict[str, int]:
    """{stream: bits of a word}."""
    found = {}
    for each in design.streams:
        node = design.graph[each.tensor]
        if each.kind == designs.SUMS:
            value = bits.sums[node.name]
        elif each.kind == designs.TENSOR:
            value = bits.tensors[node.name]
        else:
            value = bits.tensors[node.inputs[0]]
        found[each.name] = each.lanes * value
    return found


def pace(design: Design) -> int:
    """The largest period of what no gate takes away: the tensors on the path of main branches and the layers on it."""
    graph, lanes = design.graph, design.folding.lanes
    path, node = [], graph.output
    while node.inputs:
        path.append(node)
        node = graph[node.inputs[0]]
    words = [_words(each, lanes[each.name]) for each in (node, *path)]
    on_path = {each.name for each in path}
    layers = [
        period_cycles(actor.process)
        for actor in design.actors
        if actor.node in on_path and (actor.part in (ADAPTED, WINDOW, MAC) or isinstance(actor.process, Average))
    ]
    return max(*words, *layers) if layers else max(words)


def _words(node: Node, lanes: int) -> int:
    height, width, channels = node.shape
    return height * width * channels // lanes
