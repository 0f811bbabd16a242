"""The Flax model: one interpreter of the graph.

`Net(graph)` runs any graph: as trained (batch norms, learnable gates), pruned, or folded and quantized. Parameters are
keyed by node name, {'s1b0_conv1': {'kernel'}, 's1b0_bn1': {'scale', 'bias'}} (`Node.key` where nodes share weights), so
the variables of a pruned graph are a part of those of the full one (`restrict`) and folding batch norms is a map over
names (`fold_variables`):

    kernel' = kernel * scale / sqrt(var + eps),  bias' = shift - mean * scale / sqrt(var + eps)

A gated add computes main + z * skip; z is 1 where no gate value is given. Where gates are to be closed softly,
`preserve_variance` makes it

    sqrt(2 - z^2) * main + z * skip

after Deep Kernel Shaping (Martens et al. 2021, arXiv 2110.01765): for uncorrelated branches of equal variance the sum
keeps its variance while z goes from 1, the plain add, to 0; `absorb_gain` then moves the sqrt(2) that is left into the
batch norm before it.

With hard gates these are the pruned network's operations on
the pruned network's numbers, plus exact zeros: run operation by operation, the two agree bit for bit. (Compiled as a
whole, XLA may fuse the two differently and contract other multiply-adds; they then agree to the last bit or two of
float32.)
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Mapping
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tailor_jax.conv import conv_general_dilated
from tailor_jax.graph import Graph, GraphError, Node, weight_shape
from tailor_jax.integers.fixed import Fixed, slope_multiplier
from tailor_jax.integers.mean import mean_of
from tailor_jax.ops import MEANS, TABLED
from tailor_jax.quantization.quant import SMOOTH, divide, fake_quant, lookup
from tailor_jax.quantization.scales import power, scaled_quant
from tailor_jax.quantization.spec import QuantSpec

BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.9


class Net(nn.Module):
    """Interprets a graph.

    Attributes:
      graph: the network.
      quant: quantization types of a folded graph; None computes in floating point.
      axis_name: pmap axis over which batch statistics are averaged; None for one device.
      dtype: compute type of convolutions and normalization; parameters and statistics stay float32.
      preserve_variance: the second form of the gated add above.
    """

    graph: Graph
    quant: QuantSpec | None = None
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32
    preserve_variance: bool = False

    @nn.compact
    def __call__(
        self,
        images: jax.Array,
        gates: Mapping[str, jax.Array] | None = None,
        train: bool = False,
        capture: bool = False,
        negative_slope: jax.Array | float | None = None,
        fracs: Mapping[str, jax.Array] | None = None,
    ):
        """Runs the network.

        Args:
          images: normalized floats [b, h, w, c].
          gates: value of each gate, a scalar in [0, 1]; a gate that is missing is open.
          train: use and update batch statistics instead of the running ones.
          capture: return the outputs of all nodes, {name: [b, h, w, c]}, instead of the logits.
          negative_slope: makes every ReLU a leaky one, for annealing; None for plain ones.
          fracs: learned fracs of the outputs (`quant.learned_fracs`), in place of those of `quant`.

        Returns:
          Logits [b, classes], float32.
        """
        chex.assert_shape(images, (None, *self.graph.input.shape))
        qtypes = dict(self.quant.activations) if self.quant else {}
        call = _Call(gates or {}, train, negative_slope, qtypes, fracs or {}, self._layers())
        tensors: dict[str, jax.Array] = {}
        for node in self.graph:
            inputs = [tensors[name] for name in node.inputs]
            if not inputs:
                tensor = images.astype(self.dtype)
            elif self.quant:
                tensor = self._on_integers(node, inputs, call)
            else:
                tensor = self._run(node, inputs, call)
            if node.relu:
                tensor = nn.relu(tensor)
            tensors[node.name] = _rounded(node, tensor, call) if node.name in qtypes else tensor
        if capture:
            return tensors
        return tensors[self.graph.output.name].reshape(images.shape[0], -1).astype(jnp.float32)

    def _layers(self) -> dict[str, nn.Module]:
        """{node: its module} of the weighted nodes. Shared weights are one module; quantized they come once for each
        node (`quant.quantize_params`), and every product and sum must be exact, where an accelerator's default may
        round operands to fewer bits.
        """
        if self.quant:
            return {
                node.name: self._layer(node, node.name, jax.lax.Precision.HIGHEST)
                for node in self.graph
                if node.weighted
            }
        modules = {
            key: self._layer(self.graph[owner], key, precision=None) for key, owner in self.graph.weight_owners.items()
        }
        return {node.name: modules[node.key] for node in self.graph if node.weighted}

    def _layer(self, node: Node, name: str, precision: jax.lax.Precision | None) -> nn.Module:
        """The module of a weighted node."""
        if node.op == 'dense':
            return nn.Dense(node.shape[2], dtype=self.dtype, precision=precision, name=name)
        return nn.Conv(
            node.shape[2],
            node.kernel,
            node.stride,
            _sides(node),
            feature_group_count=node.groups,
            use_bias=node.bias,
            precision=precision,
            dtype=self.dtype,
            conv_general_dilated=conv_general_dilated,
            name=name,
        )

    def _run(self, node: Node, inputs: list[jax.Array], call: _Call) -> jax.Array:
        """What an op computes on real numbers."""
        x = inputs[0]
        match node.op:
            case _ if node.weighted:
                return call.layers[node.name](x)
            case 'batch_norm':
                return nn.BatchNorm(
                    use_running_average=not call.train,
                    momentum=BATCH_NORM_MOMENTUM,
                    epsilon=BATCH_NORM_EPSILON,
                    axis_name=self.axis_name if call.train else None,
                    dtype=self.dtype,
                    name=node.name,
                )(x)
            case 'relu':
                return nn.relu(x) if call.negative_slope is None else nn.leaky_relu(x, call.negative_slope)
            case 'leaky_relu':
                return _leaky(x, node.slope)
            case _ if node.op in TABLED:
                return SMOOTH[node.op](x)
            case 'add':
                if node.gate not in call.gates:
                    return x + inputs[1]
                z = jnp.asarray(call.gates[node.gate], self.dtype)
                return (jnp.sqrt(2 - z * z) * x if self.preserve_variance else x) + z * inputs[1]
            case 'scale':
                return x * inputs[1]
            case 'concat':
                return jnp.concatenate(inputs, axis=-1)
            case 'upsample':
                return jnp.repeat(jnp.repeat(x, node.factor[0], axis=1), node.factor[1], axis=2)
            case 'flatten':
                return x.reshape(x.shape[0], 1, 1, -1)
            case 'max_pool':
                return nn.max_pool(x, node.kernel, node.stride, _sides(node))
            case 'avg_pool':
                return _sums(node, x) * (1 / math.prod(node.kernel))
            case 'global_avg_pool':
                return jnp.mean(x, axis=(1, 2), keepdims=True)
            case _:
                raise GraphError(f'node {node.name!r}: the model does not run op {node.op!r}')

    def _on_integers(self, node: Node, inputs: list[jax.Array], call: _Call) -> jax.Array:
        """What an op computes on quantized values, before its output is rounded: where the integer graph has a number
        of its own for a slope, a function or a quotient, with that; else what it computes on real ones, which is exact.
        """
        x, source, qtype = inputs[0], node.inputs[0], call.qtypes[node.inputs[0]]
        match node.op:
            case 'leaky_relu':
                multiplier, shift = slope_multiplier(node.slope, qtype)
                return _leaky(x, multiplier * 2.0**-shift)
            case _ if node.op in TABLED:
                return lookup(x, node.op, qtype, call.qtypes[node.name])
            case _ if node.op in MEANS:
                frac = call.fracs.get(source, qtype.frac)
                mean = mean_of(node, self.graph.in_shape(node), qtype)
                return divide(_sums(node, x) * power(frac), mean) * power(-frac)
            case _:
                return self._run(node, inputs, call)


@dataclasses.dataclass(frozen=True)
class _Call:
    """What one call of the network was given, see `Net.__call__`; the types of its tensors, {} unquantized; and the
    modules of its weighted nodes.
    """

    gates: Mapping[str, jax.Array]
    train: bool
    negative_slope: jax.Array | float | None
    qtypes: Mapping[str, Fixed]
    fracs: Mapping[str, jax.Array]
    layers: Mapping[str, Any]


def _rounded(node: Node, x: jax.Array, call: _Call) -> jax.Array:
    """A node's output in the type that it has."""
    qtype = call.qtypes[node.name]
    return scaled_quant(x, call.fracs[node.name], qtype) if call.fracs else fake_quant(x, qtype)


def _leaky(x: jax.Array, slope: float) -> jax.Array:
    return jnp.where(x >= 0, x, x * slope)


def _sums(node: Node, x: jax.Array) -> jax.Array:
    """The sums that an average pool divides."""
    if node.windowed:
        return nn.pooling.pool(x, 0.0, jax.lax.add, node.kernel, node.stride, _sides(node))
    return jnp.sum(x, axis=(1, 2), keepdims=True)


def _sides(node: Node) -> tuple[tuple[int, int], tuple[int, int]]:
    """The padding (above, below), (left, right)."""
    top, bottom, left, right = node.padding
    return (top, bottom), (left, right)


def init(graph: Graph, seed: int) -> dict:
    """Fresh variables {'params', 'batch_stats'} of a graph: kernels ~ N(0, 2 / fan-in) (He et al. 2015), biases 0,
    batch norms the identity.

    Each kernel comes from a generator of (seed, its node's key), in numpy: a node starts the same whatever other nodes
    there are, and no program is compiled for it.
    """
    params: dict[str, dict[str, np.ndarray]] = {}
    batch_stats: dict[str, dict[str, np.ndarray]] = {}
    for node in graph:
        channels = node.shape[2]
        if shape := weight_shape(graph, node):
            rng = np.random.default_rng([seed, zlib.crc32(node.key.encode())])
            params[node.key] = {'kernel': rng.normal(0, math.sqrt(2 / math.prod(shape[:-1])), shape).astype(np.float32)}
            if node.bias:
                params[node.key]['bias'] = np.zeros(channels, np.float32)
        elif node.op == 'batch_norm':
            params[node.name] = {'scale': np.ones(channels, np.float32), 'bias': np.zeros(channels, np.float32)}
            batch_stats[node.name] = {'mean': np.zeros(channels, np.float32), 'var': np.ones(channels, np.float32)}
    return {'params': params, 'batch_stats': batch_stats}


def restrict(variables: Mapping, graph: Graph) -> dict:
    """The part of a network's variables that a pruned version of its graph uses."""
    keys = {node.key for node in graph}
    return {kind: {key: value for key, value in tree.items() if key in keys} for kind, tree in variables.items()}


def gain_carriers(graph: Graph) -> dict[str, str]:
    """{gate: the batch norm into which `absorb_gain` can move a factor on the gate's main branch}.

    Raises GraphError for a gated add whose main branch does not come from a batch norm of its own, through nothing but
    a ReLU.
    """
    carriers = {}
    for node in graph:
        if node.gate:
            at = node.inputs[0]
            while graph[at].op == 'relu' and len(graph.consumers[at]) == 1:
                at = graph[at].inputs[0]
            if graph[at].op != 'batch_norm' or len(graph.consumers[at]) != 1 or node.gate in carriers:
                raise GraphError(
                    f'node {node.name!r} (add): a variance-preserving gate leaves a factor on its main branch, which '
                    'only a batch norm '
                    f'of that branch can take, but {node.inputs[0]!r} comes from {at!r} ({graph[at].op})'
                )
            carriers[node.gate] = at
    return carriers


def absorb_gain(graph: Graph, variables: Mapping, settings: Mapping[str, int]) -> dict:
    """Variables that compute with closed gates gone what `preserve_variance` computed with them closed: sqrt(2) in the
    batch norms before them.
    """
    params = dict(variables['params'])
    for gate, carrier in gain_carriers(graph).items():
        if settings[gate] == 0:
            params[carrier] = {key: np.float32(math.sqrt(2)) * value for key, value in params[carrier].items()}
    return {**variables, 'params': params}


def fold_variables(graph: Graph, variables: Mapping) -> dict[str, dict[str, np.ndarray]]:
    """Parameters {key of the node: {'kernel', 'bias'}} of `rewrite.fold(graph)`, batch norms folded with their running
    statistics, in float64.
    """
    params, stats = jax.device_get((variables['params'], variables.get('batch_stats', {})))
    folded: dict[str, dict[str, np.ndarray]] = {}
    for node in graph:
        if node.weighted:
            kernel = np.asarray(params[node.key]['kernel'], np.float64)
            folded[node.key] = {
                'kernel': kernel,
                'bias': np.asarray(params[node.key].get('bias', np.zeros(node.shape[2])), np.float64),
            }
        elif node.op == 'batch_norm':
            conv = folded[graph[node.inputs[0]].key]
            factor = params[node.name]['scale'] / np.sqrt(np.float64(BATCH_NORM_EPSILON) + stats[node.name]['var'])
            conv['kernel'] = conv['kernel'] * factor
            conv['bias'] = (conv['bias'] - stats[node.name]['mean']) * factor + params[node.name]['bias']
    return {name: {key: value.astype(np.float32) for key, value in entry.items()} for name, entry in folded.items()}
