"""The table of targets: a setting is the same on the command line, from Python and in what is reported."""

import dataclasses
import json

import pytest
from cost_command import run
from plans import folded

import costmodel
from costmodel import targets
from tailor_jax import build, graph, rewrite
from tailor_jax.dataflow import folding_file

NET = build.resnet(8, (8, 8, 3), width=4)
# (target, setting, text on the command line (None for a switch), value from Python, what else must be given with it).
GIVEN = [
    ('dataflow', 'device', 'kv260', 'kv260', {}),
    ('dataflow', 'fifo_policy', 'full_map', 'full_map', {}),
    ('dataflow', 'weight_bits', '4', 4, {}),
    ('dataflow', 'activation_bits', '6', 6, {}),
    ('dataflow', 'folding', 'FILE', 'FILE', {}),
    ('dataflow', 'interval_cycles', '4096', 4096, {}),
    ('dataflow', 'device_share', '0.25', 0.25, {}),
    ('dataflow', 'clock_mhz', '150.5', 150.5, {}),
    ('dataflow', 'stream_depth', '3', 3, {}),
    ('dataflow', 'multiplier', 'lut', 'lut', {}),
    ('dataflow', 'add', 'separate', 'separate', {}),
    ('dataflow', 'skip', 'clone', 'clone', {}),
    ('dataflow', 'dsp_packing', None, False, {}),
    ('dataflow', 'weight_bits_of', 'stem_conv=3', {'stem_conv': 3}, {}),
    ('dataflow', 'activation_bits_of', 'stem_conv=5', {'stem_conv': 5}, {}),
    ('pe_array', 'preset', 'shortcut_fusion', 'shortcut_fusion', {}),
    ('pe_array', 'policy', 'retain', 'retain', {}),
    ('pe_array', 'rows', '8', 8, {}),
    ('pe_array', 'columns', '4', 4, {}),
    ('pe_array', 'dataflow', 'weight_stationary', 'weight_stationary', {}),
    ('pe_array', 'sram_bytes', '9000', 9000, {}),
    ('pe_array', 'input_buffer_bytes', '20000', 20000, {'preset': 'vta'}),
    ('pe_array', 'weight_buffer_bytes', '30000', 30000, {'preset': 'vta'}),
    ('pe_array', 'output_buffer_bytes', '10000', 10000, {'preset': 'vta'}),
    ('pe_array', 'double_buffered', None, False, {}),
    ('pe_array', 'dram_bytes_per_cycle', '2.5', 2.5, {}),
    ('pe_array', 'bandwidth_gb_s', '1.5', 1.5, {}),
    ('pe_array', 'clock_mhz', '100', 100, {}),
    ('pe_array', 'weight_bits', '4', 4, {}),
    ('pe_array', 'activation_bits', '16', 16, {}),
    ('pe_array', 'accumulator_bits', '24', 24, {}),
    ('pe_array', 'batch', '2', 2, {}),
    ('pe_array', 'rereads', None, True, {}),
    ('pe_array', 'fuse_add', None, True, {}),
    ('pe_array', 'energy', 'fpga_zc706', 'fpga_zc706', {}),
    ('pe_array', 'bank_bytes', '64', 64, {'policy': 'shortcut_mining'}),
    ('pe_array', 'cuts', '2', 2, {'policy': 'shortcut_fusion'}),
    ('pe_array', 'frame', 's1b0,s2b0', ('s1b0', 's2b0'), {'policy': 'shortcut_fusion'}),
    ('pe_array', 'frame', 'none', (), {'policy': 'shortcut_fusion'}),
]


def test_every_setting_of_every_target_is_given_here():
    settings = {(name, key) for name, module in targets.TARGETS.items() for key in module.SETTINGS}
    assert {(name, key) for name, key, *_ in GIVEN} == settings


@pytest.mark.parametrize('name, key, text, value, others', GIVEN)
def test_a_setting_on_the_command_line_is_the_one_from_python(capsys, tmp_path, name, key, text, value, others):
    graph.save(NET, tmp_path / 'net.json')
    if key == 'folding':
        text = value = str(tmp_path / 'folding.json')
        folding_file.save(text, folded(rewrite.fold(NET)), 1000)
    flag = f'--{key}={text}' if text else f'--{key}' if value else f'--no-{key}'
    options = [flag, *(f'--{each}={it}' for each, it in others.items())]
    status, out, err = run(capsys, str(tmp_path / 'net.json'), f'--target={name}', '--json', *options)
    made = getattr(costmodel, name)(**others, **{key: value})
    cost = costmodel.evaluate(NET, made)  # which names the cut that a policy has chosen
    assert status == 0, err
    said = json.loads(out)
    settings = {key: value for key, value in dataclasses.asdict(cost.target).items() if key != 'folding'}
    assert said['target'] == {'name': name} | json.loads(json.dumps(settings))
    if cost.plan:
        assert said['folding'] == json.loads(json.dumps(dataclasses.asdict(cost.plan.folding)))
    assert said['total'] == cost.total
    assert made != getattr(costmodel, name)(**others)


@pytest.mark.parametrize('name', targets.TARGETS)
def test_what_is_not_given_is_the_default(name):
    make = getattr(costmodel, name)
    assert make(**dict.fromkeys(key for key in targets.TARGETS[name].SETTINGS if key != 'preset')) == make()
    with pytest.raises(costmodel.CostError, match=f"^{name} has no setting 'clock'; did you mean 'clock_mhz'"):
        make(clock=100)
