"""Trains one network: teacher, gates under the expected hardware cost, binarization, quantization.

    python -m experiments.train --config=experiments/configs/digits_resnet8.py --workdir=W [--config.key=value ...] [--overwrite]

Writes W/summary.json (accuracies, gates, hardware before and after), W/metrics.jsonl, W/tensorboard, W/checkpoints, W/config.json, W/graph.json
and W/qgraph.npz. The same command goes on with an interrupted run from its last checkpoint.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from experiments import cli
from experiments import config as config_lib
from experiments.results import print_summary


def prepare_workdir(config: ConfigDict, path: str, overwrite: bool) -> Path:
    """The workdir, new or with an unfinished run of the same config to go on with.

    Raises FileExistsError for a finished run, a run of another config, or files that are not a run's; `overwrite` deletes a run, never other files.
    """
    workdir = Path(path)
    if not workdir.exists() or (workdir.is_dir() and not any(workdir.iterdir())):
        return workdir
    record = workdir / 'config.json'
    if not record.exists():
        raise FileExistsError(f'{path} exists and holds no run of this program; choose another --workdir (--overwrite deletes only earlier runs)')
    if overwrite:
        shutil.rmtree(workdir)
        return workdir
    if record.read_text() != config_lib.to_json(config):
        raise FileExistsError(f'{path} holds a run with another config; choose another --workdir, or give --overwrite to delete it')
    if (workdir / 'summary.json').exists():
        raise FileExistsError(f'{path} holds a finished run of this config; choose another --workdir, or give --overwrite to train again')
    return workdir


def main(options: Any) -> None:
    workdir = prepare_workdir(options.config, cli.required(options, 'workdir', 'runs/mine'), options.overwrite)
    from experiments import run  # imports jax; bad flags should not wait for it

    print_summary(run.train(options.config, workdir), workdir)


if __name__ == '__main__':
    _FLAGS = {'workdir': ('', 'Directory of the run.'), 'overwrite': (False, 'Delete an earlier run in the workdir and start anew.')}
    cli.run(main, _FLAGS, config=True)
