"""`python -m costmodel`: what it prints, its JSON, its picture, and its errors."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cost_command import run

import costmodel
from costmodel import cli
from experiments import config_page
from experiments.calibrate import __main__ as calibrate
from experiments.fidelity import dataflow as fidelity
from experiments.fidelity import figures
from tailor_jax import build, graph

ROOT = Path(__file__).parents[2]


def test_a_folding_is_written_edited_and_read(capsys, tmp_path):
    path = tmp_path / 'mine.json'
    network = ['resnet8', '--input=8x8x1', '--width=4', '--json']
    assert cli.main([*network, '--interval_cycles=2304', f'--save_folding={path}']) == 0
    solved = json.loads(capsys.readouterr().out)
    assert cli.main([*network, f'--folding={path}']) == 0
    assert json.loads(capsys.readouterr().out)['total'] == solved['total']
    edited = json.loads(path.read_text())
    for layer in edited['layers'].values():
        layer['outputs'] = 1
    path.write_text(json.dumps(edited))
    assert cli.main([*network, f'--folding={path}']) == 0
    assert json.loads(capsys.readouterr().out)['total']['interval_cycles'] > solved['total']['interval_cycles']
    assert cli.main([*network, f'--save_folding={path}']) == 1
    assert '--save_folding must be a new file' in capsys.readouterr().err
    assert cli.main(['resnet8', '--target=pe_array', f'--save_folding={tmp_path / "other.json"}']) == 1
    assert 'the target has none' in capsys.readouterr().err


@pytest.mark.parametrize('network', ['resnet8', 'resnet20'])
def test_pricing_loads_no_jax(network):
    code = (
        f"import sys; from costmodel.cli import main; sys.exit(main(['{network}', '--target=dataflow', '--json']) "
        "or 'jax' in sys.modules)"
    )
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)['network'] == network


def test_json_has_the_documented_keys(capsys):
    status, out, _ = run(capsys, 'resnet20', '--json', '--fifo_policy=full_map', '--keep=none')
    found = json.loads(out)
    assert status == 0 and {'network', 'target', 'total', 'blocks', 'nodes', 'fifos', 'before', 'share', 'fits'} <= set(
        found
    )
    assert found['target']['fifo_policy'] == 'full_map' and found['target']['name'] == 'dataflow'
    assert found['before']['bram18'] > found['total']['bram18']
    for level in ('nodes', 'blocks'):
        assert all({'name', 'op'} <= set(row) for row in found[level])
        for resource in ('bram18', 'lut', 'fifo_bits', 'macs'):
            assert sum(row[resource] for row in found[level]) == found['total'][resource]
        assert max(row['interval_cycles'] for row in found[level]) == found['total']['interval_cycles']
    for resource in ('lut', 'ff', 'bram18'):
        assert sum(row[resource] for row in found['fifos']) <= found['total'][resource]


def test_the_text_shows_before_beside_after_at_three_levels(capsys):
    status, out, _ = run(capsys, 'resnet8_short', '--keep=s1b0_short1', '--input=8x8x1', '--simulate')
    assert status == 0
    for word in (
        'Nodes, after',
        'Blocks',
        'Network',
        'before',
        'after',
        'change',
        'of zcu104',
        'fits',
        'max_occupancy',
        'Simulated word by word',
    ):
        assert word in out
    assert len(out.splitlines()[0]) < 200  # a folding has a line a node: it is in the JSON


def test_a_graph_file(capsys, tmp_path):
    path = tmp_path / 'mine.json'
    path.write_text(graph.to_json(build.resnet(8, (8, 8, 1), width=4)))
    status, out, _ = run(capsys, str(path), '--json')
    assert status == 0 and json.loads(out)['network'] == 'mine'
    assert (
        json.loads(out)['total'] == costmodel.evaluate(build.resnet(8, (8, 8, 1), width=4), costmodel.dataflow()).total
    )


@pytest.mark.parametrize('option', ['--input=8', '--skips=long', '--width=8', '--classes=3', '--width=0'])
def test_a_graph_file_takes_no_option_of_a_builder(capsys, tmp_path, option):
    graph.save(build.resnet(8, (8, 8, 1), width=4), tmp_path / 'mine.json')
    status, out, err = run(capsys, str(tmp_path / 'mine.json'), option)
    assert status == 1 and not out and f'leave out {option.split("=")[0]}' in err


@pytest.mark.parametrize(
    'content', ['', '[]', '{"format": "tailor_jax.graph", "version": 1, "nodes": [{"name": "x"}]}', '\x00']
)
def test_a_bad_graph_file_is_named(capsys, tmp_path, content):
    path = tmp_path / 'mine.json'
    path.write_text(content)
    status, out, err = run(capsys, str(path))
    assert status == 1 and not out and err.startswith(f'error: {path}') and err.count('\n') == 1


COMMANDS = (cli.main, calibrate.main, fidelity.main, figures.main, config_page.main)


@pytest.mark.parametrize('main', COMMANDS, ids=lambda main: main.__module__)
def test_every_command_helps_with_status_0_and_refuses_with_status_1(capsys, main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as done:
        main(['--help'])
    assert (
        done.value.code == 0
        and f'usage: python -m {main.__module__.removesuffix(".__main__").removesuffix(".cli")}'
        in capsys.readouterr().out
    )
    for arguments in (['--nonsense'], ['one.png', 'two.png', 'three.png'], ['no/such/folder/x.md'], ['missing.json']):
        assert main(arguments) == 1
        captured = capsys.readouterr()
        assert not captured.out and captured.err.startswith('error: ') and captured.err.count('\n') == 1, captured.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('command', [['costmodel', 'resnet8', '--json'], ['tailor_jax.build']])
def test_a_command_that_nobody_reads_ends_quietly(command):
    nobody, end = os.pipe()
    os.close(nobody)
    result = subprocess.run([sys.executable, '-m', *command], cwd=ROOT, stdout=end, stderr=subprocess.PIPE, text=True)
    os.close(end)
    assert result.returncode == 141 and not result.stderr


def test_hardware_begins_with_its_format_and_version(capsys):
    for target in ('dataflow', 'pe_array'):
        found = json.loads(run(capsys, 'resnet8', f'--target={target}', '--json')[1])
        assert list(found)[:3] == ['format', 'version', 'network'] and (found['format'], found['version']) == (
            'tailor_jax.hardware',
            1,
        )


def test_names_suffixes_and_options_build_the_same_network(capsys):
    totals = [
        json.loads(run(capsys, *args, '--json')[1])['total']
        for args in (('resnet8_short_pre',), ('resnet8', '--skips=short_pre'))
    ]
    assert totals[0] == totals[1] != json.loads(run(capsys, 'resnet8', '--json')[1])['total']


def test_the_picture(capsys, tmp_path):
    path = tmp_path / 'bars.png'
    status, _, _ = run(capsys, 'resnet8', '--keep=none', f'--plot={path}')
    assert status == 0 and path.read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize(
    'args, message',
    [
        (['resnet9'], 'the nearest is 8'),
        (['resnet8_shrt'], "did you mean 'short'"),
        (['vgg'], 'give resnetN'),
        (['missing.json'], 'no graph file'),
        (['resnet8', '--device=zcu10'], 'pynq_z2.*u250'),
        (['resnet8', '--fifo_policy=tight'], 'full_map, exact, pow2'),
        (['resnet8', '--keep=s1b0_lng'], "did you mean 's1b0_long'"),
        (['resnet8', '--reuse_factor=7'], 'unrecognized arguments: --reuse_factor=7'),
        (['resnet8', '--folding=missing.json'], "folding: there is no file 'missing.json'"),
        (['resnet8', '--folding=a.json', '--device_share=0.5'], 'device_share and a file of a folding both say'),
        (['resnet8', '--weight_bits_of=stem_con=4'], "did you mean 'stem_conv'"),
        (['resnet8', '--weight_bits_of=four'], 'NODE=NUMBER'),
        (['resnet8', '--weight_bits_of=stem_conv=²'], "NODE=NUMBER,..., got 'stem_conv=²'"),
        (['resnet8', '--weight_bits_of=stem_conv=1,stem_conv=2'], "gives node 'stem_conv' two numbers"),
        (['resnet14', '--input=8', '--fifo_policy=full_map'], 'FIFO .* a whole map is .* words, and it needs'),
        (
            ['resnet8', '--target=pe_array', '--dram_bytes_per_cycle=1e-308'],
            'dram_bytes_per_cycle must be a number of 1e-09 to 1e.09, got 1e-308',
        ),
        (
            ['resnet8', '--target=pe_array', '--bandwidth_gb_s=1e9', '--clock_mhz=1e-9'],
            'dram_bytes_per_cycle must be a number of',
        ),
        (['resnet8', '--interval_cycles=100'], 'nearest that this network can meet is interval_cycles=1024'),
        (['resnet8', '--interval_cycles=0'], r'interval_cycles must be an integer of 1\.\.'),
        (['resnet8', '--weight_bits=0'], r'weight_bits must be an integer of 1\.\.32, got 0'),
        (['resnet8', '--input=8x'], 'HxWxC'),
        (['resnet8', '--fifo_polcy=exact'], 'unrecognized arguments'),
        (['resnet8', '--target=dataflw'], "invalid choice: 'dataflw'"),
        (['resnet8', '--plot=/nowhere/at/all.png'], 'there is no folder'),
        (['resnet8', '--plot=cost.xyz'], r'--plot must be a file with a suffix such as \.png'),
        (['resnet8', '--plot='], '--plot must be a file'),
        (['resnet8', '--weight_bits=100'], r'weight_bits must be an integer of 1\.\.32, got 100'),
        (
            ['resnet8', '--activation_bits=33', '--target=pe_array'],
            r'activation_bits must be an integer of 1\.\.32, got 33',
        ),
        (['resnet8', '--width=0'], r'width must be an integer of 1\.\.\d+, got 0'),
        (['resnet8', '--width=-4'], 'width must be an integer'),
        (['resnet8', '--width=wide'], "argument --width: invalid int value: 'wide'"),
        (['resnet8', '--classes=0'], r'classes must be an integer of 1\.\.\d+, got 0'),
        (['mobilenet_v2', '--width=0'], 'mobilenet_v2 has no width'),
        (['resnet8', '--skips='], "skips must be one of .*got ''"),
        (['resnet8', '--input='], '--input must be SIZE, HxW or HxWxC'),
        (['resnet8', '--input=100000x100000'], 'shape .* has more than'),
        (['resnet8', '--weight_bits_of=stem_relu=4'], "names node 'stem_relu', and that is a relu"),
        (['resnet8', '--keep='], "--keep: no gate ''"),
        (['resnet8', 'resnet20'], 'unrecognized arguments: resnet20'),
        ([], 'the following arguments are required: NETWORK'),
    ],
)
def test_bad_input_is_one_clear_paragraph(capsys, args, message):
    status, out, err = run(capsys, *args)
    assert status != 0 and not out
    assert err.startswith('error: ') and err.count('\n') == 1
    assert re.search(message, err)


@pytest.mark.parametrize('name', [b'100$\\frac$.json', b'a\xffb.json', b'a\nb.json'])
def test_a_picture_of_a_graph_file_of_any_name(capsys, tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    graph.save(build.resnet(8, (8, 8, 1)), path)
    assert run(capsys, str(path), f'--plot={tmp_path}/cost.png', '--json')[0] == 0
    assert (tmp_path / 'cost.png').read_bytes().startswith(b'\x89PNG')
