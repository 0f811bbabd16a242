"""The processes of a streaming design: which trips of a pipelined loop read and write a word, and what a trip takes.

A stream carries words of `lanes` channels; a pixel of C channels is F = C / lanes words, channels in order, and an
image H W F words. A process is a loop whose trips follow one another for ever, an image's behind the last one's. A trip
takes `cost` cycles, reads at most a word of each inlet in its first cycle, and writes at most a word to each outlet at
its end:

    begin_k   = max(begin_{k-1} + cost_{k-1}, t of every word it reads)         t: cycle from which a word can be read
    end_k     = max(begin_k + cost_k - 1, cycle behind the read of word n - depth of each FIFO that it writes word n to)
    written_k = end_k + L          t = written_k + FORWARD_CYCLES               a trip of one cycle begins when it ends

A word takes its place in a FIFO when its trip ends, L cycles before it is written: a trip that finds no place waits,
and nothing that is under way ever has to (credits; in hardware a counter of the words that were promised and not yet
read). So pipelines never stall, and depth counts what they hold.

    Window    the taps of a window, for convolutions and pools. Pixel k is read in visit k, F trips; the anchor pixel of
              that visit is k - lag (`lag_pixels`); if it lies on the stride grid of its image the visit emits `emits`
              words:

                  taps      words emitted                       what a word holds
                  all       F          channel words            kh kw taps of `lanes` channels
                  column    kw F       columns x channel words  kh taps
                  one       kh kw F    taps x channel words     one tap

              and has so many trips, the first F of which read. What it hands on of the pixels it holds (a skip) is
              written as it is read: in visit k, the words of pixel k - `taps_pixels[i]`.
    Mac       N_s words in, N_b words out a pixel and group: PE accumulators each. In the first of N_b passes over the
              N_s words each is read, multiplied and kept; the other passes take N_s cycles and read nothing.
    Convert   words of one width into words of another, one of which is a multiple of the other; a further inlet (the
              skip of an absorbed add) is read with every word that is written.
    Words     a word of every inlet in, a word to every outlet, a cycle.
    Average   H W F words in; with each word of the last pixel a word goes out, `divide_cycles` later than a cycle.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np

FORWARD_CYCLES = 2  # from the write of a word to the first cycle in which it can be read, of every FIFO of any storage


@dataclasses.dataclass(frozen=True)
class Window:
    """See the module docstring. `size`: (H, W) of the input; `out`: of the output; `words`: F."""

    size: tuple[int, int]
    out: tuple[int, int]
    stride: tuple[int, int]
    lag_pixels: int
    words: int
    emits: int
    taps_pixels: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Mac:
    """`steps`: pixels x groups of an image; `slices`: N_s; `blocks`: N_b."""

    steps: int
    slices: int
    blocks: int


@dataclasses.dataclass(frozen=True)
class Convert:
    """`count` words in for an image, in words of `gather` to one or one to `split`; one of both is 1."""

    count: int
    gather: int = 1
    split: int = 1
    further: int = 0


@dataclasses.dataclass(frozen=True)
class Words:
    """`count` trips an image."""

    count: int
    inlets: int = 1
    outlets: int = 1


@dataclasses.dataclass(frozen=True)
class Average:
    """`pixels` of `words` words an image."""

    pixels: int
    words: int
    divide_cycles: int


Process = Window | Mac | Convert | Words | Average


class Program(NamedTuple):
    """The trips of one image, or of several from the start.

    Attributes:
      cost: [trips] cycles.
      reads: for each inlet, [words] the trip that reads it.
      writes: for each outlet, [words] the trip that writes it. Indices beyond the last trip are of the next image's.
    """

    cost: np.ndarray
    reads: tuple[np.ndarray, ...]
    writes: tuple[np.ndarray, ...]


def program(process: Process, images: int = 0) -> Program:
    """The trips of one image in the middle of an endless stream (images = 0), or of the first `images` images."""
    times = max(images, 1)
    match process:
        case Window():
            return _window(process, images)
        case Mac(steps, slices, blocks):
            return _repeated(_step(slices, blocks), times * steps)
        case Convert(count, gather, split, further):
            trips = np.arange(times * count * split)
            reads = trips if gather > 1 else trips[::split]
            writes = trips[gather - 1 :: gather]
            return Program(np.ones(len(trips), np.int64), (reads, *(writes,) * further), (writes,))
        case Words(count, inlets, outlets):
            trips = np.arange(times * count)
            return Program(np.ones(len(trips), np.int64), (trips,) * inlets, (trips,) * outlets)
        case Average(pixels, words, divide_cycles):
            cost = np.ones((times, pixels, words), np.int64)
            cost[:, -1] += divide_cycles
            trips = np.arange(cost.size)
            return Program(cost.ravel(), (trips,), (trips.reshape(cost.shape)[:, -1].ravel(),))
        case _:
            raise TypeError(f'no process: {process!r}')


@functools.lru_cache(maxsize=4096)
def repeats(process: Process) -> int:
    """The greatest number of equal parts that the trips of an image are made of: each reads and writes as the one
    before, as many words and trips later. A layer without stride does the same for every pixel.
    """
    whole = program(process)
    streams = (*whole.reads, *whole.writes)
    left, count = math.gcd(len(whole.cost), *map(len, streams)), 1
    for prime in _primes(left):
        while left % prime == 0 and _repeats(whole, count * prime):
            left, count = left // prime, count * prime
    return count


def _repeats(whole: Program, times: int) -> bool:
    trips = len(whole.cost) // times
    if not np.array_equal(whole.cost[trips:], whole.cost[:-trips]):
        return False
    return all(
        (stream[len(stream) // times :] - stream[: -(len(stream) // times)] == trips).all()
        for stream in (*whole.reads, *whole.writes)
    )


def _primes(number: int) -> list[int]:
    """The prime factors of a number, each once."""
    found, factor = [], 2
    while factor * factor <= number:
        if number % factor == 0:
            found.append(factor)
            while number % factor == 0:
                number //= factor
        factor += 1
    return [*found, number] if number > 1 else found


def part_of(whole: Program, times: int) -> Program:
    """The first of so many equal parts of a program."""

    def first(trips: np.ndarray) -> np.ndarray:
        return trips[: len(trips) // times]

    return Program(first(whole.cost), tuple(map(first, whole.reads)), tuple(map(first, whole.writes)))


def period_cycles(process: Process) -> int:
    """Cycles for one image when it never waits."""
    match process:
        case Window():
            emitting = math.prod(process.out)
            return math.prod(process.size) * process.words + emitting * (trips_emitting(process) - process.words)
        case Mac(steps, slices, blocks):
            return steps * slices * blocks
        case Convert(count, _, split, _):
            return count * split
        case Words(count):
            return count
        case Average(pixels, words, divide_cycles):
            return words * (pixels + divide_cycles)
        case _:
            raise TypeError(f'no process: {process!r}')


def trips_emitting(window: Window) -> int:
    """Trips of a visit whose anchor lies on the grid."""
    return max(window.words, window.emits)


def _step(slices: int, blocks: int) -> Program:
    """One pixel of a Mac: a trip a word of the first pass, a trip of `slices` cycles for each further pass."""
    cost = np.concatenate([np.ones(slices, np.int64), np.full(blocks - 1, slices)])
    return Program(cost, (np.arange(slices),), (slices - 1 + np.arange(blocks),))


def _repeated(step: Program, times: int) -> Program:
    count = len(step.cost)
    offsets = np.arange(times)[:, None] * count

    def all_of(parts: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        return tuple((offsets + part).ravel() for part in parts)

    return Program(np.tile(step.cost, times), all_of(step.reads), all_of(step.writes))


def _window(window: Window, images: int) -> Program:
    (height, width), (rows, columns) = window.size, window.out
    pixels, visits = height * width, max(images, 1) * height * width
    anchor = np.arange(visits) - window.lag_pixels
    row, column = anchor % pixels // width, anchor % width
    emitting = (
        (row % window.stride[0] == 0)
        & (row < rows * window.stride[0])
        & (column % window.stride[1] == 0)
        & (column < columns * window.stride[1])
        & ((anchor >= 0) | (images == 0))
    )
    count = np.where(emitting, trips_emitting(window), window.words)
    first = np.cumsum(count) - count
    trips = int(count.sum())
    reads = (first[:, None] + np.arange(window.words)).ravel()

    def in_order(visit: np.ndarray) -> np.ndarray:
        """First trips of visits that may lie in the next image, of an endless stream."""
        return first[visit % visits] + visit // visits * trips

    if images:
        emitted, handed = np.flatnonzero(emitting), [np.arange(lag, visits) for lag in window.taps_pixels]
    else:
        order = np.argsort(anchor[emitting] % pixels, kind='stable')
        emitted = (anchor[emitting] % pixels)[order] + window.lag_pixels
        handed = [np.arange(visits) + lag for lag in window.taps_pixels]
    writes = [(in_order(emitted)[:, None] + np.arange(window.emits)).ravel()]
    writes += [(in_order(visit)[:, None] + np.arange(window.words)).ravel() for visit in handed]
    return Program(np.ones(trips, np.int64), (reads,), tuple(writes))
