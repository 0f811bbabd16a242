"""Data sets from strangers: a description is data, imports nothing, and every damage is named or changes nothing."""

import json
import random
import shutil
import sys

import numpy as np
import pytest

from tailor_jax import data
from tailor_jax.data.write import write_set

SHAPE = (6, 10, 3)


def pairs(count):
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 256, SHAPE, dtype=np.uint8), index % 3) for index in range(count)]


@pytest.fixture(scope='module')
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp('sets')
    splits = {'train': pairs(12), 'test': pairs(6)}
    return [
        write_set(root, f'of_{kind}', splits, shape=SHAPE, classes=['a', 'b', 'c'], encoding=kind, shards=2, ids=True)
        for kind in ('png', 'bytes')
    ]


def changed(directory, tmp_path, change):
    """A copy whose features.json went through `change`."""
    copy = shutil.copytree(directory, tmp_path / 'copy' / '1.0.0')
    features = json.loads((copy / 'features.json').read_text())
    change(features)
    (copy / 'features.json').write_text(json.dumps(features))
    return copy


HOSTILE_FEATURES = {
    'a class of today': {'pythonClassName': 'evilset.mod.X'},
    'its other spelling': {'python_class_name': 'evilset.mod.X', 'text': {}},
    'a class of old': {'type': 'evilset.mod.X', 'content': {}},
    'a module of ours': {'pythonClassName': 'tensorflow_datasets.scripts.cli.main.X'},
    'within a sequence': {
        'pythonClassName': 'tensorflow_datasets.core.features.sequence_feature.Sequence',
        'sequence': {'feature': {'pythonClassName': 'evilset.mod.X'}},
    },
    'JSON within JSON': {
        'pythonClassName': 'tensorflow_datasets.core.features.features_dict.FeaturesDict',
        'jsonFeature': {'json': json.dumps({'x': {'type': 'evilset.mod.X', 'content': {}}})},
    },
}


@pytest.mark.parametrize('feature', HOSTILE_FEATURES.values(), ids=HOSTILE_FEATURES)
def test_features_that_are_not_tfds_own_are_refused_and_never_imported(sets, tmp_path, monkeypatch, feature):
    (tmp_path / 'evilset').mkdir()
    (tmp_path / 'evilset' / '__init__.py').write_text('')
    (tmp_path / 'evilset' / 'mod.py').write_text('raise SystemExit("imported")')
    monkeypatch.syspath_prepend(tmp_path)
    copy = changed(sets[0], tmp_path, lambda features: features['featuresDict']['features'].update(more=feature))
    with pytest.raises(
        data.DataError, match=rf"{copy}/features.json: '\w+' is '[\w.]+', which is none of TFDS's own features"
    ):
        data.load('copy', tfds_dir=str(copy))
    assert not any(name.startswith('evilset') for name in sys.modules)


HOSTILE_SIZES = [
    (
        'label',
        {'classLabel': {'numClasses': '1000000000'}},
        r"'numClasses' is '1000000000'; expected an integer of 0..1000000",
    ),
    (
        'image',
        {'image': {'shape': {'dimensions': ['99999999', '9999999', '3']}}},
        r"'dimensions' is .*at most 268,435,456 values",
    ),
    ('image', {'image': {'shape': {'dimensions': ['6', None, '3']}}}, r"'dimensions' is .*expected a list of sizes"),
]


@pytest.mark.parametrize('feature, content, message', HOSTILE_SIZES)
def test_sizes_that_nobody_has_room_for_are_named(sets, tmp_path, feature, content, message):
    copy = changed(sets[0], tmp_path, lambda features: features['featuresDict']['features'][feature].update(content))
    with pytest.raises(data.DataError, match=message):
        data.load('copy', tfds_dir=str(copy))


VALUES = (None, True, -1, 0, 10**9, 10**30, 1.5, '', 'x', '../../x', 'a.b.C', [], {}, [[]], [-1], ['1e9'], {'a': 1})


def damaged(path, rng):
    """One file of a set, with a JSON value replaced or dropped, a bit flipped, cut short, or gone."""
    content = path.read_bytes()
    match rng.choice(['edit', 'edit', 'flip', 'cut', 'gone'] if path.suffix == '.json' else ['flip', 'cut', 'gone']):
        case 'edit':
            value = json.loads(content)
            inside, key = rng.choice(list(_places(value)))
            if rng.random() < 0.2:
                del inside[key]
            else:
                inside[key] = rng.choice(VALUES)
            path.write_text(json.dumps(value))
        case 'flip':
            flipped = bytearray(content)
            flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            path.write_bytes(flipped)
        case 'cut':
            path.write_bytes(content[: rng.randrange(len(content))])
        case 'gone':
            path.unlink()


def _places(value):
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


@pytest.mark.parametrize('seed', range(4))
def test_every_damage_of_a_set_is_named_or_changes_no_pixel(sets, tmp_path, seed):
    rng = random.Random(seed)
    for attempt in range(40):
        copy = shutil.copytree(rng.choice(sets), tmp_path / str(attempt) / '1.0.0')
        descriptions = [copy / 'features.json', copy / 'dataset_info.json']
        damaged(rng.choice(descriptions if rng.random() < 0.5 else sorted(copy.iterdir())), rng)
        try:
            source = data.load('copy', tfds_dir=str(copy))
            rows = [source.train[index] for index in range(source.train_size)]
        except data.DataError as error:
            assert str(copy) in str(error)
        else:
            assert all(
                np.array_equal(image, expected) and label == of
                for (image, label), (expected, of) in zip(rows, pairs(12))
            )
