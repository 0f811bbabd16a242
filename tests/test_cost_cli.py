"""`python -m costmodel`: what it prints, its JSON, its picture, and its errors."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import costmodel
from costmodel import cli
from tailor_jax import build, graph

ROOT = Path(__file__).parent.parent


def run(capsys, *args: str) -> tuple[int, str, str]:
    status = cli.main(args)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize('network', ['resnet8', 'resnet20'])
def test_pricing_loads_no_jax(network):
    code = f"import sys; from costmodel.cli import main; sys.exit(main(['{network}', '--target=dataflow', '--json']) or 'jax' in sys.modules)"
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)['network'] == network


def test_json_has_the_documented_keys(capsys):
    status, out, _ = run(capsys, 'resnet20', '--json', '--fifo_policy=full_map', '--keep=none')
    found = json.loads(out)
    assert status == 0 and {'network', 'target', 'total', 'blocks', 'nodes', 'fifos', 'before', 'share', 'fits'} <= set(found)
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
    status, out, _ = run(capsys, 'resnet8_short', '--keep=s1b0_short1', '--input=8x8x1', '--simulate', '--deadlock')
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
        'deadlock_free_depth',
        'Simulated token by token',
    ):
        assert word in out


def test_a_graph_file(capsys, tmp_path):
    path = tmp_path / 'mine.json'
    path.write_text(graph.to_json(build.resnet(8, (8, 8, 1), width=4)))
    status, out, _ = run(capsys, str(path), '--json')
    assert status == 0 and json.loads(out)['network'] == 'mine'
    assert json.loads(out)['total'] == costmodel.evaluate(build.resnet(8, (8, 8, 1), width=4), costmodel.dataflow()).total


def test_names_suffixes_and_options_build_the_same_network(capsys):
    totals = [json.loads(run(capsys, *args, '--json')[1])['total'] for args in (('resnet8_short_pre',), ('resnet8', '--skips=short_pre'))]
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
        (['resnet8', '--reuse_factor=7'], 'stem_conv.*the nearest that do are 6, 8, 9'),
        (['resnet8', '--reuse_factor=stem_con=4'], "did you mean 'stem_conv'"),
        (['resnet8', '--reuse_factor=four'], 'NODE=NUMBER'),
        (['resnet8', '--interval_cycles=100'], 'nearest that this network can meet is interval_cycles=1024'),
        (['resnet8', '--interval_cycles=0'], r'interval_cycles must be an integer of 1\.\.'),
        (['resnet8', '--weight_bits=0'], r'weight_bits must be an integer of 1\.\.32, got 0'),
        (['resnet8', '--input=8x'], 'HxWxC'),
        (['resnet8', '--fifo_polcy=exact'], 'unrecognized arguments'),
        (['resnet8', '--target=dataflw'], "invalid choice: 'dataflw'"),
        (['resnet8', '--plot=/nowhere/at/all.png'], 'there is no folder'),
    ],
)
def test_bad_input_is_one_clear_paragraph(capsys, args, message):
    status, out, err = run(capsys, *args)
    assert status != 0 and not out
    assert err.startswith('error: ') and err.count('\n') == 1
    assert re.search(message, err)
