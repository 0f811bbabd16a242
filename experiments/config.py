"""The configuration: plain, locked, typed data. A config file calls `defaults()` and changes what it must.

    def get_config():
        config = defaults()
        config.data.name = 'digits'
        return config

Unknown keys are errors, in a file and on the command line; `validate` checks values and the combinations of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ml_collections import config_dict

from experiments import network
from experiments.keys import BITS, BUDGETED, ELSEWHERE, KEYS, MOST_STEPS, PHASES, RANGES, RESOURCES, Choices, Key, Takes
from experiments.typed import Config, ConfigError, typed
from tailor_jax.fields import Fields, FormatError, header, hint, is_integer, parse_fields, parse_json, shown

__all__ = [
    'BUDGETED',
    'MOST_STEPS',
    'PHASES',
    'RANGES',
    'RESOURCES',
    'Config',
    'ConfigError',
    'bits_of',
    'check_choice',
    'defaults',
    'from_fields',
    'from_json',
    'get',
    'keys',
    'older',
    'steps',
    'to_json',
    'validate',
]

KIND, VERSION = 'config', 2  # of config.json
MOST_TEXT = 4096


def defaults() -> Config:
    """Every key that exists, with its default: those of `experiments.keys`."""
    config = Config('config')
    for key, each in KEYS.items():
        *sections, name = key.split('.')
        section = config
        for depth, one in enumerate(sections):
            if one not in section:
                section[one] = Config(
                    f'{section.where}.{one}', elsewhere=ELSEWHERE.get('.'.join(sections[: depth + 1]))
                )
            section = section[one]
        section[name] = config_dict.placeholder(each.type) if each.default is None else each.default
    return config.lock()


def keys(config: Config, below: str = '') -> Iterator[str]:
    """The dotted keys that hold values."""
    for key in config:
        value = config[key]
        yield from keys(value, f'{below}{key}.') if isinstance(value, Config) else (below + key,)


def validate(config: Config) -> None:
    """Checks what can be known before methods, data and devices are seen. Raises ConfigError naming the key."""
    wanted = defaults()
    if list(keys(config)) != list(keys(wanted)):
        odd = sorted(set(keys(config)) ^ set(keys(wanted)))[0]
        raise ConfigError(
            f'config.{odd} {"is missing" if odd in keys(wanted) else "is no key"}; the keys are those of '
            'experiments.config.defaults()'
        )
    for key, each in KEYS.items():
        _check_value(config, key, each)
    network.check(config)
    _check(config, 'data.train_split', bool, "a split, as 'train' or 'train[:90%]'")
    if config.train.batch_size % config.train.accumulate:
        raise ConfigError(
            f'config.train.batch_size {config.train.batch_size} is not divisible by config.train.accumulate '
            f'{config.train.accumulate}'
        )
    for key in ('quant.weight_bits_of', 'quant.activation_bits_of'):
        for name, bits in bits_of(config, key).items():
            if not BITS.holds(bits):
                raise ConfigError(f'config.{key} gives node {name!r} {bits} bits; expected {BITS.expected}')
    _check(
        config,
        'train.teacher.epochs',
        lambda value: value > 0 or config.train.teacher_workdir,
        'positive unless train.teacher_workdir is given',
    )


def _check_value(config: Config, key: str, each: Key) -> None:
    """Type and range of one key."""
    value = typed(f'config.{key}', get(config, key), each.type, optional=each.default is None)
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and (len(text) > MOST_TEXT or not text.isprintable()):
            raise ConfigError(
                f'config.{key} is {shown(text)}; expected printable text of at most {MOST_TEXT:,} characters'
            )
    if each.takes is None or value is None or each.takes.holds(value):
        return
    raise _unexpected(key, value, each.takes)


def check_choice(config: Config, key: str, choices: tuple[str, ...]) -> None:
    """Raises ConfigError, with the nearest choice, for a value that is none of the choices."""
    if get(config, key) not in choices:
        raise _unexpected(key, get(config, key), Choices(choices))


def _unexpected(key: str, value: Any, takes: Takes) -> ConfigError:
    near = hint(value, takes.known) if isinstance(takes, Choices) else ''
    return ConfigError(f'config.{key} is {shown(value)}; expected {takes.expected}{near}')


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


def to_json(config: Config) -> str:
    """The resolved config as JSON text, keys sorted after the header."""
    return json.dumps({**header(KIND, VERSION), **config.to_dict()}, indent=2) + '\n'


def from_json(text: str | bytes, where: str = 'config.json') -> Config:
    """The inverse of `to_json`; absent keys take their defaults. Raises ConfigError naming `where` and the key."""
    return from_fields(parse_fields(text, where, KIND, VERSION, ConfigError))


def older(text: str | bytes) -> int:
    """The version of a config.json that an older release wrote; 0 for any other file."""
    try:
        fields = Fields(parse_json(text, ''), '')
    except FormatError:
        return 0
    given, version = fields.take('format', None), fields.take('version', None)
    return version if given == header(KIND, VERSION)['format'] and is_integer(version, 1, VERSION - 1) else 0


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
