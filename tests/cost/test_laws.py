"""The laws that every target owes (design.md, section 4), over random graphs with nested skips and shared gates.

The default run takes up to 16 graphs a law; HYPOTHESIS_PROFILE=thorough takes 1,000 (250 for the gradient).
"""

import dataclasses
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from laws import check_gradient, check_monotone, check_vertices, price
from random_graphs import nested_graphs
from tables import table_peak

import costmodel
from costmodel.expectation.table import MAX_GROUP_GATES
from tailor_jax import build
from tailor_jax.dataflow import folding as fold
from tailor_jax.graph import Graph, Node


@st.composite
def targets(draw: st.DrawFn, graph: Graph) -> costmodel.Dataflow:
    """Every FIFO policy, fast and slow, narrow and wide words, settled for the graph."""
    height, width, _ = graph.input.shape
    target = costmodel.dataflow(
        device=draw(st.sampled_from(['pynq_z2', 'zcu104'])),
        fifo_policy=draw(st.sampled_from(['exact', 'pow2'])),
        interval_cycles=draw(st.sampled_from([None, 4 * height * width, 40 * height * width])),
        weight_bits=draw(st.sampled_from([2, 8])),
        activation_bits=draw(st.sampled_from([2, 8, 16])),
        stream_depth=draw(st.sampled_from([2, 32, 32, 32])),
        add=draw(st.sampled_from(['separate', 'absorbed'])),
        skip=draw(st.sampled_from(['clone', 'line_buffer'])),
        dsp_packing=draw(st.booleans()),
    )
    return costmodel.settled(graph, target)


@st.composite
def cases(draw: st.DrawFn, max_gates: int = 6) -> tuple[Graph, costmodel.Dataflow, random.Random]:
    graph = draw(nested_graphs(max_gates))
    return graph, draw(targets(graph)), random.Random(draw(st.integers(0, 1 << 32)))


@given(cases())
def test_the_expectation_at_a_vertex_is_the_cost_of_the_pruned_graph(case):
    graph, target, rng = case
    table = check_vertices(graph, target, rng)
    setting = dict.fromkeys(graph.gates, 1)
    exact = price(graph, setting, target)
    if graph.gates:
        traced = costmodel.expected(table, {gate: jnp.float32(value) for gate, value in setting.items()})
        assert all(
            int(traced[name]) == exact[name]
            for name in table.resources
            if exact[name] < 1 << 24 and table_peak(table, name) < 1 << 24
        )


@given(cases(max_gates=4))
def test_the_expectation_is_the_mean_over_sampled_gates(case):
    """Within 6 standard errors, and what settings too rare to be drawn can add, for every resource."""
    graph, target, rng = case
    table = costmodel.tabulate(graph, target)
    p = {gate: rng.uniform(0.05, 0.95) for gate in graph.gates}
    expected = costmodel.expected(table, p)
    draws, known, samples = 2000, {}, []
    for _ in range(draws):
        setting = {gate: int(rng.random() < p[gate]) for gate in graph.gates}
        key = tuple(setting.values())
        if key not in known:
            known[key] = price(graph, setting, target)
        samples.append(known[key])
    for name in table.resources:
        values = np.array([sample[name] for sample in samples], float)
        tolerance = 6 * values.std() / draws**0.5 + 10 / draws * np.ptp([cost[name] for cost in known.values()])
        assert abs(values.mean() - expected[name]) <= tolerance + 1e-12 * expected[name], name


@settings(max_examples=max(8, settings.default.max_examples // 4))  # jax compiles anew for every table's shape
@given(cases())
def test_the_gradient_is_the_finite_difference(case):
    graph, target, rng = case
    assume(graph.gates)
    check_gradient(graph, target, rng, jax.grad)


@given(cases())
def test_removing_a_skip_never_raises_a_monotone_cost(case):
    check_monotone(*case)


@pytest.mark.parametrize('skips', ['long', 'short', 'short_pre', 'long+short'])
def test_every_setting_of_a_small_network(skips):
    graph = build.resnet(8, (8, 8, 3), width=4, skips=skips)
    target = costmodel.settled(graph, costmodel.dataflow())
    table = costmodel.tabulate(graph, target)
    for index in range(0, 1 << len(graph.gates), 1 if len(graph.gates) < 8 else 7):
        setting = {gate: index >> place & 1 for place, gate in enumerate(graph.gates)}
        exact = price(graph, setting, target)
        assert {name: exact[name] for name in table.resources} == costmodel.expected(table, setting)


def empty_branches(*layers: str) -> Graph:
    """A network of adds with ReLUs behind: the main branch is the input (block), the skip too (twice), or both are
    convolutions.
    """
    shape, window = (4, 4, 4), {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}
    nodes = [Node('input', 'input', (), shape), Node('stem', 'conv', ('input',), shape, **window)]
    for number, layer in enumerate(layers):
        tensor = nodes[-1].name
        match layer.split('+'):
            case ['conv', *_]:
                nodes.append(Node(f'conv{number}', 'conv', (tensor,), shape, **window))
            case ['twice', *_]:
                nodes.append(Node(f'add{number}', 'add', (tensor, tensor), shape, gate=f'gate{number}'))
            case ['block', *_]:
                nodes.append(Node(f'skip{number}', 'conv', (tensor,), shape, **window))
                nodes.append(Node(f'add{number}', 'add', (tensor, nodes[-1].name), shape, gate=f'gate{number}'))
            case ['both', *_]:
                nodes += [Node(f'{name}{number}', 'conv', (tensor,), shape, **window) for name in ('main', 'skip')]
                nodes.append(
                    Node(f'add{number}', 'add', (f'main{number}', f'skip{number}'), shape, gate=f'gate{number}')
                )
            case ['pool', *_]:
                nodes.append(Node(f'pool{number}', 'max_pool', (tensor,), shape, **window))
        for index in range(layer.count('relu')):
            nodes.append(Node(f'relu{number}{"ab"[index]}', 'relu', (nodes[-1].name,), shape))
    return Graph(tuple(nodes))


@pytest.mark.parametrize(
    'layers',
    [
        ('pool', 'block+relu', 'block+relu'),
        ('pool+relu', 'block+relu', 'block+relu+relu', 'conv'),
        ('both', 'twice+relu+relu'),
        ('block+relu', 'twice', 'both+relu', 'conv', 'block+relu'),
        ('conv+relu', 'twice', 'block', 'block+relu', 'block+relu'),
    ],
)
@pytest.mark.parametrize('built', [{'fifo_policy': 'full_map'}, {'interval_cycles': 64, 'add': 'separate'}])
def test_a_relu_that_moves_up_as_gates_close_is_priced_where_it_ends(layers, built):
    graph = empty_branches(*layers)
    target = costmodel.settled(graph, costmodel.dataflow(**built))
    table = costmodel.tabulate(graph, target)
    for index in range(1 << len(graph.gates)):
        setting = {gate: index >> place & 1 for place, gate in enumerate(graph.gates)}
        exact = price(graph, setting, target)
        assert {name: exact[name] for name in table.resources} == costmodel.expected(table, setting)


def test_a_maximum_of_independent_groups():
    """The interval's expectation against the sum over all settings, for a network whose projections are the slowest
    layers.
    """
    graph = build.resnet(14, (8, 8, 3), width=4)
    fast = costmodel.settled(graph, costmodel.dataflow(interval_cycles=128))
    slow = {'s2b0_proj': fold.Layer('all', 1, 2), 's3b0_proj': fold.Layer('all', 1, 1)}
    folding = dataclasses.replace(fast.folding, layers=fast.folding.layers | slow)
    target = dataclasses.replace(fast, folding=folding)
    table = costmodel.tabulate(graph, target)
    assert len(table.support[0]) == 3
    p = {gate: 0.1 + 0.12 * index for index, gate in enumerate(graph.gates)}
    mean = 0.0
    for index in range(1 << len(p)):
        setting = {gate: index >> place & 1 for place, gate in enumerate(p)}
        chance = np.prod([p[gate] if value else 1 - p[gate] for gate, value in setting.items()])
        mean += chance * price(graph, setting, target)['interval_cycles']
    assert costmodel.expected(table, p)['interval_cycles'] == pytest.approx(mean, rel=1e-12)


def test_a_table_is_a_pytree_and_crosses_jit():
    graph = build.resnet(8)
    table = costmodel.tabulate(graph, costmodel.dataflow())
    p = dict.fromkeys(graph.gates, jnp.float32(0.25))
    closed = jax.jit(lambda p: costmodel.expected(table, p))(p)
    passed = jax.jit(costmodel.expected)(table, p)
    for name, value in costmodel.expected(table, {gate: 0.25 for gate in p}).items():
        assert float(closed[name]) == pytest.approx(float(passed[name]), rel=1e-6) == pytest.approx(value, rel=1e-6)


def test_a_network_without_gates_costs_what_it_costs():
    graph, target = build.resnet(8, skips='none'), costmodel.dataflow()
    expected = costmodel.expected(costmodel.tabulate(graph, target), {})
    assert {name: int(value) for name, value in expected.items()} == {
        name: costmodel.evaluate(graph, target).total[name] for name in expected
    }


def test_wrong_gates_are_named():
    table = costmodel.tabulate(build.resnet(8), costmodel.dataflow())
    with pytest.raises(costmodel.CostError, match='lacks s2b0_long, s3b0_long; the table has no gate s9'):
        costmodel.expected(table, {'s1b0_long': 0.5, 's9': 1})


def test_too_many_interacting_gates_are_an_error():
    nodes, tensor = [Node('input', 'input', (), (1, 4, 1))], 'input'
    for index in range(MAX_GROUP_GATES + 1):
        nodes.append(Node(f'conv{index}', 'conv', (tensor,), (1, 4, 1), (1, 3), padding=(0, 0, 1, 1)))
        nodes.append(Node(f'add{index}', 'add', (f'conv{index}', 'input'), (1, 4, 1), gate=f'gate{index}'))
        tensor = f'add{index}'
    with pytest.raises(costmodel.CostError, match=r'13 gates interact .*at most 12'):
        costmodel.tabulate(Graph(tuple(nodes)), costmodel.dataflow())
