"""Runs iverilog and yosys on a part. Both are looked up on the path; nothing is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from costmodel.cost import CostError
from experiments.calibrate import parts, reference
from experiments.calibrate.parts import RTL, Point
from tailor_jax.dataflow.process import program

TOOLS = ('yosys', 'iverilog')
PRIMITIVES = RTL / 'primitives.v'
# wide functions from LUTs and multiplexers would take four times the LUTs
# DSPs are instances; what multiplies otherwise is to be made of LUTs
FLAGS = '-family xcup -flatten -noiopad -noclkbuf -nowidelut -nodsp'
COLUMNS = ('lut', 'ff', 'bram18', 'uram', 'dsp', 'lut_ram', 'carry', 'cells')


SINGLE = {'RAM32X1S': 1, 'RAM64X1S': 1, 'RAM128X1S': 2, 'RAM256X1S': 4, 'RAM512X1S': 8}


class ToolError(CostError):
    """A tool is missing, failed, or a part did not do what it must."""


def missing() -> list[str]:
    return [tool for tool in TOOLS if not shutil.which(tool)]


def version() -> str:
    return subprocess.run(['yosys', '-V'], capture_output=True, text=True, check=True).stdout.strip()


def simulate(part: Point) -> int:
    """Words of a part compared with `reference`: under random stalls, and without, where each must also be promised in
    the cycle that `parts.process` says. Raises ToolError at a difference.
    """
    words = reference.stimulus(part)
    wanted = reference.reference(part, words)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder, part, 'part', simulated=True)
        for index, stream in enumerate(words):
            (folder / f'in{index}.hex').write_text('\n'.join(f'{word:x}' for word in stream))
        _compile(folder, part, words, wanted)
        for stalls in (1, 0):
            found = _run_bench(folder, part, len(wanted), stalls)
            for index, (stream, outlet) in enumerate(zip(wanted, found)):
                values = [value for _, value in outlet]
                if values != stream:
                    at = next(
                        (k for k, (x, y) in enumerate(zip(values, stream)) if x != y), min(len(values), len(stream))
                    )
                    raise ToolError(
                        f'{part.key}: output {index} differs from word {at} on; {len(values)} of {len(stream)} words '
                        'came out'
                    )
            if not stalls:
                _check_cycles(part, words, found)
    return sum(map(len, wanted))


def _compile(folder: Path, part: Point, words: list[list[int]], wanted: list[list[int]]) -> None:
    """The part in its bench."""
    sources, sinks = ([*each, 0] for each in parts.streams(part))
    settings = {
        **{f'IN{k}': sources[k] for k in (0, 1)},
        **{f'OUT{k}': sinks[k] for k in (0, 1)},
        **{f'COUNT{k}': len((*words, [])[k]) for k in (0, 1)},
        **{f'EXPECTED{k}': len((*wanted, [])[k]) for k in (0, 1)},
        'LATENCY': parts.latency_cycles(part),
    }
    given = [f'-Pbench.{key}={value}' for key, value in settings.items()]
    sources_v = [str(RTL / 'bench.v'), 'part.v', str(RTL / 'rom.v')]
    sources_v += [str(path) for path in parts.files(part) if path.name != 'rom.v']
    _run(['iverilog', '-g2012', '-s', 'bench', *given, '-o', 'bench.vvp', *sources_v, str(PRIMITIVES)], folder)


def _run_bench(folder: Path, part: Point, outputs: int, stalls: int) -> list[list[tuple[int, int]]]:
    """For each output (cycle of the promise, word)."""
    said = _run(['vvp', '-n', 'bench.vvp', f'+stalls={stalls}'], folder)
    if error := next((line for line in said.splitlines() if 'ERROR' in line), ''):
        raise ToolError(f'{part.key}: {error}')
    found = []
    for index in range(outputs):
        rows = (line.split() for line in (folder / f'out{index}.hex').read_text().splitlines())
        found.append([(int(cycle), -1 if set(word) & set('xz') else int(word, 16)) for cycle, word in rows])
    return found


def _check_cycles(part: Point, words: list[list[int]], found: list[list[tuple[int, int]]]) -> None:
    """Nothing waits: the promises come as the trips of the process end."""
    process = parts.process(part, len(words[0]))
    images = 2 if part.kind in ('window', 'ring') else 3 if part.kind == 'average' else 1
    trips = program(process, images)
    ends = np.cumsum(trips.cost) - 1
    start = found[0][0][0] - ends[trips.writes[0][0]]
    for index, (outlet, writes) in enumerate(zip(found, trips.writes)):
        cycles = [cycle for cycle, _ in outlet]
        wanted = [int(start + ends[trip]) for trip in writes if trip < len(ends)]
        if cycles != wanted[: len(cycles)]:
            at = next(k for k, pair in enumerate(zip(cycles, wanted)) if pair[0] != pair[1])
            raise ToolError(
                f'{part.key}: output {index}, word {at} was promised in cycle {cycles[at]}, not {wanted[at]}'
            )


def synthesize(points: Sequence[Point]) -> list[dict[str, int | str]]:
    """What yosys `synth_xilinx` makes of each part, {column: number}, see COLUMNS.

    One run: the parts keep their hierarchy, each is flattened.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, used = Path(name), sorted({file for part in points for file in parts.files(part)})
        for index, part in enumerate(points):
            _prepare(folder, part, f'part{index}', simulated=False)
        instances = '\n'.join(f'    (* keep *) part{index} u{index} (.clk(clk));' for index in range(len(points)))
        (folder / 'all.v').write_text(f'module all (input clk);\n{instances}\nendmodule\n')
        read = ' '.join(
            ['read_verilog -sv -defer all.v', *(f'part{index}.v' for index in range(len(points))), *map(str, used)]
        )
        script = f'{read}; synth_xilinx {FLAGS} -top all; tee -q -o stat.json stat -json'
        _run(['yosys', '-q', '-p', script], folder)
        text = (folder / 'stat.json').read_text()
    modules = json.loads(text[text.index('{') :])['modules']
    return [counted(modules[f'\\part{index}']['num_cells_by_type']) for index in range(len(points))]


def counted(cells: dict[str, int]) -> dict[str, int | str]:
    """Resources from cells. A RAMB36 is two RAMB18; a RAM32M16 or RAM64M8 takes the eight LUTs of its slice; inverters
    are free (as in LUTs).
    """
    size = {
        'RAM32M16': 8,
        'RAM64M8': 8,
        'RAM32M': 4,
        'RAM64M': 4,
        'RAM32X1D': 2,
        'RAM64X1D': 2,
        'RAM128X1D': 4,
        'RAM256X1D': 8,
    } | SINGLE
    memory = sum(
        size[name] * count for name, count in cells.items() if name.startswith('RAM') and not name.startswith('RAMB')
    )
    memory += sum(count for name, count in cells.items() if name.startswith('SRL'))
    return {
        'lut': memory + sum(count for name, count in cells.items() if re.fullmatch(r'LUT\d(_2)?', name)),
        'ff': sum(count for name, count in cells.items() if re.fullmatch(r'FD[RSCP]E(_1)?', name)),
        'bram18': sum(count * (2 if '36' in name else 1) for name, count in cells.items() if name.startswith('RAMB')),
        'uram': sum(count for name, count in cells.items() if name.startswith('URAM')),
        'dsp': sum(count for name, count in cells.items() if name.startswith('DSP')),
        'lut_ram': memory,
        'carry': sum(count for name, count in cells.items() if name.startswith('CARRY')),
        'cells': ' '.join(f'{name}:{count}' for name, count in sorted(cells.items())),
    }


def _prepare(folder: Path, part: Point, name: str, simulated: bool) -> None:
    (folder / f'{name}.v').write_text(parts.top(part, name, simulated))
    if words := parts.contents(part):
        (folder / f'{name}.hex').write_text('\n'.join(f'{word:x}' for word in words))


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise ToolError(f'{command[0]} failed: {(done.stderr or done.stdout).strip()[-600:]}')
    return done.stdout
