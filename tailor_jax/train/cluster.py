"""Several processes, on one host or many, that train as one.

Every process runs the same program on its own devices and its own share of each batch, and holds the whole state.
Process 0 alone reads and writes the run's directory; what the others must know of it they are told:

    join(...)                          before any other use of jax
    from_main(function)                the value of function(), called on process 0 alone, on every process
    Vote()(flag)                       whether any process has said yes, the same answer on all
    leave(status)                      together after success, at once after a failure, so that nobody waits for ever

With one process all of this costs nothing and does nothing.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tailor_jax.fields import Fields, FormatError
from tailor_jax.train import wire

T = TypeVar('T')

# What jax.distributed recognizes a launcher by, and where the launcher says how many processes it started.
LAUNCHERS = {'SLURM_STEP_NODELIST': 'SLURM_NTASKS', 'OMPI_MCA_orte_hnp_uri': 'OMPI_COMM_WORLD_SIZE'}


class ClusterError(RuntimeError):
    """The processes cannot work together, or another one failed. The message says which and why."""


def join(coordinator_address: str = '', num_processes: int = 0, process_id: int = -1) -> bool:
    """Makes this process one of several, if it is: by the arguments, or by the environment of Slurm or Open MPI.
    Returns whether it is.

    Args:
      coordinator_address: HOST:PORT, a free port of process 0's host; '' for what the launcher says.
      num_processes: 0 for what the launcher says.
      process_id: 0 to num_processes - 1; -1 for what the launcher says.

    Raises:
      ClusterError: something is missing, a process does not come, or they differ in their number of devices.
    """
    launched = any(marker in os.environ and int(os.environ.get(count, 1)) > 1 for marker, count in LAUNCHERS.items())
    given = {
        'coordinator_address': coordinator_address != '',
        'num_processes': num_processes > 0,
        'process_id': process_id >= 0,
    }
    if not launched and not any(given.values()):
        return False
    if not launched and not all(given.values()):
        missing = ', '.join(name for name, there in given.items() if not there)
        raise ClusterError(
            f'{missing} missing: outside Slurm and Open MPI a process of several needs {", ".join(given)}'
        )
    try:
        jax.distributed.initialize(
            coordinator_address or None, num_processes or None, process_id if process_id >= 0 else None
        )
    except (RuntimeError, ValueError) as error:
        raise ClusterError(f'this process cannot join the others: {error}') from error
    if jax.device_count() != jax.process_count() * jax.local_device_count():
        raise ClusterError(
            f'process {jax.process_index()} has {jax.local_device_count()} of {jax.device_count()} devices; expected '
            f'equally many on each of {jax.process_count()} processes'
        )
    multihost_utils.sync_global_devices('joined')  # connects the devices while all are here: gloo gives up after 30 s
    return jax.process_count() > 1


def is_main() -> bool:
    """Whether this is process 0, the one that reads and writes files."""
    return jax.process_index() == 0


def from_main(function: Callable[[], T]) -> T:
    """The value of `function()`, which only process 0 calls: plain data, see `wire`.

    An error is raised on all, as ClusterError on the others.
    """
    if jax.process_count() == 1:
        return function()
    message, failure = b'', None
    if is_main():
        try:
            message = wire.encode({'value': function()})
        except Exception as error:
            failure = error
            message = wire.encode({'failure': f'{type(error).__name__}: {error}'})
    message = _broadcast(message)
    if failure:
        raise failure
    return _heard(message)


def _heard(message: bytes) -> Any:
    """The value in process 0's message. Raises ClusterError if there is none, or for none of `from_main`'s."""
    try:
        fields = Fields(wire.decode(message), 'the message of process 0')
        failure, value = fields.text('failure', default=''), fields.take('value', None)
        fields.end()
    except FormatError as error:
        raise ClusterError(f'process 0 is of another version of this program, or no process of it: {error}') from None
    if failure:
        raise ClusterError(f'process 0 failed: {failure}')
    return value


def _broadcast(message: bytes) -> bytes:
    """Process 0's message on every process, as bytes, so that a sum with zeros leaves each as it is."""
    size = int(multihost_utils.broadcast_one_to_all(np.uint32(len(message))))
    mine = np.frombuffer(message, np.uint8) if is_main() else np.zeros(size, np.uint8)
    return multihost_utils.broadcast_one_to_all(mine).tobytes()


class Vote:
    """Asks all processes the same question again and again.

    The answer to a call is that of the call before it: the same on all processes, and no step has to wait for the
    devices to be done with it.
    """

    def __init__(self) -> None:
        self._asked: jax.Array | None = None

    def __call__(self, yes: bool) -> bool:
        """Says yes or no; returns whether any process said yes the time before. One process has its own answer, now."""
        if jax.process_count() == 1:
            return yes
        answered, self._asked = self._asked, _any(yes)
        return answered is not None and bool(answered.addressable_data(0))


def _any(yes: bool) -> jax.Array:
    largest, sharding = _largest()
    mine = np.full(jax.local_device_count(), yes, np.int32)
    answer = largest(jax.make_array_from_process_local_data(sharding, mine))
    return jax.block_until_ready(answer) if one_at_a_time() else answer


@functools.cache
def _largest() -> tuple[Callable[..., jax.Array], NamedSharding]:
    mesh = Mesh(np.array(jax.devices()), ('devices',))
    return jax.jit(jnp.max, out_shardings=NamedSharding(mesh, PartitionSpec())), NamedSharding(
        mesh, PartitionSpec('devices')
    )


def one_at_a_time(devices: int | None = None) -> bool:
    """Whether to wait for each step: CPU devices share threads, and steps in flight can starve each other's all-reduce.

    Args:
      devices: how many a step runs on; all, over all processes, by default.
    """
    return jax.default_backend() == 'cpu' and (devices or jax.device_count()) > 1


def leave(status: int, orderly: bool) -> None:
    """Ends this process's part in the cluster. Does nothing where there is none.

    After orderly work it waits until all are here, so that nobody's launcher kills process 0 while it writes. After a
    failure it exits at once: the others find the connection closed and fail too, instead of waiting.
    """
    if not jax.distributed.is_initialized():
        return
    if orderly:
        jax.distributed.shutdown()
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
