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
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ml_collections import config_dict

from experiments import network
from experiments.methods import METHODS
from experiments.typed import Config, ConfigError, typed
from tailor_jax.fields import Fields, header, parse_fields, shown
from tailor_jax.train.optimizer import SCHEDULES

__all__ = [
    'Config',
    'ConfigError',
    'bits_of',
    'defaults',
    'from_fields',
    'from_json',
    'get',
    'keys',
    'steps',
    'to_json',
    'validate',
]

KIND, VERSION = 'config', 1  # of config.json
PHASES = ('teacher', 'student', 'finetune', 'qat')
AUGMENTS = ('default', 'none')
SCALES = ('calibrated', 'learned')
COMPUTE_DTYPES = ('float32', 'bfloat16')
# The targets, and what the cost is made of where `cost.resources` does not say.
RESOURCES = {'dataflow': ('lut', 'ff', 'bram18', 'fifo_bits'), 'pe_array': ('dram_bytes', 'cycles')}
# What a budget can limit; a target prices some of them.
BUDGETED = (
    'bram18',
    'uram',
    'lut',
    'ff',
    'dsp',
    'fifo_bits',
    'dram_bytes',
    'dram_feature_map_bytes',
    'buffer_bytes',
    'cycles',
    'energy_pj',
)


def _phase(
    name: str, epochs: float, learning_rate: float, weight_decay: float = 1e-4, clip_norm: float = 0.0
) -> Config:
    """A section of config.train; `clip_norm` bounds the norm of the network's gradient, 0 for no bound."""
    settings = {
        'epochs': float(epochs),
        'learning_rate': learning_rate,
        'weight_decay': weight_decay,
        'warmup_epochs': 1.0,
        'clip_norm': clip_norm,
    }
    return Config(f'config.train.{name}', settings)


def defaults() -> Config:
    """Every key that exists, with its default."""
    config = Config('config')
    config.seed = 0
    config.method = 'gates'  # how skips go, or stay: see experiments/methods.py

    config.data = Config('config.data')
    config.data.name = 'digits'  # an embedded or public set, see docs/data.md
    config.data.tfds_dir = ''  # a prepared TFDS directory; '' for the default place
    config.data.train_split = 'train'  # or a slice, 'train[:90%]'
    config.data.test_split = ''  # 'train[90%:]', say; '' for the set's own
    config.data.image_size = 0  # side in pixels, for sets of varying image size; 0 for 224
    config.data.augment = (
        'default'  # what is customary for the set, or none; the next three change it where they are given
    )
    config.data.pad = config_dict.placeholder(int)  # random shift by up to this many pixels
    config.data.flip = config_dict.placeholder(bool)  # mirror left and right, half the time
    config.data.random_resized_crop = config_dict.placeholder(bool)  # for sets of varying image size
    config.data.cutout = 0  # side in pixels of the square set to the mean colour; 0 for none
    config.data.mixup = 0.0  # alpha of the Beta(alpha, alpha) that blends pairs of images; 0 for none

    config.model = Config('config.model')
    # One of the three, or none for the ResNet: docs/networks.md
    config.model.name = ''  # of `python -m tailor_jax.build`
    config.model.graph = ''  # a graph file
    config.model.builder = ''  # package.module:function
    # What the network's builder is given; None for its own default, and one that it does not take is refused.
    config.model.depth = config_dict.placeholder(int)  # of a ResNet; 8
    config.model.width = config_dict.placeholder(int)  # channels of a ResNet's first stage; 16 (CIFAR) or 64 (ImageNet)
    config.model.multiplier = config_dict.placeholder(float)  # of the channels of those that have no width; 1
    config.model.repeats = config_dict.placeholder(int)  # modules of each block of a QuartzNet; 5
    config.model.version = config_dict.placeholder(str)  # of a SqueezeNet; 1.0
    # long, short, short_pre, long+short, long_post+short, none; which ones a method takes: experiments/methods.py
    config.model.skips = config_dict.placeholder(str)

    config.train = Config('config.train')
    config.train.batch_size = 64  # over all devices
    config.train.log_every_steps = 1
    config.train.save_every_epochs = 10.0
    config.train.accumulate = (
        1  # parts that a batch is computed in, for batches that do not fit in memory; batch norms see a part at a time
    )
    config.train.compute_dtype = (
        'float32'  # or bfloat16: of convolutions before quantization; parameters and statistics stay float32
    )
    config.train.schedule = (
        'cosine'  # of the learning rate after warm-up: cosine (to zero over each phase), step, constant
    )
    config.train.decay_every_epochs = 30.0  # of the step schedule
    config.train.decay_factor = 0.1
    config.train.teacher_workdir = ''  # take the trained teacher from this workdir instead of training one
    config.train.teacher = _phase('teacher', 40, 0.1)  # float, every skip open
    config.train.student = _phase(
        'student', 30, 0.05
    )  # the student meets its gates, learned or on a schedule; cost in the loss
    config.train.finetune = _phase('finetune', 10, 0.02)  # gates binarized, skips gone
    # Batch norm folded, weights and activations quantized. Without batch norms a shortened network's gradients are
    # large enough to diverge.
    config.train.qat = _phase('qat', 10, 0.001, weight_decay=0.0, clip_norm=1.0)

    config.gates = Config('config.gates')
    config.gates.learning_rate = 0.05
    config.gates.keep = 'all'  # of method keep: all, none, or the gates whose skips stay, separated by commas
    config.gates.p_open = 0.8  # P(open) of every learned gate at the start
    config.gates.dual_learning_rate = 0.05  # of the multipliers of cost.budget, a step
    config.gates.repair_candidates = (
        8  # likeliest settings within the budget that are tried on training images, of two kinds each
    )

    config.removal = Config('config.removal')  # of the methods that remove skips by a plan
    config.removal.every_epochs = (
        0.0  # epochs between one skip and the next; 0 spreads them over the first two thirds of the phase
    )
    config.removal.soften_epochs = 0.0  # epochs in which a skip fades out; 0 switches it off at once
    config.removal.rounds = 3  # of nonresnet: groups of skips, each removed in a training of its own

    config.aids = Config('config.aids')  # to removal, while the student meets its gates
    config.aids.preserve_variance = False  # a closing gate scales up the other branch, see tailor_jax/model.py
    config.aids.dirac = False  # convolutions that can carry the identity, see tailor_jax/dirac.py
    config.aids.leaky_slope = 0.0  # negative slope of the ReLUs at the start, annealed to 0 ...
    config.aids.leaky_epochs = 0.0  # ... in this many epochs; 0 for half of the phase

    config.distill = Config('config.distill')
    config.distill.share = 0.35  # of the loss; the rest is cross-entropy
    config.distill.temperature = 0.0  # of the KL divergence; 0 takes the squared error of the logits

    config.cost = Config('config.cost')
    config.cost.target = 'dataflow'  # or pe_array
    config.cost.weight = (
        0.1  # loss units that all skips together cost, see experiments/cost.py; a budget takes its place
    )
    # The most of a resource that may be used.
    config.cost.budget = Config('config.cost.budget', {name: config_dict.placeholder(float) for name in BUDGETED})
    config.cost.budget.device_share = config_dict.placeholder(
        float
    )  # the most of each of the device's resources, as a share of what it has
    # what the cost is the mean of; () for lut, ff, bram18, fifo_bits (dataflow) or dram_bytes, cycles (pe_array)
    config.cost.resources = ()
    config.cost.device = 'zcu104'
    config.cost.fifo_policy = 'exact'
    # Cycles from a process's last trip to its write, that FIFO depths allow for. An estimate until synthesis says
    # better: a FIFO read, an operand multiplexer, a multiplier of two or three stages, an adder tree of several levels
    # a cycle, a requantizer. Too few lose throughput or deadlock; too many cost a few tokens of the skip FIFOs.
    config.cost.process_latency_cycles = 8
    config.cost.interval_cycles = 0  # target initiation interval; 0 for 16 cycles an input pixel
    config.cost.preset = (
        'tailor_2d'  # of the PE array, as the keys below, which change it where they are given: see docs/pe_array.md
    )
    config.cost.policy = 'layer_by_layer'
    config.cost.rows = config_dict.placeholder(int)
    config.cost.columns = config_dict.placeholder(int)
    config.cost.dataflow = config_dict.placeholder(str)
    config.cost.sram_bytes = config_dict.placeholder(int)
    config.cost.bandwidth_gb_s = config_dict.placeholder(float)
    config.cost.batch = config_dict.placeholder(int)
    config.cost.fuse_add = config_dict.placeholder(bool)

    config.quant = Config('config.quant')
    config.quant.weight_bits = 8
    config.quant.activation_bits = 8
    config.quant.weight_bits_of = ''  # widths of single nodes, as 's1b0_conv1=4,head_dense=6'
    config.quant.activation_bits_of = ''
    config.quant.scales = 'calibrated'  # or learned, from the calibrated ones on
    config.quant.scale_learning_rate = 0.01  # of learned scales' exponents, in the first half of the phase
    config.quant.calibration_images = 512
    return config.lock()


MOST_EPOCHS = 1e6
MOST_STEPS = 2**24  # of a phase: float32, in which plans and schedules are computed, counts them one by one up to here
MOST_TEXT = 4096


class Range(NamedTuple):
    """The numbers that a key takes: lo..hi, where `above` without lo, where `zero` 0 too."""

    lo: float
    hi: float
    expected: str
    above: bool = False
    zero: bool = False

    def holds(self, value: float) -> bool:
        return (self.zero and value == 0) or (
            (self.lo < value if self.above else self.lo <= value) and value <= self.hi
        )


_EPOCHS = Range(0, MOST_EPOCHS, f'a number of epochs, 0 to {MOST_EPOCHS:,.0f}')
_SOME_EPOCHS = _EPOCHS._replace(above=True, expected=f'a positive number of epochs, at most {MOST_EPOCHS:,.0f}')
_RATE = Range(0, 1000, 'a positive number, at most 1,000', above=True)
_RATE_OR_0 = Range(0, 1000, 'a number of 0 to 1,000')
_LARGE = Range(0, 1e9, 'a finite number, not negative and at most 1e9')
_LIMIT = Range(0, 1e18, 'a limit, not negative and at most 1e18')
_PIXELS = Range(0, 4096, 'a number of pixels, 0 to 4,096')
_BITS = Range(2, 16, 'a width of 2 to 16 bits')
_SHARE = Range(0, 1, 'a share between 0 and 1')


def _count(hi: int, of: str = '', lo: int = 1) -> Range:
    return Range(lo, hi, f'{"a positive integer" if lo == 1 else "an integer, not negative"}{of}, at most {hi:,}')


# Every key that holds a number. What is finite here stays finite in float32, and what is counted fits where it is
# counted.
RANGES = {
    'seed': _count(999_999_999, lo=0),  # with the number of a round in it, a phase's seed stays below 2^32
    'data.image_size': _PIXELS,
    'data.pad': _PIXELS,
    'data.cutout': _PIXELS,
    'data.mixup': Range(0.001, 1000, '0, or a finite number of 0.001 to 1,000', zero=True),
    'model.depth': _count(1202, ' (layers)'),
    'model.width': _count(4096, ' of channels'),
    'model.repeats': _count(1000),
    'model.multiplier': Range(0, 16, 'a positive number, at most 16', above=True),
    'train.batch_size': _count(2**20),
    'train.log_every_steps': _count(MOST_STEPS),
    'train.save_every_epochs': _SOME_EPOCHS,
    'train.accumulate': _count(2**20),
    'train.decay_every_epochs': _SOME_EPOCHS,
    'train.decay_factor': Range(0, 1, 'a factor above 0, at most 1', above=True),
    **{
        f'train.{phase}.{key}': values
        for phase in PHASES
        for key, values in (
            ('epochs', _EPOCHS), ('learning_rate', _RATE), ('weight_decay', _RATE_OR_0), ('warmup_epochs', _EPOCHS), ('clip_norm', _LARGE),
        )
    },
    'gates.learning_rate': _RATE,
    'gates.p_open': Range(0, 1 - 2**-53, 'a probability strictly between 0 and 1', above=True),
    'gates.dual_learning_rate': _RATE_OR_0,
    'gates.repair_candidates': _count(1000),
    'removal.every_epochs': _EPOCHS,
    'removal.soften_epochs': _EPOCHS,
    'removal.rounds': _count(1000),
    'aids.leaky_slope': Range(0, 1, 'a slope between 0 and 1'),
    'aids.leaky_epochs': _EPOCHS,
    'distill.share': _SHARE,
    'distill.temperature': Range(0.01, 1000, '0 for the squared error, or a temperature of 0.01 to 1,000', zero=True),
    'cost.weight': _LARGE,
    **{f'cost.budget.{name}': _LIMIT for name in (*BUDGETED, 'device_share')},
    'cost.process_latency_cycles': _count(10_000, ' of cycles', lo=0),
    'cost.interval_cycles': _count(10**9, ' of cycles', lo=0),
    'cost.rows': _count(2**16),
    'cost.columns': _count(2**16),
    'cost.sram_bytes': _count(2**40),
    'cost.bandwidth_gb_s': Range(0.001, 1e6, 'a number of 0.001 to 1,000,000 GB/s'),
    'cost.batch': _count(2**12),
    'quant.weight_bits': _BITS,
    'quant.activation_bits': _BITS,
    'quant.scale_learning_rate': _RATE_OR_0,
    'quant.calibration_images': _count(2**20),
}  # fmt: skip


def keys(config: Config, below: str = '') -> Iterator[str]:
    """The dotted keys that hold values."""
    for key in config:
        value = config[key]
        yield from keys(value, f'{below}{key}.') if isinstance(value, Config) else (below + key,)


def validate(config: Config) -> None:
    """Checks what can be known before data and devices are seen. Raises ConfigError naming the key."""
    wanted = defaults()
    if list(keys(config)) != list(keys(wanted)):
        odd = sorted(set(keys(config)) ^ set(keys(wanted)))[0]
        raise ConfigError(
            f'config.{odd} {"is missing" if odd in keys(wanted) else "is no key"}; the keys are those of '
            'experiments.config.defaults()'
        )
    for key in keys(wanted):
        _check_value(config, wanted, key)
    choices = {
        'method': tuple(METHODS),
        'cost.target': tuple(RESOURCES),
        'data.augment': AUGMENTS,
        'train.schedule': SCHEDULES,
        'train.compute_dtype': COMPUTE_DTYPES,
        'quant.scales': SCALES,
    }
    for key, values in choices.items():
        _choice(config, key, values)
    network.check(config)
    _check(config, 'data.train_split', bool, "a split, as 'train' or 'train[:90%]'")
    if config.train.batch_size % config.train.accumulate:
        raise ConfigError(
            f'config.train.batch_size {config.train.batch_size} is not divisible by config.train.accumulate '
            f'{config.train.accumulate}'
        )
    for key in ('quant.weight_bits_of', 'quant.activation_bits_of'):
        for name, bits in bits_of(config, key).items():
            if not _BITS.holds(bits):
                raise ConfigError(f'config.{key} gives node {name!r} {bits} bits; expected {_BITS.expected}')
    _check(
        config,
        'train.teacher.epochs',
        lambda value: value > 0 or config.train.teacher_workdir,
        'positive unless train.teacher_workdir is given',
    )


def _check_value(config: Config, wanted: Config, key: str) -> None:
    """Type and range of one key."""
    section, _, last = key.rpartition('.')
    value = typed(f'config.{key}', get(config, key), *(wanted[section] if section else wanted).type_of(last))
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and (len(text) > MOST_TEXT or not text.isprintable()):
            raise ConfigError(
                f'config.{key} is {shown(text)}; expected printable text of at most {MOST_TEXT:,} characters'
            )
    if key in RANGES and value is not None:
        _check(config, key, RANGES[key].holds, RANGES[key].expected)


def bits_of(config: Config, key: str) -> dict[str, int]:
    """{node: bits} of a key such as 's1b0_conv1=4,head_dense=6'. Raises ConfigError for other text."""
    text = get(config, key)
    if text and not re.fullmatch(r'\w+=\d{1,4}(,\w+=\d{1,4})*', text, re.ASCII):
        raise ConfigError(f'config.{key} is {shown(text)}; expected NODE=BITS,NODE=BITS,...')
    pairs = [part.split('=') for part in text.split(',') if part]
    for name in (names := [name for name, _ in pairs]):
        if names.count(name) > 1:
            raise ConfigError(f'config.{key} is {shown(text)}; it gives node {name!r} two widths')
    return {name: int(bits) for name, bits in pairs}


def get(config: Config, key: str) -> Any:
    """The value at a dotted key."""
    return config[key]


def _check(config: Config, key: str, holds, expected: str) -> None:
    if not holds(get(config, key)):
        raise ConfigError(f'config.{key} is {shown(get(config, key))}; expected {expected}')


def _choice(config: Config, key: str, choices: tuple[str, ...]) -> None:
    value = get(config, key)
    if value not in choices:
        near = difflib.get_close_matches(value, choices, 1)
        raise ConfigError(
            f'config.{key} is {shown(value)}; expected one of {", ".join(choices)}'
            + (f'; did you mean {near[0]!r}?' if near else '')
        )


def to_json(config: Config) -> str:
    """The resolved config as JSON text, keys sorted after the header."""
    return json.dumps({**header(KIND, VERSION), **config.to_dict()}, indent=2) + '\n'


def from_json(text: str | bytes, where: str = 'config.json') -> Config:
    """The inverse of `to_json`; keys that the file lacks take their defaults. Raises ConfigError naming `where` and the
    key.
    """
    return from_fields(parse_fields(text, where, KIND, VERSION, ConfigError))


def from_fields(fields: Fields) -> Config:
    """As `from_json`, of an object in a file, without a header."""
    config = defaults()
    try:
        _fill(config, fields)
        validate(config)
    except ConfigError as error:
        raise ConfigError(str(error) if str(error).startswith(fields.where) else f'{fields.where}: {error}') from None
    return config


def _fill(section: Config, fields: Fields) -> None:
    for key in section:
        if isinstance(section[key], Config):
            _fill(section[key], fields.object(key, default={}))
        else:
            section[key] = fields.take(key, default=section[key])
    fields.end()


def steps(epochs: float, updates_per_epoch: int, parts: int = 1) -> int:
    """A duration in calls of the training step, `parts` of which make an update; a fraction of an epoch is a fraction
    of its updates.
    """
    return round(epochs * updates_per_epoch) * parts
