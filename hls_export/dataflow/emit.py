"""Emits the C++ of a design: one walk over the integer graph.

    source(qgraph, plan)  ->  {file: text} of tailor_top.cpp, tailor_top.h, layers.h, timing.h and weights/<node>.h

A node becomes a struct `layer_<node>` of types and sizes, a token type `pixel_<node>` and one call of its layer's
function; an edge becomes an `hls::stream` with its depth and storage as pragmas. Everything that does not depend on the
network is in `include/`.
"""

from __future__ import annotations

import numpy as np

from hls_export.dataflow import plan as planning
from hls_export.dataflow.plan import CLONE, Plan
from tailor_jax import streaming
from tailor_jax.graph import Graph, GraphError, Node
from tailor_jax.integers import fixed as fx
from tailor_jax.integers import qgraph as qg
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.mean import reciprocal
from tailor_jax.integers.qgraph import QGraph, QNode
from tailor_jax.ops import ACCUMULATED, STREAMED, listed

# The header of `include/` that has an op's function, if not the one of those without a window, weights or sums.
HEADERS = {
    'conv': 'conv.h',
    'dense': 'dense.h',
    'max_pool': 'pool.h',
    'avg_pool': 'pool.h',
    'global_avg_pool': 'pool.h',
}
IN_PORT, OUT_PORT = 'input_stream', 'output_stream'


def source(qgraph: QGraph, plan: Plan) -> dict[str, str]:
    """The generated files of a design, {path in the project: text}. Raises GraphError naming the node or FIFO that
    cannot be emitted.
    """
    graph = qgraph.graph
    if len(graph.nodes) < 2:
        raise GraphError('a design needs at least one node after its input; the graph has none')
    if CLONE in graph.by_name:
        raise GraphError(f'node {CLONE!r}: the exporter uses this name for the copies of a tensor; rename the node')
    for qnode in qgraph.nodes:
        if qnode.node.op not in STREAMED:
            raise _unemitted(qnode.node)
    qg.check(qgraph)
    planning.check(graph, plan)
    structs, calls, weights = [], [], {}
    for qnode in qgraph.nodes:
        structs.append(_pixel(qnode))
        if qnode.node.op != 'input':
            structs.append(_layer(qgraph, graph, qnode, plan))
            calls.append(_call(graph, qnode))
        if qnode.weight is not None:
            weights[f'weights/{qnode.name}.h'] = _weights(qnode)
        if len(planning.readers(graph, qnode.name)) > 1:
            structs.append(_clone_struct(qnode.node))
            calls.append(_clone_call(graph, qnode.node))
    return {
        'tailor_top.cpp': _top(graph, plan, calls, list(weights)),
        'tailor_top.h': _top_header(qgraph),
        'layers.h': _layers_header(structs),
        'timing.h': _timing(plan),
        **weights,
    }


def _unemitted(node: Node) -> GraphError:
    emitted = listed(STREAMED - {'input'})
    return GraphError(f'node {node.name!r}: the exporter cannot emit op {node.op!r}; it emits {emitted}')


def cpp_type(fixed: Fixed) -> str:
    return f'ap_{"" if fixed.signed else "u"}int<{fixed.bits:d}>'


def _pixel(qnode: QNode) -> str:
    return f'using pixel_{qnode.name} = tailor::pixel<{cpp_type(qnode.out)}, {qnode.node.shape[2]}>;\n'


def _layer(qgraph: QGraph, graph: Graph, qnode: QNode, plan: Plan) -> str:
    """The struct of types and sizes that instantiates a layer's function."""
    node = qnode.node
    source_types = [qgraph[name].out for name in node.inputs]
    height, width, channels = graph.in_shape(node)
    types, sizes = {'in_t': source_types[0]}, {'height': height, 'width': width}
    match node.op:
        case 'conv':
            _check_window(graph, node)
            sizes |= {
                'channels_in': channels,
                **_window(node),
                'channels_out': node.shape[2],
                'groups': node.groups,
            } | _reuse(graph, node, plan)
            types |= {'weight_t': _integers(qnode)[2]}
            sizes |= _memories(qnode)
        case 'dense':
            sizes = {'channels_in': channels, 'channels_out': node.shape[2]} | _reuse(graph, node, plan)
            types |= {'weight_t': _integers(qnode)[2]}
            sizes |= _memories(qnode)
        case 'add':
            types = {'main_t': source_types[0], 'skip_t': source_types[1]}
            sizes |= {'channels': channels, 'align_main': qnode.align[0], 'align_skip': qnode.align[1]}
        case 'max_pool':
            _check_window(graph, node)
            sizes |= {'channels_in': channels, **_window(node), 'in_lo': source_types[0].lo}
        case 'avg_pool':
            _check_window(graph, node)
            mean_types, mean_sizes = _mean(qgraph, qnode)
            types |= mean_types
            sizes |= {'channels_in': channels, **_window(node)} | mean_sizes
        case 'global_avg_pool':
            mean_types, mean_sizes = _mean(qgraph, qnode)
            types |= mean_types
            sizes |= {'channels': channels} | mean_sizes
        case 'relu':
            types |= {'out_t': qnode.out}
            sizes |= {'channels': channels}
        case _:
            raise _unemitted(node)
    if node.op in ACCUMULATED:
        # What comes before the requantizer. A mean is rounded to the output's scale by its division.
        types.setdefault('acc_t', qnode.acc)
        sizes.setdefault('shift', qnode.shift)
        types |= {'scaled_t': _scaled(qnode, types['acc_t']), 'out_t': qnode.out}
        sizes |= {'out_lo': qnode.out.lo, 'out_hi': qnode.out.hi}
    lines = [f'    using {name} = {cpp_type(fixed)};' for name, fixed in types.items()]
    lines += [
        f'    static constexpr {"int" if abs(value) < 2**31 else "long long"} {name} = {value:d};'
        for name, value in sizes.items()
    ]
    if 'acc_t' in types:
        lines.append(f'    static constexpr bool relu = {"true" if node.relu else "false"};')
    shapes = ' + '.join(str(graph[name].shape) for name in node.inputs)
    title = f'// {node.op}{" + relu" if node.relu else ""}, {shapes} -> {node.shape}, output {qnode.out}'
    return f'{title}\nstruct layer_{node.name} {{\n' + '\n'.join(lines) + '\n};\n'


def _mean(qgraph: QGraph, qnode: QNode) -> tuple[dict[str, Fixed], dict[str, int]]:
    """Types and sizes of the sum of a mean, its product with a reciprocal, and that in steps of the output."""
    mean, source = qg.mean(qgraph, qnode), qgraph[qnode.node.inputs[0]].out
    multiplier, offset, divide = reciprocal(mean, max(qnode.shift, 0))
    sums = (source.lo * mean.count, source.hi * mean.count)
    products = [end * multiplier + offset for end in sums]
    product = fx.smallest(min(0, *products), max(products), 0)
    if product.bits > 62:
        raise GraphError(
            f'node {qnode.name!r}: the product that divides its sum by {qnode.divisor} has {product.bits} bits; at '
            'most 62 are simulated'
        )
    types = {
        'sum_t': fx.smallest(*sums, 0),
        'multiplier_t': fx.smallest(0, multiplier, 0),
        'product_t': product,
        'acc_t': fx.smallest(min(0, *(end >> divide for end in products)), products[1] >> divide, 0),
    }
    return types, {'multiplier': multiplier, 'offset': offset, 'divide': divide, 'shift': min(qnode.shift, 0)}


def _scaled(qnode: QNode, acc: Fixed) -> Fixed:
    """The accumulator's type with room for a left shift to the output's scale."""
    bits = acc.bits + max(-qnode.shift, 0)
    if max(bits, acc.bits) > 62 or qnode.out.bits > 31:
        raise GraphError(
            f'node {qnode.name!r}: its accumulator ({acc}) shifted by {-qnode.shift} or its output ({qnode.out}) is '
            'too wide '
            f'for the simulations; at most 62 and 31 bits'
        )
    return Fixed(bits, qnode.out.frac, acc.signed)


def _window(node: Node) -> dict[str, int]:
    return {
        'out_height': node.shape[0],
        'out_width': node.shape[1],
        'kernel_h': node.kernel[0],
        'kernel_w': node.kernel[1],
        'stride_h': node.stride[0],
        'stride_w': node.stride[1],
        'pad_top': node.padding[0],
        'pad_left': node.padding[2],
    }


def _check_window(graph: Graph, node: Node) -> None:
    """An output needs an anchor pixel inside the image (see `streaming`)."""
    height, width, _ = graph.in_shape(node)
    if (node.shape[0] - 1) * node.stride[0] >= height or (node.shape[1] - 1) * node.stride[1] >= width:
        raise GraphError(
            f'node {node.name!r} ({node.op}): padding {node.padding} makes the output {node.shape[:2]} exceed the '
            f'{height}x{width} '
            f'input; a streaming process writes at most one output a stride inside its input'
        )


def _reuse(graph: Graph, node: Node, plan: Plan) -> dict[str, int]:
    slices, blocks = streaming.reuse_split(graph, node, plan.reuse_factor(node.name))
    return {'slices': slices, 'blocks': blocks}


def _integers(qnode: QNode) -> tuple[np.ndarray, np.ndarray, Fixed]:
    """(weight, bias, type of the weight) of a weighted node."""
    if qnode.weight is None or qnode.bias is None or qnode.weight_type is None:
        raise GraphError(
            f'node {qnode.name!r} ({qnode.node.op}): the integer graph holds no weight, bias or weight type for it'
        )
    return qnode.weight, qnode.bias, qnode.weight_type


def _memories(qnode: QNode) -> dict[str, int]:
    _, bias, weight_type = _integers(qnode)
    return {'weight_bits': weight_type.bits, 'bias_bits': _bias_bits(bias)}


def _bias_bits(bias: np.ndarray) -> int:
    """The narrowest signed width that holds every bias."""
    return max(int(value).bit_length() if value >= 0 else int(-value - 1).bit_length() for value in bias) + 1


def _call(graph: Graph, qnode: QNode) -> str:
    """The call of a node's process. Its function has the name of its op."""
    node = qnode.node
    streams = [_input_stream(graph, node, index) for index in range(len(node.inputs))]
    memories = [f'weight_{node.name}', f'bias_{node.name}'] if qnode.weight is not None else []
    arguments = ', '.join(['images', *streams, _output_stream(graph, node.name), *memories])
    return f'    PROCESS({node.name}, tailor::{node.op}<layer_{node.name}>({arguments}));'


def _clone_struct(node: Node) -> str:
    """The sizes of a clone process; the struct also names its module in a synthesis report."""
    height, width, _ = node.shape
    return (
        f'struct clone_of_{node.name} '
        f'{{\n    static constexpr int height = {height};\n    static constexpr int width = {width};\n}};\n'
    )


def _clone_call(graph: Graph, node: Node) -> str:
    source_stream = IN_PORT if node.op == 'input' else streaming.fifo_name(node.name, CLONE)
    outputs = ', '.join(planning.readers(graph, node.name))
    return (
        f'    PROCESS({streaming.fifo_name(node.name, CLONE)}, tailor::clone<clone_of_{node.name}>(images, '
        f'{source_stream}, {outputs}));'
    )


def _input_stream(graph: Graph, node: Node, index: int) -> str:
    producer = node.inputs[index]
    is_port = graph[producer].op == 'input' and len(graph.consumers[producer]) == 1
    return IN_PORT if is_port else planning.source(node, index)


def _output_stream(graph: Graph, name: str) -> str:
    if name == graph.output.name:
        return OUT_PORT
    edges = planning.readers(graph, name)
    return edges[0] if len(edges) == 1 else streaming.fifo_name(name, CLONE)


def _top(graph: Graph, plan: Plan, calls: list[str], weights: list[str]) -> str:
    ops = {node.op for node in graph.nodes}
    headers = dict.fromkeys(header for op, header in HEADERS.items() if op in ops)
    streams = []
    for name, tensor in planning.fifos(graph).items():
        fifo = plan.fifos[name]
        streams += [
            f'    hls::stream<pixel_{tensor}> {name}("{name}");',
            f'#pragma HLS STREAM variable={name} depth={fifo.depth:d}',
            f'#pragma HLS BIND_STORAGE variable={name} type=fifo impl={fifo.storage}',
        ]
    return '\n'.join(
        [
            '// The design: one process per node, one FIFO per edge, one token per pixel. A call streams a batch of '
            'images back to back.',
            '#include "tailor_top.h"',
            '',
            *(f'#include "include/{header}"' for header in ['elementwise.h', *headers]),
            *(f'#include "{header}"' for header in weights),
            '',
            f'void tailor_top(const int images, hls::stream<pixel_input>& {IN_PORT}, hls::stream<pixel_output>& '
            f'{OUT_PORT}) {{',
            f'#pragma HLS INTERFACE mode=axis port={IN_PORT}',
            f'#pragma HLS INTERFACE mode=axis port={OUT_PORT}',
            '#pragma HLS INTERFACE mode=s_axilite port=images',
            '#pragma HLS INTERFACE mode=s_axilite port=return',
            '#pragma HLS DATAFLOW',
            '',
            *streams,
            '',
            *calls,
            '    JOIN_PROCESSES();',
            '}',
            '',
        ]
    )


def _top_header(qgraph: QGraph) -> str:
    (height, width, channels), output = qgraph.input.node.shape, qgraph.output.node
    # Four bytes a pixel value in the test data only where two do not hold it.
    carrier = 'std::int16_t' if qgraph.input.out.lo >= -(1 << 15) and qgraph.input.out.hi < 1 << 15 else 'std::int32_t'
    alias = f'using pixel_input = pixel_{qgraph.input.name};\n' if qgraph.input.name != 'input' else ''
    alias += f'using pixel_output = pixel_{output.name};\n' if output.name != 'output' else ''
    return (
        '// The top function and the sizes that a testbench needs.\n#pragma once\n\n#include <cstdint>\n\n#include '
        f'"layers.h"\n\n{alias}'
        f'using tb_pixel_t = {carrier};  // of tb_data/images.bin\n'
        f'constexpr int input_pixels = {height * width}, input_channels = {channels};\n'
        f'constexpr int output_pixels = {output.shape[0] * output.shape[1]}, output_channels = {output.shape[2]};\n\n'
        f'void tailor_top(int images, hls::stream<pixel_input>& {IN_PORT}, hls::stream<pixel_output>& {OUT_PORT});\n'
    )


def _layers_header(structs: list[str]) -> str:
    return (
        '// Types and sizes of every layer. pixel_<node> is the token that leaves a node; layer_<node> instantiates '
        'its function.\n'
        '#pragma once\n\n#include "include/types.h"\n\n' + '\n'.join(structs)
    )


def _timing(plan: Plan) -> str:
    return (
        '// What the cycle simulation takes a process to be; no other file uses it. The depths of the FIFOs allow '
        'for it.\n#pragma once\n\n'
        '// Cycles from the last trip of an iteration to the write of its token: the registers of a pipeline.\n'
        f'constexpr int process_latency_cycles = {plan.process_latency_cycles:d};\n'
    )


def _weights(qnode: QNode) -> str:
    """One layer's integers: a row per product, a column per output channel."""
    name, node = qnode.name, qnode.node
    weight, bias, weight_type = _integers(qnode)
    rows = weight.reshape(-1, node.shape[2])
    digits = max(len(str(rows.min())), len(str(rows.max())))
    text = [
        f'// {node.op} {name}: weights {weight_type}, [{" * ".join(map(str, weight.shape[:-1]))}][{node.shape[2]}]; '
        f"biases of the accumulator's scale 2^-{qnode.acc.frac}.",
        '#pragma once',
        '',
        '#include "../include/types.h"',
        '',
        f'static const tailor::rom<{weight_type.bits}> weight_{name}[{len(rows)}][{rows.shape[1]}] = {{',
    ]
    per_tap = weight.shape[2] if node.windowed else len(rows)
    for index, row in enumerate(rows.tolist()):
        if node.windowed and index % per_tap == 0:
            tap = divmod(index // per_tap, node.kernel[1])
            text.append(f'    // row {tap[0]}, column {tap[1]} of the window')
        text.append('    {' + ', '.join(f'{value:{digits}d}' for value in row) + '},')
    text += [
        '};',
        '',
        f'static const tailor::rom<{_bias_bits(bias)}> bias_{name}[{len(bias)}] = {{',
        '    ' + ', '.join(str(int(value)) for value in bias),
        '};',
        '',
    ]
    return '\n'.join(text)
