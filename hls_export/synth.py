"""Synthesizes the Verilog of an exported project by yosys, and sets it beside what the cost model says of it.

    python -m hls_export.synth P [--json]

prints for each node LUT, FF, BRAM18, URAM and DSP, the model's (hardware.json) beside them, and the longest path in
levels of LUTs; writes P/synth.json, which `--json` prints:

    {'format': 'tailor_jax.synthesis', 'version': 1, 'tool', 'flags', 'seconds',
     'nodes': [{'name', 'op', 'synthesis': {resource: number}, 'estimate': the same, 'levels'}], 'total': {'synthesis',
     'estimate'}, 'instances': [{'name', 'node', resource: number, 'levels'}],
     'path': {'levels', 'through': [[instance, levels]], 'level_ns', 'ns', 'clock_ns'}}

A row is what hardware.json charges to the node: its processes with their ROMs and what tells that they are done, and
the FIFOs that they read; an absorbed add is what it adds to the process that finishes a layer's sums. What the top has
beside them - the FIFO at the output, the batch's end - is the output's. `levels` of a node is the longest path inside
one of its instances; `path` runs through as many as it takes, see `verilog.levels`. Only the logic is yosys's: a real
tool maps it otherwise, and places and routes it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hls_export import hardware, index
from hls_export.hardware import Hardware
from hls_export.index import USER_ERRORS, ExportError
from hls_export.verilog import levels, netlist
from hls_export.verilog.netlist import TOP, Netlist
from tailor_jax import files
from tailor_jax.command import Parser, status
from tailor_jax.dataflow.design import CLONE, PARTS
from tailor_jax.fields import header

FORMAT = ('synthesis', 1)
RESOURCES = ('lut', 'ff', 'bram18', 'uram', 'dsp')
FAMILY = 'ultrascale'  # whose primitives the parts are made of
FILE = 'synth.json'

Counts = dict[str, int]


def synthesize(path: str | Path) -> dict[str, Any]:
    """Synthesizes a project, writes P/synth.json and returns its content.

    Raises:
      ExportError: for a directory that is no project with Verilog and hardware.json, one for another family of devices,
        or damaged sources; where yosys is missing.
    """
    plan, predicted = index.load(path).plan, hardware.read(path, RESOURCES)
    if plan.family != FAMILY:
        raise ExportError(f'{str(path)!r} is for {plan.part}; only parts of {FAMILY} can be synthesized')
    started = time.perf_counter()
    found = netlist.synthesize(Path(path))
    inside, longest = levels.within(found), levels.whole(found)
    instances = _instances(found, _rows(predicted, plan.absorbed), predicted.nodes[-1]['name'])
    level_ns = levels.level_ns(plan.part)
    result = header(*FORMAT) | {
        'tool': found.version,
        'flags': netlist.FLAGS,
        'seconds': round(time.perf_counter() - started, 1),
        'nodes': [_node(row, instances, found, inside) for row in predicted.nodes],
        'total': {'synthesis': _sum(list(instances.values())), 'estimate': dict(predicted.total)},
        'instances': [
            {'name': name or TOP, 'node': node, **counts, 'levels': inside[found.instances[name]].levels}
            for (name, node), counts in instances.items()
        ],
        'path': {
            'levels': longest.levels,
            'through': [list(step) for step in longest.through],
            'level_ns': level_ns,
            'ns': round(longest.levels * level_ns, 3),
            'clock_ns': round(1000 / plan.clock_mhz, 3),
        },
    }
    files.write(Path(path) / FILE, json.dumps(result, indent=1) + '\n')
    return result


def _rows(predicted: Hardware, absorbed: Mapping[str, str]) -> dict[str, str]:
    """{instance of the top: node whose row it is}, of FIFOs and processes and what belongs to a process."""
    nodes = [row['name'] for row in predicted.nodes]
    processes = {f'{node}__{part}': node for node in nodes for part in PARTS} | {node: node for node in nodes}
    processes |= {fifo['consumer']: fifo['node'] for fifo in predicted.fifos if fifo['consumer'].endswith(f'__{CLONE}')}
    processes |= absorbed
    found = {f'{kind}_{process}': node for process, node in processes.items() for kind in 'pedh'}
    return found | {f'f_{fifo["name"]}': fifo['node'] for fifo in predicted.fifos}


def _instances(found: Netlist, rows: Mapping[str, str], output: str) -> dict[tuple[str, str], Counts]:
    """{(instance, node): resources}. Of a process that absorbs an add the layer has what it takes without, the add the
    rest; the stand-in for the former, `a_...`, is no instance of the design."""
    counts = {name: _counts(found, module) for name, module in found.instances.items()}
    result: dict[tuple[str, str], Counts] = {}
    for name, taken in counts.items():
        if name.startswith('a_'):
            continue
        row = rows.get(f'p_{name[2:].rpartition("__")[0]}' if name.startswith('r_') else name, output)
        if alone := counts.get(f'a_{name[2:]}') if name.startswith('p_') else None:
            result[name, name[2:]] = {key: value - alone[key] for key, value in taken.items()}
            taken = alone
        result[name, row] = taken
    return result


def _counts(found: Netlist, module: str) -> Counts:
    taken = netlist.counted(found.cells(module))
    return {resource: taken[resource] for resource in RESOURCES}


def _node(row: Mapping, instances: Mapping, found: Netlist, inside: Mapping[str, levels.Path]) -> dict[str, Any]:
    own = {name: counts for (name, node), counts in instances.items() if node == row['name']}
    return {
        'name': row['name'],
        'op': row['op'],
        'synthesis': _sum(list(own.values())),
        'estimate': {resource: row[resource] for resource in RESOURCES},
        'levels': max((inside[found.instances[name]].levels for name in own), default=0),
    }


def _sum(rows: list[Counts]) -> Counts:
    return {resource: sum(row[resource] for row in rows) for resource in RESOURCES}


def text_table(result: Mapping[str, Any]) -> str:
    """An aligned table: a line a node, for each resource what yosys made and the cost model says; the total and by how
    much the model differs; the longest path."""
    cells = [['node', 'op', *(f'{side}{resource}' for resource in RESOURCES for side in ('', 'model ')), 'levels']]
    for row in (*result['nodes'], {'name': 'total', 'op': '', **result['total'], 'levels': ''}):
        pairs = [(row['synthesis'][resource], row['estimate'][resource]) for resource in RESOURCES]
        cells.append([row['name'], row['op'], *(f'{value:,}' for pair in pairs for value in pair), str(row['levels'])])
    differ = []
    for resource in RESOURCES:
        made, said = (result['total'][side][resource] for side in ('synthesis', 'estimate'))
        differ += ['', f'{100 * (said / made - 1):+.1f} %' if made else '']
    cells.append(['model / yosys - 1', '', *differ, ''])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    align = [str.ljust] * 2 + [str.rjust] * (len(widths) - 2)
    lines = ['  '.join(pad(cell, width) for pad, cell, width in zip(align, row, widths)).rstrip() for row in cells]
    path = result['path']
    through = ', '.join(f'{name or TOP} {count}' for name, count in path['through'])
    verdict = 'meets' if path['ns'] <= path['clock_ns'] else 'MISSES'
    lines += [
        f'longest path: {path["levels"]} levels ({through})',
        f'at {path["level_ns"]:g} ns a level {path["ns"]:g} ns, which {verdict} the clock of {path["clock_ns"]:g} ns',
        f'{result["tool"]}, {result["seconds"]:g} s',
    ]
    return '\n'.join(lines)


def main(arguments: list[str] | None = None) -> int:
    return status(lambda: _command(arguments), *USER_ERRORS)


def _command(arguments: list[str] | None) -> int:
    parser = Parser('python -m hls_export.synth', __doc__)
    parser.add_argument('path', help='the project directory, exported with its Verilog')
    parser.add_argument('--json', action='store_true', help='print what synth.json holds')
    options = parser.parse_args(arguments)
    result = synthesize(options.path)
    print(json.dumps(result, indent=1) if options.json else text_table(result))
    return 0


if __name__ == '__main__':
    sys.exit(main())
