"""Which keys a method reads, and that it is refused what it ignores."""

import re
import types
from pathlib import Path

import pytest
from small_config import small_config

from experiments import checks, methods
from experiments import config as config_lib
from experiments.config import ConfigError
from experiments.methods import METHODS

ALL = set(METHODS)
PAGE = (Path(__file__).parents[2] / 'docs' / 'methods.md').read_text(encoding='utf-8')
# A value of each key that differs from the default.
CHANGED = {
    'gates.keep': 'none',
    'gates.learning_rate': 0.1,
    'gates.p_open': 0.7,
    'gates.dual_learning_rate': 0.1,
    'gates.repair_candidates': 2,
    'cost.weight': 5.0,
    'cost.budget.lut': 1e6,
    'cost.budget.device_share': 0.9,
    'removal.every_epochs': 0.2,
    'removal.soften_epochs': 0.2,
    'removal.rounds': 2,
    'aids.preserve_variance': True,
    'aids.dirac': True,
    'aids.leaky_slope': 0.1,
    'aids.leaky_epochs': 0.5,
    'distill.share': 0.5,
    'distill.temperature': 4.0,
    'train.teacher_workdir': 'somewhere',
    'train.student.learning_rate': 0.01,
    'train.student.weight_decay': 0.01,
    'train.student.warmup_epochs': 0.5,
    'train.student.clip_norm': 0.5,
    'train.student.epochs': 2.0,
    'train.teacher.learning_rate': 0.2,
    'cost.resources': ('lut',),
    'quant.weight_bits': 6,
}


def documented() -> dict[str, set[str]]:
    """{key or section: the methods that read it}, by the table of docs/methods.md."""
    found, table = {}, PAGE.split('## What a method reads')[1].split('\n## ')[0]
    for row in (line for line in table.splitlines() if line.startswith('| `')):
        names, readers = (re.findall('`([^`]+)`', cell) for cell in row.split('|')[1:3])
        if row.split('|')[2].strip().startswith('all but'):
            readers = ALL - set(readers)
        section = names[0].rpartition('.')[0]
        found |= {section + name if name.startswith('.') else name: set(readers) for name in names}
    return found


DOCUMENTED = documented()
READ_BY = {
    key: (value, next((each for name, each in DOCUMENTED.items() if f'{key}.'.startswith(f'{name}.')), ALL))
    for key, value in CHANGED.items()
}


def test_the_page_has_a_row_of_each_method_and_of_every_key_that_some_method_reads():
    assert {name for name in re.findall(r'^\| \[?`(\w+)`', PAGE, re.MULTILINE)} >= ALL
    assert all(any(key == each or key.startswith(f'{each}.') for each in DOCUMENTED)
               for method in METHODS.values() for key in method.keys)  # fmt: skip


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
        ('model.skips', 'lang', "config.model cannot be built .*, got 'lang'.*did you mean 'long'"),
        ('model.skips', 'none', "config.method is 'gates', but the network has no gates; method keep trains it as"),
    ],
)
def test_a_method_that_there_is_not_is_named(key, value, message):
    config = small_config()
    config[key] = value
    with pytest.raises(ConfigError, match=message):
        checks.check(config)


@pytest.mark.parametrize(
    'key, value, other, enough',
    [
        ('gates.dual_learning_rate', 0.1, 'cost.budget.lut', 1e9),
        ('gates.repair_candidates', 2, 'cost.budget.device_share', 1e3),
        ('aids.leaky_epochs', 0.5, 'aids.leaky_slope', 0.1),
        ('quant.scale_learning_rate', 0.1, 'quant.scales', 'learned'),
        ('train.decay_every_epochs', 2.0, 'train.schedule', 'step'),
        ('train.decay_factor', 0.5, 'train.schedule', 'step'),
    ],
)
def test_a_key_that_nothing_reads_without_another_is_refused(key, value, other, enough):
    config = small_config()
    config[key] = value
    with pytest.raises(ConfigError, match=f'^config.{key} is {value!r}, which is read with .*{other[:11]}.* alone$'):
        checks.check(config)
    config[other] = enough
    checks.check(config)


def test_a_temperature_without_a_share_is_refused():
    config = small_config()
    config.distill.temperature = 4.0
    checks.check(config)
    config.distill.share = 0.0
    with pytest.raises(ConfigError, match='config.distill.temperature is 4.0, which is read with config.distill.share'):
        checks.check(config)


def test_no_method_takes_the_place_of_another():
    one, other = (types.SimpleNamespace(__name__=name, METHODS={'mine': METHODS['keep']}) for name in ('a', 'b'))
    assert methods.collected([one, types.SimpleNamespace(__name__='c')]) == {'mine': METHODS['keep']}
    with pytest.raises(ValueError, match="b has a method 'mine', and so has a"):
        methods.collected([one, other])
