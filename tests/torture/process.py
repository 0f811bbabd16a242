"""Commands of ours in processes of their own: forked from one that has the imports done already, so that a try takes no
seconds to begin.

    ended = run('experiments.train', '--config=...', cwd=..., kill_after_s=0.8)
    ended.status, ended.errors, ended.seconds

The parent must never have used a jax device: threads do not survive a fork.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import importlib
import os
import resource
import runpy
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 1800  # of what hangs; on a busy machine a sweep takes minutes
MOST_OUTPUT_BYTES = 1 << 20
_PRELOADED = (
    *(
        'experiments.run',
        'experiments.export',
        'experiments.sweep',
        'experiments.report',
        'hls_export.csim',
        'costmodel.cli',
    ),
    *('tensorflow_datasets', 'sklearn.datasets', 'matplotlib.pyplot'),
)


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
      status: exit status; -N after signal N; None where it had to be ended after TIMEOUT_S.
      output, errors: what it wrote.
      seconds: how long it took.
    """

    status: int | None
    output: str
    errors: str
    seconds: float


def preload() -> None:
    """Imports in this process what the commands need."""
    for name in _PRELOADED:
        importlib.import_module(name)


class Process:
    """A command under way."""

    def __init__(
        self,
        module: str,
        *flags: str,
        cwd: Path = ROOT,
        environment: Mapping[str, str] | None = None,
        largest_file: int | None = None,
    ):
        self._start = time.monotonic()
        self._pipes = [os.pipe() for _ in range(2)]  # no files, which may be limited in size
        for reader, _ in self._pipes:
            fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, MOST_OUTPUT_BYTES)
        self.pid = os.fork()
        if self.pid == 0:
            _become(module, flags, cwd, environment or {}, largest_file, [writer for _, writer in self._pipes])
        for _, writer in self._pipes:
            os.close(writer)

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def alive(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def wait(self, timeout_s: float = TIMEOUT_S) -> bool:
        """Waits for its end; returns whether it came in time."""
        deadline = time.monotonic() + timeout_s
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def end(self, timeout_s: float = TIMEOUT_S) -> Ended:
        in_time = self.wait(timeout_s)
        if not in_time:
            self.kill()
        _, raw = os.waitpid(self.pid, 0)
        said = []
        for reader, _ in self._pipes:
            os.set_blocking(reader, False)  # what the process started may outlive it and keep the other end open
            with os.fdopen(reader, 'rb') as pipe:
                said.append((pipe.read() or b'').decode(errors='replace'))
        return Ended(os.waitstatus_to_exitcode(raw) if in_time else None, *said, time.monotonic() - self._start)


def _become(
    module: str,
    flags: tuple[str, ...],
    cwd: Path,
    environment: Mapping[str, str],
    largest_file: int | None,
    writers: list[int],
) -> None:
    """Turns the forked child into the command; never returns."""
    status = 70
    try:
        for number, writer in enumerate(writers, start=1):
            os.dup2(writer, number)
        os.chdir(cwd)
        os.environ.update(environment)
        if largest_file is not None:
            sys.dont_write_bytecode = True  # Python keeps a file of bytecode that was cut off
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        sys.stdout, sys.stderr = (os.fdopen(number, 'w', buffering=1, closefd=False) for number in (1, 2))
        sys.argv = [module, *flags]
        sys.modules.pop(module, None)  # it was imported for its imports; now it runs
        try:
            runpy.run_module(module, run_name='__main__', alter_sys=True)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:
            import traceback

            traceback.print_exc()
            status = 1
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        os._exit(status)


def run(module: str, *flags: str, kill_after_s: float | None = None, **how) -> Ended:
    """Runs a command to its end, or kills it after a time."""
    process = Process(module, *flags, **how)
    if kill_after_s is not None and not process.wait(kill_after_s):
        process.kill()
    return process.end()


@contextlib.contextmanager
def compiled_once(folder: Path) -> Iterator[None]:
    """Programs are compiled once for all processes, and quickly."""
    settings = {
        'JAX_NUM_CPU_DEVICES': '1',
        'JAX_COMPILATION_CACHE_DIR': str(folder),
        'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
        'XLA_FLAGS': '--xla_backend_optimization_level=0',
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
