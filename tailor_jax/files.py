"""Files that are there whole or not at all, written where nobody can redirect them, and directories that one process
has at a time.

write(path, content)         by renaming a new file of the same directory; a planted symbolic link is replaced
read(path, most_bytes)       of a regular file, refused above a size
with locked(directory): ...  the kernel lets go of the lock when the process ends, however it ends
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

LOCK = '.lock'


class LockedError(RuntimeError):
    """A directory that another process is working in. The message names the process."""


def write(path: str | Path, content: str | bytes) -> None:
    """Writes a file by renaming: a killed process leaves the old one or none, and besides only `is_partial` names."""
    path = Path(path)
    partial = path.with_name(f'.{path.name}.partial')
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, 'wb') as file:
            # Text may hold names of files, which are any bytes.
            file.write(content.encode(errors='surrogateescape') if isinstance(content, str) else content)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def is_partial(path: Path) -> bool:
    """Whether this is what `write` leaves when it is killed, by its name."""
    return path.name.startswith('.') and path.name.endswith('.partial')


def read(path: str | Path, most_bytes: int) -> bytes:
    """The content of a regular file. Raises FileNotFoundError, or OSError for what is no file or is larger."""
    # A planted pipe would hang without O_NONBLOCK.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f'{path} is no file')
        if status.st_size > most_bytes:
            raise OSError(f'{path} has {status.st_size:,} bytes; at most {most_bytes:,} are read')
        with os.fdopen(descriptor, 'rb', closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(directory: str | Path, wait_s: float = 0.0) -> Iterator[None]:
    """Holds `directory`/.lock until the end of the block, or of the process.

    Raises:
      LockedError: another process holds it, and has not let go for `wait_s` seconds; the message says which.
    """
    path = Path(directory) / LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(descriptor, 200, 0).decode(errors='replace').strip() or 'another process'
                    raise LockedError(
                        f'{directory} is in use by {holder}; wait for it to end, or choose another directory'
                    ) from None
                time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f'process {os.getpid()} on {socket.gethostname()}\n'.encode(), 0)
        yield
    finally:
        os.close(descriptor)
