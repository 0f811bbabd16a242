"""Writes a project directory: generated sources, static headers, test data and build files.

write(path, qgraph, plan, images, labels)    a new directory, whole or not there at all; two writes are byte-identical
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import math
import os
import re
import shutil
import string
import tempfile
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

import numpy as np

from hls_export import index as indexing
from hls_export.dataflow import emit
from hls_export.index import ExistsError, ExportError, Index, is_project
from hls_export.verilog import emit as verilog_emit
from tailor_jax.dataflow.plan import Plan
from tailor_jax.files import LOCK, LockedError, locked
from tailor_jax.graph import GraphError
from tailor_jax.integers import qgraph as qg
from tailor_jax.integers.qgraph import QGraph

# Where `write` makes a project: beside it, under the name that tempfile gives.
PARTIAL = re.compile(r'\.(?P<name>.+)\.[a-z0-9_]{8}')
_TEXTS = ('build.tcl', 'hls_config.cfg', 'README.md')
_GENERATED = (
    *('tailor_top.cpp', 'tailor_top.h', 'layers.h', 'timing.h', 'qgraph.npz', 'hardware.json', 'csim.json'),
    *(indexing.MARKER, LOCK),
)


def write(
    path: str | os.PathLike,
    qgraph: QGraph,
    plan: Plan,
    images: np.ndarray,
    labels: np.ndarray,
    hardware: Mapping | None = None,
    overwrite: bool = False,
    verilog: bool = False,
) -> Path:
    """Writes the design and its test data as a C++ project.

    Args:
      path: the directory to make.
      qgraph: the integer graph.
      plan: folding, FIFOs, latencies, device.
      images: integers of the input's type [n, h, w, c]; labels: class of each, [n]. Expected outputs come from
        `run_int`.
      hardware: written as hardware.json.
      overwrite: whether an earlier project at `path` is replaced.
      verilog: whether the design is written as Verilog, too.

    Returns:
      The path. Raises GraphError where the network or plan cannot be emitted, ExportError where the directory cannot be
      written; neither leaves anything behind.
    """
    path, images, labels = Path(path), np.asarray(images), np.asarray(labels)
    _recover(path)
    if not np.issubdtype(images.dtype, np.integer) or not len(images):
        raise GraphError(
            f'test images must be a non-empty array of integers of the input type, got {images.dtype} '
            f'{list(images.shape)}'
        )
    if (
        labels.shape != (len(images),)
        or not np.issubdtype(labels.dtype, np.integer)
        or labels.min() < -(1 << 31)
        or labels.max() >= 1 << 31
    ):
        raise GraphError(
            f'labels must be [{len(images)}] integers of 32 bits, one an image, got {labels.dtype} {list(labels.shape)}'
        )
    _check_destination(path, overwrite)
    files: dict[str, str | bytes] = dict(emit.source(qgraph, plan))
    files |= verilog_emit.source(qgraph, plan) if verilog else {}
    expected = np.concatenate([qg.run_int(qgraph, images[start : start + 256]) for start in range(0, len(images), 256)])
    pixel = np.int16 if qgraph.input.out.lo >= -(1 << 15) and qgraph.input.out.hi < 1 << 15 else np.int32
    test_data = {
        'images.bin': images.astype(f'<{np.dtype(pixel).str[1:]}').tobytes(),
        'expected.bin': expected.astype('<i4').tobytes(),
        'labels.bin': labels.astype('<i4').tobytes(),
    }
    files |= (
        _static_files()
        | _build_files(qgraph, plan, verilog)
        | {f'tb_data/{name}': content for name, content in test_data.items()}
    )
    digests = {name: indexing.digest(content) for name, content in test_data.items()}
    files[indexing.MARKER] = indexing.to_json(Index(plan, len(images), digests))
    if hardware is not None:
        files['hardware.json'] = _json(hardware)
    with _telling_failures(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f'.{path.name}.', dir=path.parent))
        with locked(work):  # says that it is no left-over
            try:
                made = work / 'project'
                for name, content in files.items():
                    destination = made / name
                    destination.parent.mkdir(parents=True, exist_ok=True)
                    destination.write_bytes(content.encode() if isinstance(content, str) else content)
                qg.save(qgraph, made / 'qgraph.npz')
                if path.exists():
                    path.rename(work / 'replaced')
                made.rename(path)
            finally:
                _clear(path, work)
    return path


def _json(hardware: Mapping) -> str:
    try:
        return json.dumps(hardware, indent=1, allow_nan=False) + '\n'
    except (TypeError, ValueError) as error:
        raise GraphError(f'hardware must hold plain JSON values: {error}') from None


@contextlib.contextmanager
def _telling_failures(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        raise ExportError(
            f'cannot write the project {str(path)!r}: {reason}; choose a directory that you may write to'
        ) from None


def is_partial(path: str | os.PathLike, name: str = '') -> bool:
    """Whether `write` makes a project in this directory, or did when it was killed; the one called `name`, or any."""
    path = Path(path)
    match = PARTIAL.fullmatch(path.name)
    if match is None or match['name'] != (name or match['name']) or path.is_symlink() or not path.is_dir():
        return False
    return {each.name for each in path.iterdir()} <= {LOCK, 'project', 'replaced', 'discarded'}


def _recover(path: Path) -> None:
    """Puts a project back that a killed `write` had moved from its place, and clears away what else it left."""
    for work in sorted(path.parent.glob(f'.{glob.escape(path.name)}.*')):
        # Another process may be writing there now, or may just have ended.
        with _telling_failures(path), contextlib.suppress(LockedError, FileNotFoundError):
            if is_partial(work, path.name):
                with locked(work):
                    _clear(path, work)


def _clear(path: Path, work: Path) -> None:
    """Ends the work on a project: the earlier one goes back where no new one took its place, and the rest goes."""
    replaced = work / 'replaced'
    if replaced.exists():
        # Under another name, since half a project must not be taken for one that had lost its place.
        replaced.rename(work / 'discarded' if path.exists() else path)
    shutil.rmtree(work)


def _check_destination(path: Path, overwrite: bool) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise ExportError(f'{str(path)!r} is a file; a project needs a directory of its own')
    if not any(path.iterdir()):
        return
    if not overwrite:
        raise ExistsError(
            f'the directory {str(path)!r} is not empty; give another one, or overwrite=True to replace a project'
        )
    if not is_project(path):
        raise ExportError(
            f'the directory {str(path)!r} is not empty and holds no project of tailor_jax, so it is not replaced; '
            'give another one'
        )
    if (foreign := _foreign(path)) is not None:
        raise ExportError(
            f'the project {str(path)!r} holds {str(foreign)!r}, which no export wrote, so it is not replaced; move '
            'that away first'
        )


def _foreign(path: Path) -> Path | None:
    """The first file of a project that neither an export nor a simulation wrote: notes, results of a synthesis."""
    own = {
        *_static_files(),
        *verilog_emit.static_files(),
        verilog_emit.TOP,
        *_TEXTS,
        *_GENERATED,
        *(f'tb_data/{name}' for name in indexing.TEST_DATA),
    }
    for each in sorted(path.rglob('*')):
        name = each.relative_to(path)
        folder = each.is_dir() and not each.is_symlink()
        if not (
            folder
            or name.parts[0] == 'build'
            or name.as_posix() in own
            or name.match('weights/*.h')
            or name.match('weights/*.hex')
        ):
            return name
    return None


def _static_files() -> dict[str, str]:
    """Hand-written C++, copied as it is."""
    package = resources.files('hls_export.dataflow')
    folders = {'include': 'include', 'sim/native': 'include/native', 'sim/cycle': 'include/cycle'}
    files = {
        f'{place}/{file.name}': file.read_text()
        for place, folder in folders.items()
        for file in (package / folder).iterdir()
        if file.name.endswith('.h')
    }
    return files | {
        name: (package / 'templates' / name).read_text()
        for name in ('testbench.cpp', 'simulate.h', 'library.cpp', 'Makefile')
    }


def _build_files(qgraph: QGraph, plan: Plan, verilog: bool) -> dict[str, str]:
    values = {
        'part': plan.part,
        'clock_mhz': f'{plan.clock_mhz:g}',
        'clock_ns': f'{1000 / plan.clock_mhz:.3f}',
        'processes': len(plan.latency_cycles),
        'fifos': len(plan.fifos),
        'input_lanes': plan.folding.lanes[qgraph.input.name],
        'output_lanes': plan.folding.lanes[qgraph.output.name],
        'input_words': math.prod(qgraph.input.node.shape) // plan.folding.lanes[qgraph.input.name],
        'output_words': math.prod(qgraph.output.node.shape) // plan.folding.lanes[qgraph.output.name],
    }
    package = resources.files('hls_export.dataflow')

    def filled(name: str) -> str:
        return string.Template((package / 'templates' / name).read_text()).substitute(values)

    found = {name: filled(name) for name in _TEXTS}
    found['README.md'] += filled('verilog.md') if verilog else ''
    return found
