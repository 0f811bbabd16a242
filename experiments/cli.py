"""How every entry point starts and ends: flags parsed with clear errors, known failures told in one paragraph.

Exit status 0 is success only, 1 a failure, 75 (EX_TEMPFAIL) an interruption by SIGTERM or SIGINT after which the same
command goes on.
"""

from __future__ import annotations

import io
import math
import os
import sys
import textwrap
import threading
import traceback
import types
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from absl import app, flags, logging

from experiments import config_file
from experiments.config import ConfigError
from tailor_jax.fields import FormatError
from tailor_jax.files import LockedError
from tailor_jax.graph import GraphError
from tailor_jax.train import interruption
from tailor_jax.train.interruption import Interrupted

# In the environment: seconds that a program may take to end after the first SIGTERM or SIGINT, before it is ended.
STOP_SECONDS = 'TAILOR_JAX_STOP_SECONDS'
LONGEST_STOP_S = 86_400
CLUSTER_FLAGS = {
    'coordinator_address': (
        '',
        'HOST:PORT of process 0, where several processes train as one. Slurm and Open MPI (before 5) say it '
        'themselves.',
    ),
    'num_processes': (0, 'How many processes there are; 0 for what the launcher says.'),
    'process_id': (-1, 'Which one this is, from 0; -1 for what the launcher says.'),
}
CONFIG_FLAGS = {'config': ('', 'Config file, e.g. experiments/configs/digits_resnet8.py.')}
CONFIG_HELP = """--config.KEY=VALUE
    Another value of a key of the config, as in --config.train.batch_size=32. docs/config.md has every key."""
_HELP = ('-h', '--h', '-help', '--help', '--helpfull', '--helpshort')


def fail(message: object) -> NoReturn:
    """Prints the message and ends the process with status 1."""
    print(f'error: {message}', file=sys.stderr)
    sys.exit(1)


def known_errors() -> tuple[type[Exception], ...]:
    """What a user can cause, or his machine. Anything else is a defect of the program and keeps its traceback."""
    from costmodel import CostError
    from hls_export import ExportError
    from tailor_jax.data import DataError
    from tailor_jax.train.checkpoint import CheckpointError
    from tailor_jax.train.cluster import ClusterError
    from tailor_jax.train.metrics import NotFiniteError

    return (
        ConfigError,
        CostError,
        FormatError,
        GraphError,
        DataError,
        ExportError,
        CheckpointError,
        ClusterError,
        LockedError,
        NotFiniteError,
        OSError,
        MemoryError,
    )


def told(error: Exception, values: Mapping[str, Any]) -> str:
    """The message of a known error in one paragraph. That of a file which could not be read or written names it, or
    else the directory.
    """
    if isinstance(error, MemoryError):
        return f'not enough memory: {error}' if str(error) else 'not enough memory'
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    names = [os.fspath(name) for name in (error.filename, error.filename2) if isinstance(name, str | os.PathLike)]
    place = ' -> '.join(names) or next((str(values[key]) for key in ('workdir', 'out') if values.get(key)), '')
    return (f'{place}: ' if place else '') + (os.strerror(error.errno) if error.errno > 0 else str(error))


def run(
    main: Callable[[Any], None], flags_of: Mapping[str, tuple[Any, str]], config: bool = False, cluster: bool = False
) -> None:
    """Parses the flags, runs `main`, and turns known errors into a message and status 1, a signal into status 75.

    Args:
      main: takes an object with an attribute for each flag.
      flags_of: {flag: (default, help)}; the default's type is the flag's.
      config: whether there is a --config flag, with --config.key=value overrides.
      cluster: whether several processes may run it together, see tailor_jax/train/cluster.py.
    """
    flags_of = {**(CONFIG_FLAGS if config else {}), **flags_of, **(CLUSTER_FLAGS if cluster else {})}
    if set(_HELP) & set(sys.argv[1:]):
        print(usage(sys.modules['__main__'].__doc__ or '', flags_of))
        sys.exit(0)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='backslashreplace')  # names of files are any bytes
    define: dict[type, Callable[..., flags.FlagHolder]] = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    holders = {name: define[type(default)](name, default, text) for name, (default, text) in flags_of.items()}
    overrides: list[tuple[str, str, str | None]] = []

    def parse(argv: list[str]) -> list[str]:
        try:
            if config:
                argv, found = config_file.split(flags.FLAGS.read_flags_from_files(argv, force_gnu=False))
                overrides.extend(found)
            return _parse(argv)
        except flags.Error as error:
            fail(f'{error}; --help lists the flags')

    def guarded(_: list[str]) -> None:
        logging.set_verbosity(logging.WARNING)  # jax and orbax tell of much that is of no use here
        _tell_background_in_one_line()
        values = {name: holder.value for name, holder in holders.items()}
        status = 0
        try:
            handler = interruption.Handler(_stop_seconds()).install()
            if config:
                values['config'] = config_file.load(values['config'], overrides)
            if cluster:
                _join(values, handler)
            main(types.SimpleNamespace(**values))
        except Interrupted as error:
            print(f'{error}; what was done is saved, and the same command goes on from there', file=sys.stderr)
            status = interruption.STATUS
        except known_errors() as error:
            print(f'error: {told(error, values)}', file=sys.stderr)
            status = 1
        except Exception:
            traceback.print_exc()
            status = 1
        if cluster:
            _leave(status)
        sys.exit(status)

    app.run(guarded, flags_parser=parse)


def _tell_background_in_one_line() -> None:
    """What fails in threads of orbax and TensorBoard, on a full disk say, fails in many at once, and most of it reaches
    the main thread too.
    """
    seen: set[str] = set()

    def tell(error: BaseException | None) -> None:
        text = f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
        if text not in seen:
            seen.add(text)
            print(f'warning: in the background: {text}', file=sys.stderr)

    sys.excepthook = lambda _, error, __: tell(error)  # of what C++ threads call; `guarded` lets no other through
    sys.unraisablehook = lambda hook: tell(hook.exc_value)
    threading.excepthook = lambda hook: tell(hook.exc_value)
    logging.get_absl_handler().addFilter(lambda record: not record.exc_info)  # orbax logs what it also raises


def usage(doc: str, flags_of: Mapping[str, tuple[Any, str]]) -> str:
    """What --help prints: the program's docstring, and its flags with their defaults."""
    lines = [doc.strip(), '', 'Flags:', '']
    for name, (default, text) in flags_of.items():
        given = (
            f'--[no]{name}'
            if isinstance(default, bool)
            else f'--{name}=' + (str(default) if default != '' else name.upper())
        )
        lines += [given, textwrap.fill(text, 100, initial_indent='    ', subsequent_indent='    ')]
    return '\n'.join([*lines, *([CONFIG_HELP] if 'config' in flags_of else [])])


def _stop_seconds() -> float:
    """How long a program may take to end after a signal. Raises ConfigError if the environment makes no sense."""
    text = os.environ.get(STOP_SECONDS, str(interruption.STOP_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_STOP_S:
        raise ConfigError(
            f'{STOP_SECONDS} is {text!r} in the environment; expected seconds, more than 0 and at most '
            f'{LONGEST_STOP_S:,}'
        )
    return seconds


def _join(values: Mapping[str, Any], handler: interruption.Handler) -> None:
    """Makes this process one of several, if it is."""
    from tailor_jax.train import cluster

    try:
        joined = cluster.join(*(values[name] for name in CLUSTER_FLAGS))
    except cluster.ClusterError as error:
        flags_given = ' '.join(
            f'--{name}={values[name]}' for name, (default, _) in CLUSTER_FLAGS.items() if values[name] != default
        )
        raise cluster.ClusterError(f'{flags_given}: {error}' if flags_given else str(error)) from error
    if joined:
        handler.install()  # again: jax.distributed took SIGTERM for itself
        handler.holders += 1  # for good: several processes stop only where all do, in the training loop


def _leave(status: int) -> None:
    from tailor_jax.train import cluster

    cluster.leave(status, orderly=status in (0, interruption.STATUS))


def _parse(argv: list[str]) -> list[str]:
    """The arguments that are no flags, of which there must be none."""
    rest = flags.FLAGS(argv)
    if len(rest) > 1:
        fail(f'unexpected argument {rest[1]!r}; every option starts with --, as in --workdir=W')
    return rest


def required(options: Any, name: str, example: str) -> str:
    """A text flag's value; ConfigError when it was not given."""
    if not (value := getattr(options, name)):
        raise ConfigError(f'--{name} is missing; give it, as in --{name}={example}')
    return value


def numbers(text: str, kind: type, flag: str) -> list:
    """Parses a comma-separated list, each value once, in order. Raises ConfigError naming the flag."""
    try:
        values = [kind(part) for part in text.split(',')]
        finite = all(math.isfinite(value) for value in values)
    except (ValueError, OverflowError):
        raise ConfigError(f'--{flag} is {text!r}; expected numbers separated by commas, as in --{flag}=0,1') from None
    if not finite or min(values) < 0:
        raise ConfigError(f'--{flag} is {text!r}; its values must be finite and not negative')
    return list(dict.fromkeys(values))
