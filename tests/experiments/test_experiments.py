"""The entry points: the whole road on a small network, and every bad input with its message and status."""

import csv
import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from run_processes import assert_same_run, last_saved
from small_config import small_config

import costmodel
import hls_export
from experiments import config as config_lib
from experiments import config_file, pareto, run, sweep
from experiments.config import ConfigError
from experiments.cost import cost_of, target_of
from experiments.export import export
from experiments.methods import METHODS
from experiments.workdir import prepare_run, prepare_sweep
from tailor_jax import data, graph, model, rewrite
from tailor_jax.data.embedded import embedded_builder
from tailor_jax.data.read import find_layout
from tailor_jax.integers import qgraph
from tailor_jax.train import variables
from tailor_jax.train.checkpoint import CheckpointError

ROOT = Path(__file__).parents[2]
CONFIG = 'experiments/configs/digits_resnet8.py'


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('trained') / 'run'
    return workdir, run.train(small_config(), workdir, quiet=True)


def command(*arguments: str, **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-m', *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, **kwargs
    )


def test_the_summary_holds_what_design_promises(trained):
    workdir, summary = trained
    assert json.loads((workdir / 'summary.json').read_text()) == json.loads(json.dumps(summary))
    assert {'teacher', 'gated', 'binarized', 'quantized'} <= summary['accuracy'].keys()
    assert summary['accuracy']['teacher'] > 0.5
    assert set(summary['gates']) == {'s1b0_long', 's2b0_long', 's3b0_long'}
    assert set(summary['gates'].values()) <= {0, 1}
    assert (
        summary['hardware']['before'].keys()
        == summary['hardware']['after'].keys()
        >= {'bram18', 'lut', 'ff', 'dsp', 'fifo_bits', 'interval_cycles'}
    )
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    gate_rows = [row for row in rows if row.get('phase') == 'student']
    assert len(gate_rows) == 1437 // 64 and all(
        f'p_open/{gate}' in row for row in gate_rows for gate in summary['gates']
    )


def test_reported_accuracy_is_that_of_the_saved_integer_network(trained):
    workdir, summary = trained
    source = data.load('digits')
    images, labels = data.arrays(source, 'test')
    integers = qgraph.load(workdir / 'qgraph.npz')
    logits = qgraph.run_int(integers, qgraph.quantize_input(integers, images))
    assert (logits.argmax(-1) == labels).mean() == pytest.approx(summary['accuracy']['quantized'])


def test_reported_hardware_is_that_of_the_saved_graph(trained):
    workdir, summary = trained
    pruned = graph.from_json((workdir / 'graph.json').read_text())
    target = target_of(config_lib.from_json((workdir / 'config.json').read_text()))
    assert costmodel.evaluate(pruned, target).total == summary['hardware']['after']


def test_exported_design_gives_the_reported_accuracy_and_the_model_its_timing(trained, tmp_path):
    workdir, summary = trained
    export(workdir, tmp_path / 'p')
    from hls_export.csim import simulate

    fast = simulate(tmp_path / 'p')
    assert fast['mismatched_values'] == 0 and fast['images'] == 360
    assert fast['accuracy'] == pytest.approx(summary['accuracy']['quantized'])
    cycle = simulate(tmp_path / 'p', mode='cycle')
    assert cycle['interval_cycles'] == summary['hardware']['after']['interval_cycles']
    hardware = json.loads((tmp_path / 'p' / 'hardware.json').read_text())
    assert (
        hardware['total'] == summary['hardware']['after']
        and {'network', 'target', 'blocks', 'nodes'} <= hardware.keys()
    )
    with pytest.raises((FileExistsError, hls_export.ExportError), match='overwrite'):
        export(workdir, tmp_path / 'p')


def test_the_cost_term_is_one_with_every_skip_and_falls_to_none():
    config = small_config()
    net = run.build_graph(config, data.load('digits'))
    cost = cost_of(config, net)
    assert float(cost(dict.fromkeys(net.gates, 1.0))) == pytest.approx(1.0)
    assert float(cost(dict.fromkeys(net.gates, 0.0))) == pytest.approx(0.0)
    for settings in np.ndindex(2, 2, 2):
        setting = dict(zip(net.gates, map(int, settings)))
        by_evaluation = cost.share(costmodel.evaluate(rewrite.binarize(net, setting), cost.target).total)
        assert float(cost({gate: float(value) for gate, value in setting.items()})) == pytest.approx(
            by_evaluation, abs=1e-6
        )
    config.cost.resources = ('lut', 'bananas')
    with pytest.raises(ConfigError, match="'bananas'; those with an expectation on this target are bram18"):
        cost_of(config, net)


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


def test_a_sweep_writes_its_table_picture_and_page(trained, tmp_path):
    config = small_config()
    config.train.teacher_workdir = str(trained[0])
    directory = prepare_sweep(config, str(tmp_path / 's'), overwrite=False)
    rows = sweep.sweep(config, directory, [0.0, 50.0], [0])
    with (directory / 'pareto.csv').open() as file:
        written = list(csv.DictReader(file))
    assert [float(row['weight']) for row in written] == [0.0, 50.0]
    assert {'run', 'seed', 'accuracy_teacher', 'accuracy_csim', 'bram18', 'lut', 'pareto'} <= written[0].keys()
    for row in rows:
        assert row['accuracy_csim'] == pytest.approx(row['accuracy_quantized'], abs=1e-6)
    assert (directory / 'pareto.png').read_bytes().startswith(b'\x89PNG')
    page = (directory / 'report.html').read_text()
    assert all(row['run'] in page for row in rows) and 'src="http' not in page
    before = {path: path.stat().st_mtime_ns for path in directory.glob('*/summary.json')}
    sweep.sweep(config, directory, [0.0, 50.0], [0])
    assert before == {path: path.stat().st_mtime_ns for path in directory.glob('*/summary.json')}
    with pytest.raises(FileExistsError, match='a sweep with another config'):
        prepare_sweep(small_config(), str(directory), overwrite=False)


def test_the_pareto_front_by_brute_force(monkeypatch):
    rng = np.random.default_rng(0)
    rows = [{'accuracy_csim': float(rng.integers(0, 5)), 'cost': float(rng.integers(0, 5))} for _ in range(30)]
    for row in rows:
        better = [
            o
            for o in rows
            if (o['accuracy_csim'], -o['cost']) != (row['accuracy_csim'], -row['cost'])
            and o['accuracy_csim'] >= row['accuracy_csim']
            and o['cost'] <= row['cost']
        ]
        assert any(pareto.dominates(other, row) for other in rows) == bool(better)


# Every config file, and the one that takes a method with each of them.
CONFIGS = [str(path) for path in sorted((ROOT / 'experiments' / 'configs').glob('[a-z]*.py'))]
CONFIGS += [f'{ROOT}/experiments/configs/photo_digits_resnet20.py:{method}' for method in METHODS]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.rpartition('/')[2])
def test_every_config_builds_validates_and_traces(path, tmp_path):
    config = config_file.load(path)
    assert config.method == path.partition(':')[2] or ':' not in path
    config_lib.validate(config)
    assert config.is_locked
    assert config_lib.from_json(config_lib.to_json(config)).to_dict() == config.to_dict()
    features = embedded_builder(
        config.data.name, tmp_path
    ).info.features  # a builder knows its images without having made them
    layout = find_layout(features, tmp_path)
    net = run.build_graph(config, types.SimpleNamespace(image_shape=layout.fixed_shape, classes=layout.classes))
    logits = jax.eval_shape(
        model.Net(net).apply, model.init(net, 0), jax.ShapeDtypeStruct((2, *layout.fixed_shape), np.float32)
    )
    assert logits.shape == (2, layout.classes) and not list(tmp_path.iterdir())


def test_the_whole_road_with_every_augmentation_and_on_slices(tmp_path):
    config = small_config()
    config.data.update(train_split='train[:30%]', test_split='train[90%:]', pad=1, flip=True, cutout=2, mixup=0.2)
    config.train.teacher.epochs = 1.0
    summary = run.train(config, tmp_path / 'w', quiet=True)
    assert 0 <= summary['accuracy']['quantized'] <= 1 and summary['config']['data']['mixup'] == 0.2


def test_a_teacher_of_another_network_is_refused(trained, tmp_path):
    config = small_config()
    config.model.width = 8
    config.train.teacher_workdir = str(trained[0])
    with pytest.raises(ConfigError, match=r"was trained with model = .*'width': 4"):
        run.train(config, tmp_path / 'w', quiet=True)
    config.train.teacher_workdir = str(tmp_path / 'nowhere')
    with pytest.raises(ConfigError, match=r'no config.json is there'):
        run.train(config, tmp_path / 'v', quiet=True)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            ['experiments.train', f'--config={CONFIG}', '--workdir=W', '--config.train.batch_sise=3'],
            "no key 'batch_sise'; did you mean 'batch_size'",
        ),
        (
            ['experiments.train', f'--config={CONFIG}', '--workdir=W', '--config.trian.batch_size=3'],
            "no key 'trian'; did you mean 'train'",
        ),
        (
            ['experiments.train', f'--config={CONFIG}', '--workdir=W', '--config.seed=abc'],
            "--config.seed=abc: config.seed is 'abc'; expected an integer",
        ),
        (['experiments.train', f'--config={CONFIG}', '--workdri=W'], "Unknown command line flag 'workdri'"),
        (['experiments.train', '--config=nowhere.py', '--workdir=W'], 'nowhere.py'),
        (['experiments.train', f'--config={CONFIG}'], '--workdir is missing'),
        (['experiments.train', '--workdir=W'], '--config is missing'),
        (['experiments.train', 'W'], "unexpected argument 'W'"),
        (['experiments.train', f'--config={CONFIG}', '--workdir=W', '--config.data.name=digit'], 'digits'),
        (
            ['experiments.sweep', f'--config={CONFIG}', '--workdir=W', '--weights=0,x'],
            "--weights is '0,x'; expected numbers",
        ),
        (
            ['experiments.sweep', f'--config={CONFIG}', '--workdir=W', '--weights=0,1', '--config.method=remove'],
            'has no cost weight to sweep',
        ),
        (['experiments.export', '--workdir=nowhere', '--out=P'], 'nowhere holds no finished training'),
        (
            ['experiments.export', '--workdir=nowhere', '--out=P', '--target=pe'],
            "--target is 'pe'; networks can be exported to dataflow",
        ),
        (['experiments.report', '--workdir=nowhere'], 'nowhere does not exist; give the workdir'),
        (['hls_export.csim', 'nowhere'], 'nowhere'),
    ],
)
def test_bad_input_on_the_command_line(arguments, message, tmp_path):
    import re

    done = command(
        *[argument.replace('=W', f'={tmp_path}/W').replace('=P', f'={tmp_path}/P') for argument in arguments]
    )
    assert done.returncode != 0
    assert re.search(message, done.stderr), done.stderr
    assert 'Traceback' not in done.stderr, done.stderr
    assert not (tmp_path / 'W').exists() and not (tmp_path / 'P').exists()


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


def test_a_cost_that_no_skip_adds_to_is_refused():
    config = small_config()
    net = run.build_graph(config, data.load('digits'))
    config.cost.resources = ('uram',)
    with pytest.raises(ConfigError, match='no skip of this network adds to any of them'):
        cost_of(config, net)


def test_nothing_is_written_before_everything_is_checked(tmp_path):
    for key, value in (
        ('cost.dataflow.device', 'foo'),
        ('cost.dataflow.fifo_policy', 'bar'),
        ('model.depth', 9),
        ('cost.dataflow.interval_cycles', 3),
        ('train.teacher_workdir', 'nowhere'),
    ):
        config = small_config()
        config.update_from_flattened_dict({key: value})
        with pytest.raises((ConfigError, costmodel.CostError)):
            run.train(config, tmp_path / 'w', quiet=True)
        assert not (tmp_path / 'w').exists()
