"""The cycle-level schedule of a segment, and the FIFO depths that follow from it.

As soon as possible, in max-plus algebra: iteration k of a process, with arrival_k the cycle in which all its input tokens are written,

    start_k = max(arrival_k, start_{k-1} + cost_{k-1}) = S_k + max over j <= k of (arrival_j - S_j),     S_k = sum of cost_j, j < k
    written = start_k + cost_k - 1 + L                   cost = write_cycles when the iteration writes, else 1; L the latency of a process

A tensor with several readers is written once more, L cycles later, by its clone process. A FIFO of depth d never delays its writer if token
n + d is written after token n was read, so the depth that keeps full throughput is

    d = max over n of #{m >= n : written_m < read_n + 1}        (tokens present, the interval [written, read] closed)

in the steady state of a segment that is fed one token every P / (H W) cycles, P being the segment's slowest period.

Bursts. A strided layer writes a row of tokens, then nothing for a row; its neighbours, which pass over their multipliers at their own even
pace, must not wait for each other. So the schedule that all depths refer to hands every segment its tokens evenly: token n of the tensor
leaving segment s is released at r_n = theta + n P / (H W), theta the least offset with r_n >= written_n, and waits in the FIFO until then:

    burst = max over n of #{m >= n : written_m < r_n}           depth of the FIFO after s = burst(s) + d

This schedule exists at the network's pace (stretch each segment's times), satisfies every FIFO's bound, and the machine, running as soon as
it can, is never later than it: the network keeps the interval of its slowest process. All depths depend on one segment, but that `burst`
of one adds to the first FIFO of the next. Where every process takes one cycle a token (reuse factor 1) nobody ever waits for a slow
neighbour if L = 0, and `smooth=False` leaves the bursts out.

Pipelines hold tokens too, but no depth counts on that: where a short branch of many processes is late only by their latency, the schedule with
L could do with fewer tokens than must be read for the other branch to write its first, and hardware with shorter pipelines would deadlock. So a
depth is never less than that for L = 0, whose schedule is in an order that needs no pipeline.

Latency: the same schedule of the whole network, from the first pixel in to the last value out of the first image, images following back to
back and pixels coming as fast as they are taken. It is a sum over nothing, so it has no rows and no expectation.

Times are exact integers: one cycle is `unit` = H W (entering) x H W (leaving) ticks.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from costmodel.streams.segments import Process, Shape, Source, Tap


@dataclasses.dataclass(frozen=True)
class Depths:
    """Least depths, in tokens, for full throughput: `inputs[i][j]` of source j of process i; `burst` of the tensor that leaves."""

    inputs: tuple[tuple[int, ...], ...]
    burst: int


@functools.lru_cache(maxsize=256)
def write_mask(process: Process, iterations: int) -> np.ndarray:
    """[iterations] bool: which iterations write a token."""
    (height, width), (rows, columns) = process.in_size, process.out_size
    anchor = np.arange(iterations) - process.lag
    row, column = anchor % (height * width) // width, anchor % width
    mask = (
        (anchor >= 0)
        & (row % process.stride[0] == 0)
        & (row < rows * process.stride[0])
        & (column % process.stride[1] == 0)
        & (column < columns * process.stride[1])
    )
    mask.setflags(write=False)
    return mask


def run(process: Process, arrivals: np.ndarray, unit: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """First and last cycle of each iteration [k], given when each iteration's tokens are there [k]."""
    cost = np.where(write_mask(process, len(arrivals)), process.write_cycles, 1) * unit
    before = np.cumsum(cost) - cost
    start = before + np.maximum.accumulate(arrivals - before)
    return start, start + cost - unit


@functools.lru_cache(maxsize=4096)
def depths(shape: Shape, smooth: bool = True) -> Depths:
    """The least FIFO depths of a segment that keep full throughput; see the module docstring."""
    tokens_in, tokens_out = math.prod(shape.size), math.prod(shape.processes[-1].out_size)
    period = max(tokens_in, *(process.period_cycles for process in shape.processes))
    # The steady state is reached after the lags, and after each process at most one image more; two more to look at.
    images = 4 + len(shape.processes) + math.ceil(sum(process.lag / math.prod(process.in_size) for process in shape.processes))
    images += math.ceil(2 * len(shape.processes) * shape.latency / period)  # a process and a clone each
    unit = tokens_in * tokens_out
    times = _Times(shape, np.arange(images * tokens_in, dtype=np.int64) * (period * tokens_out), unit)
    found = []
    for process in shape.processes:
        reads = times.run(process)
        found.append(tuple(_presence(times[source], read, unit, tokens) for source, read, tokens in zip(process.sources, reads, _tokens(process))))
    least = Depths(tuple(found), _burst(times[len(found)], period * tokens_in, tokens_out) if smooth else 0)
    return _at_least(least, depths(dataclasses.replace(shape, latency=0), smooth)) if shape.latency else least


def _at_least(one: Depths, other: Depths) -> Depths:
    inputs = tuple(tuple(max(pair) for pair in zip(*both, strict=True)) for both in zip(one.inputs, other.inputs, strict=True))
    return Depths(inputs, max(one.burst, other.burst))


class _Times:
    """Times of the tokens of a segment's tensors, filled in process by process: when they are written for their readers, after a clone."""

    def __init__(self, shape: Shape, entering: np.ndarray, unit: int):
        self.unit, self.cloned, self.latency = unit, shape.cloned, shape.latency * unit
        self.written, self.ends = [self._copied(0, entering)], [entering]

    def _copied(self, tensor: int, written: np.ndarray) -> np.ndarray:
        return written + self.latency if tensor in self.cloned else written

    def __getitem__(self, source: Source) -> np.ndarray:
        return self.ends[source.process][source.lag :] if isinstance(source, Tap) else self.written[source]

    def run(self, process: Process) -> list[np.ndarray]:
        """Runs a process as far as its inputs go; the times at which it reads each of its sources."""
        count = min(len(self[source]) for source in process.inputs)
        arrivals = functools.reduce(np.maximum, (self[source][:count] for source in process.inputs))
        for source in process.starts:
            writing = np.flatnonzero(write_mask(process, count))[: len(self[source])]
            count = count if len(writing) < len(self[source]) else int(writing[-1]) + 1
            arrivals = arrivals[:count].copy()
            arrivals[writing] = np.maximum(arrivals[writing], self[source][: len(writing)])
        start, end = run(process, arrivals, self.unit)
        mask = write_mask(process, count)
        self.ends.append(end + self.latency)
        self.written.append(self._copied(len(self.written), end[mask] + self.latency))
        return [start] * len(process.inputs) + [start[mask]] * len(process.starts)


def _tokens(process: Process) -> list[int]:
    """Tokens of one image of each source."""
    return [math.prod(process.in_size)] * len(process.inputs) + [math.prod(process.out_size)] * len(process.starts)


def latency_cycles(shapes: Sequence[Shape]) -> int:
    """Cycles from the first pixel read to the last value of the first image written, both included, of a network given as its segments."""
    needed = math.prod(shapes[-1].processes[-1].out_size)
    for shape in reversed(shapes):
        needed = _entering(shape, needed)
    times = np.zeros(needed, np.int64)
    for shape in shapes:
        found = _Times(shape, times, 1)
        for process in shape.processes:
            found.run(process)
        times = found[len(shape.processes)]
    return int(times[math.prod(shapes[-1].processes[-1].out_size) - 1]) + 1


def _entering(shape: Shape, leaving: int) -> int:
    """Tokens that must enter a segment for `leaving` tokens to leave it."""
    iterations = [0] * (len(shape.processes) + 1)
    written = [0] * len(shape.processes) + [leaving]
    for index in range(len(shape.processes), 0, -1):
        process = shape.processes[index - 1]
        iterations[index] = max(iterations[index], _tokens_read(process, written[index]))
        for source, count in zip(process.sources, [iterations[index]] * len(process.inputs) + [written[index]] * len(process.starts)):
            if isinstance(source, Tap):
                iterations[source.process] = max(iterations[source.process], count + source.lag)
            else:
                written[source] = max(written[source], count)
    return written[0]


def _tokens_read(process: Process, written: int) -> int:
    """Tokens that a process has read once it has written that many."""
    (height, width), (_, columns) = process.in_size, process.out_size
    image, position = divmod(written - 1, math.prod(process.out_size))
    row, column = divmod(position, columns)
    return image * height * width + row * process.stride[0] * width + column * process.stride[1] + process.lag + 1


def _presence(written: np.ndarray, read: np.ndarray, unit: int, tokens: int) -> int:
    """Largest number of tokens present at once, over one image in the steady state."""
    known = int(np.searchsorted(read, written[-1] - unit, 'right'))  # up to here all that is written before the read is in `written`
    window = np.arange(max(0, known - tokens), known)
    return int((np.searchsorted(written, read[window] + unit, 'left') - window).max())


def _burst(written: np.ndarray, spacing: int, tokens: int) -> int:
    """Largest number of tokens written before their even release, over one image in the steady state."""
    steady = np.arange(max(0, len(written) - 3 * tokens), len(written))
    offset = int((written[steady] - steady * spacing).max())
    window = steady[:tokens]
    return int((np.searchsorted(written, offset + window * spacing, 'left') - window).max())
