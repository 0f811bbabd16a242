"""Finding, opening and checking data sets: embedded, by name, by directory, and broken in every way that is named."""

import json
import multiprocessing
import shutil

import numpy as np
import pytest

from tailor_jax import data
from tailor_jax.data import digits, embedded, locate, prepare
from tailor_jax.data.write import write_set


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """An empty TFDS data directory of the test's own."""
    monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'tfds'))
    return tmp_path / 'tfds'


def pairs(count, shape=(32, 32, 3), classes=10, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.integers(0, 256, shape, dtype=np.uint8), i % classes) for i in range(count)]


def cifar10(root, **changes):
    """A set in the exact feature layout of TFDS's cifar10: id, PNG image, label; two files a split."""
    splits = changes.pop('splits', {'train': pairs(50), 'test': pairs(20, seed=1)})
    return write_set(
        root,
        'cifar10',
        splits,
        **{'shape': (32, 32, 3), 'classes': 10, 'version': '3.0.2', 'ids': True, 'shards': 2, **changes},
    )


# ---------------------------------------------------------------- embedded


def test_digits_are_scikit_learns_and_lossless():
    source = data.load('digits')
    assert (source.image_shape, source.classes, source.train_size, source.test_size) == ((8, 8, 1), 10, 1437, 360)
    assert (source.name, source.version) == ('digits', '1.0.0')
    images, labels = digits.raw_digits()
    rows = digits.split_indices(labels)
    assert not set(rows['train']) & set(rows['test']) and len(rows['train']) + len(rows['test']) == len(labels)
    for split in ('train', 'test'):
        assert np.array_equal(source.split(split).images[..., 0] // 15, images[rows[split]])
        assert np.array_equal(source.split(split).labels, labels[rows[split]])
    assert np.ptp(np.bincount(source.test.labels)) <= 2  # stratified
    image, label = source.split('train')[3]
    assert image.dtype == np.uint8 and image.shape == (8, 8, 1) and isinstance(label, int)


def test_statistics_are_those_of_the_training_pixels():
    source = data.load('digits')
    pixels = source.train.images / 255
    np.testing.assert_allclose(source.mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(source.std, pixels.std((0, 1, 2)), rtol=1e-9)


def test_two_processes_preparing_at_once(root):
    context = multiprocessing.get_context('spawn')
    workers = [context.Process(target=embedded.prepare_embedded, args=('digits', root)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert data.load('digits').train_size == 1437
    assert not list(root.glob('digits/incomplete*'))


def test_what_a_killed_build_left_is_removed(root):
    left = root / 'digits' / 'incomplete.ABCDEF_1.0.0'
    left.mkdir(parents=True)
    assert data.load('digits').train_size == 1437
    assert not left.exists()


def test_a_data_directory_that_cannot_be_written_is_named(root, monkeypatch):
    root.write_text('a file')
    with pytest.raises(
        data.DataError, match=rf"{root}/digits/1.0.0: cannot build data set 'digits' there.*TFDS_DATA_DIR"
    ):
        data.load('digits')


# ---------------------------------------------------------------- by name and by directory


def test_cifar10_layout_is_read_exactly_without_tensorflow(root):
    cifar10(root)
    source = data.load('cifar10')
    assert (source.name, source.version, source.image_shape, source.classes) == ('cifar10', '3.0.2', (32, 32, 3), 10)
    assert (source.train_size, source.test_size) == (50, 20)
    assert source.mean == (0.4914, 0.4822, 0.4465)
    for split, written in (('train', pairs(50)), ('test', pairs(20, seed=1))):
        for i, (image, label) in enumerate(written):
            got, got_label = source.split(split)[i]
            assert np.array_equal(got, image) and got_label == label


@pytest.mark.parametrize('where', ['version', 'set', 'root'])
def test_tfds_dir_may_be_a_version_a_set_or_a_root(root, where):
    version = write_set(
        root / 'x',
        'leaves',
        {'train': pairs(12, (6, 10, 1), 3), 'test': pairs(4, (6, 10, 1), 3)},
        shape=(6, 10, 1),
        classes=['a', 'b', 'c'],
    )
    directory = {'version': version, 'set': version.parent, 'root': root / 'x'}[where]
    source = data.load('leaves' if where == 'root' else 'photo_digits', tfds_dir=str(directory))
    assert (source.name, source.image_shape) == ('leaves', (6, 10, 1))
    assert (source.classes, source.class_names) == (3, ('a', 'b', 'c'))
    assert not (root / 'photo_digits').exists()


def test_the_highest_version_is_taken(root):
    for version in ('1.9.0', '1.10.0'):
        write_set(root, 'leaves', {'train': pairs(4), 'test': pairs(4)}, shape=(32, 32, 3), classes=10, version=version)
    assert data.load('leaves').version == '1.10.0'


def test_grey_png_rgba_and_raw_bytes(root):
    for name, shape, encoding in (('grey', (5, 7, 1), 'png'), ('rgba', (5, 7, 4), 'png'), ('raw', (5, 7, 3), 'bytes')):
        write_set(
            root, name, {'train': pairs(6, shape), 'test': pairs(3, shape)}, shape=shape, classes=10, encoding=encoding
        )
        source = data.load(name)
        assert source.image_shape == shape and len(source.mean) == shape[2]
        assert all(np.array_equal(source.train[i][0], image) for i, (image, _) in enumerate(pairs(6, shape)))


def test_slices_make_a_test_split_where_there_is_none(root):
    write_set(root, 'leaves', {'train': pairs(20)}, shape=(32, 32, 3), classes=10)
    source = data.load('leaves', train_split='train[:80%]', test_split='train[80%:]')
    assert (source.train_size, source.test_size) == (16, 4)
    assert np.array_equal(source.test[0][0], pairs(20)[16][0])


def test_validation_stands_in_for_test(root):
    write_set(root, 'leaves', {'train': pairs(4), 'validation': pairs(3)}, shape=(32, 32, 3), classes=10)
    assert data.load('leaves').test.name == 'validation'


# ---------------------------------------------------------------- bad input


def test_unknown_name_suggests_the_nearest(root):
    with pytest.raises(
        data.DataError, match=r"unknown data set 'cifar01'; known are .*; did you mean 'cifar10'\? .*tfds_dir"
    ):
        data.load('cifar01')
    with pytest.raises(data.DataError, match="did you mean 'photo_digits/small'"):
        data.load('photo_digits/smal')


@pytest.mark.parametrize('name', locate.PUBLIC)
def test_unprepared_set_says_which_command_prepares_it(name):
    with pytest.raises(data.DataError, match=rf'not prepared.*python -m tailor_jax.data.prepare {name}'):
        data.load(name)


def test_prepare_command(root, capsys):
    assert prepare.main(['digits', f'--tfds_dir={root}/other']) == 0
    assert capsys.readouterr().out.strip() == str(root / 'other/digits/1.0.0')
    assert data.load('digits', tfds_dir=root / 'other').train_size == 1437
    for arguments, message in (([], 'are required: NAME'), (['digits', '--bogus'], 'unrecognized arguments: --bogus')):
        assert prepare.main(arguments) == 1
        told = capsys.readouterr().err
        assert told.startswith('error: ') and message in told and told.count('\n') == 1


def test_directories_that_hold_no_set(root):
    with pytest.raises(data.DataError, match=r'nowhere: tfds_dir is not a directory'):
        data.load('digits', tfds_dir=root / 'nowhere')
    (root / 'empty').mkdir(parents=True)
    with pytest.raises(data.DataError, match=r'empty: tfds_dir is empty'):
        data.load('digits', tfds_dir=root / 'empty')
    (root / 'empty' / 'notes.txt').write_text('x')
    with pytest.raises(data.DataError, match=r'empty: holds no dataset_info.json'):
        data.load('digits', tfds_dir=root / 'empty')
    write_set(root / 'many', 'leaves', {'train': pairs(4), 'test': pairs(3)}, shape=(32, 32, 3), classes=10)
    with pytest.raises(data.DataError, match=r"many: holds leaves but not 'digits'"):
        data.load('digits', tfds_dir=root / 'many')


def test_missing_and_empty_splits(root):
    directory = write_set(root, 'leaves', {'train': pairs(4)}, shape=(32, 32, 3), classes=10)
    with pytest.raises(data.DataError, match=rf"{directory}: there is no split 'test'; the set has \['train'\]"):
        data.load('leaves')
    with pytest.raises(data.DataError, match=r"split 'train\[:0\]' is empty|no split 'train\[:0\]'"):
        data.load('leaves', train_split='train[:0]', test_split='train')


def test_missing_and_truncated_files_are_named(root):
    directory = cifar10(root)
    file = sorted(directory.glob('*train*'))[1]
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(data.DataError, match=rf'{file}: truncated or damaged'):
        data.load('cifar10')
    file.unlink()
    with pytest.raises(data.DataError, match=rf'{file}: missing'):
        data.load('cifar10')


def test_a_damaged_record_is_named_by_file_and_index(root):
    directory = cifar10(root)
    file = sorted(directory.glob('*train*'))[1]
    content = bytearray(file.read_bytes())
    content[100:110] = bytes(10)  # within the first record's payload
    file.write_bytes(content)
    with pytest.raises(data.DataError, match=rf'{file}, record 0: unreadable'):
        data.load('cifar10')


def test_a_truncated_picture_is_named_by_file_and_index(root):
    good = pairs(6)
    from tailor_jax.data.write import _encode

    bad = [*good[:4], (_encode(good[4][0], 'png')[:-900], 4), good[5]]
    directory = cifar10(root, splits={'train': bad, 'test': good}, shards=1)
    with pytest.raises(
        data.DataError,
        match=rf'{directory}/cifar10-train.array_record-00000-of-00001, record 4: cannot decode the image',
    ):
        data.load('cifar10')


def test_a_label_out_of_range_is_named_by_file_and_index(root):
    directory = cifar10(root, splits={'train': pairs(12, classes=12), 'test': pairs(4)}, classes=12, shards=1)
    features = directory / 'features.json'
    features.write_text(features.read_text().replace('"12"', '"10"'))
    with pytest.raises(
        data.DataError, match=r'train.array_record-00000-of-00001, record 10: label 10 is out of range, expected 0..9'
    ):
        data.load('cifar10')


def test_a_wrong_image_shape_is_named_by_file_and_index(root):
    from tailor_jax.data.write import _encode

    odd = [*pairs(3), (_encode(pairs(1, (16, 32, 3))[0][0], 'png'), 0)]
    cifar10(root, splits={'train': odd, 'test': pairs(4)}, shards=1)
    with pytest.raises(data.DataError, match=r'record 3: image of shape \(16, 32, 3\), expected \(32, 32, 3\)'):
        data.load('cifar10')
    directory = write_set(
        root,
        'raw',
        {'train': pairs(4, (4, 4, 1)), 'test': pairs(4, (4, 4, 1))},
        shape=(4, 4, 1),
        classes=10,
        encoding='bytes',
    )
    features = json.loads((directory / 'features.json').read_text())
    features['featuresDict']['features']['image']['tensor']['shape']['dimensions'] = ['5', '4', '1']
    (directory / 'features.json').write_text(json.dumps(features))
    with pytest.raises(data.DataError, match=r'record 0: cannot decode the image \(16 values, expected 20'):
        data.load('raw')


def test_sets_of_another_kind_say_what_is_missing(root):
    directory = write_set(root, 'leaves', {'train': pairs(4), 'test': pairs(4)}, shape=(32, 32, 3), classes=10)
    features = json.loads((directory / 'features.json').read_text())
    label = features['featuresDict']['features'].pop('label')
    (directory / 'features.json').write_text(json.dumps(features))
    with pytest.raises(data.DataError, match='needs a ClassLabel feature, found none'):
        data.load('leaves')
    features['featuresDict']['features'] = {'label': label}
    (directory / 'features.json').write_text(json.dumps(features))
    with pytest.raises(data.DataError, match='needs an image feature, found none'):
        data.load('leaves')


def test_records_of_another_format_say_what_to_do(root):
    directory = cifar10(root)
    info = directory / 'dataset_info.json'
    info.write_text(info.read_text().replace('array_record', 'tfrecord').replace('{FILEFORMAT}', 'tfrecord'))
    with pytest.raises(data.DataError, match=r'tfrecord, which needs TensorFlow.*tailor_jax.data.prepare cifar10'):
        data.load('cifar10')
    shutil.rmtree(directory)
    directory.mkdir()
    (directory / 'dataset_info.json').write_text('{')
    with pytest.raises(data.DataError, match=r'dataset_info.json is damaged, or no JSON'):
        data.load('cifar10')


def test_writing_never_overwrites(root):
    cifar10(root)
    with pytest.raises(FileExistsError, match='exists already'):
        cifar10(root)
