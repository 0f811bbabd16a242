"""What a process takes beside its FIFOs: multipliers, adders, memories, control.

With K products per output channel, C_out channels, reuse factor R = slices x blocks (`streaming.reuse_split`), per pass
K' = K / slices and C' = C_out / blocks; weights of w bits, activations of a bits, accumulators of acc = a + w +
ceil(log2 K) + 1 bits (the bias adds one):

    multipliers    M = K' C' products: M DSPs (wider operands: more); K' ceil(C'/2) with `dsp_packing`, two channels
                   sharing an activation
    sums           K' - 1 adders a channel as a tree; slices > 1: operand multiplexers and an accumulator of acc bits a
                   channel; the bias
    requantizer    per channel in parallel: round off w - 1 bits, saturate to a bits; none at a dense layer that ends
                   the network: logits are sums
    weights        ROM of depth R, M w bits wide; bias ROM of depth blocks, C' acc bits
    line buffer    fh - 1 memories of depth W, C a bits wide; window registers fh fw C a bits; taps outside the image
                   masked if padded
    BOPS           H W m K (w a + w + a + log2 K) for m output channels (Karbachevsky et al. 2021), K = n k^2 products
    roofline       bits moved: see docs/cost_model.md

LUTs and flip-flops are those of the parts in `equations`; a row is rounded up once.
"""

from __future__ import annotations

import dataclasses
import math

from costmodel.devices import Device, device
from costmodel.streams.area import equations, memory
from costmodel.streams.area.coefficients import COEFFICIENTS
from costmodel.streams.area.memory import MappedMemory
from costmodel.streams.settings import Dataflow, activation_bits, weight_bits
from tailor_jax import streaming
from tailor_jax.graph import Graph, Node, macs


@dataclasses.dataclass
class Parts:
    """A running sum over the parts of one row."""

    bram18: int = 0
    uram: int = 0
    lut: float = 0
    ff: float = 0
    dsp: int = 0
    weight_memory_bits: int = 0
    line_buffer_bits: int = 0
    macs: int = 0
    bops: int = 0

    def add_memory(self, part: MappedMemory, copies: int = 1) -> None:
        self.bram18 += copies * part.bram18
        self.uram += copies * part.uram
        self.lut += copies * part.lut
        self.ff += copies * part.ff

    def add_part(self, part: str, terms: dict[str, equations.Terms]) -> None:
        lut, ff = equations.price(part, terms)
        self.lut, self.ff = self.lut + lut, self.ff + ff

    def rounded(self) -> dict[str, int]:
        """Every field as an integer; a tiny slack keeps binary fractions from rounding a whole number up."""
        return {field.name: math.ceil(getattr(self, field.name) - 1e-6) for field in dataclasses.fields(self)}


def accumulator_bits(graph: Graph, node: Node, target: Dataflow) -> int:
    """Width that holds any sum of the products of a weighted node, and its bias."""
    count, _ = streaming.products(graph, node)
    return activation_bits(target, graph[node.inputs[0]]) + weight_bits(target, node) + math.ceil(math.log2(count)) + 1


def parts(graph: Graph, node: Node, target: Dataflow, reuse_factor: int) -> Parts:
    """What the node's process takes, its FIFOs and clones apart."""
    total, part = Parts(), device(target.device)
    bits = activation_bits(target, node)
    match node.op:
        case 'input':
            pass  # a port: what feeds it is no part of the network
        case 'conv':
            _window(total, graph, node, target, part)
            _products(total, graph, node, target, part, reuse_factor)
        case 'dense':
            _products(total, graph, node, target, part, reuse_factor)
        case 'max_pool':
            _window(total, graph, node, target, part)
            total.add_part('maximum', equations.maximum(math.prod(node.kernel), node.shape[2], bits))
        case 'add':
            wide = max(bits, *(activation_bits(target, graph[name]) for name in node.inputs))
            total.add_part('add', equations.add(node.shape[2], wide, 1, node.relu))
        case 'avg_pool':
            _window(total, graph, node, target, part)
            _window_mean(total, graph, node, target)
        case 'global_avg_pool':
            _pool(total, graph, node, target)
        case 'relu':
            total.add_part('requantize_relu', equations.requantize(node.shape[2], bits + 2, bits, 1))
        case _:
            raise streaming.unsupported(node)
    return total


def fork(tensor: Node, target: Dataflow, tap: bool) -> Parts:
    """A reader of a tensor beyond its first: a two-way clone, or a tap, which needs only the handshake."""
    total = Parts()
    total.add_part('clone', equations.clone(0 if tap else tensor.shape[2] * activation_bits(target, tensor)))
    return total


def absorbed_add(graph: Graph, node: Node, conv: Node, target: Dataflow, reuse_factor: int) -> Parts:
    """An add that its convolution takes in: the skip's token joins the bias, one adder a parallel channel."""
    channels = conv.shape[2] // streaming.reuse_split(graph, conv, reuse_factor)[1]
    total = Parts(lut=_adders(channels * accumulator_bits(graph, conv, target)))
    # The skip's token is held through the passes.
    total.add_part('clone', equations.clone(node.shape[2] * activation_bits(target, graph[node.inputs[1]])))
    return total


def _rounding(node: Node) -> str:
    return 'requantize_relu' if node.relu else 'requantize'


def _adders(bits: int) -> float:
    """LUTs of adders of so many bits in all."""
    return COEFFICIENTS['mac.lut']['adder_bit'] * bits


def _window(total: Parts, graph: Graph, node: Node, target: Dataflow, part: Device) -> None:
    """Line buffers, window registers and the masking of taps outside the image."""
    height, width, channels = graph.in_shape(node)
    token = channels * activation_bits(target, graph[node.inputs[0]])
    rows, line = node.kernel[0] - 1, memory.buffer(width, token, part)
    if rows:
        total.add_memory(line, rows)
        total.line_buffer_bits += rows * width * token
    style = 'lutram' if rows and line.storage == 'lutram' else 'bram'
    total.add_part(f'window_{style}', equations.window(style, node.kernel, height, width, token, any(node.padding)))


def _products(total: Parts, graph: Graph, node: Node, target: Dataflow, part: Device, reuse_factor: int) -> None:
    """Multipliers, adder trees, accumulators, requantizers and ROMs of a weighted node."""
    count, channels_out = streaming.products(graph, node)
    slices, blocks = streaming.reuse_split(graph, node, reuse_factor)
    parallel, channels = count // slices, channels_out // blocks
    weight, source, wide = (
        weight_bits(target, node),
        activation_bits(target, graph[node.inputs[0]]),
        accumulator_bits(graph, node, target),
    )
    logits = node.op == 'dense' and node.name == graph.output.name
    bits = wide if logits else activation_bits(target, node)

    multiplier = 'lut'
    if not in_lut(target, weight, source):
        shared = target.dsp_packing and (node.op == 'dense' or channels_out // node.groups > 1)
        multiplier = 'pair' if shared and channels > 1 and max(weight, source) <= part.family.dsp_pair_bits else 'dsp'
        total.dsp += dsp_count(parallel, channels, weight, source, part, shared)
    terms = equations.mac(multiplier, slices, parallel, channels, weight, source)
    terms['lut']['mux_bit'] *= min(node.groups, channels)  # with groups, channels do not share their activations
    total.add_part('mac', terms)
    total.lut += _adders(channels * wide) * node.biased
    if not logits:
        total.add_part(_rounding(node), equations.requantize(channels, wide, bits, max(1, weight - 1)))
    if blocks > 1:
        total.ff += channels_out * bits  # the token is gathered over the passes

    total.add_memory(memory.rom(reuse_factor, parallel * channels * weight, part))
    total.add_memory(memory.rom(blocks, channels * wide, part))
    total.weight_memory_bits += count * channels_out * weight + channels_out * wide
    total.macs += macs(graph, node)
    total.bops += math.ceil(macs(graph, node) * (weight * source + weight + source + math.log2(count)) - 1e-6)


def in_lut(target: Dataflow, weight: int, source: int) -> bool:
    """Whether products of these widths are made of LUTs."""
    return target.multiplier == 'lut' or (target.multiplier == 'auto' and weight * source <= 16)


def dsp_count(parallel: int, channels: int, weight: int, source: int, part: Device, shared: bool) -> int:
    """DSPs of `parallel` products for each of `channels` outputs; `shared`: two take one where widths allow."""
    if shared and max(weight, source) <= part.family.dsp_pair_bits:
        return parallel * math.ceil(channels / 2)
    wide, narrow = part.family.dsp_bits
    operands = sorted((weight, source))
    return parallel * channels * math.ceil(operands[1] / wide) * math.ceil(operands[0] / narrow)


def _pool(total: Parts, graph: Graph, node: Node, target: Dataflow) -> None:
    """Global average: an accumulator a channel, and the quotient."""
    height, width, channels = graph.in_shape(node)
    wide = _sum_bits(graph, node, target, height * width)
    total.lut += _adders(channels * wide)
    total.ff += channels * wide
    _quotient(total, graph, node, target, height * width)


def _window_mean(total: Parts, graph: Graph, node: Node, target: Dataflow) -> None:
    """Average of a window: a tree over its taps a channel, priced as that of a layer's products, and the quotient."""
    taps, source = math.prod(node.kernel), activation_bits(target, graph[node.inputs[0]])
    channels, wide = node.shape[2], _sum_bits(graph, node, target, taps)
    adders, rows = equations.tree_bits(taps, source), equations.carry_save_bits(taps, source)
    total.add_part(
        'mac',
        {
            'lut': {'adder_bit': channels * adders, 'carry_save_bit': channels * rows},
            'ff': {'sum_bit': channels * wide, 'tree_bit': channels * equations.tree_registers(taps, source)},
        },
    )
    _quotient(total, graph, node, target, taps)


def _sum_bits(graph: Graph, node: Node, target: Dataflow, count: int) -> int:
    """Width that holds any sum of `count` values of the node's input."""
    return activation_bits(target, graph[node.inputs[0]]) + math.ceil(math.log2(count))


def _quotient(total: Parts, graph: Graph, node: Node, target: Dataflow, count: int) -> None:
    """Of a sum of `count` values a channel: the rounding and, unless the count is a power of two, a multiplication.

    The multiplication by a reciprocal of about as many bits as the sum divides and rounds (`mean.reciprocal`).
    """
    channels, bits, wide = node.shape[2], activation_bits(target, node), _sum_bits(graph, node, target, count)
    divided = math.ceil(math.log2(count))
    total.add_part(_rounding(node), equations.requantize(channels, wide, bits, max(1, divided)))
    if count & (count - 1):
        total.dsp += dsp_count(1, channels, wide, wide, device(target.device), shared=False)
