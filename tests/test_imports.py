"""The direction of imports (docs/architecture.md): no arrow back between the four folders, no circle between files."""

import ast
import functools
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What each folder may import of the others; docs/architecture.md says why.
ALLOWED = {
    'tailor_jax': (),
    'costmodel': ('tailor_jax',),
    'hls_export': ('tailor_jax',),
    'experiments': ('tailor_jax', 'costmodel', 'hls_export'),
}


@functools.cache
def modules() -> dict[str, Path]:
    """{dotted name: file} of every module of ours; a package stands for its __init__.py."""
    paths = [path for folder in ALLOWED for path in (ROOT / folder).rglob('*.py')]
    return {'.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): path for path in paths}


@functools.cache
def imported(name: str) -> set[str]:
    """The modules of ours that a module imports anywhere in its file, in functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text())):
        match node:
            case ast.Import(names=names):
                found.update(each.name for each in names)
            case ast.ImportFrom(module=str(source), names=names):
                found.update(each if (each := f'{source}.{alias.name}') in modules() else source for alias in names)
    return {each for each in found if each in modules() and each != name}


def test_no_arrow_goes_back_between_the_folders():
    arrows = {(name, other) for name in modules() for other in imported(name)}
    assert len(arrows) > 300
    back = [
        (name, other)
        for name, other in arrows
        if (of := name.split('.')[0]) != (to := other.split('.')[0]) and to not in ALLOWED[of]
    ]
    assert not back


def test_no_two_files_import_each_other_and_no_circle_is_longer():
    try:
        graphlib.TopologicalSorter({name: imported(name) for name in modules()}).prepare()
    except graphlib.CycleError as error:
        pytest.fail(' -> '.join(error.args[1]))
