"""The cycle-level schedule of a segment, and the FIFO depths that follow from it.

As soon as possible, in max-plus algebra: iteration k of a process, with arrival_k the cycle in which all its input tokens are written,

    start_k = max(arrival_k, start_{k-1} + cost_{k-1}) = S_k + max over j <= k of (arrival_j - S_j),     S_k = sum of cost_j, j < k
    written = start_k + cost_k - 1                       cost = write_cycles when the iteration writes, else 1

A FIFO of depth d never delays its writer if token n + d is written after token n was read, so the depth that keeps full throughput is

    d = max over n of #{m >= n : written_m < read_n + 1}        (tokens present, the interval [written, read] closed)

in the steady state of a segment that is fed one token every P / (H W) cycles, P being the segment's slowest period.

Bursts. A strided layer writes a row of tokens, then nothing for a row; its neighbours, which pass over their multipliers at their own even
pace, must not wait for each other. So the schedule that all depths refer to hands every segment its tokens evenly: token n of the tensor
leaving segment s is released at r_n = theta + n P / (H W), theta the least offset with r_n >= written_n, and waits in the FIFO until then:

    burst = max over n of #{m >= n : written_m < r_n}           depth of the FIFO after s = burst(s) + d

This schedule exists at the network's pace (stretch each segment's times), satisfies every FIFO's bound, and the machine, running as soon as
it can, is never later than it: the network keeps the interval of its slowest process. All depths depend on one segment, but that `burst`
of one adds to the first FIFO of the next. Where every process takes one cycle a token (reuse factor 1) nobody ever waits for a slow
neighbour, and `smooth=False` leaves the bursts out.

Latency: the same schedule of the whole network, from the first pixel in to the last value out of the first image, images following back to
back and pixels coming as fast as they are taken. It is a sum over nothing, so it has no rows and no expectation.

Times are exact integers: one cycle is `unit` = H W (entering) x H W (leaving) ticks.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping

import numpy as np

from costmodel.streams.segments import Process, Shape, segments
from tailor_jax.graph import Graph


@dataclasses.dataclass(frozen=True)
class Depths:
    """Least depths, in tokens, for full throughput: `inputs[i][j]` of input j of process i; `burst` of the tensor that leaves."""

    inputs: tuple[tuple[int, ...], ...]
    burst: int


@functools.lru_cache(maxsize=256)
def write_mask(process: Process, iterations: int) -> np.ndarray:
    """[iterations] bool: which iterations write a token."""
    (height, width), (rows, columns) = process.in_size, process.out_size
    anchor = np.arange(iterations) - process.lag
    row, column = anchor % (height * width) // width, anchor % width
    mask = ((anchor >= 0) & (row % process.stride[0] == 0) & (row < rows * process.stride[0])
            & (column % process.stride[1] == 0) & (column < columns * process.stride[1]))
    mask.setflags(write=False)
    return mask


def run(process: Process, arrivals: np.ndarray, unit: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Starts of the iterations [k] and times of the writes [n], given when each iteration's tokens are there [k]."""
    writes = write_mask(process, len(arrivals))
    cost = np.where(writes, process.write_cycles, 1) * unit
    before = np.cumsum(cost) - cost
    start = before + np.maximum.accumulate(arrivals - before)
    return start, (start + cost - unit)[writes]


@functools.lru_cache(maxsize=4096)
def depths(shape: Shape, smooth: bool = True) -> Depths:
    """The least FIFO depths of a segment that keep full throughput; see the module docstring."""
    tokens_in, tokens_out = math.prod(shape.size), math.prod(shape.processes[-1].out_size)
    period = max(tokens_in, *(process.period_cycles for process in shape.processes))
    # The steady state is reached after the lags, and after each process at most one image more; two more to look at.
    images = 4 + len(shape.processes) + math.ceil(sum(process.lag / math.prod(process.in_size) for process in shape.processes))
    unit = tokens_in * tokens_out
    written = [np.arange(images * tokens_in, dtype=np.int64) * (period * tokens_out)]
    found = []
    for process in shape.processes:
        count = min(len(written[source]) for source in process.inputs)
        arrivals = functools.reduce(np.maximum, (written[source][:count] for source in process.inputs))
        start, out = run(process, arrivals, unit)
        found.append(tuple(_presence(written[source], start, unit, math.prod(process.in_size)) for source in process.inputs))
        written.append(out)
    return Depths(tuple(found), _burst(written[-1], period * tokens_in, tokens_out) if smooth else 0)


def latency_cycles(graph: Graph, reuse: Mapping[str, int]) -> int:
    """Cycles from the first pixel read to the last value of the first image written, both included, of a folded graph."""
    found = [pair for segment in segments(graph, reuse) for pair in zip(segment.nodes, segment.shape.processes)]
    needed = dict.fromkeys(graph.by_name, 0) | {graph.output.name: math.prod(graph.output.shape[:2])}
    for node, process in reversed(found):
        for name in node.inputs:
            needed[name] = max(needed[name], _tokens_read(process, needed[node.name]))
    written = {graph.input.name: np.zeros(needed[graph.input.name], np.int64)}
    for node, process in found:
        count = _tokens_read(process, needed[node.name])
        arrivals = functools.reduce(np.maximum, (written[name][:count] for name in node.inputs))
        written[node.name] = run(process, arrivals)[1][:needed[node.name]]
    return int(written[graph.output.name][-1]) + 1


def _tokens_read(process: Process, written: int) -> int:
    """Tokens that a process has read once it has written that many."""
    (height, width), (_, columns) = process.in_size, process.out_size
    image, position = divmod(written - 1, math.prod(process.out_size))
    row, column = divmod(position, columns)
    return image * height * width + row * process.stride[0] * width + column * process.stride[1] + process.lag + 1


def _presence(written: np.ndarray, read: np.ndarray, unit: int, tokens: int) -> int:
    """Largest number of tokens present at once, over one image in the steady state."""
    known = int(np.searchsorted(read, written[-1] - unit, 'right'))      # up to here all that is written before the read is in `written`
    window = np.arange(max(0, known - tokens), known)
    return int((np.searchsorted(written, read[window] + unit, 'left') - window).max())


def _burst(written: np.ndarray, spacing: int, tokens: int) -> int:
    """Largest number of tokens written before their even release, over one image in the steady state."""
    steady = np.arange(max(0, len(written) - 3 * tokens), len(written))
    offset = int((written[steady] - steady * spacing).max())
    window = steady[:tokens]
    return int((np.searchsorted(written, offset + window * spacing, 'left') - window).max())
