"""Prefetch to device: a thread makes the next batches and moves them while the step runs.

For pmap over d devices each array [b, ...] becomes [d, b / d, ...], row k on device k.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

_END = object()


def prefetch(iterator: Iterable[dict], size: int = 2, devices: Sequence[Any] | None = None) -> Iterator[dict]:
    """Yields what `iterator` yields, as arrays on device, made up to `size` batches ahead in a thread.

    Args:
      iterator: of dicts of numpy arrays [b, ...].
      size: how many finished batches may wait; 0 works without a thread.
      devices: jax devices; arrays then come as [d, b / d, ...] sharded over them, as `jax.pmap` takes them. None puts
        whole arrays on the default device.

    Yields:
      Dicts of jax arrays. An exception of `iterator` is raised here, at the batch it belongs to. Closing the generator
      (or dropping it) stops the thread.

    Raises:
      ValueError: the number of devices does not divide b.
    """
    if size < 0:
        raise ValueError(f'prefetch size is {size}, expected >= 0')
    put = _placer(devices)
    if size == 0:
        return (put(batch) for batch in iterator)
    return _prefetch(iterator, size, put)


def _prefetch(iterator: Iterable[dict], size: int, put) -> Iterator[dict]:
    ready: queue.Queue = queue.Queue(maxsize=size)
    stop = threading.Event()

    def offer(item) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work():
        try:
            for batch in iterator:
                if not offer((put(batch), None)):
                    break
            else:
                offer((_END, None))
        except BaseException as error:  # handed to the consumer, whatever it is
            offer((_END, error))
        finally:
            close = getattr(iterator, 'close', None)
            if close:
                close()

    thread = threading.Thread(target=work, name='prefetch', daemon=True)
    thread.start()
    try:
        while True:
            batch, error = ready.get()
            if error is not None:
                raise error
            if batch is _END:
                return
            yield batch
    finally:
        stop.set()
        thread.join(timeout=5)


def _placer(devices: Sequence[Any] | None):
    """Returns the function that puts a dict of numpy arrays on device."""
    import jax

    if devices is None:
        return lambda batch: jax.device_put(batch)
    count = len(devices)
    mesh = jax.sharding.Mesh(np.array(devices), ('batch',))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec('batch'))

    def put(batch: dict) -> dict:
        sizes = {key: len(value) for key, value in batch.items()}
        if any(rows % count for rows in sizes.values()):
            raise ValueError(f'batch size {max(sizes.values())} is not divisible by {count} devices')
        return {
            key: jax.device_put(value.reshape(count, -1, *value.shape[1:]), sharding) for key, value in batch.items()
        }

    return put
