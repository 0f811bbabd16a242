"""SIGTERM and SIGINT: kept while a step is under way, so that a run stops where nothing is lost.

A program installs one handler for its life, `Handler().install()`. The first signal raises Interrupted: at once, or, inside `held()`, when
whoever holds it has put his work away. A second signal ends the process at once with status 128 + its number, as the shell counts.
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
ONE_SIGNAL_S = 0.5  # what comes within this time is the same signal, sent to the process and to its group, as timeout(1) does


class Interrupted(BaseException):
    """The work was stopped by a signal. Like KeyboardInterrupt no Exception, so that nobody takes it for a failure."""


class Handler:
    """A signal handler that remembers the first signal. `signal` is its name, '' before."""

    def __init__(self) -> None:
        self.signal = ''
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
            threading.Thread(target=_end_at_the_second, args=(received,), name='second signal', daemon=True).start()
        return self

    def __call__(self, number: int, _: FrameType | None) -> None:
        if not self.signal:  # an echo of it must not disturb whoever is leaving
            self.signal = signal.Signals(number).name
            self.check()

    def check(self) -> None:
        """Raises Interrupted if a signal has come and nobody holds it."""
        if self.signal and not self.holders:
            raise Interrupted(f'interrupted by {self.signal}')


def _end_at_the_second(received: socket.socket) -> None:
    """Reads the signals as they come, in a thread: a handler waits until the main thread is back in Python, from a compilation for instance."""
    first = 0.0
    while True:
        number, now = received.recv(1)[0], time.monotonic()
        if number not in SIGNALS:
            continue
        if first and now - first > ONE_SIGNAL_S:
            os._exit(128 + number)
        first = first or now


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
