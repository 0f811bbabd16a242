"""Batches: deterministic, resumable, sharded; augmentation against a plain reference; evaluation weights; prefetch."""

import dataclasses
import itertools
import threading

import jax
import numpy as np
import pytest

from tailor_jax import data
from tailor_jax.data import augment as aug
from tailor_jax.data.source import MemorySplit, Source
from tailor_jax.data.write import write_set

FULL = data.Augment(pad=2, flip=True, cutout=3, mixup=0.4)


def make_source(train=50, test=13, shape=(8, 6, 3), classes=5):
    rng = np.random.default_rng(0)
    splits = {
        name: MemorySplit(
            name, rng.integers(0, 256, (n, *shape), dtype=np.uint8), rng.integers(0, classes, n).astype(np.int32)
        )
        for name, n in (('train', train), ('test', test))
    }
    names = tuple(map(str, range(classes)))
    return Source(
        'made',
        '1.0.0',
        '',
        shape,
        classes,
        names,
        (0.4, 0.5, 0.6)[: shape[2]],
        (0.2, 0.25, 0.3)[: shape[2]],
        **splits,
        varying=False,
    )


@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
    """An ImageNet-like set: JPEG of varying sizes (and one grey one), read from disk."""
    rng = np.random.default_rng(0)

    def picture(i):
        smooth = rng.integers(0, 256, (4, 5, 1 if i == 3 else 3), dtype=np.uint8)
        return np.kron(smooth, np.ones((10 + i % 7, 9 + i % 5, 1), np.uint8))

    root = tmp_path_factory.mktemp('photographs')
    splits = {'train': [(picture(i), i % 7) for i in range(40)], 'validation': [(picture(i), i % 7) for i in range(9)]}
    directory = write_set(
        root, 'imagenet2012', splits, shape=(None, None, 3), classes=7, encoding='jpeg', version='5.1.0', shards=2
    )
    return data.load('', tfds_dir=directory, image_size=24)


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def take(count, **options):
    return list(itertools.islice(data.train_batches(**options), count))


# ---------------------------------------------------------------- training batches


def test_batches_have_the_promised_types():
    source = make_source()
    (batch,) = take(1, source=source, batch_size=10, seed=0, augment=FULL)
    assert {key: (value.shape, value.dtype.name) for key, value in batch.items()} == {
        'image': ((10, 8, 6, 3), 'float32'),
        'label': ((10,), 'int32'),
        'soft_label': ((10, 5), 'float32'),
    }
    np.testing.assert_allclose(batch['soft_label'].sum(1), 1, rtol=1e-6)


def test_an_epoch_sees_each_image_once_and_drops_the_rest():
    source = make_source(train=50)
    pixels = (source.train.images / 255 - source.mean) / source.std
    batches = take(2 * data.steps_per_epoch(source, 16), source=source, batch_size=16, seed=3)
    assert len(batches) == 6
    for epoch in (batches[:3], batches[3:]):
        images = np.concatenate([batch['image'] for batch in epoch])
        rows = [int(np.abs(pixels - image).sum((1, 2, 3)).argmin()) for image in images]
        assert len(set(rows)) == 48
        np.testing.assert_array_equal(np.concatenate([batch['label'] for batch in epoch]), source.train.labels[rows])
        np.testing.assert_allclose(images, pixels[rows], atol=1e-5)


@pytest.mark.parametrize('augment', [data.Augment(), FULL])
def test_resumed_equals_uninterrupted(augment):
    options = {'source': make_source(), 'batch_size': 16, 'seed': 1, 'augment': augment}
    whole = take(8, **options)
    for start in (1, 3, 7):  # inside an epoch, at its border, in the third
        for a, b in zip(whole[start:], take(8 - start, **options, start_step=start)):
            assert_same(a, b)
    assert len(take(99, **options, steps=5)) == 5


@pytest.mark.parametrize('processes', [2, 4])
def test_shards_make_up_the_batch_of_one_process(processes):
    options = {'source': make_source(), 'batch_size': 16, 'seed': 1, 'augment': FULL}
    whole = take(5, **options)
    shards = [take(5, **options, process_index=p, process_count=processes) for p in range(processes)]
    for step, batch in enumerate(whole):
        assert_same(batch, {key: np.concatenate([shard[step][key] for shard in shards]) for key in batch})


def test_seeds_and_epochs_differ():
    source = make_source(train=64)
    first, second = take(2, source=source, batch_size=64, seed=0)
    (other,) = take(1, source=source, batch_size=64, seed=1)
    assert (first['image'] != second['image']).any() and (first['image'] != other['image']).any()


def test_impossible_batches_name_both_numbers():
    source = make_source(train=50)
    for options, message in (
        ({'batch_size': 51}, r'batch size 51 is not in 1..50'),
        ({'batch_size': 10, 'process_count': 4}, r'batch size 10 is not divisible by 4 processes'),
        ({'batch_size': 8, 'process_count': 4, 'process_index': 4}, r'process_index 4 is not in 0..3'),
        ({'batch_size': 10, 'process_count': 2, 'augment': FULL}, r'mixup pairs images'),
        ({'batch_size': 10, 'augment': data.Augment(random_resized_crop=True)}, r'made is \(8, 6, 3\), use pad'),
    ):
        with pytest.raises(ValueError, match=message):
            data.train_batches(source, seed=0, **options)
    with pytest.raises(ValueError, match='fill'):
        data.Augment(fill='mirror')


# ---------------------------------------------------------------- augmentation


@pytest.mark.parametrize('fill', ['zero', 'reflect'])
def test_shift_and_flip_equals_pad_crop_flip(fill):
    source = make_source()
    augment = data.Augment(pad=3, flip=True, fill=fill)
    rows = np.arange(20)
    draws = aug.draw(np.random.default_rng(5), augment, 20)
    got = aug.shift_and_flip(source.train.images, rows, draws, augment)
    assert len({tuple(shift) for shift in draws.shift}) > 10 and 0 < draws.flip.sum() < 20
    for k in rows:
        image = source.train.images[k]
        padded = np.pad(image, ((3, 3), (3, 3), (0, 0)), mode='constant' if fill == 'zero' else 'reflect')
        dy, dx = draws.shift[k] + 3
        crop = padded[dy : dy + 8, dx : dx + 6]
        np.testing.assert_array_equal(got[k], crop[:, ::-1] if draws.flip[k] else crop)


def test_cutout_blanks_one_square():
    source = make_source()
    augment = data.Augment(cutout=3)
    draws = aug.draw(np.random.default_rng(5), augment, 16)
    blank = aug.cut_out(np.ones((16, 8, 6, 3), np.float32), draws, augment)[..., 0] == 0
    for square in blank:
        assert 4 <= square.sum() <= 9  # 3 x 3, less at the border
        ys, xs = np.nonzero(square)
        assert square.sum() == (np.ptp(ys) + 1) * (np.ptp(xs) + 1)
    (batch,) = take(1, source=source, batch_size=16, seed=0, augment=augment)
    assert ((batch['image'] == 0).all(3).sum((1, 2)) >= 4).all()


def test_mixup_blends_pairs():
    images = np.arange(4, dtype=np.float32)[:, None, None, None] * np.ones((4, 2, 2, 1), np.float32)
    draws = aug.draw(np.random.default_rng(5), data.Augment(mixup=1.0), 4)
    mixed, soft = aug.mix_up(images, np.array([0, 1, 2, 0]), 3, draws)
    for k, partner in enumerate((1, 0, 3, 2)):
        np.testing.assert_allclose(mixed[k], draws.mixup[k] * k + (1 - draws.mixup[k]) * partner, rtol=1e-5)
        labels = np.eye(3)[[0, 1, 2, 0]]
        np.testing.assert_allclose(
            soft[k], draws.mixup[k] * labels[k] + (1 - draws.mixup[k]) * labels[partner], rtol=1e-5
        )


def test_options_do_not_shift_one_another():
    a = aug.draw(np.random.default_rng(0), data.Augment(pad=2), 8)
    b = aug.draw(np.random.default_rng(0), data.Augment(pad=2, flip=True, cutout=3), 8)
    np.testing.assert_array_equal(a.shift, b.shift)
    np.testing.assert_array_equal(a.cutout, b.cutout)


def test_crop_boxes_stay_inside_and_keep_to_their_bounds():
    augment = data.Augment(random_resized_crop=True, min_area=0.2)
    draws = aug.draw(np.random.default_rng(0), augment, 200)
    for k in range(200):
        height, width = 60 + k % 50, 40 + k % 90
        left, top, right, bottom = aug.crop_box(height, width, draws.area[k], draws.ratio[k], draws.place[k])
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert 0.15 < (right - left) * (bottom - top) / (height * width) <= 1
        assert 0.7 < (right - left) / (bottom - top) < 1.45
    narrow = aug.crop_box(4, 400, np.full(10, 1.0), np.full(10, 1.0), np.zeros(2))
    assert narrow == (198, 0, 202, 4)


def test_default_augmentation_does_not_mirror_digits():
    source = make_source()
    assert data.default_augment(source).flip
    for name in ('digits', 'photo_digits/small', 'svhn_cropped'):
        assert not data.default_augment(dataclasses.replace(source, name=name)).flip


# ---------------------------------------------------------------- evaluation


@pytest.mark.parametrize('processes', [1, 3])
def test_the_last_evaluation_batch_is_weighted_right(processes):
    source = make_source(test=13)
    images, labels = data.arrays(source, 'test')
    shards = [
        list(data.eval_batches(source, 'test', 6, process_index=p, process_count=processes)) for p in range(processes)
    ]
    assert {len(shard) for shard in shards} == {3}
    batches = [{key: np.concatenate([shard[i][key] for shard in shards]) for key in shards[0][0]} for i in range(3)]
    assert all(batch['image'].shape == (6, 8, 6, 3) for batch in batches)
    kept = [batch['weight'] == 1 for batch in batches]
    assert sum(map(np.sum, kept)) == 13
    np.testing.assert_array_equal(np.concatenate([batch['image'][keep] for batch, keep in zip(batches, kept)]), images)
    np.testing.assert_array_equal(np.concatenate([batch['label'][keep] for batch, keep in zip(batches, kept)]), labels)
    assert all((batch['image'][~keep] == 0).all() for batch, keep in zip(batches, kept))


def test_arrays_are_normalized():
    source = make_source()
    images, labels = data.arrays(source, 'train')
    assert images.dtype == np.float32 and labels.dtype == np.int32
    np.testing.assert_allclose(images, (source.train.images / 255 - source.mean) / source.std, atol=1e-5)


# ---------------------------------------------------------------- varying sizes, on disk


def test_varying_sizes_are_cropped_and_resized(photographs):
    source = photographs
    assert source.varying and source.image_shape == (24, 24, 3) and source.test.name == 'validation'
    augment = data.default_augment(source)
    assert augment.random_resized_crop
    options = {'source': source, 'batch_size': 8, 'seed': 0, 'augment': augment, 'threads': 2}
    whole = take(6, **options)  # into the second epoch
    assert whole[0]['image'].shape == (8, 24, 24, 3) and whole[0]['image'].dtype == np.float32
    assert_same(whole[3], take(1, **options, start_step=3)[0])
    shards = [take(2, **options, process_index=p, process_count=2) for p in (0, 1)]
    assert_same(whole[1], {key: np.concatenate([shards[0][1][key], shards[1][1][key]]) for key in whole[1]})
    batches = list(data.eval_batches(source, 'test', 4))
    assert [batch['weight'].sum() for batch in batches] == [4, 4, 1]
    images, labels = data.arrays(source, 'test')
    np.testing.assert_array_equal(images[8], batches[2]['image'][0])
    assert labels.tolist() == [i % 7 for i in range(9)]


def test_evaluation_takes_the_centre(photographs):
    image, _ = photographs.test[0]
    height, width = image.shape[:2]
    pixels, _ = data.arrays(photographs, 'test')
    mean = (pixels[0] * photographs.std + photographs.mean) * 255
    side = int(min(height, width) / (256 / 224))
    centre = image[(height - side) // 2 :][:side, (width - side) // 2 :][:, :side]
    np.testing.assert_allclose(mean.mean((0, 1)), centre.mean((0, 1)), atol=6)


def test_a_set_too_large_for_memory_gives_the_same_batches(tmp_path):
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), i % 4) for i in range(30)]
    directory = write_set(tmp_path, 'leaves', {'train': pairs, 'test': pairs[:7]}, shape=(8, 8, 3), classes=4)
    memory, disk = data.load('', directory), data.load('', directory, memory_bytes=0)
    assert type(disk.train).__name__ == 'RecordSplit' and disk.mean == memory.mean
    options = {'batch_size': 6, 'seed': 0, 'augment': FULL}
    for a, b in zip(take(7, source=memory, **options), take(7, source=disk, **options)):
        assert_same(a, b)
    for a, b in zip(data.eval_batches(memory, 'test', 4), data.eval_batches(disk, 'test', 4)):
        assert_same(a, b)


def test_a_bad_record_on_disk_is_named_when_it_is_met(tmp_path):
    from tailor_jax.data.write import _encode

    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8), 0) for _ in range(6)]
    pairs[2] = (_encode(pairs[2][0], 'jpeg')[:200], 0)
    directory = write_set(
        tmp_path,
        'imagenet2012',
        {'train': pairs, 'validation': pairs[3:]},
        shape=(None, None, 3),
        classes=4,
        encoding='jpeg',
    )
    batches = data.train_batches(data.load('', directory, image_size=16), batch_size=6, seed=0)
    with pytest.raises(
        data.DataError, match=r'imagenet2012-train.array_record-00000-of-00001, record 2: cannot decode'
    ):
        next(data.prefetch(batches))


# ---------------------------------------------------------------- prefetch


def batches_of(count, size=8):
    for i in range(count):
        yield {'image': np.full((size, 2, 2, 1), i, np.float32), 'label': np.arange(size, dtype=np.int32)}


@pytest.mark.parametrize('size', [0, 1, 3])
def test_prefetch_keeps_order_and_ends(size):
    got = list(data.prefetch(batches_of(7), size))
    assert [int(batch['image'][0, 0, 0, 0]) for batch in got] == list(range(7))
    assert isinstance(got[0]['image'], jax.Array)


def test_prefetch_reshapes_for_pmap():
    devices = jax.devices()
    count = len(devices)
    (batch,) = data.prefetch(batches_of(1, size=4 * count), devices=devices)
    assert batch['image'].shape == (count, 4, 2, 2, 1)
    np.testing.assert_array_equal(batch['label'].reshape(-1), np.arange(4 * count))
    assert [
        shard.device for shard in sorted(batch['label'].addressable_shards, key=lambda s: s.index[0].start or 0)
    ] == devices
    total = jax.pmap(lambda b: b['label'].sum(), devices=devices)(batch)
    np.testing.assert_array_equal(jax.device_get(total), np.arange(4 * count).reshape(count, 4).sum(1))


def test_prefetch_refuses_a_batch_the_devices_do_not_divide():
    devices = jax.devices()[:1] * 3
    with pytest.raises(ValueError, match='batch size 8 is not divisible by 3 devices'):
        list(data.prefetch(batches_of(2), devices=devices, size=0))


def test_prefetch_hands_on_an_exception_where_it_belongs():
    def failing():
        yield from batches_of(3)
        raise data.DataError('file x, record 17: bad')

    iterator = data.prefetch(failing(), 2)
    assert len([next(iterator) for _ in range(3)]) == 3
    with pytest.raises(data.DataError, match='record 17'):
        next(iterator)


def test_closing_stops_the_thread():
    closed = threading.Event()

    def endless():
        try:
            yield from itertools.cycle(batches_of(2))
        finally:
            closed.set()

    before = threading.active_count()
    iterator = data.prefetch(endless(), 2)
    next(iterator)
    iterator.close()
    assert closed.wait(5) and threading.active_count() == before
