"""Chains with a state and a choice among them, made of random numbers: the table's expectation against walking the
chain.
"""

import itertools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import costmodel
from costmodel.expectation.chain import Chain, Choice, Link, carried
from costmodel.expectation.table import packed

REDUCTIONS = {'bytes': 'sum', 'cycles': 'sum', 'buffer': 'max'}
LIMIT = 12


def random_chain(rng: random.Random, sizes: list[int], largest: int) -> Chain:
    """Links of so many gates, one to three states between them."""
    counts = [1, *(rng.randint(1, 3) for _ in sizes)]
    links, gate = [], 0
    for size, before, after in zip(sizes, counts, counts[1:]):
        gates = tuple(f'gate{gate + index}' for index in range(size))
        gate += size
        cost = {
            name: [[rng.randint(0, largest) for _ in range(1 << size)] for _ in range(before)] for name in REDUCTIONS
        }
        costs = tuple(
            tuple({name: cost[name][state][setting] for name in REDUCTIONS} for setting in range(1 << size))
            for state in range(before)
        )
        links.append(
            Link(gates, costs, tuple(tuple(rng.randrange(after) for _ in range(1 << size)) for _ in range(before)))
        )
    return Chain(dict.fromkeys(REDUCTIONS, 0) | {'bytes': rng.randint(0, 5)}, tuple(links))


def walk(chain: Chain, setting: dict[str, int]) -> dict[str, int]:
    state, total = 0, dict(chain.constant)
    for link in chain.links:
        index = sum(setting[gate] << place for place, gate in enumerate(link.gates))
        cost = link.costs[state][index]
        total = {
            name: max(total[name], cost[name]) if kind == 'max' else total[name] + cost[name]
            for name, kind in REDUCTIONS.items()
        }
        state = link.after[state][index]
    return total


def mean(chain: Chain, p: dict[str, float]) -> dict[str, float]:
    found = dict.fromkeys(REDUCTIONS, 0.0)
    for bits in itertools.product((0, 1), repeat=len(p)):
        setting = dict(zip(p, bits))
        chance = float(np.prod([p[gate] if value else 1 - p[gate] for gate, value in setting.items()]))
        for name, value in walk(chain, setting).items():
            found[name] += chance * value
    return found


def gates_of(sizes: list[int]) -> tuple[str, ...]:
    return tuple(f'gate{index}' for index in range(sum(sizes)))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.integers(0, 1 << 32))
def test_a_state_is_carried_along(sizes, seed):
    rng = random.Random(seed)
    chain, gates = random_chain(rng, sizes, 20), gates_of(sizes)
    table = packed(gates, REDUCTIONS, [chain])
    setting = {gate: rng.randint(0, 1) for gate in gates}
    assert costmodel.expected(table, setting) == walk(chain, setting)
    p = {gate: rng.random() for gate in gates}
    for name, value in costmodel.expected(table, p).items():
        assert float(value) == pytest.approx(mean(chain, p)[name], rel=1e-12), name


@given(st.lists(st.integers(1, 2), min_size=1, max_size=4), st.integers(2, 5), st.integers(0, 1 << 32))
def test_the_best_chain_that_fits_is_taken(sizes, count, seed):
    """At a vertex the best of the pruned network; elsewhere the best in expectation of those that always fit, with its
    gradient.
    """
    rng = random.Random(seed)
    gates = gates_of(sizes)
    chains = [
        random_chain(rng, sizes, LIMIT),
        *(random_chain(rng, sizes, LIMIT + rng.choice([0, 1])) for _ in range(count - 1)),
    ]
    rng.shuffle(chains)
    table = packed(gates, REDUCTIONS, chains, Choice('bytes', 'buffer', LIMIT, 'room', 'chooser'))
    assert table.resources == ('bytes', 'cycles', 'buffer')
    setting = {gate: rng.randint(0, 1) for gate in gates}
    fitting = [total for chain in chains if (total := walk(chain, setting))['buffer'] <= LIMIT]
    assert costmodel.expected(table, setting) == min(fitting, key=lambda total: total['bytes'])

    def fits(chain: Chain) -> bool:
        return all(
            walk(chain, dict(zip(gates, bits)))['buffer'] <= LIMIT
            for bits in itertools.product((0, 1), repeat=len(gates))
        )

    p = {gate: rng.uniform(0.1, 0.9) for gate in gates}
    always = [chain for chain in chains if fits(chain)]
    best = min(always, key=lambda chain: mean(chain, p)['bytes'])
    for name, value in costmodel.expected(table, p).items():
        assert float(value) == pytest.approx(mean(best, p)[name], rel=1e-12), name


def test_the_choice_crosses_jit_and_the_gradient_is_that_of_the_chosen_chain():
    rng, sizes = random.Random(3), [1, 2, 0, 1]
    gates, chains = gates_of(sizes), [random_chain(rng, sizes, 10) for _ in range(4)]
    table, p = (
        packed(gates, REDUCTIONS, chains, Choice('bytes', 'buffer', 10, 'room', 'chooser')),
        {gate: 0.3 for gate in gates_of(sizes)},
    )
    best = min(chains, key=lambda chain: mean(chain, p)['bytes'])
    passed = jax.jit(costmodel.expected)(table, {gate: jnp.float32(value) for gate, value in p.items()})
    for name, value in mean(best, p).items():
        assert float(passed[name]) == pytest.approx(value, rel=1e-5)
    every = jax.jit(jax.jacrev(lambda p: jnp.stack([costmodel.expected(table, p)[name] for name in REDUCTIONS])))
    gradient = every({gate: jnp.float32(value) for gate, value in p.items()})
    for index, name in enumerate(REDUCTIONS):
        for gate in gates:
            slope = mean(best, p | {gate: 1})[name] - mean(best, p | {gate: 0})[name]
            assert float(gradient[gate][index]) == pytest.approx(slope, rel=1e-4, abs=1e-4)


def test_where_nothing_always_fits_the_least_that_is_needed_is_told():
    chain = Chain(
        dict.fromkeys(REDUCTIONS, 0),
        (
            Link(
                ('gate0',),
                (({'bytes': 1, 'cycles': 1, 'buffer': 5}, {'bytes': 1, 'cycles': 1, 'buffer': 9}),),
                ((0, 0),),
            ),
        ),
    )
    with pytest.raises(
        costmodel.CostError, match='chooser: no alternative keeps buffer within room=8 .*least room that would do is 9'
    ):
        packed(('gate0',), REDUCTIONS, [chain], Choice('bytes', 'buffer', 8, 'room', 'chooser'))


def test_only_states_that_can_be_reached_are_run():
    seen = []

    def run(setting, state):
        seen.append(state)
        return {'bytes': state, 'cycles': 0, 'buffer': 0}, state + sum(setting.values())

    chain = carried([(('a',), run), ((), run), (('b',), run)], 0, REDUCTIONS)
    assert len(seen) == 2 + 2 + 4 and set(seen) == {0, 1}
    assert [len(link.costs) for link in chain.links] == [1, 2, 2]
    assert costmodel.expected(packed(('a', 'b'), REDUCTIONS, [chain]), {'a': 1, 'b': 0})['bytes'] == 2
