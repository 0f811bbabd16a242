"""The laws that every target owes (design.md, section 4), for each policy of the PE array, over random residual graphs.

The default run takes few graphs a law; HYPOTHESIS_PROFILE=thorough takes 1,000 (250 for the gradient).
"""

import dataclasses
import random

import jax
import numpy as np
import pytest
from array_cases import FEW, targets
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from laws import check_gradient, check_monotone, check_vertices, price, random_setting
from random_graphs import nested_graphs

import costmodel
from costmodel.array.evaluate import POLICIES
from tailor_jax import build, rewrite
from tailor_jax.graph import Graph, Node


@st.composite
def cases(draw: st.DrawFn, max_gates: int = 8) -> tuple[Graph, costmodel.PEArray, random.Random]:
    graph, target = draw(nested_graphs(max_gates)), draw(targets())
    try:
        costmodel.tabulate(graph, target)
    except costmodel.CostError as error:
        # Too small, or too many gates in one link.
        assert 'take' in str(error) or 'interact' in str(error) or 'no alternative' in str(error), error
        assume(False)
    return graph, target, random.Random(draw(st.integers(0, 1 << 32)))


def pinned(graph: Graph, target: costmodel.PEArray, rng: random.Random) -> costmodel.PEArray:
    """The target with one of its alternatives, where it has some: a choice among them is not linear in the
    probabilities, each of them is.
    """
    alternatives = POLICIES[target.policy].alternatives
    fitting = [each for each in alternatives(graph, target) if fits(graph, each)] if alternatives else [target]
    return rng.choice(fitting)


def fits(graph: Graph, target: costmodel.PEArray) -> bool:
    try:
        costmodel.tabulate(graph, target)
    except costmodel.CostError as error:
        assert 'no alternative' in str(error)
        return False
    return True


@settings(max_examples=FEW)
@given(cases())
def test_the_expectation_at_a_vertex_is_the_cost_of_the_pruned_graph(case):
    check_vertices(*case)


@settings(max_examples=FEW)
@given(cases(max_gates=6))
def test_the_expectation_is_the_sum_over_all_settings(case):
    """Not a sample: every setting with its probability, for every resource."""
    graph, target, rng = case
    target = pinned(graph, target, rng)
    table = costmodel.tabulate(graph, target)
    p = {gate: rng.uniform(0.05, 0.95) for gate in graph.gates}
    mean = dict.fromkeys(table.resources, 0.0)
    for index in range(1 << len(p)):
        setting = {gate: index >> place & 1 for place, gate in enumerate(p)}
        chance = float(np.prod([p[gate] if value else 1 - p[gate] for gate, value in setting.items()]))
        exact = price(graph, setting, target)
        for name in table.resources:
            mean[name] += chance * exact[name]
    for name, value in costmodel.expected(table, p).items():
        assert float(value) == pytest.approx(mean[name], rel=1e-12), name


def test_a_cut_must_fit_in_every_setting_that_can_be():
    """So the expectation is that of one cut, and jumps where settings that a better cut does not fit cease to be
    possible.
    """
    graph, target = build.resnet(20), costmodel.pe_array(policy='shortcut_fusion', sram_bytes=45_000)
    closed, table = dict.fromkeys(graph.gates, 0), costmodel.tabulate(graph, target)
    always = [each for each in POLICIES[target.policy].alternatives(graph, target) if fits(graph, each)]
    least = min(price(graph, closed, each)['dram_bytes'] for each in always)
    assert float(costmodel.expected(table, closed)['dram_bytes']) == price(graph, closed, target)['dram_bytes'] < least
    assert float(costmodel.expected(table, dict.fromkeys(graph.gates, 1e-9))['dram_bytes']) == pytest.approx(
        least, rel=1e-6
    )


@settings(max_examples=max(3, FEW // 4))  # jax compiles anew for every table's shape
@given(cases())
def test_the_gradient_is_the_finite_difference(case):
    graph, target, rng = case
    assume(graph.gates)
    check_gradient(graph, pinned(graph, target, rng), rng, lambda value: jax.jit(jax.grad(value)))


@settings(max_examples=FEW)
@given(cases(max_gates=8 if settings.default.max_examples > 25 else 6))  # a table of 8 gates takes seconds
def test_removing_a_skip_never_raises_a_monotone_cost(case):
    check_monotone(*case)


@settings(max_examples=FEW)
@given(cases(max_gates=6))
def test_a_choice_is_the_best_alternative_for_the_probabilities(case):
    """Among those that fit under every setting; all settings are possible here."""
    graph, target, rng = case
    target = dataclasses.replace(target, policy='shortcut_fusion')
    tables = {
        each: costmodel.tabulate(graph, each)
        for each in POLICIES['shortcut_fusion'].alternatives(graph, target)
        if fits(graph, each)
    }
    assume(tables)
    p = {gate: rng.uniform(0.05, 0.95) for gate in graph.gates}
    apart = [costmodel.expected(table, p) for table in tables.values()]
    chosen = costmodel.expected(costmodel.tabulate(graph, target), p)
    least = min(each['dram_bytes'] for each in apart)
    assert chosen['dram_bytes'] == pytest.approx(least, rel=1e-12)
    best = [each for each in apart if each['dram_bytes'] <= least * (1 + 1e-12)]
    assert any(chosen == pytest.approx(each, rel=1e-12) for each in best)


@pytest.mark.parametrize('network', ['squeezenet', 'efficientnet_b1', 'mobilenet_v2', 'resnet20_long+short'])
@pytest.mark.parametrize('sram_bytes', [100_000, 400_000])
def test_a_vertex_of_real_networks_with_concats_and_scales(network, sram_bytes):
    graph = build.named(network, (32, 32, 3))
    target = costmodel.pe_array(
        'shortcut_fusion', policy='retain', sram_bytes=sram_bytes, fuse_add=network != 'squeezenet'
    )
    table, rng = costmodel.tabulate(graph, target), random.Random(sram_bytes)
    for _ in range(2):
        setting = random_setting(graph, rng)
        assert price(graph, setting, target) == costmodel.expected(table, setting)


WINDOW = {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}


def _torn(block: str, skip: str) -> Graph:
    """A closed gate takes away what came first of `block`, or the upsampling of the skip."""
    nodes = [
        Node('input', 'input', (), (8, 8, 2)),
        Node('a', 'conv', ('input',), (8, 8, 4), block='b1', **WINDOW),
        Node('p', 'max_pool', ('a',), (4, 4, 4), kernel=(2, 2), stride=(2, 2), block=block),
        Node('u', 'upsample', ('p',), (8, 8, 4), factor=(2, 2), block=block),
        Node('m', 'conv', ('a',), (8, 8, 4), block='b2', **WINDOW),
        Node('s', 'add', ('m', skip), (8, 8, 4), gate='g', block='b2'),
        Node('d', 'conv', ('s',), (8, 8, 8), block='b3', **WINDOW),
        Node('e', 'conv', ('d',), (4, 4, 8), stride=(2, 2), block='b4', **WINDOW),
        Node('f', 'conv', ('e',), (4, 4, 2), block='b4' if block == 'b2' else block, **WINDOW),
    ]
    return rewrite.dead_code(Graph(tuple(nodes)))


def test_shortcut_fusion_refuses_gates_that_change_which_cuts_there_are():
    """Closed, the network would be cut otherwise than its table says: other blocks follow one another, or there is one
    cut in place of two.
    """
    target = costmodel.pe_array('shortcut_fusion', policy='shortcut_fusion', sram_bytes=3000)
    for told in (costmodel.tabulate, costmodel.evaluate):
        with pytest.raises(costmodel.CostError, match="block 'b5' has nodes of other blocks between its own"):
            told(_torn('b5', 'u'), target)
        with pytest.raises(
            costmodel.CostError, match='whether this network upsamples, and cuts=0 .* give cuts=1 or cuts=2'
        ):
            told(_torn('b2', 'u'), target)
        told(_torn('b2', 'a'), target)
    graph = _torn('b2', 'u')
    for target in (
        dataclasses.replace(target, cuts=cuts, sram_bytes=size) for cuts in (1, 2) for size in (1500, 3000, 6000)
    ):
        table = costmodel.tabulate(graph, target)
        assert all(price(graph, {'g': value}, target) == costmodel.expected(table, {'g': value}) for value in (0, 1))


def test_the_state_between_blocks_matters():
    """A network of which some setting leaves a block's result on chip and another does not."""
    graph = build.resnet(56)
    table = costmodel.tabulate(graph, costmodel.pe_array('tailor_2d', policy='retain', sram_bytes=23_000))
    assert table.stacks[0].values.shape[1] == 2
    assert (table.stacks[0].values[:, 0] != table.stacks[0].values[:, 1]).any()
