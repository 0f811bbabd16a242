"""What a process takes beside its FIFOs: multipliers, adders, memories, control.

With K products per output channel, C_out channels, reuse factor R = slices x blocks (`streaming.reuse_split`), per pass K' = K / slices and
C' = C_out / blocks; weights of w bits, activations of a bits, accumulators of acc = a + w + ceil(log2 K) + 1 bits (the bias adds one):

    multipliers    M = K' C' products; DSP pairs share an activation between two output channels: K' ceil(C'/2), else M (wider operands: more)
    adders         K' - 1 per channel as a tree, p + level bits wide (p = a + w); slices > 1: an accumulator of acc bits per channel
    requantizer    per channel in parallel: round acc bits, saturate to a bits; none at a dense layer that ends the network: logits are accumulators
    weights        ROM of depth R, M w bits wide; bias ROM of depth blocks, C' acc bits
    line buffer    fh - 1 memories of depth W, C a bits wide; window registers fh fw C a bits; taps outside the image masked if padded
    BOPS           H W m K (w a + w + a + log2 K) for m output channels (Karbachevsky et al. 2021), K = n k^2 products
    roofline       bits moved: see docs/cost_model.md

All LUT and FF numbers come from the coefficients in `coefficients`; a row is rounded up once.
"""

from __future__ import annotations

import dataclasses
import math

from costmodel.devices import Device, device
from costmodel.streams import memory
from costmodel.streams.coefficients import FIRST_PRINCIPLES as C
from costmodel.streams.memory import Memory
from costmodel.streams.target import Dataflow, activation_bits, weight_bits
from tailor_jax import streaming
from tailor_jax.graph import Graph, GraphError, Node, macs


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

    def add_memory(self, part: Memory, copies: int = 1) -> None:
        self.bram18 += copies * part.bram18
        self.uram += copies * part.uram
        self.lut += copies * part.lut
        self.ff += copies * part.ff

    def rounded(self) -> dict[str, int]:
        """Every field as an integer; a tiny slack keeps binary fractions from rounding a whole number up."""
        return {field.name: math.ceil(getattr(self, field.name) - 1e-6) for field in dataclasses.fields(self)}


def accumulator_bits(graph: Graph, node: Node, target: Dataflow) -> int:
    """Width that holds any sum of the products of a conv or dense node, and its bias."""
    count, _ = streaming.products(graph, node)
    return activation_bits(target, graph[node.inputs[0]]) + weight_bits(target, node) + math.ceil(math.log2(count)) + 1


def parts(graph: Graph, node: Node, target: Dataflow, reuse_factor: int) -> Parts:
    """What the node's process takes, its FIFOs and clones apart."""
    total, part = Parts(), device(target.device)
    bits = activation_bits(target, node)
    if node.op != 'input':
        _control(total, node, reuse_factor)
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
            total.lut += C.compare_lut_per_bit * (math.prod(node.kernel) - 1) * node.shape[2] * bits
        case 'add':
            wide = 1 + max(activation_bits(target, graph[name]) for name in node.inputs)
            total.lut += node.shape[2] * (C.adder_lut_per_bit * wide + C.round_lut_per_bit * wide + C.saturate_lut_per_bit * bits)
            total.ff += C.register_ff_per_bit * node.shape[2] * bits
        case 'global_avg_pool':
            _pool(total, graph, node, target)
        case 'relu':
            total.ff += C.register_ff_per_bit * node.shape[2] * bits
        case _:
            raise GraphError(f'node {node.name!r}: op {node.op!r} has no dataflow process; fold the graph first')
    if node.relu or node.op == 'relu':
        channels = node.shape[2] if node.op != 'conv' else node.shape[2] // streaming.reuse_split(graph, node, reuse_factor)[1]
        total.lut += C.relu_lut_per_bit * channels * bits
    return total


def fork(tensor: Node, target: Dataflow, tap: bool) -> Parts:
    """A reader of a tensor beyond its first: one more output port; a two-way clone has a register for the token, a tap uses the window's."""
    register = 0 if tap else C.register_ff_per_bit * tensor.shape[2] * activation_bits(target, tensor)
    return Parts(lut=2 * C.handshake_lut, ff=2 * C.handshake_ff + register)


def absorbed_add(graph: Graph, node: Node, conv: Node, target: Dataflow, reuse_factor: int) -> Parts:
    """An add that the convolution before it takes in: the skip's token joins the bias, one adder for each channel computed in parallel."""
    channels = conv.shape[2] // streaming.reuse_split(graph, conv, reuse_factor)[1]
    relu = C.relu_lut_per_bit * channels * activation_bits(target, node) * node.relu
    token = node.shape[2] * activation_bits(target, graph[node.inputs[1]])
    return Parts(
        lut=C.handshake_lut + relu + C.adder_lut_per_bit * channels * accumulator_bits(graph, conv, target),
        ff=C.handshake_ff + C.register_ff_per_bit * token,
    )


def _control(total: Parts, node: Node, reuse_factor: int) -> None:
    counters = sum(math.ceil(math.log2(size)) for size in (node.shape[0], node.shape[1], reuse_factor))
    ports = len(node.inputs) + 1
    total.lut += C.control_lut + C.control_lut_per_counter_bit * counters + C.handshake_lut * ports
    total.ff += C.control_ff + C.control_ff_per_counter_bit * counters + C.handshake_ff * ports


def _window(total: Parts, graph: Graph, node: Node, target: Dataflow, part: Device) -> None:
    """Line buffers, window registers and the masking of taps outside the image."""
    _, width, channels = graph.in_shape(node)
    token = channels * activation_bits(target, graph[node.inputs[0]])
    rows = node.kernel[0] - 1
    if rows:
        total.add_memory(memory.buffer(width, token, part), rows)
        total.line_buffer_bits += rows * width * token
    taps = math.prod(node.kernel)
    total.ff += C.register_ff_per_bit * taps * token
    if any(node.padding):
        total.lut += C.mask_lut_per_bit * taps * token


def _products(total: Parts, graph: Graph, node: Node, target: Dataflow, part: Device, reuse_factor: int) -> None:
    """Multipliers, adder trees, accumulators, requantizers and ROMs of a conv or dense node."""
    count, channels_out = streaming.products(graph, node)
    slices, blocks = streaming.reuse_split(graph, node, reuse_factor)
    parallel, channels = count // slices, channels_out // blocks
    weight, source, wide = weight_bits(target, node), activation_bits(target, graph[node.inputs[0]]), accumulator_bits(graph, node, target)
    logits = node.op == 'dense' and node.name == graph.output.name
    bits = wide if logits else activation_bits(target, node)

    adders = channels * sum((parallel >> level) * (weight + source + level) for level in range(1, parallel.bit_length() + 1))
    if in_lut(target, weight, source):
        total.lut += C.lut_per_product_bit * weight * source * parallel * channels + C.adder_lut_per_bit * adders
    else:
        shared = target.dsp_packing and (node.op == 'dense' or channels_out // node.groups > 1)
        total.dsp += dsp_count(parallel, channels, weight, source, part, shared)
        total.lut += C.dsp_adder_share * C.adder_lut_per_bit * adders
    if slices > 1:
        total.lut += C.adder_lut_per_bit * channels * wide + C.mux_lut_per_bit * (slices - 1) * parallel * source * node.groups
    total.lut += C.adder_lut_per_bit * channels * wide * (node.bias or node.op == 'dense')
    if not logits:
        total.lut += channels * (C.round_lut_per_bit * wide + C.saturate_lut_per_bit * bits)
    total.ff += channels * (C.accumulator_ff_per_bit * wide + C.register_ff_per_bit * bits)
    if blocks > 1:
        total.ff += C.register_ff_per_bit * channels_out * bits

    total.add_memory(memory.rom(reuse_factor, parallel * channels * weight, part))
    total.add_memory(memory.rom(blocks, channels * wide, part))
    total.weight_memory_bits += count * channels_out * weight + channels_out * wide
    total.macs += macs(graph, node)
    total.bops += math.ceil(macs(graph, node) * (weight * source + weight + source + math.log2(count)) - 1e-6)


def in_lut(target: Dataflow, weight: int, source: int) -> bool:
    """Whether products of these widths are made of LUTs."""
    return target.multiplier == 'lut' or (target.multiplier == 'auto' and weight * source <= 16)


def dsp_count(parallel: int, channels: int, weight: int, source: int, part: Device, shared: bool) -> int:
    """DSPs of `parallel` products for each of `channels` outputs; two share one where an activation and the widths allow."""
    if shared and max(weight, source) <= part.family.dsp_pair_bits:
        return parallel * math.ceil(channels / 2)
    wide, narrow = part.family.dsp_bits
    operands = sorted((weight, source))
    return parallel * channels * math.ceil(operands[1] / wide) * math.ceil(operands[0] / narrow)


def _pool(total: Parts, graph: Graph, node: Node, target: Dataflow) -> None:
    """Global average: one accumulator a channel, then a constant multiplication unless the map's size is a power of two."""
    height, width, channels = graph.in_shape(node)
    bits = activation_bits(target, node)
    wide = activation_bits(target, graph[node.inputs[0]]) + math.ceil(math.log2(height * width))
    total.lut += channels * (C.adder_lut_per_bit * wide + C.round_lut_per_bit * wide + C.saturate_lut_per_bit * bits)
    total.ff += channels * (C.accumulator_ff_per_bit * wide + C.register_ff_per_bit * bits)
    if height * width & (height * width - 1):
        total.dsp += channels
