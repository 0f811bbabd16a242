"""Prices a network from the command line.

    python -m costmodel resnet20 --target=dataflow --fifo_policy=full_map --keep=none
    python -m costmodel resnet8_short --input=8x8x1 --interval_cycles=4096 --json
    python -m costmodel my_graph.json --device=kv260 --plot=cost.png --save_folding=mine.json
    python -m costmodel resnet50 --target=pe_array --preset=shortcut_fusion --sram_bytes=2000000 --json

NETWORK is resnetN (N = 8, 20, 50, ...), with a suffix for where its skips sit (resnet20_short, see --skips), one of
those that `python -m tailor_jax.build` prints, or a graph file (`tailor_jax.graph.save`). The report is always of two
networks: as given, with all skips ('before'), and as kept ('after').
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from costmodel import report, targets
from costmodel.cost import Cost, CostError
from costmodel.plot import bars, check_picture
from costmodel.settings import Blocks, ByNode, Check, OneOf, Setting, Text
from costmodel.streams.evaluate import built_whole
from costmodel.streams.flow.simulate import simulate
from costmodel.streams.settings import Dataflow
from costmodel.targets import Target
from tailor_jax import build, rewrite
from tailor_jax.command import Parser, status
from tailor_jax.dataflow import folding_file
from tailor_jax.dataflow.folding import Folding
from tailor_jax.fields import hint
from tailor_jax.graph import Graph, GraphError
from tailor_jax.graph import load as load_graph


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    return status(lambda: _run(argv), ValueError)


def _run(argv: Sequence[str]) -> int:
    args = _parser().parse_args(argv)
    network, graph = load(args.network, args.input, args.skips, args.width, args.classes)
    target = _target(args)
    targets.check_names(graph, target)
    kept = keep(graph, args.keep)
    if args.plot is not None:
        check_picture('--plot', args.plot)
    if args.save_folding is not None:
        _check_folding_file(args.save_folding, target)
    target = targets.settled(graph, target)
    before, after = targets.evaluate(graph, target), targets.evaluate(kept, target)
    measured = _simulated(kept, after) if args.simulate else {}
    if args.plot is not None:
        bars(before, after, args.plot, network)
    if args.save_folding is not None:
        assert isinstance(target, Dataflow) and isinstance(target.folding, Folding)
        folding_file.save(args.save_folding, target.folding, before.total['interval_cycles'])
    if args.json:
        print(json.dumps(report.to_json(after, network, before) | measured, indent=1))
    else:
        print(report.text(before, after, network))
        if measured:
            print('\n' + _fifo_text(after, measured.get('simulated')))
    return 0


def load(
    network: str, size: str | None, skips: str | None, width: int | None, classes: int | None
) -> tuple[str, Graph]:
    """(name, graph) of a builder's network or of a graph file. Raises CostError or GraphError saying what is known."""
    if network.endswith('.json') or Path(network).is_file():
        given = {'--input': size, '--skips': skips, '--width': width, '--classes': classes}
        if extra := [key for key, value in given.items() if value is not None]:
            raise CostError(
                f'{network} is a graph file, which brings its own sizes and skips; leave out {" and ".join(extra)}'
            )
        try:
            return Path(network).stem, load_graph(network)
        except FileNotFoundError:
            raise CostError(f'there is no graph file {network!r}') from None
    try:
        shape = None if size is None else _input_shape(size)
        return network, build.named(network, shape, classes, width=width, skips=skips)
    except GraphError:
        raise
    except ValueError as error:
        raise CostError(str(error)) from None


def keep(graph: Graph, which: str) -> Graph:
    """The graph with all, none or the named gates kept; the other skips are removed."""
    wanted = {'all': set(graph.gates), 'none': set()}.get(which)
    if wanted is None:
        wanted = set(which.split(','))
        for name in sorted(wanted - set(graph.gates)):
            near, has = hint(name, graph.gates), ', '.join(graph.gates) or 'none'
            raise CostError(f'--keep: no gate {name!r} in the network; it has {has}{near}')
    return rewrite.binarize(graph, {gate: int(gate in wanted) for gate in graph.gates})


def _input_shape(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r'(\d+)(?:x(\d+))?(?:x(\d+))?', text)
    if not match or not all(int(part) for part in match.groups() if part):
        raise CostError(f'--input must be SIZE, HxW or HxWxC with positive numbers, got {text!r}')
    return int(match[1]), int(match[2] or match[1]), int(match[3] or 3)


def _check_folding_file(file: str, target: Target) -> None:
    if not isinstance(target, Dataflow):
        raise CostError('--save_folding writes the folding of a dataflow design; the target has none')
    if Path(file).exists() or not Path(file).absolute().parent.is_dir():
        raise CostError(f'--save_folding must be a new file in a folder that is there, got {file!r}')


def _parser() -> Parser:
    parser = Parser('python -m costmodel', __doc__)
    add = parser.add_argument
    add('network', metavar='NETWORK')
    add('--target', default='dataflow', choices=targets.TARGETS)
    add('--input', metavar='SIZE', help="input as SIZE, HxW or HxWxC; the network's usual one when not given")
    add('--skips', help=f'where the skips sit: {", ".join(build.SKIPS)}')
    add('--width', type=int, help="channels of a ResNet's first stage")
    add('--classes', type=int)
    add('--keep', default='all', metavar='all|none|NAMES', help='gates whose skips stay, separated by commas')
    add('--json', action='store_true', help='print JSON')
    add(
        '--simulate',
        action='store_true',
        help='also run the kept network word by word: interval, latency and occupancy as measured',
    )
    add('--plot', metavar='FILE', help='write stacked bars per block, before beside after')
    add('--save_folding', metavar='FILE', help='write how far layers are unrolled, for --folding (dataflow)')
    users: dict[str, list[str]] = {}
    for target, module in targets.TARGETS.items():
        for key in module.SETTINGS:
            users.setdefault(key, []).append(target)
    for key, having in users.items():
        each = targets.TARGETS[having[0]].SETTINGS[key]
        add(f'--{key}', help=_help(each, having), **_option(each.check))
    return parser


def _help(each: Setting, users: Sequence[str]) -> str:
    """What a setting is, its choices and default, and where only some have it, which policies and targets."""
    text = each.help + (f'; {each.check.expected}' if isinstance(each.check, OneOf | Text) else '')
    text += f' [{each.default}]' if each.default not in (None, False, ()) else ''
    text += f' ({", ".join(each.policies)})' if each.policies else ''
    return text + (f' ({", ".join(users)})' if len(users) < len(targets.TARGETS) else '')


def _option(check: Check) -> dict[str, Any]:
    """How argparse takes a value: of the check's type, or as text that its `of_text` reads."""
    match check:
        case Blocks():
            return {'metavar': 'NAMES|none'}
        case ByNode():
            return {'metavar': 'NODE=NUMBER,...'}
        case _ if check.kind is bool:
            return {'action': argparse.BooleanOptionalAction, 'default': None}
        case _:
            return {'type': check.kind}


def _target(args: argparse.Namespace) -> Target:
    """The target with the settings that were given; those of another target are an error."""
    module = targets.TARGETS[args.target]
    if not module.HAS_FIFOS and args.simulate:
        having = ' or '.join(f'--target={name}' for name, each in targets.TARGETS.items() if each.HAS_FIFOS)
        raise CostError(f'--simulate is for {having}; a {args.target} has no FIFOs')
    texts = {key: getattr(args, key) for each in targets.TARGETS.values() for key in each.SETTINGS}
    given = {key: value for key, value in texts.items() if value is not None}
    for key in given:
        if key not in module.SETTINGS:
            raise CostError(
                f'--{key} is not a setting of --target={args.target}; its settings are {", ".join(module.SETTINGS)}'
            )
    given = {key: module.SETTINGS[key].check.of_text(f'--{key}', value) for key, value in given.items()}
    target = module.make(**given)
    targets.check_policy(target, given, '--{}')
    return target


def _simulated(graph: Graph, cost: Cost) -> dict:
    if len(graph.nodes) == 1:
        raise CostError('--simulate: the kept network is its input alone, so there is no process to run')
    built, _ = built_whole(graph, cost.target)
    run = simulate(built.structure.design, built.structure.latency_cycles, built.sized.depths)
    return {
        'simulated': {
            'interval_cycles': run.interval_cycles,
            'interval_images': run.interval_images,
            'latency_cycles': run.latency_cycles,
            'deadlocked': run.deadlocked,
            'max_occupancy': run.occupancy,
        }
    }


def _fifo_text(cost: Cost, measured: dict | None) -> str:
    """The FIFOs, deepest first, with what the simulation saw of them."""
    rows = [
        {key: row[key] for key in ('name', 'storage', 'width_bits', 'depth')}
        | ({'max_occupancy': measured['max_occupancy'][row['name']]} if measured else {})
        for row in cost.fifos
    ]
    rows.sort(key=lambda row: -row['depth'])
    text = (
        'FIFOs\n\n' + report.text_table([list(rows[0]), *(list(row.values()) for row in rows)]) if rows else 'No FIFOs'
    )
    if not measured:
        return text
    if measured['deadlocked']:
        return f'{text}\n\nSimulated word by word: DEADLOCK'
    pace = (
        f'{measured["interval_cycles"]} cycles (the mean over {measured["interval_images"]} images)'
        if measured['interval_images']
        else 'not settled'
    )
    return f'{text}\n\nSimulated word by word: interval {pace}, latency {measured["latency_cycles"]} cycles'
