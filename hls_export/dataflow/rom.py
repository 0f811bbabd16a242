"""Weights and biases as the words of ROMs, in the order in which they are read: a word a cycle, so that no address is
computed. Half an output step is part of the biases.

A word of a window has m taps of `lanes` channels; kh kw / m = steps words have all taps of them. For group g, block b
of PE outputs, word q of the steps, word w of the W of the group's channels:

    layer          word                            values         weight of
    conv, dense    ((g N_b + b) steps + q) W + w   [o][i][lane]   tap i steps + q, channel w lanes + lane, output o of b
    depthwise      g steps + q                     [lane][i]      tap i steps + q, channel g lanes + lane
"""

from __future__ import annotations

import math

import numpy as np

from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow.design import Design
from tailor_jax.graph import GraphError
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.qgraph import QNode


def integers(qnode: QNode) -> tuple[np.ndarray, np.ndarray, Fixed]:
    """(weight, bias, type of the weight) of a weighted node."""
    if qnode.weight is None or qnode.bias is None or qnode.weight_type is None:
        raise GraphError(
            f'node {qnode.name!r} ({qnode.node.op}): the integer graph holds no weight, bias or weight type for it'
        )
    return qnode.weight, qnode.bias, qnode.weight_type


def rounded_biases(qnode: QNode) -> np.ndarray:
    """[channels] what is added to the sums: the bias and half an output step, so that rounding takes no adder."""
    _, bias, _ = integers(qnode)
    return bias.astype(np.int64) + (1 << max(qnode.shift, 0) >> 1)


def bias_bits(qnode: QNode) -> int:
    """The narrowest signed width that holds all of them."""
    return max((value if value >= 0 else ~value).bit_length() for value in rounded_biases(qnode).tolist()) + 1


def weight_words(design: Design, qnode: QNode) -> np.ndarray:
    """[words of the ROM, values of a word]; see the module docstring."""
    node, layer = qnode.node, design.folding.layers[qnode.name]
    weight, _, _ = integers(qnode)
    channels_out = node.shape[2]
    channels_in = weight.shape[-2]
    taps = fold.taps_at_once(node, layer.taps)
    steps = math.prod(node.kernel) // taps
    if fold.is_depthwise(design.graph, node):
        lanes = weight.reshape(taps, steps, channels_out // layer.lanes, layer.lanes)
        return lanes.transpose(2, 1, 3, 0).reshape(-1, layer.lanes * taps)
    blocks = channels_out // node.groups // layer.outputs
    words = channels_in // layer.lanes
    parts = weight.reshape(taps, steps, words, layer.lanes, node.groups, blocks, layer.outputs)
    return parts.transpose(4, 5, 1, 2, 6, 0, 3).reshape(node.groups * blocks * steps * words, -1)


def text(design: Design, qnode: QNode) -> str:
    """The header of a node's weights and biases."""
    name, layer = qnode.name, design.folding.layers[qnode.name]
    _, _, weight_type = integers(qnode)
    biases, words = rounded_biases(qnode), weight_words(design, qnode)
    digits = max(len(str(words.min())), len(str(words.max())))
    rows = ['    {' + ', '.join(f'{value:{digits}d}' for value in row) + '},' for row in words.tolist()]
    channels, step = len(biases), min(layer.outputs, design.folding.lanes[name])
    shape = f'[tailor::fold({channels // step}, 1)][tailor::fold({step}, {channels})]'
    return '\n'.join(
        [
            f'// {qnode.node.op} {name}: weights {weight_type}, a row a cycle; biases of the scale of the sums, '
            f'2^-{qnode.acc.frac}, and half an output step, a row for every word that is made.',
            '#pragma once',
            '',
            '#include "../include/types.h"',
            '',
            f'static const tailor::rom<{weight_type.bits}> weight_{name}[{len(words)}][{words.shape[1]}] = {{',
            *rows,
            '};',
            '',
            f'static const tailor::rom<{bias_bits(qnode)}> bias_{name}{shape} = {{',
            '    ' + ', '.join(map(str, biases.tolist())),
            '};',
            '',
        ]
    )
