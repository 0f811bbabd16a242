"""Reports of a cost: the JSON that other programs read, and aligned tables that people do. Node, block and network
level, before beside after.

Both are made of `Cost` values only. 'Before' is the network as given, with all its skips; 'after' is the network as
kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from costmodel import targets
from costmodel.cost import Cost
from costmodel.targets import capacity, images_per_second
from tailor_jax.fields import header

COLUMNS = (
    'bram18',
    'uram',
    'lut',
    'ff',
    'dsp',
    'fifo_bits',
    'line_buffer_bits',
    'weight_memory_bits',
    'stream_bits',
    'macs',
    'bops',
    'interval_cycles',
    'dram_input_bytes',
    'dram_weight_bytes',
    'dram_output_bytes',
    'dram_shortcut_bytes',
    'dram_bytes',
    'buffer_bytes',
    'compute_cycles',
    'cycles',
    'energy_pj',
)


def to_json(cost: Cost, network: str, before: Cost | None = None) -> dict[str, Any]:
    """A cost as plain JSON values.

    Args:
      cost: of the network as kept.
      network: its name.
      before: of the network as given; the same as `cost` when None.

    Returns:
      {'format', 'version', 'network', 'target': {setting: value}, 'total': {resource: number}, 'before': {resource:
      number}, 'device': {resource: number}, 'share': {resource: fraction of the device}, 'fits': bool,
      'images_per_second', 'blocks', 'nodes'}; of a dataflow design also 'roofline', 'fifos' and 'folding'.
    """
    available = capacity(cost.target)
    return (
        header('hardware', 1)
        | {
            'network': network,
            'target': {'name': targets.name(cost.target), **_settings(cost)},
            'total': cost.total,
            'before': (before or cost).total,
            'device': available,
            'share': shares(cost.total, available),
            'fits': fits(cost.total, available),
            'images_per_second': images_per_second(cost),
            'blocks': [{key: value for key, value in row.items() if key != 'block'} for row in cost.blocks],
            'nodes': cost.nodes,
        }
        | (
            {}
            if cost.plan is None
            else {'roofline': roofline(cost), 'fifos': cost.fifos, 'folding': dataclasses.asdict(cost.plan.folding)}
        )
    )


def _settings(cost: Cost) -> dict[str, Any]:
    """The settings of the target; a folding stands in the report by itself."""
    return {key: value for key, value in dataclasses.asdict(cost.target).items() if key != 'folding'}


def shares(total: Mapping[str, int], available: Mapping[str, int]) -> dict[str, float]:
    """{resource: fraction used} of what the device has; resources that it has none of are left out."""
    return {resource: total[resource] / limit for resource, limit in available.items() if limit}


def fits(total: Mapping[str, int], available: Mapping[str, int]) -> bool:
    return all(total[resource] <= limit for resource, limit in available.items())


def roofline(cost: Cost) -> list[dict[str, Any]]:
    """The bits-based roofline of each node that computes, and of the network (Karbachevsky et al. 2021).

    Returns:
      [{'name', 'bops_per_bit': operations for one bit that streams move, 'bops_per_second': attained at the network's
      interval, 'peak_bops_per_second': when the node never waits}]; the network's peak is reached by none of its nodes
      waiting.
    """
    second = cost.target.clock_mhz * 1e6
    rows = [row for row in cost.nodes if row.get('bops') and row['stream_bits']]
    if not rows:
        return []
    points = [
        {
            'name': row['name'],
            'bops_per_bit': row['bops'] / row['stream_bits'],
            'bops_per_second': row['bops'] * images_per_second(cost),
            'peak_bops_per_second': row['bops'] * second / row['interval_cycles'],
        }
        for row in rows
    ]
    return [
        *points,
        {
            'name': 'network',
            'bops_per_bit': cost.total['bops'] / cost.total['stream_bits'],
            'bops_per_second': cost.total['bops'] * images_per_second(cost),
            'peak_bops_per_second': sum(point['peak_bops_per_second'] for point in points),
        },
    ]


def text(before: Cost, after: Cost, network: str) -> str:
    """Aligned tables of nodes, blocks and the network, before beside after."""
    columns = [name for name in COLUMNS if name in after.total]
    settings = ', '.join(f'{key}={value}' for key, value in _settings(after).items() if value not in (None, ()))
    nodes = [[row['name'], row['op'], *(row[name] for name in columns)] for row in after.nodes]
    sides = [{row['name']: row for row in cost.blocks} for cost in (before, after)]
    # A closed gate can take a block away, and make a node that was fused a row of its own.
    none = dict.fromkeys(columns, 0)
    blocks = []
    for block in sides[0] | sides[1]:
        found = [side.get(block, none) for side in sides]
        blocks += [[block, state, *(row[name] for name in columns)] for state, row in zip(('before', 'after'), found)]
    parts = [
        f'{network}: {settings}',
        'Nodes, after',
        text_table([['node', 'op', *columns], *nodes]),
        'Blocks',
        text_table([['block', '', *columns], *blocks]),
        'Network',
        _network(before, after, columns),
    ]
    return '\n\n'.join(parts)


def _network(before: Cost, after: Cost, columns: Sequence[str]) -> str:
    available = capacity(after.target)
    columns = [*columns, *(name for name in ('latency_cycles',) if name in after.total)]
    rows: list[list[Any]] = [['', *columns, 'images/s', 'fits']]
    for state, cost in (('before', before), ('after', after)):
        verdict = (
            'yes'
            if fits(cost.total, available)
            else 'NO: ' + ' '.join(name for name, limit in available.items() if cost.total[name] > limit)
        )
        rows.append([state, *(cost.total[name] for name in columns), round(images_per_second(cost)), verdict])
        used = shares(cost.total, available)
        rows.append(
            [
                f'  of {getattr(cost.target, "device", "the array")}',
                *(f'{used[name]:.1%}' if name in used else '' for name in columns),
                '',
                '',
            ]
        )
    rows.append(['change', *(_change(before.total[name], after.total[name]) for name in columns), '', ''])
    return text_table(rows)


def _change(before: int, after: int) -> str:
    return f'{after / before - 1:+.1%}' if before and before != after else '' if before == after else 'new'


def text_table(rows: Iterable[Sequence[Any]]) -> str:
    """Aligned columns: text to the left, numbers to the right with thousands separated."""
    cells = [[f'{cell:,}' if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    left = [not any(cell.lstrip('+-')[:1].isdigit() for cell in column) for column in zip(*cells)]
    padded = [
        [cell.ljust(width) if flush else cell.rjust(width) for cell, width, flush in zip(row, widths, left)]
        for row in cells
    ]
    return '\n'.join('  '.join(row).rstrip() for row in padded)
