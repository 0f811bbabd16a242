"""Every key of the configuration, stated once: its default, what it may be, and what it means.

`experiments.config` makes the config of this table and checks values by it, and `experiments.config_page` writes
docs/config.md from it. The keys of `cost.dataflow` and `cost.pe_array` are the settings of these targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from costmodel import CostError, targets
from costmodel.settings import Blocks, ByNode, Check, Integer, Number, OneOf, Text
from tailor_jax.train.recipe import SCHEDULES

PHASES = ('teacher', 'student', 'finetune', 'qat')
MOST_EPOCHS = 1e6
MOST_STEPS = 2**24  # of a phase: float32, in which plans and schedules are computed, counts them one by one up to here
# What a budget can limit; a target prices some of them.
BUDGETED = targets.resources(lambda each: each.LIMITED)
# The targets, and what the cost is made of where `cost.resources` does not say.
RESOURCES = {name: module.SKIPS_ADD_TO for name, module in targets.TARGETS.items()}


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


class Choices(NamedTuple):
    """The texts that a key takes."""

    known: tuple[str, ...]

    @property
    def expected(self) -> str:
        return OneOf(self.known).expected

    def holds(self, value: str) -> bool:
        return value in self.known


class OfTarget(NamedTuple):
    """What a target's own check takes, of a key that is neither a number nor one of a few texts."""

    check: Check

    @property
    def expected(self) -> str:
        return self.check.expected

    def holds(self, value: Any) -> bool:
        try:
            self.check('it', self.check.of_text('it', value))
        except CostError:
            return False
        return True


Takes = Range | Choices | OfTarget


class Key(NamedTuple):
    """A key of the config.

    Attributes:
      default: its value unless given; None, where that means something of its own.
      help: what it means.
      takes: what its value may be, beside its type; None for anything of that type.
      kind: its type, where the default is None.
    """

    default: Any
    help: str
    takes: Takes | None = None
    kind: type | None = None

    @property
    def type(self) -> type:
        return type(self.default) if self.kind is None else self.kind


_EPOCHS = Range(0, MOST_EPOCHS, f'a number of epochs, 0 to {MOST_EPOCHS:,.0f}')
_SOME_EPOCHS = _EPOCHS._replace(above=True, expected=f'a positive number of epochs, at most {MOST_EPOCHS:,.0f}')
_RATE = Range(0, 1000, 'a positive number, at most 1,000', above=True)
_RATE_OR_0 = Range(0, 1000, 'a number of 0 to 1,000')
_LARGE = Range(0, 1e9, 'a finite number, not negative and at most 1e9')
_LIMIT = Range(0, 1e18, 'a limit, not negative and at most 1e18')
_PIXELS = Range(0, 4096, 'a number of pixels, 0 to 4,096')
_SHARE = Range(0, 1, 'a share between 0 and 1')
BITS = Range(2, 16, 'a width of 2 to 16 bits')


def _count(hi: int, of: str = '', lo: int = 1) -> Range:
    return Range(lo, hi, f'{"a positive integer" if lo == 1 else "an integer, not negative"}{of}, at most {hi:,}')


def _phase(name: str, epochs: float, learning_rate: float, weight_decay: float = 1e-4, clip_norm: float = 0.0):
    """The keys of a phase of training."""
    return {
        f'train.{name}.epochs': Key(float(epochs), 'length', _EPOCHS),
        f'train.{name}.learning_rate': Key(learning_rate, 'after warm-up', _RATE),
        f'train.{name}.weight_decay': Key(weight_decay, 'of kernels', _RATE_OR_0),
        f'train.{name}.warmup_epochs': Key(1.0, 'in which the learning rate rises from 0', _EPOCHS),
        f'train.{name}.clip_norm': Key(clip_norm, "bound of the norm of the network's gradient; 0 for none", _LARGE),
    }


# Settings of a target that are other keys.
_OF_QUANT = ('weight_bits', 'activation_bits', 'weight_bits_of', 'activation_bits_of')


def _of_target(target: str) -> Iterator[tuple[str, Key]]:
    """The keys of a target's settings."""
    for name, each in targets.TARGETS[target].SETTINGS.items():
        if name in _OF_QUANT:
            continue
        key, kind = f'cost.{target}.{name}', each.check.kind
        default = each.default
        policies = f' ({", ".join(each.policies)})' if each.policies else ''
        yield key, Key(None if default is None else kind(default), each.help + policies, _taken(each.check), kind)


def _taken(check: Check) -> Takes | None:
    match check:
        case Integer() | Number():
            return Range(check.lo, check.hi, check.expected)
        case OneOf():
            return Choices(check.known)
        case ByNode() | Blocks() | Text():
            return OfTarget(check)
        case _:
            return None


SECTIONS = {
    'data': 'The data set and what images go through, see [data.md](data.md).',
    'model': 'The network, by `name`, `graph` or `builder`; without any of them, a ResNet. The other keys are what its '
    'builder is given, None for its own default. See [networks.md](networks.md).',
    'train': 'Training, see [training.md](training.md).',
    'train.teacher': 'The first phase: float, every skip open.',
    'train.student': 'The student meets its gates, learned or on a schedule, with the cost in the loss.',
    'train.finetune': 'Gates binarized, skips gone.',
    'train.qat': 'Batch norms folded, weights and activations quantized. Without batch norms the gradients of a '
    'shortened network are large enough to diverge.',
    'gates': 'Gates, see [methods/gates.md](methods/gates.md).',
    'removal': 'Of the methods that remove skips by a timetable, see [methods.md](methods.md).',
    'aids': 'Aids to removal, while the student meets its gates.',
    'distill': 'Distillation.',
    'cost': 'What hardware costs.',
    'cost.budget': 'The most of a resource that may be used; it takes the place of `cost.weight`.',
    'cost.dataflow': 'Settings of the dataflow target, see [cost_model.md](cost_model.md). Every run is exported as '
    'this design, so they count whatever `cost.target` is.',
    'cost.pe_array': 'Settings of the PE array, see [pe_array.md](pe_array.md), for `cost.target` `pe_array`. None is '
    'as the preset says.',
    'quant': 'Integers, see [training.md](training.md#quantization).',
}

KEYS: dict[str, Key] = {
    # With the number of a round in it, a phase's seed stays below 2^32.
    'seed': Key(0, 'of initialization, order of data, and gates', _count(999_999_999, lo=0)),
    'method': Key('gates', 'how skips go, or stay, see [methods.md](methods.md)'),
    # ---- data
    'data.name': Key('digits', 'an embedded or public set'),
    'data.tfds_dir': Key('', 'a prepared TFDS directory; empty for the default place'),
    'data.train_split': Key('train', "the split, or a slice of it, 'train[:90%]'"),
    'data.test_split': Key('', "a split, 'train[90%:]', say; empty for the set's own"),
    'data.image_size': Key(0, 'side in pixels, for sets of varying image size; 0 for 224', _PIXELS),
    'data.augment': Key(
        'default',
        'what is customary for the set, or none; the next three change it where they are given',
        Choices(('default', 'none')),
    ),
    'data.pad': Key(None, 'random shift by up to this many pixels', _PIXELS, int),
    'data.flip': Key(None, 'mirror left and right, half the time', kind=bool),
    'data.random_resized_crop': Key(None, 'for sets of varying image size', kind=bool),
    'data.cutout': Key(0, 'side in pixels of the square set to the mean colour; 0 for none', _PIXELS),
    'data.mixup': Key(
        0.0,
        'alpha of the Beta(alpha, alpha) that blends pairs of images; 0 for none',
        Range(0.001, 1000, '0, or a finite number of 0.001 to 1,000', zero=True),
    ),
    # ---- model
    'model.name': Key('', 'a network that `python -m tailor_jax.build` prints'),
    'model.graph': Key('', 'a graph file, as `tailor_jax.graph.save` writes'),
    'model.builder': Key('', 'package.module:function that makes the graph'),
    'model.depth': Key(None, 'layers of a ResNet', _count(1202, ' (layers)'), int),
    'model.width': Key(
        None,
        "channels of a ResNet's first stage",
        _count(4096, ' of channels'),
        int,
    ),
    'model.multiplier': Key(
        None,
        'of all channels',
        Range(0, 16, 'a positive number, at most 16', above=True),
        float,
    ),
    'model.depth_multiplier': Key(
        None,
        "of the blocks of an EfficientNet's stages",
        Range(0, 16, 'a positive number, at most 16', above=True),
        float,
    ),
    'model.repeats': Key(None, 'modules of each block of a QuartzNet', _count(1000), int),
    'model.version': Key(None, 'of a SqueezeNet', None, str),
    'model.skips': Key(None, 'where skips are; which ones a method takes: [methods.md](methods.md)', None, str),
    # ---- train
    'train.batch_size': Key(64, 'over all devices', _count(2**20)),
    'train.log_every_steps': Key(1, 'steps between rows of metrics', _count(MOST_STEPS)),
    'train.save_every_epochs': Key(10.0, 'epochs between checkpoints', _SOME_EPOCHS),
    'train.accumulate': Key(
        1,
        'parts that a batch is computed in, for batches that do not fit in memory; batch norms see a part at a time',
        _count(2**20),
    ),
    'train.compute_dtype': Key(
        'float32',
        'of convolutions before quantization; parameters and statistics stay float32',
        Choices(('float32', 'bfloat16')),
    ),
    'train.schedule': Key(
        'cosine', 'of the learning rate after warm-up; cosine falls to zero over each phase', Choices(SCHEDULES)
    ),
    'train.decay_every_epochs': Key(30.0, 'of the step schedule', _SOME_EPOCHS),
    'train.decay_factor': Key(0.1, 'of the step schedule', Range(0, 1, 'a factor above 0, at most 1', above=True)),
    'train.teacher_workdir': Key('', 'take the trained teacher from this workdir instead of training one'),
    **_phase('teacher', 40, 0.1),
    **_phase('student', 30, 0.05),
    **_phase('finetune', 10, 0.02),
    **_phase('qat', 10, 0.001, weight_decay=0.0, clip_norm=1.0),
    # ---- gates
    'gates.learning_rate': Key(0.05, 'of learned gates', _RATE),
    'gates.keep': Key('all', 'of method keep: all, none, or the gates whose skips stay, separated by commas'),
    'gates.p_open': Key(
        0.8,
        'P(open) of every learned gate at the start',
        Range(0, 1 - 2**-53, 'a probability strictly between 0 and 1', above=True),
    ),
    'gates.dual_learning_rate': Key(0.05, 'of the multipliers of cost.budget, a step', _RATE_OR_0),
    'gates.repair_candidates': Key(
        8, 'likeliest settings within the budget that are tried on training images, of two kinds each', _count(1000)
    ),
    # ---- removal
    'removal.every_epochs': Key(
        0.0,
        'epochs between one skip and the next; 0 spreads them over the first two thirds of the phase',
        _EPOCHS,
    ),
    'removal.soften_epochs': Key(0.0, 'epochs in which a skip fades out; 0 switches it off at once', _EPOCHS),
    'removal.rounds': Key(3, 'of nonresnet: groups of skips, each removed in a training of its own', _count(1000)),
    # ---- aids
    'aids.preserve_variance': Key(False, 'a closing gate scales up the other branch'),
    'aids.dirac': Key(False, 'convolutions that can carry the identity'),
    'aids.leaky_slope': Key(
        0.0,
        'negative slope of the ReLUs at the start, annealed to 0 in aids.leaky_epochs',
        Range(0, 1, 'a slope between 0 and 1'),
    ),
    'aids.leaky_epochs': Key(0.0, 'until the ReLUs are plain; 0 for half of the phase', _EPOCHS),
    # ---- distill
    'distill.share': Key(0.35, 'of the loss; the rest is cross-entropy', _SHARE),
    'distill.temperature': Key(
        0.0,
        'of the KL divergence; 0 takes the squared error of the logits',
        Range(0.01, 1000, '0 for the squared error, or a temperature of 0.01 to 1,000', zero=True),
    ),
    # ---- cost
    'cost.target': Key('dataflow', 'what skips are priced on', Choices(tuple(RESOURCES))),
    'cost.weight': Key(
        0.1,
        'loss units that all skips together cost, see [training.md](training.md#gates); a budget takes its place',
        _LARGE,
    ),
    'cost.resources': Key(
        (),
        'what the cost is the mean of; none for '
        + ', or '.join(f'{", ".join(names)} ({target})' for target, names in RESOURCES.items()),
    ),
    **{f'cost.budget.{name}': Key(None, 'the most that may be used', _LIMIT, float) for name in BUDGETED},
    'cost.budget.device_share': Key(
        None, "the most of each of the device's resources, as a share of what it has", _LIMIT, float
    ),
    **{key: each for target in targets.TARGETS for key, each in _of_target(target)},
    # ---- quant
    'quant.weight_bits': Key(8, 'width of weights', BITS),
    'quant.activation_bits': Key(8, 'width of activations', BITS),
    'quant.weight_bits_of': Key('', "widths of single nodes, as 's1b0_conv1=4,head_dense=6'"),
    'quant.activation_bits_of': Key('', 'the same, of activations'),
    'quant.scales': Key(
        'calibrated', 'of tensors: chosen once, or learned from there on', Choices(('calibrated', 'learned'))
    ),
    'quant.scale_learning_rate': Key(0.01, "of learned scales' exponents, in the first half of the phase", _RATE_OR_0),
    'quant.calibration_images': Key(512, 'training images that scales are chosen on', _count(2**20)),
}

# Every key that holds a number. What is finite here stays finite in float32, and what is counted fits where it is
# counted.
RANGES = {key: each.takes for key, each in KEYS.items() if isinstance(each.takes, Range)}

# {section: {name that is no key of it: where it went, or why}}, for errors.
ELSEWHERE: dict[str, dict[str, str]] = {
    'cost': {
        **{name: f'is now config.cost.dataflow.{name}' for name in ('device', 'fifo_policy', 'interval_cycles')},
        **{
            name: f'is now config.cost.pe_array.{name}'
            for name in ('preset', 'policy', 'rows', 'columns', 'sram_bytes', 'bandwidth_gb_s', 'batch', 'fuse_add')
        },
        'dataflow': 'is a section of settings; a loop order is now config.cost.pe_array.dataflow',
    },
    **{
        f'cost.{target}': {
            **{name: f'is config.quant.{name}, of every target' for name in _OF_QUANT},
        }
        for target in targets.TARGETS
    },
}
ELSEWHERE['cost.dataflow'] |= {
    'reuse_factor': 'is now config.cost.dataflow.folding, a file',
    'process_latency_cycles': 'is gone: every process has the latency of its own structure',
}
