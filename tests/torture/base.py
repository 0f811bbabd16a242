"""What the tries start from and are compared with: a run, a sweep and a project that nothing disturbed, and runs that
were cut short.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import run_processes
from process import ROOT, Process, run

# From any directory.
FLAGS = tuple(flag.replace('=experiments/', f'={ROOT}/experiments/') for flag in run_processes.FLAGS)
SWEEP = (*FLAGS, '--weights=0,1', '--config.train.student.epochs=2')
TIMED = ('seconds', 'images_per_second')


@dataclasses.dataclass(frozen=True)
class Base:
    """Made on first use, in a folder of its own."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    @functools.cached_property
    def whole(self) -> Path:
        """A finished run."""
        return self._made('whole', lambda path: run('experiments.train', *FLAGS, f'--workdir={path}'))

    @functools.cached_property
    def project(self) -> Path:
        """Its project, simulated once."""
        path = self._made('project', lambda path: run('experiments.export', f'--workdir={self.whole}', f'--out={path}'))
        assert run('hls_export.csim', str(path)).status == 0
        return path

    @functools.cached_property
    def sweep(self) -> Path:
        """A finished sweep."""
        return self._made('sweep', lambda path: run('experiments.sweep', *SWEEP, f'--workdir={path}'))

    @functools.cached_property
    def in_student(self) -> Path:
        """A run that was killed while its student trained."""
        return self._cut('in_student', lambda path: (path / 'checkpoints' / 'student' / '24').exists())

    @functools.cached_property
    def in_qat(self) -> Path:
        """A run that was killed while the quantized network trained."""
        return self._cut('in_qat', lambda path: (path / 'checkpoints' / 'qat' / '4').exists())

    def copy(self, source: Path, name: str) -> Path:
        """A copy to be harmed, in place of an earlier one of that name."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        return Path(shutil.copytree(source, path, symlinks=True))

    def _made(self, name: str, make: Callable) -> Path:
        path = self.folder / name
        ended = make(path)
        assert ended.status == 0, ended
        return path

    def _cut(self, name: str, reached: Callable[[Path], bool]) -> Path:
        path = self.folder / name
        process = Process('experiments.train', *FLAGS, f'--workdir={path}')
        while not reached(path):
            assert process.alive(), process.end()
            time.sleep(0.002)
        process.kill()
        process.end()
        return path


def same_run(ours: Path, theirs: Path) -> bool:
    """Bit for bit what a run leaves, but for how long it took and where its teacher lies."""
    told = []
    for path in (ours, theirs):
        summary, config = _json(path / 'summary.json'), _json(path / 'config.json')
        for settings in (summary['config'], config):
            settings['train']['teacher_workdir'] = ''
        told.append(({key: value for key, value in summary.items() if key not in TIMED}, config))
    files = ('qgraph.npz', 'metrics.jsonl', 'graph.json', 'quant.json')
    return told[0] == told[1] and all((ours / name).read_bytes() == (theirs / name).read_bytes() for name in files)


def same_sweep(ours: Path, theirs: Path) -> bool:
    """The same table, runs and projects."""
    runs = [path.parent.name for path in sorted(theirs.glob('*/summary.json'))]
    return (ours / 'pareto.csv').read_bytes() == (theirs / 'pareto.csv').read_bytes() and all(
        same_run(ours / name, theirs / name) and same_project(ours / name / 'hls', theirs / name / 'hls')
        for name in runs
    )


def same_project(ours: Path, theirs: Path) -> bool:
    """The same files, but for what simulations leave; and nothing half-written beside it."""
    left = [path for path in ours.parent.iterdir() if path.name.startswith(f'.{ours.name}.')]
    return not left and _sources(ours) == _sources(theirs)


def same_simulation(ours: Path, theirs: Path) -> bool:
    one, other = (
        {key: value for key, value in _json(path / 'csim.json').items() if key not in TIMED} for path in (ours, theirs)
    )
    return one == other


def _sources(project: Path) -> dict[str, bytes]:
    names = (path.relative_to(project) for path in project.rglob('*') if path.is_file())
    return {
        str(name): (project / name).read_bytes()
        for name in names
        if name.parts[0] not in ('build', 'csim.json', '.lock')
    }


def _json(path: Path) -> dict:
    return json.loads(path.read_text())
