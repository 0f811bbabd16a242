"""A simulator of a streaming design, word by word, with bounded FIFOs: the ground truth that depths, intervals and
latencies are checked against.

It shares nothing with `machine` and `depths`: a process is a loop that follows the text of
`tailor_jax.dataflow.process`, a FIFO is a list of the cycles in which words took their places, one of those in which
they can be read, and one of those in which they were read. Times depend on words only by their position, so processes
may run in any order, each as far as it gets (a Kahn network). It stops early if nobody can go on: deadlock.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

from tailor_jax.dataflow.design import IN_PORT, OUT_PORT, Design
from tailor_jax.dataflow.process import FORWARD_CYCLES, Average, Convert, Mac, Process, Window, Words

UNBOUNDED = 1 << 60
Time = int | Fraction  # cycles
Trip = tuple[int, tuple[int, ...], tuple[int, ...]]  # cycles; inlets read; outlets written


@dataclasses.dataclass(eq=False)
class _Fifo:
    depth: int
    placed: list[Time] = dataclasses.field(default_factory=list)
    readable: list[Time] = dataclasses.field(default_factory=list)
    read: list[Time] = dataclasses.field(default_factory=list)


def trips(process: Process, images: int) -> Iterator[Trip]:
    """The trips of a batch of images, the last of which is flushed."""
    match process:
        case Window():
            yield from _visits(process, images)
        case Mac(steps, slices, blocks):
            for _ in range(images * steps):
                for number in range(slices):
                    yield 1, (0,), ((0,) if number == slices - 1 else ())
                for _ in range(blocks - 1):
                    yield slices, (), (0,)
        case Convert(count, gather, split, further):
            both = tuple(range(1 + further))
            for number in range(images * count):
                if split == 1:
                    last = number % gather == gather - 1
                    yield 1, (both if last else (0,)), ((0,) if last else ())
                for part in range(split if split > 1 else 0):
                    yield 1, (both if part == 0 else both[1:]), (0,)
        case Words(count, inlets, outlets):
            for _ in range(images * count):
                yield 1, tuple(range(inlets)), tuple(range(outlets))
        case Average(pixels, words, divide_cycles):
            for _ in range(images):
                for pixel in range(pixels):
                    for _ in range(words):
                        yield (1 + divide_cycles, (0,), (0,)) if pixel == pixels - 1 else (1, (0,), ())


def _visits(window: Window, images: int) -> Iterator[Trip]:
    (height, width), (rows, columns), (down, across) = window.size, window.out, window.stride
    pixels = images * height * width
    for k in range(pixels + max(window.lag_pixels, *window.taps_pixels, 0)):
        anchor = k - window.lag_pixels
        row, column = divmod(anchor % (height * width), width)
        emits = 0 <= anchor < pixels and row % down == column % across == 0
        emits = emits and row // down < rows and column // across < columns
        for trip in range(window.emits if emits else window.words):
            reads = (0,) if k < pixels and trip < window.words else ()
            writes = (0,) if emits else ()
            handed = [
                1 + i for i, lag in enumerate(window.taps_pixels) if 0 <= k - lag < pixels and trip < window.words
            ]
            yield 1, reads, (*writes, *handed)


@dataclasses.dataclass(eq=False)
class _Running:
    trips: Iterator[Trip]
    sources: list[_Fifo]
    sinks: list[_Fifo]
    latency: int
    stall: Callable[[], int]
    time: Time = 0  # the first cycle after the last trip
    waiting: Trip | None = None

    def advance(self) -> bool:
        """Runs trips until one must wait; whether any ran."""
        moved = False
        while (trip := self.waiting or next(self.trips, None)) is not None:
            self.waiting = trip
            cost, reads, writes = trip
            sources, sinks = [self.sources[slot] for slot in reads], [self.sinks[slot] for slot in writes]
            if any(len(source.readable) <= len(source.read) for source in sources):
                break
            if any(len(sink.placed) - len(sink.read) >= sink.depth for sink in sinks):
                break
            first = max([self.time + self.stall(), *(source.readable[len(source.read)] for source in sources)])
            freed = [sink.read[len(sink.placed) - sink.depth] + 1 for sink in sinks if len(sink.placed) >= sink.depth]
            last = max([first + cost - 1, *freed])
            for source in sources:
                source.read.append(last if cost == 1 else first)
            for sink in sinks:
                sink.placed.append(last)
                sink.readable.append(last + self.latency + FORWARD_CYCLES)
            self.time, self.waiting, moved = last + 1, None, True
        return moved


@dataclasses.dataclass(frozen=True)
class Run:
    """What a simulation measured.

    Attributes:
      outputs: the cycle in which each word that left the network can be read; fewer than expected after a deadlock.
      driven_until: the cycle in which the first process to do so ended its last read; -1 after a deadlock.
      per_image: words of the output in one image.
      times: {stream: (cycles in which its words took their places, cycles in which they were read)}, of all FIFOs and
        of the port through which words come in.
      deadlocked: whether processes waited for each other.
    """

    outputs: list[Time]
    driven_until: Time
    per_image: int
    times: dict[str, tuple[list[Time], list[Time]]]
    deadlocked: bool

    @property
    def latency_cycles(self) -> Time | None:
        """From cycle 0, in which the first word can be read, to the one in which the last word of the first image can;
        None if it never came."""
        return self.outputs[self.per_image - 1] if len(self.outputs) >= self.per_image else None

    @property
    def interval_cycles(self) -> int | float | None:
        """The mean of the cycles from one image's last word out to the next's in the steady state, an integer where it
        is whole. None after a deadlock, and where too few images streamed through to tell."""
        gaps = self._steady
        if not gaps:
            return None
        mean = _exact(sum(gaps), len(gaps))
        return mean if isinstance(mean, int) else float(mean)

    @property
    def interval_images(self) -> int:
        """How many images `interval_cycles` is the mean over."""
        return len(self._steady)

    @functools.cached_property
    def occupancy(self) -> dict[str, int]:
        """{stream: most words that had a place at once, from the cycle in which it is taken to that of the read}."""
        found = {}
        for name, (placed, read) in self.times.items():
            if name == IN_PORT:
                continue
            free = [time + 1 for time in read]
            present = (n + 1 - bisect.bisect_right(free, time) for n, time in enumerate(placed))
            found[name] = max(present, default=0)
        return found

    @functools.cached_property
    def _steady(self) -> list[Time]:
        """The cycles between images that neither the start nor the end of the batch has moved.

        An image that left while every process still had words to read left when it would have if images followed for
        ever. Of these the first half fills the FIFOs. Intervals may alternate; of a pattern that comes at least twice,
        whole repetitions are taken.
        """
        if self.deadlocked:
            return []
        ends = [end for end in self.outputs[self.per_image - 1 :: self.per_image] if end <= self.driven_until]
        gaps = [later - earlier for earlier, later in itertools.pairwise(ends)]
        gaps = gaps[len(gaps) // 2 :]
        period = next((size for size in range(1, len(gaps) // 2 + 1) if gaps[size:] == gaps[:-size]), len(gaps) or 1)
        return gaps[len(gaps) % period :]


def _exact(whole: Time, count: int) -> Time:
    """A quotient, an integer where it is one."""
    return whole // count if whole % count == 0 else Fraction(whole) / count


def simulate(
    design: Design,
    latency_cycles: Mapping[str, int],
    depths: Mapping[str, int] | None = None,
    images: int = 16,
    interval: int | None = None,
    stall: Callable[[], int] = lambda: 0,
) -> Run:
    """Runs a design.

    Args:
      design: what there is.
      latency_cycles: {actor: latency of its pipeline}.
      depths: {stream: depth}; a stream that is missing is unbounded.
      images: how many stream through, back to back; enough for the steady state to show.
      interval: cycles over which the words of an image come in evenly, word n from cycle n interval / words on, in
        fractions of a cycle where that is none; as fast as they are taken when None.
      stall: cycles that a trip waits without need, drawn anew for each.
    """
    fifos = {each.name: _Fifo((depths or {}).get(each.name, UNBOUNDED)) for each in design.streams}
    height, width, channels = design.graph.input.shape
    words = height * width * channels // design.folding.lanes[design.graph.input.name]
    arriving = [_exact(k * (interval or 0), words) for k in range(images * words)]
    fifos[IN_PORT] = _Fifo(UNBOUNDED, list(arriving), arriving)
    fifos[OUT_PORT].depth = UNBOUNDED
    running = [
        _Running(
            trips(actor.process, images),
            [fifos[name] for name in actor.inlets],
            [fifos[name] for name in actor.outlets],
            latency_cycles[actor.name],
            stall,
        )
        for actor in design.actors
    ]
    moving = True
    while moving:
        moving = any([each.advance() for each in running])
    outputs, result = fifos[OUT_PORT].readable, design.graph.output
    per_image = result.shape[0] * result.shape[1] * result.shape[2] // design.folding.lanes[result.name]
    deadlocked = len(outputs) < images * per_image
    ends = [-1] if deadlocked else [fifos[name].read[-1] for actor in design.actors for name in actor.inlets]
    times = {name: (fifo.placed, fifo.read) for name, fifo in fifos.items() if name != OUT_PORT}
    return Run(outputs, min(ends), per_image, times, deadlocked)
