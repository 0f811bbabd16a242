"""Do skips matter on a data set? Trains the network with every skip and the one without, at equal epochs.

    python -m experiments.benchmarks.skips_matter --data=photo_digits/small --depths=56,20 --epochs=6 --seeds=0
    --workdir=runs/skips

Each network is the teacher phase of `experiments.train`: floating point, the same recipe, data and order for both.
Prints a table and writes WORKDIR/skips_matter.json and .md after every network; the same command goes on where it
stopped. Source: He et al. 2016, section 4.2.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from experiments import cli, grid, run
from experiments.config import Config, ConfigError
from experiments.configs import photo_digits_resnet20
from experiments.fidelity.markdown import markdown_table
from experiments.grid import Point
from experiments.workdir import prepare_run
from tailor_jax import files

SKIPS = ('long', 'none')


def network_config(options: Any, depth: int, skips: str, seed: int) -> Config:
    """The config of one network's training, from the flags and what differs between networks."""
    config = photo_digits_resnet20.get_config()
    config.seed = seed
    config.data.name = options.data
    config.model.depth, config.model.width = depth, options.width
    config.train.batch_size = options.batch_size
    config.train.teacher.epochs = options.epochs
    config.train.teacher.learning_rate = options.learning_rate
    config.method, config.model.skips = 'keep', skips
    return config


def points(options: Any) -> list[Point]:
    """A point a network, seed by seed. Raises ConfigError naming the flag that makes no sense."""
    depths, seeds = (cli.numbers(getattr(options, flag), int, flag) for flag in ('depths', 'seeds'))
    networks = list(dict.fromkeys(options.skips.split(',')))
    if not set(networks) <= set(SKIPS):
        raise ConfigError(f'--skips is {options.skips!r}; expected long, none or long,none')
    return [
        Point(f'resnet{depth}_{skips}_seed{seed}', network_config(options, depth, skips, seed))
        for seed in seeds
        for depth in depths
        for skips in networks
    ]


def table(rows: list[dict]) -> str:
    """Markdown: a row a depth and seed, the test accuracy with and without skips, and their difference."""
    lines = []
    of = {(row['depth'], row['seed'], row['skips']): row['accuracy'] for row in rows}
    for depth, seed in dict.fromkeys((row['depth'], row['seed']) for row in rows):
        long, none = (of.get((depth, seed, skips)) for skips in SKIPS)
        shown = [f'{100 * value:.1f} %' if value is not None else '' for value in (long, none)]
        difference = f'{100 * (none - long):+.1f}' if long is not None and none is not None else ''
        lines.append([f'ResNet-{depth}', str(seed), *shown, difference])
    return markdown_table(['network', 'seed', 'with skips', 'without', 'difference'], lines, right=True) + '\n'


def main(options: Any) -> None:
    workdir = Path(cli.required(options, 'workdir', 'runs/skips'))
    networks = points(options)
    grid.check(networks)
    for point in networks:
        prepare_run(point.config, str(workdir / point.name), overwrite=False)
    row_of: dict[str, dict] = {}

    def rows() -> list[dict]:
        return [row_of[point.name] for point in networks if point.name in row_of]

    def train(config: Config, network: Path) -> None:
        """Trains the teacher phase alone, or finds it trained."""
        start = time.monotonic()
        accuracy = run.teacher_accuracy(config, network)
        seconds = round(time.monotonic() - start, 1)
        row_of[network.name] = {
            'depth': config.model.depth,
            'skips': config.model.skips,
            'seed': config.seed,
            'accuracy': accuracy,
            'seconds': seconds,
            'config': config.to_dict(),
        }
        files.write(workdir / 'skips_matter.json', json.dumps(rows(), indent=2) + '\n')
        files.write(workdir / 'skips_matter.md', table(rows()))
        print(f'{100 * accuracy:.2f} % in {seconds} s', flush=True)

    grid.execute(networks, workdir, train=train, done=lambda network: False)
    print(table(rows()))


if __name__ == '__main__':
    _FLAGS = {
        'data': ('photo_digits/small', 'Data set, as config.data.name.'),
        'depths': ('56,20', 'Depths of the ResNets.'),
        'skips': ('long,none', 'Networks to train: with every skip, with none.'),
        'width': (8, 'Channels of the first stage.'),
        'epochs': (6.0, 'Epochs, for every network.'),
        'seeds': ('0', 'Seeds of initialization and data order.'),
        'batch_size': (64, 'Images per step.'),
        'learning_rate': (0.1, 'Peak learning rate, for every network.'),
        'workdir': ('', 'Directory of the runs and of the table.'),
    }
    cli.run(main, _FLAGS)
