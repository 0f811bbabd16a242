"""Simulates parts (Verilator) and synthesizes them (yosys); see `hls_export.verilog.tools`."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from costmodel.cost import CostError
from experiments.calibrate import parts, reference, templates
from experiments.calibrate.point import Point
from hls_export.verilog import tools
from tailor_jax.dataflow.process import program

BENCH = Path(__file__).parent / 'rtl' / 'bench.v'
MAIN = Path(__file__).parent / 'rtl' / 'main.cpp'
# wide functions from LUTs and multiplexers would take four times the LUTs
# DSPs are instances; what multiplies otherwise is to be made of LUTs
FLAGS = '-family xcup -flatten -noiopad -noclkbuf -nowidelut -nodsp'
COLUMNS = ('lut', 'ff', 'bram18', 'uram', 'dsp', 'lut_ram', 'carry', 'cells')


SINGLE = {'RAM32X1S': 1, 'RAM64X1S': 1, 'RAM128X1S': 2, 'RAM256X1S': 4, 'RAM512X1S': 8}


class ToolError(CostError):
    """A part did not do what it must."""


def simulate(points: Sequence[Point]) -> list[int]:
    """Words of each part compared with `reference`. Raises ToolError at the first that is wrong; see `wrong`."""
    for part, said in zip(points, outcomes(points)):
        if error := wrong(part, said):
            raise ToolError(error)
    return [sum(map(len, reference.reference(part, reference.stimulus(part)))) for part in points]


def outcomes(
    points: Sequence[Point], changed: Mapping[int, str] | None = None, defines: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """What the bench says of each part, under random stalls and without; one program for all.

    `changed`: {index of a point: Verilog in place of its kind's file}; `defines`: of the preprocessor.
    """
    changed = changed or {}
    words = [reference.stimulus(part) for part in points]
    wanted = [reference.reference(part, given) for part, given in zip(points, words)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, part in enumerate(points):
            text = _prepare(folder, part, f'part{index}', simulated=True)
            if index in changed:
                modules = re.findall(r'^module (\w+)', changed[index], re.MULTILINE)
                names = re.compile(rf'\b({"|".join(modules)})(?= #?\()')
                (folder / f'part{index}.v').write_text(names.sub(rf'\1_{index}', text + changed[index]))
            for inlet, stream in enumerate(words[index]):
                lines = '\n'.join(f'{word:x}' for word in [*stream, 0])
                (folder / f'part{index}_in{inlet}.hex').write_text(lines)
        (folder / 'top.v').write_text(_benches(points, words, wanted))
        sources: list[str | Path] = [BENCH, tools.SIMULATED, *sorted(tools.RTL.glob('*.v')), 'top.v']
        sources += [f'part{index}.v' for index in range(len(points))]
        built = tools.simulator(sources, 'top', MAIN, folder, defines, optimize='-O0')
        said = []
        for stalls in (1, 0):
            tools.execute(
                built, [f'+stalls={stalls}', '+verilator+rand+reset+2', f'+verilator+seed+{7 + stalls}'], folder
            )
            said.append([(folder / f'part{index}_out.txt').read_text() for index in range(len(points))])
    return list(zip(*said))


def _benches(points: Sequence[Point], words: list[list[list[int]]], wanted: list[list[list[int]]]) -> str:
    """The module `top`: every part in a bench of its own."""
    lines = [f'wire [{len(points) - 1}:0] all;', 'assign done = &all;']
    for k, (part, given, expected) in enumerate(zip(points, words, wanted)):
        sources, sinks = parts.streams(part)
        ins, outs = len(sources), len(sinks)
        settings: dict[str, int | str] = {
            'NAME': f'"part{k}"',
            'INS': ins,
            'IN0': sources[0],
            'IN1': sum(sources[1:]),
            'OUTS': outs,
            'OUT0': sinks[0],
            'OUT1': sinks[1] if outs > 1 else 0,
            'COUNT0': len(given[0]),
            'COUNT1': len(given[1]) if ins > 1 else 0,
            'EXPECTED0': len(expected[0]),
            'EXPECTED1': len(expected[1]) if outs > 1 else 0,
            'LATENCY': parts.latency_cycles(part),
        }
        widths = {
            'rst': 1,
            'in_data': sum(sources),
            'in_valid': ins,
            'in_take': ins,
            'out_data': sum(sinks),
            'out_room': outs,
            'out_promise': outs,
            'out_valid': outs,
        }
        lines += [f'wire [{width - 1}:0] {name}_{k};' for name, width in widths.items()]
        names = ', '.join(f'{name}_{k}' for name in widths)
        order = ('in_data', 'in_valid', 'in_take', 'out_data', 'out_room', 'out_promise', 'out_valid')
        inner = ', '.join(f'{name}_{k}' for name in order)
        values = ', '.join(f'.{key}({value})' for key, value in settings.items())
        lines.append(f'bench #({values}) bench_{k} (clk, rst_{k}, all[{k}], {inner});')
        lines.append(f'part{k} dut_{k} (clk, {names});')
    return 'module top (input clk, output done);\n' + '\n'.join(lines) + '\nendmodule\n'


def wrong(part: Point, said: tuple[str, str]) -> str:
    """What is wrong with a part, '' if nothing is: its words are those of `reference`, under random stalls and without;
    each comes `parts.latency_cycles` behind its promise; and without stalls each is promised in the cycle that
    `parts.process` says.
    """
    words = reference.stimulus(part)
    wanted = reference.reference(part, words)
    for text in said:
        found: list[list[tuple[int, int]]] = [[] for _ in wanted]
        for line in text.splitlines():
            if line.startswith('ERROR'):
                return f'{part.key}: {line}'
            outlet, cycle, word = line.split()
            found[int(outlet)].append((int(cycle), int(word, 16)))
        for index, (stream, outlets) in enumerate(zip(wanted, found)):
            values = [value for _, value in outlets]
            if values != stream:
                pairs = enumerate(zip(values, stream))
                at = next((k for k, (x, y) in pairs if x != y), min(len(values), len(stream)))
                came = f'{len(values)} of {len(stream)} words came out'
                return f'{part.key}: output {index} differs from word {at} on; {came}'
    return _late(part, words, found)


def _late(part: Point, words: list[list[int]], found: list[list[tuple[int, int]]]) -> str:
    """Nothing waits: the promises come as the trips of the process end."""
    process = parts.process(part, len(words[0]))
    of = templates.numbers(part)
    images = 1
    if part.kind in ('window', 'ring'):
        images = -(-len(words[0]) // (of['height'] * of['columns'] * of['words']))
    elif part.kind == 'average':
        images = 3
    trips = program(process, images)
    ends = np.cumsum(trips.cost) - 1
    start = found[0][0][0] - ends[trips.writes[0][0]]
    for index, (outlet, writes) in enumerate(zip(found, trips.writes)):
        cycles = [cycle for cycle, _ in outlet]
        wanted = [int(start + ends[trip]) for trip in writes if trip < len(ends)]
        if cycles != wanted[: len(cycles)]:
            at = next(k for k, pair in enumerate(zip(cycles, wanted)) if pair[0] != pair[1])
            return f'{part.key}: output {index}, word {at} was promised in cycle {cycles[at]}, not {wanted[at]}'
    return ''


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
        for path in used:
            shutil.copyfile(path, folder / path.name)
        names = [*(f'part{index}.v' for index in range(len(points))), *(path.name for path in used)]
        made = tools.synth_xilinx(f'{FLAGS} -top all', folder)
        script = f'read_verilog -sv -defer all.v {" ".join(names)} ; {made} ; tee -q -o stat.json stat -json'
        tools.yosys(script, folder)
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
        'cells': ' '.join(f'{name}:{count}' for name, count in sorted(cells.items()) if not name.startswith('$')),
    }


def _prepare(folder: Path, part: Point, name: str, simulated: bool) -> str:
    """Writes the part's module and the words of its ROM; returns the module."""
    text = parts.top(part, name, simulated)
    (folder / f'{name}.v').write_text(text)
    if words := parts.contents(part):
        (folder / f'{name}.hex').write_text('\n'.join(f'{word:x}' for word in words))
    return text
