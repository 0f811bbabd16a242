"""A grid of runs: points trained in one directory, the teachers that they share, and the row that each ends as.

    points = [grid.Point('weight0_seed0', config, 'teacher_seed0'), ...]     # a command makes them of its flags
    grid.check(points)                                                       # before anything is written
    grid.execute(points, directory, after=...)                               # whatever is not done yet
    rows = grid.rows(directory, [point.name for point in points])            # what the files of each run say

`experiments.sweep`, `experiments.compare`, `experiments.benchmarks.budgets` and `experiments.benchmarks.skips_matter`
are this, with a table and a picture of their own.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from experiments import config as config_lib
from experiments import run
from experiments.config import Config, ConfigError
from experiments.methods import METHODS
from experiments.summary import read_csim, read_summary
from experiments.workdir import finished
from tailor_jax.graph import Graph

# Keys that the training of a teacher depends on, and those below them that it does not.
_OF_TEACHER = ('seed', 'data.', 'model.', 'train.')
_NOT_OF_TEACHER = (
    'train.student.',
    'train.finetune.',
    'train.qat.',
    'train.teacher_workdir',
    'train.log_every_steps',
    'train.save_every_epochs',
)


@dataclasses.dataclass(frozen=True)
class Point:
    """One run of a grid.

    Attributes:
      name: of its workdir, in the directory of the grid.
      config: complete, but for where a shared teacher lies.
      shared: name of the workdir, beside its own, of the teacher that it shares with other points; '' for none.
    """

    name: str
    config: Config
    shared: str = ''


def teacher_of(point: Point) -> str:
    """The workdir of the teacher that a point shares; '' if its method has none, or its config says where one lies."""
    needed = METHODS[point.config.method].has_teacher and not point.config.train.teacher_workdir
    return point.shared if needed else ''


def teacher_key(config: Config) -> dict[str, Any]:
    """{key: value} of what the training of a teacher depends on: where this and its graph are equal, runs can share
    one.
    """
    return {
        key: config_lib.get(config, key)
        for key in config_lib.keys(config)
        if key.startswith(_OF_TEACHER) and not key.startswith(_NOT_OF_TEACHER)
    }


def check(points: Sequence[Point]) -> None:
    """Checks all that can be known before anything is written.

    Raises ConfigError for two points of one name, for teachers that cannot be shared, and for what `run.check` refuses.
    """
    named: dict[str, Point] = {}
    teachers: dict[str, Point] = {}
    for point in points:
        config_lib.validate(point.config)
        if named.setdefault(point.name, point) is not point:
            raise ConfigError(f'two runs would be called {point.name!r}; each needs a workdir of its own')
        if teacher := teacher_of(point):
            _check_shared(teacher, teachers.setdefault(teacher, point), point)
    graphs: dict[str, tuple[Point, Graph]] = {}  # of the teachers
    for alike in _by_program(points):  # the largest weight: only a cost that is weighed must be one that skips add to
        checked = run.check(max(alike, key=lambda point: point.config.cost.weight).config)
        graph = METHODS[alike[0].config.method].of_teacher(checked.graph)
        for point in alike:
            if teacher := teacher_of(point):
                one, theirs = graphs.setdefault(teacher, (point, graph))
                if theirs != graph:
                    raise ConfigError(
                        f'{one.name} and {point.name} cannot share {teacher}: it has other skips under method '
                        f'{one.config.method!r} than under {point.config.method!r}'
                    )


def _check_shared(teacher: str, one: Point, other: Point) -> None:
    ours, theirs = teacher_key(one.config), teacher_key(other.config)
    if differing := [key for key in ours if ours[key] != theirs[key]]:
        key = differing[0]
        raise ConfigError(
            f'{one.name} and {other.name} cannot share {teacher}: config.{key} is {ours[key]!r} and {theirs[key]!r}'
        )


def _by_program(points: Iterable[Point]) -> list[list[Point]]:
    """Points that run the same compiled programs together: those that differ in seed and cost.weight alone."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        program = copy.deepcopy(point.config)
        program.seed, program.cost.weight = 0, 0.0
        groups.setdefault(config_lib.to_json(program), []).append(point)
    return list(groups.values())


def execute(
    points: Sequence[Point],
    directory: Path,
    *,
    after: Callable[[Path], object] = lambda workdir: None,
    done: Callable[[Path], bool] = finished,
    train: Callable[[Config, Path], object] | None = None,
) -> None:
    """Trains what is not finished, each shared teacher before the first run that needs it.

    Args:
      points: those that run the same compiled programs come one after another, otherwise in this order.
      directory: of the grid.
      after: called with the workdir of every trained run in which something is left to do.
      done: whether nothing is, `after` included.
      train: trains a config in a workdir; `run.train` by default.
    """
    shared = set()
    for point in (point for alike in _by_program(points) for point in alike):
        workdir = directory / point.name
        if done(workdir):
            continue
        if not finished(workdir):
            config = copy.deepcopy(point.config)
            if teacher := teacher_of(point):
                if teacher not in shared:
                    run.train_teacher(point.config, directory / teacher)
                    shared.add(teacher)
                config.train.teacher_workdir = str(directory / teacher)
            print(f'--- {point.name}', flush=True)
            (train or run.train)(config, workdir)
        after(workdir)


def rows(directory: Path, names: Iterable[str], simulated: bool = False) -> list[dict[str, Any]]:
    """A row of each of the named runs that has a summary.json and, if `simulated`, a csim.json; in the order of the
    names.

    {'run', 'method', 'weight', 'seed', 'gates' (a digit each), 'skips_kept', 'skips', 'accuracy_NAME' of each accuracy
    and of 'csim', 'gates_fractional', 'rounding_accuracy_change', every resource as exported, 'cost'}

    Raises ConfigError naming the file that is damaged, and the field.
    """
    wanted = ('summary.json', 'csim.json') if simulated else ('summary.json',)
    return [
        _row(directory / name, simulated)
        for name in names
        if all((directory / name / each).exists() for each in wanted)
    ]


def _row(workdir: Path, simulated: bool) -> dict[str, Any]:
    summary, accuracy = read_summary(workdir / 'summary.json'), {}
    if simulated:
        accuracy['csim'] = read_csim(workdir / 'csim.json')['accuracy']
    config, settings = summary['config'], summary['gates'].values()
    return {
        'run': workdir.name,
        'method': config['method'],
        'weight': config['cost']['weight'],
        'seed': config['seed'],
        'gates': ''.join(map(str, settings)),
        'skips_kept': sum(settings),
        'skips': len(settings),
        **{f'accuracy_{name}': value for name, value in (summary['accuracy'] | accuracy).items()},
        'gates_fractional': summary['gates_fractional'],
        'rounding_accuracy_change': summary['rounding_accuracy_change'],
        **summary['hardware']['after'],
        'cost': summary['cost'],
    }
