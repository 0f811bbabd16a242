"""Interruption: real `experiments.train` processes killed where it hurts, stopped by signals, and gone on with, against
one that never was.
"""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_processes import (
    FLAGS,
    HOOK,
    HUNG_S,
    QUICK_TO_COMPILE,
    ROOT,
    assert_same_run,
    end,
    last_saved,
    rows,
    start,
    wait_for_step,
)

from experiments import cli
from experiments.config import ConfigError
from tailor_jax.train import interruption


@pytest.fixture(scope='module')
def environment(tmp_path_factory) -> dict[str, str]:
    """Programs are compiled once, and the same for all runs of this module."""
    hook = tmp_path_factory.mktemp('hook')
    (hook / 'sitecustomize.py').write_text(HOOK)
    return {
        'JAX_NUM_CPU_DEVICES': '1',
        'JAX_COMPILATION_CACHE_DIR': str(tmp_path_factory.mktemp('cache')),
        'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
        **QUICK_TO_COMPILE,
        'PYTHONPATH': str(hook),
        'KILL_AT': 'none none',
    }


@pytest.fixture(scope='module')
def whole(tmp_path_factory, environment) -> Path:
    """The run that nothing interrupts."""
    workdir = tmp_path_factory.mktemp('whole') / 'run'
    assert end(start('experiments.train', *FLAGS, f'--workdir={workdir}', **environment))[0] == 0
    return workdir


# In the order in which a run comes by; each ends a process, and the next one goes on.
KILLS = {
    'before the first file is complete': 'os.rename *.config.json.partial',
    'while the first checkpoint is written': 'os.rename */checkpoints/teacher/4.orbax-checkpoint-tmp*',
    'between two phases': 'os.mkdir */checkpoints/student',
    'while an old checkpoint is deleted': 'os.remove _METADATA',
    'before quant.json': 'os.rename */.quant.json.partial',
    'after quant.json': 'os.mkdir */checkpoints/qat',
    'before the summary': 'os.rename */.summary.json.partial',
}


def test_killed_again_and_again_it_ends_as_the_run_that_nothing_interrupts(whole, environment, tmp_path):
    workdir = tmp_path / 'run'
    command = ('experiments.train', *FLAGS, f'--workdir={workdir}')
    for where, kill_at in KILLS.items():
        status, errors = end(start(*command, **environment | {'KILL_AT': kill_at}))
        assert status == -signal.SIGKILL, f'{where}: {errors}'
    assert end(start(*command, **environment))[0] == 0
    assert_same_run(workdir, whole)
    status, errors = end(start(*command, **environment))
    assert status == 1 and 'holds a finished run of this config' in errors


def test_stopped_by_signals_and_killed_in_an_epoch(whole, environment, tmp_path):
    workdir = tmp_path / 'run'
    command = ('experiments.train', *FLAGS, f'--workdir={workdir}')
    for step, number in ((4, signal.SIGTERM), (20, signal.SIGINT), (36, signal.SIGKILL)):
        process = start(*command, **environment)
        wait_for_step(process, workdir, 'student', step)
        process.send_signal(number)
        status, errors = end(process)
        if number == signal.SIGKILL:
            assert status == -number
            continue
        assert status == interruption.STATUS and 'Traceback' not in errors, errors
        stopped = int(
            re.search(r"interrupted in phase 'student' after step (\d+) of 48; what was done is saved", errors)[1]
        )
        assert step <= stopped == last_saved(workdir, 'student') == rows(workdir)[-1]['step']
    assert end(start(*command, **environment))[0] == 0
    assert_same_run(workdir, whole)


def test_a_sweep_stops_and_goes_on(environment, tmp_path):
    teacher = tmp_path / 'sweep' / 'teacher_seed0'
    command = (
        'experiments.sweep',
        *FLAGS,
        '--weights=0,1',
        f'--workdir={tmp_path}/sweep',
        '--config.train.teacher.epochs=1000',
    )
    steps = []
    for _ in range(2):
        process = start(*command, **environment)
        wait_for_step(process, teacher, 'teacher', 4 + (steps[-1] if steps else 0))
        process.terminate()
        status, errors = end(process)
        assert status == interruption.STATUS, errors
        steps.append(last_saved(teacher, 'teacher'))
    assert [row['step'] for row in rows(teacher)] == list(range(1, steps[1] + 1))


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    'work', ['while True: pass', "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"], ids=['in Python', 'out of Python']
)
def test_a_second_signal_ends_at_once_and_an_echo_of_the_first_does_not(number, work):
    program = (
        'import hashlib; from tailor_jax.train import interruption; interruption.Handler().install()\n'
        f'with interruption.held():\n    print("held", flush=True)\n    {work}\n'
    )
    process = subprocess.Popen([sys.executable, '-c', program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'held\n'
    process.send_signal(number)
    process.send_signal(number)
    time.sleep(2 * interruption.ONE_SIGNAL_S)
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(timeout=HUNG_S) == 128 + number


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    'work', ['while True: pass', "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"], ids=['in Python', 'out of Python']
)
def test_what_does_not_end_in_time_is_ended_and_says_so(number, work):
    program = (
        'import hashlib; from tailor_jax.train import interruption; interruption.Handler(stop_s=1).install()\n'
        f'with interruption.held():\n    print("held", flush=True)\n    {work}\n'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == 'held\n'
    process.send_signal(number)
    start = time.monotonic()
    _, errors = process.communicate(timeout=HUNG_S)
    assert process.returncode == 128 + number and time.monotonic() - start > 0.9
    assert (
        errors
        == f'still not done 1 s after {number.name}; ended. What was saved stays, and the same command goes on from '
        'there\n'
    )


def test_a_run_that_hangs_where_it_saves_is_ended_and_goes_on(environment, tmp_path):
    hook = HOOK.replace(
        'os.kill(os.getpid(), signal.SIGKILL)', 'import time; print("hangs", flush=True); time.sleep(600)'
    )
    (tmp_path / 'sitecustomize.py').write_text(hook)
    command = ('experiments.train', *FLAGS, f'--workdir={tmp_path}/run')
    hanging = {
        'PYTHONPATH': str(tmp_path),
        'KILL_AT': KILLS['while the first checkpoint is written'],
        'TAILOR_JAX_STOP_SECONDS': '1',
    }
    process = start(*command, **environment | hanging)
    assert process.stdout.readline() == 'hangs\n'
    for more in ([], ['--overwrite']):
        status, errors = end(start(*command, *more, **environment))
        assert status == 1 and f'error: {tmp_path}/run is in use by process {process.pid} on ' in errors, errors
    process.terminate()
    status, errors = end(process)
    assert status == 128 + signal.SIGTERM and 'still not done 1 s after SIGTERM; ended' in errors, errors
    process = start(*command, **environment)
    wait_for_step(process, tmp_path / 'run', 'teacher', 8)
    process.kill()
    process.communicate()


@pytest.mark.parametrize('text', ['0', '-1', 'nan', 'inf', 'soon', ''])
def test_seconds_that_make_no_sense_are_refused(text, monkeypatch):
    monkeypatch.setenv(cli.STOP_SECONDS, text)
    with pytest.raises(ConfigError, match=f"TAILOR_JAX_STOP_SECONDS is '{text}' in the environment; expected seconds"):
        cli._stop_seconds()


def test_a_bad_environment_ends_a_program_with_status_1():
    status, errors = end(start('experiments.report', '--workdir=nowhere', TAILOR_JAX_STOP_SECONDS='soon'))
    assert status == 1 and "error: TAILOR_JAX_STOP_SECONDS is 'soon'" in errors and 'Traceback' not in errors


def test_without_a_handler_signals_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)
    with interruption.held() as signalled:
        assert not signalled()
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_nobody_holds_is_interrupted_at_once():
    handler = interruption.Handler()
    with pytest.raises(interruption.Interrupted, match='interrupted by SIGTERM'):
        handler(signal.SIGTERM, None)
    handler(signal.SIGTERM, None)
