"""The longest combinational path of a netlist, in levels of LUTs.

    levels    LUTs and memories of LUTs on the path, one more where it does not begin at a flip-flop or a port (block
              RAM, a DSP), and one more where it does not end at the D of a flip-flop or at a port
    ns        levels x LEVEL_NS, what AMD's `report_failfast` allows for a LUT with its net (XilinxTclStore,
              tclapp/xilinx/designutils/report_failfast.tcl): a budget of a design that is to close, no delay

Carry chains and the multiplexers of a slice (F7 to F9) are in the slice of a LUT and no level.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hls_export.verilog.netlist import TOP, Netlist

LEVEL_NS = {1: 0.350, 2: 0.300, 3: 0.250}  # by speed grade, of UltraScale+
_LUT = re.compile(r'LUT\d(_2)?|SRL\w+|RAM(32|64|128|256|512)\w+')
_IN_SLICE = re.compile(r'MUXF\d|CARRY\d|INV')
_FLIP_FLOP = re.compile(r'FD[RSCP]E(_1)?')
_WRITES = re.compile(r'D|DI\w*|CE|WE|CLK|WCLK|Q31')  # of a memory of LUTs: what no word that is read waits for
Bit = Any  # of a net: unique in what is looked at


@dataclasses.dataclass(frozen=True)
class Path:
    """A path: its levels, and where they are, from its begin to its end: (instance, levels there)."""

    levels: int
    through: tuple[tuple[str, int], ...] = ()


def level_ns(part: str) -> float:
    """What a level may take on a device, by the speed grade in its name; of an unknown one the slowest."""
    grade = re.search(r'-(\d)L?V?(-|$)', part)
    return LEVEL_NS.get(int(grade[1]) if grade else 1, LEVEL_NS[1])


def within(netlist: Netlist) -> dict[str, Path]:
    """{module: its longest path}, where a port is as good as a flip-flop."""
    return {name: _longest(_cells(name, module, {})) for name, module in netlist.modules.items()}


def whole(netlist: Netlist) -> Path:
    """The longest path of the design, through whatever instances."""
    top = netlist.modules[TOP]
    joined: dict[Bit, Bit] = {}

    def found(bit: Bit) -> Bit:
        while bit in joined:
            bit = joined[bit]
        return bit

    inside: dict[str, dict[Bit, Bit]] = {}
    for name, module in netlist.instances.items():
        if not name or name.startswith('a_'):
            continue
        outside = top['cells'][name]['connections']
        nets = inside[name] = {}
        for port, wire in netlist.modules[module]['ports'].items():
            for bit, net in zip(wire['bits'], outside.get(port, ())):
                if isinstance(bit, int) and isinstance(net, int):
                    if bit in nets and found(nets[bit]) != found(net):  # straight from port to port
                        joined[found(net)] = found(nets[bit])
                    nets[bit] = net
    cells = list(_cells('', top, {}))
    for name, nets in inside.items():
        cells += _cells(name, netlist.modules[netlist.instances[name]], nets)
    return _longest(
        (where, kind, tuple(map(found, reads)), tuple(map(found, writes))) for where, kind, reads, writes in cells
    )


Cell = tuple[str, str, tuple[Bit, ...], tuple[Bit, ...]]  # instance, kind, what it reads, what it writes


def _cells(name: str, module: Mapping[str, Any], nets: Mapping[Bit, Bit]) -> Iterator[Cell]:
    """The cells of an instance: what their outputs wait for. A flip-flop's D is a cell of its own."""
    for cell in module['cells'].values():
        kind, directions = cell['type'], cell.get('port_directions', {})
        if kind.startswith('$') or not directions:
            continue
        groups: dict[str, list[list[Bit]]] = {}
        for port, bits in cell['connections'].items():
            known = [nets.get(bit, (name, bit)) for bit in bits if isinstance(bit, int)]
            groups.setdefault(_group(kind, port), [[], []])[directions[port] == 'output'] += known
        for group, (reads, writes) in groups.items():
            yield name, group, tuple(reads), tuple(writes)


def _group(kind: str, port: str) -> str:
    """What of a cell a port belongs to: 'lut' or 'slice' where its inputs pass to its outputs, 'd' the D of a
    flip-flop, 'q' its Q, else 'other'."""
    if _IN_SLICE.fullmatch(kind):
        return 'slice'
    if _LUT.fullmatch(kind):
        return 'other' if kind[:3] != 'LUT' and _WRITES.fullmatch(port) else f'lut{_lane(kind, port)}'
    if _FLIP_FLOP.fullmatch(kind):
        return {'D': 'd', 'Q': 'q'}.get(port, 'other')
    return 'other'


def _lane(kind: str, port: str) -> str:
    """The letter of the port of a memory of LUTs, so that an address leads to its own word alone."""
    found = re.fullmatch(r'(?:ADDR|DO)([A-H])', port)
    return found[1] if found else 'P' if port in ('DPO',) or port.startswith('DPRA') else ''


def _longest(cells: Iterator[Cell] | list[Cell]) -> Path:
    """The longest path through cells; what stands in a loop is in none."""
    arrives: dict[Bit, tuple[int, Any]] = {}  # levels when a bit is known, and what it came from
    ends: list[tuple[int, str, tuple[Bit, ...]]] = []
    passing: list[tuple[str, int, tuple[Bit, ...], tuple[Bit, ...]]] = []
    for where, group, reads, writes in cells:
        if group.startswith('lut') or group == 'slice':
            passing.append((where, int(group != 'slice'), reads, writes))
            continue
        for bit in writes:
            arrives[bit] = (int(group != 'q'), (where, int(group != 'q'), None))
        ends.append((int(group not in ('d', 'q')), where, reads))
    driver = {bit: index for index, (_, _, _, writes) in enumerate(passing) for bit in writes}
    waits = [len({driver[bit] for bit in reads if bit in driver}) for _, _, reads, _ in passing]
    readers: dict[int, set[int]] = {}
    for index, (_, _, reads, _) in enumerate(passing):
        for bit in reads:
            if bit in driver:
                readers.setdefault(driver[bit], set()).add(index)
    ready = [index for index, count in enumerate(waits) if not count]
    while ready:
        index = ready.pop()
        where, level, reads, writes = passing[index]
        latest = max(reads, key=lambda bit: arrives.get(bit, (0,))[0], default=None)
        before = arrives.get(latest, (0, None))
        for bit in writes:
            arrives[bit] = (before[0] + level, (where, level, latest))
        for other in readers.get(index, ()):
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    best = (0, '', None, 0)
    for more, where, reads in ends:
        for bit in reads:
            levels = arrives.get(bit, (0,))[0] + more
            if levels > best[0]:
                best = (levels, where, bit, more)
    for bit, (levels, _) in arrives.items():  # to a port
        if levels > best[0]:
            best = (levels, '', bit, 0)
    return Path(best[0], _through(arrives, best[2], best[1], best[3]))


def _through(arrives: Mapping[Bit, tuple[int, Any]], bit: Bit, end: str, more: int) -> tuple[tuple[str, int], ...]:
    steps = [(end, more)] if more else []
    while bit in arrives:
        where, level, bit = arrives[bit][1]
        steps.append((where, level))
    found: list[tuple[str, int]] = []
    for where, level in reversed(steps):
        if found and found[-1][0] == where:
            found[-1] = (where, found[-1][1] + level)
        elif level:
            found.append((where, level))
    return tuple(found)
