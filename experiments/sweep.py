"""Sweeps the cost weight: one teacher, then a run per weight, each trained, exported and C-simulated.

    python -m experiments.sweep --config=experiments/configs/digits_resnet8.py --workdir=S --weights=0,0.1,1 [--seeds=0] [--overwrite]

Writes S/pareto.csv, S/pareto.png, S/report.html, S/RUN/ (a workdir each) and S/RUN/hls/ (its project). The same command goes on with an
interrupted sweep. Exit status 0 means that every C-simulation gave the integer reference's bits.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from experiments import cli, results
from experiments import config as config_lib
from experiments.config import ConfigError
from experiments.report import write_sweep


def numbers(text: str, kind: type, flag: str) -> list:
    """Parses a comma-separated list, each value once, in order. Raises ConfigError naming the flag."""
    try:
        values = [kind(part) for part in text.split(',')]
    except ValueError:
        raise ConfigError(f'--{flag} is {text!r}; expected numbers separated by commas, as in --{flag}=0,1') from None
    if any(value < 0 or not math.isfinite(value) for value in values):
        raise ConfigError(f'--{flag} is {text!r}; its values must be finite and not negative')
    return list(dict.fromkeys(values))


def prepare_sweep(config: ConfigDict, path: str, overwrite: bool) -> Path:
    """The sweep's directory, new or with an earlier sweep of the same config. Raises FileExistsError otherwise."""
    directory, record = Path(path), Path(path) / 'sweep.json'
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        if not record.exists():
            raise FileExistsError(
                f'{path} exists and holds no sweep of this program; choose another --workdir (--overwrite deletes only earlier sweeps)'
            )
        if overwrite:
            shutil.rmtree(directory)
        elif record.read_text() != config_lib.to_json(config):
            raise FileExistsError(f'{path} holds a sweep of another config; choose another --workdir, or give --overwrite to delete it')
    directory.mkdir(parents=True, exist_ok=True)
    record.write_text(config_lib.to_json(config))
    return directory


def sweep(config: ConfigDict, directory: Path, weights: list[float], seeds: list[int]) -> list[dict]:
    """Runs what is not there yet; returns the rows of pareto.csv, and writes it after every run."""
    from experiments import run
    from experiments.export import export
    from hls_export.csim import simulate

    for seed in seeds:
        for weight in weights:
            each = copy.deepcopy(config)
            each.seed, each.cost.weight = seed, weight
            each.train.teacher_workdir = config.train.teacher_workdir or run.train_teacher(each, directory / f'teacher_seed{seed}')
            workdir = directory / f'weight{weight:g}_seed{seed}'
            if not (workdir / 'summary.json').exists():
                print(f'--- {workdir.name}', flush=True)
                run.train(each, workdir)
            if not (workdir / 'hls' / 'csim.json').exists():
                export(workdir, workdir / 'hls', overwrite=True)
                simulate(workdir / 'hls')
            write_sweep(directory)
    return write_sweep(directory)


def main(options: Any) -> None:
    weights = numbers(cli.required(options, 'weights', '0,0.1,1'), float, 'weights')
    seeds = numbers(options.seeds, int, 'seeds') if options.seeds else [options.config.seed]
    directory = prepare_sweep(options.config, cli.required(options, 'workdir', 'runs/sweep'), options.overwrite)
    rows = sweep(options.config, directory, weights, seeds)
    print(results.table(rows, results.columns(rows)))
    print(f'wrote {directory}/pareto.csv, pareto.png and report.html')
    wrong = {row['run']: json.loads((directory / row['run'] / 'hls' / 'csim.json').read_text())['mismatched_values'] for row in rows}
    if any(wrong.values()):
        cli.fail(f'the C-simulation differs from the integer reference: {wrong}')


if __name__ == '__main__':
    _FLAGS = {
        'workdir': ('', 'Directory of the sweep.'),
        'weights': ('', 'Values of cost.weight, e.g. 0,0.1,1.'),
        'seeds': ('', "Seeds to run each weight with; the config's own by default."),
        'overwrite': (False, 'Delete an earlier sweep in the workdir and start anew.'),
    }
    cli.run(main, _FLAGS, config=True)
