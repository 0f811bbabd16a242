"""Damage for loaders: plain functions, data in, damaged data out, repeatable by a seed. Whatever they make of a file,
its loader must accept it as the same, or refuse it by an error of ours that names the file.

    for damaged in flips(data, 300): ...            one bit is another
    for damaged in truncations(data, 50): ...       the end is missing, or something follows
    for damaged in json_edits(text, 300): ...       one value of a JSON document is of another type or size,
                                                    twice there, renamed or gone
    npz_edits(data, 200)                            the same in the description of an .npz file; and its arrays changed,
                                                    renamed, reshaped
"""

from __future__ import annotations

import copy
import io
import json
import random
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

# What a careless or hostile hand puts into a field. `"); system("` is what a value that is pasted into a source file,
# script or command would do.
HOSTILE: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        63,
        64,
        65,
        1000,
        2**31,
        2**63,
        2**64,
        10**40,
        -(2**63),
        0.5,
        -1.5,
        1e300,
        float('nan'),
        float('inf'),
    ),
    *(
        '',
        'x',
        '8',
        'int8',
        'conv',
        'relu',
        '1; system("touch owned"); //',
        '8>; }; int owned = system("touch owned"); //',
        '../../etc/passwd',
        'é\x00\n',
    ),
    *(
        [],
        [1],
        [1, 2],
        [0, 0, 0],
        [-1, -1, -1, -1],
        ['a', 'b'],
        [[1]],
        {},
        {'bits': 8},
        [None] * 3,
        [10**9] * 3,
        'a' * 5000,
    ),
)


def flips(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies with one bit flipped."""
    rng = random.Random(seed)
    for _ in range(count):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield bytes(damaged)


def truncations(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies that end early; then an empty one, and ones with something behind, in front or in the place of the
    data.
    """
    rng = random.Random(seed)
    for _ in range(count):
        yield data[: rng.randrange(len(data))]
    yield from (b'', data + b'\x00', data + data, b'\xff' + data, bytes(len(data)), b'\x80' * 100, b'[' * 100_000)


def json_edits(text: str | bytes, count: int, seed: int = 0) -> Iterator[str]:
    """Copies of a JSON document, each with one value replaced by a hostile one, removed, renamed, doubled, or a field
    added.
    """
    rng = random.Random(seed)
    document = json.loads(text)
    for _ in range(count):
        yield json.dumps(edited(document, rng))
    if isinstance(document, dict):
        for key in document:
            body = json.dumps(document)
            yield f'{{{json.dumps(key)}: {json.dumps(document[key])}, {body[1:]}'  # a key twice


def edited(document: Any, rng: random.Random) -> Any:
    """A copy of a JSON document with one edit."""
    made = copy.deepcopy(document)
    containers = [made, *_containers(made)]
    place = rng.choice([each for each in containers if each] or containers)
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    key, kind = rng.choice(keys), rng.random()
    if kind < 0.75:
        place[key] = copy.deepcopy(rng.choice(HOSTILE))
    elif kind < 0.85:
        del place[key]
    elif isinstance(place, dict):
        place[rng.choice(['bitz', 'extra', str(key).upper()])] = (
            place.pop(key) if rng.random() < 0.5 else rng.choice(HOSTILE)
        )
    else:
        place.insert(key, copy.deepcopy(place[key]))
    return made


def _containers(document: Any) -> Iterator[Any]:
    for value in document.values() if isinstance(document, dict) else document:
        if isinstance(value, (dict, list)):
            yield value
            yield from _containers(value)


def npz_edits(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies of an .npz file whose `description` holds JSON as bytes, edited in it (`json_edits`) or in one of its
    arrays.
    """
    rng = random.Random(seed)
    with np.load(io.BytesIO(data)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    document = json.loads(arrays['description'].tobytes())
    names = [name for name in arrays if name != 'description']
    for _ in range(count):
        made = dict(arrays)
        if rng.random() < 0.6 or not names:
            made['description'] = np.frombuffer(json.dumps(edited(document, rng)).encode(), np.uint8)
        else:
            _edit_array(made, rng.choice([*names, 'description']), rng)
        yield pack(made)


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _edit_array(arrays: dict[str, np.ndarray], name: str, rng: random.Random) -> None:
    array = arrays.pop(name)
    match rng.randrange(7):
        case 0:
            pass  # gone
        case 1:
            arrays[f'{name}x'] = array
        case 2:
            arrays[name] = array.reshape(-1)[:-1]
        case 3:
            arrays[name] = array.astype(rng.choice([np.float32, np.complex64, 'S8', bool, np.uint8, '>i4']))
        case 4:
            arrays[name] = array.T.copy() if array.ndim > 1 else array[:, None]
        case 5:
            changed = array.copy().reshape(-1)
            changed[rng.randrange(changed.size)] = (
                rng.choice([127, -128]) if changed.dtype.itemsize == 1 and changed.dtype.kind == 'i' else 100
            )
            arrays[name] = changed.reshape(array.shape)
        case 6:
            arrays[name] = np.full(array.shape, np.iinfo(np.int32).max, np.int64)


def damaged(content: bytes, rng: random.Random) -> bytes:
    """One edit: a bit flipped, an end cut off, a piece lost, doubled or exchanged, or a number or word replaced."""
    at, to = sorted(rng.randrange(len(content)) for _ in range(2))
    match rng.randrange(7):
        case 0:
            return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
        case 1:
            return content[:at]
        case 2:
            return content[:at] + content[min(to, at + 40) :]
        case 3:
            return content[:to] + content[at : at + 60] + content[to:]
        case 4:
            lines = content.splitlines(keepends=True)
            first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[first], lines[second] = lines[second], lines[first]
            return b''.join(lines)
        case kind:
            found = list(re.finditer(rb'\d+|true' if kind == 5 else rb'"\w+"', content))
            hit = rng.choice(found)
            value = rng.choice(
                [
                    b'-1',
                    b'0',
                    b'true',
                    b'1e3',
                    b'99999999999999999999',
                    b'null',
                    b'[]',
                    b'"4"',
                    b'2',
                    b'"input"',
                    b'1.0',
                    b'{}',
                    b'"relu"',
                ]
            )
            return content[: hit.start()] + value + content[hit.end() :]
