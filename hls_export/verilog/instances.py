"""Each process of a design as an instance of a part in `rtl/`: its module, its parameters, its latency, its memories.

    instance(qgraph, design, plan, actor)  ->  Instance
    word_bits(qgraph, design, stream)      ->  bits of a word of a stream

Widths follow from types: a sum of K products of a and w bits has a + w + ceil(log2 K); with its bias and its rounding
one more, or what the integers need. So what is built does not depend on the weights, as its price does not.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from hls_export.dataflow import layers, rom
from hls_export.dataflow.layers import taps
from tailor_jax import streaming
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow import latency
from tailor_jax.dataflow import plan as planning
from tailor_jax.dataflow.design import Actor, Design, Stream
from tailor_jax.dataflow.plan import Plan
from tailor_jax.dataflow.process import Average, Window
from tailor_jax.integers import qgraph as qg
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.mean import reciprocal
from tailor_jax.integers.qgraph import QGraph, QNode

Parameter = int | str
RAM = {'lut': 'lutram', 'bram': 'bram', 'uram': 'uram'}


@dataclasses.dataclass(frozen=True)
class Rom:
    """A memory of constants: `words` non-negative integers of `width_bits`, kept in 'lut' or 'bram'."""

    file: str
    width_bits: int
    words: tuple[int, ...]
    style: str = 'lut'


@dataclasses.dataclass(frozen=True)
class Taken:
    """A field of a word of the ROM at a place of the chains: `low` is its lowest bit."""

    place: int
    low: int


@dataclasses.dataclass(frozen=True)
class Instance:
    """A part in its place.

    Attributes:
      module, parameters: of `rtl/`.
      latency_cycles: from the end of a trip to its word.
      bias: the ROM of a finish, which it reads itself.
      weights: of a mac, a ROM for each place of its chains, which stand beside it.
      taken: of a mac, where each weight of [output][product] is among them.
    """

    module: str
    parameters: Mapping[str, Parameter]
    latency_cycles: int
    bias: Rom | None = None
    weights: tuple[Rom, ...] = ()
    taken: tuple[Taken, ...] = ()


def sum_bits(qgraph: QGraph, design: Design, qnode: QNode) -> int:
    """Bits of the sums of products of a layer."""
    slices, products = _slices_and_products(design, qnode)
    _, _, weight_type = rom.integers(qnode)
    return _source(qgraph, qnode).bits + weight_type.bits + (slices * products - 1).bit_length()


def word_bits(qgraph: QGraph, design: Design, stream: Stream) -> int:
    """Bits of a word of a stream."""
    fixed, size = layers.stream_type(qgraph, stream)
    value = sum_bits(qgraph, design, qgraph[stream.tensor]) if stream.kind == designs.SUMS else fixed.bits
    return size.folded * value


def instance(qgraph: QGraph, design: Design, plan: Plan, actor: Actor) -> Instance:
    """The part of a process. Raises GraphError naming the node whose integers it does not hold."""
    layers.struct(qgraph, design, plan, actor)  # tells what cannot be built, here as in C++
    qnode, graph = qgraph[actor.node], design.graph
    match actor.part:
        case designs.CLONE:
            wide = word_bits(qgraph, design, design.by_name[actor.inlets[0]])
            return Instance('clone', {'COUNT': len(actor.outlets), 'WIDTH': wide}, latency.CLONE)
        case designs.ADAPTED:
            arriving, leaving = design.folding.lanes[qnode.node.inputs[0]], design.folding.layers[qnode.name].lanes
            sizes = {'IN': arriving, 'OUT': leaving, 'BITS': _source(qgraph, qnode).bits}
            return Instance('convert', sizes, latency.CONVERT)
        case designs.WINDOW:
            return _window(qgraph, design, plan, actor)
        case designs.MAC:
            return _mac(qgraph, design, plan, qnode)
        case _ if actor.name in plan.absorbed:
            return _finish(qgraph, design, qgraph[plan.absorbed[actor.name]], qnode)
        case _ if graph[actor.node].weighted:
            return _finish(qgraph, design, qnode)
        case _:
            return _element(qgraph, design, actor, qnode)


def _source(qgraph: QGraph, qnode: QNode, index: int = 0) -> Fixed:
    return qgraph[qnode.node.inputs[index]].out


def _slices_and_products(design: Design, qnode: QNode) -> tuple[int, int]:
    """N_s, and products of an output and cycle."""
    node, layer = qnode.node, design.folding.layers[qnode.name]
    depthwise = fold.is_depthwise(design.graph, node)
    products = fold.taps_at_once(node, layer.taps) * (1 if depthwise else layer.lanes)
    return fold.slices_and_blocks(design.graph, node, layer)[0], products


def _window(qgraph: QGraph, design: Design, plan: Plan, actor: Actor) -> Instance:
    node, process = design.graph[actor.node], actor.process
    assert isinstance(process, Window)
    source, sizes = _source(qgraph, qgraph[node.name]), layers.window_sizes(qgraph, design, actor)
    lanes = design.graph.in_shape(node)[2] // process.words
    given: dict[str, Parameter] = {
        'STYLE': RAM[plan.lines.get(actor.name, 'lut')],
        'KH': node.kernel[0],
        'KW': node.kernel[1],
        'TOP': node.padding[0],
        'LEFT': node.padding[2],
        'HEIGHT': process.size[0],
        'COLUMNS': process.size[1],
        'STRIDE_H': process.stride[0],
        'STRIDE_W': process.stride[1],
        'OUT_ROWS': process.out[0],
        'OUT_COLUMNS': process.out[1],
        'WORDS': process.words,
        'WIDTH': lanes * source.bits,
    }
    kind = taps(design, node)
    if kind == 'all':
        outside = source.lo if node.op == 'max_pool' else 0
        handed = dict(zip(('HAND_ROW', 'HAND_COLUMN'), _tap(node.kernel, process)))
        word = joined([outside] * lanes, source.bits)
        return Instance(
            'window',
            given | {'OUTSIDE': f"{lanes * source.bits}'h{word:x}", 'HANDS': len(process.taps_pixels), **handed},
            latency.WINDOW,
        )
    group, rows = sizes['group_words'], sizes['ring_rows']
    assert isinstance(group, layers.Folded) and isinstance(rows, int)
    more = {'COLUMN': int(kind == 'column'), 'GROUP': group.folded, 'ROWS': rows}
    return Instance('ring', given | more, latency.WINDOW)


def _tap(kernel: tuple[int, int], process: Window) -> tuple[int, int]:
    """The tap (i, j) that is handed on, all of one age: i from above, j from the left."""
    if not process.taps_pixels:
        return 0, 0
    height, width = kernel
    ages = {(height - 1 - i) * process.size[1] + width - 1 - j: (i, j) for i in range(height) for j in range(width)}
    return ages[process.taps_pixels[0]]


def _mac(qgraph: QGraph, design: Design, plan: Plan, qnode: QNode) -> Instance:
    node, layer, source = qnode.node, design.folding.layers[qnode.name], _source(qgraph, qnode)
    _, _, weight_type = rom.integers(qnode)
    kind, depthwise = planning.multiplier(plan, qnode.name), fold.is_depthwise(design.graph, node)
    slices, blocks = fold.slices_and_blocks(design.graph, node, layer)
    _, products = _slices_and_products(design, qnode)
    count = latency.chain(kind, products, weight_type.bits, source.bits)
    given: dict[str, Parameter] = {
        'MULTIPLIER': kind,
        'STYLE': RAM[plan.replays.get(qnode.name, 'lut')],
        'SLICES': slices,
        'BLOCKS': blocks,
        'GROUPS': fold.steps(design.graph, node, layer) // math.prod(node.shape[:2]),
        'SIMD': products * (layer.outputs if depthwise else 1),
        'PE': layer.outputs,
        'W': weight_type.bits,
        'A': source.bits,
        'SIGNED': int(source.signed),
        'DEPTHWISE': int(depthwise),
        'CHAIN': count,
        'SUM': sum_bits(qgraph, design, qnode),
    }
    roms, taken = _weights(design, qnode, products, count, layer.weights)
    pipeline = latency.mac(kind, slices, products, weight_type.bits, source.bits)
    return Instance('mac', given, pipeline, weights=roms, taken=taken)


def _weights(
    design: Design, qnode: QNode, products: int, chain: int, style: str
) -> tuple[tuple[Rom, ...], tuple[Taken, ...]]:
    """The ROM of each place of the chains, and where the weight of every product of every output is."""
    _, _, weight_type = rom.integers(qnode)
    bits, outputs = weight_type.bits, design.folding.layers[qnode.name].outputs
    words = rom.weight_words(design, qnode).reshape(-1, outputs, products)
    chains = math.ceil(products / chain)
    late = chains * chain - products  # the last chain is short, and starts late
    place_of = [n % chain + (late if n // chain == chains - 1 else 0) for n in range(products)]
    roms, taken = [], {}
    for place in range(chain):
        own = [n for n in range(products) if place_of[n] == place]
        for c in range(outputs):
            for index, n in enumerate(own):
                taken[c, n] = Taken(place, (c * len(own) + index) * bits)
        values = tuple(joined(row, bits) for row in words[:, :, own].reshape(len(words), -1).tolist())
        roms.append(Rom(f'weights/{qnode.name}__{place}.hex', outputs * len(own) * bits, values, style))
    return tuple(roms), tuple(taken[c, n] for c in range(outputs) for n in range(products))


def _finish(qgraph: QGraph, design: Design, qnode: QNode, add: QNode | None = None) -> Instance:
    """Of a layer; `add`: the one that is absorbed."""
    outputs = design.folding.layers[qnode.name].outputs
    lanes = design.folding.lanes[qnode.name]
    arriving = sum_bits(qgraph, design, qnode)
    total = max(arriving + 1, qnode.acc.bits + (not qnode.acc.signed))
    units = min(outputs, lanes)
    words = tuple(joined(row, total) for row in rom.rounded_biases(qnode).reshape(-1, units).tolist())
    file = Rom(f'weights/{qnode.name}__bias.hex', units * total, words)
    given: dict[str, Parameter] = {
        'PE': outputs,
        'LANES': lanes,
        'SUM': arriving,
        'ACC': total,
        'BITS': qnode.out.bits,
        'SIGNED': int(qnode.out.signed),
        'SHIFT': qnode.shift,
        'RELU': int(qnode.node.relu),
        'DEPTH': len(words),
        'FILE': file.file,
        'ADD': int(add is not None),
        'OUT_BITS': (add or qnode).out.bits,
        'OUT_SIGNED': int((add or qnode).out.signed),
    }
    if add is not None:
        skip = _source(qgraph, add, 1)
        given |= {
            'SKIP_BITS': skip.bits,
            'SKIP_SIGNED': int(skip.signed),
            'ALIGN_MAIN': add.align[0],
            'ALIGN_SKIP': add.align[1],
            'ADD_SHIFT': add.shift,
            'ADD_RELU': int(add.node.relu),
        }
    return Instance('finish', given, latency.finish(outputs, lanes, add is not None), bias=file)


def _element(qgraph: QGraph, design: Design, actor: Actor, qnode: QNode) -> Instance:
    """A process that works on words of one width."""
    node, source = qnode.node, _source(qgraph, qnode)
    lanes = design.folding.lanes[node.name]
    made = {'BITS': qnode.out.bits, 'SIGNED': int(qnode.out.signed)}
    read = {'IN_BITS': source.bits, 'IN_SIGNED': int(source.signed)}
    rounds = {'SHIFT': qnode.shift, 'RELU': int(node.relu)}
    size = math.prod(node.kernel)
    match node.op:
        case 'add':
            skip = _source(qgraph, qnode, 1)
            given = {
                'LANES': lanes,
                'A_BITS': source.bits,
                'A_SIGNED': int(source.signed),
                'B_BITS': skip.bits,
                'B_SIGNED': int(skip.signed),
                'ALIGN_A': qnode.align[0],
                'ALIGN_B': qnode.align[1],
            }
            return Instance('add', given | rounds | made, latency.WORDS)
        case 'relu':
            given = {'LANES': lanes, 'BITS': source.bits, 'SIGNED': int(source.signed), 'OUT_BITS': qnode.out.bits}
            return Instance('relu', given, latency.WORDS)
        case 'leaky_relu':
            given = {'LANES': lanes, 'ALIGN': qnode.align[0], 'FACTOR': qnode.multiplier}
            return Instance('leaky_relu', given | read | rounds | made, latency.LEAKY)
        case 'max_pool':
            given = {'TAPS': size, 'LANES': lanes, 'BITS': source.bits, 'SIGNED': int(source.signed)}
            return Instance('maximum', given, latency.levels(size))
        case 'avg_pool':
            given = {'TAPS': size, 'LANES': lanes}
            divides = _quotient(qgraph, qnode, size)
            return Instance('mean', given | read | divides | made, latency.mean(size, bool(size & (size - 1))))
        case 'global_avg_pool':
            assert isinstance(actor.process, Average)
            pixels, words = actor.process.pixels, actor.process.words
            given = {'PIXELS': pixels, 'WORDS': words, 'LANES': lanes}
            divides = _quotient(qgraph, qnode, pixels)
            return Instance('average', given | read | divides | made, latency.average(bool(pixels & (pixels - 1))))
        case _:
            raise streaming.unsupported(node)


def _quotient(qgraph: QGraph, qnode: QNode, count: int) -> dict[str, Parameter]:
    """What divides the sum of so many values: see `integers.mean`."""
    factor, offset, divide = reciprocal(qg.mean(qgraph, qnode), max(qnode.shift, 0))
    return {
        'MULTIPLY': int(bool(count & (count - 1))),
        'M': f"64'd{factor}",
        'B': f"64'd{offset}",
        'SHIFT': divide,
        'LEFT': max(-qnode.shift, 0),
        'RELU': int(qnode.node.relu),
    }


def joined(values: list[int], bits: int) -> int:
    """The fields of a word, the first in the lowest bits."""
    return sum((int(value) & ((1 << bits) - 1)) << (index * bits) for index, value in enumerate(values))
