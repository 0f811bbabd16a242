"""What process 0 tells the others, as bytes: plain data only, so that nothing which comes over the network is ever run.

    message = length of the header (8 bytes, little endian), the header in JSON, the bytes of the arrays in their order

Plain data are None, booleans, integers, floats, texts, arrays of numbers, and lists, tuples and dictionaries (with
texts as keys) of plain data. Whoever wants to pass another type passes what it is made of. `decode(encode(value))`
equals `value`, bit for bit.
"""

from __future__ import annotations

import json
import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from tailor_jax.fields import Fields, FormatError, header, parse_fields

FORMAT = ('message', 1)
LENGTH_BYTES = 8
NUMBERS = ('?', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8', jnp.bfloat16)
DTYPES = {dtype.name: dtype for dtype in map(np.dtype, NUMBERS)}
NOT_FINITE = ('nan', 'inf', '-inf')  # floats that JSON has no numbers for
LONGEST_AXIS = 1 << 40


def encode(value: Any) -> bytes:
    """The message of a value. Raises TypeError for what is no plain data."""
    arrays: list[bytes] = []
    text = json.dumps({**header(*FORMAT), 'value': _packed(value, arrays)}, allow_nan=False).encode()
    return b''.join([len(text).to_bytes(LENGTH_BYTES, 'little'), text, *arrays])


def decode(message: bytes) -> Any:
    """The value of a message. Raises FormatError for what `encode` cannot have written."""
    end = LENGTH_BYTES + int.from_bytes(message[:LENGTH_BYTES], 'little')
    if len(message) < end:
        raise FormatError(f'message: expected {end} bytes or more, got {len(message)}')
    fields = parse_fields(message[LENGTH_BYTES:end], 'message', *FORMAT)
    packed = fields.take('value')
    fields.end()
    arrays = _Arrays(message, end)
    value = _unpacked(packed, arrays)
    if arrays.at != len(message):
        raise FormatError(f'message: {len(message) - arrays.at} bytes are left over')
    return value


class _Arrays:
    """The bytes of a message's arrays, taken one after the other."""

    def __init__(self, message: bytes, at: int):
        self.message, self.at = message, at

    def take(self, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        start, count = self.at, math.prod(shape)
        self.at += count * dtype.itemsize
        if self.at > len(self.message):
            raise FormatError(f'message: an array {dtype.name} {list(shape)} is cut off')
        return np.frombuffer(self.message, dtype, count, start).reshape(shape)


def _packed(value: Any, arrays: list[bytes]) -> Any:
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {'float': repr(value)}
    if isinstance(value, np.ndarray) and value.dtype.name in DTYPES:
        arrays.append(value.tobytes())
        return {'array': value.dtype.name, 'shape': list(value.shape)}
    if type(value) is list:
        return [_packed(each, arrays) for each in value]
    if type(value) is tuple:
        return {'tuple': [_packed(each, arrays) for each in value]}
    if type(value) is dict and all(type(key) is str for key in value):
        return {'dict': {key: _packed(each, arrays) for key, each in value.items()}}
    raise TypeError(f'processes can tell each other plain data, not {type(value).__name__}')


def _unpacked(packed: Any, arrays: _Arrays) -> Any:
    if isinstance(packed, list):
        return [_unpacked(each, arrays) for each in packed]
    if not isinstance(packed, dict):
        return packed
    fields = Fields(packed, 'message')
    match next(iter(packed), None):
        case 'float':
            value: Any = float(fields.text('float', choices=NOT_FINITE))
        case 'array':
            dtype = DTYPES[fields.text('array', choices=tuple(DTYPES))]
            value = arrays.take(dtype, fields.integers('shape', 0, LONGEST_AXIS))
        case 'tuple':
            items = fields.take('tuple')
            if not isinstance(items, list):
                raise FormatError(f'message: a tuple is given as {type(items).__name__}')
            value = tuple(_unpacked(each, arrays) for each in items)
        case 'dict':
            items = fields.object('dict')
            value = {key: _unpacked(items.take(key), arrays) for key in items.names()}
        case tag:
            raise FormatError(f"message: {tag!r} is no type; expected 'float', 'array', 'tuple' or 'dict'")
    fields.end()
    return value
