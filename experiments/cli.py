"""How every entry point starts and ends: flags parsed with clear errors, known failures told in one paragraph.

Exit status 0 is success only, 1 a failure, 75 (EX_TEMPFAIL) an interruption by SIGTERM or SIGINT after which the same command goes on.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from typing import Any

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from experiments.config import ConfigError, validate
from tailor_jax.graph import GraphError
from tailor_jax.train import interruption
from tailor_jax.train.interruption import Interrupted

# In the environment: seconds that a program may take to end after the first SIGTERM or SIGINT, before it is ended.
STOP_SECONDS = 'TAILOR_JAX_STOP_SECONDS'
LONGEST_STOP_S = 86_400
CLUSTER_FLAGS = {
    'coordinator_address': ('', 'HOST:PORT of process 0, where several processes train as one. Slurm and Open MPI (before 5) say it themselves.'),
    'num_processes': (0, 'How many processes there are; 0 for what the launcher says.'),
    'process_id': (-1, 'Which one this is, from 0; -1 for what the launcher says.'),
}


def fail(message: object) -> None:
    """Prints the message and ends the process with status 1."""
    print(f'error: {message}', file=sys.stderr)
    sys.exit(1)


def known_errors() -> tuple[type[Exception], ...]:
    """What a user can cause. Anything else is a defect of the program and keeps its traceback."""
    from costmodel import CostError
    from hls_export import ExportError
    from tailor_jax.data import DataError
    from tailor_jax.files import LockedError
    from tailor_jax.train.checkpoint import CheckpointError
    from tailor_jax.train.cluster import ClusterError
    from tailor_jax.train.metrics import NotFiniteError

    return (
        ConfigError,
        CostError,
        GraphError,
        DataError,
        ExportError,
        CheckpointError,
        ClusterError,
        NotFiniteError,
        LockedError,
        FileExistsError,
        FileNotFoundError,
        PermissionError,
    )


def run(main: Callable[[Any], None], flags_of: Mapping[str, tuple[Any, str]], config: bool = False, cluster: bool = False) -> None:
    """Parses the flags, runs `main` on their values, and turns known errors into a message and status 1, a signal into status 75.

    Args:
      main: takes an object with an attribute for each flag.
      flags_of: {flag: (default, help)}; the default's type is the flag's.
      config: whether there is a --config flag, with --config.key=value overrides.
      cluster: whether several processes may run it together, see tailor_jax/train/cluster.py.
    """
    flags_of = {**flags_of, **(CLUSTER_FLAGS if cluster else {})}
    define: dict[type, Callable[..., flags.FlagHolder]] = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    holders = {name: define[type(default)](name, default, text) for name, (default, text) in flags_of.items()}
    if config:
        holders['config'] = config_flags.DEFINE_config_file('config', None, 'Config file, e.g. experiments/configs/digits_resnet8.py.')

    def guarded(_: list[str]) -> None:
        logging.set_verbosity(logging.WARNING)  # jax and orbax tell of much that is of no use here
        values = {name: holder.value for name, holder in holders.items()}
        status = 0
        try:
            handler = interruption.Handler(_stop_seconds()).install()
            if config:
                values['config'] = _config(values['config'])
            if cluster:
                _join(values, handler)
            main(types.SimpleNamespace(**values))
        except Interrupted as error:
            print(f'{error}; what was done is saved, and the same command goes on from there', file=sys.stderr)
            status = interruption.STATUS
        except known_errors() as error:
            print(f'error: {error}', file=sys.stderr)
            status = 1
        except Exception:
            traceback.print_exc()
            status = 1
        if cluster:
            _leave(status)
        sys.exit(status)

    app.run(guarded, flags_parser=_parse)


def _stop_seconds() -> float:
    """How long a program may take to end after a signal. Raises ConfigError if the environment makes no sense."""
    text = os.environ.get(STOP_SECONDS, str(interruption.STOP_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_STOP_S:
        raise ConfigError(f'{STOP_SECONDS} is {text!r} in the environment; expected seconds, more than 0 and at most {LONGEST_STOP_S:,}')
    return seconds


def _join(values: Mapping[str, Any], handler: interruption.Handler) -> None:
    """Makes this process one of several, if it is."""
    from tailor_jax.train import cluster

    if cluster.join(*(values[name] for name in CLUSTER_FLAGS)):
        handler.install()  # again: jax.distributed took SIGTERM for itself
        handler.holders += 1  # for good: several processes stop only where all do, in the training loop


def _leave(status: int) -> None:
    from tailor_jax.train import cluster

    cluster.leave(status, orderly=status in (0, interruption.STATUS))


def _parse(argv: list[str]) -> list[str]:
    """absl's parser, with the errors of a config override said in one line."""
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        fail(f'{error}; --help lists the flags')
    except SyntaxError as error:
        fail(f'--config: {error.filename} is no Python: line {error.lineno}: {error.msg}')
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        if 'get_config' in str(error):
            fail('--config: the file has no function get_config(); see experiments/configs/digits_resnet8.py')
        text = str(error.args[0] if error.args else error).replace('\\', '')
        bad = re.search(r"'(\w+)'", text)
        near = re.search(r'Did you mean "([^"]+)"', text)
        given = next((arg for arg in argv if bad and arg.startswith('--config.') and bad[1] in re.split('[.=]', arg)), '--config')
        hint = f'; did you mean {near[1]!r}?' if near else ''
        fail(f'{given}: the config has no key {bad[1]!r}{hint}' if bad else f'{given}: {text}')
    if len(rest) > 1:
        fail(f'unexpected argument {rest[1]!r}; every option starts with --, as in --workdir=W')
    return rest


def required(options: Any, name: str, example: str) -> str:
    """A text flag's value; ConfigError when it was not given."""
    if not (value := getattr(options, name)):
        raise ConfigError(f'--{name} is missing; give it, as in --{name}={example}')
    return value


def _config(config: Any) -> ConfigDict:
    """The locked and validated config of the --config flag."""
    if config is None:
        raise ConfigError('--config is missing; give a config file, as in --config=experiments/configs/digits_resnet8.py')
    if not isinstance(config, ConfigDict):
        try:
            config.lock()  # ml_collections keeps a file that could not be read as an object that raises its error on use
        except Exception as error:
            raise ConfigError(f'--config: {str(error).strip().splitlines()[-1].strip()}') from None
    validate(config)
    return config
