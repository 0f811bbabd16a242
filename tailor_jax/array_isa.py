"""The instruction list of a PE array under shortcut_fusion: its words, exactly reversible, and a listing.

An instruction is 11 words of 32 bits (`WORDS`; the first field of a word is in its lowest bits). Opcodes:

    layer   a convolution, dense layer or plain pass over its input, then its stages, in one go
    piece   one operand of a concat; those of a layer's input, then those of its second operand, stand before it
    load    DRAM -> buffer, `weights` bytes        store   buffer -> DRAM, `weights` bytes
    end     the network's result is the pieces before it

`input`, `second` (a shortcut, or the factors of a scale), `output` and `average` (the result of a global average pool)
are places: a memory and an address in it. Memories 0, 1 and 2 hold maps, 3 holds vectors, 4 is DRAM, 7 is none. `frame`
tells frame mode from row mode.

Constants follow one another in a list of their own, in the order of the instructions, so they need no address: for a
layer with weights one bias for each output channel, then for each of its stages four words (`STAGE_WORDS`) and the
entries of its table. A stage works on what the stage before it made:

    products      (a convolution's sums and its bias)
    add           (x << align) + (second << second_align)
    scale         x second
    leaky         x << align if x >= 0, else multiplier x
    align         x << align
    relu, table, max_pool, avg_pool, global_avg_pool, upsample
                  as in `tailor_jax.ops`, `multiplier` being a pool's divisor
    then          max(., 0) if relu; rounded right shift; saturated to `bits`
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence


class InstructionError(ValueError):
    """What no instruction holds. The message names the node or field, what was given and what is possible."""


OPCODES = ('end', 'layer', 'piece', 'load', 'store')
STAGES = (
    'products',
    'add',
    'scale',
    'relu',
    'leaky',
    'table',
    'max_pool',
    'avg_pool',
    'global_avg_pool',
    'upsample',
    'align',
)
NONE = 7

Layout = tuple[tuple[tuple[str, int], ...], ...]
WORDS: Layout = (
    (
        *(('opcode', 4), ('frame', 1), ('weighted', 1), ('pieces', 4), ('second_pieces', 4), ('stages', 4)),
        *(('input_signed', 1), ('input_bits', 6), ('second_signed', 1), ('output_bytes', 3)),
    ),
    (('width', 16), ('height', 16)),
    (('channels_in', 16), ('channels_out', 16)),
    (('kernel_height', 8), ('kernel_width', 8), ('stride_down', 8), ('stride_across', 8)),
    (('pad_top', 8), ('pad_bottom', 8), ('pad_left', 8), ('pad_right', 8)),
    (('groups', 16), ('input_memory', 4), ('second_memory', 4), ('output_memory', 4), ('average_memory', 4)),
    (('weights', 32),),
    (('input', 32),),
    (('second', 32),),
    (('output', 32),),
    (('average', 32),),
)
STAGE_WORDS: Layout = (
    (('kind', 4), ('relu', 1), ('signed', 1), ('bits', 6), ('shift', 7), ('align', 6), ('second_align', 6)),
    (('multiplier', 32),),
    (('kernel_height', 8), ('kernel_width', 8), ('stride_down', 8), ('stride_across', 8)),
    (('pad_top', 8), ('pad_bottom', 8), ('pad_left', 8), ('pad_right', 8)),
)
SIGNED = ('shift',)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """The fields of `WORDS`. `opcode` indexes `OPCODES`; sizes are the input's; addresses, `weights` count bytes."""

    opcode: int
    frame: int = 0
    weighted: int = 0
    pieces: int = 0
    second_pieces: int = 0
    stages: int = 0
    input_signed: int = 0
    input_bits: int = 0
    second_signed: int = 0
    output_bytes: int = 0
    width: int = 0
    height: int = 0
    channels_in: int = 0
    channels_out: int = 0
    kernel_height: int = 0
    kernel_width: int = 0
    stride_down: int = 0
    stride_across: int = 0
    pad_top: int = 0
    pad_bottom: int = 0
    pad_left: int = 0
    pad_right: int = 0
    groups: int = 0
    input_memory: int = NONE
    second_memory: int = NONE
    output_memory: int = NONE
    average_memory: int = NONE
    weights: int = 0
    input: int = 0
    second: int = 0
    output: int = 0
    average: int = 0

    @property
    def operation(self) -> str:
        return OPCODES[self.opcode]


@dataclasses.dataclass(frozen=True)
class Stage:
    """The fields of `STAGE_WORDS`. `kind` is an index into `STAGES`; an upsample has its factors in the strides, a
    table 2^(input bits) entries.
    """

    kind: int
    relu: int = 0
    signed: int = 0
    bits: int = 0
    shift: int = 0
    align: int = 0
    second_align: int = 0
    multiplier: int = 1
    kernel_height: int = 1
    kernel_width: int = 1
    stride_down: int = 1
    stride_across: int = 1
    pad_top: int = 0
    pad_bottom: int = 0
    pad_left: int = 0
    pad_right: int = 0

    @property
    def operation(self) -> str:
        return STAGES[self.kind]


def encode(instruction: Instruction) -> tuple[int, ...]:
    """The 11 words. Raises InstructionError naming a field whose value its bits do not hold."""
    return _packed(instruction, WORDS)


def decode(words: Sequence[int]) -> Instruction:
    """The inverse of `encode`."""
    return Instruction(**_unpacked(words, WORDS))


def encode_stage(stage: Stage) -> tuple[int, ...]:
    """The 4 words of a stage. Raises InstructionError naming a field whose value its bits do not hold."""
    return _packed(stage, STAGE_WORDS)


def decode_stage(words: Sequence[int]) -> Stage:
    """The inverse of `encode_stage`."""
    return Stage(**_unpacked(words, STAGE_WORDS))


def _packed(record: Instruction | Stage, layout: Layout) -> tuple[int, ...]:
    words = []
    for fields in layout:
        word = place = 0
        for name, bits in fields:
            value = getattr(record, name)
            least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if name in SIGNED else (0, (1 << bits) - 1)
            if not least <= value <= most:
                raise InstructionError(f'{record.operation}: field {name} holds {least} to {most}, got {value}')
            word |= (value & (1 << bits) - 1) << place
            place += bits
        words.append(word)
    return tuple(words)


def _unpacked(words: Sequence[int], layout: Layout) -> dict[str, int]:
    if len(words) != len(layout):
        raise InstructionError(f'expected {len(layout)} words, got {len(words)}')
    found = {}
    for word, fields in zip(words, layout):
        rest = int(word)
        for name, bits in fields:
            value = rest & (1 << bits) - 1
            found[name] = value - (1 << bits) if name in SIGNED and value >> bits - 1 else value
            rest >>= bits
        if rest:
            raise InstructionError(f'word {int(word):#010x} has bits set beyond its last field, {fields[-1][0]}')
    return found


def listing(instructions: Iterable[Instruction], names: Sequence[str] = ()) -> str:
    """One line an instruction: what it does, on which sizes, from where to where."""
    lines = []
    for number, each in enumerate(instructions):
        name = names[number] if names else ''
        size = f'{each.height}x{each.width}x{each.channels_in}'
        places = [
            f'{role} {_place(getattr(each, f"{role}_memory"), getattr(each, role))}'
            for role in ('input', 'second', 'output', 'average')
            if getattr(each, f'{role}_memory') != NONE
        ]
        if each.operation == 'layer':
            window = f'{each.kernel_height}x{each.kernel_width}/{each.stride_down}' if each.weighted else 'pass'
            size = (
                f'{size} -> {each.channels_out}, {window}{f", {each.groups} groups" if each.groups > 1 else ""}, '
                f'{each.stages} stages'
            )
        elif each.operation in ('load', 'store'):
            size = f'{each.weights} bytes'
        mode = ('row', 'frame')[each.frame] if each.operation == 'layer' else ''
        lines.append(f'{number:4}  {each.operation:5}  {mode:5}  {name:24}  {size:44}  {", ".join(places)}'.rstrip())
    return '\n'.join(lines)


def _place(memory: int, address: int) -> str:
    return f'dram[{address:#x}]' if memory == 4 else f'vectors[{address}]' if memory == 3 else f'buffer {memory}'
