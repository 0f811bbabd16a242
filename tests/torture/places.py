"""Hostile places: links planted under the names that we write, files where directories must go, no room left, and two
processes at once.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from base import FLAGS, SWEEP, Base, same_project, same_run, same_sweep
from outcome import Try, judge
from process import Process, run

RUN_NAMES = (
    'config.json',
    'metrics.jsonl',
    'summary.json',
    'graph.json',
    'quant.json',
    'qgraph.npz',
    'checkpoints',
    'tensorboard',
    '.lock',
)
PROJECT_NAMES = ('csim.json', 'build', 'project.json', 'qgraph.npz', 'tb_data', 'layers.h')


def of_links(base: Base, count: int, seed: int) -> Iterator[Try]:
    """A link under a name that we write, to a file or folder of somebody else's, which must stay as it is."""
    for number in range(count):
        rng = random.Random(f'{seed} {number}')
        whole, project = base.whole, base.project
        victim = base.folder / 'victim'
        shutil.rmtree(victim, ignore_errors=True)
        victim.mkdir()
        (victim / 'mine').write_text('mine')
        of_run = rng.random() < 0.6
        folder = base.copy(base.in_student if of_run else project, 'linked')
        name = rng.choice(RUN_NAMES if of_run else PROJECT_NAMES)
        name = f'.{name}.partial' if rng.random() < 0.3 and '.' in name[1:] else name
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(victim if rng.random() < 0.5 else victim / rng.choice(['mine', 'nothing']))
        what = f'seed {seed}, try {number}: {name} -> {os.readlink(path)}'
        if of_run:
            ended = run('experiments.train', *FLAGS, f'--workdir={folder}')
            outcome, detail = judge(
                ended, lambda folder=folder, whole=whole: same_run(folder, whole), [path.name, folder]
            )
        else:
            ended = run('hls_export.csim', str(folder))
            outcome, detail = judge(ended, lambda: True, [path.name, folder])
        if sorted(victim.iterdir()) != [victim / 'mine'] or (victim / 'mine').read_text() != 'mine':
            outcome, detail = 'wrong', "somebody else's file changed: " + detail
        yield Try('planted links', what, outcome, detail)


def of_places(base: Base, count: int, seed: int) -> Iterator[Try]:
    """Workdirs and outputs that cannot be, and must not lose what is there."""
    place, whole = base.folder / 'place', base.whole

    def fresh() -> Path:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        (place / 'mine').write_text('mine')
        return place

    export = ('experiments.export', f'--workdir={whole}')
    train = ('experiments.train', *FLAGS)
    cases = {
        'the current directory, overwritten': lambda here: run(*train, '--workdir=.', '--overwrite', cwd=here),
        'the parent, overwritten': lambda here: run(*train, f'--workdir={here}/..', '--overwrite', cwd=here),
        'a foreign directory, overwritten': lambda here: run(*train, f'--workdir={here}', '--overwrite'),
        'a sweep in a foreign directory': lambda here: run(
            'experiments.sweep', *SWEEP, f'--workdir={here}', '--overwrite'
        ),
        'a file as workdir': lambda here: run(*train, f'--workdir={here}/mine'),
        'under a file': lambda here: run(*train, f'--workdir={here}/mine/deeper'),
        'a project over foreign files': lambda here: run(*export, f'--out={here}', '--overwrite'),
        'a project over a file': lambda here: run(*export, f'--out={here}/mine', '--overwrite'),
        'a project in the current directory': lambda here: run(*export, '--out=.', '--overwrite', cwd=here),
        'the root': lambda here: run(*export, '--out=/', '--overwrite'),
        'a report of nothing': lambda here: run('experiments.report', f'--workdir={here}/none'),
        'a report of foreign files': lambda here: run('experiments.report', f'--workdir={here}'),
        'a simulation of foreign files': lambda here: run('hls_export.csim', str(here)),
        'an export of foreign files': lambda here: run('experiments.export', f'--workdir={here}', f'--out={here}/out'),
        'a teacher that is a file': lambda here: run(
            *train, f'--workdir={here}/w', f'--config.train.teacher_workdir={here}/mine'
        ),
    }
    for name, case in list(cases.items())[:count]:
        here = fresh()
        outcome, detail = judge(case(here), lambda: False)
        if (here / 'mine').read_text() != 'mine':
            outcome, detail = 'wrong', 'a foreign file changed: ' + detail
        yield Try('hostile places', name, outcome, detail)


def of_full_disks(base: Base, count: int, seed: int) -> Iterator[Try]:
    """No file may grow beyond a size: a named error, and with room again the same bits."""
    whole, workdir = base.whole, base.folder / 'full'

    def same() -> bool:
        return same_run(workdir, whole)

    for number in range(count):
        shutil.rmtree(workdir, ignore_errors=True)
        largest = int(2 ** random.Random(f'{seed} {number}').uniform(4, 17))
        command = ('experiments.train', *FLAGS, f'--workdir={workdir}')
        outcome, detail = judge(run(*command, largest_file=largest), same)
        if outcome == 'named':
            after, detail = judge(run(*command), same)
            outcome = {'same': 'named', 'named': 'raw'}.get(after, after)
        yield Try('full disk', f'seed {seed}, try {number}: files of at most {largest} bytes', outcome, detail)


def of_pairs(base: Base, count: int, seed: int) -> Iterator[Try]:
    """Two processes on one directory: one of them says who the other is, or waits; what is left is as of one alone."""
    path = base.folder / 'shared'
    train, sweep = (
        ('experiments.train', *FLAGS, f'--workdir={path}'),
        ('experiments.sweep', *SWEEP, f'--workdir={path}'),
    )
    export = ('experiments.export', f'--workdir={base.whole}', f'--out={path}', '--overwrite')
    fast, strict = (('hls_export.csim', str(path), f'--mode={mode}') for mode in ('fast', 'strict'))
    kinds = {  # the two commands, whether what they leave is right, and the seconds within which the second one starts
        'train': (train, train, lambda: same_run(path, base.whole), 4.0),
        'sweep': (sweep, sweep, lambda: same_sweep(path, base.sweep), 8.0),
        'export': (export, export, lambda: same_project(path, base.project), 0.2),
        'csim': (fast, strict, lambda: same_project(path, base.project), 1.0),
    }
    references = (base.whole, base.project, base.sweep)  # made before anything runs beside them
    for number in range(count):
        rng, kind = random.Random(f'{seed} {number}'), list(kinds)[number % len(kinds)]
        one, other, same, span_s = kinds[kind]
        shutil.rmtree(path, ignore_errors=True)
        if kind == 'csim':
            shutil.rmtree(base.copy(references[1], path.name) / 'build')
        first = Process(*one)
        time.sleep(rng.uniform(0, span_s))
        second = Process(*other)
        ended = [process.end() for process in (first, second)]  # before anything is judged
        judged = [judge(each, same, ['process ', 'finished']) for each in ended]
        outcomes = [outcome for outcome, _ in judged]
        outcome = (
            'wrong' if not same() else next((each for each in ('raw', 'wrong', 'named') if each in outcomes), 'same')
        )
        yield Try(f'two of {kind}', f'seed {seed}, try {number}', outcome, ' | '.join(detail for _, detail in judged))
