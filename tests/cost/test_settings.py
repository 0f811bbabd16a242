"""Settings of targets, names in them and probabilities: what is not understood is refused by name, and nothing is
ignored.
"""

import dataclasses
import json
import math
import random
import re

import jax.numpy as jnp
import numpy as np
import pytest
from mutations import damaged

import costmodel
from costmodel.array.settings import PEArray, presets
from costmodel.streams.settings import Dataflow
from tailor_jax import build, graph, rewrite

NET = build.resnet(8, (8, 8, 3), width=4)
ARRAY = dataclasses.asdict(costmodel.pe_array()) | {'input_buffer_bytes': 0}
BAD_INTEGERS = (2.0, True, '2', -1, 1 << 60, math.nan, [2], np.float64(2), 1j)
BAD_NUMBERS = (0, -1.5, math.nan, math.inf, True, '200', [200], 1j)


def kinds() -> list[tuple[str, str]]:
    """(target, setting) of every setting of both targets."""
    return [
        (kind.__name__, field.name)
        for kind in (Dataflow, PEArray)
        for field in dataclasses.fields(kind)
        if field.name != 'preset'
    ]


def with_setting(kind: str, key: str, value: object) -> object:
    return Dataflow(**{key: value}) if kind == 'Dataflow' else PEArray(**ARRAY | {key: value})


@pytest.mark.parametrize('kind, key', kinds())
def test_every_setting_of_both_targets_refuses_what_it_cannot_be_and_names_itself(kind, key):
    """None is a default of some; everything else here is no value of any setting that does not take that type."""
    default = getattr(Dataflow() if kind == 'Dataflow' else costmodel.pe_array(), key)
    if key in ('clock_mhz', 'dram_bytes_per_cycle', 'device_share'):
        bad = BAD_NUMBERS
    elif key == 'interval_cycles' or type(default) is int:
        bad = BAD_INTEGERS
    elif isinstance(default, bool):
        bad = (1, 0, 'yes', 'False', 1.0, math.nan)
    elif key == 'folding':
        bad = (3, True, 0.5, ('a',), b'x')
    elif isinstance(default, str):
        bad = (3, True, 'nothing like it', b'exact', '')
    else:
        bad = ('s1b0', 3, [3], ('a', 'a'), {'a'}, True)
    for value in bad:
        with pytest.raises(costmodel.CostError, match=f'^{key} ') as caught:
            with_setting(kind, key, value)
        assert repr(value) in str(caught.value) or key == 'frame' or isinstance(value, list)


def test_integers_of_numpy_are_integers_and_targets_stay_hashable():
    for kind, key in kinds():
        default = getattr(Dataflow() if kind == 'Dataflow' else PEArray(**ARRAY), key)
        if type(default) is int and key not in ('clock_mhz', 'dram_bytes_per_cycle'):
            made = with_setting(kind, key, np.int64(default))
            assert type(getattr(made, key)) is int and made == with_setting(kind, key, default)
    assert costmodel.dataflow(interval_cycles=np.int32(2)) == costmodel.dataflow(interval_cycles=2)
    assert costmodel.dataflow(clock_mhz=np.float32(200)) == costmodel.dataflow()
    by_node = costmodel.dataflow(
        activation_bits_of={'stem_conv': np.int64(4)}, weight_bits_of={'head_dense': np.int8(4)}
    )
    assert hash(by_node) == hash(
        costmodel.dataflow(activation_bits_of={'stem_conv': 4}, weight_bits_of={'head_dense': 4})
    )
    assert hash(costmodel.settled(NET, by_node)) == hash(costmodel.settled(NET, by_node))
    json.dumps(costmodel.to_json(costmodel.evaluate(NET, by_node), 'net'))


@pytest.mark.parametrize('key', ['weight_bits_of', 'activation_bits_of'])
@pytest.mark.parametrize(
    'value, message', [(2.0, 'got 2.0'), (0, 'got 0'), (True, 'got True'), ('4', "got '4'"), (None, 'got None')]
)
def test_a_number_of_one_node_is_checked_as_that_of_all(key, value, message):
    with pytest.raises(costmodel.CostError, match=f"^{key} of node 'stem_conv' must be an integer of 1..*{message}"):
        costmodel.dataflow(**{key: {'stem_conv': value}})


@pytest.mark.parametrize('bits', [33, 100, 1 << 40])
@pytest.mark.parametrize('key', ['weight_bits', 'activation_bits'])
def test_widths_beyond_32_bits_are_refused_by_both_targets(key, bits):
    for make in (costmodel.dataflow, costmodel.pe_array):
        assert getattr(make(**{key: 32}), key) == 32
        with pytest.raises(costmodel.CostError, match=rf'^{key} must be an integer of 1\.\.32, got {bits}'):
            make(**{key: bits})


@pytest.mark.parametrize('price', [costmodel.evaluate, costmodel.tabulate])
@pytest.mark.parametrize(
    'settings, message',
    [
        ({'weight_bits_of': {'head_dens': 4}}, "weight_bits_of names node 'head_dens', .*did you mean 'head_dense'"),
        (
            {'activation_bits_of': {'nothing': 4}},
            "activation_bits_of names node 'nothing', which the graph does not have",
        ),
        (
            {'weight_bits_of': {'stem_relu': 2}},
            "weight_bits_of names node 'stem_relu', and that is a relu; it is a setting of conv and dense",
        ),
        ({'weight_bits_of': {'s1b0_long': 2}}, "weight_bits_of names node 's1b0_long', and that is a add"),
        ({'activation_bits_of': {'stem_bn': 2}}, "activation_bits_of names node 'stem_bn', and that is a batch_norm"),
    ],
)
def test_a_name_that_means_nothing_is_refused_by_evaluate_and_by_tabulate(price, settings, message):
    with pytest.raises(costmodel.CostError, match=message):
        price(NET, costmodel.dataflow(**settings))


@pytest.mark.parametrize('price', [costmodel.evaluate, costmodel.tabulate])
def test_an_unknown_frame_block_is_refused_by_evaluate_and_by_tabulate(price):
    with pytest.raises(
        costmodel.CostError, match="frame names block 's1b9', which the graph does not have; did you mean 's1b0'"
    ):
        price(NET, costmodel.pe_array('shortcut_fusion', policy='shortcut_fusion', frame=('s1b9',)))


@pytest.mark.parametrize('price', [costmodel.evaluate, costmodel.tabulate])
@pytest.mark.parametrize('target', ['dataflow', None, {}])
def test_what_is_no_target_is_refused(price, target):
    with pytest.raises(costmodel.CostError, match='unknown kind of target'):
        price(NET, target)


def test_a_setting_of_what_a_closed_gate_took_away_is_none_that_is_unknown(tmp_path):
    """Also after the pruned graph went through a file; a name that no graph had stays unknown."""
    target = costmodel.settled(NET, costmodel.dataflow(weight_bits_of={'s2b0_proj': 4, 's1b0_conv1': 4}))
    pruned = rewrite.fold(rewrite.remove(NET, NET.gates))
    graph.save(pruned, tmp_path / 'graph.json')
    loaded = graph.load(tmp_path / 'graph.json')
    assert 's2b0_proj' not in loaded.by_name and loaded == pruned and loaded.gone == pruned.gone
    costs = [costmodel.evaluate(each, target).total for each in (pruned, loaded)]
    assert (
        costs[0]
        == costs[1]
        == costmodel.evaluate(
            build.resnet(8, (8, 8, 3), width=4, skips='none'),
            costmodel.dataflow(weight_bits_of={'s1b0_conv1': 4}, folding=target.folding),
        ).total
    )
    with pytest.raises(costmodel.CostError, match="names node 's2b0_prj'"):
        costmodel.evaluate(loaded, costmodel.dataflow(activation_bits_of={'s2b0_prj': 6}))


def test_a_block_that_a_closed_gate_took_away_may_be_in_frame_mode():
    conv = {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}
    nodes = (
        graph.Node('input', 'input', (), (6, 6, 2), block='stem'),
        graph.Node('conv', 'conv', ('input',), (6, 6, 2), **conv, block='a'),
        graph.Node('side', 'conv', ('input',), (6, 6, 2), **conv, block='b'),
        graph.Node('sum', 'add', ('conv', 'side'), (6, 6, 2), gate='g', block='a'),
        graph.Node('last', 'conv', ('sum',), (6, 6, 2), **conv, block='c'),
    )
    net = rewrite.remove(graph.Graph(nodes), ['g'])
    assert 'b' not in {node.block for node in net}
    target = costmodel.pe_array('shortcut_fusion', policy='shortcut_fusion', frame=('a', 'b', 'c'))
    assert (
        costmodel.evaluate(net, target).total
        == costmodel.evaluate(net, dataclasses.replace(target, frame=('a', 'c'))).total
    )


def test_unknown_gates_are_named_with_the_nearest_by_every_rewrite():
    for rewritten in (lambda: rewrite.binarize(NET, {'s1b0_lng': 1}), lambda: rewrite.remove(NET, ['s1b0_lng'])):
        with pytest.raises(
            graph.GraphError, match="no gate 's1b0_lng' in the graph; it has .*; did you mean 's1b0_long'"
        ):
            rewritten()


@pytest.mark.parametrize(
    'value', [-0.01, 1.01, math.nan, math.inf, '0.5', None, [0.5], np.array([0.5]), 1j, np.float32(2)]
)
def test_what_is_no_probability_is_refused_with_its_gate(value):
    table = costmodel.tabulate(NET, costmodel.dataflow())
    p = dict.fromkeys(NET.gates, 0.5)
    with pytest.raises(costmodel.CostError, match="^p of gate 's2b0_long' must be a number of 0..1, got"):
        costmodel.expected(table, p | {'s2b0_long': value})
    with pytest.raises(costmodel.CostError, match='s2b0_long'):
        costmodel.expected(table, {gate: jnp.float32(each) for gate, each in p.items()} | {'s2b0_long': value})


def test_every_kind_of_number_is_a_probability():
    table = costmodel.tabulate(NET, costmodel.dataflow())
    for value in (0, 1, True, 0.0, 1.0, np.float32(1), np.int8(0), np.array(1.0), np.bool_(True)):
        exact = costmodel.expected(table, dict.fromkeys(NET.gates, float(value)))
        assert costmodel.expected(table, dict.fromkeys(NET.gates, value)) == exact


PRESET = {key: value for key, value in presets()['shortcut_fusion'].items()}


@pytest.mark.parametrize(
    'content, message',
    [
        ('{', 'is damaged, or no JSON'),
        ('{"rows": 3, "rows": 4}', "key 'rows' is there twice"),
        ('[]', 'expected one JSON object of settings'),
        (json.dumps(PRESET | {'rows': None}), 'rows must be an integer of 1..65536, got None'),
        (json.dumps(PRESET | {'rows': '16'}), "rows must be an integer of 1..65536, got '16'"),
        (json.dumps(PRESET | {'double_buffered': 1}), 'double_buffered must be True or False, got 1'),
        (json.dumps(PRESET | {'clock_mhz': 0}), 'clock_mhz must be a finite number above 0, got 0'),
        (json.dumps(PRESET | {'dataflow': 'stationary'}), 'dataflow must be one of'),
        (json.dumps(PRESET | {'colums': 4}), "no setting 'colums'; did you mean 'columns'"),
        (json.dumps({key: value for key, value in PRESET.items() if key != 'clock_mhz'}), 'lacks clock_mhz'),
        (json.dumps(PRESET | {'frame': 's1b0'}), "frame must be a list or tuple of names, got 's1b0'"),
    ],
)
def test_a_preset_file_is_named_with_what_is_wrong_in_it(tmp_path, content, message):
    path = tmp_path / 'mine.json'
    path.write_text(content)
    with pytest.raises(costmodel.CostError, match=f'{re.escape(str(path))}.*{message}'):
        costmodel.pe_array(str(path))


@pytest.mark.parametrize('seed', range(300))
def test_a_damaged_preset_is_refused_by_name_or_means_what_it_says(tmp_path, seed):
    path = tmp_path / 'mine.json'
    path.write_bytes(damaged(json.dumps(PRESET, indent=1).encode(), random.Random(seed)))
    try:
        target = costmodel.pe_array(str(path))
    except costmodel.CostError as error:
        assert str(path) in str(error)
        return
    said = json.loads(path.read_bytes())
    plain = {key: getattr(target, key) for key in said if key in dataclasses.asdict(target)}
    assert plain == {key: said[key] for key in plain}
