"""Sweeps the cost weight: one teacher, then a run per weight, each trained, exported and C-simulated.

    python -m experiments.sweep --config=experiments/configs/digits_resnet8.py --workdir=S --weights=0,0.1,1 [--seeds=0]
    [--overwrite]

Writes S/pareto.csv, S/pareto.png, S/report.html, S/RUN/ (a workdir each) and S/RUN/hls/ (its project). The same command
goes on with an interrupted sweep. Exit status 0 means that every C-simulation gave the integer reference's bits.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments import cli, grid, pareto, results
from experiments.config import Config, ConfigError
from experiments.grid import Point
from experiments.methods import WEIGHTED
from experiments.report import write_sweep
from experiments.summary import read_csim
from experiments.workdir import finished, held, prepare_sweep
from hls_export import toolchain
from tailor_jax import files

STRICT_IMAGES = 64


def points(config: Config, weights: Sequence[float], seeds: Sequence[int]) -> list[Point]:
    """The runs of a sweep: every weight with every seed; those of a seed share its teacher."""
    found = []
    for seed in seeds:
        for weight in weights:
            each = copy.deepcopy(config)
            each.seed, each.cost.weight = seed, weight
            found.append(Point(f'weight{_short(weight)}_seed{seed}', each, f'teacher_seed{seed}'))
    return found


def _short(weight: float) -> str:
    return f'{weight:g}' if float(f'{weight:g}') == weight else repr(weight)


def sweep(config: Config, directory: Path, weights: Sequence[float], seeds: Sequence[int]) -> list[dict]:
    """Runs what is not there yet; returns the rows of pareto.csv, and writes it after every run."""

    def after(workdir: Path) -> None:
        _simulate(workdir)
        write_sweep(directory)

    grid.execute(points(config, weights, seeds), directory, after=after, done=_simulated)
    return write_sweep(directory)


def _simulated(workdir: Path) -> bool:
    return finished(workdir) and (workdir / 'csim.json').exists()


def _simulate(workdir: Path) -> None:
    """Exports a run to WORKDIR/hls, and writes WORKDIR/csim.json.

    It lies beside the summary because the project's own csim.json changes with whatever is simulated there later.
    """
    from experiments.export import export
    from hls_export import index
    from hls_export.csim import simulate

    project = workdir / 'hls'
    export(workdir, project, overwrite=True)
    # AMD's types and the reuse passes on some images, native integers on all.
    strict = simulate(project, mode='strict', images=min(STRICT_IMAGES, index.load(project).images))
    simulated = simulate(project)
    simulated['mismatched_values'] += strict['mismatched_values']
    files.write(workdir / 'csim.json', json.dumps(simulated, indent=1) + '\n')


def main(options: Any) -> None:
    weights = cli.numbers(cli.required(options, 'weights', '0,0.1,1'), float, 'weights')
    seeds = cli.numbers(options.seeds, int, 'seeds') if options.seeds else [options.config.seed]
    path = cli.required(options, 'workdir', 'runs/sweep')
    if options.config.method not in WEIGHTED:
        raise ConfigError(
            f'config.method is {options.config.method!r}, which has no cost weight to sweep; experiments.compare '
            'takes other methods'
        )
    if any(value is not None for value in options.config.cost.budget.values()):
        raise ConfigError(
            'config.cost.budget takes the place of the weights that a sweep is of; experiments.train takes a budget'
        )
    grid.check(points(options.config, weights, seeds))
    toolchain.find_tools()
    directory = prepare_sweep(options.config, path, options.overwrite)
    with held(directory, 'sweep.json', options.config):
        rows = sweep(options.config, directory, weights, seeds)
    print(results.table(rows, pareto.columns(rows)))
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
