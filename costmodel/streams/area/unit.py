"""The matrix-vector unit of a folded layer: what multiplies, and in what memories its weights lie.

multiplier    LUTs up to 16 bits of w x a; two outputs of an activation share a DSP up to 8 bits, not where depthwise
DSPs          SIMD PE, SIMD ceil(PE / 2) in pairs; operands beyond 27 x 18 bits: more
weights       N_s N_b words, times the groups; a ROM for each place of a chain, of PE x (products there) weights
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from costmodel.devices import Device
from costmodel.streams.area import memory
from costmodel.streams.area.memory import Memory
from costmodel.streams.area.widths import Widths
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow import latency, packing
from tailor_jax.dataflow.folding import Layer
from tailor_jax.graph import Graph, Node


@dataclasses.dataclass(frozen=True)
class Options:
    """How a design is built.

    Attributes:
      multiplier: 'dsp', 'lut', or 'auto': LUTs up to 16 bits of w x a, else DSPs.
      packing: two products of narrow operands share a DSP.
      weights: {node: 'lut' or 'bram'}; LUTs where a node is missing. See `memory.balanced`.
    """

    multiplier: str = 'auto'
    packing: bool = True
    weights: Mapping[str, str] = dataclasses.field(default_factory=dict)


def multiplier(options: Options, weight: int, source: int, outputs: int, depthwise: bool, device: Device) -> str:
    """'lut', 'dsp' or 'pair', of products of these widths for so many outputs."""
    if packing.in_luts(options.multiplier, weight, source):
        return 'lut'
    shared = options.packing and outputs > 1 and not depthwise
    return 'pair' if shared and max(weight, source) <= device.family.dsp_pair_bits else 'dsp'


def dsp_count(products: int, outputs: int, weight: int, source: int, device: Device, shared: bool) -> int:
    """DSPs of `products` for each of `outputs`; `shared`: two take one where widths allow."""
    if shared and max(weight, source) <= device.family.dsp_pair_bits:
        return products * math.ceil(outputs / 2)
    wide, narrow = device.family.dsp_bits
    operands = sorted((weight, source))
    return products * outputs * math.ceil(operands[1] / wide) * math.ceil(operands[0] / narrow)


@dataclasses.dataclass(frozen=True)
class Unit:
    """The sizes of a matrix-vector unit; `products` an output and cycle."""

    slices: int
    blocks: int
    products: int
    outputs: int
    weight: int
    source: int
    depthwise: bool
    kind: str  # of multiplier

    @property
    def values(self) -> int:
        """SIMD."""
        return self.products * (self.outputs if self.depthwise else 1)

    @property
    def chain(self) -> int:
        """Products that are added within DSPs."""
        return latency.chain(self.kind, self.products, self.weight, self.source)

    @property
    def rom_widths(self) -> tuple[int, ...]:
        """Bits of the words of each ROM, one for each place of a chain."""
        at = latency.places(self.products, self.chain)
        return tuple(each * self.outputs * self.weight for each in at)


def unit(graph: Graph, node: Node, folded: Layer, bits: Widths, options: Options, device: Device) -> Unit:
    """The matrix-vector unit of a folded layer."""
    slices, blocks = fold.slices_and_blocks(graph, node, folded)
    depthwise = fold.is_depthwise(graph, node)
    taps = fold.taps_at_once(node, folded.taps)
    products = taps * (1 if depthwise else folded.lanes)
    weight, source = bits.weights[node.name], bits.tensors[node.inputs[0]]
    kind = multiplier(options, weight, source, folded.outputs, depthwise, device)
    if depthwise:
        blocks = node.groups // folded.lanes  # other weights, but no word is read again
    return Unit(
        slices, blocks * (1 if depthwise else node.groups), products, folded.outputs, weight, source, depthwise, kind
    )


def weights(
    graph: Graph, node: Node, folded: Layer, bits: Widths, options: Options, device: Device
) -> dict[str, Memory]:
    """The storages of a layer's weights."""
    made = unit(graph, node, folded, bits, options, device)
    return memory.rom(made.slices * made.blocks, made.rom_widths)
