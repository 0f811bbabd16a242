"""The config that a command line describes: a file of Python and overrides of its values.

--config=FILE.py[:ARGUMENT]      get_config(), or get_config(ARGUMENT), of that file
--config.model.depth=14          a value of it; also --config.model.depth 14, --config.data.flip, --noconfig.data.flip
--config.cost.budget="{'lut': 20000}"   some values of a section
"""

from __future__ import annotations

import ast
import importlib.machinery
import inspect
import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from experiments.config import validate
from experiments.typed import Config, ConfigError, parsed
from tailor_jax.fields import shown

SHIPPED = Path(__file__).parent / 'configs'  # also found as experiments/configs/... where there is no such folder
_OVERRIDE = re.compile(r'--?(no)?config\.([^=]*)(?:=(.*))?', re.DOTALL)
_EXAMPLE = 'as in --config=experiments/configs/digits_resnet8.py'


def split(argv: Sequence[str]) -> tuple[list[str], list[tuple[str, str, str | None]]]:
    """(the other arguments, the overrides: as (what was given, key, text; None for a bare --config.key))."""
    rest, overrides, waiting = [], [], list(argv)
    while waiting:
        argument = waiting.pop(0)
        match = _OVERRIDE.fullmatch(argument)
        if not match:
            rest.append(argument)
            continue
        no, key, text = match.groups()
        if no:
            text = 'false' if text is None else f'{text} after --noconfig'
        elif text is None and waiting and not waiting[0].startswith('--'):
            text = waiting.pop(0)
            argument = f'{argument} {text}'
        overrides.append((argument, key, text))
    return rest, overrides


def load(path: str, overrides: Sequence[tuple[str, str, str | None]] = ()) -> Config:
    """The validated config. Raises ConfigError naming the file and its line, or the argument."""
    if not path:
        raise ConfigError(f'--config is missing; give a config file, {_EXAMPLE}')
    config = _from_file(path)
    collected: dict[str, str] = {}
    for argument, key, text in overrides:
        try:
            _override(config, key, text, collected)
        except ConfigError as error:
            raise ConfigError(f'{argument}: {error}') from None
    validate(config)
    return config


def _override(config: Config, key: str, text: str | None, collected: dict[str, str]) -> None:
    value = config[key]  # an unknown key is an error here
    section, _, last = key.rpartition('.')
    owner = config[section] if section else config
    if isinstance(value, Config):
        given = _dictionary(text)
        if given is None:
            raise owner.no_section(last, f'{value.where} is {shown(text)}; expected values of its keys')
        owner[last] = given
        return
    kind, optional = owner.type_of(last)
    if text is None and kind is not bool:
        raise ConfigError(f'config.{key} has no value; expected --config.{key}=VALUE')
    text = 'true' if text is None else text
    if kind is tuple and key in collected:  # --config.cost.resources=lut --config.cost.resources=ff
        text = f'{collected[key]},{text}'
    collected[key] = text
    owner[last] = parsed(f'config.{key}', text, kind, optional)


def _dictionary(text: str | None) -> dict | None:
    """The dict that a Python literal stands for, None if it is none."""
    try:
        value = ast.literal_eval((text or '').strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None
    return value if isinstance(value, dict) else None


def _from_file(path: str) -> Config:
    name, _, argument = path.partition(':')
    if not Path(name).exists() and (ours := Path(__file__).parents[1] / name).parent == SHIPPED:
        name = str(ours)
    if not Path(name).is_file():
        raise ConfigError(
            f'--config: {name} {"is no file" if Path(name).exists() else "does not exist"}; give a config file, '
            f'{_EXAMPLE}'
        )
    try:
        get_config = getattr(_module(name), 'get_config', None)
        if get_config is None:
            raise ConfigError(
                f'--config: {name} has no function get_config(); see experiments/configs/digits_resnet8.py'
            )
        if argument and not inspect.signature(get_config).parameters:
            raise ConfigError(f'--config: get_config() of {name} takes no argument, and {argument!r} is given')
        config = get_config(argument) if argument else get_config()
    except SyntaxError as error:
        where = f': line {error.lineno}' if error.lineno else ''
        raise ConfigError(f'--config: {error.filename or name} is no Python{where}: {error.msg}') from None
    except (
        Exception,
        SystemExit,
    ) as error:  # it is the user's program, which may raise anything, and is not to end this one
        if str(error).startswith('--config: '):
            raise
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
        told = (
            str(error)
            if isinstance(error, ConfigError)
            else f'{type(error).__name__}: {" ".join(str(error).split())[:300]}'
        )
        raise ConfigError(f'--config: {name}, line {lines[-1] if lines else "?"}: {told}') from None
    if not isinstance(config, Config):
        raise ConfigError(
            f'--config: get_config() of {name} gives {shown(config)}; expected what experiments.config.defaults() '
            'gives, with changes'
        )
    return config


def _module(name: str) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader('config_file', name)
    module = ModuleType(loader.name)
    module.__file__ = name
    loader.exec_module(module)
    return module
