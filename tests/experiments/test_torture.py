"""A small sample of `make torture` in a process of its own, which forks its tries."""

import subprocess
import sys
from pathlib import Path

from run_processes import HUNG_S


def test_a_sample_of_the_torture_has_nothing_wrong_and_nothing_raw(tmp_path):
    command = [sys.executable, 'tests/torture', '--tries=0.003', f'--folder={tmp_path}', '--seed=7']
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=HUNG_S)
    assert done.returncode == 0, done.stdout + done.stderr
    columns = done.stdout.splitlines()[-1].split()
    assert columns[0] == 'total' and int(columns[1]) > 40 and columns[-2:] == ['0', '0']
