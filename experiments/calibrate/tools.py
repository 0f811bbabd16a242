"""Runs iverilog and yosys on a part. Both are looked up on the path; nothing is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from costmodel.cost import CostError
from experiments.calibrate import parts
from experiments.calibrate.parts import RTL, Point

TOOLS = ('yosys', 'iverilog')
# wide functions from LUTs and multiplexers would take four times the LUTs
FLAGS = '-family xcup -flatten -noiopad -noclkbuf -nowidelut'
COLUMNS = ('lut', 'ff', 'bram18', 'uram', 'dsp', 'lut_ram', 'carry', 'cells')


SINGLE = {'RAM32X1S': 1, 'RAM64X1S': 1, 'RAM128X1S': 2, 'RAM256X1S': 4, 'RAM512X1S': 8}


class ToolError(CostError):
    """A tool is missing, failed, or a part did not do what it must."""


def missing() -> list[str]:
    return [tool for tool in TOOLS if not shutil.which(tool)]


def version() -> str:
    return subprocess.run(['yosys', '-V'], capture_output=True, text=True, check=True).stdout.strip()


def simulate(part: Point) -> int:
    """Tokens of a part compared with `parts.reference` under random stalls. Raises ToolError at a difference."""
    tokens = parts.stimulus(part)
    wanted = parts.reference(part, tokens)
    sources, sinks = (*parts.streams(part)[0], 0)[:2], (*parts.streams(part)[1], 0)[:2]
    counts = [len(stream) for stream in tokens] + [0]
    hold = part['depth'] + 20 if part.kind == 'fifo' else 0
    settings = dict(
        IN0=sources[0],
        IN1=sources[1],
        OUT0=sinks[0],
        OUT1=sinks[1],
        COUNT0=counts[0],
        COUNT1=counts[1],
        EXPECTED=len(wanted[0]),
        HOLD=hold,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder, part, 'part')
        for index, stream in enumerate(tokens):
            (folder / f'in{index}.hex').write_text('\n'.join(f'{token:x}' for token in stream))
        given = [f'-Pbench.{key}={value}' for key, value in settings.items()]
        sources_v = [str(RTL / 'bench.v'), 'part.v', *map(str, parts.files(part))]
        _run(['iverilog', '-g2012', '-s', 'bench', *given, '-o', 'bench.vvp', *sources_v], folder)
        said = _run(['vvp', '-n', 'bench.vvp'], folder)
        for index, stream in enumerate(wanted):
            found = [
                int(line, 16) for line in (folder / f'out{index}.hex').read_text().split() if not set(line) & set('xz')
            ]
            if found != stream:
                at = next(
                    (k for k, pair in enumerate(zip(found, stream)) if pair[0] != pair[1]), min(len(found), len(stream))
                )
                raise ToolError(
                    f'{part.key}: output {index} differs from token {at} on; {len(found)} of {len(stream)} tokens '
                    'came out'
                )
    if hold and f'accepted {part["depth"]}\n' not in said:
        raise ToolError(f'{part.key}: it must hold {part["depth"]} tokens, but {said.strip()}')
    return sum(map(len, wanted))


def synthesize(points: Sequence[Point]) -> list[dict[str, int | str]]:
    """What yosys `synth_xilinx` makes of each part, {column: number}, see COLUMNS.

    One run: the parts keep their hierarchy, each is flattened. Multipliers in LUTs need a run of their own.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, used = Path(name), sorted({file for part in points for file in parts.files(part)})
        for index, part in enumerate(points):
            _prepare(folder, part, f'part{index}')
        instances = '\n'.join(f'    (* keep *) part{index} u{index} (.clk(clk));' for index in range(len(points)))
        (folder / 'all.v').write_text(f'module all (input clk);\n{instances}\nendmodule\n')
        read = ' '.join(
            ['read_verilog -sv -defer all.v', *(f'part{index}.v' for index in range(len(points))), *map(str, used)]
        )
        logic = ' -nodsp' if points[0].style == 'lut' and points[0].kind == 'mac' else ''
        script = f'{read}; synth_xilinx {FLAGS}{logic} -top all; tee -q -o stat.json stat -json'
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
        'lut': memory + sum(count for name, count in cells.items() if re.fullmatch(r'LUT\d', name)),
        'ff': sum(count for name, count in cells.items() if re.fullmatch(r'FD[RSCP]E(_1)?', name)),
        'bram18': sum(count * (2 if '36' in name else 1) for name, count in cells.items() if name.startswith('RAMB')),
        'uram': sum(count for name, count in cells.items() if name.startswith('URAM')),
        'dsp': sum(count for name, count in cells.items() if name.startswith('DSP')),
        'lut_ram': memory,
        'carry': sum(count for name, count in cells.items() if name.startswith('CARRY')),
        'cells': ' '.join(f'{name}:{count}' for name, count in sorted(cells.items())),
    }


def _prepare(folder: Path, part: Point, name: str) -> None:
    (folder / f'{name}.v').write_text(parts.top(part, name))
    if part.kind == 'rom':
        (folder / f'{name}.hex').write_text('\n'.join(f'{word:x}' for word in parts.words(part)))


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise ToolError(f'{command[0]} failed: {(done.stderr or done.stdout).strip()[-600:]}')
    return done.stdout
