"""Emits the Verilog of a design: a top that instantiates a part for each process and a FIFO for each stream.

    source(qgraph, plan)  ->  {file: text} of rtl/tailor_top.v, rtl/<part>.v and weights/<node>__<place or bias>.hex

The instance of a process is `p_<process>`, the FIFO of a stream `f_<stream>`. Of a stream, `<stream>__data`, `__valid`
and `__take` are what its consumer sees, `<stream>__word`, `__written`, `__promise` and `__room` what its producer does.
The ports are AXI4-Streams: values of a word padded to bytes. At the input TLAST ends a batch of images: no word is
taken in until the last result has left. At the output it comes with the last word of an image. What waits at the output
waits in a FIFO of its own, so that no pipeline ever stalls.

`<process>__done`: of the batch nothing is left to the process; `<stream>__ended`: no word of the batch will come. A
window then goes on without reading until it is empty (`rtl/drain.v`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import resources

from hls_export.dataflow.emit import port_bits
from hls_export.verilog.instances import Instance, Rom, instance, word_bits
from tailor_jax.dataflow import plan as planning
from tailor_jax.dataflow.design import IN_PORT, OUT_PORT, WINDOW, Actor, Design, Stream
from tailor_jax.dataflow.plan import Fifo, Plan
from tailor_jax.dataflow.process import FORWARD_CYCLES, Window
from tailor_jax.dataflow.slices import Slice
from tailor_jax.graph import GraphError
from tailor_jax.integers import qgraph as qg
from tailor_jax.integers.qgraph import QGraph

TOP, DSP = 'rtl/tailor_top.v', 'rtl/dsp.v'
_TEXTS = ('STYLE', 'MULTIPLIER', 'FILE')
_OF_SEVERAL_TRIPS = ('mac', 'finish', 'convert', 'average')  # parts that may have trips left that read nothing
_CODES = {'lutram': 0, 'bram': 1, 'uram': 2}
_STYLES = {'srl': 'srl', 'lutram': 'ram', 'bram': 'ram', 'uram': 'uram'}


def source(qgraph: QGraph, plan: Plan) -> dict[str, str]:
    """The generated files of a design and the parts, {path in the project: text}. Raises GraphError naming the node,
    process or stream that cannot be emitted: a latency, too, that is not its part's.
    """
    qg.check(qgraph)
    design = planning.check(qgraph.graph, plan)
    parts = {actor.name: instance(qgraph, design, plan, actor) for actor in design.actors}
    for name, part in parts.items():
        if plan.latency_cycles[name] != part.latency_cycles:
            raise GraphError(
                f'process {name!r}: the plan gives it a latency of {plan.latency_cycles[name]} cycles, and its part '
                f'{part.module!r} has {part.latency_cycles}'
            )
    roms = [each for part in parts.values() for each in (*part.weights, *([part.bias] if part.bias else []))]
    return {
        TOP: _top(qgraph, design, plan, parts),
        **_for_family(static_files(), plan.family),
        **{each.file: _hex(each) for each in roms},
    }


def latencies(qgraph: QGraph, plan: Plan) -> dict[str, int]:
    """{process: latency in cycles} of the parts."""
    design = planning.check(qgraph.graph, plan)
    return {actor.name: instance(qgraph, design, plan, actor).latency_cycles for actor in design.actors}


def static_files() -> dict[str, str]:
    """The parts, copied as they are."""
    package = resources.files('hls_export.verilog')
    return {
        f'{place}/{file.name}': file.read_text()
        for place, folder in (('rtl', 'rtl'), ('sim/verilog', 'sim'))
        for file in sorted((package / folder).iterdir(), key=lambda each: each.name)
    }


def _for_family(parts: dict[str, str], family: str) -> dict[str, str]:
    """The parts; where the family has no DSP48E2, multipliers are left to the tool."""
    return parts if family == 'ultrascale' else parts | {DSP: f'`define GENERIC\n{parts[DSP]}'}


def port_depth(design: Design, parts: dict[str, Instance]) -> int:
    """Words that wait at the output, so that a sink that always takes never makes a process wait."""
    last = next(actor for actor in design.actors if OUT_PORT in actor.outlets)
    return parts[last.name].latency_cycles + FORWARD_CYCLES + 1


def _hex(rom: Rom) -> str:
    digits = -(-rom.width_bits // 4)
    return '\n'.join(f'{word:0{digits}x}' for word in rom.words) + '\n'


def _top(qgraph: QGraph, design: Design, plan: Plan, parts: dict[str, Instance]) -> str:
    wide = {each.name: word_bits(qgraph, design, each) for each in design.streams}
    lines = [
        '// The design: a part for each process, a FIFO for each stream.',
        '`default_nettype none',
        'module tailor_top (',
        '    input wire clk, input wire rst,',
        *_ports(qgraph, design),
        ');',
    ]
    for stream in design.streams:
        name, top = stream.name, wide[stream.name] - 1
        lines += [f'    wire [{top}:0] {name}__data;', f'    wire {name}__valid, {name}__take;']
        lines.append(f'    wire {name}__ended;')
        if name != IN_PORT:
            lines += [f'    wire [{top}:0] {name}__word;', f'    wire {name}__written, {name}__promise, {name}__room;']
            lines.append(f'    wire {name}__empty;')
            lines.append(f'    assign {name}__ended = {_done(design, stream)} && {name}__empty;')
    for actor in design.actors:
        lines.append(f'    wire {actor.name}__done, {actor.name}__handed;')
    lines += ['', *_input(qgraph, design), *_output(qgraph, design), '']
    fifos = {**plan.fifos, OUT_PORT: Fifo(port_depth(design, parts))}
    for stream in design.streams:
        if stream.name != IN_PORT:
            lines.append(_fifo(stream.name, fifos[stream.name], wide[stream.name], plan.family))
    for actor in design.actors:
        lines += ['', *_process(actor, parts[actor.name])]
    return '\n'.join([*lines, 'endmodule', '`default_nettype wire', ''])


def _ports(qgraph: QGraph, design: Design) -> list[str]:
    """The ports of the two streams; a value takes whole bytes."""
    found = []
    for port, qnode, inward, outward in (
        (IN_PORT, qgraph.input, 'input', 'output'),
        (OUT_PORT, qgraph.output, 'output', 'input'),
    ):
        wide = design.folding.lanes[qnode.name] * port_bits(qnode.out)
        found.append(f'    {inward} wire [{wide - 1}:0] {port}_tdata, {inward} wire {port}_tvalid')
        found.append(f'    {outward} wire {port}_tready')
    lines = [f'{found[0]}, {found[1].strip()}, input wire {IN_PORT}_tlast,', f'{found[2]}, {found[3].strip()},']
    return [*lines, f'    output wire {OUT_PORT}_tlast']


def _input(qgraph: QGraph, design: Design) -> list[str]:
    fixed, lanes = qgraph.input.out, design.folding.lanes[qgraph.input.name]
    values = [f'{IN_PORT}_tdata[{lane * port_bits(fixed)} +: {fixed.bits}]' for lane in reversed(range(lanes))]
    return [
        f'    assign {IN_PORT}__data = {{{", ".join(values)}}};',
        '    wire open;',
        f'    assign {IN_PORT}__valid = {IN_PORT}_tvalid && open;',
        f'    assign {IN_PORT}_tready = {IN_PORT}__take;',
        f'    batch batch_of (clk, rst, {IN_PORT}__take, {IN_PORT}_tlast, {OUT_PORT}__ended, {IN_PORT}__ended, open);',
    ]


def _output(qgraph: QGraph, design: Design) -> list[str]:
    """Values with their sign or zeros before them; TLAST counts the words of an image."""
    qnode, lanes = qgraph.output, design.folding.lanes[qgraph.output.name]
    fixed = qnode.out
    more, words = port_bits(fixed) - fixed.bits, math.prod(qnode.node.shape) // lanes
    values = []
    for lane in reversed(range(lanes)):
        low = lane * fixed.bits
        sign = f'{OUT_PORT}__data[{low + fixed.bits - 1}]' if fixed.signed else "1'b0"
        values += [f'{{{more}{{{sign}}}}}'] if more else []
        values.append(f'{OUT_PORT}__data[{low} +: {fixed.bits}]')
    return [
        f'    assign {OUT_PORT}_tdata = {{{", ".join(values)}}};',
        f'    assign {OUT_PORT}_tvalid = {OUT_PORT}__valid;',
        f'    assign {OUT_PORT}__take = {OUT_PORT}__valid && {OUT_PORT}_tready;',
        f'    last_word #({words}) last_of_an_image (clk, rst, {OUT_PORT}__take, {OUT_PORT}_tlast);',
    ]


def _done(design: Design, stream: Stream) -> str:
    """Says that nothing more will be written to a stream."""
    producer = next(actor for actor in design.actors if stream.name in actor.outlets)
    handed = producer.part == WINDOW and producer.outlets[0] != stream.name
    return f'{producer.name}__{"handed" if handed else "done"}'


def _fifo(name: str, fifo: Fifo, width_bits: int, family: str) -> str:
    pieces = [each for each in fifo.slices(width_bits, family) if each.storage in _CODES]
    style = _STYLES[fifo.storage]
    rows = sum(each.depth for each in pieces if each.word == 0 and each.bit == 0)
    more = sum(each.depth for each in pieces if each.word > 0 and each.bit == 0)
    given: dict[str, int | str] = {'DEPTH': fifo.depth, 'WIDTH': width_bits, 'STYLE': style}
    if style == 'srl':
        (line,) = (each for each in fifo.slices(width_bits, family) if each.storage == 'srl')
        given['ROWS'] = line.depth
    else:
        given |= {'ROWS': rows, 'MORE': more, 'SLICES': len(pieces), **_columns(pieces)}
    ports = (
        f'clk, rst, {name}__promise, {name}__written, {name}__word, {name}__room, {name}__data, {name}__valid, '
        f'{name}__take, {name}__empty'
    )
    return f'    fifo #({_given(given)})\n        f_{name} ({ports});'


def _columns(pieces: list[Slice]) -> dict[str, str]:
    """A number of 32 bits for each memory of a FIFO, the first in the lowest bits."""
    fields = {
        'STYLES': [_CODES[each.storage] for each in pieces],
        'WORDS': [each.word for each in pieces],
        'DEPTHS': [each.depth for each in pieces],
        'BITS': [each.bit for each in pieces],
        'WIDTHS': [each.width_bits for each in pieces],
    }
    return {key: '{' + ', '.join(f"32'd{value}" for value in reversed(values)) + '}' for key, values in fields.items()}


def _process(actor: Actor, part: Instance) -> Iterator[str]:
    """The instance of a part, its streams in one vector each, and the ROMs beside a mac."""

    def vector(names: tuple[str, ...], suffix: str) -> str:
        return '{' + ', '.join(f'{name}__{suffix}' for name in reversed(names)) + '}'

    ports = [
        *('clk', 'rst', vector(actor.inlets, 'data'), vector(actor.inlets, 'valid'), vector(actor.inlets, 'take')),
        *(vector(actor.outlets, suffix) for suffix in ('word', 'room', 'promise', 'written')),
    ]
    idle = "1'b1"
    if isinstance(actor.process, Window):
        yield from _drain(actor.name, actor.process, ports[2:5], part)
        ports[1] = f'rst || {actor.name}__restart'
        ports[3:5] = f'{actor.name}__offer', f'{actor.name}__took'
        ports += [f'{actor.name}__mute'] if part.module == 'window' else []
        ports.append(f'{actor.name}__whole')
        idle = f'{actor.name}__idle[0]'
    if part.weights:
        yield from _roms(actor.name, part)
        ports += [f'{actor.name}__at', f'{actor.name}__weights']
    if part.module in _OF_SEVERAL_TRIPS:
        idle = f'{actor.name}__idle'
        yield f'    wire {idle};'
        ports.append(idle)
    yield f'    {part.module} #({_given(part.parameters)})\n        p_{actor.name} ({", ".join(ports)});'
    ended = vector(actor.inlets, 'ended')
    yield f'    done #({len(actor.inlets)}) e_{actor.name} (clk, rst, {ended}, {idle}, {actor.name}__done);'
    if len(actor.outlets) > 1 and actor.part == WINDOW:
        idle = f'{actor.name}__idle[1]'
        yield f'    done #(1) h_{actor.name} (clk, rst, {ended}, {idle}, {actor.name}__handed);'


def _drain(name: str, process: Window, inlet: list[str], part: Instance) -> Iterator[str]:
    """What goes on for a window when its batch has ended; `inlet`: data, valid, take of what it reads."""
    _, valid, take = inlet
    given = {
        'WINDOWS': max(_last_window(process), 0),
        'HANDED': max(process.taps_pixels, default=0),
        'LAG': process.lag_pixels,
        'WORDS': process.words,
        'LATENCY': part.latency_cycles,
    }
    named = [f'{name}__{each}' for each in ('offer', 'took', 'whole', 'mute', 'restart')]
    yield f'    wire {", ".join(named)};'
    yield f'    wire [1:0] {name}__idle;'
    ports = ', '.join([*named, f'{name}__idle'])
    ended = valid.replace('__valid', '__ended')
    yield f'    drain #({_given(given)})\n        d_{name} (clk, rst, {ended}, {valid}, {take}, {ports});'


def _last_window(process: Window) -> int:
    """Pixels behind the last of an image after which its last window has been written."""
    (height, width), (rows, columns), (down, right) = process.size, process.out, process.stride
    return (rows - 1) * down * width + (columns - 1) * right + process.lag_pixels - (height * width - 1)


def _roms(name: str, part: Instance) -> Iterator[str]:
    """For each place in the chains a ROM of its own, and the bits that are taken from it."""
    bits, address = int(part.parameters['W']), max(1, (len(part.weights[0].words) - 1).bit_length())
    yield f'    wire [{len(part.weights) * address - 1}:0] {name}__at;'
    yield f'    wire [{len(part.taken) * bits - 1}:0] {name}__weights;'
    for place, each in enumerate(part.weights):
        yield f'    wire [{each.width_bits - 1}:0] {name}__rom{place};'
        given = {'STYLE': each.style, 'DEPTH': len(each.words), 'WIDTH': each.width_bits, 'FILE': each.file}
        at = f'{name}__at[{place * address} +: {address}]'
        yield f'    rom #({_given(given)}) r_{name}__{place} (clk, {at}, {name}__rom{place});'
    fields = ', '.join(f'{name}__rom{each.place}[{each.low} +: {bits}]' for each in reversed(part.taken))
    yield f'    assign {name}__weights = {{{fields}}};'


def _given(parameters: dict[str, int | str] | object) -> str:
    assert isinstance(parameters, dict)
    return ', '.join(f'.{key}("{value}")' if key in _TEXTS else f'.{key}({value})' for key, value in parameters.items())
