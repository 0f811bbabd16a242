"""Cycles of a layer on an R x C array of multipliers, when no operand is ever late.

A convolution is P x K x N products: P output pixels (of the batch), K = fh fw C_in / groups products for each output, N
= C_out / groups outputs a pixel, once for each of G groups. A pass (SCALE-Sim's fold) is what the array holds at
once; fill and drain are paid for each pass.

    output_stationary   rows pixels, columns outputs, time products    G (R + C + K - 2) ceil(P/R) ceil(N/C) - 1
    weight_stationary   rows products, columns outputs, time pixels    G (2R + C + P - 2) ceil(K/R) ceil(N/C) - 1
    input_stationary    rows products, columns pixels, time outputs    G (2R + C + N - 2) ceil(K/R) ceil(P/C) - 1
    channel_parallel    rows input channels, columns outputs           G ceil(C_in/G/R) ceil(N/C) fh fw P

The first three are SCALE-Sim's (arXiv 1811.02883), the last is that of VTA, of ShortcutFusion's engine and of a ZigZag
mapping over input and output channels. A depthwise layer on a channel_parallel array has its taps in the rows and a
channel in each column. Adds, pools and scales that are layers of their own go through one unit a column:
ceil(operations / C).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from costmodel.array.settings import PEArray
from costmodel.cost import CostError
from tailor_jax.array_schedule import Layer, LayerGraph
from tailor_jax.graph import weight_shape
from tailor_jax.ops import ELEMENTWISE, WINDOW_POOLS


def cycles(network: LayerGraph, layer: Layer, target: PEArray) -> int:
    """Cycles of one layer for the batch."""
    node = layer.nodes[0]
    height, width, channels = node.shape
    pixels = target.batch * height * width
    match node.op:
        case _ if node.weighted:
            *window, channels_in, _ = weight_shape(network.graph, node)
            return product_cycles(pixels, math.prod(window), channels_in, channels // node.groups, node.groups, target)
        case _ if node.op == 'upsample' or node.op in ELEMENTWISE:
            operations = pixels * channels
        case _ if node.op in WINDOW_POOLS:
            operations = pixels * channels * math.prod(node.kernel)
        case 'global_avg_pool':
            operations = target.batch * math.prod(network.graph.in_shape(node))
        case _:
            raise CostError(f'node {node.name!r}: op {node.op!r} has no place on a PE array')
    return -(-operations // target.columns)


def product_cycles(pixels: Any, taps: int, channels_in: Any, outputs: Any, groups: int, target: PEArray) -> Any:
    """Cycles of `groups` times pixels x (taps channels_in) x outputs products; integers or arrays of them."""
    rows, columns, products = target.rows, target.columns, taps * channels_in
    match target.dataflow:
        case 'output_stationary':
            return groups * (rows + columns + products - 2) * _passes(pixels, rows) * _passes(outputs, columns) - 1
        case 'weight_stationary':
            return groups * (2 * rows + columns + pixels - 2) * _passes(products, rows) * _passes(outputs, columns) - 1
        case 'input_stationary':
            return groups * (2 * rows + columns + outputs - 2) * _passes(products, rows) * _passes(pixels, columns) - 1
        case 'channel_parallel':
            if groups > 1 and np.all(channels_in * outputs == 1):
                return _passes(taps, rows) * _passes(groups, columns) * pixels
            return groups * taps * _passes(channels_in, rows) * _passes(outputs, columns) * pixels
        case _:
            raise CostError(f'dataflow {target.dataflow!r} has no cycles')


def fetched_bits(network: LayerGraph, layer: Layer, target: PEArray) -> int:
    """Bits between the buffers and the array for the batch: operands in for each pass, sums out and back."""
    node = layer.nodes[0]
    height, width, channels = node.shape
    pixels = target.batch * height * width
    if not node.weighted:
        read = sum(math.prod(network.graph[name].shape) for name in node.inputs)
        return target.batch * (read + height * width * channels) * target.activation_bits
    *window, channels_in, _ = weight_shape(network.graph, node)
    taps, outputs = math.prod(window), channels // node.groups
    products = taps * channels_in
    values, weights = pixels * products, products * outputs
    match target.dataflow:
        case 'output_stationary':
            values *= _passes(outputs, target.columns)
            weights *= _passes(pixels, target.rows)
            accesses = 1
        case 'weight_stationary':
            values *= _passes(outputs, target.columns)
            accesses = 2 * _passes(products, target.rows) - 1
        case 'input_stationary':
            weights *= _passes(pixels, target.columns)
            accesses = 2 * _passes(products, target.rows) - 1
        case 'channel_parallel':
            values *= _passes(outputs, target.columns)
            accesses = 2 * taps * _passes(channels_in, target.rows) - 1
        case _:
            raise CostError(f'dataflow {target.dataflow!r} has no fetches')
    operands = values * target.activation_bits + weights * target.weight_bits
    sums = accesses * pixels * outputs * target.accumulator_bits
    return node.groups * (operands + sums)


def _passes(size: Any, held: int) -> Any:
    return -(-size // held)
