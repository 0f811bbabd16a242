"""Sweeps the cost weight: one teacher, then a run per weight, each trained, exported and C-simulated.

    python -m experiments.sweep --config=experiments/configs/digits_resnet8.py --workdir=S --weights=0,0.1,1 [--seeds=0]
    [--overwrite]

Writes S/pareto.csv, S/pareto.png, S/report.html, S/RUN/ (a workdir each) and S/RUN/hls/ (its project). The same command
goes on with an interrupted sweep. Exit status 0 means that every C-simulation gave the integer reference's bits.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from pathlib import Path
from typing import Any

from experiments import cli, results
from experiments import config as config_lib
from experiments.config import Config, ConfigError
from experiments.report import write_sweep
from experiments.summary import read_csim
from experiments.workdir import finished, held, prepare_sweep
from hls_export import toolchain
from tailor_jax import files

STRICT_IMAGES = 64


def numbers(text: str, kind: type, flag: str) -> list:
    """Parses a comma-separated list, each value once, in order. Raises ConfigError naming the flag."""
    try:
        values = [kind(part) for part in text.split(',')]
        finite = all(math.isfinite(value) for value in values)
    except (ValueError, OverflowError):
        raise ConfigError(f'--{flag} is {text!r}; expected numbers separated by commas, as in --{flag}=0,1') from None
    if not finite or min(values) < 0:
        raise ConfigError(f'--{flag} is {text!r}; its values must be finite and not negative')
    return list(dict.fromkeys(values))


def _short(weight: float) -> str:
    return f'{weight:g}' if float(f'{weight:g}') == weight else repr(weight)


def _one(config: Config, seed: int, weight: float) -> Config:
    """The config of one run."""
    each = copy.deepcopy(config)
    each.seed, each.cost.weight = seed, weight
    return each


def sweep(config: Config, directory: Path, weights: list[float], seeds: list[int]) -> list[dict]:
    """Runs what is not there yet; returns the rows of pareto.csv, and writes it after every run."""
    from experiments import run
    from experiments.export import export
    from hls_export import index
    from hls_export.csim import simulate

    for seed in seeds:
        for weight in weights:
            each = _one(config, seed, weight)
            each.train.teacher_workdir = config.train.teacher_workdir or run.train_teacher(
                each, directory / f'teacher_seed{seed}'
            )
            workdir = directory / f'weight{_short(weight)}_seed{seed}'
            if not finished(workdir):
                print(f'--- {workdir.name}', flush=True)
                run.train(each, workdir)
            if not (workdir / 'csim.json').exists():
                export(workdir, workdir / 'hls', overwrite=True)
                # AMD's types and the reuse passes on some images, native integers on all. Kept beside the summary: the
                # project's own csim.json changes with whatever is simulated there later.
                strict = simulate(
                    workdir / 'hls', mode='strict', images=min(STRICT_IMAGES, index.load(workdir / 'hls').images)
                )
                simulated = simulate(workdir / 'hls')
                simulated['mismatched_values'] += strict['mismatched_values']
                files.write(workdir / 'csim.json', json.dumps(simulated, indent=1) + '\n')
            write_sweep(directory)
    return write_sweep(directory)


def main(options: Any) -> None:
    weights = numbers(cli.required(options, 'weights', '0,0.1,1'), float, 'weights')
    seeds = numbers(options.seeds, int, 'seeds') if options.seeds else [options.config.seed]
    path = cli.required(options, 'workdir', 'runs/sweep')
    if options.config.method != 'gates':
        raise ConfigError(
            f'config.method is {options.config.method!r}, which has no cost weight to sweep; experiments.compare '
            'takes other methods'
        )
    if any(value is not None for value in options.config.cost.budget.values()):
        raise ConfigError(
            'config.cost.budget takes the place of the weights that a sweep is of; experiments.train takes a budget'
        )
    from experiments import run  # imports jax; bad flags should not wait for it

    for seed, weight in itertools.product(seeds, weights):
        config_lib.validate(_one(options.config, seed, weight))
    run.check(options.config)
    toolchain.find_tools()
    directory = prepare_sweep(options.config, path, options.overwrite)
    with held(directory, 'sweep.json', options.config):
        rows = sweep(options.config, directory, weights, seeds)
    print(results.table(rows, results.columns(rows)))
    print(f'wrote {directory}/pareto.csv, pareto.png and report.html')
    wrong = {row['run']: read_csim(directory / row['run'] / 'csim.json')['mismatched_values'] for row in rows}
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
