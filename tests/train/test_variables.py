"""variables.npz: what is read is what was written, whatever was done to the file; and anybody can read it."""

import os

import jax
import mutations
import numpy as np
import pytest

from tailor_jax import build, model
from tailor_jax.train import variables
from tailor_jax.train.checkpoint import CheckpointError

NET = build.resnet(8, (8, 8, 1), width=4)


@pytest.fixture
def values():
    """Variables of which no array is like another; one is a scalar, as a learned scale is."""
    rng = np.random.default_rng(0)
    made = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), model.init(NET, 0))
    made['params']['stem_conv']['frac'] = np.float32(2.5)
    return made


def bits(tree) -> list[tuple]:
    return [(leaf.dtype, np.shape(leaf), np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(tree)]


def test_what_is_read_is_what_was_written_and_numpy_shows_it_too(values, tmp_path):
    variables.write(tmp_path, values, 66)
    step, found = variables.read(tmp_path, jax.tree.map(np.zeros_like, values))
    assert step == 66 and jax.tree.structure(found) == jax.tree.structure(values) and bits(found) == bits(values)
    with np.load(tmp_path / variables.NAME) as arrays:
        names = set(arrays.files)
        assert len(names) == 1 + len(jax.tree.leaves(values)) and 'batch_stats/stem_bn/mean' in names
        np.testing.assert_array_equal(arrays['params/stem_conv/kernel'], values['params']['stem_conv']['kernel'])
    content = (tmp_path / variables.NAME).read_bytes()
    variables.write(tmp_path, values, 66)
    assert (tmp_path / variables.NAME).read_bytes() == content


def test_a_damaged_file_is_refused_by_name_or_is_the_one_that_was_written(values, tmp_path):
    variables.write(tmp_path, values, 66)
    path = tmp_path / variables.NAME
    good, refused, total = path.read_bytes(), 0, 0
    for damaged in (
        *mutations.flips(good, 60, seed=1),
        *mutations.truncations(good, 20, seed=1),
        *mutations.npz_edits(good, 60, seed=1),
    ):
        path.write_bytes(damaged)
        total += 1
        try:
            assert (66, bits(values)) == (lambda step, found: (step, bits(found)))(*variables.read(tmp_path, values))
        except CheckpointError as error:
            assert str(error).startswith(str(path)) and '\n' not in str(error)
            refused += 1
    assert refused > total * 2 / 3


def test_what_is_no_file_of_this_network_is_refused(values, tmp_path):
    with pytest.raises(FileNotFoundError):
        variables.read(tmp_path, values)
    path = tmp_path / variables.NAME
    path.mkdir()
    with pytest.raises(CheckpointError, match=r'variables.npz cannot be read: .* is no file'):
        variables.read(tmp_path, values)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match=r'variables.npz cannot be read: .* is no file'):
        variables.read(tmp_path, values)
    path.unlink()
    path.write_bytes(bytes(64 << 20))  # more than this network can have
    with pytest.raises(CheckpointError, match=r'has 67,108,864 bytes; at most 16,'):
        variables.read(tmp_path, values)
    variables.write(tmp_path, values, 66)
    wide = model.init(build.resnet(8, (8, 8, 1), width=8), 0)
    wide['params']['stem_conv']['frac'] = np.float32(0)
    with pytest.raises(CheckpointError, match=r"the array '.*' has the shape \[.*\]; expected \[.*\]"):
        variables.read(tmp_path, wide)
    with pytest.raises(CheckpointError, match=r"is of another network: the array 'batch_stats/.*' is missing"):
        variables.read(tmp_path, model.init(build.resnet(14, (8, 8, 1), width=4), 0))
    with pytest.raises(CheckpointError, match=r"is of another network: .* 'params/stem_conv/frac' is not of this one"):
        variables.read(tmp_path, model.init(NET, 0))


def test_values_that_are_no_numbers_are_refused(values, tmp_path):
    values['params']['stem_conv']['kernel'][0, 0, 0, 0] = np.nan
    variables.write(tmp_path, values, 66)
    with pytest.raises(
        CheckpointError, match=r"the array 'params/stem_conv/kernel' has values that are NaN or infinite"
    ):
        variables.read(tmp_path, values)
