"""The settings of targets as config keys: as from Python, where the old ones went, and the page of all keys."""

import dataclasses
from pathlib import Path

import pytest
from plans import folded
from small_config import small_config

import costmodel
from costmodel import targets
from experiments import config_file, config_page
from experiments.config import ConfigError, defaults, keys, validate
from experiments.cost import check_sections, cost_of, dataflow_of, keep_folding, target_of
from experiments.keys import KEYS
from tailor_jax import build, rewrite
from tailor_jax.dataflow import folding_file
from tailor_jax.graph import GraphError

ROOT = Path(__file__).parents[2]
FILE = str(ROOT / 'experiments' / 'configs' / 'digits_resnet8.py')
# {key: (value in a config, the same from Python)} of settings of either target.
DATAFLOW = {
    'device': ('u50', 'u50'),
    'fifo_policy': ('pow2', 'pow2'),
    'folding': ('mine.json', 'mine.json'),
    'interval_cycles': (5000, 5000),
    'clock_mhz': (125, 125),
    'stream_depth': (3, 3),
    'multiplier': ('lut', 'lut'),
    'add': ('separate', 'separate'),
    'skip': ('clone', 'clone'),
    'dsp_packing': (False, False),
    'device_share': (0.5, 0.5),
}
PE_ARRAY = {
    'preset': ('shortcut_fusion', 'shortcut_fusion'),
    'policy': ('shortcut_fusion', 'shortcut_fusion'),
    'rows': (8, 8),
    'columns': (4, 4),
    'dataflow': ('weight_stationary', 'weight_stationary'),
    'double_buffered': (False, False),
    'input_buffer_bytes': (1000, 1000),
    'weight_buffer_bytes': (2000, 2000),
    'output_buffer_bytes': (3000, 3000),
    'sram_bytes': (6000, 6000),
    'bandwidth_gb_s': (1.5, 1.5),
    'clock_mhz': (100, 100),
    'accumulator_bits': (24, 24),
    'batch': (2, 2),
    'fuse_add': (True, True),
    'energy': ('fpga_zc706', 'fpga_zc706'),
    'cuts': (2, 2),
    'frame': (('s1b0',), ('s1b0',)),
}
ELSEWHERE = {'rereads', 'bank_bytes', 'dram_bytes_per_cycle'}  # of other policies; in place of bandwidth_gb_s


def with_settings(name, **settings):
    config = small_config()
    config.cost.target, config.quant.weight_bits = name, 6
    config.cost[name].update(settings)
    validate(config)
    return config


def test_each_setting_of_the_exported_design_is_the_constructors():
    assert set(DATAFLOW) == set(defaults().cost.dataflow)
    for key, (value, same) in DATAFLOW.items():
        paced = {'interval_cycles': None if key in ('device_share', 'folding') else 4096}
        target = target_of(with_settings('dataflow', **paced | {key: value}))
        expected = {**paced, 'weight_bits': 6, key: same}
        assert target == costmodel.dataflow(**expected) != costmodel.dataflow(**expected | {key: None})


def test_the_settings_of_an_array_are_the_constructors():
    assert set(PE_ARRAY) | ELSEWHERE == set(defaults().cost.pe_array)
    config = with_settings('pe_array', **{key: value for key, (value, _) in PE_ARRAY.items()})
    assert target_of(config) == costmodel.pe_array(**{key: same for key, (_, same) in PE_ARRAY.items()}, weight_bits=6)
    assert target_of(with_settings('pe_array')) == costmodel.pe_array(weight_bits=6)
    for key, value in {'rereads': True, 'dram_bytes_per_cycle': 2}.items():
        assert getattr(target_of(with_settings('pe_array', **{key: value})), key) == value
    mining = with_settings('pe_array', policy='shortcut_mining', bank_bytes=512)
    assert target_of(mining).bank_bytes == 512


@pytest.mark.parametrize('name', targets.TARGETS)
def test_a_setting_of_a_target_is_a_key_or_an_error_that_says_where_it_is(name):
    section = defaults().cost[name]
    for key in targets.TARGETS[name].SETTINGS:
        if key not in section:
            with pytest.raises(ConfigError, match=rf'config\.cost\.{name}\.{key} is (config\.quant\.{key}|no key: )'):
                section[key] = 4


def test_settings_of_a_target_that_is_not_priced_are_refused_but_for_those_of_the_exported_design():
    config = with_settings('pe_array')
    config.cost.dataflow.device = 'u50'
    check_sections(config)
    assert dataflow_of(config).device == 'u50' and isinstance(target_of(config), costmodel.PEArray)
    config.cost.pe_array.rows = 7
    check_sections(config)
    config.cost.target = 'dataflow'
    with pytest.raises(ConfigError, match="config.cost.pe_array.rows is 7, but config.cost.target is 'dataflow'"):
        check_sections(config)


@pytest.mark.parametrize('target', targets.TARGETS)
def test_a_node_that_the_exported_design_does_not_have_is_refused_before_training(target, tmp_path):
    config = with_settings('dataflow', folding=str(tmp_path / 'folding.json'), interval_cycles=None)
    folding = folded(rewrite.fold(build.resnet(8, (8, 8, 1), width=4)))
    layers = {('stem_cnv' if name == 'stem_conv' else name): layer for name, layer in folding.layers.items()}
    folding_file.save(config.cost.dataflow.folding, dataclasses.replace(folding, layers=layers), 4096)
    config.cost.target = target
    message = '^config.cost.dataflow: folding: .*folding.json: .* no layer .stem_conv.'
    with pytest.raises(ConfigError, match=message):
        cost_of(config, build.resnet(8, (8, 8, 1), width=4))


def test_a_run_goes_on_with_the_folding_that_it_began_with(tmp_path):
    config, graph = with_settings('dataflow', interval_cycles=4096), build.resnet(8, (8, 8, 1), width=4)
    path = tmp_path / 'folding.json'
    keep_folding(config, graph, tmp_path)
    begun = path.read_bytes()
    keep_folding(config, graph, tmp_path)
    config.cost.dataflow.interval_cycles = 8192
    with pytest.raises(FileExistsError, match='folding.json is another folding than config.cost.dataflow gives now'):
        keep_folding(config, graph, tmp_path)
    path.write_bytes(begun[:-9])
    with pytest.raises(GraphError, match='folding.json is damaged'):
        keep_folding(config, graph, tmp_path)
    path.unlink()
    keep_folding(config, graph, tmp_path)
    assert path.read_bytes() != begun


def test_a_block_that_the_network_does_not_have_is_refused_by_its_section():
    config = with_settings('pe_array', frame=('s1b9',), policy='shortcut_fusion')
    with pytest.raises(ConfigError, match="^config.cost.pe_array: frame names block 's1b9', .* did you mean 's1b0'"):
        cost_of(config, build.resnet(8, (8, 8, 1), width=4))


@pytest.mark.parametrize('text', ['', 'none', "('none',)", '()'])
def test_no_block_in_frame_mode_is_none_in_a_config_as_on_a_command_line(text):
    given = {'target': 'pe_array', 'pe_array.preset': 'shortcut_fusion', 'pe_array.policy': 'shortcut_fusion'}
    overrides = [('', f'cost.{key}', value) for key, value in given.items()]
    best, none = (config_file.load(FILE, [*overrides, *more]) for more in ([], [('', 'cost.pe_array.frame', text)]))
    assert target_of(best).frame is None and target_of(none).frame == ()


@pytest.mark.parametrize(
    'override, message',
    [
        ('cost.device=kv260', 'config.cost.device is now config.cost.dataflow.device'),
        ('cost.policy=retain', 'config.cost.policy is now config.cost.pe_array.policy'),
        ('cost.dataflow=x', 'a loop order is now config.cost.pe_array.dataflow'),
        ('cost.dataflow.add=apart', "config.cost.dataflow.add is 'apart'; expected one of absorbed, separate"),
        ('cost.dataflow.interval_cycles=0', 'config.cost.dataflow.interval_cycles is 0; expected an integer of 1..'),
        ('cost.dataflow.clock_mhz=20000', 'expected a number of 1e-09 to 10000'),
        ('cost.dataflow.reuse_factor=stem_conv', 'reuse_factor is now config.cost.dataflow.folding, a file'),
        ('cost.dataflow.device=zcu10', "expected one of pynq_z2, .*; did you mean 'zcu104'"),
        ('cost.pe_array.frame=s1b0,s1b0', r"frame is \('s1b0', 's1b0'\); expected a list or tuple of names"),
    ],
)
def test_a_key_that_moved_and_a_bad_value_are_named(override, message):
    key, text = override.split('=', 1)
    with pytest.raises(ConfigError, match=message) as caught:
        config_file.load(FILE, [(f'--config.{override}', key, text)])
    assert '\n' not in str(caught.value)


def test_a_dict_in_place_of_the_section_that_was_a_value():
    config = defaults()
    config.cost.dataflow = {'device': 'u50'}
    assert config.cost.dataflow.device == 'u50' and config.cost.dataflow.fifo_policy == 'exact'
    with pytest.raises(
        ConfigError, match="config.cost.dataflow is 'channel_parallel'; .* config.cost.pe_array.dataflow"
    ):
        config.cost.dataflow = 'channel_parallel'


def test_a_config_file_that_takes_no_argument():
    with pytest.raises(ConfigError, match=r"digits_resnet8.py takes no argument, and 'static' is given"):
        config_file.load(f'{FILE}:static')


def test_the_page_of_config_keys_is_up_to_date():
    text = (ROOT / 'docs' / 'config.md').read_text()
    assert text == config_page.page(), 'run python -m experiments.config_page docs/config.md'
    assert [f'`{key}`' for key in KEYS] == [line.split(' ')[1] for line in text.splitlines() if line.startswith('| `')]
    assert set(KEYS) == set(keys(defaults()))


def test_the_page_is_printed_or_written_whole(tmp_path, capsys):
    assert config_page.main([]) == 0
    printed = capsys.readouterr().out
    assert config_page.main([str(tmp_path / 'config.md')]) == 0
    assert (tmp_path / 'config.md').read_text() == printed
    for path in (tmp_path / 'config.txt', tmp_path / 'nowhere' / 'config.md'):
        assert config_page.main([str(path)]) == 1 and not path.exists()
        assert capsys.readouterr().err.startswith('error: expected a page FILE.md')
