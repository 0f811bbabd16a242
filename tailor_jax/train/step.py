"""The training step: one pure function, data-parallel with pmap.

    loss = (1 - d) CE(y, label) + d distill(y, y_teacher) + cost_weight * cost(p) + sum over r of m_r excess_r(p)

with y the logits of the network under one draw of the gates, p the gates' P(open), d the share of distillation, and
`cost` and `excess` any functions of {gate: probability}: this package does not know hardware. A constraint excess_r(p)
<= 0 is met by ascent on its multiplier, which starts anew once the constraint holds (dual restarts, Gallego-Posada et
al. 2022, arXiv 2208.04425; without them the multiplier that has built up goes on closing gates long after there is room
again),

    m_r <- m_r + dual_learning_rate * excess_r(p) where that excess is positive, else 0

Gates that learn are drawn; gates that follow a timetable (`Context.switches`) take its value; the others are open.

The state is an ordinary replicated pytree: pmap takes it with in_axes=None, averages the gradients over the axis
'batch' and returns it with out_axes=None. Every device draws the same gates, from fold_in(key(seed), step); batch
statistics are averaged over all devices.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from tailor_jax import dirac
from tailor_jax import gates as gate_lib
from tailor_jax.graph import Graph
from tailor_jax.model import Net
from tailor_jax.quantization.quant import quantize_params
from tailor_jax.quantization.scales import learned_fracs
from tailor_jax.quantization.spec import QuantSpec
from tailor_jax.train import losses
from tailor_jax.train.optimizer import make_optimizer
from tailor_jax.train.recipe import Recipe

AXIS = 'batch'


class TrainState(flax.struct.PyTreeNode):
    """A checkpoint's content: `params` = {'net': by node, 'gates': log_alpha by gate}, `multipliers` by constraint."""

    step: jax.Array
    params: dict
    batch_stats: dict
    opt_state: optax.OptState
    multipliers: dict = flax.struct.field(default_factory=dict)


class Context(flax.struct.PyTreeNode):
    """What a step reads and does not change; its leaves are traced, so that a sweep compiles once.

    Attributes:
      seed: of the gates' draws.
      teacher: variables of the teacher, {} without distillation.
      cost_weight: factor of the cost term.
      switches: timetable of the gates that do not learn, see `gates.scheduled`.
    """

    seed: jax.Array
    teacher: dict
    cost_weight: jax.Array
    switches: dict = flax.struct.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A trained network that a student starts from, or is taught by, or both.

    Attributes:
      graph: the network.
      variables: {'params', 'batch_stats'} of it.
      share: of distillation in the student's loss, d above; 0 for none.
      temperature: of the KL distillation; 0 takes the squared error of the logits instead.
    """

    graph: Graph
    variables: Mapping
    share: float = 0.0
    temperature: float = 0.0


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a phase of training runs and minimizes; static.

    Attributes:
      graph: the network.
      quant: its quantization, for a folded graph.
      teacher: the teacher's graph, None without distillation.
      distill_share: d above, 0 to 1.
      temperature: of the KL distillation; 0 takes the squared error of the logits instead.
      cost: {gate: P(open)} -> scalar, None for no cost term.
      excess: {gate: P(open)} -> {constraint: scalar, at most 0 where it is met}, None for no constraints.
      compute_dtype: of convolutions and normalization, 'float32' or 'bfloat16'; parameters, statistics and losses are
        float32.
      preserve_variance: form of the gated adds, see `model`.
      leaky: (slope, steps): ReLUs start with this negative slope, which falls in a straight line to 0 in this many
        steps; None for plain ReLUs.
    """

    graph: Graph
    quant: QuantSpec | None = None
    teacher: Graph | None = None
    distill_share: float = 0.35
    temperature: float = 0.0
    cost: Callable[[Mapping[str, jax.Array]], jax.Array] | None = None
    excess: Callable[[Mapping[str, jax.Array]], dict[str, jax.Array]] | None = None
    compute_dtype: str = 'float32'
    preserve_variance: bool = False
    leaky: tuple[float, int] | None = None


def init_state(
    variables: Mapping, gates: Mapping[str, jax.Array], recipe: Recipe, constraints: Iterable[str] = ()
) -> TrainState:
    """A state at step 0 from a network's variables, its gates' parameters ({} for none) and constraints' names."""
    params = {'net': dict(variables['params']), 'gates': dict(gates)}
    multipliers = {name: jnp.float32(0) for name in constraints}
    return TrainState(
        jnp.int32(0), params, dict(variables.get('batch_stats', {})), make_optimizer(recipe).init(params), multipliers
    )


def replicate(tree: Any, devices: Sequence[jax.Device] | None = None) -> Any:
    """A copy of a pytree on every device, laid out as the step's outputs are, so that no step compiles twice."""
    mesh = jax.sharding.Mesh(np.array(devices or jax.local_devices()), (AXIS,))
    return jax.device_put(
        jax.tree.map(np.array, jax.device_get(tree)), jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    )


def _loss(
    params: dict, objective: Objective, state: TrainState, batch: Mapping, context: Context
) -> tuple[jax.Array, tuple[dict, dict]]:
    graph, dtype = objective.graph, jnp.dtype(objective.compute_dtype)
    drawn = gate_lib.sample(params['gates'], jax.random.fold_in(jax.random.key(context.seed), state.step))
    values = drawn | gate_lib.scheduled(context.switches, state.step)
    net_params = (
        quantize_params(graph, params['net'], objective.quant) if objective.quant else dirac.merge(params['net'])
    )
    net = Net(graph, objective.quant, AXIS, dtype, objective.preserve_variance)
    logits, updates = net.apply(
        {'params': net_params, 'batch_stats': state.batch_stats},
        batch['image'],
        values,
        train=True,
        negative_slope=_slope(objective, state.step),
        fracs=learned_fracs(graph, params['net'], objective.quant) if objective.quant else None,
        mutable=['batch_stats'],
    )

    soft = batch.get('soft_label')
    per_image = (
        losses.cross_entropy(logits, batch['label']) if soft is None else losses.soft_cross_entropy(logits, soft)
    )
    metrics = {'cross_entropy': jnp.mean(per_image)}
    loss = metrics['cross_entropy']
    if objective.teacher is not None and objective.distill_share > 0:
        wanted: Any = jax.lax.stop_gradient(Net(objective.teacher, dtype=dtype).apply(context.teacher, batch['image']))
        per_example = (
            losses.distill_kl(logits, wanted, objective.temperature)
            if objective.temperature
            else losses.distill_mse(logits, wanted)
        )
        metrics['distillation'] = jnp.mean(per_example)
        loss = (1 - objective.distill_share) * loss + objective.distill_share * metrics['distillation']
    if objective.cost is not None:
        metrics['cost'] = objective.cost(gate_lib.p_open(params['gates']))
        loss = loss + context.cost_weight * metrics['cost']
    excess = objective.excess(gate_lib.p_open(params['gates'])) if objective.excess else {}
    for name, value in excess.items():
        metrics |= {f'excess/{name}': value, f'multiplier/{name}': state.multipliers[name]}
        loss = loss + state.multipliers[name] * value
    metrics |= {'loss': loss, 'accuracy': jnp.mean(jnp.argmax(logits, -1) == batch['label'])}
    metrics |= {f'p_open/{name}': value for name, value in values.items() if name not in drawn}
    return loss, (metrics, updates.get('batch_stats', {}))


def _slope(objective: Objective, step: jax.Array) -> jax.Array | None:
    if objective.leaky is None:
        return None
    slope, steps = objective.leaky
    return slope * jnp.clip(1 - step / max(steps, 1), 0.0, 1.0)


@functools.lru_cache(maxsize=16)
def make_train_step(
    objective: Objective, recipe: Recipe, devices: tuple[jax.Device, ...] | None = None
) -> Callable[..., Any]:
    """The pmapped step: (state, batch, context) -> (state, metrics), over `devices` or all local ones.

    Equal arguments share one compilation.

    `state` and `context` are as `replicate` lays them out, and the state is donated; `batch` is {'image': [devices, b,
    h, w, c], 'label': [devices, b]}, with mixup also 'soft_label': [devices, b, classes]; metrics are scalars, equal on
    all devices, with 'p_open/GATE' for every gate.
    """

    optimizer = make_optimizer(recipe)

    def step(state: TrainState, batch: Mapping, context: Context) -> tuple[TrainState, dict]:
        (_, (metrics, batch_stats)), gradient = jax.value_and_grad(_loss, has_aux=True)(
            state.params, objective, state, batch, context
        )
        gradient, metrics, batch_stats = jax.lax.pmean((gradient, metrics, batch_stats), AXIS)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        excess = {name: metrics[f'excess/{name}'] for name in state.multipliers}
        multipliers = {
            name: jnp.where(excess[name] > 0, value + recipe.dual_learning_rate * excess[name], 0.0)
            for name, value in state.multipliers.items()
        }
        metrics |= {f'p_open/{name}': value for name, value in gate_lib.p_open(params['gates']).items()}
        return TrainState(state.step + 1, params, batch_stats, opt_state, multipliers), metrics

    return jax.pmap(step, axis_name=AXIS, in_axes=(None, 0, None), out_axes=None, donate_argnums=0, devices=devices)


@functools.lru_cache(maxsize=16)
def predict(graph: Graph, quant: QuantSpec | None = None, preserve_variance: bool = False) -> Callable[..., jax.Array]:
    """The jitted evaluation forward pass: (variables, gates, images [b, h, w, c]) -> logits [b, classes]."""

    @jax.jit
    def apply(variables: Mapping, gates: Mapping[str, jax.Array], images: jax.Array) -> Any:
        if quant:
            variables = {'params': quantize_params(graph, variables['params'], quant)}
        return Net(graph, quant, preserve_variance=preserve_variance).apply(variables, images, gates)

    return apply
