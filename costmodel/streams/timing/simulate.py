"""A simulator of the streaming machine, token by token, with bounded FIFOs: the ground truth that depths and intervals
are checked against.

It shares nothing with `schedule`: a process is a loop that follows the text of `tailor_jax.streaming`, a FIFO is a list
of write times and a list of read times. With t_p the cycle after the last iteration of process p, an iteration of
`cost` cycles that reads tokens and writes token n

    first = max(t_p, write time of every token read)
    last  = max(first + cost - 1, read time of token n - depth, plus 1 - L, of every FIFO written)
    t_p   = last + 1 afterwards

reads in `first` and writes in `last + L`, L the latency of a process; an iteration of one cycle happens as a whole and
reads in `last`. Times depend on tokens only by their position, so processes may be run in any order, each as far as it
gets (a Kahn network). It stops early if nobody can go on: deadlock.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import itertools
from collections.abc import Mapping

from tailor_jax import streaming
from tailor_jax.graph import Graph, Node

UNBOUNDED = 1 << 60


@dataclasses.dataclass(eq=False)  # two FIFOs of a depth are two
class _Fifo:
    depth: int
    written: list[int] = dataclasses.field(default_factory=list)
    read: list[int] = dataclasses.field(default_factory=list)

    def max_occupancy(self) -> int:
        """Most tokens present at once; a token is present from its write to its read, both included."""
        return max((n + 1 - bisect.bisect_left(self.read, time) for n, time in enumerate(self.written)), default=0)


@dataclasses.dataclass
class _Process:
    """`cost(k)` and `writes(k)` of iteration k; `reads` tokens are read, then `iterations - reads` iterations flush."""

    sources: list[_Fifo]
    sinks: list[_Fifo]
    reads: int
    iterations: int
    lag: int
    image: tuple[int, int]
    out: tuple[int, int]
    stride: tuple[int, int]
    write_cycles: int
    latency: int
    # Read by the iterations that write: an absorbed add's skip.
    starts: list[_Fifo] = dataclasses.field(default_factory=list)
    # (lag, FIFO): token n is handed on in iteration n + lag
    taps: list[tuple[int, _Fifo]] = dataclasses.field(default_factory=list)
    done: int = 0
    time: int = 0

    def writes(self, k: int) -> bool:
        anchor = k - self.lag
        row, column = divmod(anchor % (self.image[0] * self.image[1]), self.image[1])
        return (
            0 <= anchor < self.reads
            and row % self.stride[0] == 0
            and column % self.stride[1] == 0
            and row // self.stride[0] < self.out[0]
            and column // self.stride[1] < self.out[1]
        )

    def advance(self) -> bool:
        """Runs iterations until one must wait; whether any ran."""
        before = self.done
        while self.done < self.iterations:
            k, reading = self.done, self.done < self.reads
            writing = self.writes(k)
            sources = (self.sources if reading else []) + (self.starts if writing else [])
            if any(len(source.written) <= len(source.read) for source in sources):
                break
            sinks = (self.sinks if writing else []) + [sink for lag, sink in self.taps if 0 <= k - lag < self.reads]
            if any(len(sink.written) - len(sink.read) >= sink.depth for sink in sinks):
                break
            first = max([self.time, *(source.written[len(source.read)] for source in sources)])
            cost = self.write_cycles if writing else 1
            freed = [sink.read[len(sink.written) - sink.depth] + 1 for sink in sinks if len(sink.written) >= sink.depth]
            last = max([first + cost - 1, *(time - self.latency for time in freed)])
            for source in sources:
                source.read.append(last if cost == 1 else first)
            for sink in sinks:
                sink.written.append(last + self.latency)
            self.time, self.done = last + 1, k + 1
        return self.done > before


@dataclasses.dataclass(frozen=True)
class Run:
    """What a simulation measured.

    Attributes:
      outputs: the cycle of each value that left the network; fewer than expected after a deadlock.
      driven_until: the cycle in which the first process to do so read the last token of its last image; -1 after a
        deadlock.
      per_image: tokens of the output in one image.
      occupancy: {FIFO name: most tokens present at once}.
      deadlocked: whether processes waited for each other.
    """

    outputs: list[int]
    driven_until: int
    per_image: int
    occupancy: dict[str, int]
    deadlocked: bool

    @property
    def latency_cycles(self) -> int | None:
        """From the first token in (cycle 0) to the first image's last token out, both included; None if none came."""
        return self.outputs[self.per_image - 1] + 1 if len(self.outputs) >= self.per_image else None

    @property
    def interval_cycles(self) -> int | float | None:
        """Cycles from one image's last token out to the next's, the mean over the steady state; an integer if whole.

        None after a deadlock, and where too few images streamed through to tell.
        """
        gaps = self._steady
        if not gaps:
            return None
        whole, rest = divmod(sum(gaps), len(gaps))
        return whole if rest == 0 else sum(gaps) / len(gaps)

    @property
    def interval_images(self) -> int:
        """How many images `interval_cycles` is the mean over."""
        return len(self._steady)

    @functools.cached_property
    def _steady(self) -> list[int]:
        """The cycles between images that neither the start nor the end of the batch has moved.

        An image that left while every process still had tokens to read left when it would have if images followed for
        ever. (A process behind strides may be done before the last pixel comes in.) Of these the first half fills the
        FIFOs. Intervals may alternate; of a pattern that comes at least twice, whole repetitions are taken.
        """
        if self.deadlocked:
            return []
        ends = [end for end in self.outputs[self.per_image - 1 :: self.per_image] if end <= self.driven_until]
        gaps = [later - earlier for earlier, later in itertools.pairwise(ends)]
        gaps = gaps[len(gaps) // 2 :]
        period = next((size for size in range(1, len(gaps) // 2 + 1) if gaps[size:] == gaps[:-size]), len(gaps) or 1)
        return gaps[len(gaps) % period :]


def simulate(
    graph: Graph,
    reuse: Mapping[str, int],
    depths: Mapping[str, int] | None = None,
    images: int = 16,
    interval: int | None = None,
    absorb: bool = False,
    taps: Mapping[str, tuple[str, int]] | None = None,
    process_latency_cycles: int = 0,
) -> Run:
    """Runs a folded graph.

    Args:
      graph: folded, see `rewrite.fold`.
      reuse: {node: reuse factor} of weighted nodes.
      depths: {FIFO name: depth}; a FIFO that is missing is unbounded.
      images: how many stream through, back to back; enough for the steady state to show.
      interval: cycles over which the pixels of an image come in evenly; as fast as they are taken when None.
      absorb: whether convolutions take in the adds behind them, where nothing stands between (`Dataflow.add`).
      taps: {FIFO name: (layer whose window its tokens come from, iterations after it read them)} (`Dataflow.skip`).
      process_latency_cycles: from the last cycle of an iteration to its write, of every process and clone.
    """
    taps = taps or {}
    fifos: dict[str, _Fifo] = {}
    height, width, _ = graph.input.shape
    tokens = images * height * width
    port = _Fifo(UNBOUNDED, [k * interval // (height * width) if interval else 0 for k in range(tokens)])
    output = _Fifo(UNBOUNDED)
    sources: dict[tuple[str, str], list[_Fifo]] = {}

    def fifo(name: str) -> _Fifo:
        unique = name if name not in fifos else f'{name}__2'
        fifos[unique] = _Fifo((depths or {}).get(unique, UNBOUNDED))
        return fifos[unique]

    built: dict[str, _Process] = {}
    for node in graph.nodes:
        if node.op != 'input':
            inlets = [sources[name, node.name].pop(0) for name in node.inputs]
            main = built[node.inputs[0]] if node.op == 'add' and node.inputs[0] in built else None
            if (
                absorb
                and main
                and graph[node.inputs[0]].op == 'conv'
                and not graph[node.inputs[0]].relu
                and main.sinks == [inlets[0]]
            ):
                fifos.pop(streaming.fifo_name(node.inputs[0], node.name))
                built[node.name], main.starts, main.sinks = main, [inlets[1]], []
            else:
                built[node.name] = _process(
                    graph, node, reuse.get(node.name, 1), inlets, images, process_latency_cycles
                )
        copied = [reader for reader in graph.consumers[node.name] if streaming.fifo_name(node.name, reader) not in taps]
        if node.op == 'input':
            outlets = [port]
        elif not copied:
            outlets = [output]
        else:
            outlets = [fifo(streaming.fifo_name(node.name, copied[0] if len(copied) == 1 else 'clone'))]
        if node.op != 'input':
            built[node.name].sinks = list(outlets)
        if len(copied) == 1:
            sources[node.name, copied[0]] = list(outlets)
        elif copied:
            copies = [fifo(streaming.fifo_name(node.name, reader)) for reader in copied]
            for reader, copy in zip(copied, copies):
                sources.setdefault((node.name, reader), []).append(copy)
            count, size = images * node.shape[0] * node.shape[1], node.shape[:2]
            built[streaming.fifo_name(node.name, 'clone')] = _Process(
                outlets, copies, count, count, 0, size, size, (1, 1), 1, process_latency_cycles
            )
        for reader in graph.consumers[node.name]:
            if reader not in copied:
                sources[node.name, reader] = [fifo(streaming.fifo_name(node.name, reader))]
    for name, (host, lag) in taps.items():
        built[host].taps.append((lag, fifos[name]))
        built[host].iterations = max(built[host].iterations, built[host].reads + lag)
    processes = list({id(process): process for process in built.values()}.values())
    moving = True
    while moving:
        moving = any([process.advance() for process in processes])
    deadlocked = any(process.done < process.iterations for process in processes)
    occupancy = {name: each.max_occupancy() for name, each in fifos.items()}
    driven_until = -1 if deadlocked else min(each.read[-1] for each in (port, *fifos.values()))
    return Run(output.written, driven_until, graph.output.shape[0] * graph.output.shape[1], occupancy, deadlocked)


def _process(graph: Graph, node: Node, reuse_factor: int, sources: list[_Fifo], images: int, latency: int) -> _Process:
    height, width, _ = graph.in_shape(node)
    steps, count = streaming.steps(graph, node), images * height * width
    # What has a window flushes it behind the last image; the last token of a map is read before its output is written.
    iterations = count + steps.lag if node.windowed else count
    return _Process(
        sources,
        [],
        count,
        iterations,
        steps.lag,
        (height, width),
        node.shape[:2],
        steps.stride,
        reuse_factor,
        latency,
    )
