"""ShortcutFusion: early blocks in row mode, later ones in frame mode, cut where it moves the fewest bytes (Nguyen et
al., arXiv 2106.08167).

Each block of the network runs in row mode or in frame mode (`costmodel.array.policies.frames`); the blocks in frame
mode follow one another:

    cuts = 1     row | frame            classification networks
    cuts = 2     row | frame | row      networks that upsample (encoder-decoder, feature pyramid)

    DRAM bytes   = weights + inputs, shortcuts and results of layers in row mode
                   + the first load in frame mode + network results + spills
    buffer bytes = the sum over the six memories of the most that a layer needs of each

Every pair of cuts is tried. That of the fewest DRAM bytes whose buffers fit `sram_bytes` is taken; of equals, the one
with the fewest blocks in frame mode. A node without a block is a block of its own. Adds are fused or not as the
target's `fuse_add` says.

    search(graph, target)     what every cut takes and moves
    curve(graph, target)      the fewest DRAM bytes against the buffer bytes that they take
    steps(network, target)    the layers in their places, for instruction lists
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any

from costmodel.array.layers import layer_graph
from costmodel.array.policies.frames import BufferAllocator, State
from costmodel.array.policies.policy import Policy, Traffic, check_shared
from costmodel.array.settings import PEArray
from costmodel.cost import CostError
from tailor_jax import rewrite
from tailor_jax.array_schedule import MEMORIES, Layer, LayerGraph, Step
from tailor_jax.graph import Graph, Node

Sizes = tuple[int, ...]
MOST_STEPS = 1 << 22  # layers to run for the cuts of one network, a minute or two


@dataclasses.dataclass(frozen=True)
class Cut:
    """One way to cut a network.

    Attributes:
      frame: the blocks in frame mode.
      memories: bytes of each of `MEMORIES`.
      dram_bytes: bytes moved.
    """

    frame: tuple[str, ...]
    memories: Sizes
    dram_bytes: int

    @property
    def buffer_bytes(self) -> int:
        return sum(self.memories)


def run(network: LayerGraph, state: Any, target: PEArray) -> tuple[list[Traffic], Any]:
    """See `costmodel.array.policies.policy`; the state is the allocator's, and the bytes so far of each memory."""
    check_shared(target)
    allocator = _allocator(network, dataclasses.replace(target, frame=None))
    done, after = allocator.run(state[0], _modes(network, target))
    needed, moved = state[1], []
    for step in done:
        needed = tuple(map(max, needed, step.memories))
        moved.append(dataclasses.replace(allocator.traffic(step), buffer_bytes=sum(needed)))
    return moved, (after, needed)


def alternatives(graph: Graph, target: PEArray) -> Sequence[PEArray]:
    """The target with each cut that can be made, fewest blocks in frame mode first.

    Raises CostError if `frame` leaves out blocks in between, or if gates decide which cuts there are (see
    `_check_gates`).
    """
    blocks = list(dict.fromkeys(map(block, graph.nodes[1:])))
    if target.frame is not None:
        _check_contiguous(blocks, target.frame)
        return (target,)
    if graph.gates:
        _check_gates(graph, target)
    two = target.cuts == 2 or (target.cuts == 0 and _upsamples(graph))
    count = len(blocks)
    tried = count * (count + 1) // 2 if two else count
    if tried * len(graph.nodes) > MOST_STEPS:
        raise CostError(
            f'policy shortcut_fusion tries every cut, and a network of {len(graph.nodes):,} nodes in {count:,} '
            f'blocks has {tried:,}; give its nodes larger blocks, or set frame'
        )
    ranges = [
        (begin, end) for begin in reversed(range(count)) for end in (range(count, begin, -1) if two else (count,))
    ]
    return [dataclasses.replace(target, frame=tuple(blocks[begin:end])) for begin, end in [(count, count), *ranges]]


def _check_contiguous(blocks: list[str], frame: tuple[str, ...]) -> None:
    places = [index for index, name in enumerate(blocks) if name in frame]
    if places and (between := [name for name in blocks[places[0] : places[-1]] if name not in frame]):
        raise CostError(
            f'blocks in frame mode follow one another; frame has {", ".join(frame)}, without {", ".join(between)} '
            'between them'
        )


def _check_gates(graph: Graph, target: PEArray) -> None:
    """Raises CostError where closed gates change the order of the blocks, or how many cuts there may be: a table is of
    one choice of cuts.
    """
    runs = [name for name, _ in itertools.groupby(map(block, graph.nodes[1:]))]
    if torn := [name for name in runs if runs.count(name) > 1]:
        raise CostError(
            f'block {torn[0]!r} has nodes of other blocks between its own, so that gates can change the order of the '
            'blocks; give nodes that follow one another the same block, or none'
        )
    if target.cuts == 0 and _upsamples(graph) != _upsamples(rewrite.remove(graph, graph.gates)):
        raise CostError(
            'it depends on the gates whether this network upsamples, and cuts=0 on whether it does; give cuts=1 or '
            'cuts=2'
        )


def _upsamples(graph: Graph) -> bool:
    return any(node.op == 'upsample' for node in graph.nodes)


def search(graph: Graph, target: PEArray) -> list[Cut]:
    """What every cut of a network takes and moves, fewest blocks in frame mode first; gated adds count as open."""
    network = layer_graph(rewrite.fold(graph), target)
    found = []
    for each in alternatives(graph, target):
        moved, (_, needed) = run(network, START, each)
        found.append(Cut(each.frame or (), needed, sum(traffic.dram_bytes for traffic in moved)))
    return found


def curve(graph: Graph, target: PEArray) -> list[Cut]:
    """The cuts that no other one beats in both bytes, from the smallest buffers to the largest."""
    best: list[Cut] = []
    for cut in sorted(search(graph, target), key=lambda cut: (cut.buffer_bytes, cut.dram_bytes)):
        if not best or cut.dram_bytes < best[-1].dram_bytes:
            best.append(cut)
    return best


def steps(network: LayerGraph, target: PEArray) -> list[Step]:
    """The layers of a whole network as they run under `target.frame`."""
    if target.frame is None:
        raise CostError(
            'frame must say which blocks run in frame mode; costmodel.evaluate(graph, target).target has the best'
        )
    return _allocator(network, dataclasses.replace(target, frame=None)).run(None, _modes(network, target))[0]


def block(node: Node | Layer) -> str:
    """The block that a node or layer belongs to: its own name where it has none."""
    return node.block or node.name


def _modes(network: LayerGraph, target: PEArray) -> list[bool]:
    framed = set(target.frame or ())
    return [block(layer) in framed for layer in network.layers]


@functools.lru_cache(maxsize=1 << 10)  # as there are layer graphs of a table, see costmodel.array.evaluate
def _allocator(network: LayerGraph, target: PEArray) -> BufferAllocator:
    return BufferAllocator(network, target)


def monotone(target: PEArray) -> tuple[str, ...]:
    """Traffic of maps falls as a rule, not by law, as under `retain`."""
    return ('macs', 'dram_weight_bytes')


START: tuple[State, Sizes] = (None, (0,) * len(MEMORIES))
SHORTCUT_FUSION = Policy(START, run, monotone, alternatives)
