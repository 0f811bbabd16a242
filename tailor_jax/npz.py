"""Arrays of numbers in one .npz file, read without trust: no pickle, no array of another shape or type than asked
for, no more memory than that.

archive = read(data, where)                        checks the directory of the zip file; decompresses nothing
archive.names; archive.shape('conv.weight')        of what is in it
archive.integers('conv.weight', (3, 3, 16, 16))    an array, which must have this shape and fill its entry exactly
archive.floats('conv.kernel', (3, 3, 16, 16))      the same, of float32
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from tailor_jax.fields import FormatError

# What numpy writes for integers, or float32, in row-major order, and nothing else.
_HEADER = re.compile(
    rb"\{'descr': '([<|][iu][1248]|<f4)', 'fortran_order': False, 'shape': \(((?:\d{1,9}, ?)*\d{0,9})\), \} *\n"
)
_MAGIC = b'\x93NUMPY\x01\x00'
_LONGEST_HEADER = 1024
_DENSEST, _SMALL = 100, 64 << 20  # what a file may hold for each of its bytes, and whatever its size


def write(arrays: Mapping[str, np.ndarray], compressed: bool = True) -> bytes:
    """The bytes of an .npz file of arrays; the same for the same arrays."""
    buffer = io.BytesIO()
    plain: dict[str, Any] = {name: np.asarray(array, order='C') for name, array in arrays.items()}
    (np.savez_compressed if compressed else np.savez)(buffer, **plain)
    return buffer.getvalue()


def read(data: bytes, where: str, error: type[Exception] = FormatError) -> Archive:
    """The directory of an .npz file; `where` names it in messages. Raises `error` for what is none."""
    return Archive(data, where, error)


class Archive:
    """See `read`."""

    def __init__(self, data: bytes, where: str, error: type[Exception]):
        self.where, self.error = where, error
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            infos = self._zip.infolist()
        except Exception as cause:  # zipfile meets damage with whatever its parts raise
            raise error(f'{where} is damaged, or no .npz file: {cause}') from None
        claimed = sum(info.file_size for info in infos)
        if claimed > _SMALL + _DENSEST * len(data):
            raise error(
                f'{where} claims {claimed:,} bytes of arrays in {len(data):,}; at most {_DENSEST} times as many, and '
                f'{_SMALL:,}, are read'
            )
        self._infos = {info.filename.removesuffix('.npy'): info for info in infos}
        if len(self._infos) < len(infos):
            raise error(f'{where} is damaged: it holds an array twice')

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._infos)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that an array claims to have."""
        return self._open(name)[1]

    def integers(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """An array of integers. Raises the archive's error unless it has this shape."""
        return self._array(name, shape, 'iu', 'integers')

    def floats(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """An array of float32, whatever their values. Raises the archive's error unless it has this shape."""
        return self._array(name, shape, 'f', 'float32')

    def _array(self, name: str, shape: tuple[int, ...], kinds: str, expected: str) -> np.ndarray:
        file, given, dtype, size = self._open(name)
        if dtype.kind not in kinds:
            raise self.error(f'{self.where}: the array {name!r} is of {dtype.name}; expected {expected}')
        if given != shape:
            raise self.error(f'{self.where}: the array {name!r} has the shape {list(given)}; expected {list(shape)}')
        try:
            # The second read finds the end, where zipfile compares checksums.
            content, rest = file.read(size), file.read(1)
        except Exception as cause:
            raise self.error(f'{self.where} is damaged at the array {name!r}: {cause}') from None
        if len(content) < size or rest:
            raise self.error(f'{self.where} is damaged: the array {name!r} is cut short, or goes on')
        return np.frombuffer(content, dtype).reshape(shape)

    def _open(self, name: str) -> tuple[IO[bytes], tuple[int, ...], np.dtype, int]:
        """(the entry, behind its header; shape, type and bytes of the array in it)."""
        if name not in self._infos:
            raise self.error(f'{self.where}: the array {name!r} is missing')
        info = self._infos[name]
        try:
            file = self._zip.open(info)
            start = file.read(len(_MAGIC) + 2)
            length = int.from_bytes(start[len(_MAGIC) :], 'little')
            match = (
                _HEADER.fullmatch(file.read(length)) if start.startswith(_MAGIC) and length <= _LONGEST_HEADER else None
            )
        except Exception as cause:
            raise self.error(f'{self.where} is damaged at the array {name!r}: {cause}') from None
        if match is None:
            raise self.error(
                f'{self.where}: the array {name!r} is no array of integers or float32 in row-major order that numpy '
                'wrote'
            )
        shape = tuple(int(size) for size in match[2].decode().split(',') if size.strip())
        dtype = np.dtype(match[1].decode())
        size = math.prod(shape) * dtype.itemsize
        if info.file_size != len(_MAGIC) + 2 + length + size:
            raise self.error(
                f'{self.where} is damaged: the array {name!r} of shape {list(shape)} does not fill its '
                f'{info.file_size} bytes'
            )
        return file, shape, dtype, size
