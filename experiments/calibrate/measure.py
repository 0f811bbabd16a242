"""Simulates and synthesizes the points that the results lack, a batch at a time, writing results after each; simulates
random parts beside them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.calibrate import drawn, table, tools
from experiments.calibrate.point import Point
from hls_export.verilog import tools as verilog

BATCH = 48


def measure(points: Sequence[Point], path: Path = table.PARTS_CSV) -> int:
    """Measures what is new, drops what is no longer in the grid; returns how many points were new. Raises ToolError."""
    done = {row['part']: row for row in table.raw(path)}
    new = [part for part in points if part.key not in done]
    random.Random(0).shuffle(new)  # so that every batch is a mixture, and the time left can be told
    comments = (verilog.version('yosys'), f'synth_xilinx {tools.FLAGS}')
    started = time.perf_counter()
    count = 0
    for batch in (new[first : first + BATCH] for first in range(0, len(new), BATCH)):
        words = tools.simulate(batch)
        for part, checked, found in zip(batch, words, tools.synthesize(batch)):
            done[part.key] = {
                'part': part.key,
                **{name: str(found[name]) for name in tools.COLUMNS},
                'simulated_words': str(checked),
            }
        rows = [done[part.key] for part in points if part.key in done]
        table.write(path, comments, [*tools.COLUMNS, 'simulated_words'], rows)
        seconds, count = time.perf_counter() - started, count + len(batch)
        print(
            f'{count:4} of {len(new)} points, {seconds:5.0f} s, {seconds / count * (len(new) - count):5.0f} s left',
            flush=True,
        )
    return len(new)


def prove(count: int, seed: int = 0) -> None:
    """Simulates so many random parts (`drawn`). Raises ToolError at the first that is wrong."""
    points = drawn.points(count, seed)
    words = sum(sum(tools.simulate(points[first : first + BATCH])) for first in range(0, count, BATCH))
    print(f'{count} random parts, {words} words', flush=True)
