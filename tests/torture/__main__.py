"""Torture: what must never lose, change or run anything, tried at random.

    python tests/torture [--tries=SCALE] [--only=KIND,...] [--seed=N] [--folder=DIR]

Kills train, sweep, export and csim at random moments; damages files of runs, sweeps and projects; plants links; fills
disks; starts two processes on one directory; feeds damaged files to every loader and random configs to the check.
Prints every try that went wrong as it comes, and a table at the end. Exit status 0 only if nothing was wrong or raw.
`--tries=1` is the full run, about an hour on two cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / 'support'), str(Path(__file__).parent)]

import process  # noqa: E402

FULL = {  # tries of each kind in a full run
    'kills.of_train': 65,
    'kills.of_sweep': 30,
    'kills.of_export': 60,
    'kills.of_csim': 20,
    'damage.of_unfinished_runs': 100,
    'damage.of_finished_runs': 100,
    'damage.of_projects': 60,
    'damage.of_sweeps': 60,
    'places.of_links': 60,
    'places.of_places': 15,
    'places.of_full_disks': 20,
    'places.of_pairs': 24,
    'loaders.of_files': 12_000,
    'loaders.of_configs': 450,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='python tests/torture', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--tries', type=float, default=1.0, help='share of the full numbers; every kind is tried at least once'
    )
    parser.add_argument('--only', default=','.join(FULL), help='kinds, separated by commas')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--folder', help='where to work; a temporary one by default')
    options = parser.parse_args()
    if unknown := set(options.only.split(',')) - set(FULL):
        parser.error(f'no kind {sorted(unknown)[0]!r}; the kinds are {", ".join(FULL)}')
    with tempfile.TemporaryDirectory() as folder, process.compiled_once(Path(folder) / 'compiled'):
        process.preload()
        tries = _run(options, Path(options.folder or folder))
    from outcome import table

    print(table(tries))
    return int(any(each.outcome in ('wrong', 'raw') for each in tries))


def _run(options: argparse.Namespace, folder: Path) -> list:
    import damage
    import kills
    import loaders
    import places
    from base import Base
    from outcome import summary

    modules, base, tries = {'damage': damage, 'kills': kills, 'places': places, 'loaders': loaders}, Base(folder), []
    for kind in [
        kind for kind in FULL if kind in options.only.split(',')
    ]:  # in that order: the last ones use jax here, and then nothing forks
        module, name = kind.split('.')
        start, before = time.monotonic(), len(tries)
        for each in getattr(modules[module], name)(base, max(1, round(FULL[kind] * options.tries)), options.seed):
            tries.append(each)
            if each.outcome in ('wrong', 'raw'):
                print(f'{each.outcome}: {each.kind}, {each.what}: {each.detail}', flush=True)
        print(f'{kind}: {summary(tries[before:])}, {time.monotonic() - start:.0f} s', flush=True)
    return tries


if __name__ == '__main__':
    sys.exit(main())
