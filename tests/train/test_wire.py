"""What processes tell each other: any plain data comes back bit for bit, and no other message is believed."""

import json
import pickle

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailor_jax.fields import FormatError
from tailor_jax.train import cluster, wire

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
)


@given(PLAIN)
def test_plain_data_come_back_as_they_were(value):
    again = wire.decode(wire.encode(value))
    assert repr(again) == repr(value)  # repr tells -0.0, nan, True and 1, lists and tuples apart


@pytest.mark.parametrize('dtype', wire.DTYPES.values(), ids=str)
def test_arrays_come_back_bit_for_bit(dtype):
    rng = np.random.default_rng(0)
    values = [np.frombuffer(rng.bytes(dtype.itemsize * 24), dtype) if dtype != np.bool_ else rng.random(24) < 0.5]
    values += [values[0].reshape(2, 3, 4).transpose(2, 0, 1), values[0][:0].reshape(0, 5), values[0][3:4].reshape(())]
    again = wire.decode(wire.encode({'all': (values, 7)}))
    assert again['all'][1] == 7
    for ours, theirs in zip(again['all'][0], values, strict=True):
        assert (ours.dtype, ours.shape, ours.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())


@pytest.mark.parametrize(
    'value', [object(), {1: 'a'}, {'a': {2}}, [jnp.zeros(2)], np.array([None]), np.array(['a']), b'bytes', 1j]
)
def test_nothing_else_is_told(value):
    with pytest.raises(TypeError, match='plain data, not'):
        wire.encode(value)


def message(value, more=b'', **header) -> bytes:
    text = json.dumps({'format': 'tailor_jax.message', 'version': 1, 'value': value} | header).encode()
    return len(text).to_bytes(8, 'little') + text + more


@pytest.mark.parametrize(
    'bad, reason',
    [
        (pickle.dumps('a program'), 'expected .* bytes or more'),
        (b'', 'expected 8 bytes or more, got 0'),
        (bytes(8), 'message is damaged, or no JSON'),
        (message(1)[:-1], 'expected 66 bytes or more, got 65'),
        (message(1, b'x'), '1 bytes are left over'),
        (message(1, version=2), 'its version is 2'),
        (message(1, more_fields=0), "unknown field 'more_fields'"),
        (message({'array': 'object', 'shape': [1]}, bytes(8)), "'array' is 'object'"),
        (message({'array': 'int8', 'shape': [-1]}), "'shape' is"),
        (message({'array': 'int8', 'shape': [5]}, bytes(4)), r'an array int8 \[5\] is cut off'),
        (message({'array': 'float64', 'shape': [1 << 40, 1 << 40]}), 'is cut off'),
        (message({'array': 'int8', 'shape': [1], 'dict': {}}, b'1'), "unknown field 'dict'"),
        (message({'float': '1e999'}), "'float' is '1e999'"),
        (message({'tuple': 'ab'}), 'a tuple is given as str'),
        (message({'dict': [1]}), 'expected an object'),
        (message({'pickle': 'x'}), "'pickle' is no type"),
        (message({}), 'None is no type'),
    ],
)
def test_a_message_of_another_kind_is_refused(bad, reason):
    with pytest.raises(FormatError, match=reason):
        wire.decode(bad)


def test_what_process_0_says_is_its_value_its_failure_or_not_believed():
    assert cluster._heard(wire.encode({'value': (1, None)})) == (1, None)
    for bad, reason in (
        (wire.encode({'failure': 'DataError: no such set'}), 'process 0 failed: DataError: no such set'),
        (wire.encode({'values': 1}), "unknown field 'values'"),
        (wire.encode([1]), 'expected an object'),
        (pickle.dumps({'value': 1}), 'of another version of this program, or no process of it'),
    ):
        with pytest.raises(cluster.ClusterError, match=reason):
            cluster._heard(bad)
