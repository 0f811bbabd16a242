"""How skips go: timetables of gates, aids to removal, budgets; each against another route to the same numbers."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_net import IMAGES, LABELS, ONE, RNG, lively, net

import costmodel
from costmodel.expectation.budget import meets, settings_by_likelihood, settings_within
from experiments.methods import method, rounds, scheduled
from tailor_jax import build, dirac, gates, model, rewrite
from tailor_jax.train import step
from tailor_jax.train.recipe import Recipe
from tailor_jax.train.step import Context, Objective

# ---- timetables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('ramp', [0, 4])
def test_a_plan_switches_at_its_step(ramp):
    timetable = {'a': np.array([1, 0, 3, ramp], np.float32), 'b': np.array([0, 1, 5, ramp], np.float32)}
    for at in range(12):
        for name, (start, end, first, _) in timetable.items():
            done = float(at >= first) if ramp == 0 else min(max((at - first) / ramp, 0), 1)
            assert float(gates.scheduled(timetable, jnp.int32(at))[name]) == pytest.approx(start + (end - start) * done)


def test_removal_goes_from_the_input_to_the_output_and_ends_without_skips():
    graph = net(depth=20)
    timetable = scheduled.switches(graph, every_updates=7.5, ramp_steps=0)
    assert list(timetable) == list(graph.gates) and [timetable[gate][2] for gate in graph.gates] == [
        round(7.5 * (index + 1)) for index in range(9)
    ]
    assert rewrite.binarize(graph, method.after(graph)) == net('none', depth=20)
    assert rewrite.binarize(graph, method.before(graph)) == rewrite.binarize(graph, dict.fromkeys(graph.gates, 1))


@pytest.mark.parametrize('depth, width', [(20, 4), (50, 8)])
def test_the_shortener_goes_block_by_block_from_one_long_skip_to_short_ones(depth, width):
    graph = build.resnet(depth, (32, 32, 3), width=width, skips='long_post+short')
    short = build.resnet(depth, (32, 32, 3), width=width, skips='short')
    assert rewrite.binarize(graph, method.after(graph, shortens=True)) == rewrite.binarize(
        short, dict.fromkeys(short.gates, 1)
    )
    teacher = rewrite.binarize(graph, method.before(graph, shortens=True))
    adds = [node for node in teacher if node.op == 'add']
    assert len(adds) == len(method.units(graph, shortens=True))
    assert all(teacher[node.inputs[0]].op == 'relu' for node in adds)  # added after the ReLU
    timetable = scheduled.switches(graph, 10, 0, shortens=True)
    for number, unit in enumerate(method.units(graph, shortens=True), start=1):
        assert len({graph[gate].block for gate in unit}) == 1 and {timetable[gate][2] for gate in unit} == {10 * number}


def test_rounds_close_groups_of_skips():
    settings = rounds.rounds(net('short_pre', depth=20), 3)
    assert [sum(each.values()) for each in settings] == [6, 3, 0]
    assert all(before[gate] >= after[gate] for before, after in itertools.pairwise(settings) for gate in before)
    assert list(settings[0].values()) == [0] * 3 + [1] * 6


def test_a_timed_gate_trains_as_the_pruned_network_once_it_is_closed():
    """One step with every gate closed by the timetable, and one of the pruned network: the same loss and the same next
    parameters.
    """
    graph, recipe = net(), Recipe(4, 0.05)
    pruned, variables = rewrite.remove(graph, graph.gates), lively(graph)
    timetable = {gate: np.array([1, 0, 0, 0], np.float32) for gate in graph.gates}
    results = []
    for each, start, switches in ((graph, variables, timetable), (pruned, model.restrict(variables, pruned), {})):
        state, context = step.replicate(
            (step.init_state(start, {}, recipe), Context(jnp.uint32(0), {}, jnp.float32(0), switches)), ONE
        )
        state, metrics = step.make_train_step(Objective(each), recipe, ONE)(
            state, {'image': IMAGES[None], 'label': LABELS[None]}, context
        )
        results.append((jax.device_get(state.params['net']), float(metrics['loss'])))
    (timed, timed_loss), (removed, removed_loss) = results
    assert timed_loss == pytest.approx(removed_loss, rel=1e-6)
    for name, entry in removed.items():
        for key, value in entry.items():
            np.testing.assert_allclose(timed[name][key], value, rtol=1e-4, atol=1e-6, err_msg=f'{name} {key}')


# ---- aids ------------------------------------------------------------------------------------------------------------


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
    warm = dirac.merge(dirac.attach(graph, variables['params'], trained=True))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), warm, dict(variables['params']))
    scratch = dirac.merge(dirac.attach(graph, variables['params'], trained=False))
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
    for each in (params, jax.device_get(dirac.merge(params))):
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


# ---- budgets ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def priced():
    graph = net(depth=20)
    return graph, costmodel.tabulate(graph, costmodel.dataflow(interval_cycles=4096))


@pytest.fixture(scope='module')
def every_cost(priced):
    """{values of the gates: the exact cost of the pruned network}."""
    graph, _ = priced
    target = costmodel.settled(graph, costmodel.dataflow(interval_cycles=4096))
    return {
        values: costmodel.evaluate(rewrite.binarize(graph, dict(zip(graph.gates, values))), target).total
        for values in itertools.product((0, 1), repeat=len(graph.gates))
    }


def test_settings_come_in_the_order_of_their_likelihood():
    p = dict(zip('abcdefg', RNG.uniform(0.02, 0.98, 7)))

    def likelihood(setting):
        return math.prod(p[gate] if value else 1 - p[gate] for gate, value in setting.items())

    listed = list(settings_by_likelihood(p))
    assert {tuple(setting.items()) for setting in listed} == {
        tuple(zip(p, values)) for values in itertools.product((0, 1), repeat=7)
    }
    likelihoods = [likelihood(setting) for setting in listed]
    assert likelihoods == pytest.approx(sorted(likelihoods, reverse=True))


@pytest.mark.parametrize('maximal', [False, True])
def test_settings_within_a_budget_by_enumeration(priced, every_cost, maximal):
    graph, table = priced
    p = dict(zip(graph.gates, RNG.uniform(0.05, 0.95, len(graph.gates))))
    ends = [costmodel.expected(table, dict.fromkeys(graph.gates, end)) for end in (0.0, 1.0)]
    budget = {
        'fifo_bits': float(ends[0]['fifo_bits'] + 0.4 * (ends[1]['fifo_bits'] - ends[0]['fifo_bits'])),
        'lut': float(ends[1]['lut']),
    }
    fits = {values: all(cost[name] <= limit for name, limit in budget.items()) for values, cost in every_cost.items()}
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
