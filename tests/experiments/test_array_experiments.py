"""Training against the PE array: the config's keys, the cost term, a run whose gates close, and what can be exported of
it.
"""

import json

import pytest
from small_config import small_config

import costmodel
from experiments import pareto, run
from experiments.budget import budget_of, repair
from experiments.config import ConfigError, validate
from experiments.cost import cost_of, target_of
from experiments.export import export
from tailor_jax import data, rewrite


def array_config(**cost):
    config = small_config()
    config.cost.target = 'pe_array'
    for key, value in cost.items():
        config.cost[key if key in ('weight', 'resources') else f'pe_array.{key}'] = value
    return config


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    config = array_config(weight=30.0, policy='retain', sram_bytes=600)
    config.cost.dataflow.update(device='kv260', clock_mhz=150.0, stream_depth=4)
    config.train.teacher.epochs = 1.0
    config.train.student.epochs, config.train.finetune.epochs, config.train.qat.epochs = 3.0, 0.0, 0.0
    workdir = tmp_path_factory.mktemp('array') / 'run'
    return config, workdir, run.train(config, workdir, quiet=True)


def test_a_run_closes_gates_and_lowers_dram_bytes(trained):
    config, _, summary = trained
    before, after = summary['hardware']['before'], summary['hardware']['after']
    assert sum(summary['gates'].values()) < len(summary['gates'])
    assert after['dram_bytes'] < before['dram_bytes'] and after['cycles'] < before['cycles']
    net = run.build_graph(config, data.load('digits'))
    assert costmodel.evaluate(rewrite.binarize(net, summary['gates']), target_of(config)).total == after


def test_it_exports_as_the_dataflow_design_that_the_config_describes(trained, tmp_path):
    config, workdir, _ = trained
    cost = export(workdir, tmp_path / 'p')
    assert isinstance(cost.target, costmodel.Dataflow)
    said = json.loads((tmp_path / 'p' / 'hardware.json').read_text())
    assert said['target']['device'] == config.cost.dataflow.device
    kept = json.loads((workdir / 'folding.json').read_text())
    assert said['folding']['layers'].items() <= kept['layers'].items() and said['folding']['layers']
    script, depths = (tmp_path / 'p' / 'build.tcl').read_text(), {row['depth'] for row in said['fifos']}
    assert costmodel.devices.device('kv260').part in script and '6.66' in script and min(depths) == 4


def test_the_pareto_picture_takes_the_resources_of_the_target(trained):
    _, _, summary = trained
    row = {f'accuracy_{name}': value for name, value in summary['accuracy'].items()} | summary['hardware']['after']
    assert pareto.draw([row | {'accuracy_csim': 0.9, 'cost': 0.5, 'weight': 1.0, 'seed': 0, 'pareto': 1}]).startswith(
        b'\x89PNG'
    )


def test_the_cost_is_of_the_targets_own_resources():
    config = array_config()
    net = run.build_graph(config, data.load('digits'))
    cost = cost_of(config, net)
    assert cost.resources == ('dram_bytes', 'cycles') and set(cost.bounds) == {'dram_bytes', 'cycles'}
    assert float(cost(dict.fromkeys(net.gates, 1.0))) == pytest.approx(1.0)
    assert float(cost(dict.fromkeys(net.gates, 0.0))) == pytest.approx(0.0)


def test_a_budget_of_dram_bytes_is_met_exactly():
    config = array_config()
    net = run.build_graph(config, data.load('digits'))
    cost = cost_of(config, net)
    none, every = cost.bounds['dram_bytes']
    config.cost.budget.dram_bytes = (none + every) / 2
    budget = budget_of(config, cost)
    assert budget is not None and budget.resources == ('dram_bytes',)
    kept, _ = repair(budget, dict.fromkeys(net.gates, 0.9), 3, lambda setting: -sum(setting.values()))
    assert 0 < sum(kept.values()) < len(kept)
    assert costmodel.evaluate(rewrite.binarize(net, kept), cost.target).total['dram_bytes'] <= (none + every) / 2


@pytest.mark.parametrize(
    'cost, quant, message',
    [
        ({'policy': 'retian'}, {}, "config.cost.pe_array.policy is 'retian'; expected one of .*did you mean 'retain'"),
        ({'preset': 'tailor2d'}, {}, "config.cost.pe_array: no preset 'tailor2d'; did you mean 'tailor_2d'"),
        (
            {'policy': 'retain', 'cuts': 2},
            {},
            'config.cost.pe_array: cuts is a setting of policy=shortcut_fusion, and the policy is retain',
        ),
        ({'bandwidth_gb_s': 1.0, 'dram_bytes_per_cycle': 1.0}, {}, 'config.cost.pe_array: give bandwidth_gb_s or'),
        ({'sram_bytes': 10}, {}, "node 'stem_conv' .*smallest tiles take .* sram_bytes is 10"),
        ({'resources': ('lut',)}, {}, "names 'lut'; those with an expectation on this target are dram_bytes"),
        (
            {'policy': 'retain', 'sram_bytes': 10_000_000, 'resources': ('dram_shortcut_bytes',)},
            {},
            'no skip of this network adds to any of them.*which prices.*buffer_bytes',
        ),
        ({}, {'weight_bits_of': 's1b0_conv1=4'}, 'config.quant.weight_bits_of gives single nodes a width'),
    ],
)
def test_bad_settings_are_named(cost, quant, message):
    config = array_config(**cost)
    config.quant.update(quant)
    with pytest.raises((ConfigError, costmodel.CostError), match=message):
        validate(config)
        cost_of(config, run.build_graph(config, data.load('digits')))
