"""The direction of imports (docs/architecture.md): no arrow back between the four folders, no circle between files."""

import ast
import functools
import graphlib
import subprocess
import sys
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
# The graph side: what of tailor_jax the two libraries import. None of it imports jax, directly or not.
GRAPH_SIDE = ('array_schedule', 'command', 'fields', 'files', 'graph', 'ops', 'streaming')
OF_TAILOR_JAX = {
    'costmodel': (
        *(*GRAPH_SIDE, 'build', 'rewrite'),
        *('dataflow.design', 'dataflow.folding', 'dataflow.folding_file', 'dataflow.packing', 'dataflow.plan'),
        *('dataflow.latency', 'dataflow.process', 'dataflow.slices'),
        'integers.fixed',
    ),
    'hls_export': (
        *(*GRAPH_SIDE, 'array_isa', 'node', 'integers.fixed', 'integers.mean', 'integers.qgraph'),
        *('dataflow.design', 'dataflow.folding', 'dataflow.latency', 'dataflow.packing', 'dataflow.plan'),
        *('dataflow.process', 'dataflow.slices'),
    ),
}
# Parts of the libraries that do: what is differentiable, and what reads its tables.
WITH_JAX = ('costmodel.expectation.budget', 'costmodel.expectation.expected')


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


@pytest.mark.parametrize('folder', OF_TAILOR_JAX)
def test_a_library_imports_the_graph_side_alone(folder):
    found = {other for name in modules() if name.split('.')[0] == folder for other in imported(name)}
    assert {name for name in found if name.startswith('tailor_jax')} == {
        f'tailor_jax.{name}' for name in OF_TAILOR_JAX[folder]
    }


def test_the_graph_side_both_libraries_and_the_start_of_a_program_load_no_jax():
    """Every module of them, imported in a process of its own; a `__main__` would run."""
    of_tailor_jax = ('tailor_jax.build', 'tailor_jax.integers', 'tailor_jax.node', 'tailor_jax.skips')
    sides = (*(f'tailor_jax.{name}' for names in OF_TAILOR_JAX.values() for name in names), *of_tailor_jax)
    chosen = [
        name
        for name in sorted(modules())
        if (name.split('.')[0] in OF_TAILOR_JAX or name.startswith(sides))
        and name not in WITH_JAX
        and not name.endswith('__main__')
    ]
    chosen.append('experiments.cli')
    assert len(chosen) > 80 and set(WITH_JAX) < set(modules())
    code = 'import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n'
    code += "    assert 'jax' not in sys.modules, name"
    result = subprocess.run([sys.executable, '-c', code, *chosen], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
