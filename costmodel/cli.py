"""Prices a network from the command line.

    python -m costmodel resnet20 --target=dataflow --fifo_policy=full_map --keep=none
    python -m costmodel resnet8_short --input=8x8x1 --reuse_factor=1 --json
    python -m costmodel my_graph.json --device=kv260 --plot=cost.png
    python -m costmodel resnet50 --target=pe_array --preset=shortcut_fusion --sram_bytes=2000000 --json

NETWORK is resnetN (N = 8, 20, 50, ...), with a suffix for where its skips sit (resnet20_short, see --skips), one of
those that `python -m tailor_jax.build` prints, or a graph file (`tailor_jax.graph.save`). The report is always of two
networks: as given, with all skips ('before'), and as kept ('after').
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from costmodel import devices, report, targets
from costmodel.array.settings import DATAFLOWS, ENERGIES, POLICIES, pe_array, presets
from costmodel.cost import Cost, CostError
from costmodel.plot import bars, check_picture
from costmodel.streams.settings import Dataflow, dataflow
from costmodel.streams.timing.deadlock import deadlock_free_depths
from costmodel.streams.timing.simulate import simulate
from costmodel.targets import Target
from tailor_jax import build, rewrite
from tailor_jax.command import Parser, status
from tailor_jax.graph import Graph, GraphError
from tailor_jax.graph import load as load_graph

DATAFLOW = {
    'device': (str, f'part to fit into: {", ".join(devices.DEVICES)}'),
    'fifo_policy': (
        str,
        'depth of FIFOs: exact, pow2 (exact, rounded up), full_map (a whole feature map, as hls4ml has)',
    ),
    'weight_bits': (int, 'width of weights'),
    'activation_bits': (int, 'width of activations'),
    'interval_cycles': (
        int,
        'cycles between images to meet with the fewest multipliers; 16 an input pixel when not given',
    ),
    'clock_mhz': (float, 'clock'),
    'stream_depth': (int, 'tokens of a FIFO that need not hold more'),
    'process_latency_cycles': (int, 'pipeline depth of a process; FIFOs are deep enough to hide it'),
    'multiplier': (str, 'what multiplies: auto, dsp, lut'),
    'add': (str, "separate, or absorbed into the convolution's accumulator"),
    'skip': (str, "clone, or line_buffer: the skip taken from the first convolution's window"),
    'dsp_packing': (bool, 'two 8-bit products of one activation share a DSP; exported sources do not do this'),
    'reuse_factor': (
        str,
        'R or NODE=R,...: passes over the multipliers for one output token, for all layers or by node',
    ),
}
PE_ARRAY = {
    'preset': (str, f'where settings that are not given come from: {", ".join(presets())}, or a JSON file'),
    'policy': (str, f'what stays on chip: {", ".join(POLICIES)}'),
    'rows': (int, 'rows of the array'),
    'columns': (int, 'columns of the array'),
    'dataflow': (str, f'what a multiplier keeps: {", ".join(DATAFLOWS)}'),
    'sram_bytes': (int, 'buffer bytes on chip'),
    'input_buffer_bytes': (int, 'buffer of inputs, where buffers are separate'),
    'weight_buffer_bytes': (int, 'buffer of weights'),
    'output_buffer_bytes': (int, 'buffer of results and partial sums'),
    'double_buffered': (bool, 'tiles are loaded while others are computed'),
    'dram_bytes_per_cycle': (float, 'bandwidth of the DRAM'),
    'bandwidth_gb_s': (float, 'the same in 10^9 bytes a second'),
    'clock_mhz': (float, 'clock'),
    'weight_bits': (int, 'width of weights'),
    'activation_bits': (int, 'width of activations'),
    'accumulator_bits': (int, 'width of partial sums'),
    'rereads': (bool, 'count what tiles read again; else each operand counts once (layer_by_layer, retain)'),
    'batch': (int, 'images that a layer handles before the next layer runs'),
    'fuse_add': (bool, 'an add runs in the layer of its main branch'),
    'energy': (str, f'table of energies: {", ".join(ENERGIES)}'),
    'bank_bytes': (int, 'size of a bank (shortcut_mining)'),
    'cuts': (
        int,
        'cuts between row mode and frame mode: 1, 2, or 0 for two where the network upsamples, else one '
        '(shortcut_fusion)',
    ),
    'frame': (
        str,
        'blocks in frame mode, separated by commas, or none; the best ones when not given (shortcut_fusion)',
    ),
}
POLICY_SETTINGS = {  # those that only some policies have
    'rereads': ('layer_by_layer', 'retain'),
    'bank_bytes': ('shortcut_mining',),
    'cuts': ('shortcut_fusion',),
    'frame': ('shortcut_fusion',),
}
TARGETS = {'dataflow': DATAFLOW, 'pe_array': PE_ARRAY}


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
    before, after = targets.evaluate(graph, target), targets.evaluate(kept, target)
    if args.deadlock:
        after = _with_deadlock_free_depths(kept, after)
    measured = _simulated(kept, after) if args.simulate else {}
    if args.plot is not None:
        bars(before, after, args.plot, network)
    if args.json:
        print(json.dumps(report.to_json(after, network, before) | measured, indent=1))
    else:
        print(report.text(before, after, network))
        if args.deadlock or measured:
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
            near = difflib.get_close_matches(name, graph.gates, 1)
            raise CostError(
                f'--keep: no gate {name!r} in the network'
                + (f'; did you mean {near[0]!r}?' if near else '')
                + f'; it has {", ".join(graph.gates) or "none"}'
            )
    return rewrite.binarize(graph, {gate: int(gate in wanted) for gate in graph.gates})


def _input_shape(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r'(\d+)(?:x(\d+))?(?:x(\d+))?', text)
    if not match or not all(int(part) for part in match.groups() if part):
        raise CostError(f'--input must be SIZE, HxW or HxWxC with positive numbers, got {text!r}')
    return int(match[1]), int(match[2] or match[1]), int(match[3] or 3)


def _parser() -> Parser:
    parser = Parser('python -m costmodel', __doc__)
    default = Dataflow()
    add = parser.add_argument
    add('network', metavar='NETWORK')
    add('--target', default='dataflow', choices=TARGETS)
    add('--input', metavar='SIZE', help="input as SIZE, HxW or HxWxC; the network's usual one when not given")
    add('--skips', help=f'where the skips sit: {", ".join(build.SKIPS)}')
    add('--width', type=int, help="channels of a ResNet's first stage")
    add('--classes', type=int)
    add('--keep', default='all', metavar='all|none|NAMES', help='gates whose skips stay, separated by commas')
    add('--json', action='store_true', help='print JSON')
    add('--deadlock', action='store_true', help='also find the least depth of each FIFO that avoids deadlock')
    add(
        '--simulate',
        action='store_true',
        help='also run the kept network token by token: interval, latency and occupancy as measured',
    )
    add('--plot', metavar='FILE', help='write stacked bars per block, before beside after')
    for key in dict.fromkeys(key for settings in TARGETS.values() for key in settings):
        kind, text = next(settings[key] for settings in TARGETS.values() if key in settings)
        given = getattr(default, key, None)
        about = f'{text} [{given}]' if key in DATAFLOW and given not in (None, False) else text
        users = [target for target, settings in TARGETS.items() if key in settings]
        add(f'--{key}', help=about + ('' if len(users) == len(TARGETS) else f' ({users[0]})'), **_option(kind))
    return parser


def _option(kind: type) -> dict[str, Any]:
    return {'action': argparse.BooleanOptionalAction, 'default': None} if kind is bool else {'type': kind}


def _target(args: argparse.Namespace) -> Target:
    """The target with the settings that were given; those of another target are an error."""
    known = TARGETS[args.target]
    given = {
        key: value for settings in TARGETS.values() for key in settings if (value := getattr(args, key)) is not None
    }
    for flag in ('deadlock', 'simulate'):
        if args.target != 'dataflow' and getattr(args, flag):
            raise CostError(f'--{flag} is for --target=dataflow; a {args.target} has no FIFOs')
    for key in given:
        if key not in known:
            raise CostError(f'--{key} is not a setting of --target={args.target}; its settings are {", ".join(known)}')
    if args.target == 'pe_array':
        target = pe_array(**given | ({'frame': _blocks(args.frame)} if args.frame else {}))
        for key, policies in POLICY_SETTINGS.items():
            if given.get(key) and target.policy not in policies:
                raise CostError(
                    f'--{key} is a setting of --policy={" or ".join(policies)}, and the policy is {target.policy}'
                )
        return target
    return dataflow(**given | {'reuse_factor': _reuse_factor(args.reuse_factor)})


def _blocks(text: str) -> tuple[str, ...]:
    return () if text == 'none' else tuple(text.split(','))


def _reuse_factor(text: str | None) -> int | dict[str, int] | None:
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    if not re.fullmatch(r'\w+=\d+(,\w+=\d+)*', text):
        raise CostError(f'--reuse_factor must be a number or NODE=NUMBER,..., got {text!r}')
    pairs = [part.split('=') for part in text.split(',')]
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise CostError(f'--reuse_factor gives node {twice[0]!r} two numbers, got {text!r}')
    return {name: int(value) for name, value in pairs}


def _with_deadlock_free_depths(graph: Graph, cost: Cost) -> Cost:
    least = deadlock_free_depths(graph, cost.target)
    return dataclasses.replace(cost, fifos=[row | {'deadlock_free_depth': least[row['name']]} for row in cost.fifos])


def _simulated(graph: Graph, cost: Cost) -> dict:
    if len(graph.nodes) == 1:
        raise CostError('--simulate: the kept network is its input alone, so there is no process to run')
    depths = {row['name']: row['depth'] for row in cost.fifos}
    taps = {row['name']: (row['tap_host'], row['tap_lag']) for row in cost.fifos if row['tap_host']}
    run = simulate(
        rewrite.fold(graph),
        cost.reuse_factors,
        depths,
        absorb=cost.target.add == 'absorbed',
        taps=taps,
        process_latency_cycles=cost.target.process_latency_cycles,
    )
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
        {key: row[key] for key in ('name', 'storage', 'width_bits', 'depth', 'deadlock_free_depth') if key in row}
        | ({'max_occupancy': measured['max_occupancy'][row['name']]} if measured else {})
        for row in cost.fifos
    ]
    rows.sort(key=lambda row: -row['depth'])
    text = 'FIFOs\n\n' + report.table([list(rows[0]), *(list(row.values()) for row in rows)]) if rows else 'No FIFOs'
    if not measured:
        return text
    if measured['deadlocked']:
        return f'{text}\n\nSimulated token by token: DEADLOCK'
    pace = (
        f'{measured["interval_cycles"]} cycles (the mean over {measured["interval_images"]} images)'
        if measured['interval_images']
        else 'not settled'
    )
    return f'{text}\n\nSimulated token by token: interval {pace}, latency {measured["latency_cycles"]} cycles'
