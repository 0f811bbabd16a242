"""The netlist that yosys makes of a design, process by process.

    yosys synth_xilinx -family xcup -uram, each instance of the top flattened inside and kept apart

Instances of one module with the same parameters are synthesized once. What a ROM holds does not count: neither block
RAM nor `yosys/rom_map.v` depends on it, so that ROMs of one shape are one module. An absorbed add is a part of the
process that finishes a layer's sums; beside it that process is made without the add, as the instance `a_...`.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hls_export.index import ExportError
from hls_export.verilog import tools
from tailor_jax import files

TOP = 'tailor_top'
# Multiplexers and tables from LUTs and the slice's own multiplexers would take four times the LUTs; DSPs are instances,
# what multiplies otherwise is to be made of LUTs.
FLAGS = '-family xcup -uram -flatten -noiopad -noclkbuf -nowidelut -nodsp'
SINGLE = {'RAM32X1S': 1, 'RAM64X1S': 1, 'RAM128X1S': 2, 'RAM256X1S': 4, 'RAM512X1S': 8}
LUTS = {
    **{'RAM32M16': 8, 'RAM64M8': 8, 'RAM32M': 4, 'RAM64M': 4},
    **{'RAM32X1D': 2, 'RAM64X1D': 2, 'RAM128X1D': 4, 'RAM256X1D': 8},
    **SINGLE,
}
BATCH = 32  # modules of a run of yosys, at most: its memory and what a run begins with are shared by so many
MOST_BYTES = 1 << 28  # of a file that is read
_FILE = re.compile(r'\.FILE\("([^"]*)"\)')
_ADD = re.compile(
    r'\.(?:ADD|SKIP_BITS|SKIP_SIGNED|ALIGN_MAIN|ALIGN_SKIP|ADD_SHIFT|ADD_RELU|OUT_BITS|OUT_SIGNED)\(-?\d+\),? ?'
)


@dataclasses.dataclass(frozen=True)
class Netlist:
    """A design as mapped.

    Attributes:
      instances: {instance of the top: module}; '' is the top's own logic.
      modules: {module: its netlist, as yosys writes JSON}, TOP among them.
      version: of yosys.
    """

    instances: Mapping[str, str]
    modules: Mapping[str, Any]
    version: str

    def cells(self, module: str) -> dict[str, int]:
        """{type: number} of the cells of a module."""
        found: dict[str, int] = {}
        for cell in self.modules[module]['cells'].values():
            found[cell['type']] = found.get(cell['type'], 0) + 1
        return found


def counted(cells: Mapping[str, int]) -> dict[str, int]:
    """Resources from cells. A RAMB36 is two RAMB18; a RAM32M16 or RAM64M8 takes the eight LUTs of its slice; inverters
    are free (as in LUTs).
    """
    memory = sum(
        LUTS[name] * count for name, count in cells.items() if name.startswith('RAM') and not name.startswith('RAMB')
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
    }


def synthesize(project: Path) -> Netlist:
    """Synthesizes the Verilog of a project. Raises ExportError where it is missing or damaged, or the tool is."""
    tools.find('yosys')
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _copy(project, folder)
        sources = ' '.join(sorted(str(file.relative_to(folder)) for file in (folder / 'rtl').glob('*.v')))
        kept = 'setattr -mod -set keep_hierarchy 1 A:top=1 %M A:top=1 %d'
        tools.yosys(
            f'read_verilog -sv -defer {sources}; hierarchy -top {TOP}; {kept}; write_rtlil design.il; '
            'select A:top=1; write_json -selected top.json',
            folder,
        )
        top = _json(folder / 'top.json')['modules'][TOP]
        instances = {name: cell['type'] for name, cell in top['cells'].items() if not cell['type'].startswith('$_')}
        own = {name: module for name, module in instances.items() if _is_part(module)}
        modules = _mapped(folder, sorted(set(own.values())))
        return Netlist(own | {'': TOP}, modules, tools.version('yosys'))


def _is_part(module: str) -> bool:
    """Whether a type of a cell is a module of the design, and no operation of yosys's own."""
    return module.startswith('$paramod') or not module.startswith('$')


def _copy(project: Path, folder: Path) -> None:
    """The sources, and the contents of one ROM of each shape."""
    (folder / 'rtl').mkdir()
    (folder / 'weights').mkdir()
    if not (project / 'rtl' / f'{TOP}.v').is_file():
        raise ExportError(
            f'{str(project)!r} has no rtl/{TOP}.v: it was exported as C++ alone; export it with --target=verilog'
        )
    for file in sorted((project / 'rtl').glob('*.v')):
        text = _read(file)
        (folder / 'rtl' / file.name).write_text(_same_roms(_alone(text)) if file.stem == TOP else text)
    for name in sorted(set(_FILE.findall((folder / 'rtl' / f'{TOP}.v').read_text()))):
        if Path(name).is_absolute() or '..' in Path(name).parts:
            raise ExportError(f'{project / "rtl" / TOP}.v names the ROM {name!r}, which is outside the project')
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(_read(project / name))


def _read(file: Path) -> str:
    try:
        return files.read(file, MOST_BYTES).decode()
    except OSError as error:
        raise ExportError(f'{file} cannot be read: {error.strerror or error}; export the project again') from None
    except UnicodeDecodeError:
        raise ExportError(f'{file} is damaged: it is no text; export the project again') from None


def _same_roms(text: str) -> str:
    """Instances that differ in the files of their ROMs alone read one of them."""
    first: dict[str, str] = {}

    def line(given: str) -> str:
        found = _FILE.search(given)
        return _FILE.sub(f'.FILE("{first.setdefault(_shape(given), found[1])}")', given) if found else given

    return '\n'.join(map(line, text.split('\n')))


def _shape(line: str) -> str:
    """The module and parameters of an instance, its file apart, its name and ports where they stand on the line."""
    return _FILE.sub('', line).split(') r_')[0]


def _alone(text: str) -> str:
    """Beside each process that absorbs an add, `a_...`: the same without it."""
    found = []
    for parameters, name in re.findall(r'^    finish #\((.*\.ADD\(1\).*)\)\n        p_(\w+) ', text, re.MULTILINE):
        without = _ADD.sub('', parameters).rstrip(', ')
        found.append(f'    (* keep *) finish #({without})\n        a_{name} (.clk(clk));\n')
    end = text.rfind('endmodule')
    return text[:end] + ''.join(found) + text[end:]


def _mapped(folder: Path, modules: list[str]) -> dict[str, Any]:
    """The netlists of modules of design.il and of its top, a run of yosys for each batch of them."""
    workers = max(1, min(os.cpu_count() or 1, len(modules)))
    count = max(workers, -(-len(modules) // BATCH))
    batches = [modules[first::count] for first in range(count)]
    steps = tools.synth_xilinx(f'{FLAGS} -top {{top}}', folder)
    found = _run(folder, 'top', f'read_rtlil design.il; blackbox A:keep_hierarchy=1; {steps.format(top=TOP)}', [TOP])
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for part in pool.map(lambda index: _batch(folder, f'batch{index}', batches[index], steps), range(count)):
            found |= part
    return found


def _batch(folder: Path, name: str, modules: list[str], steps: str) -> dict[str, Any]:
    """Modules under a top of their own, none of their ports connected."""
    types = [each if each.startswith('$') else f'\\{each}' for each in modules]
    cells = ''.join(f'  attribute \\keep 1\n  cell {each} \\u{k}\n  end\n' for k, each in enumerate(types))
    (folder / f'{name}.il').write_text(f'module \\all\n{cells}end\n')
    return _run(folder, name, f'read_rtlil design.il; read_rtlil {name}.il; {steps.format(top="all")}', modules)


def _run(folder: Path, name: str, script: str, modules: list[str]) -> dict[str, Any]:
    tools.yosys(f'{script}; attrmap -remove src; write_json -noscopeinfo {name}.json', folder)
    found = _json(folder / f'{name}.json')['modules']
    return {each: found[each] for each in modules}


def _json(file: Path) -> Any:
    return json.loads(file.read_text())
