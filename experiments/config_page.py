"""The page of every config key.

    python -m experiments.config_page                   # prints docs/config.md
    python -m experiments.config_page docs/config.md    # writes it

It is made of `experiments.keys`, which is where a key is changed.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.config import ConfigError
from experiments.fidelity.markdown import markdown_table
from experiments.keys import KEYS, SECTIONS, Choices, Key
from experiments.methods import METHODS
from experiments.network import SOURCES
from tailor_jax import files
from tailor_jax.build import NETWORKS, SKIPS
from tailor_jax.command import Parser, status

OF_METHODS = {  # checked with the methods, which need a config to be checked
    'method': Choices(tuple(METHODS)),
    'model.skips': Choices(SKIPS),
}
HEAD = """# Config keys

Written by `python -m experiments.config_page docs/config.md` from `experiments/keys.py`. A config file sets a key as
`config.train.batch_size = 32`, a command line as `--config.train.batch_size=32`
([training.md](training.md#config-files))."""
_TYPES = {bool: 'True or False', int: 'integer', float: 'number', str: 'text', tuple: 'texts'}


def page() -> str:
    """The whole page, in Markdown: a table a section."""
    sections: dict[str, list[list[str]]] = {}
    for key, each in KEYS.items():
        sections.setdefault(key.rpartition('.')[0], []).append(_row(key, each))
    parts = [HEAD]
    for section, rows in sections.items():
        parts += [f'## {section}', SECTIONS.get(section, '')] if section else []
        parts.append(markdown_table(['key', 'type', 'default', 'takes', 'meaning'], rows))
    return '\n\n'.join(part for part in parts if part) + '\n'


def _row(key: str, each: Key) -> list[str]:
    kind = _TYPES[each.type] + (' or None' if each.default is None else '')
    default = '' if each.default in ('', ()) else f'`{each.default}`'
    taken = OF_METHODS.get(key, each.takes)
    match taken:
        case None:
            takes = ''
        case Choices(known):
            takes = ', '.join(f'`{name}`' for name in known)
        case _:
            takes = taken.expected
    return [f'`{key}`', kind, default, takes, each.help + _of_builders(key)]


def _of_builders(key: str) -> str:
    """What the builders of networks take where a key of `model` is None: '; 8 (`resnet`); 29 (`resnext29`)'."""
    section, _, name = key.rpartition('.')
    users: dict[str, list[str]] = {}
    for network, builder in NETWORKS.items() if section == 'model' and name not in SOURCES else ():
        parameter = inspect.signature(builder).parameters.get(name)
        if parameter is not None and parameter.default is not None:
            users.setdefault(str(parameter.default), []).append(f'`{network}`')
    return ''.join(f'; {default} ({", ".join(names)})' for default, names in users.items())


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    return status(lambda: _run(argv), ValueError)


def _run(argv: Sequence[str]) -> int:
    parser = Parser('python -m experiments.config_page', __doc__)
    parser.add_argument('page', metavar='FILE.md', nargs='?', type=Path, help='write the page')
    path = parser.parse_args(argv).page
    if path is None:
        print(page(), end='')
        return 0
    if path.suffix != '.md' or not path.parent.is_dir():
        raise ConfigError(f'expected a page FILE.md in a folder that exists, got {str(path)!r}')
    files.write(path, page())
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
