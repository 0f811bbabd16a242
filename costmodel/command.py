"""What the commands of this package have in common: `--help` with status 0; for what they cannot do one line `error: ...` and status 1."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from costmodel.cost import CostError

PICTURES = ('.png', '.pdf', '.svg', '.jpg', '.jpeg', '.webp', '.tif', '.tiff', '.eps', '.ps')


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


def check_picture(option: str, path: str) -> None:
    """Raises CostError naming the option where no picture can be written: before the work, not after it."""
    suffix = Path(path).suffix
    if suffix not in PICTURES or Path(path).is_dir():
        raise CostError(f'{option} must be a file with a suffix such as .png (one of {", ".join(PICTURES)}), got {path!r}')
    if not Path(path).parent.is_dir():
        raise CostError(f'{option}: there is no folder {str(Path(path).parent)!r}')
