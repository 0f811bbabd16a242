"""The integer graph as a QONNX file, for Netron, onnxruntime, hls4ml and the qonnx tools.

    model(qgraph, batch=1)  ->  onnx.ModelProto              write(path, qgraph)              run(qgraph, images)

Tensors hold real values: an integer q of type `Fixed` travels as q 2^-frac, images as [batch, channels, height, width].
Per node

    conv, dense      Conv / MatMul, Add of b + h              max_pool    MaxPool
    add              Add, Add of h                            relu        Relu
    global_avg_pool  depthwise Conv of the map's size, then, unless that is a power of two, a long division; Add of h
    then             Relu if node.relu;  Quant(scale 2^-frac, zero point 0, bits, signed, rounding_mode FLOOR)

Rounding: we round half up. `ROUND` of QONNX is half to even and its `HALF_UP` half away from zero, so h = half a step
of the output's type is added first and `Quant` rounds down: floor(x + h) is x rounded half up, and a ReLU between them
changes nothing. h is part of a layer's bias where there is one, and 0 where the output is as fine as the accumulator.
`FLOOR` is also what hls4ml takes (AP_TRN).

Exactness: scales are powers of two and `lower` keeps every accumulator below 2^24, so float32 is exact in whatever
order a runtime adds up.

`Quant` is a custom operator of domain `qonnx.custom_op.general`, which the qonnx package executes. The file also
carries its definition in standard operators, as an ONNX function, so that onnxruntime runs it as it is. Source:
Pappalardo et al., arXiv 2206.07527.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hls_export.index import ExistsError, ExportError
from tailor_jax import files
from tailor_jax.graph import GraphError
from tailor_jax.integers import fixed as fx
from tailor_jax.integers.fixed import FLOAT32_EXACT, Fixed
from tailor_jax.integers.mean import Mean
from tailor_jax.integers.qgraph import QGraph, QNode, check, mean

if TYPE_CHECKING:
    import onnx

DOMAIN = 'qonnx.custom_op.general'
TRANSLATED = ('input', 'conv', 'dense', 'add', 'global_avg_pool', 'max_pool', 'relu')
OPSET, IR_VERSION = 13, 8
INPUT = 'input__image'


def model(qgraph: QGraph, batch: int | str = 1) -> onnx.ModelProto:
    """The network as ONNX; input `input__image` float32 [batch, c, h, w], output named after the last node, [batch,
    classes] behind a dense layer.

    Args:
      qgraph: the integer graph.
      batch: images a call; qonnx, FINN and hls4ml want a number, onnxruntime also takes a name, as in 'n'.

    Raises:
      GraphError: for an op that has no translation, or a type that float32 or `Quant` cannot represent.
      ExportError: if the onnx package is not installed.
    """
    helper = _onnx().helper
    walk = _Walk()
    for qnode in qgraph.nodes:
        if qnode.node.op not in TRANSLATED:
            raise _untranslated(qnode)
        _check(qnode)
    check(qgraph)
    for qnode in qgraph.nodes:
        _emit(walk, qgraph, qnode)
    first, last = qgraph.input.node, qgraph.output
    flat = last.node.op == 'dense'
    ends = {INPUT: (first.shape, False), last.name: (last.node.shape, flat)}
    ports = [
        helper.make_tensor_value_info(name, 1, [batch, channels] if is_flat else [batch, channels, height, width])
        for name, ((height, width, channels), is_flat) in ends.items()
    ]
    made = helper.make_model(
        helper.make_graph(walk.nodes, 'tailor_jax', ports[:1], ports[1:], walk.initializers),
        producer_name='tailor_jax',
        opset_imports=[helper.make_opsetid('', OPSET), helper.make_opsetid(DOMAIN, 1)],
        functions=[_quant_function()],
        ir_version=IR_VERSION,
        doc_string='A quantized network; tensors are multiples of powers of two and rounding is half up, as half a '
        'step added before a FLOOR.',
    )
    helper.set_model_props(
        made, {'input_type': str(qgraph.input.out), 'output_type': str(last.out), 'output_step': repr(last.out.step)}
    )
    return made


def write(path: str | os.PathLike, qgraph: QGraph, overwrite: bool = False) -> Path:
    """Writes the network to a new file. Raises as `model`, and ExportError where it exists or cannot be written."""
    path = Path(path)
    if path.exists() and not (overwrite and path.is_file()):
        raise ExistsError(f'{str(path)!r} exists; give another name, or overwrite=True to replace a file')
    content = model(qgraph).SerializeToString(deterministic=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, content)
    except OSError as error:
        raise ExportError(
            f'cannot write {str(path)!r}: {error.strerror}; choose a place that you may write to'
        ) from None
    return path


def run(qgraph: QGraph, images: np.ndarray) -> np.ndarray:
    """The logits' integers [n, classes] that onnxruntime computes from the exported network, for images of integers [n,
    h, w, c].
    """
    try:
        import onnxruntime
    except ImportError:
        raise ExportError('onnxruntime is not installed; install it with "pip install tailor_jax[qonnx]"') from None
    session = onnxruntime.InferenceSession(model(qgraph, 'n').SerializeToString(), providers=['CPUExecutionProvider'])
    (logits,) = session.run(None, {INPUT: to_real(qgraph, images)})
    return to_integers(qgraph, logits)


def to_real(qgraph: QGraph, images: np.ndarray) -> np.ndarray:
    """Integers of the input's type [n, h, w, c] -> the float32 [n, c, h, w] that the ONNX network takes."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) * np.float32(qgraph.input.out.step)


def to_integers(qgraph: QGraph, logits: np.ndarray) -> np.ndarray:
    """The ONNX network's output -> integers [n, classes] as `run_int` gives them. Raises ValueError if it is not a
    multiple of the step.
    """
    scaled = np.asarray(logits, np.float64) / qgraph.output.out.step
    integers = np.rint(scaled).astype(np.int32)
    if (integers != scaled).any():
        raise ValueError(f'the outputs are no multiples of {qgraph.output.out.step}')
    if integers.ndim == 4:
        integers = integers.transpose(0, 2, 3, 1)
    return integers.reshape(len(integers), -1)


class _Walk:
    """The ONNX nodes and constants made so far."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def constant(self, name: str, value: np.ndarray | float, dtype: type = np.float32) -> str:
        if all(each.name != name for each in self.initializers):
            self.initializers.append(_onnx().numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, domain: str = '', **attributes: Any) -> str:
        self.nodes.append(_onnx().helper.make_node(op, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def quant(self, source: str, output: str, fixed: Fixed) -> str:
        scale = self.constant(f'scale_{output}', fixed.step)
        # QONNX takes one signed bit for -1 and +1; ours are -1 and 0, which two bits hold (`_check` has seen to what
        # must saturate).
        width = max(fixed.bits, 2) if fixed.signed else fixed.bits
        zero, bits = self.constant(f'zero_{output}', 0), self.constant(f'bits_{output}', width)
        return self.node(
            'Quant',
            [source, scale, zero, bits],
            output,
            DOMAIN,
            signed=int(fixed.signed),
            narrow=0,
            rounding_mode='FLOOR',
        )

    def quantized(self, name: str, integers: np.ndarray, fixed: Fixed) -> str:
        """A constant of this type, through a `Quant` of its own: that is where QONNX tools read a weight's type."""
        real = np.ldexp(integers.astype(np.float64), -fixed.frac)
        return self.quant(self.constant(f'{name}__value', real), name, fixed)


def _emit(walk: _Walk, qgraph: QGraph, qnode: QNode) -> None:
    """One node. Tensor `<node>` is its output; names with `__` are within it."""
    node, name = qnode.node, qnode.name
    inputs = list(node.inputs)
    top, bottom, left, right = node.padding
    window: dict[str, Any] = {
        'kernel_shape': node.kernel,
        'strides': node.stride,
        'pads': (top, left, bottom, right),
        'dilations': (1, 1),
    }
    match node.op:
        case 'input':
            tensor = walk.node(
                'Add', [INPUT, walk.constant(f'{name}__half_step', _half_step(qnode.out))], f'{name}__rounded'
            )
        case 'conv':
            tensor = walk.node(
                'Conv',
                [*inputs, *_weight_and_bias(walk, qnode, (3, 2, 0, 1))],
                f'{name}__sum',
                group=node.groups,
                **window,
            )
        case 'dense':
            weight, bias = _weight_and_bias(walk, qnode, (0, 1))
            flat = walk.node('Flatten', inputs, f'{name}__flat', axis=1)
            tensor = walk.node('Add', [walk.node('MatMul', [flat, weight], f'{name}__product'), bias], f'{name}__sum')
            if qnode is not qgraph.output:
                axes = walk.constant(f'{name}__axes', np.array([2, 3]), np.int64)
                tensor = walk.node('Unsqueeze', [tensor, axes], f'{name}__map')
        case 'add':
            tensor = _add_half_step(walk, qnode, walk.node('Add', inputs, f'{name}__sum'))
        case 'global_avg_pool':
            tensor = _add_half_step(walk, qnode, _mean(walk, qgraph, qnode))
        case 'max_pool':
            walk.node('MaxPool', inputs, name, **window)
            return
        case 'relu':
            tensor = walk.node('Relu', inputs, f'{name}__relu')
        case _:
            raise _untranslated(qnode)
    if node.relu:
        tensor = walk.node('Relu', [tensor], f'{name}__relu')
    walk.quant(tensor, name, qnode.out)


def _untranslated(qnode: QNode) -> GraphError:
    return GraphError(
        f'node {qnode.name!r}: op {qnode.node.op!r} has no translation to QONNX; {", ".join(TRANSLATED[1:])} have'
    )


def _half_step(fixed: Fixed) -> float:
    return 2.0 ** -(fixed.frac + 1)


def _add_half_step(walk: _Walk, qnode: QNode, tensor: str) -> str:
    if qnode.shift <= 0:  # nothing to round
        return tensor
    return walk.node(
        'Add', [tensor, walk.constant(f'{qnode.name}__half_step', _half_step(qnode.out))], f'{qnode.name}__rounded'
    )


def _weight_and_bias(walk: _Walk, qnode: QNode, order: tuple[int, ...]) -> tuple[str, str]:
    """Names of the quantized constants of a weighted node; the bias holds the half step of rounding."""
    if qnode.weight is None or qnode.bias is None or qnode.weight_type is None:
        raise GraphError(
            f'node {qnode.name!r} ({qnode.node.op}): the integer graph holds no weight, bias or weight type for it'
        )
    rounding = 1 << (qnode.shift - 1) if qnode.shift > 0 else 0
    bias = qnode.bias.astype(np.int64) + rounding
    bias_type = fx.smallest(min(int(bias.min()), -1), int(bias.max()), qnode.acc.frac)
    weight = walk.quantized(f'{qnode.name}__weight', qnode.weight.transpose(order), qnode.weight_type)
    return weight, walk.quantized(f'{qnode.name}__bias', bias, bias_type)


def _mean(walk: _Walk, qgraph: QGraph, qnode: QNode) -> str:
    """A mean over the map as a depthwise convolution of its size, whose weights are all 1 / 2^e; then, divided by what
    is odd of H W, the definition.

    Exact for every H W, unlike GlobalAveragePool. The convolution is known to every QONNX tool: hls4ml 1.3.0 and the
    qonnx package's channels-last conversion do not agree on an average pool's layout. The long division needs a
    runtime that knows Floor.
    """
    (source,) = qnode.node.inputs
    height, width, channels = qgraph[source].node.shape
    division = mean(qgraph, qnode)
    # The sum goes into the division as an integer; a power of two is done with here.
    frac = division.frac if division.divisor == 1 else -qgraph[source].out.frac
    weight = walk.quantized(f'{qnode.name}__weight', np.ones((channels, 1, height, width), int), Fixed(2, frac))
    window: dict[str, Any] = {
        'kernel_shape': (height, width),
        'strides': (1, 1),
        'pads': (0, 0, 0, 0),
        'dilations': (1, 1),
    }
    total = walk.node('Conv', [source, weight], f'{qnode.name}__sum', group=channels, **window)
    if division.divisor == 1:
        return total
    return _scaled(walk, _long_division(walk, qnode.name, total, division), 2.0**-qnode.acc.frac, f'{qnode.name}__mean')


def _long_division(walk: _Walk, name: str, total: str, division: Mean) -> str:
    """The integers of the mean from those of the sum, as `quant.divide` computes them."""

    def divided(x: str, step: int) -> tuple[str, str]:
        """(floor(x / divisor), what is left)."""
        shifted = walk.node('Add', [x, walk.constant(f'{name}__half', 0.5)], f'{name}__{step}_shifted')
        quotient = walk.node(
            'Floor', [_scaled(walk, shifted, division.inverse, f'{name}__{step}_ratio')], f'{name}__{step}_quotient'
        )
        product = _scaled(walk, quotient, division.divisor, f'{name}__{step}_product')
        return quotient, walk.node('Sub', [x, product], f'{name}__{step}_rest')

    low = division.low_bits
    high = walk.node('Floor', [_scaled(walk, total, 2.0**-low, f'{name}__fraction')], f'{name}__high')
    rest_of_sum = walk.node('Sub', [total, _scaled(walk, high, 2.0**low, f'{name}__high_part')], f'{name}__low')
    steps = [(low, rest_of_sum)] if low else []
    steps += [(bits, walk.constant(f'{name}__zero', 0.0)) for bits in division.digits[:-1]]
    steps += [(division.digits[-1], walk.constant(f'{name}__rounding', division.rounding))]
    quotient, rest = divided(high, 0)
    for step, (bits, digit) in enumerate(steps, 1):
        x = walk.node(
            'Add', [_scaled(walk, rest, 2.0**bits, f'{name}__{step}_carried'), digit], f'{name}__{step}_dividend'
        )
        more, rest = divided(x, step)
        quotient = walk.node(
            'Add', [_scaled(walk, quotient, 2.0**bits, f'{name}__{step}_so_far'), more], f'{name}__{step}_whole'
        )
    return quotient


def _scaled(walk: _Walk, tensor: str, factor: float, output: str) -> str:
    return walk.node('Mul', [tensor, walk.constant(f'{output}__factor', factor)], output)


def _check(qnode: QNode) -> None:
    """Raises GraphError where real numbers in float32 would not be the integers of this node."""
    where = f'node {qnode.name!r} ({qnode.node.op})'
    if max(-qnode.acc.lo, qnode.acc.hi) > FLOAT32_EXACT:
        raise GraphError(
            f'{where}: its accumulator {qnode.acc} is not exact in the float32 of ONNX, which holds integers up to 2^24'
        )
    if qnode.out.signed and qnode.out.bits == 1 and (qnode.acc.bits, qnode.shift) != (1, 0):
        raise GraphError(
            f'{where}: QONNX takes a signed type of one bit for -1 and +1, ours is -1 and 0; give it two bits'
        )


def _quant_function() -> onnx.FunctionProto:
    """`Quant` in standard operators, for FLOOR and narrow=0: y = scale (floor(clip(x / scale + zero point, lo, hi)) -
    zero point).
    """
    helper = _onnx().helper

    def node(op: str, inputs: str, output: str, **attributes: Any) -> Any:
        return helper.make_node(op, inputs.split(), [output], **attributes)

    signed = helper.make_node('Constant', [], ['signed_integer'])
    signed.attribute.append(
        _onnx().AttributeProto(name='value_int', type=_onnx().AttributeProto.INT, ref_attr_name='signed')
    )
    nodes = [
        signed,
        node('Cast', 'signed_integer', 'is_signed', to=1),
        node('Constant', '', 'one', value_float=1.0),
        node('Constant', '', 'two', value_float=2.0),
        node('Sub', 'bitwidth is_signed', 'magnitude_bits'),
        node('Pow', 'two magnitude_bits', 'magnitude'),
        node('Sub', 'magnitude one', 'highest'),
        node('Mul', 'magnitude is_signed', 'negated_lowest'),
        node('Neg', 'negated_lowest', 'lowest'),
        node('Div', 'x scale', 'scaled'),
        node('Add', 'scaled zero_point', 'shifted'),
        node('Min', 'shifted highest', 'below'),
        node('Max', 'below lowest', 'clipped'),
        node('Floor', 'clipped', 'integers'),
        node('Sub', 'integers zero_point', 'centred'),
        node('Mul', 'centred scale', 'y'),
    ]
    function = helper.make_function(
        DOMAIN,
        'Quant',
        ['x', 'scale', 'zero_point', 'bitwidth'],
        ['y'],
        nodes,
        [helper.make_opsetid('', OPSET)],
        ['signed', 'narrow', 'rounding_mode'],
    )
    function.doc_string = 'QONNX Quant for rounding_mode FLOOR and narrow 0.'
    return function


def _onnx() -> Any:
    try:
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise ExportError('onnx is not installed; install it with "pip install tailor_jax[qonnx]"') from None
    return onnx
