"""What the commands of this package have in common: `--help` with status 0; for what they cannot do one line `error: ...` and status 1."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from costmodel.cost import CostError


class Parser(argparse.ArgumentParser):
    """Arguments whose errors are CostErrors."""

    def __init__(self, prog: str, about: str):
        super().__init__(prog, description=about, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise CostError(f'{message}; {self.prog} --help lists the options')


def status(run: Callable[[], int]) -> int:
    """The exit status of a command, its errors printed: those of what it was given and of files."""
    try:
        return run()
    except (ValueError, OSError) as error:
        what = f'{error.filename}: {error.strerror}' if isinstance(error, OSError) and error.filename and error.strerror else str(error)
        print(f'error: {" ".join(what.split())}', file=sys.stderr)
        return 1
