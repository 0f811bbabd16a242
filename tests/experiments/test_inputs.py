"""Every config file, and bad input to the entry points with its message and status."""

import subprocess
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest
from run_processes import HUNG_S
from small_config import small_config

import costmodel
from experiments import config as config_lib
from experiments import config_file, run
from experiments.config import ConfigError
from experiments.methods import METHODS
from tailor_jax import model
from tailor_jax.data.embedded import embedded_builder
from tailor_jax.data.read import find_layout

ROOT = Path(__file__).parents[2]
CONFIG = 'experiments/configs/digits_resnet8.py'


def command(*arguments: str, **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-m', *arguments], cwd=ROOT, capture_output=True, text=True, timeout=HUNG_S, **kwargs
    )


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
