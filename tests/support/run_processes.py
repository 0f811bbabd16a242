"""Real `python -m experiments...` processes for tests: a tiny run, waiting for its steps, comparing what two runs
leave.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

ROOT = Path(__file__).parents[2]
HUNG_S = 3600  # ends what hangs; what is only slow, on a busy machine, takes less
# A small network compiles in a third of the time that the smallest ResNet takes. Steps: 8 an epoch, saved every 4.
NETWORK = [
    '--config=experiments/configs/digits.py',
    '--config.model.builder=docs.examples.two_skips:net',
    '--config.model.width=4',
]
TIMES = [
    '--config.cost.dataflow.interval_cycles=4096',
    '--config.data.train_split=train[:20%]',
    '--config.train.batch_size=32',
    '--config.train.save_every_epochs=0.5',
    '--config.train.teacher.epochs=1',
    '--config.train.student.epochs=6',
    '--config.train.finetune.epochs=0',
    '--config.train.qat.epochs=1',
]
FLAGS = [*NETWORK, *TIMES]
QUICK_TO_COMPILE = {'XLA_FLAGS': '--xla_backend_optimization_level=0'}

# Every file event of the process passes this: the first that is named in KILL_AT ends it, before it happens, as a
# SIGKILL from outside would.
HOOK = """
import fnmatch, os, signal, sys
event, pattern = os.environ['KILL_AT'].split()
def kill(name, arguments):
    if name == event and any(fnmatch.fnmatch(str(argument), pattern) for argument in arguments):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
"""


def start(module: str, *flags: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, '-m', module, *flags],
        cwd=ROOT,
        env=os.environ | {'TAILOR_JAX_STOP_SECONDS': str(HUNG_S)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen) -> tuple[int, str]:
    """(exit status, what it wrote to stderr)"""
    _, errors = process.communicate(timeout=HUNG_S)
    return process.returncode, errors


def rows(workdir: Path) -> list[dict]:
    path = workdir / 'metrics.jsonl'
    return (
        [json.loads(line) for line in path.read_text().splitlines(True) if line.endswith('\n')] if path.exists() else []
    )


def wait_for_step(process: subprocess.Popen, workdir: Path, phase: str, step: int) -> None:
    while not any(row.get('phase') == phase and row['step'] >= step for row in rows(workdir)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def last_saved(workdir: Path, phase: str) -> int:
    return max(int(path.name) for path in (workdir / 'checkpoints' / phase).iterdir() if path.name.isdigit())


def assert_same_run(ours: Path, theirs: Path) -> None:
    """Bit for bit: the integer network, every metrics row, every checkpoint; and all the summary says but how long it
    took.
    """
    for name in ('qgraph.npz', 'metrics.jsonl', 'graph.json', 'quant.json', 'config.json'):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    for phase in (path.name for path in sorted((theirs / 'checkpoints').iterdir())):
        assert last_saved(ours, phase) == last_saved(theirs, phase)
        one, other = (
            ocp.StandardCheckpointer().restore(each / 'checkpoints' / phase / str(last_saved(each, phase)) / 'state')
            for each in (ours, theirs)
        )
        jax.tree.map(np.testing.assert_array_equal, one, other)
    one, other = (json.loads((each / 'summary.json').read_text()) for each in (ours, theirs))
    assert all(
        one[key] == other[key] for key in one.keys() | other.keys() if key not in ('seconds', 'images_per_second')
    )
