"""The configuration: plain, locked, typed data. A config file calls `defaults()` and changes what it must.

    def get_config():
        config = defaults()
        config.data.name = 'digits'
        return config

Unknown keys are errors, in a file and on the command line; `validate` checks values and the combinations of them.
"""

from __future__ import annotations

import difflib
import json
import math

from ml_collections import ConfigDict, config_dict

from tailor_jax import build

METHODS = ('gates',)
AUGMENTS = ('default', 'none')


class ConfigError(ValueError):
    """A config value that cannot be used. The message names the key, what was given and what is expected."""


def _phase(epochs: float, learning_rate: float, weight_decay: float = 1e-4) -> ConfigDict:
    return ConfigDict({'epochs': float(epochs), 'learning_rate': learning_rate, 'weight_decay': weight_decay, 'warmup_epochs': 1.0})


def defaults() -> ConfigDict:
    """Every key that exists, with its default."""
    config = ConfigDict()
    config.seed = 0
    config.method = 'gates'

    config.data = ConfigDict()
    config.data.name = 'digits'  # an embedded or public set, see docs/data.md
    config.data.tfds_dir = ''  # a prepared TFDS directory; '' for the default place
    config.data.train_split = 'train'  # or a slice, 'train[:90%]'
    config.data.test_split = ''  # 'train[90%:]', say; '' for the set's own
    config.data.image_size = 0  # side in pixels, for sets of varying image size; 0 for 224
    config.data.augment = 'default'  # what is customary for the set, or none; the next three change it where they are given
    config.data.pad = config_dict.placeholder(int)  # random shift by up to this many pixels
    config.data.flip = config_dict.placeholder(bool)  # mirror left and right, half the time
    config.data.random_resized_crop = config_dict.placeholder(bool)  # for sets of varying image size
    config.data.cutout = 0  # side in pixels of the square set to the mean colour; 0 for none
    config.data.mixup = 0.0  # alpha of the Beta(alpha, alpha) that blends pairs of images; 0 for none

    config.model = ConfigDict()
    config.model.depth = 8
    config.model.width = 0  # channels of the first stage; 0 for 16 (CIFAR shape) or 64 (ImageNet shape)
    config.model.skips = 'long'  # long, short, short_pre, long+short

    config.train = ConfigDict()
    config.train.batch_size = 64  # over all devices
    config.train.log_every_steps = 1
    config.train.save_every_epochs = 10.0
    config.train.clip_norm = 0.0  # bound on the gradient's norm; 0 for none
    config.train.teacher_workdir = ''  # take the trained teacher from this workdir instead of training one
    config.train.teacher = _phase(40, 0.1)  # float, every skip open
    config.train.student = _phase(30, 0.05)  # the student meets its gates, learned or on a schedule; cost in the loss
    config.train.finetune = _phase(10, 0.02)  # gates binarized, skips gone
    config.train.qat = _phase(10, 0.001, weight_decay=0.0)  # batch norm folded, weights and activations quantized

    config.gates = ConfigDict()
    config.gates.learning_rate = 0.05
    config.gates.p_open = 0.8  # P(open) of every learned gate at the start

    config.distill = ConfigDict()
    config.distill.share = 0.35  # of the loss; the rest is cross-entropy
    config.distill.temperature = 0.0  # of the KL divergence; 0 takes the squared error of the logits

    config.cost = ConfigDict()
    config.cost.target = 'dataflow'
    config.cost.weight = 0.1  # loss units that all skips together cost, see experiments/cost.py
    config.cost.resources = ('lut', 'ff', 'bram18', 'fifo_bits')
    config.cost.device = 'zcu104'
    config.cost.fifo_policy = 'exact'
    # Cycles from a process's last trip to its write, that FIFO depths allow for. An estimate until synthesis says better: a FIFO read, an operand
    # multiplexer, a multiplier of two or three stages, an adder tree of several levels a cycle, a requantizer. Too few lose throughput or
    # deadlock; too many cost a few tokens of the skip FIFOs.
    config.cost.process_latency_cycles = 8
    config.cost.interval_cycles = 0  # target initiation interval; 0 for 16 cycles an input pixel

    config.quant = ConfigDict()
    config.quant.weight_bits = 8
    config.quant.activation_bits = 8
    config.quant.calibration_images = 512
    return config.lock()


PHASES = ('teacher', 'student', 'finetune', 'qat')


def validate(config: ConfigDict) -> None:
    """Checks what can be known before data and devices are seen. Raises ConfigError naming the key."""
    _choice(config, 'method', METHODS)
    _choice(config, 'model.skips', tuple(skips for skips in build.SKIPS if skips != 'none'))
    _choice(config, 'cost.target', ('dataflow',))
    _choice(config, 'data.augment', AUGMENTS)
    for key in ('data.image_size', 'data.cutout'):
        _check(config, key, lambda value: value >= 0, 'a number of pixels, not negative')
    _check(config, 'data.pad', lambda value: value is None or value >= 0, 'a number of pixels, not negative')
    _check(config, 'data.mixup', lambda value: value >= 0 and math.isfinite(value), 'a finite number, not negative')
    _check(config, 'data.train_split', bool, "a split, as 'train' or 'train[:90%]'")
    for key in ('train.batch_size', 'train.log_every_steps', 'quant.calibration_images'):
        _check(config, key, lambda value: value >= 1, 'a positive integer')
    for key in ('seed', 'cost.interval_cycles'):
        _check(config, key, lambda value: value >= 0, 'an integer, not negative')
    _check(config, 'train.clip_norm', lambda value: value >= 0, 'a norm, or 0 for none')
    _check(config, 'model.width', lambda value: value >= 0, 'a number of channels, or 0 for the usual')
    for phase in PHASES:
        _check(config, f'train.{phase}.epochs', lambda value: value >= 0 and math.isfinite(value), 'a number of epochs, not negative')
        for key in ('warmup_epochs', 'weight_decay'):
            _check(config, f'train.{phase}.{key}', lambda value: value >= 0 and math.isfinite(value), 'a finite number, not negative')
        _check(config, f'train.{phase}.learning_rate', lambda value: value > 0, 'a positive number')
    _check(config, 'train.teacher.epochs', lambda value: value > 0 or config.train.teacher_workdir, 'positive unless train.teacher_workdir is given')
    _check(config, 'train.save_every_epochs', lambda value: value > 0, 'a positive number of epochs')
    _check(config, 'gates.p_open', lambda value: 0 < value < 1, 'a probability strictly between 0 and 1')
    _check(config, 'distill.share', lambda value: 0 <= value <= 1, 'a share between 0 and 1')
    _check(config, 'cost.process_latency_cycles', lambda value: value >= 0, 'a number of cycles, not negative')
    _check(config, 'cost.weight', lambda value: value >= 0 and math.isfinite(value), 'a finite number, not negative')
    for key in ('quant.weight_bits', 'quant.activation_bits'):
        _check(config, key, lambda value: 2 <= value <= 16, 'a width of 2 to 16 bits')


def get(config: ConfigDict, key: str):
    """The value at a dotted key."""
    for part in key.split('.'):
        config = config[part]
    return config


def _check(config: ConfigDict, key: str, holds, expected: str) -> None:
    if not holds(get(config, key)):
        raise ConfigError(f'config.{key} is {get(config, key)!r}; expected {expected}')


def _choice(config: ConfigDict, key: str, choices: tuple[str, ...]) -> None:
    value = get(config, key)
    if value not in choices:
        near = difflib.get_close_matches(value, choices, 1)
        raise ConfigError(f'config.{key} is {value!r}; expected one of {", ".join(choices)}' + (f'; did you mean {near[0]!r}?' if near else ''))


def to_json(config: ConfigDict) -> str:
    """The resolved config as JSON text, keys sorted."""
    return json.dumps(config.to_dict(), indent=2, sort_keys=True) + '\n'


def from_json(text: str) -> ConfigDict:
    """The inverse of `to_json`; keys that the file lacks take their defaults."""
    config = defaults()
    config.update(json.loads(text))
    return config


def steps(epochs: float, steps_per_epoch: int) -> int:
    """A duration in steps; a fraction of an epoch is a fraction of its steps."""
    return round(epochs * steps_per_epoch)
