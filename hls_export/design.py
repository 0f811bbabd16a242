"""A compiled design in Python: numpy in, numpy out.

design = hls_export.compile(path)
logits = design(images)          # integers [n, h, w, c] of the input's type -> integers [n, classes]
design.report()                  # what the last call measured
"""

from __future__ import annotations

import ctypes
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from hls_export import toolchain
from hls_export.project import ExportError
from tailor_jax import qgraph as qg


class Design:
    """A project's shared library. Call it with images; see the module docstring."""

    def __init__(self, path: str | os.PathLike, mode: str = 'fast'):
        self.path, self.mode = Path(path), mode
        library = toolchain.build(path, mode, 'design.so')
        self._input = (qgraph := qg.load(self.path / 'qgraph.npz')).input
        self._values = int(np.prod(qgraph.output.node.shape))
        # A loader hands out the library it already has under a path, so a design that was built anew needs a path of its own.
        with tempfile.NamedTemporaryFile(suffix='.so') as copy:
            copy.write(library.read_bytes())
            copy.flush()
            self._library = ctypes.CDLL(copy.name)
        self._library.tailor_report.restype = ctypes.c_char_p

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Integers of the input's type [n, h, w, c] -> logits' integers [n, classes] (int32).

        Raises ValueError for a wrong shape or range, ExportError if the design deadlocks or writes too little.
        """
        images = np.asarray(images)
        low, high = self._input.out.lo, self._input.out.hi
        if images.ndim != 4 or images.shape[1:] != self._input.node.shape or not np.issubdtype(images.dtype, np.integer):
            raise ValueError(f'images must be integers [n, {", ".join(map(str, self._input.node.shape))}], got {images.dtype} {list(images.shape)}')
        if images.size and (images.min() < low or images.max() > high):
            raise ValueError(f'images must be integers of {low}..{high}, got {images.min()}..{images.max()}')
        images = np.ascontiguousarray(images, np.int32)
        logits = np.empty((len(images), self._values), np.int32)
        pointer = ctypes.POINTER(ctypes.c_int32)
        if self._library.tailor_simulate(images.ctypes.data_as(pointer), len(images), logits.ctypes.data_as(pointer)):
            reason = self.report().get('deadlock') or 'values are missing'
            raise ExportError(f'the {self.mode} simulation of {str(self.path)!r} did not finish: {reason}')
        return logits

    def report(self) -> dict:
        """What the last call measured (images, seconds, images_per_second; cycles and FIFOs in cycle mode) and the cost model's totals."""
        measured = json.loads(self._library.tailor_report() or b'{}')
        hardware = self.path / 'hardware.json'
        predicted = {'hardware': json.loads(hardware.read_text()).get('total')} if hardware.exists() else {}
        return {'mode': self.mode, **measured, **predicted}


def compile(path: str | os.PathLike, mode: str = 'fast') -> Design:
    """Compiles a project's simulation ('fast', 'strict' or 'cycle') as a shared library. Raises ExportError as `toolchain.build` does."""
    return Design(path, mode)
