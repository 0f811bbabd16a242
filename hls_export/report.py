"""Reports of an exported project beside what the cost model says of it.

    python -m hls_export.report P --csynth=csynth.xml [--json]             a Vitis report beside P/hardware.json
    python -m hls_export.csim P --mode=cycle --images=3 --trace=trace.csv
    python -m hls_export.report P --trace=trace.csv --plot=occupancy.png   FIFO occupancy over time

`csynth.xml` is in `vitis/solution/syn/report` (vitis_hls) or `vitis/hls/syn/report` (v++). A process is an instance of
the top module; Vitis names its module after its function, `process_stem_conv__mac`. A row is a node with all its
processes; a clone belongs to the row that hardware.json charges it to. What the top module takes beyond its instances,
FIFOs and control, is one row: the report does not list FIFOs. II and depth are the initiation interval, which must be
1, and the pipeline depth of a process's loop.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

from hls_export import hardware, index
from hls_export.hardware import Resources
from hls_export.index import USER_ERRORS, ExportError
from tailor_jax import files
from tailor_jax.command import Parser, status
from tailor_jax.dataflow.design import CLONE, PARTS
from tailor_jax.fields import header

TOP = 'tailor_top'
TAGS = {'bram18': 'BRAM_18K', 'uram': 'URAM', 'lut': 'LUT', 'ff': 'FF', 'dsp': 'DSP'}
FIFOS = 'FIFOs, control'

FORMAT = ('csynth', 1)
MOST_BYTES, MOST_TRACE_BYTES = 64 << 20, 1 << 30  # of a report, of a trace
_COUNT = re.compile('[0-9]{1,12}')


@dataclasses.dataclass(frozen=True)
class Instance:
    """A process as synthesized: its resources, and the worst initiation interval and pipeline depth of its loops, None
    where it has none.
    """

    resources: Resources
    interval_cycles: int | None
    depth_cycles: int | None


@dataclasses.dataclass(frozen=True)
class Synthesis:
    """What a csynth.xml says: the top module's resources, its instances by their modules' names, the clock in ns."""

    version: str
    total: Resources
    instances: Mapping[str, Instance]
    target_ns: float | None
    estimated_ns: float | None


def read_csynth(path: str | Path) -> Synthesis:
    """Parses the csynth.xml of a project. Raises ExportError for a file that is no such report, saying what lacks."""
    where = f'the synthesis report {str(path)!r}'
    try:
        root = ElementTree.fromstring(files.read(path, MOST_BYTES))
    except OSError as error:
        raise ExportError(f'cannot read {where}: {error.strerror or error}') from None
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ExportError(
            f'{where} is not XML ({error}); give the csynth.xml that Vitis HLS writes, not the .rpt'
        ) from None
    top = root.findtext('UserAssignments/TopModelName')
    if root.tag != 'profile' or not top:
        raise ExportError(
            f'{where} is no csynth.xml of Vitis HLS: it has no profile/UserAssignments/TopModelName, its root is '
            f'<{root.tag}>'
        )
    if top != TOP:
        raise ExportError(f'{where} is of the top function {top!r}; a project of tailor_jax has {TOP!r}')
    modules = {module.findtext('Name', ''): module for module in root.findall('ModuleInformation/Module')}
    children = root.findall('RTLDesignHierarchy/TopModule/InstancesList/Instance')
    if not children or not modules:
        raise ExportError(
            f'{where} lists no instances of {TOP!r}; give csynth.xml itself, not {TOP}_csynth.xml or the report of '
            'one module'
        )
    instances: dict[str, Instance] = {}
    for child in children:
        name, *below = [each.text or '' for each in child.iter('ModuleName')]
        if name not in modules:
            raise ExportError(f'{where} has the instance {name!r}, but no module of that name in ModuleInformation')
        loops = [modules[each] for each in (name, *below) if each in modules]
        # Two instances of one module are two processes.
        key = name if name not in instances else f'{name}#{len(instances)}'
        instances[key] = Instance(
            _resources(modules[name], f'{where}: module {name!r}'),
            _worst(loops, 'PipelineII'),
            _worst(loops, 'PipelineDepth'),
        )
    return Synthesis(
        version=root.findtext('ReportVersion/Version', 'unknown'),
        total=_resources(root, where),
        instances=instances,
        target_ns=_number(root.findtext('UserAssignments/TargetClockPeriod')),
        estimated_ns=_number(root.findtext('PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod')),
    )


def _resources(element: ElementTree.Element, where: str) -> Resources:
    found = element.find('AreaEstimates/Resources')
    if found is None:
        raise ExportError(f'{where} has no AreaEstimates/Resources')
    numbers = {resource: (found.findtext(tag) or '0').strip() for resource, tag in TAGS.items()}
    for resource, text in numbers.items():
        if not _COUNT.fullmatch(text):
            raise ExportError(f'{where}: {TAGS[resource]} is {text!r}, not a number')
    return {resource: int(text) for resource, text in numbers.items()}


def _worst(modules: Sequence[ElementTree.Element], tag: str) -> int | None:
    """The largest number of this tag in the loops of some modules."""
    found = [
        each.text for module in modules for each in module.findall(f'PerformanceEstimates/SummaryOfLoopLatency//{tag}')
    ]
    return max([int(text) for text in found if text and _COUNT.fullmatch(text)], default=None)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else math.nan
    except ValueError:  # Vitis writes 'undef' where it does not know
        return None
    return value if math.isfinite(value) else None


def node_of(module: str, nodes: Sequence[str]) -> tuple[str, bool] | None:
    """(node, whether the module is its clone process) of a module's name, or None where it is of no node.

    A process's function is `process_` and its name; Vitis may join two underscores and ends an instance with `_U0`.
    """
    _, found, rest = module.partition('process_')
    names = {f'{node}{joint}{part}': (node, part == CLONE) for node in nodes for joint in ('_', '__') for part in PARTS}
    names |= {node: (node, False) for node in nodes}
    matches = [name for name in names if rest == name or re.match(f'{name}[_#]', rest)] if found else []
    return names[max(matches, key=len)] if matches else None


def compare(path: str | Path, csynth: str | Path) -> dict:
    """The cost model's estimate beside a synthesis report.

    Returns:
      {'format', 'version', 'vitis', 'target_ns', 'estimated_ns', 'rows': [{'name', 'op', 'estimate': {resource:
      number}, 'synthesis': the same or None, 'interval_cycles', 'depth_cycles': of its loops, or None}], 'unmatched':
      [module]}; the last two rows are the FIFOs and the total. A node's estimate leaves its FIFOs out.

    Raises:
      ExportError: if P holds no hardware.json, or the file is no synthesis report of this project.
    """
    absorbed = index.load(path).plan.absorbed  # their processes finish the sums of a layer
    predicted = hardware.read(path, tuple(TAGS))
    found = read_csynth(csynth)
    nodes = {row['name']: row for row in predicted.nodes}
    clones = [fifo for fifo in predicted.fifos if fifo['consumer'].endswith(f'__{CLONE}')]
    charged = {fifo['consumer'].removesuffix(f'__{CLONE}'): fifo['node'] for fifo in clones}
    synthesis: dict[str, list[Instance]] = {}
    unmatched = []
    for module, instance in found.instances.items():
        if (match := node_of(module, list(nodes))) is None:
            unmatched.append(module)
            continue
        node, is_clone = absorbed.get(match[0], match[0]), match[1]
        synthesis.setdefault(charged.get(node, node) if is_clone else node, []).append(instance)
    if not synthesis:
        raise ExportError(
            f'no instance in {str(csynth)!r} is a layer of {str(path)!r} (the first is '
            f'{next(iter(found.instances))!r}): it is the report of another design'
        )
    rows: list[dict] = []
    for name, row in nodes.items():
        if row['op'] == 'input' and name not in synthesis:
            continue
        fifos = _sum([fifo for fifo in predicted.fifos if fifo['node'] == name])
        processes = synthesis.get(name, [])
        worst = {
            key: [value for each in processes if (value := getattr(each, key)) is not None]
            for key in ('interval_cycles', 'depth_cycles')
        }
        rows.append(
            {
                'name': name,
                'op': row['op'],
                'estimate': {resource: row[resource] - fifos[resource] for resource in TAGS},
                'synthesis': _sum([each.resources for each in processes]) if processes else None,
                **{key: max(values, default=None) for key, values in worst.items()},
            }
        )
    rest = _sum([each.resources for each in found.instances.values()])
    control = {resource: found.total[resource] - rest[resource] for resource in TAGS}
    rows.append({'name': FIFOS, 'op': '', 'estimate': _sum(predicted.fifos), 'synthesis': control})
    rows.append({'name': 'total', 'op': '', 'estimate': dict(predicted.total), 'synthesis': dict(found.total)})
    return header(*FORMAT) | {
        'vitis': found.version,
        'target_ns': found.target_ns,
        'estimated_ns': found.estimated_ns,
        'rows': rows,
        'unmatched': unmatched,
    }


def _sum(rows: Sequence[Mapping]) -> dict[str, float]:
    return {resource: sum(row.get(resource, 0) for row in rows) for resource in TAGS}


def text_table(report: dict) -> str:
    """An aligned table: a line a node, for each resource the estimate and what synthesis reports."""
    cells = [
        [
            'node',
            'op',
            *(f'{resource} est' if side == 0 else 'vitis' for resource in TAGS for side in (0, 1)),
            'II',
            'depth',
        ]
    ]
    for row in report['rows']:
        both = [
            (row['estimate'][resource], row['synthesis'][resource] if row['synthesis'] else None) for resource in TAGS
        ]
        loop = [row.get('interval_cycles'), row.get('depth_cycles')]
        cells.append(
            [
                row['name'],
                row['op'],
                *('-' if value is None else f'{value:,}' for pair in (*both, loop) for value in pair),
            ]
        )
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    align = [str.ljust] * 2 + [str.rjust] * (len(widths) - 2)
    lines = ['  '.join(pad(cell, width) for pad, cell, width in zip(align, row, widths)).rstrip() for row in cells]
    clock = report['estimated_ns'], report['target_ns']
    lines.append(
        f'Vitis HLS {report["vitis"]}' + (f', clock {clock[0]:g} ns of {clock[1]:g} ns' if None not in clock else '')
    )
    if report['unmatched']:
        lines.append(f'instances of no node: {", ".join(report["unmatched"])}')
    return '\n'.join(lines)


def read_trace(path: str | Path) -> dict[str, tuple[list[int], list[int]]]:
    """{FIFO: (cycles, occupancies)} of a trace that `csim --trace` wrote, in the file's order. Raises ExportError for
    any other file.
    """
    traces: dict[str, tuple[list[int], list[int]]] = {}
    try:
        rows = csv.reader(files.read(path, MOST_TRACE_BYTES).decode().splitlines())
        if next(rows, None) != ['fifo', 'cycle', 'occupancy']:
            raise ValueError
        for name, *numbers in rows:
            if len(numbers) != 2 or not all(map(_COUNT.fullmatch, numbers)):
                raise ValueError
            cycles, occupancies = traces.setdefault(name, ([], []))
            cycles.append(int(numbers[0]))
            occupancies.append(int(numbers[1]))
    except OSError as error:
        raise ExportError(f'cannot read the trace {str(path)!r}: {error.strerror or error}') from None
    except (ValueError, csv.Error):
        raise ExportError(
            f'{str(path)!r} is no trace of FIFOs (fifo,cycle,occupancy); write one by csim --mode=cycle --trace=FILE'
        ) from None
    if not traces:
        raise ExportError(f'the trace {str(path)!r} holds no FIFO')
    return traces


def plot(path: str | Path, trace: str | Path, picture: str | Path, title: str = '') -> list[str]:
    """Draws occupancy over time, a panel for each FIFO deeper than two (for each if none is); returns their names.

    Raises ExportError for a directory that is no project, a file that is no trace of its FIFOs, or a picture that
    cannot be written.
    """
    fifos = index.load(path).plan.fifos
    traces = read_trace(trace)
    if unknown := [name for name in traces if name not in fifos]:
        raise ExportError(
            f'the trace {str(trace)!r} has the FIFO {unknown[0]!r}, which {str(path)!r} has not: it is of another '
            'design'
        )
    names = [name for name in traces if fifos[name].depth > 2] or list(traces)

    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    end = max(cycles[-1] for cycles, _ in traces.values())
    figure, axes = plt.subplots(len(names), 1, sharex=True, figsize=(9, 1.05 * len(names) + 1), squeeze=False)
    for axis, name in zip(axes[:, 0], names):
        cycles, words = traces[name]
        depth = fifos[name].depth
        axis.fill_between([0, *cycles, end], [0, *words, words[-1]], step='post', color='#a8c4e0', linewidth=0)
        axis.step([0, *cycles, end], [0, *words, words[-1]], where='post', color='#4878a8', linewidth=0.6)
        axis.axhline(depth, color='#d9773f', linewidth=1, linestyle='--')
        axis.set_title(
            f'{name}: depth {depth}, at most {max(words)} words', parse_math=False, fontsize=8, loc='left', pad=3
        )
        axis.set_ylim(0, 1.15 * depth)
        axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axis.tick_params(labelsize=7)
        axis.spines[['top', 'right']].set_visible(False)
    axes[-1, 0].set_xlim(0, end)
    axes[-1, 0].xaxis.set_major_formatter('{x:,.0f}')
    axes[-1, 0].set_xlabel('cycle', fontsize=8)
    figure.supylabel('words (dashed: depth)', fontsize=8)
    if title:
        figure.suptitle(title, parse_math=False, fontsize=10)
    figure.tight_layout()
    try:
        figure.savefig(picture, dpi=130)
    except (OSError, ValueError) as error:
        raise ExportError(f'cannot write the picture {str(picture)!r}: {error}') from None
    finally:
        plt.close(figure)
    return names


def main(arguments: list[str] | None = None) -> int:
    return status(lambda: _command(arguments), *USER_ERRORS)


def _command(arguments: list[str] | None) -> int:
    parser = Parser('python -m hls_export.report', __doc__)
    parser.add_argument('path', help='the project directory')
    parser.add_argument('--csynth', help='csynth.xml of Vitis HLS: print it beside hardware.json, node by node')
    parser.add_argument('--json', action='store_true', help='with --csynth: print JSON')
    parser.add_argument('--trace', help='trace of FIFO occupancy, of csim --mode=cycle --trace=FILE')
    parser.add_argument('--plot', help='with --trace: the picture to write; its suffix gives the format')
    parser.add_argument('--title', default='', help='with --plot: its title')
    options = parser.parse_args(arguments)
    if bool(options.trace) != bool(options.plot) or not (options.csynth or options.plot):
        parser.error('give --csynth=csynth.xml, or --trace=trace.csv together with --plot=FILE')
    if options.csynth:
        report = compare(options.path, options.csynth)
        print(json.dumps(report, indent=1) if options.json else text_table(report))
    if options.plot:
        names = plot(options.path, options.trace, options.plot, options.title)
        print(f'wrote {options.plot}: occupancy of {len(names)} FIFOs', file=sys.stderr if options.json else sys.stdout)
    return 0


if __name__ == '__main__':
    sys.exit(main())
