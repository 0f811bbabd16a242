"""The network of a run, from one of three places:

    model.name=squeezenet                     a network of `tailor_jax.build`; without any of the three, resnet
    model.graph=FILE.json                     a graph file, as `tailor_jax.graph.save` writes
    model.builder=package.module:function     a function (input_shape=, classes=, and what else it takes) -> Graph

The other keys of config.model are arguments of the builder. One that is None is not given; one that is given and that
the builder does not take is refused. docs/networks.md has the whole of it.

A run keeps its network in W/network.json, so that it is never gone on with after the graph file, or the builder, has
changed.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.typed import Config, ConfigError
from tailor_jax import files
from tailor_jax import graph as graph_lib
from tailor_jax.build.named import named, resolve, takes
from tailor_jax.build.resnet import resnet
from tailor_jax.data.source import Source
from tailor_jax.fields import shown
from tailor_jax.graph import Graph, GraphError

FILE = 'network.json'
SOURCES = ('name', 'graph', 'builder')
USUAL = 'resnet'  # without any of them


def arguments(config: Config) -> dict[str, Any]:
    """The keys of config.model that are given to the network's builder."""
    return {key: value for key, value in config.model.items() if key not in SOURCES and value is not None}


def check(config: Config) -> None:
    """What can be known of config.model before data are seen. Raises ConfigError naming the key."""
    net = config.model
    given = [key for key in SOURCES if net[key]]
    if len(given) > 1:
        raise ConfigError(
            f'config.model.{given[1]} is {shown(net[given[1]])} beside config.model.{given[0]} {shown(net[given[0]])}; '
            'give one of them'
        )
    if net.graph:
        _check_arguments(config, 'a graph file', ())
    elif net.builder:
        if not re.fullmatch(r'\w+(\.\w+)*:\w+', net.builder):
            raise ConfigError(f'config.model.builder is {shown(net.builder)}; expected package.module:function')
    else:
        builder, said = _resolved(config)
        _check_arguments(config, _name(config), takes(builder))
        for key in said.keys() & arguments(config).keys():
            if said[key] != net[key]:
                raise ConfigError(f'config.model.{key} is {net[key]!r}, but config.model.name is {shown(net.name)}')


def skips_of(config: Config) -> str:
    """Where the skips of a network with a name sit: as model.skips says, or the name, or else its builder; '' for a
    network of one's own, which has no word for that.
    """
    if config.model.graph or config.model.builder:
        return ''
    builder, said = _resolved(config)
    usual = inspect.signature(builder).parameters.get('skips')
    return config.model.skips or said.get('skips') or (usual.default if usual else '')


def plain(config: Config) -> Config:
    """The config of the network with the skips that its builder gives it unasked, on whose scale methods are compared;
    of one's own network the same.
    """
    return with_skips(config, None) if skips_of(config) else copy.deepcopy(config)


def with_skips(config: Config, skips: str | None) -> Config:
    """The config of a network with a name, and with these skips, or for None its builder's, whatever the name says."""
    each, (_, said) = copy.deepcopy(config), _resolved(config)
    if 'skips' in said:  # resnet20_short says otherwise
        each.model.name, each.model.depth = USUAL, said['depth']
    each.model.skips = skips
    return each


def is_resnet(config: Config) -> bool:
    """Whether the network is one of `tailor_jax.build.resnet`, which can have skips of every kind."""
    return not (config.model.graph or config.model.builder) and _resolved(config)[0] is resnet


def build_graph(config: Config, source: Source) -> Graph:
    """The network with its learnable gates that a config describes, for a data set's image shape and classes. Raises
    ConfigError.
    """
    net = config.model
    if net.graph:
        where, graph = f'config.model.graph {net.graph}', _from_file(net.graph)
    elif net.builder:
        where, graph = f'config.model.builder {net.builder}', _from_builder(config, source)
    else:
        where = f'config.model.name {_name(config)}'
        try:
            graph = named(_name(config), source.image_shape, source.classes, **arguments(config))
        except ValueError as error:
            raise ConfigError(f'config.model cannot be built for images of {source.image_shape}: {error}') from None
    ends = (('takes', graph.input.shape, source.image_shape), ('gives', graph.output.shape, (1, 1, source.classes)))
    for does, found, wanted in ends:
        if found != wanted:
            raise ConfigError(
                f'{where} {does} {found}; expected {wanted}, for images of {source.image_shape} in {source.classes} '
                'classes'
            )
    return graph


def keep(graph: Graph, workdir: Path) -> None:
    """Writes the network into the workdir of its run. Raises FileExistsError where the run is of another one."""
    path = workdir / FILE
    if not path.exists():
        files.write(path, graph_lib.to_json(graph))
    elif kept(path) != graph:
        raise FileExistsError(
            f'{path} is another network than config.model gives now, so its graph file or builder has changed; choose '
            'another --workdir, or put back what it was'
        )


def check_teacher(graph: Graph, workdir: Path) -> None:
    """Raises ConfigError unless the run at `train.teacher_workdir` is of the same network."""
    where = f'config.train.teacher_workdir is {str(workdir)!r}'
    try:
        theirs = kept(workdir / FILE)
    except FileNotFoundError:
        raise ConfigError(f'{where}, but no {FILE} is there; give the workdir of a run') from None
    if theirs != graph:
        raise ConfigError(f'{where}, whose {FILE} is another network than config.model gives now')


def kept(path: Path) -> Graph:
    try:
        return graph_lib.load(path)
    except GraphError as error:
        raise GraphError(f'{error}; put a good copy in its place') from None


def _name(config: Config) -> str:
    return config.model.name or USUAL


def _resolved(config: Config) -> tuple[Callable[..., Graph], dict[str, Any]]:
    try:
        return resolve(_name(config))
    except ValueError as error:
        raise ConfigError(f'config.model.name is {shown(_name(config))}: {error}') from None


def _check_arguments(config: Config, of: str, known: tuple[str, ...] | None) -> None:
    for key, value in arguments(config).items():
        if known is not None and key not in known:
            raise ConfigError(
                f'config.model.{key} is {shown(value)}, but {of} has no {key}; it takes '
                f'{", ".join(known) or "none of these keys"} (None leaves a key out)'
            )


def _from_file(path: str) -> Graph:
    try:
        return graph_lib.load(path)
    except FileNotFoundError:
        raise ConfigError(f'config.model.graph is {path!r}, which does not exist') from None
    except (GraphError, OSError) as error:
        raise ConfigError(f'config.model.graph: {error}') from None


def _told(error: BaseException, module: str) -> str:
    """What a user's program raised, and the last line of its module on the way there."""
    file = getattr(sys.modules.get(module), '__file__', None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    try:
        text = ' '.join(str(error).split())[:300]
    except Exception:  # of a __str__ of the user's
        text = 'an error without a text'
    return f'{type(error).__name__}: {text}' + (f' ({file}, line {lines[-1]})' if lines else '')


def _from_builder(config: Config, source: Source) -> Graph:
    """What the function at `model.builder` returns, whoever wrote it."""
    path = config.model.builder
    module, _, function = path.partition(':')
    try:
        builder = getattr(importlib.import_module(module), function)
        _check_arguments(config, path, takes(builder))
        graph = builder(input_shape=source.image_shape, classes=source.classes, **arguments(config))
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # it is the user's program, which may raise anything
        raise ConfigError(f'config.model.builder {path}: {_told(error, module)}') from None
    if not isinstance(graph, Graph):
        raise ConfigError(f'config.model.builder {path} gives {shown(graph)}; expected a tailor_jax.graph.Graph')
    return graph
