"""The PE-array model against what SCALE-Sim and ZigZag gave (`experiments/fidelity/peers.json`), and against Tailor's
figures.
"""

import random

import numpy as np
import pytest
from mutations import damaged

import costmodel
from experiments.benchmarks import pe_peers
from experiments.config import ConfigError
from experiments.fidelity import peers, tailor
from tailor_jax import build, rewrite


@pytest.mark.parametrize('run', [run for run in peers.runs() if '/scalesim/' in run])
def test_cycles_equal_scalesims_on_every_layer(run):
    found = peers.pairs(run)
    assert len(found) == sum(node.op in ('conv', 'dense') for node in peers.network(run.split('/')[0]).nodes)
    assert [each.cycles for each in found] == [each.peer_cycles for each in found]


@pytest.mark.parametrize('run', [run for run in peers.runs() if '/zigzag/' in run])
def test_dram_bytes_are_within_five_per_cent_of_zigzags_but_for_strided_projections(run):
    found = peers.pairs(run)
    assert {each.node.op for each in found} == {'conv', 'dense', 'add'}
    for each in found:
        kernel, stride = each.node.kernel, each.node.stride
        if stride[0] > kernel[0]:  # ZigZag reads the pixels that the stride hits, the model the map
            hit = np.prod(stride)
            assert each.bytes == each.peer_bytes | {'input_bytes': hit * each.peer_bytes['input_bytes']}
        else:
            assert each.dram_bytes == pytest.approx(each.peer_dram_bytes, rel=0.05)
    assert sum(each.dram_bytes for each in found) == pytest.approx(
        sum(each.peer_dram_bytes for each in found), rel=0.05
    )


@pytest.mark.parametrize('run', [run for run in peers.runs() if '/zigzag/' in run])
def test_cycles_equal_zigzags_ideal_ones(run):
    found = [each for each in peers.pairs(run) if each.node.op != 'add']
    assert [each.cycles for each in found] == [each.peer_cycles for each in found]


def test_layers_alone_move_what_they_move_in_the_network():
    graph, target = peers.network('resnet20'), peers.target('channel_parallel')
    rows = {row['name']: row for row in costmodel.evaluate(graph, target).nodes}
    for each in peers.pairs('resnet20/zigzag/channel_parallel'):
        if any(graph[reader].op == 'global_avg_pool' for reader in graph.consumers[each.node.name]):
            continue  # in the network it writes the average
        assert (
            each.dram_bytes == rows[each.node.name]['dram_bytes']
            and each.cycles == rows[each.node.name]['compute_cycles']
        )


def test_the_closest_setting_to_tailors_figures_is_what_evaluate_gives():
    best = tailor.closest(tailor.settings())
    assert best.distance < 0.01
    names = ('policy', 'fuse_add', 'sram_bytes', 'batch', 'dataflow')
    settings = {name: getattr(best, name) for name in names} | {'rows': best.side, 'columns': best.side}
    target = costmodel.pe_array('tailor_2d', dram_bytes_per_cycle=best.bytes_per_cycle, **settings)
    graph = build.named('resnet50')
    before, after = (
        costmodel.evaluate(rewrite.binarize(graph, dict.fromkeys(graph.gates, gate)), target).total for gate in (1, 0)
    )
    assert best.dram == pytest.approx(after['dram_bytes'] / before['dram_bytes'] - 1)
    assert best.maps == pytest.approx(after['dram_feature_map_bytes'] / before['dram_feature_map_bytes'] - 1)
    assert best.performance == pytest.approx(before['cycles'] / after['cycles'] - 1)


def test_a_file_of_runs_is_what_was_written(tmp_path):
    (tmp_path / 'peers.json').write_text(peers.text(peers.runs().values()))
    assert (tmp_path / 'peers.json').read_bytes() == peers.FILE.read_bytes() and peers.load(
        tmp_path / 'peers.json'
    ) == peers.runs()


@pytest.mark.parametrize('seed', range(100))
def test_a_damaged_file_of_runs_is_refused_by_name_or_read(tmp_path, seed):
    path = tmp_path / 'peers.json'
    path.write_bytes(damaged(peers.text(list(peers.runs().values())[:1]).encode(), random.Random(seed)))
    try:
        assert peers.load(path)
    except costmodel.CostError as error:
        assert str(path) in str(error)


def test_every_run_is_kept():
    assert tuple(peers.runs()) == pe_peers.RUNS


def test_a_wrong_run_or_a_missing_tool_is_named(monkeypatch):
    with pytest.raises(ConfigError, match='unknown run'):
        next(pe_peers.results(['resnet20/timeloop/x']))
    monkeypatch.setattr(pe_peers.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ConfigError, match=r'scalesim is not installed.*tailor_jax\[peers\]'):
        next(pe_peers.results([pe_peers.RUNS[0]]))
