"""`python -m costmodel --target=pe_array`: its JSON, its picture, its errors."""

import json
import re

import pytest
from cost_command import run

import costmodel
from costmodel import plot
from tailor_jax import build


def test_json_has_the_documented_keys(capsys):
    status, out, _ = run(
        capsys,
        'resnet20',
        '--target=pe_array',
        '--json',
        '--policy=retain',
        '--preset=shortcut_fusion',
        '--sram_bytes=60000',
        '--keep=none',
    )
    found = json.loads(out)
    assert status == 0 and {
        'network',
        'target',
        'total',
        'blocks',
        'nodes',
        'before',
        'share',
        'fits',
        'images_per_second',
    } <= set(found)
    assert (
        found['target']['name'] == 'pe_array'
        and found['target']['sram_bytes'] == 60000
        and found['target']['policy'] == 'retain'
    )
    assert found['before']['dram_bytes'] > found['total']['dram_bytes'] and found['total']['dram_shortcut_bytes'] == 0
    for level in ('nodes', 'blocks'):
        assert all({'name', 'op'} <= set(row) for row in found[level])
        for resource in ('dram_bytes', 'cycles', 'energy_pj', 'macs'):
            assert sum(row[resource] for row in found[level]) == found['total'][resource]
        assert max(row['buffer_bytes'] for row in found[level]) == found['total']['buffer_bytes'] <= 60000
    assert found['images_per_second'] == pytest.approx(200e6 / found['total']['cycles'])


def test_options_make_the_target(capsys):
    options = [
        '--rows=8',
        '--columns=4',
        '--dataflow=weight_stationary',
        '--batch=2',
        '--weight_bits=16',
        '--no-double_buffered',
        '--bandwidth_gb_s=1',
    ]
    status, out, _ = run(capsys, 'resnet8', '--target=pe_array', '--json', *options)
    target = costmodel.pe_array(
        rows=8,
        columns=4,
        dataflow='weight_stationary',
        batch=2,
        weight_bits=16,
        double_buffered=False,
        bandwidth_gb_s=1,
    )
    assert status == 0 and json.loads(out)['total'] == costmodel.evaluate(build.resnet(8), target).total


@pytest.mark.parametrize('frame', ['--frame=', '--frame=none'])
def test_no_block_in_frame_mode_is_not_the_best_cut(capsys, frame):
    common = ('resnet20', '--target=pe_array', '--preset=shortcut_fusion', '--policy=shortcut_fusion', '--json')
    found = [json.loads(run(capsys, *common, *more)[1]) for more in ((frame,), ())]
    none, best = (each['total']['dram_bytes'] for each in found)
    assert none > best


def test_the_text_shows_before_beside_after(capsys):
    status, out, _ = run(capsys, 'resnet8', '--target=pe_array', '--keep=none')
    assert status == 0
    for word in (
        'Nodes, after',
        'Blocks',
        'Network',
        'before',
        'change',
        'of the array',
        'dram_shortcut_bytes',
        'images/s',
    ):
        assert word in out


def test_the_picture(capsys, tmp_path):
    path = tmp_path / 'bars.png'
    status, _, _ = run(capsys, 'resnet8', '--target=pe_array', '--keep=none', f'--plot={path}')
    assert status == 0 and path.read_bytes().startswith(b'\x89PNG')
    cost = costmodel.evaluate(build.resnet(8), costmodel.pe_array(dram_bytes_per_cycle=2))
    for resource in ('dram_bytes', 'cycles', 'energy_pj'):
        parts = plot.split(cost, resource)
        for row in cost.blocks:
            assert sum(amounts[row['name']] for amounts in parts.values()) == row[resource]


@pytest.mark.parametrize(
    'network', ['vgg16', 'squeezenet', 'efficientnet_b1', 'yolov3', 'retinanet_r50_fpn', 'mobilenet_v2', 'quartznet']
)
@pytest.mark.parametrize('policy', ['retain'])
def test_every_network_is_priced(capsys, network, policy):
    status, out, error = run(
        capsys, network, '--target=pe_array', '--preset=shortcut_fusion', f'--policy={policy}', '--json'
    )
    assert status == 0, error
    total = json.loads(out)['total']
    assert total['macs'] > 0 and total['buffer_bytes'] <= 9953280
    assert total['dram_bytes'] == total['dram_feature_map_bytes'] + total['dram_weight_bytes']


@pytest.mark.parametrize(
    'args, message',
    [
        (
            ['--fifo_policy=exact'],
            '--fifo_policy is not a setting of --target=pe_array; its settings are preset, policy, rows',
        ),
        (['--simulate'], '--simulate is for --target=dataflow'),
        (['--sram_bytes=20'], "'stem_conv' .*smallest tiles take .* sram_bytes is 20"),
        (['--policy=retian'], "did you mean 'retain'"),
        (['--preset=vta', '--policy=retain'], 'retain keeps tensors in one shared buffer.*give sram_bytes'),
        (['--dataflow=output_stationery'], "did you mean 'output_stationary'"),
        (['--cuts=2', '--policy=retain'], '--cuts is a setting of --policy=shortcut_fusion, and the policy is retain'),
        (
            ['--rereads', '--policy=shortcut_fusion'],
            '--rereads is a setting of --policy=layer_by_layer or retain, and the policy is shortcut_fusion',
        ),
        (
            ['--bank_bytes=64'],
            '--bank_bytes is a setting of --policy=shortcut_mining, and the policy is layer_by_layer',
        ),
        (
            ['--frame=s1b0', '--preset=shortcut_fusion'],
            'and the policy is layer_by_layer; --preset=shortcut_fusion sets no policy',
        ),
        (['--frame=s1b0,s3b0', '--policy=shortcut_fusion'], 'frame has s1b0, s3b0, without s2b0 between them'),
        (['--batch=0'], r'batch must be an integer of 1\.\.4096, got 0'),
    ],
)
def test_bad_input_is_one_clear_paragraph(capsys, args, message):
    status, out, err = run(capsys, 'resnet8', '--target=pe_array', *args)
    assert status != 0 and not out
    assert err.startswith('error: ') and err.count('\n') == 1
    assert re.search(message, err)


def test_settings_of_the_array_are_none_of_the_dataflow_target(capsys):
    status, _, err = run(capsys, 'resnet8', '--sram_bytes=1000')
    assert status != 0 and '--sram_bytes is not a setting of --target=dataflow' in err
