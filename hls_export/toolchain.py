"""Builds and runs a project with make and g++. A failure becomes an `ExportError` with the tool's own first lines."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hls_export import index
from hls_export.index import ExportError
from hls_export.verilog import emit as verilog
from hls_export.verilog import tools
from tailor_jax import files
from tailor_jax.fields import parse_json

MODES = ('fast', 'strict', 'cycle', 'verilog')
MOST_SOURCE_BYTES = 1 << 30
LONGEST_BUILD_S = 600.0  # that another process's build in the same project is waited for


def find_tools() -> None:
    """Raises ExportError, saying how to install it, if the compiler or make is missing."""
    for tool in (os.environ.get('CXX', 'g++'), 'make'):
        if shutil.which(tool) is None:
            raise ExportError(
                f'{tool} was not found; the C simulation needs g++ and make: install them with "apt install g++ make" '
                f'(Debian, Ubuntu) or "dnf install gcc-c++ make" (Fedora)'
            )


def build(path: str | os.PathLike, mode: str, product: str = 'testbench') -> Path:
    """Compiles a product ('testbench' or 'design.so') of one simulation of a project if its sources have changed;
    returns its path.

    Raises ExportError for an unknown mode, a directory that is no project, a missing tool or header, or a compiler
    error; LockedError where another process has been building in this project for too long.
    """
    with _building(path, mode) as folder:
        return _made(Path(path), folder, mode, product)


@contextlib.contextmanager
def taken(path: str | os.PathLike, mode: str, product: str) -> Iterator[Path]:
    """As `build`, but a copy in a folder of its own while the block lasts, whatever others build meanwhile."""
    with contextlib.ExitStack() as stack:
        with _building(path, mode) as folder:
            made = _made(Path(path), folder, mode, product)
            private = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='run.', dir=folder.parent)))
            shutil.copy2(made, private / product)
        yield private / product


@contextlib.contextmanager
def _building(path: str | os.PathLike, mode: str) -> Iterator[Path]:
    """The folder of a mode, to build in alone."""
    path = Path(path)
    if mode not in MODES:
        raise ExportError(f'mode must be one of {", ".join(MODES)}, got {mode!r}')
    index.load(path)
    find_tools()
    builds = path / 'build'
    try:
        if builds.is_symlink():
            raise ExportError(f'{builds} is a symbolic link, and nothing is built behind it; remove it')
        builds.mkdir(exist_ok=True)
        with files.locked(builds, LONGEST_BUILD_S):
            yield builds / mode
    except OSError as error:
        raise ExportError(f'cannot build in {builds}: {error.strerror or error}') from None


def _made(path: Path, folder: Path, mode: str, product: str) -> Path:
    sources, made = _digest(path), folder / product
    stamp, mark = folder / 'sources.sha256', folder / f'{product}.sha256'
    # make goes by times, which restored files may have wrong, and does not miss a header that is gone; nor does it
    # know a damaged product.
    if (
        _text(stamp) != sources
        or (made.exists() and _text(mark) != _file_digest(made))
        or any(each.is_symlink() for each in folder.rglob('*'))
    ):
        _remove(folder)
    command = ['make', '--no-print-directory', '-j2', '-C', str(path), f'build/{mode}/{product}']
    if mode == 'strict':
        command.append(f'AP_TYPES={ap_types()}')
    if mode == 'verilog':
        command.append(f'VERILATOR={_verilator(path)}')
    # An outer make, such as `make test`, must not hand on its flags; messages are looked through for the word "error".
    environment = {
        key: value for key, value in os.environ.items() if key not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL')
    } | {'LC_ALL': 'C'}
    done = subprocess.run(command, capture_output=True, text=True, errors='replace', env=environment)
    if done.returncode or not made.is_file():
        raise ExportError(f'building the {mode} simulation of {str(path)!r} failed:\n{_first_lines(done.stderr)}')
    files.write(stamp, sources)
    files.write(mark, _file_digest(made))
    return made


def _remove(folder: Path) -> None:
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _text(path: Path) -> str:
    try:
        return files.read(path, 1000).decode(errors='replace')
    except OSError:
        return ''


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(path: Path) -> str:
    """SHA-256 of names and contents of a project's sources. Raises ExportError for what is no file (a pipe, say)."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob('*')):
        if 'build' not in file.relative_to(path).parts and (
            file.suffix in ('.h', '.cpp', '.v') or file.name == 'Makefile'
        ):
            try:
                content = files.read(file, MOST_SOURCE_BYTES)
            except OSError as error:
                raise ExportError(
                    f'{file} cannot be compiled: {error.strerror or error}; export the project again'
                ) from None
            digest.update(f'{file.relative_to(path)} {len(content)}\n'.encode() + content)
    return digest.hexdigest()


def run(
    path: str | os.PathLike,
    mode: str,
    images: int | None = None,
    trace: str | os.PathLike | None = None,
    stall: int = 0,
) -> tuple[dict, str]:
    """Builds and runs the testbench; returns what it measured and printed. Raises ExportError if it did not run."""
    with taken(path, mode, 'testbench') as testbench:
        testbench = testbench.resolve()
        if mode == 'verilog':
            _check_roms(Path(path))
        report, changes = testbench.with_name('result.json'), testbench.with_name('trace.csv')
        command = [str(testbench), f'--json={report}']
        command += [f'--images={images}'] if images is not None else []
        command += [f'--trace={changes}'] if trace is not None else []
        command += [f'--stall={stall}'] if stall else []
        watched = sys.stderr.isatty()
        command += ['--progress'] if watched else []
        try:
            done = subprocess.run(
                command,
                cwd=path,
                stdout=subprocess.PIPE,
                stderr=None if watched else subprocess.PIPE,
                text=True,
                errors='replace',
            )
        except OSError as error:
            raise ExportError(
                f'the {mode} simulation of {str(path)!r} could not be started: {error.strerror}; remove '
                f'{Path(path) / "build"}'
            ) from None
        if done.returncode not in (0, 1, 3) or not report.exists():
            said = _first_lines((done.stderr or '') + done.stdout)
            raise ExportError(f'the {mode} simulation of {str(path)!r} stopped with status {done.returncode}:\n{said}')
        if trace is not None:
            _write_trace(Path(trace), changes)
        return parse_json(
            report.read_bytes(), f'what the {mode} simulation of {str(path)!r} measured', ExportError
        ), done.stdout


def _write_trace(path: Path, made: Path) -> None:
    try:
        files.write(path, made.read_bytes())
    except OSError as error:
        raise ExportError(f'cannot write the trace {str(path)!r}: {error.strerror or error}') from None


def ap_types() -> Path:
    """The directory of AMD's ap_int.h and hls_stream.h: a Vitis installation's, else the installed hls4ml's."""
    candidates = [Path(os.environ[name]) / 'include' for name in ('XILINX_HLS', 'VITIS_HLS') if os.environ.get(name)]
    if (found := importlib.util.find_spec('hls4ml')) and found.submodule_search_locations:
        candidates += [
            Path(folder) / 'templates' / 'vivado' / 'ap_types' for folder in found.submodule_search_locations
        ]
    for candidate in candidates:
        if (candidate / 'ap_int.h').exists() and (candidate / 'hls_stream.h').exists():
            return candidate
    raise ExportError(
        'AMD\'s ap_int.h and hls_stream.h were not found; install them with "pip install hls4ml", or set XILINX_HLS '
        'to a Vitis installation'
    )


def _verilator(path: Path) -> str:
    if not (path / verilog.TOP).is_file():
        raise ExportError(f'{str(path)!r} holds no Verilog; export it with --target=verilog')
    return tools.find('verilator')


def _check_roms(path: Path) -> None:
    """Raises ExportError for contents of a ROM that are missing or no whole ones: Verilator would go on with others."""
    for depth, name in re.findall(r'\.DEPTH\((\d+)\)[^;]*?\.FILE\("([^"]+)"\)', (path / verilog.TOP).read_text()):
        try:
            words = files.read(path / name, MOST_SOURCE_BYTES).decode(errors='replace').split()
        except OSError as error:
            raise ExportError(f'{path / name}, which a ROM holds, cannot be read: {error.strerror or error}') from None
        if wrong := next((word for word in words if not re.fullmatch('[0-9a-fA-F]+', word)), None):
            raise ExportError(f'{path / name}: {wrong[:40]!r} is no hexadecimal number')
        if len(words) != int(depth):
            raise ExportError(f'{path / name} has {len(words)} words; its ROM has {depth}')


def _first_lines(text: str, count: int = 20) -> str:
    """A tool's first errors: lines from the first one that says so."""
    lines = [line for line in text.splitlines() if line.strip()]
    first = next((index for index, line in enumerate(lines) if 'error' in line), 0)
    return '\n'.join(lines[first : first + count])
