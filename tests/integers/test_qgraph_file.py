"""qgraph.npz, quant.json: damaged or edited by hand they are the same network, or an error that names the file; and
nothing in them runs.
"""

from __future__ import annotations

import dataclasses
import json
import time
import zipfile

import mutations
import numpy as np
import pytest
from networks import detector_net, mbconv_net, sample
from plans import printable
from random_nets import random_qgraph

import hls_export
from hls_export.dataflow import emit
from tailor_jax import build, rewrite
from tailor_jax.fields import FormatError
from tailor_jax.graph import Graph, GraphError, Node
from tailor_jax.integers import fixed, lower, qgraph
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.qgraph import QGraph, QNode
from tailor_jax.quantization.spec import QuantSpec


def network(make=None) -> QGraph:
    if make is None:
        return random_qgraph(build.resnet(8, (6, 7, 1), 4, 2, 'long'), seed=1)
    net = make()
    _, folded, params, spec, _, _ = sample(rewrite.binarize(net, dict.fromkeys(net.gates, 1)), 5, (6, 7))
    return lower.lower(folded, params, dict(spec.activations), dict(spec.weights))


def equal(one: QGraph, other: QGraph) -> bool:
    def parts(qnode: QNode) -> tuple:
        arrays = [(key, getattr(qnode, key)) for key in ('weight', 'bias', 'table')]
        plain = dataclasses.replace(qnode, weight=None, bias=None, table=None)
        return dataclasses.astuple(plain), [(key, None if array is None else array.tolist()) for key, array in arrays]

    return [parts(qnode) for qnode in one.nodes] == [parts(qnode) for qnode in other.nodes]


@pytest.fixture(scope='module', params=[None, mbconv_net, detector_net], ids=['resnet', 'mbconv', 'detector'])
def saved(request, tmp_path_factory):
    made = network(request.param)
    path = tmp_path_factory.mktemp('door') / 'qgraph.npz'
    qgraph.save(made, path)
    return made, path.read_bytes()


def test_a_saved_network_is_loaded_as_it_was(saved, tmp_path):
    made, data = saved
    (tmp_path / 'again.npz').write_bytes(data)
    loaded = qgraph.load(tmp_path / 'again.npz')
    assert equal(made, loaded)
    qgraph.save(loaded, tmp_path / 'twice.npz')
    assert (tmp_path / 'twice.npz').read_bytes() == data
    assert json.loads(np.load(tmp_path / 'again.npz')['description'].tobytes())['format'] == 'tailor_jax.qgraph'


@pytest.mark.parametrize('kind, count', [('flips', 250), ('truncations', 40), ('npz_edits', 250)])
def test_damage_is_refused_by_the_name_of_the_file_or_harmless(saved, tmp_path, kind, count):
    made, data = saved
    path, refused = tmp_path / 'damaged.npz', 0
    for damaged in getattr(mutations, kind)(data, count):
        path.write_bytes(damaged)
        try:
            loaded = qgraph.load(path)
        except GraphError as error:
            refused += 1
            assert str(path) in str(error) and '\n' not in str(error).strip() and len(str(error)) < 1000, error
            continue
        if kind == 'npz_edits':
            # A hand may change a network into another. It is one by all rules: it survives a round trip and is run.
            qgraph.check(loaded)
            again = tmp_path / 'again.npz'
            qgraph.save(loaded, again)
            assert equal(qgraph.load(again), loaded)
        else:
            assert equal(loaded, made)
    assert refused > count // 2


def test_a_loaded_network_that_a_hand_changed_is_exported_as_it_runs_or_refused(saved, tmp_path):
    """Only numbers and names reach the source: no text of the file does."""
    made, data = saved
    path, emitted = tmp_path / 'edited.npz', 0
    for damaged in mutations.npz_edits(data, 150, seed=7):
        path.write_bytes(damaged)
        try:
            loaded = qgraph.load(path)
            sources = emit.source(loaded, printable(loaded.graph))
        except GraphError:
            continue
        emitted += 1
        assert not any('system' in text or 'owned' in text for text in sources.values())
    assert emitted or not made.graph.by_name.keys() <= {'input', 'stem_conv'}


def hostile_pool(bits) -> dict:
    kind = {'bits': bits, 'frac': 0, 'signed': False}
    rows = [
        {'node': {'name': 'input', 'op': 'input', 'inputs': [], 'shape': [4, 4, 1]}},
        {
            'node': {
                'name': 'pool',
                'op': 'max_pool',
                'inputs': ['input'],
                'shape': [2, 2, 1],
                'kernel': [2, 2],
                'stride': [2, 2],
            }
        },
    ]
    common = {'out': kind, 'acc': kind, 'weight_type': None, 'align': [0, 0], 'multiplier': 1, 'divisor': 1}
    return {'format': 'tailor_jax.qgraph', 'version': 1, 'nodes': [row | common for row in rows]}


def write_description(path, document) -> None:
    path.write_bytes(mutations.pack({'description': np.frombuffer(json.dumps(document).encode(), np.uint8)}))


def test_text_in_the_place_of_a_width_is_no_code(tmp_path):
    """It went into layers.h as it was, and g++ and the simulation ran it."""
    path = tmp_path / 'qgraph.npz'
    write_description(path, hostile_pool(8))
    assert qgraph.load(path)['pool'].out == Fixed(8, 0, False)
    for bits in ('8>; static int owned = system("touch owned"); using x = ap_uint<8', '8', True, 8.0, [8]):
        write_description(path, hostile_pool(bits))
        with pytest.raises(GraphError, match=rf"{path}.*out: 'bits' is .*; expected an integer of 1..64"):
            qgraph.load(path)
    # In depth: nor does a type that was made to lie.
    liar = Fixed(8, 0, False)
    object.__setattr__(liar, 'bits', '8>; static int owned = system("touch owned"); using x = ap_uint<8')
    graph = Graph(
        (Node('input', 'input', (), (4, 4, 1)), Node('pool', 'max_pool', ('input',), (2, 2, 1), (2, 2), (2, 2)))
    )
    made = QGraph(tuple(QNode(node, liar, liar) for node in graph))
    with pytest.raises((GraphError, TypeError)):
        emit.source(made, printable(made.graph))


def test_a_bomb_is_seen_before_it_goes_off(tmp_path):
    path = tmp_path / 'qgraph.npz'
    with (
        zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive,
        archive.open('description.npy', 'w', force_zip64=True) as entry,
    ):
        for _ in range(300):
            entry.write(bytes(1 << 20))
    start = time.perf_counter()
    with pytest.raises(GraphError, match='claims 314,572,800 bytes of arrays in'):
        qgraph.load(path)
    assert time.perf_counter() - start < 2
    # An array of another shape than the node's is not read at all.
    document = hostile_pool(8)
    arrays = {
        'description': np.frombuffer(json.dumps(document).encode(), np.uint8),
        'pool.weight': np.zeros((1 << 22,), np.int64),
    }
    path.write_bytes(mutations.pack(arrays))
    with pytest.raises(GraphError, match=r"the array 'pool.weight' has the shape \[4194304\]; expected \[\]"):
        qgraph.load(path)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda each: {'weight': each.weight[..., :1]},
            r'its weight is int32 \[3, 3, 2, 1\]; expected integers \[3, 3, 2, 2\]',
        ),
        (lambda each: {'weight': each.weight * 100}, 'its weight has values from .* of int'),
        (lambda each: {'weight': each.weight.astype(float)}, 'its weight is float64'),
        (lambda each: {'weight': None}, 'its weight is missing'),
        (lambda each: {'weight_type': None}, 'the type of its weights is None'),
        (lambda each: {'bias': each.bias[:1]}, r'its bias is int32 \[1\]; expected integers \[2\]'),
        (lambda each: {'acc': dataclasses.replace(each.acc, bits=each.acc.bits - 1)}, 'its accumulator .* is given'),
        (
            lambda each: {'acc': dataclasses.replace(each.acc, frac=each.acc.frac + 1)},
            'its accumulator has .* fractional bits; expected',
        ),
        (lambda each: {'out': Fixed(32, each.out.frac)}, 'its output has 32 bits; expected at most 31'),
        (lambda each: {'align': (1, 0)}, r'its align is \(1, 0\); expected \(0, 0\)'),
        (lambda each: {'multiplier': 3}, 'its multiplier is 3; expected 1'),
        (lambda each: {'divisor': 3}, 'its divisor is 3; expected 1'),
        (lambda each: {'table': np.zeros(4, int)}, 'it has a table; expected none'),
    ],
)
def test_integers_that_contradict_their_node_are_refused_everywhere(tmp_path, change, message):
    made = network()
    nodes = tuple(
        dataclasses.replace(each, **change(each)) if each.name == 's1b0_conv1' else each for each in made.nodes
    )
    wrong = QGraph(nodes)
    expected = rf"node 's1b0_conv1' \(conv\): {message}"
    with pytest.raises(GraphError, match=expected):
        qgraph.check(wrong)
    design = printable(made.graph)
    with pytest.raises(GraphError, match="node 's1b0_conv1'"):
        hls_export.write(tmp_path / 'p', wrong, design, np.zeros((1, 6, 7, 1), int), np.zeros(1, int))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('op', ['max_pool', 'relu', 'sigmoid', 'flatten', 'upsample'])
def test_a_relu_is_fused_onto_accumulators_only(op):
    """The model applied it and the interpreter did not."""
    node = Node('x', op, ('input',), (1, 1, 2), relu=True)
    source = QNode(Node('input', 'input', (), (1, 1, 2)), Fixed(4, 0), Fixed(4, 0))
    kind = Fixed(3, 0, False) if op == 'relu' else Fixed(4, 0)
    table = np.zeros(16, int) if op == 'sigmoid' else None
    with pytest.raises(GraphError, match=rf"node 'x' \({op}\): only conv or dense or add can have relu, got True"):
        qgraph.check(QGraph((source, QNode(node, kind, kind, table=table))))


def test_every_accumulator_that_lowering_makes_is_as_the_check_wants_it(saved):
    """Two routes to the range of an accumulator: `lower` from the types, `qcheck.reach` from the integers."""
    made, _ = saved
    qgraph.check(made)
    for qnode in made.nodes:
        if qnode.acc.bits > 2 and qnode.acc != qnode.out:
            narrower = dataclasses.replace(qnode, acc=dataclasses.replace(qnode.acc, bits=qnode.acc.bits - 1))
            with pytest.raises(GraphError):
                qgraph.check(QGraph(tuple(narrower if each is qnode else each for each in made.nodes)))


def test_versions_and_other_files_are_told_apart(tmp_path):
    path = tmp_path / 'qgraph.npz'
    for document, message in (
        (hostile_pool(8) | {'version': 2}, 'its version is 2; this program reads version 1'),
        (
            hostile_pool(8) | {'format': 'tailor_jax.quant'},
            "expected a file with format 'tailor_jax.qgraph'",
        ),
        ([], 'expected an object'),
        ({**hostile_pool(8), 'nodes': []}, 'qgraph.npz'),
    ):
        write_description(path, document)
        with pytest.raises(GraphError, match=message):
            qgraph.load(path)
    with pytest.raises(FileNotFoundError):
        qgraph.load(tmp_path / 'none.npz')
    (tmp_path / 'folder.npz').mkdir()
    with pytest.raises(GraphError, match=r'folder.npz cannot be read: .* is no file'):
        qgraph.load(tmp_path / 'folder.npz')


def test_saving_replaces_a_planted_link(tmp_path):
    (tmp_path / 'precious').write_text('years of work')
    (tmp_path / 'q.npz').symlink_to(tmp_path / 'precious')
    (tmp_path / '.q.npz.partial').symlink_to(tmp_path / 'precious')
    qgraph.save(network(), tmp_path / 'q.npz')
    assert (tmp_path / 'precious').read_text() == 'years of work' and not (tmp_path / 'q.npz').is_symlink()


def test_quantization_types_come_back_or_are_refused_by_the_name_of_the_file():
    spec = QuantSpec((('input', Fixed(8, 5)), ('conv', Fixed(4, 2, False))), (('conv', Fixed(3, 2)),))
    text = json.dumps(spec.to_json())
    assert QuantSpec.from_json(json.loads(text)) == spec
    refused = 0
    for edited in mutations.json_edits(text, 300):
        try:
            loaded = QuantSpec.from_json(json.loads(edited, parse_constant=float), 'W/quant.json')
        except FormatError as error:
            refused += 1
            assert str(error).startswith('W/quant.json')
        else:
            assert all(
                type(kind.bits) is int and type(kind.frac) is int and isinstance(kind, fixed.Fixed)
                for _, kind in loaded.activations
            )
    assert refused > 200
