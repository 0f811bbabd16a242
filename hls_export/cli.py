"""What the commands of this package share: options that are checked, errors of one line, exit status 1 for every
failure.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from hls_export.index import ExportError
from tailor_jax.fields import FormatError
from tailor_jax.files import LockedError
from tailor_jax.graph import GraphError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours."""

    def __init__(self, prog: str, description: str):
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise ExportError(f'{message}; see {self.prog} --help')


def guarded(command: Callable[[], int]) -> int:
    """The exit status of a command; what a user can cause is an `error: ...` on standard error and status 1."""
    try:
        return command()
    except (ExportError, FormatError, GraphError, LockedError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
