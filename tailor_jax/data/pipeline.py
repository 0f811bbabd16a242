"""Batches: deterministic, resumable at any step, sharded by process.

With n training images, global batch size B and P processes, step t of the run is step s = t mod S of epoch
e = t // S, S = n // B (the remainder of each epoch's order is dropped). Its images and the random numbers that
augment them come from generators made for that place alone,

    order  = default_rng([seed, 0, e]).permutation(n)[sB : (s + 1)B]        draws = draw(default_rng([seed, 1, t]), B)

and process p takes rows pB/P .. (p + 1)B/P of both. So a run can start at any t, and the global batch is the same
whatever the number of processes or devices. Values are z = (x / 255 - mean) / std, float32.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tailor_jax.data import augment as aug
from tailor_jax.data.augment import Augment
from tailor_jax.data.source import MemorySplit, Source, gather

Batch = dict[str, np.ndarray]

_ORDER, _DRAWS = 0, 1  # which stream of the seed


def default_augment(source: Source, **changes) -> Augment:
    """Returns the customary augmentation of a set with `changes`, as in default_augment(source, cutout=8, mixup=0.2).

    Random resized crops and flips for images of varying size; shifts by a 16th of the side for digits; shifts by an 8th
    and flips otherwise; nothing for sequences, which have one row.
    """
    side = min(source.image_shape[:2])
    if source.image_shape[0] == 1:
        usual = Augment()
    elif source.varying:
        usual = Augment(random_resized_crop=True, flip=True)
    elif source.name.startswith(('digits', 'photo_digits', 'svhn', 'mnist')):
        usual = Augment(pad=max(side // 16, 1))  # they fill their frame, and a digit mirrored is another sign or none
    else:
        usual = Augment(pad=max(side // 8, 1), flip=True)
    return dataclasses.replace(usual, **changes)


def steps_per_epoch(source: Source, batch_size: int) -> int:
    """Returns how many whole global batches the training split holds; raises ValueError if there is not one."""
    if not 0 < batch_size <= source.train_size:
        raise ValueError(
            f'batch size {batch_size} is not in 1..{source.train_size}, the training images of {source.name}'
        )
    return source.train_size // batch_size


def train_batches(
    source: Source,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    steps: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
    augment: Augment | None = None,
    threads: int | None = None,
) -> Iterator[Batch]:
    """Yields this process's share of each batch from step `start_step` on, without end unless `steps` is given.

    Args:
      source: the data set.
      batch_size: global, over all processes; each gets batch_size / process_count images.
      seed: of the order and the augmentation.
      start_step: step of the run to begin at; the batches are those an uninterrupted run would see.
      steps: how many batches to yield; None is for ever.
      process_index, process_count: which share.
      augment: see `Augment`; None is none, `default_augment(source)` is customary.
      threads: for decoding sets that do not fit in memory; default one a core.

    Yields:
      'image': float32 [b, h, w, c], normalized; 'label': int32 [b]; with mixup also 'soft_label': float32 [b, classes].

    Raises:
      ValueError: the batch is larger than the set, not divisible by process_count, or the augmentation does not fit the
        set.
      DataError: a bad record, named, in a set that does not fit in memory.
    """
    augment = augment or Augment()
    per_epoch = steps_per_epoch(source, batch_size)
    share = _share(batch_size, process_index, process_count)
    if augment.mixup and (share.stop - share.start) % 2:
        raise ValueError(
            f'mixup pairs images: batch size {batch_size} over {process_count} processes must be an even number each'
        )
    if augment.random_resized_crop and not source.varying:
        raise ValueError(
            f'random_resized_crop is for sets of varying image size; {source.name} is {source.image_shape}, use pad'
        )
    return _train_batches(source, batch_size, seed, start_step, steps, per_epoch, share, augment, threads)


def _train_batches(source, batch_size, seed, start_step, steps, per_epoch, share, augment, threads) -> Iterator[Batch]:
    with _pool(source.train, threads) as pool:
        order, order_epoch = np.empty(0, int), -1
        step = start_step
        while steps is None or step < start_step + steps:
            epoch, position = divmod(step, per_epoch)
            if epoch != order_epoch:
                order, order_epoch = np.random.default_rng([seed, _ORDER, epoch]).permutation(source.train_size), epoch
            rows = order[position * batch_size : (position + 1) * batch_size][share]
            draws = aug.draw(np.random.default_rng([seed, _DRAWS, step]), augment, batch_size)[share]
            pixels, labels = _read(source, rows, draws, augment, pool)
            images = aug.cut_out(normalize(pixels, source), draws, augment)
            batch = {'image': images, 'label': labels}
            if augment.mixup:
                batch['image'], batch['soft_label'] = aug.mix_up(images, labels, source.classes, draws)
            yield batch
            step += 1


def _read(source: Source, rows: np.ndarray, draws: aug.Draws, augment: Augment, pool) -> tuple[np.ndarray, np.ndarray]:
    """Reads and moves pixels: int [b] -> (uint8 [b, h, w, c], int32 [b])."""
    split = source.train
    if isinstance(split, MemorySplit):
        return aug.shift_and_flip(split.images, rows, draws, augment), split.labels[rows]
    views = (
        [_random_view(source.image_shape, draws, k) for k in range(len(rows))] if augment.random_resized_crop else None
    )
    pixels, labels = gather(split, rows, source.image_shape, views, pool)
    return aug.shift_and_flip(pixels, np.arange(len(rows)), draws, augment), labels


def _random_view(image_shape: tuple[int, int, int], draws: aug.Draws, k: int):
    def view(image):
        from PIL import Image

        width, height = image.size
        box = aug.crop_box(height, width, draws.area[k], draws.ratio[k], draws.place[k])
        return image.resize(image_shape[1::-1], Image.Resampling.BILINEAR, box=box)

    return view


def eval_batches(
    source: Source,
    split: str = 'test',
    batch_size: int = 256,
    *,
    process_index: int = 0,
    process_count: int = 1,
    threads: int | None = None,
) -> Iterator[Batch]:
    """Yields a split once, in order; the last batch is padded and 'weight' says which rows count.

    Args:
      source: the data set.
      split: 'test' or 'train'.
      batch_size: global, over all processes.
      process_index, process_count: which share of each batch; all processes get equally many batches.
      threads: for decoding, as in `train_batches`.

    Yields:
      'image': float32 [b, h, w, c]; 'label': int32 [b]; 'weight': float32 [b], 1 for an image, 0 for padding (zeros,
      label 0).
    """
    share = _share(batch_size, process_index, process_count)
    return _eval_batches(source, source.split(split), batch_size, share, threads)


def _eval_batches(source, split, batch_size, share, threads) -> Iterator[Batch]:
    size = share.stop - share.start
    with _pool(split, threads) as pool:
        for start in range(0, len(split), batch_size):
            rows = np.arange(start, min(start + batch_size, len(split)))[share]
            batch = {
                'image': np.zeros((size, *source.image_shape), np.float32),
                'label': np.zeros(size, np.int32),
                'weight': (np.arange(size) < len(rows)).astype(np.float32),
            }
            if len(rows):
                pixels, labels = _take(split, rows, source, pool)
                batch['image'][: len(rows)], batch['label'][: len(rows)] = normalize(pixels, source), labels
            yield batch


def arrays(source: Source, split: str = 'test') -> tuple[np.ndarray, np.ndarray]:
    """Returns a whole split in order: (normalized float32 [n, h, w, c], labels int32 [n]). It must fit in memory."""
    chosen = source.split(split)
    with _pool(chosen, None) as pool:
        pixels, labels = _take(chosen, np.arange(len(chosen)), source, pool)
    return normalize(pixels, source), labels.copy()


def normalize(pixels: np.ndarray, source: Source) -> np.ndarray:
    """(x / 255 - mean) / std per channel: uint8 [b, h, w, c] -> float32 [b, h, w, c]."""
    std = np.array(source.std)
    scale = (1 / (255 * std)).astype(np.float32)
    offset = (np.array(source.mean) / std).astype(np.float32)
    # Whole image lines keep numpy's inner loop long (a loop over 3 channels is several times slower), in place: one
    # pass of memory less.
    width = source.image_shape[1]
    lines = np.multiply(pixels.reshape(*pixels.shape[:2], -1), np.tile(scale, width), dtype=np.float32)
    lines -= np.tile(offset, width)
    return lines.reshape(pixels.shape)


def _take(split, rows: np.ndarray, source: Source, pool) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(split, MemorySplit):
        return split.images[rows], split.labels[rows]
    return gather(split, rows, source.image_shape, pool=pool)


def _share(batch_size: int, process_index: int, process_count: int) -> slice:
    if batch_size <= 0 or batch_size % process_count:
        raise ValueError(f'batch size {batch_size} is not divisible by {process_count} processes')
    if not 0 <= process_index < process_count:
        raise ValueError(f'process_index {process_index} is not in 0..{process_count - 1}')
    size = batch_size // process_count
    return slice(process_index * size, (process_index + 1) * size)


def _pool(split, threads: int | None) -> ThreadPoolExecutor:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    # Starts threads only when used.
    return ThreadPoolExecutor(1 if isinstance(split, MemorySplit) else threads or cores)
