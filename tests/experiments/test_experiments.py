"""The whole road on a small network."""

import csv
import json

import numpy as np
import pytest
from small_config import small_config

import costmodel
import hls_export
from experiments import config as config_lib
from experiments import network, pareto, run, sweep
from experiments.config import ConfigError
from experiments.cost import cost_of, kept_design
from experiments.export import export
from experiments.workdir import prepare_sweep
from tailor_jax import data, graph, rewrite
from tailor_jax.integers import qgraph


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
    config = config_lib.from_json((workdir / 'config.json').read_text())
    target = kept_design(config, network.kept(workdir / network.FILE), workdir)
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


def test_a_cost_that_no_skip_adds_to_is_refused():
    config = small_config()
    net = run.build_graph(config, data.load('digits'))
    config.cost.resources = ('uram',)
    with pytest.raises(ConfigError, match='no skip of this network adds to any of them'):
        cost_of(config, net)


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


def test_the_whole_road_with_every_augmentation_and_on_slices(tmp_path):
    config = small_config()
    config.data.update(train_split='train[:30%]', test_split='train[90%:]', pad=1, flip=True, cutout=2, mixup=0.2)
    config.train.teacher.epochs, config.train.finetune.epochs = 1.0, 0.0
    summary = run.train(config, tmp_path / 'w', quiet=True)
    assert 0 <= summary['accuracy']['quantized'] <= 1 and summary['config']['data']['mixup'] == 0.2
