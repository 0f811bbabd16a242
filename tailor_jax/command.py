"""What the commands of argparse have in common: `--help` with status 0, one `error: ...` with status 1."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

BROKEN_PIPE = 141  # the status of a program that SIGPIPE ends


class UsageError(ValueError):
    """Arguments that a command does not take."""


class Parser(argparse.ArgumentParser):
    """Arguments whose errors are UsageErrors; `about` is the help's text as it is, the docstring of the command."""

    def __init__(self, prog: str, about: str | None):
        shown = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, description=about, formatter_class=shown, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f'{message}; {self.prog} --help lists the options')


def status(run: Callable[[], int], *errors: type[Exception]) -> int:
    """The exit status of a command. Its arguments, files, and what else a user can cause - `errors` - end in an error
    on stderr and status 1. Where nobody reads its output any more (`| head`), it ends without a word, with status 141.
    """
    caught: tuple[type[Exception], ...] = (UsageError, OSError, *errors)
    try:
        try:
            return run()
        finally:
            if sys.stdout is not None:  # it is closed
                sys.stdout.flush()  # what is left now is told of here, and not by Python at its end
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what cannot be written still
        return BROKEN_PIPE
    except caught as error:
        what = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            what = f'{error.filename}: {error.strerror}'
        print(f'error: {what}', file=sys.stderr)
        return 1
