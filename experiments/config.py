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
import re

from ml_collections import ConfigDict, config_dict

from experiments.methods import METHODS
from tailor_jax.train.optimizer import SCHEDULES

AUGMENTS = ('default', 'none')
NETWORKS = ('resnet', 'mobilenet_v2')
SCALES = ('calibrated', 'learned')
COMPUTE_DTYPES = ('float32', 'bfloat16')
# The targets, and what the cost is made of where `cost.resources` does not say.
RESOURCES = {'dataflow': ('lut', 'ff', 'bram18', 'fifo_bits'), 'pe_array': ('dram_bytes', 'cycles')}
# What a budget can limit; a target prices some of them.
BUDGETED = ('bram18', 'uram', 'lut', 'ff', 'dsp', 'fifo_bits', 'dram_bytes', 'dram_feature_map_bytes', 'buffer_bytes', 'cycles', 'energy_pj')


class ConfigError(ValueError):
    """A config value that cannot be used. The message names the key, what was given and what is expected."""


def _phase(epochs: float, learning_rate: float, weight_decay: float = 1e-4, clip_norm: float = 0.0) -> ConfigDict:
    """A section of config.train; `clip_norm` bounds the norm of the network's gradient, 0 for no bound."""
    settings = {'epochs': float(epochs), 'learning_rate': learning_rate, 'weight_decay': weight_decay, 'warmup_epochs': 1.0, 'clip_norm': clip_norm}
    return ConfigDict(settings)


def defaults() -> ConfigDict:
    """Every key that exists, with its default."""
    config = ConfigDict()
    config.seed = 0
    config.method = 'gates'  # how skips go, or stay: see experiments/methods.py

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
    config.model.name = 'resnet'  # or mobilenet_v2
    config.model.depth = 8  # of a ResNet
    config.model.width = 0  # channels of a ResNet's first stage; 0 for 16 (CIFAR shape) or 64 (ImageNet shape)
    config.model.multiplier = 1.0  # of a MobileNetV2's channels
    config.model.skips = 'long'  # long, short, short_pre, long+short, long_post+short; which ones a method takes: experiments/methods.py

    config.train = ConfigDict()
    config.train.batch_size = 64  # over all devices
    config.train.log_every_steps = 1
    config.train.save_every_epochs = 10.0
    config.train.accumulate = 1  # parts that a batch is computed in, for batches that do not fit in memory; batch norms see a part at a time
    config.train.compute_dtype = 'float32'  # or bfloat16: of convolutions before quantization; parameters and statistics stay float32
    config.train.schedule = 'cosine'  # of the learning rate after warm-up: cosine (to zero over each phase), step, constant
    config.train.decay_every_epochs = 30.0  # of the step schedule
    config.train.decay_factor = 0.1
    config.train.teacher_workdir = ''  # take the trained teacher from this workdir instead of training one
    config.train.teacher = _phase(40, 0.1)  # float, every skip open
    config.train.student = _phase(30, 0.05)  # the student meets its gates, learned or on a schedule; cost in the loss
    config.train.finetune = _phase(10, 0.02)  # gates binarized, skips gone
    # Batch norm folded, weights and activations quantized. Without batch norms a shortened network's gradients are large enough to diverge.
    config.train.qat = _phase(10, 0.001, weight_decay=0.0, clip_norm=1.0)

    config.gates = ConfigDict()
    config.gates.learning_rate = 0.05
    config.gates.keep = 'all'  # of method keep: all, none, or the gates whose skips stay, separated by commas
    config.gates.p_open = 0.8  # P(open) of every learned gate at the start
    config.gates.dual_learning_rate = 0.05  # of the multipliers of cost.budget, a step
    config.gates.repair_candidates = 8  # likeliest settings within the budget that are tried on training images, of two kinds each

    config.removal = ConfigDict()  # of the methods that remove skips by a plan
    config.removal.every_epochs = 0.0  # epochs between one skip and the next; 0 spreads them over the first two thirds of the phase
    config.removal.soften_epochs = 0.0  # epochs in which a skip fades out; 0 switches it off at once
    config.removal.rounds = 3  # of nonresnet: groups of skips, each removed in a training of its own

    config.aids = ConfigDict()  # to removal, while the student meets its gates
    config.aids.preserve_variance = False  # a closing gate scales up the other branch, see tailor_jax/model.py
    config.aids.dirac = False  # convolutions that can carry the identity, see tailor_jax/dirac.py
    config.aids.leaky_slope = 0.0  # negative slope of the ReLUs at the start, annealed to 0 ...
    config.aids.leaky_epochs = 0.0  # ... in this many epochs; 0 for half of the phase

    config.distill = ConfigDict()
    config.distill.share = 0.35  # of the loss; the rest is cross-entropy
    config.distill.temperature = 0.0  # of the KL divergence; 0 takes the squared error of the logits

    config.cost = ConfigDict()
    config.cost.target = 'dataflow'  # or pe_array
    config.cost.weight = 0.1  # loss units that all skips together cost, see experiments/cost.py; a budget takes its place
    config.cost.budget = ConfigDict({name: config_dict.placeholder(float) for name in BUDGETED})  # the most of a resource that may be used
    config.cost.budget.device_share = config_dict.placeholder(float)  # the most of each of the device's resources, as a share of what it has
    config.cost.resources = ()  # what the cost is the mean of; () for lut, ff, bram18, fifo_bits (dataflow) or dram_bytes, cycles (pe_array)
    config.cost.device = 'zcu104'
    config.cost.fifo_policy = 'exact'
    # Cycles from a process's last trip to its write, that FIFO depths allow for. An estimate until synthesis says better: a FIFO read, an operand
    # multiplexer, a multiplier of two or three stages, an adder tree of several levels a cycle, a requantizer. Too few lose throughput or
    # deadlock; too many cost a few tokens of the skip FIFOs.
    config.cost.process_latency_cycles = 8
    config.cost.interval_cycles = 0  # target initiation interval; 0 for 16 cycles an input pixel
    config.cost.preset = 'tailor_2d'  # of the PE array, as the keys below, which change it where they are given: see docs/pe_array.md
    config.cost.policy = 'layer_by_layer'
    config.cost.rows = config_dict.placeholder(int)
    config.cost.columns = config_dict.placeholder(int)
    config.cost.dataflow = config_dict.placeholder(str)
    config.cost.sram_bytes = config_dict.placeholder(int)
    config.cost.bandwidth_gb_s = config_dict.placeholder(float)
    config.cost.batch = config_dict.placeholder(int)
    config.cost.fuse_add = config_dict.placeholder(bool)

    config.quant = ConfigDict()
    config.quant.weight_bits = 8
    config.quant.activation_bits = 8
    config.quant.weight_bits_of = ''  # widths of single nodes, as 's1b0_conv1=4,head_dense=6'
    config.quant.activation_bits_of = ''
    config.quant.scales = 'calibrated'  # or learned, from the calibrated ones on
    config.quant.scale_learning_rate = 0.01  # of learned scales' exponents, in the first half of the phase
    config.quant.calibration_images = 512
    return config.lock()


PHASES = ('teacher', 'student', 'finetune', 'qat')


def validate(config: ConfigDict) -> None:
    """Checks what can be known before data and devices are seen. Raises ConfigError naming the key."""
    choices = {
        'method': tuple(METHODS),
        'model.name': NETWORKS,
        'model.skips': tuple(dict.fromkeys(skips for method in METHODS.values() for skips in method.skips)),
        'cost.target': tuple(RESOURCES),
        'data.augment': AUGMENTS,
        'train.schedule': SCHEDULES,
        'train.compute_dtype': COMPUTE_DTYPES,
        'quant.scales': SCALES,
    }
    for key, values in choices.items():
        _choice(config, key, values)
    if config.model.skips not in (skips := METHODS[config.method].skips):
        raise ConfigError(f'config.model.skips is {config.model.skips!r}; config.method {config.method!r} takes {", ".join(skips)}')
    for key in ('data.image_size', 'data.cutout'):
        _check(config, key, lambda value: value >= 0, 'a number of pixels, not negative')
    _check(config, 'data.pad', lambda value: value is None or value >= 0, 'a number of pixels, not negative')
    _check(config, 'data.mixup', lambda value: value >= 0 and math.isfinite(value), 'a finite number, not negative')
    _check(config, 'data.train_split', bool, "a split, as 'train' or 'train[:90%]'")
    for key in (
        'train.batch_size', 'train.log_every_steps', 'train.accumulate', 'quant.calibration_images', 'removal.rounds', 'gates.repair_candidates'
    ):  # fmt: skip
        _check(config, key, lambda value: value >= 1, 'a positive integer')
    for key in ('seed', 'cost.interval_cycles'):
        _check(config, key, lambda value: value >= 0, 'an integer, not negative')
    if config.train.batch_size % config.train.accumulate:
        raise ConfigError(f'config.train.batch_size {config.train.batch_size} is not divisible by config.train.accumulate {config.train.accumulate}')
    for key in ('removal.every_epochs', 'removal.soften_epochs', 'aids.leaky_epochs', 'gates.dual_learning_rate', 'quant.scale_learning_rate'):
        _check(config, key, lambda value: value >= 0 and math.isfinite(value), 'a finite number, not negative')
    _check(config, 'aids.leaky_slope', lambda value: 0 <= value <= 1, 'a slope between 0 and 1')
    for key in ('train.decay_every_epochs', 'train.decay_factor', 'model.multiplier', 'gates.learning_rate'):
        _check(config, key, lambda value: value > 0 and math.isfinite(value), 'a positive number')
    for name in config.cost.budget:
        _check(config, f'cost.budget.{name}', lambda value: value is None or value >= 0, 'a limit, not negative')
    for key in ('quant.weight_bits_of', 'quant.activation_bits_of'):
        for name, bits in bits_of(config, key).items():
            if not 2 <= bits <= 16:
                raise ConfigError(f'config.{key} gives node {name!r} {bits} bits; expected a width of 2 to 16 bits')
    _check(config, 'model.width', lambda value: value >= 0, 'a number of channels, or 0 for the usual')
    for phase in PHASES:
        _check(config, f'train.{phase}.epochs', lambda value: value >= 0 and math.isfinite(value), 'a number of epochs, not negative')
        for key in ('warmup_epochs', 'weight_decay', 'clip_norm'):
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


def bits_of(config: ConfigDict, key: str) -> dict[str, int]:
    """{node: bits} of a key such as 's1b0_conv1=4,head_dense=6'. Raises ConfigError for other text."""
    text = get(config, key)
    if text and not re.fullmatch(r'\w+=\d+(,\w+=\d+)*', text):
        raise ConfigError(f'config.{key} is {text!r}; expected NODE=BITS,NODE=BITS,...')
    return {name: int(bits) for name, bits in (part.split('=') for part in text.split(',') if part)}


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
