"""The door of the graph: what comes from a file or Python is parsed field by field, and what passes can be priced."""

import cProfile
import dataclasses
import json
import pstats
import random
import re

import numpy as np
import pytest
from mutations import damaged

from tailor_jax import build, graph, rewrite
from tailor_jax.fields import header
from tailor_jax.graph import Graph, GraphError, Node, node_from_dict

SMALL = build.resnet(8, (8, 8, 3), width=4, skips='long+short')
CONV = {'name': 'conv', 'op': 'conv', 'inputs': ['input'], 'shape': [4, 4, 4]}


def of_rows(*rows: object) -> str:
    return json.dumps(
        header('graph', 1) | {'nodes': [{'name': 'input', 'op': 'input', 'inputs': [], 'shape': [4, 4, 4]}, *rows]}
    )


def test_a_graph_that_was_saved_is_the_one_that_is_loaded(tmp_path):
    for net in (SMALL, build.squeezenet(), build.retinanet_r50_fpn(), rewrite.fold(build.mobilenet_v2())):
        graph.save(net, tmp_path / 'graph.json')
        assert graph.load(tmp_path / 'graph.json') == net
    lines = (tmp_path / 'graph.json').read_text().splitlines()
    assert json.loads('\n'.join(lines))['version'] == 1 and len(lines) == len(net.nodes) + 2


@pytest.mark.parametrize(
    'text, message',
    [
        ('{', 'is damaged, or no JSON'),
        (b'\xff\xfe', 'is damaged, or no JSON'),
        ('[' * 100_000, 'nested too deeply'),
        ('[]', r'expected an object, got \[\]'),
        ('{}', "expected a file with format 'tailor_jax.graph', got None"),
        (json.dumps(header('graph', 2) | {'nodes': []}), 'its version is 2; this program reads version 1'),
        (json.dumps(header('graph', 1)), "'nodes' is missing"),
        (json.dumps(header('graph', 1) | {'nodes': []}), 'at most 100,000 nodes; it was given 0'),
        (json.dumps(header('graph', 1) | {'nodes': {}}), "'nodes' must be a list of objects, got dict"),
        (json.dumps(header('graph', 1) | {'nodes': [], 'node': 1}), "unknown field 'node'; did you mean 'nodes'"),
        (of_rows(3), r'nodes\[1\]: expected an object, got 3'),
        (of_rows({'name': 'a'}), "node 'a': 'op' is missing"),
        (of_rows(CONV | {'color': 3}), "node 'conv': unknown field 'color'"),
        (
            of_rows(CONV | {'stride': [2, 2]}),
            r"node 'conv' \(conv\): its shape is given as \(4, 4, 4\), but .* give \(2, 2, 4\)",
        ),
    ],
)
def test_a_file_that_is_no_graph_is_named(tmp_path, text, message):
    path = tmp_path / 'mine.json'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GraphError, match=f'^{re.escape(str(path))}.*{message}'):
        graph.load(path)


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(GraphError, match=re.escape(str(tmp_path))):
        graph.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        graph.load(tmp_path / 'none.json')


# Values of one field that no node may have, from a file or from Python.
WRONG = [
    ('name', 'x"; system("id'),
    ('name', 'Conv'),
    ('name', 'a' * 101),
    ('name', 'while'),
    ('name', ''),
    ('name', 3),
    ('op', 'convolve'),
    ('op', None),
    ('inputs', 'input'),
    ('inputs', [3]),
    ('inputs', ['../input']),
    ('shape', [4, 4]),
    ('shape', [4, 4, 4.0]),
    ('shape', [4, 4, True]),
    ('shape', [4, 4, '4']),
    ('shape', [4, 4, 0]),
    ('shape', [4, 4, 1 << 40]),
    ('shape', [1 << 22, 1, 1]),
    ('shape', [1 << 13, 1 << 13, 1]),
    ('shape', [1 << 12, 1 << 12, 1 << 12]),
    ('shape', 4),
    ('kernel', [0, 1]),
    ('kernel', [3.0, 3]),
    ('kernel', [1 << 20, 1]),
    ('kernel', [3]),
    ('stride', [1, False]),
    ('stride', [-1, 1]),
    ('padding', [-1, 0, 0, 0]),
    ('padding', [0, 0, 0]),
    ('groups', 0),
    ('groups', True),
    ('groups', 2.0),
    ('groups', -2),
    ('groups', 10**30),
    ('bias', 1),
    ('bias', 'yes'),
    ('relu', 0),
    ('slope', 1),
    ('slope', -0.1),
    ('slope', '0.1'),
    ('factor', [2]),
    ('factor', [0, 1]),
    ('gate', 'g 1'),
    ('gate', 'a,b'),
    ('gate', 4),
    ('block', '<b>'),
    ('block', 'a\nb'),
    ('weights', 'while?'),
    ('weights', ['w']),
    ('name', None),
]


@pytest.mark.parametrize('field, value', WRONG, ids=lambda value: repr(value)[:30])
def test_a_value_that_a_field_must_not_hold_is_refused_from_a_file_and_from_python(field, value):
    with pytest.raises(GraphError, match='^here: ') as from_file:
        node_from_dict(CONV | {field: value}, 'here')
    assert field in str(from_file.value)
    python = tuple(value) if isinstance(value, list) else value
    node = dataclasses.replace(node_from_dict(CONV), **{field: python})
    with pytest.raises(GraphError, match=field):
        Graph((Node('input', 'input', (), (4, 4, 4)), node))


@pytest.mark.parametrize('value', ['NaN', 'Infinity', '1e999', '-Infinity'])
def test_a_slope_is_a_finite_number(tmp_path, value):
    row = {'name': 'act', 'op': 'leaky_relu', 'inputs': ['input'], 'shape': [4, 4, 4], 'slope': 0.25}
    assert graph.from_json(of_rows(row)).output.slope == 0.25
    with pytest.raises(GraphError):
        graph.from_json(of_rows(row).replace('0.25', value))


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'op': 'max_pool', 'relu': True}, r'only conv or dense or add can have relu, got True'),
        ({'op': 'avg_pool', 'relu': True}, 'only conv or dense or add can have relu'),
        ({'op': 'relu', 'relu': True}, 'only conv or dense or add can have relu'),
        (
            {'op': 'relu', 'kernel': (3, 3), 'padding': (1, 1, 1, 1)},
            r'only conv or max_pool or avg_pool can have kernel, got \(3, 3\)',
        ),
        ({'op': 'max_pool', 'groups': 2}, 'only conv can have groups, got 2'),
        ({'op': 'max_pool', 'bias': True}, 'only conv or dense can have bias'),
        ({'factor': (2, 2)}, r'only upsample can have factor, got \(2, 2\)'),
        ({'slope': 0.5}, 'only leaky_relu can have slope, got 0.5'),
        ({'gate': 'skip'}, "only add can have gate, got 'skip'"),
    ],
)
def test_a_field_that_an_op_does_not_use_is_refused(changes, message):
    """A walk that reads it would disagree with one that does not: a pool's relu was applied by the model and by no
    integer.
    """
    node = dataclasses.replace(Node('x', 'conv', ('input',), (4, 4, 4)), **changes)
    with pytest.raises(GraphError, match=f"'x' .*: {message}"):
        Graph((Node('input', 'input', (), (4, 4, 4)), node))


def test_fold_sets_relu_only_where_it_may_stand():
    for name in ('resnet8', 'squeezenet', 'vgg16', 'mobilenet_v2', 'yolov3', 'efficientnet_b1'):
        folded = rewrite.fold(build.named(name))
        assert any(node.relu for node in folded) or name in ('yolov3', 'efficientnet_b1')
        assert {node.op for node in folded if node.relu} <= {'conv', 'dense', 'add'}


def test_numbers_of_numpy_are_the_numbers_they_are():
    shape, three = tuple(np.array([4, 4, 4])), np.int32(3)
    nodes = (
        Node('input', 'input', (), list(shape)),
        Node('x', 'conv', ['input'], shape, (three, three), padding=(np.int8(1),) * 4, groups=np.int64(2)),
    )
    plain = (
        Node('input', 'input', (), (4, 4, 4)),
        Node('x', 'conv', ('input',), (4, 4, 4), (3, 3), padding=(1, 1, 1, 1), groups=2),
    )
    net = Graph(nodes)
    assert net == Graph(plain) and graph.from_json(graph.to_json(net)) == net
    leaky = Node('x', 'leaky_relu', ('input',), (4, 4, 4), slope=np.float32(0.5))
    assert graph.from_json(graph.to_json(Graph((nodes[0], leaky)))).output.slope == 0.5
    with pytest.raises(GraphError, match=r'bias must be True or False, got np\.True_'):
        Graph((plain[0], dataclasses.replace(plain[1], bias=np.True_)))


def test_more_products_than_can_be_counted_are_refused():
    wide = Node('x', 'conv', ('input',), (1024, 1024, 2048), (64, 64), padding=(31, 32, 31, 32))
    with pytest.raises(
        GraphError, match=r"'x' \(conv\): it takes [\d,]+ products; at most 8,796,093,022,208 can be priced"
    ):
        Graph((Node('input', 'input', (), (1024, 1024, 2048)), wide))


def big(layers: int) -> Graph:
    """A residual block of three nodes, `layers` times."""
    nodes = [Node('input', 'input', (), (4, 4, 4))]
    for index in range(layers):
        before = nodes[-1].name
        nodes += [
            Node(f'conv{index}', 'conv', (before,), (4, 4, 4), (3, 3), padding=(1, 1, 1, 1), block=f'b{index}'),
            Node(f'bn{index}', 'batch_norm', (f'conv{index}',), (4, 4, 4), block=f'b{index}'),
            Node(f'add{index}', 'add', (f'bn{index}', before), (4, 4, 4), gate=f'gate{index}', block=f'b{index}'),
        ]
    return Graph(tuple(nodes))


def calls(layers: int, tmp_path) -> int:
    """How many functions are called to save, load, print, binarize and fold a network."""
    net = big(layers)
    with cProfile.Profile() as profile:
        graph.save(net, tmp_path / 'big.json')
        loaded = graph.load(tmp_path / 'big.json')
        closed = rewrite.fold(rewrite.binarize(loaded, {gate: index % 2 for index, gate in enumerate(loaded.gates)}))
        assert str(loaded).count('\n') == len(net.nodes) + 1
    assert len(closed.nodes) == 1 + layers + layers // 2
    return pstats.Stats(profile).total_calls  # type: ignore[attr-defined]


def test_ten_times_the_nodes_take_ten_times_the_work(tmp_path):
    assert calls(2000, tmp_path) < 11 * calls(200, tmp_path)


@pytest.mark.parametrize('seed', range(400))
def test_a_damaged_file_is_refused_by_name_or_means_what_it_says(tmp_path, seed):
    path, rng = tmp_path / 'graph.json', random.Random(seed)
    path.write_bytes(damaged(graph.to_json(SMALL).encode(), rng))
    try:
        loaded = graph.load(path)
    except GraphError as error:
        assert str(error).startswith(str(path)) and len(str(error)) < 2000
        return
    defaults = {
        field.name: field.default for field in dataclasses.fields(Node) if field.default is not dataclasses.MISSING
    }
    said = [defaults | row for row in json.loads(path.read_bytes())['nodes']]
    assert [
        {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()} for row in said
    ] == [dataclasses.asdict(node) for node in loaded]
    assert graph.from_json(graph.to_json(loaded)) == loaded


def test_some_damage_passes_and_most_does_not(tmp_path):
    """So that the test above is none of the two alone."""
    passed = 0
    for seed in range(400):
        try:
            graph.from_json(damaged(graph.to_json(SMALL).encode(), random.Random(seed)))
            passed += 1
        except GraphError:
            pass
    assert 5 <= passed <= 200
