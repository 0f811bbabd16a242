"""Types and sizes of every process: the structs of layers.h, which instantiate the functions of `include/`.

    struct(qgraph, design, plan, actor)  ->  struct layer_<actor>

A size that the folding decides is printed as `fold(folded, whole)`: the second is what the fast simulation takes, which
works on whole pixels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from hls_export.dataflow import rom
from tailor_jax import streaming
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow import plan as planning
from tailor_jax.dataflow.design import Actor, Design, Stream
from tailor_jax.dataflow.packing import PACKED_BITS, chain
from tailor_jax.dataflow.plan import Plan
from tailor_jax.dataflow.process import Convert, Window, Words, period_cycles
from tailor_jax.graph import GraphError, Node
from tailor_jax.integers import fixed as fx
from tailor_jax.integers import qgraph as qg
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.mean import reciprocal
from tailor_jax.integers.qgraph import QGraph, QNode
from tailor_jax.ops import ACCUMULATED

MOST_SUM_BITS, MOST_OUT_BITS = 62, 31  # that the simulations' integers hold
_MULTIPLIERS = {'dsp': 'dsp', 'pair': 'dsp', 'lut': 'fabric'}
# Two products share a multiplier of 27 x 18 bits if each keeps within its 18 bits of the result.


@dataclasses.dataclass(frozen=True)
class Folded:
    """A size of the design, and what it is where nothing is folded."""

    folded: int
    whole: int


Size = int | bool | str | Folded


def cpp_type(fixed: Fixed) -> str:
    return f'ap_{"" if fixed.signed else "u"}int<{fixed.bits:d}>'


def stream_type(qgraph: QGraph, stream: Stream) -> tuple[Fixed, Folded]:
    """The type of the values in a word of a stream, and how many there are."""
    qnode = qgraph[stream.tensor]
    node, inner = qnode.node, qgraph[qnode.node.inputs[0]] if qnode.node.inputs else qnode
    match stream.kind:
        case designs.SUMS:
            return qnode.acc, Folded(stream.lanes, node.shape[2])
        case designs.WINDOW:
            return inner.out, Folded(stream.lanes, math.prod(node.kernel) * inner.node.shape[2])
        case designs.ADAPTED:
            return inner.out, Folded(stream.lanes, inner.node.shape[2])
        case _:
            return qnode.out, Folded(stream.lanes, node.shape[2])


def struct(qgraph: QGraph, design: Design, plan: Plan, actor: Actor) -> str:
    """The struct of one process; of the process of an absorbed add, that of its convolution comes first."""
    qnode = qgraph[actor.node]
    # Stages of the pipeline: a word that goes in at the first comes out at the last.
    depth: dict[str, Size] = {'depth_cycles': plan.latency_cycles[actor.name] + 1}
    match actor.part:
        case designs.CLONE:
            types, sizes = {}, _words(design, actor)
        case designs.ADAPTED:
            types, sizes = {'in_t': _source(qgraph, qnode)}, _adapt(design, actor)
        case designs.WINDOW:
            types, sizes = {'in_t': _source(qgraph, qnode)}, window_sizes(qgraph, design, actor)
        case designs.MAC:
            types, sizes = _mac(qgraph, design, plan, qnode)
        case _ if actor.name in plan.absorbed:
            host = qgraph[plan.absorbed[actor.name]]
            types, sizes = _finish(design, host)
            first = _printed(f'layer_{host.name}', _title(design, host), types, sizes | depth)
            types, sizes = _element(qgraph, design, qnode)
            return f'{first}\n{_printed(f"layer_{actor.name}", _title(design, qnode), types, sizes)}'
        case _ if qnode.node.weighted:
            types, sizes = _finish(design, qnode)
        case _:
            types, sizes = _element(qgraph, design, qnode)
    return _printed(f'layer_{actor.name}', _title(design, qnode, actor.part), types, sizes | depth)


def _title(design: Design, qnode: QNode, part: str = '') -> str:
    node = qnode.node
    shapes = ' + '.join(str(design.graph[name].shape) for name in node.inputs)
    op = f'{part} of {node.op}' if part else f'{node.op}{" + relu" if node.relu else ""}'
    return f'{op}, {shapes or "the image"} -> {node.shape}, output {qnode.out}'


def _printed(name: str, title: str, types: Mapping[str, Fixed], sizes: Mapping[str, Size]) -> str:
    lines = [f'    using {key} = {cpp_type(fixed)};' for key, fixed in types.items()]
    for key, value in sizes.items():
        match value:
            case bool():
                kind, text = 'bool', str(value).lower()
            case str():
                kind, text = 'tailor::multipliers', f'tailor::{value}'
            case Folded(folded, whole):
                kind, text = 'int', f'tailor::fold({folded}, {whole})'
            case _:
                kind, text = 'int' if abs(value) < 2**31 else 'long long', f'{value:d}'
        lines.append(f'    static constexpr {kind} {key} = {text};')
    return f'// {title}\nstruct {name} {{\n' + '\n'.join(lines) + '\n};\n'


def _source(qgraph: QGraph, qnode: QNode) -> Fixed:
    return qgraph[qnode.node.inputs[0]].out


def _pixels(node: Node) -> int:
    return node.shape[0] * node.shape[1]


def _words(design: Design, actor: Actor) -> dict[str, Size]:
    assert isinstance(actor.process, Words)
    return {'words': Folded(actor.process.count, _pixels(design.graph[actor.node]))}


def _adapt(design: Design, actor: Actor) -> dict[str, Size]:
    process, node = actor.process, design.graph[actor.node]
    assert isinstance(process, Convert)
    height, width, channels = design.graph.in_shape(node)
    return {
        'lanes_in': Folded(design.folding.lanes[node.inputs[0]], channels),
        'lanes_out': Folded(design.folding.layers[node.name].lanes, channels),
        'words': Folded(process.count // process.gather, height * width),
    }


def window_sizes(qgraph: QGraph, design: Design, actor: Actor) -> dict[str, Size]:
    """Of the process of a window."""
    node, process = design.graph[actor.node], actor.process
    assert isinstance(process, Window)
    height, width, channels = design.graph.in_shape(node)
    if process.lag_pixels < 0:
        raise GraphError(
            f'node {node.name!r} ({node.op}): padding {node.padding} puts whole windows of {node.kernel} outside the '
            'image, and a streaming process starts with one that reaches into it; pad less'
        )
    source = _source(qgraph, qgraph[node.name])
    sizes: dict[str, Size] = {
        'height': height,
        'width': width,
        'out_height': node.shape[0],
        'out_width': node.shape[1],
        'kernel_h': node.kernel[0],
        'kernel_w': node.kernel[1],
        'stride_h': node.stride[0],
        'stride_w': node.stride[1],
        'pad_top': node.padding[0],
        'pad_left': node.padding[2],
        'outside': source.lo if node.op == 'max_pool' else 0,
        'lanes': Folded(channels // process.words, channels),
        'words': Folded(process.words, 1),
        'trailing': max(process.lag_pixels, *process.taps_pixels, 0),
        'image_trips': period_cycles(process),
    }
    return sizes if taps(design, node) == 'all' else sizes | _ring(design, node, process)


def taps(design: Design, node: Node) -> str:
    """How many taps the window of a node delivers at once: one of `folding.TAPS`."""
    given = design.folding.layers[node.name].taps if node.weighted else 'all'
    return 'all' if fold.at_once(node, given) else given


def _ring(design: Design, node: Node, process: Window) -> dict[str, Size]:
    """Of a window whose taps come one after another: words of a group, rows of the ring, and trips from the write of a
    word to the first read of it in a later trip.
    """
    (high, wide), width = node.kernel, process.size[1]
    depthwise = fold.is_depthwise(design.graph, node)
    group_words = 1 if depthwise else process.words // node.groups
    columns = taps(design, node) == 'column'
    distances = []
    for up in range(high):
        for left in range(wide):
            earlier = wide - 1 - left if columns else (high - up) * wide - 1 - left  # words of the visit, by a group's
            distances.append((up * width + left) * process.words + earlier * group_words)
    return {
        'group_words': Folded(group_words, 1),
        'ring_rows': fold.ring_rows(design.graph, node),
        'ring_distance': min((each for each in distances if each), default=1),
    }


def _mac(qgraph: QGraph, design: Design, plan: Plan, qnode: QNode) -> tuple[dict[str, Fixed], dict[str, Size]]:
    node, layer, source = qnode.node, design.folding.layers[qnode.name], _source(qgraph, qnode)
    _, _, weight_type = rom.integers(qnode)
    kind = planning.multiplier(plan, qnode.name)
    packed = kind == 'pair'
    if packed and max(weight_type.bits, source.bits) > PACKED_BITS:
        raise GraphError(
            f'node {node.name!r}: two products share a DSP only of at most {PACKED_BITS} bits each, got weights of '
            f'{weight_type.bits} and inputs of {source.bits}'
        )
    _check_bits(qnode, qnode.acc.bits)
    products = fold.taps_at_once(node, layer.taps) * layer.lanes
    slices, blocks = fold.slices_and_blocks(design.graph, node, layer)
    sizes: dict[str, Size] = {
        'weight_bits': weight_type.bits,
        'pixels': _pixels(node),
        'channels_in': design.graph.in_shape(node)[2],
        'channels_out': node.shape[2],
        'groups': node.groups,
        'kernel_h': node.kernel[0],
        'kernel_w': node.kernel[1],
        'taps': fold.taps_at_once(node, layer.taps),
        'lanes': layer.lanes,
        'outputs': layer.outputs,
        'image_trips': fold.steps(design.graph, node, layer) * slices * blocks,
        'depthwise': fold.is_depthwise(design.graph, node),
        'packed': packed,
        'chain': chain(products, weight_type.bits, source.bits) if packed else 1,
        'multiply': _MULTIPLIERS[kind],
    }
    return {'in_t': source, 'weight_t': weight_type, 'sum_t': qnode.acc}, sizes


def _finish(design: Design, qnode: QNode) -> tuple[dict[str, Fixed], dict[str, Size]]:
    node, channels = qnode.node, qnode.node.shape[2]
    outputs, lanes = design.folding.layers[node.name].outputs, design.folding.lanes[node.name]
    sizes: dict[str, Size] = {
        'lanes_in': Folded(outputs, channels),
        'lanes_out': Folded(lanes, channels),
        'words': Folded(_pixels(node) * channels // max(outputs, lanes), _pixels(node)),
        'channels': channels,
        'bias_bits': rom.bias_bits(qnode),
    }
    types, more = _requantizer(qnode, qnode.acc, qnode.shift)
    return types, sizes | more


def _element(qgraph: QGraph, design: Design, qnode: QNode) -> tuple[dict[str, Fixed], dict[str, Size]]:
    """A process that works on words of one width."""
    node, sources = qnode.node, [qgraph[name].out for name in qnode.node.inputs]
    lanes, channels = design.folding.lanes[node.name], node.shape[2]
    width: dict[str, Size] = {'lanes': Folded(lanes, channels)}
    words: dict[str, Size] = width | {'words': Folded(_pixels(node) * channels // lanes, _pixels(node))}
    match node.op:
        case 'add':
            types, sizes = _requantizer(qnode, qnode.acc, qnode.shift)
            types |= {'main_t': sources[0], 'skip_t': sources[1]}
            sizes |= words | {'align_main': qnode.align[0], 'align_skip': qnode.align[1]}
        case 'leaky_relu':
            types, sizes = _requantizer(qnode, qnode.acc, qnode.shift)
            sizes |= words | {'align': qnode.align[0], 'multiplier': qnode.multiplier}
        case 'max_pool':
            types, sizes = {'out_t': qnode.out}, words | {'taps': math.prod(node.kernel)}
        case 'avg_pool':
            types, sizes = _mean(qgraph, qnode)
            sizes |= words | {'taps': math.prod(node.kernel)}
        case 'global_avg_pool':
            types, sizes = _mean(qgraph, qnode)
            height, columns, _ = design.graph.in_shape(node)
            sizes |= width | {'words': Folded(channels // lanes, 1), 'pixels': height * columns}
        case 'relu':
            types, sizes = {'out_t': qnode.out}, words
        case _:
            raise streaming.unsupported(node)
    return types | {'in_t': sources[0]}, sizes


def _requantizer(qnode: QNode, acc: Fixed, shift: int) -> tuple[dict[str, Fixed], dict[str, Size]]:
    """What comes before the output, and how the output is made of it."""
    assert qnode.node.op in ACCUMULATED
    bits = acc.bits + max(-qnode.shift, 0)
    _check_bits(qnode, bits)
    types = {'acc_t': acc, 'scaled_t': Fixed(bits, qnode.out.frac, acc.signed), 'out_t': qnode.out}
    return types, {'shift': shift, 'out_lo': qnode.out.lo, 'out_hi': qnode.out.hi, 'relu': qnode.node.relu}


def _check_bits(qnode: QNode, bits: int) -> None:
    if bits > MOST_SUM_BITS or qnode.out.bits > MOST_OUT_BITS:
        raise GraphError(
            f'node {qnode.name!r}: its accumulator ({qnode.acc}), shifted to the scale of its output ({qnode.out}), '
            f'has {bits} bits; the simulations hold {MOST_SUM_BITS} of sums and {MOST_OUT_BITS} of outputs'
        )


def _mean(qgraph: QGraph, qnode: QNode) -> tuple[dict[str, Fixed], dict[str, Size]]:
    """Types and sizes of the sum of a mean, its product with a reciprocal, and that in steps of the output, to which it
    is rounded by its division."""
    mean, source = qg.mean(qgraph, qnode), _source(qgraph, qnode)
    multiplier, offset, divide = reciprocal(mean, max(qnode.shift, 0))
    sums = (source.lo * mean.count, source.hi * mean.count)
    products = [end * multiplier + offset for end in sums]
    product = fx.smallest(min(0, *products), max(products), 0)
    if product.bits > MOST_SUM_BITS:
        raise GraphError(
            f'node {qnode.name!r}: the product that divides its sum by {qnode.divisor} has {product.bits} bits; at '
            f'most {MOST_SUM_BITS} are simulated'
        )
    quotient = fx.smallest(min(0, *(end >> divide for end in products)), products[1] >> divide, 0)
    types, sizes = _requantizer(qnode, quotient, min(qnode.shift, 0))
    types |= {
        'sum_t': fx.smallest(*sums, 0),
        'multiplier_t': fx.smallest(0, multiplier, 0),
        'product_t': product,
    }
    return types, sizes | {'multiplier': multiplier, 'offset': offset, 'divide': divide}
