"""Runs that are gone on with, taken from or damaged: what is kept, made again, and refused."""

import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from run_processes import assert_same_run, last_saved
from small_config import small_config

from experiments import config as config_lib
from experiments import run
from experiments.config import ConfigError
from experiments.export import export
from experiments.workdir import prepare_run, prepare_sweep
from tailor_jax import data, graph, model
from tailor_jax.integers import qgraph
from tailor_jax.train import variables
from tailor_jax.train.checkpoint import CheckpointError


def test_an_interrupted_run_goes_on_and_gives_the_same_network(trained, tmp_path):
    """The run as it stands on disk after its student phase, as if killed there, continued."""
    workdir, summary = trained
    partial = tmp_path / 'run'
    shutil.copytree(workdir, partial)
    for name in ('summary.json', 'graph.json', 'qgraph.npz', 'quant.json'):
        (partial / name).unlink()
    for phase in ('finetune', 'qat'):
        shutil.rmtree(partial / 'checkpoints' / phase)
    config = small_config()
    again = run.train(config, prepare_run(config, str(partial), overwrite=False), quiet=True)
    assert again['accuracy'] == summary['accuracy'] and again['gates'] == summary['gates']
    whole, parts = qgraph.load(workdir / 'qgraph.npz'), qgraph.load(partial / 'qgraph.npz')
    for one, other in zip(whole.nodes, parts.nodes):
        np.testing.assert_array_equal(one.weight, other.weight)


def test_a_teacher_of_another_network_is_refused(trained, tmp_path):
    config = small_config()
    config.model.width = 8
    config.train.teacher_workdir = str(trained[0])
    with pytest.raises(ConfigError, match=r"was trained with model = .*'width': 4"):
        run.train(config, tmp_path / 'w', quiet=True)
    config.train.teacher_workdir = str(tmp_path / 'nowhere')
    with pytest.raises(ConfigError, match=r'no config.json is there'):
        run.train(config, tmp_path / 'v', quiet=True)


def test_existing_directories_are_kept(trained, tmp_path):
    workdir, _ = trained
    with pytest.raises(FileExistsError, match='holds a finished run of this config'):
        prepare_run(small_config(), str(workdir), overwrite=False)
    other = small_config()
    other.seed = 5
    with pytest.raises(FileExistsError, match='holds a run with another config'):
        prepare_run(other, str(workdir), overwrite=False)
    (tmp_path / 'precious.txt').write_text('mine')
    for content in ('{"model_type": "bert"}', config_lib.to_json(small_config()), 'no json'):
        for name in ('config.json', 'sweep.json'):
            (tmp_path / name).write_text(content)
        _must_be_kept(tmp_path)
    for name in ('config.json', 'sweep.json'):
        (tmp_path / name).unlink()
    _must_be_kept(tmp_path)
    (tmp_path / 'link').symlink_to(workdir)
    _must_be_kept(tmp_path / 'link')


def _must_be_kept(tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match='is not of a run of this program'):
            prepare_run(small_config(), str(tmp_path), overwrite=overwrite)
        with pytest.raises(FileExistsError, match='is not of a sweep of this program'):
            prepare_sweep(small_config(), str(tmp_path), overwrite)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_overwrite_deletes_an_earlier_run_and_sweep(trained, tmp_path):
    shutil.copytree(trained[0], tmp_path / 'run')
    assert prepare_run(small_config(), str(tmp_path / 'run'), overwrite=True) == tmp_path / 'run'
    assert sorted(path.name for path in (tmp_path / 'run').iterdir()) == ['.lock', 'config.json']
    directory = prepare_sweep(small_config(), str(tmp_path / 's'), overwrite=False)
    shutil.copytree(trained[0], directory / 'weight0_seed0')
    (directory / 'pareto.csv').write_text('')
    prepare_sweep(small_config(), str(directory), overwrite=True)
    assert sorted(path.name for path in directory.iterdir()) == ['.lock', 'sweep.json']


def test_damaged_files_are_named(trained, tmp_path):
    workdir = tmp_path / 'run'
    shutil.copytree(trained[0], workdir)
    for name, message in (('qgraph.npz', 'qgraph.npz is damaged'), ('config.json', 'config.json is damaged')):
        (workdir / name).write_bytes((workdir / name).read_bytes()[:100])
        with pytest.raises((ConfigError, graph.GraphError), match=message):
            export(workdir, tmp_path / 'p')
        shutil.copy(trained[0] / name, workdir)
    for name, before, after, message in (
        (
            'graph.json',
            '"block": "s1b0"',
            '"block": "s1b1"',
            'graph.json is not the network of .*qgraph.npz, so it is damaged; delete',
        ),
        ('graph.json', '"s1b0_conv1"', '"s1b0_conv2"', 'graph.json: .*; delete it and start the training'),
        ('graph.json', '{', '[', 'graph.json is damaged, or no JSON: .*; delete it and start the training'),
        (
            'config.json',
            '"interval_cycles": 4096',
            '"interval_cycles": 4097',
            "config.json is not the 'config' of .*summary.json",
        ),
        ('summary.json', '"seed": 0', '"seed": 1', "config.json is not the 'config' of .*summary.json"),
    ):
        text = (workdir / name).read_text()
        assert before in text
        (workdir / name).write_text(text.replace(before, after, 1))
        with pytest.raises((ConfigError, graph.GraphError), match=message):
            export(workdir, tmp_path / 'p')
        shutil.copy(trained[0] / name, workdir)
    assert not (tmp_path / 'p').exists()


def test_whatever_is_lost_or_damaged_is_made_again_bit_for_bit(trained, tmp_path, capfd):
    """A file deleted, a bit flipped in the types, in the last checkpoint of each phase, in the metrics: the run ends as
    it had.
    """
    workdir, config = tmp_path / 'run', small_config()
    shutil.copytree(trained[0], workdir)
    for name in ('graph.json', 'qgraph.npz', 'summary.json'):
        (workdir / name).unlink()
    types_of = workdir / 'quant.json'
    types_of.write_text(types_of.read_text().replace('"frac": 7', '"frac": 6', 1))
    metrics = workdir / 'metrics.jsonl'
    metrics.write_bytes(metrics.read_bytes()[:3000])
    for phase in ('teacher', 'qat'):
        last = workdir / 'checkpoints' / phase / str(last_saved(workdir, phase))
        largest = max((path for path in last.glob('state/*/d/*')), key=lambda path: path.stat().st_size)
        content = bytearray(largest.read_bytes())
        content[len(content) // 2] ^= 4
        largest.write_bytes(content)
    run.train(config, prepare_run(config, str(workdir), overwrite=False), quiet=True)
    told = capfd.readouterr().err
    for part in (
        '/checkpoints/teacher/66 is damaged',
        '/checkpoints/qat/22 is damaged',
        '/quant.json has changed',
        '/metrics.jsonl has lost rows',
    ):
        assert f'warning: {workdir}{part}' in told
    assert_same_run(workdir, trained[0])


def test_a_finished_phase_leaves_the_variables_that_are_in_its_last_checkpoint(trained):
    """Two files, two readers: ours without an optimizer, and orbax of the whole state."""
    places = sorted((trained[0] / 'checkpoints').iterdir())
    assert [place.name for place in places] == ['finetune', 'qat', 'student', 'teacher']
    for place in places:
        steps = last_saved(trained[0], place.name)
        state = ocp.StandardCheckpointer().restore(place / str(steps) / 'state')
        expected = {'params': state['params']['net'], 'batch_stats': state['batch_stats']}
        assert variables.read(place, expected)[0] == steps
        jax.tree.map(np.testing.assert_array_equal, variables.read(place, expected)[1], expected)


@pytest.mark.parametrize(
    'harm, error, message',
    [
        ('flipped', CheckpointError, r'checkpoints/teacher/variables.npz is damaged'),
        ('gone', ConfigError, r'holds no finished teacher: .*variables.npz is missing'),
        ('early', ConfigError, r'holds no finished teacher: step 65 of 66'),
    ],
)
def test_a_bad_teacher_of_another_run_is_named_and_left_alone(harm, error, message, trained, tmp_path):
    teacher, config = tmp_path / 'teacher', small_config()
    shutil.copytree(trained[0], teacher)
    place = teacher / 'checkpoints' / 'teacher'
    path = place / 'variables.npz'
    match harm:
        case 'flipped':
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        case 'gone':
            path.unlink()
        case 'early':
            graph = run.build_graph(config, data.load('digits'))
            _, values = variables.read(place, model.init(graph, 0))
            variables.write(place, values, 65)
    before = {path: path.read_bytes() for path in teacher.rglob('*') if path.is_file()}
    config.train.teacher_workdir = str(teacher)
    with pytest.raises(error, match=message):
        run.train(config, tmp_path / 'w', quiet=True)
    assert before == {path: path.read_bytes() for path in teacher.rglob('*') if path.is_file()}
