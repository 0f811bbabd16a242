"""Foldings that are solved against foldings by trial of all; the facts that the machine was decided by."""

import os
import subprocess
import sys
from pathlib import Path

import brute_foldings as brute
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from random_foldings import foldings
from random_graphs import nested_graphs

import costmodel
from costmodel.cost import CostError
from costmodel.streams.fold import program
from costmodel.streams.fold.catalogue import Price, catalogue
from costmodel.streams.fold.copies import Path as Copies
from costmodel.streams.fold.solve import fastest, solve
from tailor_jax import build, rewrite
from tailor_jax.dataflow import folding_file
from tailor_jax.graph import Graph, GraphError, Node

ROOT = Path(__file__).parents[2]


@st.composite
def cases(draw):
    """A small network, an interval that some folding of it meets, a price."""
    graph = rewrite.fold(draw(nested_graphs(max_gates=3)))
    assume(brute.count(graph) <= 100)
    interval = brute.interval_cycles(graph, draw(foldings(graph)))
    return graph, interval, brute.random_price(graph, draw(st.integers(0, 1 << 30)), draw(st.booleans()))


@given(cases())
def test_no_folding_takes_less(case):
    graph, interval, price = case
    found = solve(graph, interval, price)
    assert brute.interval_cycles(graph, found) <= interval
    assert brute.worth(price, brute.amounts(graph, found, price)) == brute.least(graph, interval, price, {})
    assert solve(graph, interval, price) == found


@given(cases(), st.floats(0, 1))
def test_no_folding_within_limits_takes_less(case, share):
    graph, interval, price = case
    free = brute.amounts(graph, solve(graph, interval, price), price)
    limits = {'power': round(share * free['power'])}
    best = brute.least(graph, interval, price, limits)
    if best is None:
        with pytest.raises(CostError, match=f'meets {interval} cycles and keeps to power <= {limits["power"]}'):
            solve(graph, interval, price, limits)
        return
    taken = brute.amounts(graph, solve(graph, interval, price, limits), price)
    assert taken['power'] <= limits['power'] and brute.worth(price, taken) == best


@given(cases(), st.floats(0.5, 2))
def test_no_interval_within_limits_is_shorter(case, share):
    graph, interval, price = case
    free = brute.amounts(graph, solve(graph, interval, price), price)
    limits = {resource: round(share * amount) for resource, amount in free.items()}
    try:
        found, folding = fastest(graph, price, limits)
    except CostError:
        assert brute.least(graph, 1 << 40, price, limits) is None
        return
    assert brute.interval_cycles(graph, folding) == found
    taken = brute.amounts(graph, folding, price)
    assert all(taken[resource] <= most for resource, most in limits.items())
    assert brute.worth(price, taken) == brute.least(graph, found, price, limits)
    assert brute.least(graph, found - 1, price, limits) is None


def conv(name, source, channels, shape=(4, 4), **attributes):
    return Node(name, 'conv', (source,), (*shape, channels), kernel=(3, 3), padding=(1, 1, 1, 1), **attributes)


def test_widths_that_divide_no_other_do_not_meet():
    """Layers that would have two lanes, at streams that would have three."""
    image = Node('input', 'input', (), (4, 4, 6))
    graph = Graph((image, conv('wide', 'input', 12), conv('back', 'wide', 6), conv('last', 'back', 3)))

    def layer(node, built, lanes_in, lanes_out):
        return {'area': 5 * (built.lanes != 2) + 5 * (built.outputs != 2) + 4 * (lanes_in != 3) + 4 * (lanes_out != 3)}

    price = Price(layer, lambda *_: {'area': 0}, {'area': 1})
    found = solve(graph, 1 << 20, price)
    assert brute.interval_cycles(graph, found) < 1 << 20
    assert brute.amounts(graph, found, price)['area'] == brute.least(graph, 1 << 20, price, {}) > 0


def test_a_relu_that_a_closed_skip_leaves_has_lanes():
    """Fused onto the add; where that is gone it stands alone, for another reads what it reads."""
    image = Node('input', 'input', (), (4, 4, 4))
    branches = conv('first', 'input', 4), conv('side', 'input', 4)
    joined = Node('join', 'add', ('first', 'side'), (4, 4, 4), gate='a'), Node('relu', 'relu', ('join',), (4, 4, 4))
    last = conv('second', 'relu', 4), Node('out', 'add', ('second', 'first'), (4, 4, 4), gate='b')
    graph = Graph((image, *branches, *joined, *last))
    found = solve(rewrite.fold(graph), 64, brute.dsps(average=False))
    left = rewrite.fold(rewrite.binarize(graph, {'a': 0, 'b': 1}))
    assert 'relu' in left.by_name and 'relu' not in found.lanes
    assert brute.interval_cycles(left, found) <= 64


@given(nested_graphs(), st.data())
def test_a_folding_of_the_whole_network_fits_what_closed_skips_leave(graph, data):
    whole = rewrite.fold(graph)
    interval = brute.interval_cycles(whole, data.draw(foldings(whole)))
    found = solve(whole, interval, brute.random_price(whole, data.draw(st.integers(0, 1 << 30)), True))
    for _ in range(3):
        setting = {gate: data.draw(st.integers(0, 1)) for gate in graph.gates}
        left = rewrite.fold(rewrite.binarize(graph, setting))
        assert brute.interval_cycles(left, found) <= interval


RESNET20 = rewrite.fold(build.resnet(20, (32, 32, 3)))


@pytest.mark.parametrize('taps, dsps', [('one', 1101), ('column', 830), ('all', 626)])
def test_dsps_of_a_resnet20_by_taps_a_cycle(taps, dsps):
    """Two products a DSP, 32,768 cycles an image, every layer free in lanes and outputs."""
    price = brute.dsps(average=False)
    found = solve(RESNET20, 32768, price, taps=(taps,))
    assert brute.amounts(RESNET20, found, price)['dsp'] == dsps
    assert brute.interval_cycles(RESNET20, found) <= 32768
    assert {layer.taps for name, layer in found.layers.items() if RESNET20[name].kernel != (1, 1)} == {taps}


def test_copies_change_no_sum(monkeypatch):
    """Blocks that are alike, told apart or counted."""
    graph = rewrite.fold(build.resnet(14, (16, 16, 3), width=8))
    price = brute.random_price(graph, 5, False, most=1000)
    free = solve(graph, 4096, price)
    limits = {'power': 0.9 * brute.amounts(graph, free, price)['power']}
    counted = [brute.amounts(graph, solve(graph, 4096, price, each), price) for each in ({}, limits)]
    copies = program.paths(catalogue(graph, price).classes, catalogue(graph, price).places)
    assert max(len(path.places) for path in copies[1]) > 1

    def apart(classes, places):
        hubs, found = copies
        return hubs, tuple(Copies((each[0],), (each[1],)) for path in found for each in zip(path.classes, path.places))

    monkeypatch.setattr(program, 'paths', apart)
    alone = [brute.amounts(graph, solve(graph, 4096, price, each), price) for each in ({}, limits)]
    assert [brute.worth(price, each) for each in counted] == [brute.worth(price, each) for each in alone]


def test_equal_foldings_are_told_apart_alike_in_every_process():
    """Where nothing costs anything all foldings are equal: the fewest lanes, and the same from run to run."""
    free = Price(lambda *_: {}, lambda *_: {}, {'dsp': 1.0})
    found = solve(RESNET20, 32768, free)
    assert set(found.lanes.values()) == {1}
    code = (
        'import sys; sys.path.insert(0, "tests/support"); import brute_foldings as brute\n'
        'from costmodel.streams.fold.solve import solve\nfrom tailor_jax import build, rewrite\n'
        'graph = rewrite.fold(build.resnet(20, (32, 32, 3)))\n'
        'print(repr(solve(graph, 32768, brute.random_price(graph, 3, False, most=2))))'
    )
    runs = [
        subprocess.run(
            [sys.executable, '-c', code],
            cwd=ROOT,
            env=os.environ | {'PYTHONHASHSEED': seed, 'PYTHONPATH': str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ('1', '2')
    ]
    assert runs[0] == runs[1] == repr(solve(RESNET20, 32768, brute.random_price(RESNET20, 3, False, most=2))) + '\n'


def test_an_interval_that_is_too_short_names_the_node_and_the_nearest():
    price = brute.dsps(average=True)
    message = (
        r"^node 'input' \(input\): it needs at least 1024 cycles an image, so an interval of 1000 cycles cannot be "
        r'met; the nearest that this network can meet is interval_cycles=1024$'
    )
    with pytest.raises(CostError, match=message):
        solve(RESNET20, 1000, price)
    assert brute.interval_cycles(RESNET20, solve(RESNET20, 1024, price)) == 1024


def test_a_folding_file_that_is_too_slow_names_the_process(tmp_path):
    graph = rewrite.fold(build.resnet(8, (8, 8, 1), width=4))
    path = tmp_path / 'mine.json'
    folding_file.save(path, solve(graph, 4096, brute.random_price(graph, 1, False)), 4096)
    costmodel.settled(graph, costmodel.dataflow(folding=str(path), interval_cycles=4096))
    with pytest.raises(CostError, match=r"'.*' in '.*mine.json' takes \d+ cycles an image.*asks for 1000"):
        costmodel.settled(graph, costmodel.dataflow(folding=str(path), interval_cycles=1000))


def test_limits_that_nothing_keeps_name_the_resource():
    with pytest.raises(CostError, match='^dsp: every folding of this network takes at least 23, and 22 are given$'):
        fastest(RESNET20, brute.dsps(average=True), {'dsp': 22})
    interval, _ = fastest(RESNET20, brute.dsps(average=True), {'dsp': 23})
    with pytest.raises(CostError, match='^lut: .* at least [0-9.e+]+ with all weights in LUTs, and 2.304'):
        costmodel.settled(build.resnet(8, (8, 8, 1), width=4), costmodel.dataflow(device_share=1e-5))
    assert interval > 1_000_000


def test_what_is_no_streaming_process_is_refused():
    graph = rewrite.fold(build.squeezenet())
    with pytest.raises(GraphError, match="op 'concat' has no streaming process"):
        solve(graph, 1 << 30, brute.dsps(average=True))


@pytest.mark.parametrize(
    'graph, interval',
    [
        (build.resnet(110, (32, 32, 3)), 32768),
        (build.named('resnet50', (224, 224, 3)), 1 << 20),
        (build.mobilenet_v2(), 1 << 20),
    ],
    ids=['resnet110', 'resnet50', 'mobilenet_v2'],
)
def test_large_networks_are_folded(graph, interval):
    graph = rewrite.fold(graph)
    found = solve(graph, interval, brute.dsps(average=True))
    assert interval // 2 < brute.interval_cycles(graph, found) <= interval
