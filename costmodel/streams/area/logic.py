"""What a process of a streaming design takes beside its FIFOs: multipliers, adders, memories, control.

With SIMD = taps x lanes values in and PE = `outputs` sums out, N_s slices, N_b blocks (`folding`), K products an
output, weights of w bits, activations of a bits, sums of acc bits (`widths`):

    window    (kh - 1) W F words of `lanes` values in a row memory, kh (kw - 1) F in memories of F words; or the ring of
              `ring_rows` rows; kh kw a lanes bits of registers, whose reset masks what lies outside the image
    mac       `unit`: multipliers and weights. C products (`latency.chain`) are added within DSPs; ceil(SIMD / C) - 1
              adders an output; N_s > 1: an accumulator of acc bits an output; N_b > 1: SIMD a N_s bits kept
    finish    min(PE, lanes) biases, roundings and saturations at once: the rounding is in the ROM of biases
    pools     kh kw - 1 comparisons or adders a lane; a mean over no power of two multiplies: a DSP a lane, for a whole
              image one
    BOPS      H W m K (w a + w + a + log2 K) for m output channels (Karbachevsky et al. 2021)

LUTs and flip-flops are those of the parts in `equations`; FIFOs are priced by `stream`. The rounding shift, which
training decides, is taken as w - 1 of a layer, and an add's as none, where its sum saturates. What is emitted is
`hls_export/verilog/rtl`.
"""

from __future__ import annotations

import dataclasses
import math

from costmodel.devices import Device
from costmodel.streams.area import equations, fifo_area, memory
from costmodel.streams.area.memory import Memory
from costmodel.streams.area.unit import Options, Unit, dsp_count, unit, weights
from costmodel.streams.area.widths import Widths
from tailor_jax import streaming
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow import latency
from tailor_jax.dataflow.design import ADAPTED, CLONE, SUMS, WINDOW, Actor, Design
from tailor_jax.dataflow.folding import Layer
from tailor_jax.dataflow.process import Window
from tailor_jax.graph import Graph, Node, macs
from tailor_jax.integers.fixed import FLOAT32_EXACT


@dataclasses.dataclass
class Parts:
    """A running sum over the parts of a process, or of a row."""

    bram18: int = 0
    uram: int = 0
    lut: float = 0
    ff: float = 0
    dsp: int = 0
    weight_memory_bits: int = 0
    line_buffer_bits: int = 0
    macs: int = 0
    bops: int = 0

    def __iadd__(self, other: Parts) -> Parts:
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
        return self

    def __isub__(self, other: Parts) -> Parts:
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) - getattr(other, field.name))
        return self

    def add_memory(self, taken: Memory) -> None:
        self.lut, self.bram18, self.uram = self.lut + taken.lut, self.bram18 + taken.bram18, self.uram + taken.uram

    def add_part(self, part: str, terms: dict[str, equations.Terms]) -> None:
        lut, ff = equations.price(part, terms)
        self.lut, self.ff = self.lut + lut, self.ff + ff

    def rounded(self) -> dict[str, int]:
        """Every field as an integer; a tiny slack keeps binary fractions from rounding a whole number up."""
        return {field.name: math.ceil(getattr(self, field.name) - 1e-6) for field in dataclasses.fields(self)}


def stream(depth: int, width_bits: int, device: Device) -> Parts:
    """What a FIFO takes that holds `depth` words, with the counter of those that were promised to it."""
    built = fifo_area.build(depth, width_bits, device)
    total = Parts(built.bram18, built.uram, built.lut, built.ff)
    total.add_part('credit', equations.credit(depth))
    return total


def price(design: Design, actor: Actor, bits: Widths, options: Options, device: Device) -> Parts:
    """What an actor of a design takes, its FIFOs apart."""
    graph, folding = design.graph, design.folding
    node = graph[actor.node]
    lanes = folding.lanes[node.name]
    if actor.part == CLONE:
        total = Parts()
        total.add_part('clone', equations.clone(len(actor.outlets)))
        return total
    if actor.part == WINDOW:
        assert isinstance(actor.process, Window)
        taps, words = ('all', lanes) if not node.weighted else _window_folding(folding.layers[node.name])
        hands = len(actor.process.taps_pixels)
        return window(graph, node, taps, words, hands, bits, device)
    if actor.part == ADAPTED:
        return adapt(folding.lanes[node.inputs[0]], folding.layers[node.name].lanes, bits.tensors[node.inputs[0]])
    if actor.part == 'mac':
        return mac(graph, node, folding.layers[node.name], bits, options, device)
    if host := _host(design, actor):
        return finish(graph, host, folding.layers[host.name], lanes, bits, node if node.op == 'add' else None)
    return elementwise(graph, node, lanes, bits, device)


def stored(design: Design, bits: Widths, options: Options, device: Device, streams: Parts) -> dict[str, str]:
    """{layer: the storage of its weights}, that of the options where one is given.

    Args:
      streams: what all FIFOs take; weights are balanced against it and all processes. Decided once, with every skip
        open.
    """
    graph, total, roms = design.graph, Parts(), {}
    total += streams
    for actor in design.actors:
        total += price(design, actor, bits, options, device)
        node = graph[actor.node]
        if actor.part == 'mac':
            roms[node.name] = weights(graph, node, design.folding.layers[node.name], bits, options, device)
    for name, found in roms.items():
        taken = memory.named(found, options.weights.get(name, 'lut'), f'the weights of {name!r}')
        total.lut, total.bram18 = total.lut - taken.lut, total.bram18 - taken.bram18
    return memory.balanced(roms, total.lut, total.bram18, device) | dict(options.weights)


def layer(
    graph: Graph, node: Node, folded: Layer, arriving: int, leaving: int, bits: Widths, options: Options, device: Device
) -> Parts:
    """All processes of a conv or dense node whose streams have so many lanes, its FIFOs apart."""
    total = Parts()
    if folded.lanes != arriving:
        total += adapt(arriving, folded.lanes, bits.tensors[node.inputs[0]])
    if fold.has_window(node):
        total += window(graph, node, *_window_folding(folded), 0, bits, device)
    total += mac(graph, node, folded, bits, options, device)
    total += finish(graph, node, folded, leaving, bits)
    return total


def _window_folding(folded: Layer) -> tuple[str, int]:
    return folded.taps, folded.lanes


def _host(design: Design, actor: Actor) -> Node | None:
    """The layer whose sums an actor finishes."""
    found = design.by_name[actor.inlets[0]]
    return design.graph[found.tensor] if found.kind == SUMS else None


def adapt(arriving: int, leaving: int, tensor_bits: int) -> Parts:
    """Words of so many lanes into words of so many others."""
    total = Parts()
    total.add_part('convert', equations.convert(arriving, leaving, tensor_bits))
    return total


def lines(graph: Graph, node: Node, taps: str, lanes: int, bits: Widths, device: Device) -> dict[str, Memory]:
    """The storages of the rows that a window keeps, of `taps` 'all', 'column' or 'one'."""
    (_, width, channels), value = graph.in_shape(node), bits.tensors[node.inputs[0]]
    words, rows = width * channels // lanes, node.kernel[0]
    if fold.at_once(node, taps):
        one = memory.ram(words, (rows - 1) * lanes * value, 1, device) if rows > 1 else {'lut': Memory('lut')}
        return {'lut': Memory('lut')} if words == 1 else one
    column, rows = taps == 'column', fold.ring_rows(graph, node)
    return memory.ram(*memory.ring(column, rows, words, lanes * value), rows if column else 1, device)


def window(graph: Graph, node: Node, taps: str, lanes: int, hands: int, bits: Widths, device: Device) -> Parts:
    """Of a window that hands its input on to `hands` readers, its rows in the cheapest memory."""
    (height, width, channels), value = graph.in_shape(node), bits.tensors[node.inputs[0]]
    words, word = channels // lanes, lanes * value
    options = lines(graph, node, taps, lanes, bits, device)
    storage = memory.choose(options, device)
    style = 'lutram' if storage == 'lut' else storage
    part = 'lutram' if storage == 'lut' else 'bram'  # the logic around block RAM and UltraRAM is the same
    total, size = Parts(), (height, width)
    if fold.at_once(node, taps):
        total.add_part(f'window_{part}', equations.window(style, node.kernel, size, words, word, hands))
        total.line_buffer_bits = (node.kernel[0] - 1) * width * channels * value
    else:
        group, rows = max(1, words // node.groups), fold.ring_rows(graph, node)
        terms = equations.ring(style, taps == 'column', node.kernel, size, words, group, word, rows)
        total.add_part(f'ring_{part}', terms)
        total.line_buffer_bits = rows * width * channels * value
    total.add_memory(dataclasses.replace(options[storage], lut=0))  # LUTs are among the terms
    return total


def mac(graph: Graph, node: Node, folded: Layer, bits: Widths, options: Options, device: Device) -> Parts:
    """Multipliers, trees, accumulators, weights and the words that are kept."""
    made, total = unit(graph, node, folded, bits, options, device), Parts()
    _, passes = fold.slices_and_blocks(graph, node, folded)
    if made.kind != 'lut':
        total.dsp = dsp_count(made.products, made.outputs, made.weight, made.source, device, made.kind == 'pair')
    kept = replay(made, passes, device)
    total.bram18 += kept.bram18
    style = 'bram' if kept.storage == 'bram' else 'lutram'
    sizes = (made.slices, passes, made.products, made.outputs, made.weight, made.source, made.depthwise)
    total.add_part('mac', equations.mac(made.kind, style, *sizes))
    storage, words = options.weights.get(node.name, 'lut'), made.slices * made.blocks
    if storage == 'lut':  # what thousands of foldings are priced with
        total.add_memory(memory.rom_in_luts(words, made.rom_widths))
    else:
        roms = memory.rom(words, made.rom_widths)
        total.add_memory(memory.named(roms, storage, f'the weights of {node.name!r}'))

    count, channels = streaming.products(graph, node)
    total.weight_memory_bits = count * channels * made.weight
    total.macs = macs(graph, node)
    each = made.weight * made.source + made.weight + made.source + math.log2(count)
    total.bops = math.ceil(total.macs * each - 1e-6)
    return total


def replay(made: Unit, passes: int, device: Device) -> Memory:
    """The memory of the words that a unit reads again in further passes; its LUTs are among those of the unit."""
    if passes == 1 or made.slices == 1:
        return Memory('lut')
    kept = memory.ram(made.slices, made.values * made.source, 1, device)
    kept.pop('uram', None)
    kept['bram'] = dataclasses.replace(kept['bram'], lut=made.values * made.source)
    return dataclasses.replace(kept[memory.choose(kept, device)], lut=0)


def finish(graph: Graph, node: Node, folded: Layer, lanes: int, bits: Widths, adds: Node | None = None) -> Parts:
    """Of the sums of a layer into words of `lanes`; `adds`: the add that is absorbed."""
    wide, out, total = bits.sums[node.name], bits.tensors[node.name], Parts()
    shift = 0 if out >= wide else max(1, bits.weights[node.name] - 1)
    depth = node.shape[2] // min(folded.outputs, lanes)
    terms = equations.finish(folded.outputs, lanes, wide, out, shift, depth, adds is not None)
    total.add_part('finish', terms)
    total.weight_memory_bits = node.shape[2] * wide
    return total


def elementwise(graph: Graph, node: Node, lanes: int, bits: Widths, device: Device) -> Parts:
    """Of a node without weights, its window apart."""
    total, source = Parts(), bits.tensors[node.inputs[0]] if node.inputs else 0
    taps = math.prod(node.kernel)
    match node.op:
        case 'add':
            wide = max(bits.tensors[node.name], *(bits.tensors[name] for name in node.inputs))
            total.add_part('add', equations.add(lanes, wide, 0, 0, node.relu))
        case 'relu':
            total.add_part('relu', equations.relu(lanes, source))
        case 'leaky_relu':  # what is below zero times a constant, rounded and saturated as a sum is
            total.dsp = lanes * dsp_count(1, 1, source, (FLOAT32_EXACT - 1).bit_length(), device, shared=False)
            total.add_part('add', equations.add(lanes, bits.tensors[node.name], 0, 0, relu=False))
        case 'max_pool':
            total.add_part('maximum', equations.maximum(taps, lanes, source))
        case 'avg_pool':
            total.dsp = lanes * _quotient_dsps(taps, source, device)
            total.add_part('mean', equations.mean(taps, lanes, source))
        case 'global_avg_pool':
            height, width, channels = graph.in_shape(node)
            total.dsp = _quotient_dsps(height * width, source, device)
            total.add_part('average', equations.average(height * width, channels // lanes, lanes, source))
        case _:
            raise streaming.unsupported(node)
    return total


def _quotient_dsps(count: int, source: int, device: Device) -> int:
    """DSPs of one multiplication of a sum of `count` values by a reciprocal of as many bits, none by a power of two."""
    wide = source + math.ceil(math.log2(count))
    return dsp_count(1, 1, wide, wide, device, shared=False) if _multiplies(count) else 0


def _multiplies(count: int) -> bool:
    """Whether a mean of so many values takes a multiplication."""
    return bool(count & (count - 1))


def latency_cycles(design: Design, actor: Actor, bits: Widths, options: Options, device: Device) -> int:
    """How long the pipeline of an actor is, see `latency`."""
    graph, folding = design.graph, design.folding
    node = graph[actor.node]
    lanes = folding.lanes[node.name]
    if actor.part == CLONE:
        return latency.CLONE
    if actor.part == WINDOW:
        return latency.WINDOW
    if actor.part == ADAPTED:
        return latency.CONVERT
    if actor.part == 'mac':
        made = unit(graph, node, folding.layers[node.name], bits, options, device)
        return latency.mac(made.kind, made.slices, made.products, made.weight, made.source)
    if host := _host(design, actor):
        return latency.finish(folding.layers[host.name].outputs, lanes, node.op == 'add')
    taps = math.prod(node.kernel)
    match node.op:
        case 'max_pool':
            return latency.levels(taps)
        case 'avg_pool':
            return latency.mean(taps, _multiplies(taps))
        case 'global_avg_pool':
            return latency.average(_multiplies(math.prod(graph.in_shape(node)[:2])))
        case 'leaky_relu':
            return latency.LEAKY
        case _:
            return latency.WORDS
