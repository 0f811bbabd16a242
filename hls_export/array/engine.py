"""The engine: executes the words of a program on memories of the stated sizes, with real integers, and counts every
byte that DRAM moves.

    result, traffic = run(program, image)       # image [h, w, c], integers of the input's type

It knows nothing but the program: no graph, no cost model. Memories are bytes; an access beyond a memory's end, or a
read of bytes that were never written, is a `EngineFault` that names the instruction. What a stage computes is
`tailor_jax.integers.qgraph.run_node`, on the rows or channels at hand.

    row mode      rows of the input enter a ring of K + 1 rows in buffer 0, each read from DRAM once; one more than the
                  window needs is fetched ahead. The rows of a fused pool's window wait in buffer 1. All weights of the
                  layer are loaded first.
    frame mode    the output is made `columns` channels at a time; tiles of weights come into two places in turn.

Partial sums lie in the accumulators, those of a tile first, then those of a global average pool.
"""

from __future__ import annotations

import numpy as np

from hls_export.array.chip import Chip
from hls_export.array.layer import LayerRun
from hls_export.array.memory import EngineFault, Operand, stage_node, to_bytes
from hls_export.array.program import Program
from tailor_jax.array_isa import Instruction, decode, decode_stage
from tailor_jax.integers.qgraph import QNode


def run(program: Program, image: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    """Executes a program on one image.

    Returns:
      The network's result, flat, as `run_int` gives it; {kind: bytes moved between DRAM and the chip}.

    Raises:
      EngineFault: for an access outside a memory, or of bytes that were never written.
    """
    return Engine(program).run(image)


class Engine:
    def __init__(self, program: Program):
        self.program, self.chip = program, Chip(program)
        self.next_constant = 0
        self.pieces: list[Operand] = []

    def run(self, image: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
        self.chip.dram.write(0, self.program.weights.shape, self.program.weights, 'host')
        values = to_bytes(image, self.program.value_bytes)
        self.chip.dram.write(self.program.input_address, values.shape, values, 'host')
        for number, words in enumerate(self.program.words):
            each = decode([int(word) for word in words])
            try:
                match each.operation:
                    case 'piece':
                        self.pieces.append(self._piece(each))
                    case 'load' | 'store':
                        self._move(each)
                    case 'layer':
                        self._layer(each)
                    case 'end':
                        result = self.chip.gather(self.pieces, 'host').reshape(-1)
                        return result, {kind: size for kind, size in self.chip.traffic.items() if kind != 'host'}
            except EngineFault as fault:
                raise EngineFault(
                    f'instruction {number} ({each.operation} {self.program.names[number]}): {fault}'
                ) from None
        raise EngineFault('the program has no end')

    def _move(self, each: Instruction) -> None:
        kind = 'input' if each.operation == 'load' else 'output'
        moved = self.chip.memory(each.input_memory).read(each.input, (each.weights,), kind)
        self.chip.memory(each.output_memory).write(each.output, (each.weights,), moved, kind)

    def _constants(self, count: int) -> np.ndarray:
        begin, self.next_constant = self.next_constant, self.next_constant + count
        if self.next_constant > len(self.program.constants):
            raise EngineFault(f'constants end at {len(self.program.constants)}, and {self.next_constant} are read')
        return self.program.constants[begin : self.next_constant].astype(np.int32).astype(np.int64)

    def _stages(self, count: int, bits: int, bias: np.ndarray | None = None) -> tuple[QNode, ...]:
        found = []
        for _ in range(count):
            stage = decode_stage([int(word) & 0xFFFFFFFF for word in self._constants(4)])
            table = self._constants(1 << bits) if stage.operation == 'table' else None
            found.append(stage_node(stage, table, bias if stage.operation == 'products' else None))
            bits = stage.bits
        return tuple(found)

    def _piece(self, each: Instruction) -> Operand:
        stages = self._stages(each.stages, each.input_bits)
        shape = (each.height, each.width, each.channels_in)
        return Operand(
            each.input_memory, each.input, shape, each.output_bytes, bool(each.input_signed), each.input_bits, stages
        )

    def _layer(self, each: Instruction) -> None:
        bias = self._constants(each.channels_out) if each.weighted else None
        stages = self._stages(each.stages, each.input_bits, bias)
        shape = (each.height, each.width, each.channels_in)
        single = Operand(
            each.input_memory, each.input, shape, self.program.value_bytes, bool(each.input_signed), each.input_bits
        )
        if len(self.pieces) != each.pieces + each.second_pieces:
            raise EngineFault(f'{each.pieces + each.second_pieces} pieces are due, and {len(self.pieces)} were given')
        operands, second = self.pieces[: each.pieces] or [single], self.pieces[each.pieces :]
        self.pieces = []
        LayerRun(self.chip, each, stages, operands, second).run()
