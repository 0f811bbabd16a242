"""Trains one network: teacher, gates under the expected hardware cost, binarization, quantization.

    python -m experiments.train --config=experiments/configs/digits_resnet8.py --workdir=W [--config.key=value ...]
    [--overwrite]

Writes W/summary.json (accuracies, gates, hardware before and after), W/metrics.jsonl, W/tensorboard, W/checkpoints,
W/config.json, W/graph.json and W/qgraph.npz. The same command goes on with an interrupted run from its last checkpoint.

Several processes train as one, on one host or many, each started with the same command and where it belongs (Slurm says
that itself):

    python -m experiments.train ... --coordinator_address=HOST:PORT --num_processes=2 --process_id=0
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from experiments import cli
from experiments.results import print_summary
from experiments.workdir import prepare_run


def main(options: Any) -> None:
    path = cli.required(options, 'workdir', 'runs/mine')
    from experiments import run  # only now: several processes must have joined before anything uses jax
    from tailor_jax.train import cluster

    run.check(options.config)
    workdir = Path(cluster.from_main(lambda: str(prepare_run(options.config, path, options.overwrite))))
    if cluster.is_main():
        print_summary(run.train(options.config, workdir), workdir)
        return
    with tempfile.TemporaryDirectory() as scratch:  # what the other processes write is of no use to anybody
        run.train(options.config, Path(scratch), quiet=True)


if __name__ == '__main__':
    _FLAGS = {
        'workdir': ('', 'Directory of the run.'),
        'overwrite': (False, 'Delete an earlier run in the workdir and start anew.'),
    }
    cli.run(main, _FLAGS, config=True, cluster=True)
