"""Skips from the line buffer: a convolution hands its input on from its own window (NN2FPGA, arXiv 2309.15631).

A tensor that a windowed layer and others read needs no clone: the layer holds the last (fh - 1) W + fw tokens anyway,
so it passes token n on in its iteration n + t, t being the offset of one of its window's registers, and the FIFO of the
skip starts later by t tokens. t = 0 is the clone itself; the largest, (fh - 1) W + fw - 1, is the token's last use
(what NN2FPGA takes). Of the window's offsets the one is chosen that leaves the fewest tokens in the segment's FIFOs:
past the main branch's own lag a longer offset would only make the main branch wait.

NN2FPGA counts a skip over two 3x3 convolutions as their receptive field, W (fh0 + fh1 - 2) + fw0 + fw1 - 1 = 4 W + 5
tokens, and as W (fh1 - 1) + fw1 - 1 = 2 W + 2 from the line buffer: 0.496 at W = 32. Exactly sized, it is 2 W + 3 and,
from the line buffer, the least there is.
"""

from __future__ import annotations

import dataclasses
import functools

from costmodel.streams.timing.processes import Process, ProcessGraph, Source, Tap
from costmodel.streams.timing.schedule import greatest


@functools.lru_cache(maxsize=4096)
def tapped(graph: ProcessGraph, period: int) -> ProcessGraph:
    """The segment with every clone that a windowed reader can stand in for replaced by a tap."""
    for tensor in range(len(graph.processes)):
        readers = [
            index for index, process in enumerate(graph.processes, 1) for source in process.sources if source == tensor
        ]
        hosts = [
            index
            for index in readers
            if len(graph.processes[index - 1].window) > 1 and graph.processes[index - 1].inputs == (tensor,)
        ]
        if len(readers) < 2 or not hosts:
            continue
        host = hosts[0]
        # A process that the host itself waits for must not wait for the host.
        others = [index for index in readers if index > host]
        if len(others) < len(readers) - 1:
            continue
        candidates = [_with_taps(graph, tensor, host, lag) for lag in graph.processes[host - 1].window]
        graph = min(candidates, key=lambda each: sum(greatest(each, period).streams.values()))
    return graph


def _with_taps(graph: ProcessGraph, tensor: int, host: int, lag: int) -> ProcessGraph:
    def tap(sources: tuple[Source, ...]) -> tuple[Source, ...]:
        return tuple(Tap(host, lag) if source == tensor else source for source in sources)

    def moved(index: int, process: Process) -> Process:
        if index == host:
            return process
        return dataclasses.replace(process, inputs=tap(process.inputs), starts=tap(process.starts))

    return dataclasses.replace(
        graph, processes=tuple(moved(index, process) for index, process in enumerate(graph.processes, 1))
    )
