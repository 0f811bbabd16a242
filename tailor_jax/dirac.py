"""Dirac re-parameterization: a convolution that carries the identity (Zagoruyko & Komodakis, arXiv 1706.00388).

A kernel W of a convolution on a skip's main branch is trained as

    W = diag(a) Dirac + diag(b) V / |V|

with |V| the norm of each output channel's weights, and Dirac the kernel that copies input channel o to output channel
o. When the skip goes, the convolution can keep its signal by a alone. Weight decay acts on V only (a, b are no
kernels), where the norm makes it harmless. `merge` computes W, so nothing of this is left in an exported network.

From scratch a = 1 and b = 0.1. From trained weights a = 0, b = |W|, V = W: the network starts as the one that was
trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tailor_jax.graph import Graph, Node

FACTORS = ('dirac_a', 'dirac_b')  # names of the parameters a and b
SCRATCH_A, SCRATCH_B = 1.0, 0.1
_EPSILON = 1e-12


def branches(graph: Graph) -> tuple[str, ...]:
    """The convolutions that can carry an identity: ungrouped, of odd kernel, on the main branch of a gated add."""
    found: set[str] = set()
    for node in graph:
        if node.gate:
            found |= _ancestors(graph, node.inputs[0]) - _ancestors(graph, node.inputs[1])
    return tuple(node.name for node in graph if node.name in found and _carries(node))


def attach(graph: Graph, params: Mapping, trained: bool) -> dict:
    """Parameters {node: {'kernel', ...}} with 'dirac_a' and 'dirac_b' [C_out] beside the kernels of `branches`;
    `trained`: see above.
    """
    attached = dict(params)
    for name in branches(graph):
        kernel = np.asarray(params[name]['kernel'])
        a = np.full(kernel.shape[-1], 0.0 if trained else SCRATCH_A, np.float32)
        b = np.full(kernel.shape[-1], SCRATCH_B, np.float32)
        if trained:
            b = np.sqrt(np.sum(kernel**2, axis=(0, 1, 2), dtype=np.float32) + np.float32(_EPSILON))
        attached[name] = {**params[name], 'dirac_a': a, 'dirac_b': b}
    return attached


def merge(params: Mapping) -> dict:
    """Parameters with plain kernels W for those that have 'dirac_a', numpy's or traced; the others as they are."""
    return {name: _plain(entry) if 'dirac_a' in entry else entry for name, entry in params.items()}


def _plain(entry: Mapping[str, Any]) -> dict[str, jax.Array]:
    kernel = jnp.asarray(entry['kernel'])
    height, width, inputs, outputs = kernel.shape
    dirac = np.zeros(kernel.shape, np.float32)
    dirac[height // 2, width // 2] = np.eye(inputs, outputs)
    norm = jnp.sqrt(jnp.sum(kernel**2, axis=(0, 1, 2)) + _EPSILON)
    rest = {key: value for key, value in entry.items() if key not in FACTORS}
    return {**rest, 'kernel': entry['dirac_a'] * dirac + (entry['dirac_b'] / norm) * kernel}


def _carries(node: Node) -> bool:
    return node.op == 'conv' and node.groups == 1 and all(size % 2 for size in node.kernel)


def _ancestors(graph: Graph, name: str) -> set[str]:
    found, stack = set(), [name]
    while stack:
        if (at := stack.pop()) not in found:
            found.add(at)
            stack.extend(graph[at].inputs)
    return found
