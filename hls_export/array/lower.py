"""Lowering: an integer network and its schedule -> the instruction list of the PE array, with what lies in DRAM.

    schedule = costmodel.array.schedule.schedule(qgraph.graph, target)    # decides which layers run, when and where
    program  = lower(qgraph, schedule)                                    # decides nothing
    print(program.listing()); hls_export.array.engine.run(program, image)

One instruction a layer, loads and stores where the schedule moves tensors, in its order. DRAM holds, from address 0,
the weights in the order in which tiles need them (over the input channels, then over the output channels; shared
integers once), then the input and every tensor that goes there, each at the lowest address that is free from the layer
that writes it to the last that may read it. A value takes one byte (two with 16 bits); those of a result as many as its
type needs.
"""

from __future__ import annotations

import math

import numpy as np

from hls_export.array.program import Program
from tailor_jax import array_isa as instructions
from tailor_jax.array_isa import NONE, OPCODES, STAGES, Instruction, InstructionError, Stage
from tailor_jax.array_schedule import DRAM, Place, Schedule, Step
from tailor_jax.graph import Node
from tailor_jax.integers.qgraph import QGraph, QNode
from tailor_jax.ops import MEANS, OPS, PASSED, TABLED, VIEWS, WEIGHTED, WINDOW_POOLS

KINDS = {  # of stages, by op
    **{op: op for op in OPS if op in STAGES},
    **dict.fromkeys(WEIGHTED, 'products'),
    **dict.fromkeys(TABLED, 'table'),
    'leaky_relu': 'leaky',
    'concat': 'align',
}


def lower(qgraph: QGraph, schedule: Schedule) -> Program:
    """The program of an integer network in the order and the places of a schedule of its graph.

    Raises:
      InstructionError: for a schedule of another network, or a node whose operands or type an instruction does not
        hold.
    """
    if schedule.layer_graph.graph != qgraph.graph:
        raise InstructionError('the schedule is of another network than the one to lower')
    return _Lowering(qgraph, schedule).program()


class _Lowering:
    def __init__(self, qgraph: QGraph, schedule: Schedule):
        self.qgraph, self.graph, self.schedule, self.network = qgraph, qgraph.graph, schedule, schedule.layer_graph
        self.value_bytes = schedule.activation_bits // 8
        self.code: list[tuple[Instruction, str]] = []
        self.constants: list[int] = []
        self.weights, self.weight_at = _weights(qgraph, schedule)
        self.at = self._addresses()

    def program(self) -> Program:
        for step in self.schedule.steps:
            self._step(step)
        pieces = self._pieces(self.graph.output.name)
        for piece in pieces:
            self._piece(*piece, (DRAM, self.at[piece[0]]))
        self._emit(Instruction(OPCODES.index('end'), pieces=len(pieces)), 'end')
        traffic = dict(self.schedule.traffic)
        traffic['output'] += sum(
            (self._bytes(name) - self.value_bytes) * math.prod(self.graph[name].shape) for name in self.network.results
        )
        return Program(
            np.array([instructions.encode(each) for each, _ in self.code], np.uint32),
            np.array(self.constants, np.int64).astype(np.uint32),
            self.weights,
            self.schedule.memories,
            self.dram_bytes,
            self.at[self.graph.input.name],
            self.value_bytes,
            self.schedule.weight_bits // 8,
            self.schedule.rows,
            self.schedule.columns,
            tuple(name for _, name in self.code),
            traffic,
        )

    def _emit(self, instruction: Instruction, name: str) -> None:
        self.code.append((instruction, name))

    def _bytes(self, name: str) -> int:
        """Bytes of one value of a tensor; only results that nobody reads may be wider than activations."""
        bits = self.qgraph[name].out.bits
        if bits <= self.schedule.activation_bits:
            return self.value_bytes
        if self.network.last_reader.get(name, -1) >= 0 or any(name in layer.reads for layer in self.network.layers):
            raise InstructionError(
                f'node {name!r}: its values have {bits} bits and are read again, and activation_bits is '
                f'{self.schedule.activation_bits}'
            )
        return -(-bits // 8)

    def _addresses(self) -> dict[str, int]:
        """The DRAM address of each tensor that goes there: first fit by live range."""
        first = self.graph.input.name
        born = {first: -1}
        for index, step in enumerate(self.schedule.steps):
            written = [name for name, _ in (*step.stores, *step.late_stores)]
            for name in [*written, *(name for name in step.layer.outputs if step.places[name][0] == DRAM)]:
                born.setdefault(name, index)
        results = self.network.results
        last = {name: math.inf if name in results else self.network.last_reader.get(name, born[name]) for name in born}
        at: dict[str, int] = {}
        self.dram_bytes = len(self.weights)
        for name in born:
            size, address = self._bytes(name) * math.prod(self.graph[name].shape), len(self.weights)
            beside = [other for other in at if born[other] <= last[name] and born[name] <= last[other]]
            for begin, end in sorted(
                (at[other], at[other] + self._bytes(other) * math.prod(self.graph[other].shape)) for other in beside
            ):
                if address + size <= begin:
                    break
                address = max(address, end)
            at[name] = address
            self.dram_bytes = max(self.dram_bytes, address + size)
        return at

    def _where(self, name: str, place: Place) -> Place:
        return (DRAM, self.at[name]) if place[0] == DRAM else place

    def _step(self, step: Step) -> None:
        for name, place in step.stores:
            self._move('store', name, place, (DRAM, self.at[name]))
        for name, place in step.loads:
            self._move('load', name, (DRAM, self.at[name]), place)
        self._group(step)
        for name, place in step.late_stores:
            self._move('store', name, place, (DRAM, self.at[name]))

    def _move(self, operation: str, name: str, source: Place, goal: Place) -> None:
        size = self.value_bytes * math.prod(self.graph[name].shape)
        moved = Instruction(
            OPCODES.index(operation),
            weights=size,
            input_memory=source[0],
            input=source[1],
            output_memory=goal[0],
            output=goal[1],
        )
        self._emit(moved, name)

    def _piece(self, name: str, shape: tuple[int, int, int], stages: tuple[Stage, ...], place: Place) -> None:
        tensor = self.qgraph[name].out
        self._emit(
            Instruction(
                OPCODES.index('piece'),
                stages=len(stages),
                input_signed=tensor.signed,
                input_bits=tensor.bits,
                output_bytes=self._bytes(name),
                height=shape[0],
                width=shape[1],
                channels_in=shape[2],
                input_memory=place[0],
                input=place[1],
            ),
            name,
        )
        for stage in stages:
            self.constants.extend(instructions.encode_stage(stage))

    def _group(self, step: Step) -> None:
        layer, graph = step.layer, self.graph
        node, add = layer.nodes[0], layer.member('add')
        input_place, pieces = self._operand(step, node.inputs[0])
        second = add.inputs[1] if add else node.inputs[1] if node.op == 'scale' else None
        if node.op == 'scale' and graph[node.inputs[1]].op in VIEWS:
            raise InstructionError(
                f'node {node.name!r}: its factors {node.inputs[1]!r} are a {graph[node.inputs[1]].op}; an '
                'instruction reads one tensor'
            )
        second_place, second_pieces = self._operand(step, second) if second else ((NONE, 0), 0)
        average = layer.member('global_avg_pool')
        after = layer.nodes[layer.nodes.index(average) :] if average else ()
        side = [name for name in layer.outputs if graph[name] in after]
        body = [name for name in layer.outputs if name not in side]
        output_place, average_place = (
            self._where(each[0], step.places[each[0]]) if each else (NONE, 0) for each in (body, side)
        )
        source = self.qgraph[node.inputs[0]].out
        height, width, channels = graph.in_shape(node)
        written = {self._bytes(name) for name in layer.outputs}
        if len(written) > 1:
            raise InstructionError(
                f'node {node.name!r}: its results {", ".join(layer.outputs)} take different numbers of bytes a value'
            )
        try:
            self._emit(
                Instruction(
                    OPCODES.index('layer'),
                    frame=step.frame,
                    weighted=node.weighted,
                    pieces=pieces,
                    second_pieces=second_pieces,
                    stages=len(layer.nodes),
                    input_signed=source.signed,
                    input_bits=source.bits,
                    second_signed=bool(second and self.qgraph[second].out.signed),
                    output_bytes=written.pop(),
                    width=width,
                    height=height,
                    channels_in=channels,
                    channels_out=node.shape[2],
                    **_window(node),
                    groups=node.groups,
                    input_memory=input_place[0],
                    second_memory=second_place[0],
                    output_memory=output_place[0],
                    average_memory=average_place[0],
                    weights=self.weight_at[node.name] if node.weighted else 0,
                    input=input_place[1],
                    second=second_place[1],
                    output=output_place[1],
                    average=average_place[1],
                ),
                node.name,
            )
            instructions.encode(self.code[-1][0])
            if (bias := self.qgraph[node.name].bias) is not None:
                self.constants.extend(int(value) for value in bias)
            for member in layer.nodes:
                self._constants(self.qgraph[member.name])
        except InstructionError as error:
            raise InstructionError(f'node {node.name!r}: {error}') from None

    def _operand(self, step: Step, name: str) -> tuple[Place, int]:
        """(place, 0) of an operand that is one tensor as it lies; else emits its pieces: (no place, how many)."""
        pieces = self._pieces(name)
        if len(pieces) == 1 and not pieces[0][2]:
            return self._where(pieces[0][0], step.places[pieces[0][0]]), 0
        for piece in pieces:
            self._piece(*piece, self._where(piece[0], step.places[piece[0]]))
        return (NONE, 0), len(pieces)

    def _constants(self, qnode: QNode) -> None:
        self.constants.extend(instructions.encode_stage(_stage(qnode)))
        if qnode.table is not None:
            self.constants.extend(int(value) for value in qnode.table)

    def _pieces(self, name: str) -> list[tuple[str, tuple[int, int, int], tuple[Stage, ...]]]:
        """(tensor, shape as it is read, what is done to it) of each tensor that a node's value consists of."""
        node = self.graph[name]
        if node.op not in VIEWS:
            return [(name, node.shape, ())]
        if node.op == 'flatten':
            inner = self._pieces(node.inputs[0])
            return [(inner[0][0], node.shape, inner[0][2])] if len(inner) == 1 else inner
        found = []
        for index, source in enumerate(node.inputs):
            for tensor, shape, stages in self._pieces(source):
                if shape[:2] != node.shape[:2]:
                    raise InstructionError(
                        f'node {name!r}: it joins the flattened concat {source!r}, which no instruction reads'
                    )
                found.append((tensor, shape, (*stages, _stage(self.qgraph[name], index))))
        if len({tensor for tensor, _, _ in found}) < len(found):
            raise InstructionError(f'node {name!r}: it holds a tensor twice, which no instruction reads')
        return found


def _stage(qnode: QNode, index: int = 0) -> Stage:
    node = qnode.node
    kind = KINDS.get(node.op)
    if kind is None:
        raise InstructionError(f'node {node.name!r}: no instruction runs op {node.op!r}')
    return Stage(
        STAGES.index(kind),
        relu=node.relu,
        signed=qnode.out.signed,
        bits=qnode.out.bits,
        shift=0 if node.op in PASSED or node.op in TABLED else qnode.shift,
        align=qnode.align[index] if kind in ('add', 'leaky', 'align') or node.op in MEANS else 0,
        second_align=qnode.align[1] if kind == 'add' else 0,
        multiplier=qnode.divisor if node.op in MEANS else qnode.multiplier,
        **(_window(node) if node.op in WINDOW_POOLS else {}),
        **({'stride_down': node.factor[0], 'stride_across': node.factor[1]} if kind == 'upsample' else {}),
    )


def _window(node: Node) -> dict[str, int]:
    names = (
        'kernel_height',
        'kernel_width',
        'stride_down',
        'stride_across',
        'pad_top',
        'pad_bottom',
        'pad_left',
        'pad_right',
    )
    return dict(zip(names, (*node.kernel, *node.stride, *node.padding)))


def _weights(qgraph: QGraph, schedule: Schedule) -> tuple[np.ndarray, dict[str, int]]:
    """The weights as they lie in DRAM, and the address of each node's."""
    parts: list[np.ndarray] = []
    at: dict[str, int] = {}
    known: dict[str, np.ndarray] = {}
    address = 0
    for qnode in qgraph.nodes:
        if qnode.weight is None:
            continue
        assert qnode.weight_type is not None
        if qnode.weight_type.bits > schedule.weight_bits:
            raise InstructionError(
                f'node {qnode.name!r}: its weights have {qnode.weight_type.bits} bits, and weight_bits is '
                f'{schedule.weight_bits}'
            )
        key = qnode.node.key
        if key in known and np.array_equal(known[key], qnode.weight):
            at[qnode.name] = at[key]
            continue
        known[key], at[key], at[qnode.name] = qnode.weight, address, address
        weight = qnode.weight if qnode.weight.ndim == 4 else qnode.weight[None, None]
        for begin in range(0, weight.shape[3], schedule.columns):
            for lower in range(0, weight.shape[2], schedule.rows):
                tile = weight[:, :, lower : lower + schedule.rows, begin : begin + schedule.columns]
                parts.append(tile.astype(f'<i{schedule.weight_bits // 8}').reshape(-1).view(np.uint8))
                address += parts[-1].size
    return np.concatenate([*parts, np.zeros(0, np.uint8)]), at
