"""Emits the C++ of a design: one walk over its processes and streams.

    source(qgraph, plan)  ->  {file: text} of tailor_top.cpp, tailor_top.h, layers.h, timing.h and weights/<node>.h

A process becomes a struct `layer_<process>` of types and sizes, a function `process_<process>` and its call; a stream
becomes a type `word_<stream>` and an `hls::stream` with its depth and storage as pragmas. So every name that is made of
a node's has a prefix, or a double underscore as no node has, and none can be one of the emitter's own. The stream
`word_a__b` of a node `word_a` hides the type of the stream `a__b`, so types and functions are named from `::` on where
streams are in scope. Everything that does not depend on the network is in `include/`.
"""

from __future__ import annotations

from hls_export.dataflow import layers, processes, rom
from tailor_jax.dataflow import plan as planning
from tailor_jax.dataflow.design import IN_PORT, OUT_PORT, Design
from tailor_jax.dataflow.plan import Plan
from tailor_jax.dataflow.process import FORWARD_CYCLES, period_cycles
from tailor_jax.graph import GraphError
from tailor_jax.integers import qgraph as qg
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.qgraph import QGraph

MOST_PORT_BITS = 4096  # of an AXI4-Stream port of Vitis HLS


def source(qgraph: QGraph, plan: Plan) -> dict[str, str]:
    """The generated files of a design, {path in the project: text}. Raises GraphError naming the node, process or
    stream that cannot be emitted.
    """
    graph = qgraph.graph
    if len(graph.nodes) < 2:
        raise GraphError('a design needs at least one node after its input; the graph has none')
    qg.check(qgraph)
    design = planning.check(graph, plan)
    weights = {f'weights/{qnode.name}.h': rom.text(design, qnode) for qnode in qgraph.nodes if qnode.weight is not None}
    return {
        'tailor_top.cpp': _top(design, plan, list(weights)),
        'tailor_top.h': _top_header(qgraph, design),
        'layers.h': _layers_header(qgraph, design, plan),
        'timing.h': _timing(design, plan),
        **weights,
    }


def _top(design: Design, plan: Plan, weights: list[str]) -> str:
    streams = []
    for stream in design.streams:
        if stream.name not in (IN_PORT, OUT_PORT):
            name, fifo = stream.name, plan.fifos[stream.name]
            streams += [
                f'    hls::stream<::word_{name}> {name}("{name}");',
                f'#pragma HLS STREAM variable={name} depth={fifo.depth:d}',
                f'#pragma HLS BIND_STORAGE variable={name} type=fifo impl={fifo.storage}',
            ]
    return '\n'.join(
        [
            '// The design: a function for each process, and the network of streams between them. A call takes a batch '
            'of images back to back.',
            '#include "tailor_top.h"',
            '',
            *(f'#include "include/{header}"' for header in processes.HEADERS),
            *(f'#include "{header}"' for header in weights),
            '',
            *(processes.function(design, plan, actor) for actor in design.actors),
            f'void tailor_top(const int images, hls::stream<input_word>& {IN_PORT}, hls::stream<output_word>& '
            f'{OUT_PORT}) {{',
            f'#pragma HLS INTERFACE axis port={IN_PORT}',
            f'#pragma HLS INTERFACE axis port={OUT_PORT}',
            f'#pragma HLS AGGREGATE variable={IN_PORT} compact=byte',
            f'#pragma HLS AGGREGATE variable={OUT_PORT} compact=byte',
            '#pragma HLS INTERFACE s_axilite port=images',
            '#pragma HLS INTERFACE s_axilite port=return',
            '#pragma HLS STABLE variable=images',
            '#pragma HLS DATAFLOW',
            '',
            *streams,
            '',
            *map(processes.call, design.actors),
            '    JOIN_PROCESSES();',
            '}',
            '',
        ]
    )


def _top_header(qgraph: QGraph, design: Design) -> str:
    # Four bytes a pixel value in the test data only where two do not hold it.
    carrier = 'std::int16_t' if qgraph.input.out.lo >= -(1 << 15) and qgraph.input.out.hi < 1 << 15 else 'std::int32_t'
    lines = [
        '// The top function and the sizes that a testbench needs.',
        '#pragma once',
        '',
        '#include <cstdint>',
        '',
        '#include "layers.h"',
        '',
        f'using input_word = word_{IN_PORT};',
        f'using output_word = word_{OUT_PORT};',
        f'using tb_pixel_t = {carrier};  // of tb_data/images.bin',
    ]
    for side, qnode in (('input', qgraph.input), ('output', qgraph.output)):
        height, width, channels = qnode.node.shape
        lanes = design.folding.lanes[qnode.name]
        _check_port(qnode.name, lanes, qnode.out)
        words = f'tailor::fold({height * width * channels // lanes}, {height * width})'
        lines.append(
            f'constexpr int {side}_lanes = tailor::fold({lanes}, {channels}), {side}_words = {words};  // of an image'
        )
        lines.append(f'constexpr int {side}_bits = {port_bits(qnode.out)};  // of a value at the port')
    lines.append(f'constexpr bool output_signed = {str(qgraph.output.out.signed).lower()};')
    lines += [
        '',
        f'void tailor_top(int images, hls::stream<input_word>& {IN_PORT}, hls::stream<output_word>& {OUT_PORT});',
        '',
    ]
    return '\n'.join(lines)


def port_bits(fixed: Fixed) -> int:
    """Bits of a value at a port: whole bytes."""
    return 8 * -(-fixed.bits // 8)


def _check_port(name: str, lanes: int, fixed: Fixed) -> None:
    if (wide := lanes * port_bits(fixed)) > MOST_PORT_BITS:
        raise GraphError(
            f'node {name!r}: a word of its {lanes} lanes takes {wide} bits of a port, each value padded to bytes; at '
            f'most {MOST_PORT_BITS} can be; give its tensor fewer lanes'
        )


def _layers_header(qgraph: QGraph, design: Design, plan: Plan) -> str:
    words = []
    for stream in design.streams:
        fixed, size = layers.stream_type(qgraph, stream)
        count = f'tailor::fold({size.folded}, {size.whole})'
        words.append(f'using word_{stream.name} = tailor::word<{layers.cpp_type(fixed)}, {count}>;\n')
    structs = [layers.struct(qgraph, design, plan, actor) for actor in design.actors]
    return (
        '// Types and sizes. word_<stream> is what a stream carries; layer_<process> instantiates the function of a '
        'process.\n'
        '#pragma once\n\n#include "include/mac.h"\n\n' + ''.join(words) + '\n' + '\n'.join(structs)
    )


def _timing(design: Design, plan: Plan) -> str:
    latencies = [f'constexpr int latency_{actor.name} = {plan.latency_cycles[actor.name]};' for actor in design.actors]
    serial = sum(
        period_cycles(actor.process) + plan.latency_cycles[actor.name] + 2 * FORWARD_CYCLES for actor in design.actors
    )
    ends = [f'    {{"{each.name}", "{each.producer}", "{each.consumer}"}},' for each in design.streams]
    return '\n'.join(
        [
            '// What the cycle simulation takes processes and FIFOs to be; no other file uses it. The depths of the '
            'FIFOs allow for it.',
            '#pragma once',
            '',
            '// Cycles from the end of a trip to the write of its words: the registers of a pipeline.',
            *latencies,
            '',
            '// Cycles from the write of a word to the first in which it can be read, of every FIFO.',
            f'constexpr int forward_cycles = {FORWARD_CYCLES};',
            '',
            '// An image takes no longer, even if one process works after another.',
            f'constexpr long long serial_cycles = {serial};',
            '',
            '// The processes at both ends of every stream.',
            'struct fifo_end_row {',
            '    const char *fifo, *producer, *consumer;',
            '};',
            'constexpr fifo_end_row fifo_ends[] = {',
            *ends,
            '};',
            '',
        ]
    )
