"""The wheel holds all that the demo's command needs, and runs where nothing else of ours is. (`make wheel`: whole.)"""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from run_processes import HUNG_S, ROOT, TIMES

DEMO = ['--config=experiments/configs/digits_resnet8.py', '--config.model.width=4', *TIMES]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=HUNG_S,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, since a build leaves files in its tree."""
    tree, made = tmp_path_factory.mktemp('tree'), tmp_path_factory.mktemp('wheel')
    tracked = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    run('-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation', '--wheel-dir', made, tree, cwd=tree)
    (found,) = made.glob('*.whl')
    return found


def test_it_holds_every_file_of_the_four_packages_and_no_other(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if '.dist-info/' not in name}
    tracked = subprocess.run(
        ['git', 'ls-files', 'tailor_jax', 'costmodel', 'hls_export', 'experiments'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert names == {name for name in tracked.stdout.splitlines() if (ROOT / name).is_file()}


def test_it_runs_the_demo_where_nothing_of_ours_is(wheel, tmp_path):
    installed, empty = tmp_path / 'installed', tmp_path / 'empty'
    empty.mkdir()
    run('-m', 'pip', 'install', '--quiet', '--no-deps', '--target', installed, wheel, cwd=empty)
    where = run(
        '-c', 'import experiments, hls_export; print(experiments.__file__)', cwd=empty, PYTHONPATH=str(installed)
    )
    assert Path(where.strip()).is_relative_to(installed)
    run('-m', 'experiments.sweep', *DEMO, '--workdir=out', '--weights=0', cwd=empty, PYTHONPATH=str(installed))
    simulated = json.loads((empty / 'out' / 'weight0_seed0' / 'csim.json').read_text())
    assert simulated['mismatched_values'] == 0 and simulated['images'] > 0
