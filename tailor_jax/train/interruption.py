"""SIGTERM and SIGINT: kept while a step is under way, so that a run stops where nothing is lost.

A program installs one handler for its life, `Handler().install()`. The first signal raises Interrupted: at once, or,
inside `held()`, when whoever holds it has put his work away. A second signal ends the process at once with status 128 +
its number, as the shell counts. So does the first one when the process has not ended in time by itself: what it waits
for may never come.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

STATUS = 75  # of a program that was interrupted and goes on when started again: EX_TEMPFAIL of sysexits.h
SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP_S = 60.0  # for a step and a checkpoint; a longer compilation is given up, and nothing saved is lost
ONE_SIGNAL_S = (
    0.5  # what comes within this time is the same signal, sent to the process and to its group, as timeout(1) does
)


class Interrupted(BaseException):
    """The work was stopped by a signal. Like KeyboardInterrupt no Exception, so that nobody takes it for a failure."""


class Handler:
    """A signal handler that remembers the first signal. `signal` is its name, '' before.

    Args:
      stop_s: seconds after the first signal in which the process must have ended by itself.
    """

    def __init__(self, stop_s: float = STOP_S) -> None:
        self.signal = ''
        self.stop_s = stop_s
        self.holders = 0
        self._watched: socket.socket | None = None

    def install(self) -> Handler:
        """Takes the signals over, in the main thread; again, where something else has taken them since."""
        for number in SIGNALS:
            signal.signal(number, self)
        if self._watched is None:
            received, self._watched = socket.socketpair()
            self._watched.setblocking(False)
            signal.set_wakeup_fd(self._watched.fileno(), warn_on_full_buffer=False)
            threading.Thread(target=_end, args=(received, self.stop_s), name='signals', daemon=True).start()
        return self

    def __call__(self, number: int, _: FrameType | None) -> None:
        if not self.signal:  # an echo of it must not disturb whoever is leaving
            self.signal = signal.Signals(number).name
            self.check()

    def check(self) -> None:
        """Raises Interrupted if a signal has come and nobody holds it."""
        if self.signal and not self.holders:
            raise Interrupted(f'interrupted by {self.signal}')


def _end(received: socket.socket, stop_s: float) -> None:
    """Ends the process at the second signal, or some time after the first one.

    Reads the signals as they come, in a thread: a handler waits until the main thread is back in Python, from a
    compilation for instance.
    """
    first = _next(received)
    start = time.monotonic()
    while (left := start + stop_s - time.monotonic()) > 0:
        received.settimeout(left)
        with contextlib.suppress(TimeoutError):
            number = _next(received)
            if time.monotonic() - start > ONE_SIGNAL_S:
                os._exit(128 + number)
    message = (
        f'still not done {stop_s:g} s after {signal.Signals(first).name}; ended. What was saved stays, and the '
        'same command goes on from there\n'
    )
    os.write(2, message.encode())  # sys.stderr may be locked by the thread that hangs
    os._exit(128 + first)


def _next(received: socket.socket) -> int:
    """The next of SIGNALS to come."""
    while (number := received.recv(1)[0]) not in SIGNALS:
        pass
    return number


@contextlib.contextmanager
def held() -> Iterator[Callable[[], bool]]:
    """Keeps the signal of this process until the end of the block; yields a function that says whether one has come.

    Without an installed handler, as in a notebook, signals do what they did, and none ever comes.
    """
    current = signal.getsignal(signal.SIGTERM)
    handler = current if isinstance(current, Handler) else Handler()
    handler.holders += 1
    try:
        yield lambda: bool(handler.signal)
    finally:
        handler.holders -= 1
    handler.check()
