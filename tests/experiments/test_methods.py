"""How skips go: plans of gates, aids to removal, budgets, learned scales, optimizer options; each against another route
to the same numbers.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import costmodel
from costmodel.expectation.budget import meets, settings_by_likelihood, settings_within
from experiments import methods
from tailor_jax import build, dirac, gates, model, rewrite
from tailor_jax.integers import lower, qgraph
from tailor_jax.quantization import quant, scales
from tailor_jax.train import step
from tailor_jax.train.optimizer import Recipe, learning_rate, make_optimizer
from tailor_jax.train.step import Context, Objective

SHAPE = (8, 8, 3)
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(16, *SHAPE)).astype(np.float32)
LABELS = RNG.integers(0, 10, 16).astype(np.int32)
ONE = (jax.devices()[0],)


def net(skips='long', depth=8):
    return build.resnet(depth, SHAPE, width=4, skips=skips)


def lively(graph, seed=0):
    """Variables whose batch norms are no identities."""
    variables, rng = model.init(graph, seed), np.random.default_rng(seed)
    for tree, lo, hi in ((variables['params'], 0.5, 1.5), (variables['batch_stats'], 0.5, 2.0)):
        for name in variables['batch_stats']:
            tree[name] = {key: rng.uniform(lo, hi, value.shape).astype(np.float32) for key, value in tree[name].items()}
    return variables


# ---- plans
# -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('ramp', [0, 4])
def test_a_plan_switches_at_its_step(ramp):
    plan = {'a': np.array([1, 0, 3, ramp], np.float32), 'b': np.array([0, 1, 5, ramp], np.float32)}
    for at in range(12):
        for name, (start, end, first, _) in plan.items():
            done = float(at >= first) if ramp == 0 else min(max((at - first) / ramp, 0), 1)
            assert float(gates.scheduled(plan, jnp.int32(at))[name]) == pytest.approx(start + (end - start) * done)


def test_removal_goes_from_the_input_to_the_output_and_ends_without_skips():
    graph = net(depth=20)
    plan = methods.switches(graph, 'remove', every_updates=7.5, ramp_steps=0)
    assert list(plan) == list(graph.gates) and [plan[gate][2] for gate in graph.gates] == [
        round(7.5 * (index + 1)) for index in range(9)
    ]
    assert rewrite.binarize(graph, methods.after(graph, 'remove')) == net('none', depth=20)
    assert rewrite.binarize(graph, methods.before(graph, 'remove')) == rewrite.binarize(
        graph, dict.fromkeys(graph.gates, 1)
    )


@pytest.mark.parametrize('depth, width', [(20, 4), (50, 8)])
def test_the_shortener_goes_block_by_block_from_one_long_skip_to_short_ones(depth, width):
    graph = build.resnet(depth, (32, 32, 3), width=width, skips='long_post+short')
    short = build.resnet(depth, (32, 32, 3), width=width, skips='short')
    assert rewrite.binarize(graph, methods.after(graph, 'shorten')) == rewrite.binarize(
        short, dict.fromkeys(short.gates, 1)
    )
    teacher = rewrite.binarize(graph, methods.before(graph, 'shorten'))
    adds = [node for node in teacher if node.op == 'add']
    assert len(adds) == len(methods.units(graph, 'shorten')) and all(
        teacher[node.inputs[0]].op == 'relu' for node in adds
    )  # after the ReLU
    plan = methods.switches(graph, 'shorten', 10, 0)
    for number, unit in enumerate(methods.units(graph, 'shorten'), start=1):
        assert len({graph[gate].block for gate in unit}) == 1 and {plan[gate][2] for gate in unit} == {10 * number}


def test_rounds_close_groups_of_skips():
    settings = methods.rounds(net('short_pre', depth=20), 3)
    assert [sum(each.values()) for each in settings] == [6, 3, 0]
    assert all(before[gate] >= after[gate] for before, after in itertools.pairwise(settings) for gate in before)
    assert list(settings[0].values()) == [0] * 3 + [1] * 6


def test_a_planned_gate_trains_as_the_pruned_network_once_it_is_closed():
    """One step with every gate closed by the plan, and one of the pruned network: the same loss and the same next
    parameters.
    """
    graph, recipe = net(), Recipe(4, 0.05)
    pruned, variables = rewrite.remove(graph, graph.gates), lively(graph)
    plan = {gate: np.array([1, 0, 0, 0], np.float32) for gate in graph.gates}
    results = []
    for each, start, switches in ((graph, variables, plan), (pruned, model.restrict(variables, pruned), {})):
        state, context = step.replicate(
            (step.init_state(start, {}, recipe), Context(jnp.uint32(0), {}, jnp.float32(0), switches)), ONE
        )
        state, metrics = step.make_train_step(Objective(each), recipe, ONE)(
            state, {'image': IMAGES[None], 'label': LABELS[None]}, context
        )
        results.append((jax.device_get(state.params['net']), float(metrics['loss'])))
    (planned, planned_loss), (removed, removed_loss) = results
    assert planned_loss == pytest.approx(removed_loss, rel=1e-6)
    for name, entry in removed.items():
        for key, value in entry.items():
            np.testing.assert_allclose(planned[name][key], value, rtol=1e-4, atol=1e-6, err_msg=f'{name} {key}')


# ---- aids
# ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('skips', ['long', 'short', 'short_pre'])
def test_variance_preserving_gates_are_plain_when_open_and_absorbed_when_closed(skips):
    graph = net(skips)
    variables = lively(graph)
    preserving = model.Net(graph, preserve_variance=True)
    open_ = {gate: jnp.float32(1) for gate in graph.gates}
    np.testing.assert_array_equal(
        preserving.apply(variables, IMAGES, open_), model.Net(graph).apply(variables, IMAGES, open_)
    )
    settings = {gate: index % 2 for index, gate in enumerate(graph.gates)}
    pruned = rewrite.binarize(graph, settings)
    absorbed = model.restrict(model.absorb_gain(graph, variables, settings), pruned)
    expected = preserving.apply(variables, IMAGES, {gate: jnp.float32(value) for gate, value in settings.items()})
    np.testing.assert_allclose(model.Net(pruned).apply(absorbed, IMAGES), expected, rtol=2e-4, atol=2e-5)


def test_a_soft_add_keeps_the_variance_of_uncorrelated_branches():
    main, skip = RNG.normal(size=(2, 200_000))
    for z in (0.0, 0.3, 0.7, 1.0):
        assert np.var(math.sqrt(2 - z * z) * main + z * skip) == pytest.approx(2, rel=0.02)


def test_a_supernet_cannot_preserve_variance():
    with pytest.raises(model.GraphError, match="'s1b0_short2'.*only a batch norm of that branch"):
        model.gain_carriers(net('long+short'))


def test_dirac_kernels_against_their_definition():
    graph = net()
    variables = lively(graph)
    assert dirac.branches(graph) == tuple(f's{stage}b0_conv{index}' for stage in (1, 2, 3) for index in (1, 2))
    warm = dirac.fold(dirac.attach(graph, variables['params'], trained=True))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), warm, dict(variables['params']))
    scratch = dirac.fold(dirac.attach(graph, variables['params'], trained=False))
    kernel, got = variables['params']['s2b0_conv1']['kernel'], np.asarray(scratch['s2b0_conv1']['kernel'])
    for channel in range(kernel.shape[-1]):
        expected = 0.1 * kernel[..., channel] / np.linalg.norm(kernel[..., channel])
        if channel < kernel.shape[2]:
            expected[1, 1, channel] += 1.0
        np.testing.assert_allclose(got[..., channel], expected, rtol=1e-5, atol=1e-7)


def test_a_dirac_network_is_exported_as_it_was_trained():
    """The step's loss with a and b in training equals the loss of the network with W folded in beforehand."""
    graph, recipe = net('none'), Recipe(4, 0.0)
    variables = lively(net())
    params = dirac.attach(net(), variables['params'], trained=False)
    losses = []
    for each in (params, jax.device_get(dirac.fold(params))):
        start = model.restrict({**variables, 'params': each}, graph)
        state, context = step.replicate(
            (step.init_state(start, {}, recipe), Context(jnp.uint32(0), {}, jnp.float32(0))), ONE
        )
        _, metrics = step.make_train_step(Objective(graph), recipe, ONE)(
            state, {'image': IMAGES[None], 'label': LABELS[None]}, context
        )
        losses.append(float(metrics['loss']))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_leaky_relus_end_as_plain_ones():
    graph = net()
    variables, run = lively(graph), model.Net(graph)
    np.testing.assert_array_equal(run.apply(variables, IMAGES, negative_slope=0.0), run.apply(variables, IMAGES))
    assert not np.allclose(run.apply(variables, IMAGES, negative_slope=0.3), run.apply(variables, IMAGES))
    objective = Objective(graph, leaky=(0.4, 10))
    assert [float(step._slope(objective, jnp.int32(at))) for at in (0, 5, 10, 50)] == pytest.approx(
        [0.4, 0.2, 0.0, 0.0]
    )


# ---- optimizer
# -------------------------------------------------------------------------------------------------------------


def test_learning_rates_against_their_formulas():
    cosine = learning_rate(Recipe(100, 0.4, warmup_steps=10))
    stepped = learning_rate(Recipe(100, 0.4, warmup_steps=10, schedule='step', decay_steps=30, decay_factor=0.1))
    constant = learning_rate(Recipe(100, 0.4, schedule='constant'))
    for at in range(100):
        warm = 0.4 * at / 10
        assert float(cosine(at)) == pytest.approx(
            warm if at < 10 else 0.2 * (1 + math.cos(math.pi * (at - 10) / 90)), abs=1e-6
        )
        assert float(stepped(at)) == pytest.approx(warm if at < 10 else 0.4 * 0.1 ** (at // 30), rel=1e-5)
        assert float(constant(at)) == pytest.approx(0.4)
    with pytest.raises(ValueError, match='schedule must be one of cosine, step, constant'):
        learning_rate(Recipe(10, 0.1, schedule='stairs'))


def test_accumulated_gradients_are_those_of_the_whole_batch():
    """A folded network has no batch norms, so a batch in two parts must train as the whole."""
    graph = rewrite.fold(net('none'))
    params = model.fold_variables(net('none'), lively(net('none')))
    whole, parts = (
        Recipe(2, 0.1, weight_decay=1e-3, clip_norm=1.0),
        Recipe(2, 0.1, weight_decay=1e-3, clip_norm=1.0, accumulate=2),
    )
    ends = []
    for recipe, chunks in ((whole, [slice(0, 16)]), (parts, [slice(0, 8), slice(8, 16)])):
        state, context = step.replicate(
            (step.init_state({'params': params}, {}, recipe), Context(jnp.uint32(0), {}, jnp.float32(0))), ONE
        )
        run = step.make_train_step(Objective(graph), recipe, ONE)
        for chunk in chunks * 2:
            state, _ = run(state, {'image': IMAGES[None, chunk], 'label': LABELS[None, chunk]}, context)
        ends.append(jax.device_get(state.params['net']))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *ends)


def test_bfloat16_computes_near_float32_and_keeps_float32_state():
    graph, recipe = net(), Recipe(2, 0.1)
    losses = []
    for dtype in ('float32', 'bfloat16'):
        state, context = step.replicate(
            (step.init_state(lively(graph), {}, recipe), Context(jnp.uint32(0), {}, jnp.float32(0))), ONE
        )
        run = step.make_train_step(Objective(graph, compute_dtype=dtype), recipe, ONE)
        state, metrics = run(state, {'image': IMAGES[None], 'label': LABELS[None]}, context)
        losses.append(float(metrics['loss']))
        assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.batch_stats))} == {jnp.dtype('float32')}
    assert losses[1] == pytest.approx(losses[0], rel=0.05) and losses[0] != losses[1]


def test_only_kernels_decay():
    params = {
        'net': {'a': {'kernel': jnp.ones((2, 2)), 'bias': jnp.ones(2), 'dirac_a': jnp.ones(2), 'frac': jnp.ones(())}},
        'gates': {'g': jnp.ones(())},
    }
    optimizer = make_optimizer(
        Recipe(10, 1.0, weight_decay=0.5, schedule='constant', scale_learning_rate=0.1, gate_learning_rate=0.1)
    )
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    moved = {
        jax.tree_util.keystr(path): bool(np.any(value)) for path, value in jax.tree_util.tree_leaves_with_path(updates)
    }
    assert [name for name, value in moved.items() if value] == ["['net']['a']['kernel']"]


# ---- budgets
# ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def priced():
    graph = net(depth=20)
    return graph, costmodel.tabulate(graph, costmodel.dataflow(interval_cycles=4096))


def test_settings_come_in_the_order_of_their_likelihood():
    p = dict(zip('abcdefg', RNG.uniform(0.02, 0.98, 7)))
    likelihood = lambda setting: math.prod(p[gate] if value else 1 - p[gate] for gate, value in setting.items())  # noqa: E731
    listed = list(settings_by_likelihood(p))
    assert {tuple(setting.items()) for setting in listed} == {
        tuple(zip(p, values)) for values in itertools.product((0, 1), repeat=7)
    }
    likelihoods = [likelihood(setting) for setting in listed]
    assert likelihoods == pytest.approx(sorted(likelihoods, reverse=True))


@pytest.mark.parametrize('maximal', [False, True])
def test_settings_within_a_budget_by_enumeration(priced, maximal):
    graph, table = priced
    p = dict(zip(graph.gates, RNG.uniform(0.05, 0.95, len(graph.gates))))
    ends = [costmodel.expected(table, dict.fromkeys(graph.gates, end)) for end in (0.0, 1.0)]
    budget = {
        'fifo_bits': float(ends[0]['fifo_bits'] + 0.4 * (ends[1]['fifo_bits'] - ends[0]['fifo_bits'])),
        'lut': float(ends[1]['lut']),
    }
    target = costmodel.dataflow(interval_cycles=4096)
    fits = {}
    for values in itertools.product((0, 1), repeat=len(graph.gates)):
        setting = dict(zip(graph.gates, values))
        cost = costmodel.evaluate(rewrite.binarize(graph, setting), target).total
        fits[values] = all(cost[name] <= limit for name, limit in budget.items())
    good = [values for values, fit in fits.items() if fit]
    if maximal:
        good = [v for v in good if not any(fits[(*v[:i], 1, *v[i + 1 :])] for i in range(len(v)) if not v[i])]
    good.sort(key=lambda values: -sum(math.log(p[g] if v else 1 - p[g]) for g, v in zip(graph.gates, values)))
    found = settings_within(table, p, budget, 5, maximal)
    assert [tuple(setting.values()) for setting in found] == good[:5]


def test_a_budget_that_cannot_be_met(priced):
    graph, table = priced
    with pytest.raises(
        costmodel.CostError,
        match=r'no setting of the gates meets the budget; with no skip at all the network needs lut \d+ of 10',
    ):
        settings_within(table, dict.fromkeys(graph.gates, 0.5), {'lut': 10.0}, 1)


def test_an_improbable_budget_is_still_met(priced, monkeypatch):
    """Where the search gives up, skips are opened one by one from none."""
    graph, table = priced
    monkeypatch.setattr('costmodel.expectation.budget.SEARCHED', 3)
    none = costmodel.expected(table, dict.fromkeys(graph.gates, 0.0))['fifo_bits']
    (setting,) = settings_within(table, dict.fromkeys(graph.gates, 0.999), {'fifo_bits': float(none) + 4000}, 1)
    assert meets(table, setting, {'fifo_bits': float(none) + 4000}) and sum(setting.values()) > 0


def test_the_multiplier_rises_above_the_budget_and_starts_anew_below_it():
    graph, recipe = net(), Recipe(4, 0.0, dual_learning_rate=0.5)
    for limit, expected in ((0.2, [0.3, 0.6]), (0.9, [0.0, 0.0])):
        excess = Excess(limit)
        state = step.init_state(lively(graph), gates.init(graph.gates, 0.8), recipe, ['mean'])
        state, context = step.replicate((state, Context(jnp.uint32(0), {}, jnp.float32(0))), ONE)
        run = step.make_train_step(Objective(graph, excess=excess), recipe, ONE)
        for value in expected:
            state, metrics = run(state, {'image': IMAGES[None], 'label': LABELS[None]}, context)
            assert float(state.multipliers['mean']) == pytest.approx(value, abs=1e-5)
        assert float(metrics['loss']) == pytest.approx(
            float(metrics['cross_entropy'] + metrics['multiplier/mean'] * metrics['excess/mean']), rel=1e-5
        )


class Excess:
    """Mean P(open) over a limit."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, p):
        return {'mean': sum(p.values()) / len(p) - self.limit}


# ---- quantization
# ----------------------------------------------------------------------------------------------------------


def quantized(skips='short', **bits):
    graph = net(skips)
    settled = rewrite.binarize(graph, dict.fromkeys(graph.gates, 1))
    folded, params = rewrite.fold(settled), model.fold_variables(settled, lively(settled))
    tensors = model.Net(folded).apply({'params': params}, IMAGES, capture=True)
    spec = quant.calibrate(folded, params, jax.device_get(tensors), 8, 8, **bits)
    return folded, params, spec, tensors


def test_learned_scales_start_as_the_calibrated_network_and_end_as_an_integer_one():
    folded, params, spec, _ = quantized()
    scaled = scales.add_scales(folded, params, spec)
    assert scales.settle(folded, scaled, spec) == (params, spec)
    moved = {name: {key: value + (1.6 if key == 'frac' else -0.7 if key == 'weight_frac' else 0) for key, value in entry.items()} for name, entry in scaled.items()}  # fmt: skip  # noqa: E501
    for each in (scaled, moved):
        fracs = scales.learned_fracs(folded, each, spec)
        logits = model.Net(folded, spec).apply(
            {'params': quant.quantize_params(folded, each, spec)}, IMAGES, fracs=fracs
        )
        plain, settled = scales.settle(folded, each, spec)
        integers = lower.lower(folded, plain, dict(settled.activations), dict(settled.weights))
        expected = qgraph.run_int(integers, qgraph.quantize_input(integers, IMAGES)) * np.float32(
            integers.output.out.step
        )
        np.testing.assert_array_equal(logits, expected)
    assert settled != spec and {
        kind.frac - before.frac for (_, kind), (_, before) in zip(settled.activations, spec.activations)
    } == {2}


def test_the_gradient_of_a_scale_is_its_formula():
    kind = quant.Fixed(4, 2)
    x, cotangent = RNG.normal(size=50).astype(np.float32) * 2, RNG.normal(size=50).astype(np.float32)
    got = jax.grad(lambda f: jnp.sum(scales.scaled_quant(x, f, kind) * cotangent))(jnp.float32(2))
    q = np.clip(np.floor(x * 4 + 0.5), -8, 7)
    inside = (x * 4 >= -8.5) & (x * 4 <= 7.5)
    slope = np.where(inside, q - x * 4, q) / 4  # of the quantized value, by log2 of the step
    assert float(got) == pytest.approx(float(-math.log(2) * np.sum(slope * cotangent)), rel=1e-5)
    # Clipped values alone: a finite difference of the exact function, over two whole steps of frac, brackets it.
    high = np.full(3, 9.0, np.float32)
    values = [float(jnp.sum(scales.scaled_quant(high, jnp.float32(f), kind))) for f in (1, 2, 3)]
    slope = float(jax.grad(lambda f: jnp.sum(scales.scaled_quant(high, f, kind)))(jnp.float32(2)))
    assert values[2] - values[1] > slope > values[1] - values[0]


def test_single_nodes_have_their_own_widths():
    _, _, spec, _ = quantized(weight_bits_of={'s1b0_conv1': 3}, activation_bits_of={'s2b0_conv1': 5})
    weights, activations = dict(spec.weights), dict(spec.activations)
    assert weights['s1b0_conv1'].bits == 3 and {
        kind.bits for name, kind in weights.items() if name != 's1b0_conv1'
    } == {8}
    assert activations['s2b0_conv1'].bits == 5 and activations['s1b0_conv1'].bits == 8
    with pytest.raises(ValueError, match="quant.weight_bits_of 's1b0_conv1' must be 2 to 16, got 1"):
        quantized(weight_bits_of={'s1b0_conv1': 1})


def test_growing_ranges_of_shortened_blocks_are_not_clipped():
    """Adds after the ReLU only ever add: their range grows along a stage, and each gets a scale of its own that holds
    it.
    """
    settled = rewrite.binarize(net('short', depth=20), dict.fromkeys(net('short', depth=20).gates, 1))
    folded, params = rewrite.fold(settled), model.fold_variables(settled, lively(settled))
    tensors = jax.device_get(model.Net(folded).apply({'params': params}, IMAGES, capture=True))
    spec = quant.calibrate(folded, params, tensors, 8, 8)
    for stage in (1, 2, 3):
        adds = [node.name for node in folded if node.op == 'add' and node.name.startswith(f's{stage}')]
        largest = [float(tensors[name].max()) for name in adds]
        assert len(adds) == 6 and all(after >= before for before, after in itertools.pairwise(largest[1:]))
        for name in adds:
            kind, values = dict(spec.activations)[name], tensors[name]
            assert np.mean(values > (kind.hi + 0.5) * kind.step) < 1e-3, name
