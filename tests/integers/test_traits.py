"""The table of ops: what it says of an op against what the integers, the cost models and the exports do with it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from networks import of_each_op

from hls_export import qonnx
from tailor_jax import ops
from tailor_jax.build import __main__ as command
from tailor_jax.graph import Graph, Node
from tailor_jax.integers import lower, qgraph, qnode
from tailor_jax.integers.fixed import Fixed

PAGE = Path(__file__).parents[2] / 'docs' / 'architecture.md'
LOWERED = [net for net in of_each_op()[1:] if not net.output.weighted and net.output.op != 'batch_norm']


def lowered(net: Graph) -> qgraph.QNode:
    """The last node in integers, of inputs of eight bits."""
    kinds: dict[str, Fixed] = {}
    for node in net:
        source = kinds[node.inputs[0]] if node.inputs else Fixed(8, 4)
        kinds[node.name] = qnode.passed_type(node, source) if node.op in ops.PASSED else Fixed(8, 4)
    return lower.lower(net, {}, kinds, {}).output


@pytest.mark.parametrize('net', LOWERED, ids=[net.output.op for net in LOWERED])
def test_traits_are_what_the_integers_do(net):
    node, traits, rng = lowered(net), ops.TRAITS[net.output.op], np.random.default_rng(0)
    inputs = [rng.integers(-100, 100, (2, *net[name].shape)) for name in net.output.inputs]
    out = qgraph.run_node(node, inputs, least=-128)
    if traits.scaling == 'passed':
        assert set(out.flat) <= {0, *inputs[0].flat}
    if traits.signed is False:
        assert out.min() >= 0
    elif traits.signed:
        assert out.min() < 0
    assert len(inputs) == traits.inputs or traits.inputs is None
    here = (0, 1, 2, 3)
    inputs[0][here] = (inputs[0][here] + 128 + 77) % 256 - 128
    changed = {tuple(map(int, at)) for at in np.argwhere(qgraph.run_node(node, inputs, least=-128) != out)}
    if traits.elementwise:
        assert changed <= {here}
    elif out.shape == inputs[0].shape:  # of what keeps the shape, a window of one place cannot be told from none
        assert net.output.windowed
    if traits.view:
        assert out.size == sum(each.size for each in inputs)


def test_fields_of_the_table_are_those_of_a_node():
    used = {field for traits in ops.TRAITS.values() for field in traits.fields}
    common = {'name', 'op', 'inputs', 'shape', 'block'}
    assert used == {field.name for field in dataclasses.fields(Node)} - common


def test_the_page_has_the_table_and_what_it_says_of_qonnx_is_true(capsys):
    page = PAGE.read_text()
    assert '\n'.join(ops.table()) in page
    assert f'QONNX export takes {ops.listed(qonnx.TRANSLATED)}.' in ' '.join(page.split())
    assert command.main(['--ops']) == 0 and capsys.readouterr().out.splitlines() == ops.table()


def test_the_page_of_networks_has_the_fields_of_nodes(capsys):
    assert list(command.FIELDS) == [field.name for field in dataclasses.fields(Node)]
    assert '\n'.join(command.fields_table()) in PAGE.with_name('networks.md').read_text()
    assert command.main(['--fields']) == 0 and capsys.readouterr().out.splitlines() == command.fields_table()
    assert command.main(['--ops', '--fields']) == 1 and 'give one' in capsys.readouterr().err
    assert command.main(['resnet8', '--fields']) == 1 and "leave out 'resnet8'" in capsys.readouterr().err
