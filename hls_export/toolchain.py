"""Builds and runs a project with make and g++. Every failure becomes an `ExportError` with the tool's own first lines."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from hls_export.project import ExportError, is_project

MODES = ('fast', 'strict', 'cycle')


def find_tools() -> None:
    """Raises ExportError, saying how to install it, if the compiler or make is missing."""
    for tool in (os.environ.get('CXX', 'g++'), 'make'):
        if shutil.which(tool) is None:
            raise ExportError(
                f'{tool} was not found; the C simulation needs g++ and make: install them with "apt install g++ make" '
                f'(Debian, Ubuntu) or "dnf install gcc-c++ make" (Fedora)'
            )


def build(path: str | os.PathLike, mode: str, product: str = 'testbench') -> Path:
    """Compiles a product ('testbench' or 'design.so') of one simulation of a project if its sources have changed; returns its path.

    Raises ExportError for an unknown mode, a directory that is no project, a missing tool or header, or a compiler error.
    """
    path = Path(path)
    if mode not in MODES:
        raise ExportError(f'mode must be one of {", ".join(MODES)}, got {mode!r}')
    if not is_project(path):
        raise ExportError(f'{str(path)!r} is not a project that hls_export.write made: it has no project.json')
    find_tools()
    folder, sources = path / 'build' / mode, _digest(path)
    stamp = folder / 'sources.sha256'
    if not stamp.exists() or stamp.read_text() != sources:
        shutil.rmtree(folder, ignore_errors=True)  # make goes by times, which restored files may have wrong, and does not miss a header that is gone
    command = ['make', '--no-print-directory', '-j2', '-C', str(path), f'build/{mode}/{product}']
    if mode == 'strict':
        command.append(f'AP_TYPES={ap_types()}')
    # An outer make, such as `make test`, must not hand on its flags; messages are looked through for the word "error".
    environment = {key: value for key, value in os.environ.items() if key not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL')} | {'LC_ALL': 'C'}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise ExportError(f'building the {mode} simulation of {str(path)!r} failed:\n{_first_lines(done.stderr)}')
    stamp.write_text(sources)
    return folder / product


def _digest(path: Path) -> str:
    """SHA-256 of the names and contents of a project's sources."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob('*')):
        if file.is_file() and 'build' not in file.relative_to(path).parts and (file.suffix in ('.h', '.cpp') or file.name == 'Makefile'):
            content = file.read_bytes()
            digest.update(f'{file.relative_to(path)} {len(content)}\n'.encode() + content)
    return digest.hexdigest()


def run(path: str | os.PathLike, mode: str, images: int | None = None, trace: str | os.PathLike | None = None) -> tuple[dict, str]:
    """Builds and runs the testbench; returns what it measured and what it printed. Raises ExportError if it could not run."""
    testbench = build(path, mode).resolve()
    report = testbench.parent / 'result.json'
    report.unlink(missing_ok=True)
    command = [str(testbench), f'--json={report}']
    command += [f'--images={images}'] if images is not None else []
    command += [f'--trace={Path(trace).resolve()}'] if trace is not None else []
    watched = sys.stderr.isatty()
    command += ['--progress'] if watched else []
    done = subprocess.run(command, cwd=path, stdout=subprocess.PIPE, stderr=None if watched else subprocess.PIPE, text=True)
    if done.returncode not in (0, 1, 3) or not report.exists():
        said = _first_lines((done.stderr or '') + done.stdout)
        raise ExportError(f'the {mode} simulation of {str(path)!r} stopped with status {done.returncode}:\n{said}')
    return json.loads(report.read_text()), done.stdout


def ap_types() -> Path:
    """The directory of AMD's ap_int.h and hls_stream.h: of a Vitis installation if there is one, else of the installed hls4ml."""
    candidates = [Path(os.environ[name]) / 'include' for name in ('XILINX_HLS', 'VITIS_HLS') if os.environ.get(name)]
    if (found := importlib.util.find_spec('hls4ml')) and found.submodule_search_locations:
        candidates += [Path(folder) / 'templates' / 'vivado' / 'ap_types' for folder in found.submodule_search_locations]
    for candidate in candidates:
        if (candidate / 'ap_int.h').exists() and (candidate / 'hls_stream.h').exists():
            return candidate
    raise ExportError(
        'AMD\'s ap_int.h and hls_stream.h were not found; install them with "pip install hls4ml", or set XILINX_HLS to a Vitis installation'
    )


def _first_lines(text: str, count: int = 20) -> str:
    """A tool's first errors: lines from the first one that says so."""
    lines = [line for line in text.splitlines() if line.strip()]
    first = next((index for index, line in enumerate(lines) if 'error' in line), 0)
    return '\n'.join(lines[first : first + count])
