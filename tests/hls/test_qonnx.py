"""Integer reference == the QONNX file, executed by onnxruntime as one graph and by the qonnx package node by node:
every logit.
"""

from __future__ import annotations

import dataclasses
import json
import types

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from random_nets import random_images, random_qgraph, residual_graphs
from run_files import summary_of

import hls_export
from tailor_jax import build, rewrite
from tailor_jax.graph import Graph, GraphError, Node
from tailor_jax.integers.fixed import Fixed
from tailor_jax.integers.qgraph import QGraph, QNode, quantize_input, run_int, save

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

from hls_export import qonnx  # noqa: E402


@hypothesis.settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(graph=residual_graphs(), seed=st.integers(0, 2**16), data=st.data())
def test_onnxruntime_equals_the_integers(graph, seed, data):
    """Random networks, gates, bit widths: strides, groups, pools, 1-D, means over any number of pixels, outputs that
    are maps.
    """
    gates = {gate: data.draw(st.integers(0, 1), label=gate) for gate in graph.gates}
    qgraph = random_qgraph(graph, seed, bits=(data.draw(st.integers(2, 8)), data.draw(st.integers(3, 8))), gates=gates)
    images = random_images(qgraph, 20)
    np.testing.assert_array_equal(qonnx.run(qgraph, images), run_int(qgraph, images), err_msg=str(qgraph.graph))


@pytest.fixture(scope='module')
def network():
    return random_qgraph(build.resnet(8, (8, 8, 1), 4, 4, 'long+short'), seed=3)


def test_qonnx_package_equals_the_integers(network, tmp_path):
    """The qonnx package's own Quant, not the definition in the file."""
    pytest.importorskip('qonnx')
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    wrapped = cleanup_model(ModelWrapper(str(qonnx.write(tmp_path / 'network.onnx', network))))
    images = random_images(network, 6)
    (given,), (made,) = wrapped.graph.input, wrapped.graph.output
    logits = [execute_onnx(wrapped, {given.name: qonnx.to_real(network, image[None])})[made.name] for image in images]
    np.testing.assert_array_equal(qonnx.to_integers(network, np.concatenate(logits)), run_int(network, images))


def test_real_images_are_rounded_as_ours(network):
    """Images off the grid, ties included: the file's first Quant is `quantize_input`."""
    import onnxruntime

    step = network.input.out.step
    images = (np.random.default_rng(0).integers(-600, 600, (30, 8, 8, 1)) * (step / 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(
        qonnx.model(network, 'n').SerializeToString(), providers=['CPUExecutionProvider']
    )
    (logits,) = session.run(None, {qonnx.INPUT: images.transpose(0, 3, 1, 2)})
    np.testing.assert_array_equal(qonnx.to_integers(network, logits), run_int(network, quantize_input(network, images)))


def test_half_is_rounded_up_not_to_even():
    """A sum of two halves of a step either side of zero: -0.5 -> 0 and 0.5 -> 1, where half to even gives 0 twice."""
    shape = (1, 4, 1)
    graph = Graph((Node('input', 'input', (), shape), Node('sum', 'add', ('input', 'input'), shape)))
    kind, out = Fixed(4, 2), Fixed(4, 0)
    qgraph = QGraph((QNode(graph['input'], kind, kind), QNode(graph['sum'], out, Fixed(6, 2))))
    images = np.array([-3, -1, 1, 3]).reshape(1, *shape)  # doubled: -1.5, -0.5, 0.5, 1.5
    assert run_int(qgraph, images).tolist() == [[-1, 0, 1, 2]]
    np.testing.assert_array_equal(qonnx.run(qgraph, images), run_int(qgraph, images))


def test_file_is_valid_and_repeatable(network, tmp_path):
    first, second = (qonnx.write(tmp_path / name / 'network.onnx', network) for name in ('a', 'b'))
    assert first.read_bytes() == second.read_bytes()
    assert not [each for each in tmp_path.rglob('*') if each.name.startswith('.')]
    loaded = onnx.load(first)
    onnx.checker.check_model(loaded, full_check=True)
    quants = [node for node in loaded.graph.node if node.op_type == 'Quant']
    assert {attribute.s for node in quants for attribute in node.attribute if attribute.name == 'rounding_mode'} == {
        b'FLOOR'
    }
    scales = [onnx.numpy_helper.to_array(each) for each in loaded.graph.initializer if each.name.startswith('scale_')]
    assert len(scales) == len(quants) and all(np.frexp(scale)[0] == 0.5 for scale in scales)
    with pytest.raises(hls_export.ExportError, match='exists'):
        qonnx.write(first, network)
    assert qonnx.write(first, network, overwrite=True) == first
    with pytest.raises(hls_export.ExportError, match='cannot write'):
        qonnx.write(first / 'below' / 'network.onnx', network)


def test_what_float32_cannot_hold_is_an_error(network):
    def changed(name: str, **fields) -> QGraph:
        return QGraph(
            tuple(dataclasses.replace(qnode, **fields) if qnode.name == name else qnode for qnode in network.nodes)
        )

    wide = dataclasses.replace(network['s1b0_conv1'].acc, bits=26)
    with pytest.raises(GraphError, match="node 's1b0_conv1' .conv.: its accumulator .* is not exact in the float32"):
        qonnx.model(changed('s1b0_conv1', acc=wide))
    with pytest.raises(GraphError, match="node 's1b0_conv1'.*fractional bits"):
        qonnx.model(changed('s1b0_conv1', acc=dataclasses.replace(network['s1b0_conv1'].acc, frac=2)))
    with pytest.raises(GraphError, match="node 'input'.*give it two bits"):
        qonnx.model(changed('input', out=Fixed(1, 0)))
    odd = Node('odd', 'batch_norm', (network.output.name,), network.output.node.shape)
    with pytest.raises(GraphError, match="node 'odd': op 'batch_norm' has no translation"):
        qonnx.model(QGraph((*network.nodes, QNode(odd, network.output.out, network.output.out))))


def test_one_bit_weights():
    """QONNX means -1 and +1 by one signed bit; our one-bit weights are -1 and 0."""
    qgraph = random_qgraph(rewrite.dead_code(build.resnet(8, (4, 4, 1), 3, 2, 'none')), bits=(1, 5), mixed=False)
    images = random_images(qgraph, 5)
    np.testing.assert_array_equal(qonnx.run(qgraph, images), run_int(qgraph, images))


def test_command(tmp_path, capsys):
    """--target=qonnx on the digits' test split; it writes nothing where the logits differ."""
    from experiments import config, export

    config_of = config.defaults()
    config_of.data.name, config_of.model.depth = 'digits', 8
    qgraph = random_qgraph(build.resnet(8, (8, 8, 1), 10, 4, 'long'))
    for name, text in {
        'summary.json': json.dumps(summary_of(config_of)),
        'graph.json': '[]',
        'config.json': config.to_json(config_of),
    }.items():
        (tmp_path / name).write_text(text)
    save(qgraph, tmp_path / 'qgraph.npz')
    options = types.SimpleNamespace(workdir=str(tmp_path), out=str(tmp_path / 'made'), target='qonnx', overwrite=False)
    export.main(options)
    assert 'every logit of 360 test images' in capsys.readouterr().out
    assert onnx.load(tmp_path / 'made' / 'network.onnx').graph.output[0].name == qgraph.output.name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qonnx, 'run', lambda qgraph, images: run_int(qgraph, images) + 1)
        with pytest.raises(hls_export.ExportError, match='3600 logits'):
            export.export_qonnx(tmp_path, tmp_path / 'other.onnx')
    assert not (tmp_path / 'other.onnx').exists()
