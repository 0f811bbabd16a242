"""Which keys a method reads, and that it is refused what it ignores."""

import types

import pytest
from small_config import small_config

from experiments import checks, methods
from experiments import config as config_lib
from experiments.config import ConfigError
from experiments.methods import METHODS

ALL = set(METHODS)
TEACHERLESS, SCRATCH = {'static', 'dynamic_scratch'}, {'static', 'kd_only', 'dynamic_scratch'}
SCHEDULED = {'remove', 'shorten', 'dynamic_scratch', 'dynamic_pretrained'}
# By hand, from docs/methods.md: a value that differs from the default, and the methods that read it.
READ_BY = {
    'gates.keep': ('none', {'keep'}),
    'gates.learning_rate': (0.1, {'gates'}),
    'gates.p_open': (0.7, {'gates'}),
    'gates.dual_learning_rate': (0.1, {'gates'}),
    'gates.repair_candidates': (2, {'gates'}),
    'cost.weight': (5.0, {'gates'}),
    'cost.budget.lut': (1e6, {'gates'}),
    'cost.budget.device_share': (0.9, {'gates'}),
    'removal.every_epochs': (0.2, SCHEDULED),
    'removal.soften_epochs': (0.2, SCHEDULED),
    'removal.rounds': (2, {'nonresnet'}),
    'aids.preserve_variance': (True, {'gates', *SCHEDULED}),
    'aids.dirac': (True, {'gates', *SCHEDULED}),
    'aids.leaky_slope': (0.1, {'gates', *SCHEDULED}),
    'aids.leaky_epochs': (0.5, {'gates', *SCHEDULED}),
    'distill.share': (0.5, ALL - TEACHERLESS - {'nonresnet', 'dynamic_pretrained'}),
    'distill.temperature': (4.0, ALL - TEACHERLESS - {'nonresnet', 'dynamic_pretrained'}),
    'train.teacher_workdir': ('somewhere', ALL - TEACHERLESS),
    'train.student.learning_rate': (0.01, ALL - SCRATCH),
    'train.student.weight_decay': (0.01, ALL - SCRATCH),
    'train.student.warmup_epochs': (0.5, ALL - SCRATCH),
    'train.student.clip_norm': (0.5, ALL - SCRATCH),
    'train.student.epochs': (2.0, ALL),
    'train.teacher.learning_rate': (0.2, ALL),
    'cost.resources': (('lut',), ALL),
    'quant.weight_bits': (6, ALL),
}


@pytest.mark.parametrize('key', READ_BY)
@pytest.mark.parametrize('name', METHODS)
def test_a_key_that_a_method_ignores_is_refused(name, key):
    value, readers = READ_BY[key]
    config = small_config()
    config.method, config.model.skips = name, METHODS[name].skips[0]
    config[key] = value
    if name in readers:
        checks.check_method(config)
        return
    with pytest.raises(
        ConfigError, match=f"^config.{key} is .*, but method '{name}' does not use it; .* would$"
    ) as error:
        checks.check_method(config)
    assert set(str(error.value).split('; ')[-1].removesuffix(' would').split(', ')) == readers
    assert checks.unused(config) == [key]


def test_every_key_that_a_method_names_is_a_key_or_a_section_and_the_table_above_knows_it():
    keys = list(config_lib.keys(small_config()))
    for name, method in METHODS.items():
        for named in method.keys:
            below = [key for key in keys if key == named or key.startswith(f'{named}.')]
            assert below, f'{name} reads {named}, which is no key'
            assert named == 'cost.budget' or set(below) <= set(READ_BY)


@pytest.mark.parametrize(
    'key, value, message',
    [
        ('method', 'gate', "config.method is 'gate'; expected one of .*did you mean 'gates'"),
        ('model.skips', 'lang', "config.model.skips is 'lang'.*did you mean 'long'"),
        (
            'model.skips',
            'none',
            "config.model.skips is 'none'; config.method 'gates' takes long, short, short_pre, long",
        ),
    ],
)
def test_a_method_that_there_is_not_is_named(key, value, message):
    config = small_config()
    config[key] = value
    with pytest.raises(ConfigError, match=message):
        checks.check(config)


def test_no_method_takes_the_place_of_another():
    one, other = (types.SimpleNamespace(__name__=name, METHODS={'mine': METHODS['keep']}) for name in ('a', 'b'))
    assert methods.collected([one, types.SimpleNamespace(__name__='c')]) == {'mine': METHODS['keep']}
    with pytest.raises(ValueError, match="b has a method 'mine', and so has a"):
        methods.collected([one, other])
