"""One file of a run, a sweep or a project with a bit flipped, cut short, empty, gone, or something else: then the
command that reads it.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from base import FLAGS, Base, same_project, same_run, same_simulation
from outcome import Try, judge
from process import run

KINDS = ('flip', 'flip', 'flip', 'cut', 'empty', 'delete', 'directory', 'pipe')


def harm(path: Path, kind: str, rng: random.Random) -> None:
    """Does one kind of damage to a file."""
    content = path.read_bytes()
    path.unlink()
    match kind:
        case 'flip' if content:
            flipped = bytearray(content)
            flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            path.write_bytes(flipped)
        case 'cut' if content:
            path.write_bytes(content[: rng.randrange(len(content))])
        case 'flip' | 'cut' | 'empty':
            path.write_bytes(b'')
        case 'delete':
            pass
        case 'directory':
            path.mkdir()
        case 'pipe':
            os.mkfifo(path)
        case _:
            raise ValueError(f'no damage {kind!r}; expected one of {KINDS}')


def _drawn(folder: Path, rng: random.Random, among: list[Path] | None = None) -> tuple[Path, str]:
    """(a file of a folder, a kind of damage that was done to it)"""
    files = sorted(path for path in among or folder.rglob('*') if path.is_file())
    path, kind = rng.choice(files), rng.choice(KINDS)
    harm(path, kind, rng)
    return path, kind


def of_unfinished_runs(base: Base, count: int, seed: int) -> Iterator[Try]:
    """The run goes on, from what is good, to the same bits; or says what is damaged."""
    for number in range(count):
        rng = random.Random(f'{seed} {number}')
        whole, source = base.whole, rng.choice([base.in_student, base.in_qat])
        workdir = base.copy(source, 'damaged_run')
        plain = [path for path in workdir.iterdir() if path.is_file()]
        path, kind = _drawn(workdir, rng, plain if rng.random() < 0.4 else None)
        ended = run('experiments.train', *FLAGS, f'--workdir={workdir}')
        outcome, detail = judge(
            ended, lambda workdir=workdir, whole=whole: same_run(workdir, whole), [path.name, workdir]
        )
        yield Try(
            'damage a run',
            f'seed {seed}, try {number}: {kind} {path.relative_to(workdir)} of {source.name}',
            outcome,
            detail,
        )


def of_finished_runs(base: Base, count: int, seed: int) -> Iterator[Try]:
    """Export gives the same project, or says what is damaged."""
    for number in range(count):
        rng = random.Random(f'{seed} {number}')
        project = base.project
        workdir, out = base.copy(base.whole, 'damaged_whole'), base.folder / 'damaged_export'
        shutil.rmtree(out, ignore_errors=True)
        path, kind = _drawn(workdir, rng, [path for path in workdir.iterdir() if path.is_file()])
        ended = run('experiments.export', f'--workdir={workdir}', f'--out={out}')
        outcome, detail = judge(ended, lambda out=out, project=project: _like(out, project), [path.name, workdir])
        yield Try(
            'damage a finished run', f'seed {seed}, try {number}: {kind} {path.relative_to(workdir)}', outcome, detail
        )


def _like(out: Path, project: Path) -> bool:
    """The same project, but for the network's name, which is the workdir's."""
    name = out / 'hardware.json'
    name.write_text(name.read_text().replace('"damaged_whole"', '"whole"'))
    return same_project(out, project)


def of_projects(base: Base, count: int, seed: int) -> Iterator[Try]:
    """The simulation gives the same numbers, or says what is damaged; a changed weight is a mismatch."""
    for number in range(count):
        rng = random.Random(f'{seed} {number}')
        project = base.copy(base.project, 'damaged_project')
        shutil.rmtree(project / 'build')
        (project / 'csim.json').unlink()
        path, kind = _drawn(project, rng)
        ended = run('hls_export.csim', str(project))
        outcome, detail = judge(
            ended, lambda project=project: same_simulation(project, base.project), [path.name, project]
        )
        yield Try('damage a project', f'seed {seed}, try {number}: {kind} {path.relative_to(project)}', outcome, detail)


def of_sweeps(base: Base, count: int, seed: int) -> Iterator[Try]:
    """The report of a finished sweep is the same, or says what is damaged."""
    for number in range(count):
        rng = random.Random(f'{seed} {number}')
        sweep = base.copy(base.sweep, 'damaged_sweep')
        before = (sweep / 'pareto.csv').read_bytes()
        read = [
            path
            for name in ('summary.json', 'csim.json', 'config.json', 'hls/hardware.json')
            for path in sweep.glob(f'*/{name}')
        ]
        path, kind = _drawn(sweep, rng, read)
        ended = run('experiments.report', f'--workdir={sweep}')
        outcome, detail = judge(
            ended,
            lambda sweep=sweep, before=before: (sweep / 'pareto.csv').read_bytes() == before,
            [path.name, path.parent],
        )
        if outcome == 'wrong' and f'left out: {path.parent.name} has no' in ended.output:
            outcome = 'named'
        yield Try('damage a sweep', f'seed {seed}, try {number}: {kind} {path.relative_to(sweep)}', outcome, detail)
