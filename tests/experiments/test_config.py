"""The configuration: each key by its type and range, from a file, from the command line and from JSON; every error in
one line that names the key.
"""

import ast
import copy
import json
import math

import numpy as np
import pytest
from random_configs import HOSTILE, PLAUSIBLE, base, changed, draw, mutated

from experiments import config as config_lib
from experiments import config_file, run
from experiments.cli import known_errors
from experiments.config import Config, ConfigError, defaults, validate
from experiments.configs import digits_resnet8

KEYS = tuple(config_lib.keys(defaults()))
HEAD = 'from experiments.configs import digits_resnet8\ndef get_config():\n    c = digits_resnet8.get_config()\n'


def type_of(key):
    section, _, last = key.rpartition('.')
    config = defaults()
    return (config[section] if section else config).type_of(last)


def written(tmp_path, *lines):
    path = tmp_path / 'config.py'
    path.write_text(HEAD + ''.join(f'    {line}\n' for line in lines) + '    return c\n')
    return str(path)


def names(message, key):
    """Whether a message is one line that names the key: whole, or its section and the part in it that is wrong."""
    return '\n' not in message and any(
        f'config.{part}' in message for part in (key, *(key.rpartition('.')[:1] if '.' in key else ()))
    )


# ---- every key, every hostile value ----------------------------------------------------------------------------------


@pytest.mark.parametrize('key', KEYS)
def test_a_value_is_of_its_keys_type_and_range_or_is_refused_by_name(key):
    """By assignment, as in a file. What is taken is of the key's type and finite, and comes back the same from JSON."""
    kind, optional = type_of(key)
    taken = 0
    for value in HOSTILE:
        config = base()
        try:
            config[key] = value
            assert (value is None and optional) or isinstance(config[key], kind)
            validate(config)
        except ConfigError as error:
            assert names(str(error), key), (value, str(error))
            continue
        taken += 1
        assert not isinstance(config[key], float) or math.isfinite(config[key])
        assert config_lib.from_json(config_lib.to_json(config))[key] == config[key]
    assert taken < len(HOSTILE)


@pytest.mark.parametrize('key', KEYS)
def test_a_value_on_the_command_line_is_the_value_in_a_file(key, tmp_path):
    """Each hostile value as text: refused by both, or taken as the same value by both."""
    path = written(tmp_path)
    kind, _ = type_of(key)
    for value in HOSTILE:
        text = value if isinstance(value, str) else 'huge' if value == 10**400 else str(value)
        if (kind is str and not isinstance(value, str)) or '\ud800' in text or text == 'none':
            continue  # any text is a text; none is no value
        outcomes = []
        for attempt in (
            lambda text=text: config_file.load(path, [(f'--config.{key}', key, text)]),
            lambda value=value: changed_by(key, value),
        ):
            try:
                outcomes.append(attempt()[key])
            except ConfigError as error:
                assert names(str(error), key), (value, str(error))
                outcomes.append(ConfigError)
        if kind is tuple or (isinstance(value, str) and kind is not str) or isinstance(value, bool):
            continue  # text that is a value of the key's type though it is none in a file: '14', 'lut'
        one, other = outcomes
        assert one == other or (kind is float and isinstance(value, int) and one == float(other)) or value in (0, 1), (
            key,
            value,
            outcomes,
        )


def changed_by(key, value):
    from experiments.configs import digits_resnet8

    config = digits_resnet8.get_config()
    config[key] = value
    validate(config)
    return config


def test_every_number_has_a_range_and_every_default_and_end_of_a_range_is_in_it():
    numbers = [key for key in KEYS if type_of(key)[0] in (int, float)]
    assert sorted(numbers) == sorted(config_lib.RANGES) and len(numbers) > 50
    for key, values in config_lib.RANGES.items():
        default = defaults()[key]
        assert default is None or values.holds(default), key
        assert (
            values.holds(values.hi)
            and not values.holds(np.nextafter(values.hi, math.inf))
            and not values.holds(math.nan)
        ), key
        assert values.holds(values.lo) != values.above and (
            values.zero or not values.holds(np.nextafter(values.lo, -math.inf))
        ), key
        with np.errstate(over='raise'):
            assert np.isfinite(np.float32(values.hi))
    assert set(PLAUSIBLE) <= set(KEYS)


# ---- a config file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'line, message',
    [
        (
            'c.quant.weight_bit = 6',
            "config.py, line 4: config.quant has no key 'weight_bit'; did you mean 'weight_bits'?",
        ),
        ('c.model.dpth = 3', "config.model has no key 'dpth'; did you mean 'depth'?"),
        ('c.trian.batch_size = 3', "config has no key 'trian'; did you mean 'train'?"),
        ('x = c.train.batch_sise', "config.train has no key 'batch_sise'; did you mean 'batch_size'?"),
        ("c.cost.budget = {'lutt': 1.0}", "config.cost.budget has no key 'lutt'; did you mean 'lut'?"),
        ("c.update({'train': {'qat': {'epoch': 1.0}}})", "config.train.qat has no key 'epoch'; did you mean 'epochs'?"),
        ("c.model.depth = '14'", "config.model.depth is '14'; expected an integer"),
        ('c.model.depth = 14.0', 'config.model.depth is 14.0; expected an integer'),
        ('c.seed = True', 'config.seed is True; expected an integer'),
        ('c.seed = None', 'config.seed is None; expected an integer'),
        ("c.cost.resources = 'bram18'", "config.cost.resources is 'bram18'; expected texts, as"),
        ('c.train = 3', "config.train is 3; expected a section, as {'accumulate': ...}"),
        ('c.seed.x = 3', "line 4: AttributeError: 'int' object has no attribute 'x'"),
        ("c['seed.x'] = 3", "config.seed is a value, and has no key 'x'"),
        ('1 / 0', 'line 4: ZeroDivisionError: division by zero'),
        ('import nowhere_at_all', "line 4: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ('c = {}', 'get_config() of '),
        ('c = None', 'expected what experiments.config.defaults() gives, with changes'),
        ('def f(:', 'is no Python: line 4: '),
        ('# \0', 'config.py is no Python: source code '),
        ('raise SystemExit(0)', 'line 4: SystemExit: 0'),
        ('c.unlock(); c.new = 1', 'config.new is no key'),
        ('c.unlock(); del c.seed', 'config.seed is missing'),
        ('c.seed = 1 << 30', 'config.seed is 1073741824; expected an integer, not negative, at most 999,999,999'),
        ("c.cost.budget.lut = float('inf')", 'config.cost.budget.lut is inf; expected a limit'),
    ],
)
def test_a_mistake_in_a_config_file_is_told_with_its_key_and_line(line, message, tmp_path):
    with pytest.raises(ConfigError) as caught:
        config_file.load(written(tmp_path, line))
    assert message in str(caught.value) and '\n' not in str(caught.value)
    assert 'config.py' in str(caught.value) or str(caught.value).startswith('config.')


def test_a_dict_sets_the_keys_that_it_has(tmp_path):
    """In a file, on the command line, by `update`: the section keeps its other keys, those set before included."""
    lines = (
        'c.cost.budget.ff = 9.0',
        'c.cost.budget = dict(lut=20000)',
        "c.train = {'qat': {'epochs': 2}}",
        'c.data = {}',
    )
    config = config_file.load(
        written(tmp_path, *lines),
        [('--config.cost.budget', 'cost.budget', "{'dsp': 7}"), ('--config.data', 'data', '{}')],
    )
    wanted = changed_by('cost.budget.ff', 9.0)
    wanted.cost.budget.lut, wanted.cost.budget.dsp, wanted.train.qat.epochs = 20000.0, 7.0, 2.0
    assert config == wanted and isinstance(config.cost.budget, Config) and isinstance(config.cost.budget.lut, float)
    config.train.student = config.train.teacher  # values, no second name for the same section
    config.train.student.epochs = 99.0
    assert config.train.teacher.epochs != 99.0 and config.train.student.where == 'config.train.student'


@pytest.mark.parametrize(
    'path, message', [('', '--config is missing'), ('nowhere.py', 'nowhere.py does not exist'), ('/', '/ is no file')]
)
def test_a_config_file_that_is_none(path, message):
    with pytest.raises(ConfigError, match=message):
        config_file.load(path)


def test_a_config_file_takes_an_argument(tmp_path):
    path = tmp_path / 'c.py'
    path.write_text(
        'from experiments.config import defaults\ndef get_config(of="3"):\n    c = defaults()\n    c.seed = '
        'int(of)\n    return c\n'
    )
    assert (config_file.load(str(path)).seed, config_file.load(f'{path}:17').seed) == (3, 17)


# ---- the command line ------------------------------------------------------------------------------------------------


def test_overrides_in_every_form_that_flags_have(tmp_path):
    argv = [
        'program',
        f'--config={written(tmp_path)}',
        '--config.seed=3',
        '--config.model.depth',
        '14',
        '--config.data.flip',
        '--workdir=W',
    ]
    argv += [
        '-config.data.random_resized_crop=false',
        '--noconfig.aids.dirac',
        '--config.data.test_split=',
        '--config.cost.resources=lut,ff',
    ]
    argv += [
        "--config.cost.budget={'lut': 5}",
        '--config.cost.resources=dsp',
        '--config.data.pad=none',
        '--config.gates.p_open=1e-3',
    ]
    rest, overrides = config_file.split(argv)
    config = config_file.load(rest[1].removeprefix('--config='), overrides)
    assert rest == ['program', argv[1], '--workdir=W']
    assert (config.seed, config.model.depth, config.data.flip, config.data.random_resized_crop, config.aids.dirac) == (
        3,
        14,
        True,
        False,
        False,
    )
    assert (config.data.test_split, config.cost.resources, config.cost.budget.lut) == ('', ('lut', 'ff', 'dsp'), 5.0)
    assert (config.data.pad, config.gates.p_open) == (None, 1e-3)
    tuples = config_file.load(rest[1].removeprefix('--config='), [('', 'cost.resources', "('lut', 'ff')")])
    assert tuples.cost.resources == ('lut', 'ff')


@pytest.mark.parametrize(
    'override, message',
    [
        (
            '--config.train.batch_sise=3',
            "--config.train.batch_sise=3: config.train has no key 'batch_sise'; did you mean 'batch_size'?",
        ),
        ('--config.trian.batch_size=3', "config has no key 'trian'; did you mean 'train'?"),
        ('--config.seed=abc', "--config.seed=abc: config.seed is 'abc'; expected an integer"),
        ('--config.seed=1.5', 'expected an integer'),
        ('--config.seed=' + '9' * 5000, 'expected an integer'),
        ('--config.seed', 'config.seed has no value; expected --config.seed=VALUE'),
        ('--config.seed.x=1', "config.seed is a value, and has no key 'x'"),
        ('--config.cost.weight=nan', 'config.cost.weight is nan; expected a finite number'),
        ('--config.data.flip=maybe', "config.data.flip is 'maybe'; expected True or False or none"),
        ('--config.cost.resources=(1,', 'expected texts'),
        ('--config.cost.resources=(1, 2)', 'expected texts'),
        ('--config.cost.budget=3', "config.cost.budget is '3'; expected values of its keys, as {'bram18': ...}"),
        ('--config.cost.budget={"x": 3}', "config.cost.budget has no key 'x'"),
        ('--config.cost.budget={"lut": "x"}', "config.cost.budget.lut is 'x'; expected a number or None"),
        ('--config.cost.budget=' + '(' * 300, 'expected values of its keys'),
        ('--config.=3', "config has no key ''"),
        ('--noconfig.seed=3', 'expected an integer'),
    ],
)
def test_a_bad_override_is_named(override, message, tmp_path):
    _, overrides = config_file.split([override])
    with pytest.raises(ConfigError) as caught:
        config_file.load(written(tmp_path), overrides)
    assert message in str(caught.value) and '\n' not in str(caught.value)


# ---- JSON ------------------------------------------------------------------------------------------------------------


def test_a_damaged_config_json_is_refused_by_name_or_is_a_valid_config():
    rng, whole = np.random.default_rng(0), json.loads(config_lib.to_json(base()))
    refused = 0
    for _ in range(400):
        text = json.dumps(mutated(rng, whole)).encode('utf-8', 'surrogatepass')
        if rng.random() < 0.2:
            at = rng.integers(len(text))
            text = (
                text[:at] + bytes(rng.integers(0, 256, rng.integers(0, 4)).tolist()) + text[at + rng.integers(0, 4) :]
            )
        try:
            validate(config_lib.from_json(text, 'W/config.json'))
        except ConfigError as error:
            assert str(error).startswith('W/config.json') and '\n' not in str(error), str(error)
            refused += 1
    assert 250 < refused < 400


@pytest.mark.parametrize(
    'edit, message',
    [
        ({'seed': 'x'}, "W/config.json: config.seed is 'x'; expected an integer"),
        ({'sead': 1}, "W/config.json: unknown field 'sead'; did you mean 'seed'?"),
        ({'model': {'dpth': 3}}, "W/config.json: model: unknown field 'dpth'; did you mean 'depth'?"),
        ({'model': 3}, 'W/config.json: model: expected an object, got 3'),
        ({'train': {'batch_size': 0}}, 'W/config.json: config.train.batch_size is 0; expected a positive integer'),
        ({'format': 'tailor_jax.graph'}, "expected a file with format 'tailor_jax.config'"),
        ({'version': 1}, 'its version is 1; this program reads version 2'),
    ],
)
def test_an_error_in_config_json_names_file_and_key(edit, message):
    with pytest.raises(ConfigError) as caught:
        config_lib.from_json(json.dumps({**json.loads(config_lib.to_json(base())), **edit}), 'W/config.json')
    assert message in str(caught.value)


def test_config_json_begins_with_its_format_and_gives_the_config_back():
    config = changed({'cost.resources': ('lut', 'ff'), 'data.pad': 2, 'cost.budget.lut': 5})
    text = config_lib.to_json(config)
    assert (
        list(json.loads(text))[:2] == ['format', 'version']
        and ast.literal_eval(text.splitlines()[2].strip()[len('"version": ') : -1]) == 2
    )
    assert config_lib.from_json(text) == config and copy.deepcopy(config) == config


# ---- everything that is accepted builds ------------------------------------------------------------------------------


def test_random_configs_build_or_are_refused_in_one_line():
    """Through the whole check of a run before it writes anything; what it takes has a price and a timetable."""
    rng, built, refused = np.random.default_rng(1), 0, 0
    for _ in range(100):
        changes = draw(rng)
        try:
            checked = run.check(changed(changes))
        except known_errors() as error:
            assert '\n' not in str(error) and str(error), changes
            refused += 1
            continue
        except Exception as error:
            raise AssertionError(f'{changes}: {type(error).__name__}: {error}') from error
        assert checked.cost.table.gates == checked.graph.gates
        built += 1
    assert built > 15 and refused > 30, (built, refused)


@pytest.mark.parametrize(
    'key, value, message',
    [
        ('train.batch_size', 0, 'config.train.batch_size is 0; expected a positive integer'),
        ('gates.p_open', 1.0, 'strictly between 0 and 1'),
        (
            'data.augment',
            'defualt',
            "config.data.augment is 'defualt'; expected one of default, none; did you mean 'default'",
        ),
        ('data.pad', -1, 'config.data.pad is -1; expected a number of pixels'),
        ('data.cutout', -1, 'config.data.cutout is -1; expected a number of pixels'),
        ('data.mixup', -0.5, 'config.data.mixup is -0.5; expected 0, or a finite number of 0.001 to 1,000'),
        ('data.image_size', -8, 'config.data.image_size is -8; expected a number of pixels'),
        ('data.train_split', '', "config.data.train_split is ''; expected a split"),
        ('cost.weight', -1.0, 'config.cost.weight is -1.0'),
        ('cost.weight', float('nan'), 'config.cost.weight is nan'),
        ('quant.weight_bits', 1, 'a width of 2 to 16 bits'),
        ('train.qat.epochs', -1.0, 'config.train.qat.epochs is -1.0'),
    ],
)
def test_a_bad_value_is_named(key, value, message):
    config = digits_resnet8.get_config()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(ConfigError, match=message):
        config_lib.validate(config)
