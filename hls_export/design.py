"""A compiled design in Python: numpy in, numpy out.

design = hls_export.compile(path)
logits = design(images)          # integers [n, h, w, c] of the input's type -> integers [n, classes]
design.report()                  # what the last call measured
"""

from __future__ import annotations

import ctypes
import json
import math
import os
from pathlib import Path

import numpy as np

from hls_export import hardware, toolchain
from hls_export.index import ExportError
from tailor_jax.integers import qgraph as qg


class Design:
    """A project's shared library. Call it with images; see the module docstring."""

    def __init__(self, path: str | os.PathLike, mode: str = 'fast'):
        self.path, self.mode = Path(path), mode
        if mode == 'verilog':
            raise ExportError('Verilog is simulated by hls_export.csim, not in Python')
        # A loader hands out the library it already has under a path, so a design that was built anew needs a path of
        # its own.
        with toolchain.taken(path, mode, 'design.so') as library:
            try:
                self._library = ctypes.CDLL(str(library.resolve()))
            except OSError as error:
                raise ExportError(f'{str(path)!r}: its {mode} simulation cannot be loaded: {error}') from None
        qgraph = qg.load(self.path / 'qgraph.npz')
        self._input, self._values = qgraph.input, math.prod(qgraph.output.node.shape)
        sizes = math.prod(qgraph.input.node.shape), self._values
        if (compiled := (self._library.tailor_inputs(), self._library.tailor_values())) != sizes:
            raise ExportError(
                f'{str(path)!r}: an image has {sizes[0]} values and {sizes[1]} results in qgraph.npz, {compiled[0]} '
                f'and {compiled[1]} in the sources'
            )
        self._library.tailor_report.restype = ctypes.c_char_p

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Integers of the input's type [n, h, w, c] -> logits' integers [n, classes] (int32).

        Raises ValueError for a wrong shape or range, ExportError if the design deadlocks or writes too little.
        """
        images = np.asarray(images)
        low, high = self._input.out.lo, self._input.out.hi
        if (
            images.ndim != 4
            or images.shape[1:] != self._input.node.shape
            or not np.issubdtype(images.dtype, np.integer)
        ):
            raise ValueError(
                f'images must be integers [n, {", ".join(map(str, self._input.node.shape))}], got {images.dtype} '
                f'{list(images.shape)}'
            )
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
        """The last call's images, seconds, images_per_second (cycle mode: cycles, FIFOs) and the model's totals."""
        measured = json.loads(self._library.tailor_report() or b'{}')
        predicted = {'hardware': hardware.total(self.path)} if (self.path / hardware.FILE).exists() else {}
        return {'mode': self.mode, **measured, **predicted}


def compile(path: str | os.PathLike, mode: str = 'fast') -> Design:
    """Compiles a simulation ('fast', 'strict', 'cycle') as a shared library. Raises as `toolchain.build` does."""
    return Design(path, mode)
