"""The grid under sweeps, comparisons and benchmarks: its order, its shared teachers, what it refuses, its rows."""

import itertools
import json
import random
import re

import pytest
from run_files import summary_of
from small_config import small_config

from experiments import grid, run
from experiments.config import ConfigError
from experiments.grid import Point
from experiments.workdir import FINISHED

SHORT = {'data.train_split': 'train[:20%]', 'train.teacher.epochs': 0.5}


def point(name, changes, shared=''):
    config = small_config()
    config.update_from_flattened_dict(changes)
    return Point(name, config, shared)


def finish(config, workdir):
    """Leaves the files that a finished run leaves."""
    workdir.mkdir(exist_ok=True)
    for name in FINISHED:
        (workdir / name).write_text(json.dumps(summary_of(config)))


def test_points_that_share_programs_follow_one_another_and_what_is_finished_is_left_alone(tmp_path):
    points = [
        point(f'{seed}_{weight}_{width}', {'seed': seed, 'cost.weight': weight, 'model.width': width})
        for seed in (0, 1)
        for weight in (0.0, 1.0)
        for width in (4, 8, 16)
    ]
    random.Random(0).shuffle(points)
    first, *others = points
    finish(first.config, tmp_path / first.name)
    trained, ended = [], []

    def train(config, workdir):
        trained.append((workdir.name, config.model.width))
        finish(config, workdir)

    grid.execute(points, tmp_path, train=train, after=lambda workdir: ended.append(workdir.name))
    assert [name for name, _ in trained] == ended and sorted(ended) == sorted(each.name for each in others)
    widths = [width for _, width in trained]
    assert sum(one != other for one, other in itertools.pairwise(widths)) == 2  # three programs
    for wanted in set(widths):  # and the points of each as they were given
        given = [each.name for each in others if each.config.model.width == wanted]
        assert [name for name, width in trained if width == wanted] == given
    (tmp_path / first.name / 'qgraph.npz').unlink()  # its summary is still there
    grid.execute(points, tmp_path, train=train)
    assert [name for name, _ in trained] == [*ended, first.name]


def test_what_a_finished_run_still_lacks_is_made_without_training(tmp_path):
    points, made = [point('a', {}), point('b', {})], []
    for each in points:
        finish(each.config, tmp_path / each.name)
    (tmp_path / 'a' / 'csim.json').touch()
    grid.execute(points, tmp_path, after=made.append, done=lambda workdir: (workdir / 'csim.json').exists())
    assert made == [tmp_path / 'b']


def test_a_teacher_is_trained_once_and_is_the_one_that_each_run_would_train(tmp_path):
    points = [
        point('a', SHORT, 'teacher'),
        point('b', {**SHORT, 'method': 'static'}, 'teacher'),
        point('c', {**SHORT, 'method': 'remove', 'train.student.learning_rate': 0.01}, 'teacher'),
        point('d', {**SHORT, 'data.pad': 3}, 'shifted'),
    ]
    where = {}

    def train(config, workdir):
        where[workdir.name] = config.train.teacher_workdir

    grid.execute(points, tmp_path, train=train)
    teacher, shifted = str(tmp_path / 'teacher'), str(tmp_path / 'shifted')
    assert where == {'a': teacher, 'b': '', 'c': teacher, 'd': shifted}
    rows = [json.loads(line) for line in (tmp_path / 'teacher' / 'metrics.jsonl').read_text().splitlines()]
    assert [row['evaluation'] for row in rows if 'evaluation' in row] == ['teacher']  # one look at it, for all
    run.train_teacher(points[2].config, tmp_path / 'own')
    alike = [(tmp_path / name / 'metrics.jsonl').read_bytes() for name in ('teacher', 'own', 'shifted')]
    assert alike[0] == alike[1] != alike[2]
    keys = [grid.teacher_key(points[index].config) for index in (0, 2, 3)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'data.pad': 3}, 'a and b cannot share teacher: config.data.pad is None and 3'),
        ({'seed': 4}, 'a and b cannot share teacher: config.seed is 0 and 4'),
        ({'train.teacher.epochs': 2.0}, 'a and b cannot share teacher: config.train.teacher.epochs is 0.5 and 2.0'),
        ({'train.batch_size': 66}, 'a and b cannot share teacher: config.train.batch_size is 64 and 66'),
        ({'method': 'static', 'train.batch_size': 66}, 'config.train.batch_size 66 is not divisible by 4 devices'),
        ({'seed': -1}, 'config.seed is -1; expected an integer, not negative'),
    ],
)
def test_a_grid_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        grid.check([point('a', SHORT, 'teacher'), point('b', {**SHORT, **changes}, 'teacher')])


def test_two_runs_cannot_have_one_workdir():
    with pytest.raises(ConfigError, match="two runs would be called 'a'"):
        grid.check([point('a', SHORT), point('a', {**SHORT, 'seed': 1})])


def test_a_cost_that_is_weighed_anywhere_in_the_grid_is_checked():
    """All runs of one program are checked by one of them, whichever comes first."""
    changes = {**SHORT, 'cost.resources': ('uram',)}
    free, weighed = (point(str(weight), {**changes, 'cost.weight': weight}) for weight in (0.0, 1.0))
    grid.check([free])
    for points in ([free, weighed], [weighed, free]):
        with pytest.raises(ConfigError, match='no skip of this network adds to any of them'):
            grid.check(points)


def test_a_row_is_what_the_files_of_its_run_say(tmp_path):
    points = [point('a', {}), point('b', {'seed': 3, 'cost.weight': 0.5}), point('c', {})]
    for each in points[:2]:
        finish(each.config, tmp_path / each.name)
    names = [each.name for each in points]
    assert [row['run'] for row in grid.rows(tmp_path, reversed(names))] == ['b', 'a']
    assert grid.rows(tmp_path, names, simulated=True) == []
    summary, (_, row) = json.loads((tmp_path / 'b' / 'summary.json').read_text()), grid.rows(tmp_path, names)
    assert (row['method'], row['seed'], row['weight'], row['gates']) == ('gates', 3, 0.5, '10')
    assert (row['skips_kept'], row['skips']) == (1, 2)
    assert all(row[f'accuracy_{name}'] == value for name, value in summary['accuracy'].items())
    assert all(row[name] == value for name, value in summary['hardware']['after'].items())
    assert all(row[name] == summary[name] for name in ('cost', 'gates_fractional', 'rounding_accuracy_change'))
