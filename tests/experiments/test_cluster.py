"""Several processes as one: two on this machine, as two hosts, against one process with two devices, through
`experiments.train` itself.
"""

import json
import re
import signal
import socket
import subprocess

import pytest
from run_processes import FLAGS, QUICK_TO_COMPILE, assert_same_run, end, last_saved, start, wait_for_step

from tailor_jax.train import cluster, interruption

SHORT = [*FLAGS, '--config.train.student.epochs=2', '--config.train.qat.epochs=0']


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def by_flags(index: int, port: int) -> tuple[list[str], dict[str, str]]:
    return [f'--coordinator_address=127.0.0.1:{port}', '--num_processes=2', f'--process_id={index}'], {}


def by_slurm(index: int, port: int) -> tuple[list[str], dict[str, str]]:
    """The environment that srun makes; the port is otherwise computed from the job's number."""
    slurm = {'JOB_ID': '7', 'STEP_NODELIST': '127.0.0.1', 'NTASKS': '2', 'PROCID': str(index), 'LOCALID': '0'}
    return [], {f'SLURM_{name}': value for name, value in slurm.items()} | {'JAX_COORDINATOR_PORT': str(port)}


def start_two(launcher, *flags: str) -> list[subprocess.Popen]:
    port, processes = free_port(), []
    for index in (0, 1):
        more, environment = launcher(index, port)
        processes.append(
            start('experiments.train', *flags, *more, JAX_NUM_CPU_DEVICES='1', **QUICK_TO_COMPILE, **environment)
        )
    return processes


def end_all(processes: list[subprocess.Popen]) -> list[tuple[int, str]]:
    return [end(process) for process in processes]


def test_two_processes_stopped_and_resumed_train_as_one_with_two_devices(tmp_path):
    """Bit for bit: the sum over two devices does not depend on its order."""
    one, two = tmp_path / 'one', tmp_path / 'two'
    assert (
        end(start('experiments.train', *SHORT, f'--workdir={one}', JAX_NUM_CPU_DEVICES='2', **QUICK_TO_COMPILE))[0] == 0
    )

    processes = start_two(by_slurm, *SHORT, f'--workdir={two}')
    wait_for_step(processes[0], two, 'student', 4)
    processes[1].send_signal(signal.SIGTERM)  # both must stop, after the same step
    ended = end_all(processes)
    assert [status for status, _ in ended] == [interruption.STATUS] * 2, ended
    stopped = {
        int(re.search(r"interrupted in phase 'student' after step (\d+) of 16", errors)[1]) for _, errors in ended
    }
    assert stopped == {last_saved(two, 'student')}

    ended = end_all(start_two(by_flags, *SHORT, f'--workdir={two}'))
    assert [status for status, _ in ended] == [0, 0], ended
    assert_same_run(two, one)
    assert json.loads((two / 'summary.json').read_text())['accuracy'].keys() >= {
        'teacher',
        'gated',
        'binarized',
        'quantized',
    }


def test_when_one_process_dies_the_other_ends_too(tmp_path):
    processes = start_two(by_flags, *SHORT, f'--workdir={tmp_path}/run', '--config.train.teacher.epochs=1000')
    wait_for_step(processes[0], tmp_path / 'run', 'teacher', 4)
    processes[1].kill()
    status, errors = end(processes[0])
    assert status not in (0, interruption.STATUS) and errors
    end(processes[1])


def test_what_process_0_cannot_do_ends_both_with_the_reason(tmp_path):
    (tmp_path / 'precious.txt').write_text('mine')
    (first, first_errors), (second, second_errors) = end_all(start_two(by_flags, *SHORT, f'--workdir={tmp_path}'))
    assert (first, second) == (1, 1)
    assert 'is not of a run of this program' in first_errors and 'process 0 failed: FileExistsError' in second_errors
    assert [path.name for path in tmp_path.iterdir()] == ['precious.txt']


def test_a_process_that_is_told_half_is_told_what_is_missing():
    with pytest.raises(cluster.ClusterError, match='^coordinator_address, process_id missing'):
        cluster.join(num_processes=2)


def test_alone_nothing_changes():
    assert not cluster.join()
    assert cluster.is_main() and cluster.from_main(lambda: 'value') == 'value'
    vote = cluster.Vote()
    assert vote(True) and not vote(False)
    cluster.leave(1, orderly=False)
