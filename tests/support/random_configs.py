"""Random configurations: every key drawn from plausible and from hostile values. `make torture` and the tests draw from
the same.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from experiments import config as config_lib
from experiments.config import Config, defaults
from experiments.methods import METHODS

# Of any type, for keys of any type: what has crashed one program or another.
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**30, 2**31, 2**32, 2**63, 2**64, 10**400),
    *(0.5, -0.5, 1e-12, 1e-308, 5e-324, 1e30, 1e308, math.inf, -math.inf, math.nan),
    *(
        '',
        ' ',
        '0',
        '14',
        'nan',
        'none',
        'x' * 5000,
        'a\0b',
        'a\nb',
        '\ud800',
        '../..',
        '/etc/passwd',
        '%s%n',
        '{}',
        '[',
    ),
    *((), ('lut',), ('',), (1,), [], {}, {'x': 1}, {'lut': 1.0}, object, b'x', 1j),
)

# Values that a user may well want, some of which do not fit together.
PLAUSIBLE: dict[str, tuple[Any, ...]] = {
    'seed': (0, 1, 999_999_999),
    'method': tuple(METHODS),
    'data.train_split': ('train', 'train[:30%]', 'train[5:3]', 'train[5:5]', 'train[:100]', 'test'),
    'data.test_split': ('', 'test', 'train[90%:]', 'train[7:2]', 'nowhere'),
    'data.name': ('digits', 'digit'),
    'data.augment': ('default', 'none'),
    'data.pad': (None, 0, 1, 9),
    'data.flip': (None, True, False),
    'data.random_resized_crop': (None, True, False),
    'data.cutout': (0, 2, 99),
    'data.mixup': (0.0, 0.2, 0.001, 1000.0),
    'data.image_size': (0, 8, 224),
    'model.name': ('', 'resnet', 'resnet14', 'mobilenet_v2', 'squeezenet', 'vgg16'),
    'model.graph': ('', 'nowhere.json'),
    'model.builder': ('', 'tailor_jax.build:resnet', 'nowhere:at_all', 'json:loads'),
    'model.depth': (None, 8, 14, 9, 20),
    'model.width': (None, 4, 1),
    'model.multiplier': (None, 1.0, 0.1),
    'model.depth_multiplier': (None, 0.5),
    'model.repeats': (None, 1),
    'model.version': (None, '1.1'),
    'model.skips': (None, 'long', 'short', 'short_pre', 'long+short', 'long_post+short'),
    'train.batch_size': (64, 32, 6, 1, 1437, 1438),
    'train.accumulate': (1, 2, 64),
    'train.save_every_epochs': (10.0, 0.001),
    'train.schedule': ('cosine', 'step', 'constant'),
    'train.decay_every_epochs': (30.0, 0.5, 0.001),
    'train.decay_factor': (0.1, 1.0, 1e-30),
    'train.compute_dtype': ('float32', 'bfloat16'),
    'train.teacher_workdir': ('', '/etc/passwd', '/nowhere', '/'),
    'train.teacher.epochs': (40.0, 0.5, 0.0, 0.001, 1e6),
    'train.student.epochs': (30.0, 4.4, 1.0, 0.0, 0.01),
    'train.finetune.epochs': (10.0, 0.0),
    'train.qat.epochs': (10.0, 0.0),
    'gates.keep': ('all', 'none', 's1b0_long', 's9'),
    'removal.every_epochs': (0.0, 0.16, 0.02, 1.0, 3.0),
    'removal.soften_epochs': (0.0, 0.5, 0.001, 3.0),
    'removal.rounds': (1, 3, 9),
    'aids.preserve_variance': (False, True),
    'aids.dirac': (False, True),
    'aids.leaky_slope': (0.0, 0.3),
    'aids.leaky_epochs': (0.0, 1.0, 99.0),
    'distill.temperature': (0.0, 4.0, 0.01, -1.0),
    'cost.target': ('dataflow', 'pe_array'),
    'cost.weight': (0.1, 0.0, 1e9),
    'cost.budget.lut': (None, 20_000.0, 1e18, 0.0),
    'cost.budget.fifo_bits': (None, 4000.0),
    'cost.budget.device_share': (None, 0.5, 1e-9),
    'cost.resources': ((), ('lut',), ('bram18', 'fifo_bits'), ('dram_bytes',), ('bananas',)),
    'cost.dataflow.device': ('zcu104', 'foo'),
    'cost.dataflow.fifo_policy': ('exact', 'pow2', 'full_map'),
    'cost.dataflow.interval_cycles': (None, 3, 4096, 10**9),
    'cost.dataflow.device_share': (None, 0.5, 1e-6, 1.0),
    'cost.dataflow.folding': (None, '', 'nowhere.json', '/'),
    'cost.dataflow.stream_depth': (1, 2, 32),
    'cost.dataflow.multiplier': ('auto', 'dsp', 'lut'),
    'cost.dataflow.add': ('absorbed', 'separate'),
    'cost.dataflow.skip': ('line_buffer', 'clone'),
    'cost.dataflow.dsp_packing': (True, False),
    'cost.pe_array.preset': ('tailor_2d', 'shortcut_fusion', 'nowhere'),
    'cost.pe_array.policy': ('layer_by_layer', 'retain', 'shortcut_mining', 'shortcut_fusion'),
    'cost.pe_array.rows': (None, 1, 65_536),
    'cost.pe_array.columns': (None, 1, 7),
    'cost.pe_array.dataflow': (None, 'output_stationary', 'weight'),
    'cost.pe_array.sram_bytes': (None, 1, 10_000, 2**40),
    'cost.pe_array.bandwidth_gb_s': (None, 0.001, 1e6),
    'cost.pe_array.batch': (None, 1, 16),
    'cost.pe_array.fuse_add': (None, True),
    'cost.pe_array.frame': (None, (), ('s1b0',), ('s1b0', 's1b0')),
    'quant.weight_bits': (8, 2, 16),
    'quant.activation_bits': (8, 2, 16),
    'quant.weight_bits_of': ('', 's1b0_conv1=4', 's1b0_conv1=4,s1b0_conv1=5', 'nowhere=3'),
    'quant.activation_bits_of': ('', 's1b0_conv1=4'),
    'quant.scales': ('calibrated', 'learned'),
}


def base() -> Config:
    """A small network on the embedded digits, an epoch a phase: what random changes start from."""
    config = defaults()
    config.model.width = 4
    config.cost.dataflow.interval_cycles = 4096
    for phase in config_lib.PHASES:
        config.train[phase].epochs = 1.0
    return config


def draw(rng: np.random.Generator, hostile: float = 0.1) -> dict[str, Any]:
    """{key: value} of one to six keys; each value is hostile with this probability."""
    changes = {}
    for key in rng.choice(list(config_lib.keys(defaults())), rng.integers(1, 7), replace=False).tolist():
        ends = config_lib.RANGES.get(key)
        usual = PLAUSIBLE.get(key, (defaults()[key], *((ends.lo, ends.hi) if ends else ())))
        pool = HOSTILE if rng.random() < hostile else usual
        changes[key] = pool[rng.integers(len(pool))]
    method = changes.get('method')
    if (
        method in PLAUSIBLE['method'] and 'model.skips' not in changes and rng.random() < 0.8
    ):  # mostly a network that the method is for
        changes['model.skips'] = METHODS[method].skips[0]
    return changes


def changed(changes: dict[str, Any]) -> Config:
    """`base` with the changes, as a config file makes them. Raises ConfigError for a value of another type."""
    config = base()
    for key, value in changes.items():
        config[key] = value
    return config


def mutated(rng, value):
    """JSON with one random edit at one random place: another value, a key less, a key more, a key renamed."""
    value = copy.deepcopy(value)
    places = [(value, key) for key in value]
    for parent, key in places:
        child = parent[key]
        places += [
            (child, each)
            for each in (child if isinstance(child, dict) else range(len(child)) if isinstance(child, list) else ())
        ]
    parent, key = places[rng.integers(len(places))]
    edit = rng.integers(6)
    if edit == 0 and isinstance(parent, dict):
        del parent[key]
    elif edit == 1 and isinstance(parent, dict):
        parent[f'{key}x'] = parent.pop(key)
    elif edit == 2 and isinstance(parent, dict):
        parent['new'] = 1
    else:
        json_values = [each for each in HOSTILE if isinstance(each, str | int | float | list | dict | None)]
        parent[key] = json_values[rng.integers(len(json_values))]
    return value
