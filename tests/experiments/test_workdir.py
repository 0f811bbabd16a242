"""Directories of runs and sweeps: one process at a time, nothing but our own deleted or written, no link followed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from run_processes import HUNG_S, ROOT, start

from experiments import config as config_lib
from experiments import report, run
from experiments.config import ConfigError
from experiments.configs import digits_resnet8
from experiments.export import export
from experiments.summary import read_summary
from experiments.workdir import FINISHED, held, prepare_comparison, prepare_run, prepare_sweep
from tailor_jax import files

PREPARE = {'config.json': prepare_run, 'sweep.json': prepare_sweep, 'compare.json': prepare_comparison}
COMMAND = ['--config=experiments/configs/digits_resnet8.py', '--config.model.width=4']


def small_config():
    config = digits_resnet8.get_config()
    config.model.width = 4
    return config


def content(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob('*')
        if path.is_file() and not path.is_symlink()
    }


def unfinished(directory: Path) -> Path:
    """What a run leaves that is killed in its second phase; its checkpoints are of no use here."""
    prepare_run(small_config(), str(directory), overwrite=False)
    for name in (
        'checkpoints/teacher/8/state',
        'checkpoints/teacher/damaged_4',
        'checkpoints/student/12.orbax-checkpoint-tmp-3',
        'tensorboard',
    ):
        (directory / name).mkdir(parents=True)
    for name in (
        'checkpoints/teacher/8/state/_METADATA',
        'tensorboard/events.out.tfevents.17.host',
        'metrics.jsonl',
        '.quant.json.partial',
    ):
        (directory / name).write_text('')
    return directory


def unfinished_sweep(directory: Path) -> Path:
    prepare_sweep(small_config(), str(directory), overwrite=False)
    unfinished(directory / 'weight0_seed0')
    return directory


@pytest.fixture
def holder():
    """A process that holds the lock of a directory."""
    holders = []

    def hold(directory: Path) -> subprocess.Popen:
        program = (
            f'import sys\nfrom tailor_jax import files\nwith files.locked({str(directory)!r}):\n    '
            'print("held", flush=True)\n    sys.stdin.read()\n'
        )
        process = subprocess.Popen(
            [sys.executable, '-c', program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == 'held\n'
        holders.append(process)
        return process

    yield hold
    for process in holders:
        process.kill()
        process.wait()


def test_the_second_process_is_told_of_the_first_and_changes_nothing(tmp_path, holder):
    first = holder(unfinished(tmp_path / 'w'))
    before = content(tmp_path / 'w')
    message = f'{tmp_path}/w is in use by process {first.pid} on '
    for overwrite in (False, True):
        with pytest.raises(files.LockedError, match=message):
            prepare_run(small_config(), str(tmp_path / 'w'), overwrite)
    for work in (run.train, run.teacher_accuracy):
        with pytest.raises(files.LockedError, match=message):
            work(small_config(), tmp_path / 'w')
    assert content(tmp_path / 'w') == before
    first.kill()
    first.wait()
    prepare_run(small_config(), str(tmp_path / 'w'), overwrite=True)


@pytest.mark.parametrize(
    'module, record',
    [
        ('experiments.train', 'config.json'),
        ('experiments.sweep', 'sweep.json'),
        ('experiments.compare', 'compare.json'),
    ],
)
def test_every_command_says_who_is_there(module, record, tmp_path, holder):
    config = small_config()
    PREPARE[record](config, str(tmp_path / 'w'), overwrite=False)
    first = holder(tmp_path / 'w')
    second = start(
        module, *COMMAND, f'--workdir={tmp_path}/w', '--overwrite', *(['--weights=0'] if 'sweep' in module else [])
    )
    _, errors = second.communicate(timeout=HUNG_S)
    assert second.returncode == 1 and f'error: {tmp_path}/w is in use by process {first.pid} on ' in errors, errors
    assert 'Traceback' not in errors


def test_a_report_waits_for_nobody_and_locks_nothing_foreign(tmp_path, holder, monkeypatch):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='holds no finished run'):
        report.main(type('Options', (), {'workdir': str(tmp_path / 'empty')}))
    assert not list((tmp_path / 'empty').iterdir())
    unfinished_sweep(tmp_path / 's')
    monkeypatch.setattr(report.pareto, 'rows_of', lambda directory: [{'run': 'a'}])
    first, before = holder(tmp_path / 's'), content(tmp_path / 's')
    with pytest.raises(files.LockedError, match=f'process {first.pid}'):
        report.main(type('Options', (), {'workdir': str(tmp_path / 's')}))
    assert content(tmp_path / 's') == before


def test_a_sweep_is_not_deleted_while_one_of_its_runs_is_trained(tmp_path, holder):
    directory = unfinished_sweep(tmp_path / 's')
    first, before = holder(directory / 'weight0_seed0'), content(directory)
    with pytest.raises(files.LockedError, match=f'weight0_seed0 is in use by process {first.pid} on '):
        prepare_sweep(small_config(), str(directory), overwrite=True)
    assert content(directory) == before


def test_what_became_anothers_between_preparing_and_working_is_left_alone(tmp_path):
    other = small_config()
    other.seed = 5
    directory = prepare_run(small_config(), str(tmp_path / 'w'), overwrite=False)
    prepare_run(other, str(directory), overwrite=True)
    before = content(directory)
    with pytest.raises(FileExistsError, match='config.json is of another config'):
        run.train(small_config(), directory)
    assert content(directory) == before


def test_a_sweep_that_moved_goes_on(tmp_path):
    """Where the teacher lies is part of a run's config, and changes with the sweep's place."""
    config = small_config()
    for place in ('here', 'there'):
        config.train.teacher_workdir = str(tmp_path / place)
        with held(tmp_path / 'w', 'config.json', config):
            assert json.loads((tmp_path / 'w' / 'config.json').read_text())['train']['teacher_workdir'] == str(
                tmp_path / place
            )


@pytest.mark.parametrize('place', ['.', '..', '/', '~', 'above home'])
def test_overwrite_refuses_what_nobody_means_to_delete(place, tmp_path, monkeypatch):
    home = unfinished(tmp_path / 'users' / 'me')
    here = unfinished(tmp_path / 'work' / 'run')
    monkeypatch.setenv('HOME', str(home))
    monkeypatch.chdir(here)
    path = {'~': str(home), 'above home': str(tmp_path / 'users')}.get(place, place)
    before = content(tmp_path)
    with pytest.raises(
        FileExistsError, match=r'is (your home|the current directory), or holds it; --overwrite does not delete that'
    ):
        prepare_run(small_config(), path, overwrite=True)
    assert content(tmp_path) == before
    assert prepare_run(small_config(), '.', overwrite=False) == Path('.')  # going on there deletes nothing


@pytest.mark.parametrize(
    'planted',
    [
        'precious.txt',
        'checkpoints/notes.txt',
        'checkpoints/teacher/thesis',
        'tensorboard/thesis.pdf',
        'hls/main.cpp',
        '.hls.abcd1234/main.cpp',
        '.hidden',
    ],
)
def test_overwrite_deletes_only_what_a_run_wrote(planted, tmp_path):
    directory = unfinished(tmp_path / 'w')
    (directory / planted).parent.mkdir(exist_ok=True)
    (directory / planted).write_text('mine')
    before = content(directory)
    with pytest.raises(FileExistsError, match=f"'{planted.partition('/')[0]}' there is not of a run of this program"):
        prepare_run(small_config(), str(directory), overwrite=True)
    assert content(directory) == before


@pytest.mark.parametrize(
    'name',
    [
        'config.json',
        '.config.json.partial',
        'metrics.jsonl',
        'checkpoints',
        'tensorboard',
        'quant.json',
        '.lock',
        'hls',
    ],
)
@pytest.mark.parametrize('overwrite', [False, True])
def test_a_planted_link_is_named_and_nothing_is_written_or_deleted_through_it(name, overwrite, tmp_path):
    directory, victim = unfinished(tmp_path / 'w'), tmp_path / 'victim'
    shutil.copytree(directory, victim)
    target = victim / name if (victim / name).exists() else victim
    path = directory / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    before, here = content(victim), content(directory)
    with pytest.raises(FileExistsError, match=f"'{name}' there is a symbolic link"):
        prepare_run(small_config(), str(directory), overwrite)
    assert content(victim) == before and content(directory) == here


def aged(path: Path) -> None:
    """Makes a config file that of an older release, with a key that there is no more."""
    found = json.loads(path.read_text())
    found['version'], found['cost']['device'] = 1, found['cost'].pop('dataflow')['device']
    path.write_text(json.dumps(found))


@pytest.mark.parametrize('record, what', [('config.json', 'run'), ('sweep.json', 'sweep')])
def test_a_run_of_an_older_release_is_told_as_such_and_deleted_as_one_of_today(record, what, tmp_path):
    directory = (unfinished if what == 'run' else unfinished_sweep)(tmp_path / 'w')
    for path in (directory / record, *directory.glob('*/config.json')):
        aged(path)
    before = content(directory)
    with pytest.raises(
        FileExistsError,
        match=f'w holds a {what} of an older release: {record} is of version 1, and this one reads version 2; choose '
        'another --workdir, or give --overwrite',
    ):
        PREPARE[record](small_config(), str(directory), overwrite=False)
    (directory / 'mine').write_text('')
    with pytest.raises(FileExistsError, match=f"'mine' there is not of a {what} of this program"):
        PREPARE[record](small_config(), str(directory), overwrite=True)
    (directory / 'mine').unlink()
    assert content(directory) == before
    PREPARE[record](small_config(), str(directory), overwrite=True)
    assert {path.name for path in directory.iterdir()} == {record, files.LOCK}


def test_a_run_of_an_older_release_is_not_exported(tmp_path):
    directory = unfinished(tmp_path / 'w')
    for name in FINISHED:
        (directory / name).write_text('')
    aged(directory / 'config.json')
    with pytest.raises(ConfigError, match='w/config.json is of version 1, from an older release, .*; train anew in'):
        export(directory, tmp_path / 'p')


def test_a_link_deep_in_a_sweep_is_named(tmp_path):
    directory = unfinished_sweep(tmp_path / 's')
    (tmp_path / 'victim').mkdir()
    link = directory / 'weight0_seed0' / 'checkpoints' / 'student' / '8'
    link.symlink_to(tmp_path / 'victim')
    with pytest.raises(FileExistsError, match=f'{link} is a symbolic link'):
        prepare_sweep(small_config(), str(directory), overwrite=True)
    assert link.is_symlink()


def test_metrics_are_not_written_through_a_link(tmp_path):
    (tmp_path / 'victim').write_text('{"step": 1}\n')
    (tmp_path / 'w').mkdir()
    (tmp_path / 'w' / 'metrics.jsonl').symlink_to(tmp_path / 'victim')
    with pytest.raises(OSError):
        run.Metrics(tmp_path / 'w', quiet=True)
    assert (tmp_path / 'victim').read_text() == '{"step": 1}\n'


def test_a_sweep_killed_in_an_export_goes_on(tmp_path):
    directory = unfinished_sweep(tmp_path / 's')
    work = directory / 'weight0_seed0' / '.hls.abcd_123'
    (work / 'project' / 'tb_data').mkdir(parents=True)
    (work / files.LOCK).touch()
    assert prepare_sweep(small_config(), str(directory), overwrite=False) == directory and work.is_dir()
    assert prepare_run(small_config(), str(work.parent), overwrite=False) == work.parent
    prepare_sweep(small_config(), str(directory), overwrite=True)
    assert not work.exists()


def test_a_run_is_finished_when_all_it_writes_at_its_end_is_there(tmp_path):
    directory = unfinished(tmp_path / 'w')
    for name in FINISHED:
        assert prepare_run(small_config(), str(directory), overwrite=False) == directory
        (directory / name).write_text('')
    with pytest.raises(FileExistsError, match='holds a finished run'):
        prepare_run(small_config(), str(directory), overwrite=False)


def test_damaged_files_are_named_with_the_remedy(tmp_path):
    directory = unfinished(tmp_path / 'w')
    (directory / 'summary.json').write_text('{"accuracy": 0.')
    with pytest.raises(
        ConfigError,
        match=r'summary.json is damaged, or no JSON: .*; delete it, and the command that wrote it writes it again',
    ):
        read_summary(directory / 'summary.json')
    (directory / 'config.json').write_bytes(config_lib.to_json(small_config()).encode()[:-40])
    with pytest.raises(
        FileExistsError, match=r'w/config.json is damaged, or no JSON: .*; put a good copy in its place'
    ):
        prepare_run(small_config(), str(directory), overwrite=True)
    assert os.path.exists(directory / 'checkpoints' / 'teacher' / '8')
