"""One layer of a program as the engine of a PE array runs it, see `hls_export.array.engine`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from hls_export.array.chip import Chip
from hls_export.array.memory import EVERY, Operand, applied, to_bytes, to_integers
from tailor_jax.array_isa import NONE, Instruction
from tailor_jax.array_schedule import ACCUMULATORS, DRAM, MAPS, VECTORS, WEIGHTS
from tailor_jax.graph import Node
from tailor_jax.integers.qgraph import QNode, convolve, run_node
from tailor_jax.ops import WINDOW_POOLS


class LayerRun:
    """One layer: its geometry, its stages, and what it has in hand."""

    def __init__(
        self, chip: Chip, each: Instruction, stages: tuple[QNode, ...], operands: list[Operand], second: list[Operand]
    ):
        self.chip, self.each, self.operands = chip, each, operands
        self.vb = chip.program.value_bytes
        self.least = -(1 << each.input_bits - 1) if each.input_signed else 0
        self.size_in = (each.height, each.width, each.channels_in)
        self.plain = all(operand.shape[:2] == self.size_in[:2] for operand in operands)  # else a flattened concat
        padding = (each.pad_top, each.pad_bottom, each.pad_left, each.pad_right)
        kernel, stride = (each.kernel_height, each.kernel_width), (each.stride_down, each.stride_across)
        self.window = Node('window', 'conv', (), (1, 1, 1), kernel, stride, padding, each.groups)
        self.out_rows = (each.height + each.pad_top + each.pad_bottom - kernel[0]) // stride[0] + 1
        self.out_width = (each.width + each.pad_left + each.pad_right - kernel[1]) // stride[1] + 1
        # Whether all weights of the layer are on chip.
        self.loaded = bool(each.weighted and not each.frame and self.out_rows > 1)
        cut = next((index for index, stage in enumerate(stages) if stage.node.op == 'global_avg_pool'), len(stages))
        self.body, self.side = stages[:cut], stages[cut:]
        fused = [
            index for index, stage in enumerate(self.body) if stage.node.op in WINDOW_POOLS and (index or each.weighted)
        ]
        self.pool_at = fused[0] if fused else len(self.body)
        self.before, self.pooling = self.body[: self.pool_at], self.body[self.pool_at :]
        tile = min(each.channels_out, chip.program.columns)
        held = (
            (1 if not each.frame else self.out_rows) * self.out_width * tile
            if each.weighted or (each.frame and fused)
            else 0
        )
        self.tile, self.sums_at = tile, 4 * held
        self.accumulators = chip.memories[ACCUMULATORS]
        self.ring_rows, self.fetched, self.missing = min(kernel[0] + 1, each.height), 0, (0, 0)
        self.factors: np.ndarray | None = None
        single = Operand(
            each.second_memory,
            each.second,
            (self.out_rows, self.out_width, each.channels_out),
            self.vb,
            bool(each.second_signed),
            8 * self.vb,
        )
        self.second = second or [single]

    def run(self) -> None:
        each, chip = self.each, self.chip
        if self.side:
            zero = np.zeros((each.channels_out, 4), np.uint8)
            self.accumulators.write(self.sums_at, zero.shape, zero, '')
        if any(stage.node.op == 'scale' for stage in self.body):
            self._load_factors()
        if self.loaded:
            size = (
                each.kernel_height
                * each.kernel_width
                * each.channels_in
                // each.groups
                * each.channels_out
                * chip.program.weight_value_bytes
            )
            chip.memories[WEIGHTS].write(0, (size,), chip.dram.read(each.weights, (size,), 'weight'), '')
        if each.frame:
            self._frame()
        else:
            self._rows()
        if self.side:
            raw = self.accumulators.read(self.sums_at, (each.channels_out, 4), '')
            value = to_integers(raw, True).reshape(1, 1, 1, -1)
            least = 0
            for stage in self.side:
                value, least = run_node(stage, [value], least), stage.out.lo
            self._write(each.average_memory, each.average, (1, 1, each.channels_out), value[0], ())

    def _load_factors(self) -> None:
        each, vectors = self.each, self.chip.memories[VECTORS]
        shape = (1, 1, each.channels_out, self.vb)
        address = each.second
        if each.second_memory == DRAM:
            address = 0
            vectors.write(0, shape, self.chip.dram.read(each.second, shape, 'input'), '')
        self.factors = to_integers(vectors.read(address, shape, ''), bool(each.second_signed))

    # frame mode: `columns` channels of the whole map at a time

    def _frame(self) -> None:
        each = self.each
        for begin in range(0, each.channels_out, self.tile):
            channels = slice(begin, min(begin + self.tile, each.channels_out))
            if each.weighted:
                x = self._run(self.body, self._products(channels, None), channels, EVERY)
            else:
                x = self._run(self.before, self._input(channels), channels, EVERY)
                if self.pooling:
                    self._hold(x)
                x = self._run(self.pooling, x, channels, EVERY, self.pool_at)
            self._store(x, channels, 0)

    def _input(self, channels: slice = EVERY) -> np.ndarray:
        """The main operand's channels, [h, w, c]."""
        if self.plain:
            return self.chip.gather(self.operands, 'input', EVERY, channels)
        return self.chip.gather(self.operands, 'input').reshape(self.size_in)[..., channels]

    # row mode: all channels of a row at a time, the weights in tiles

    def _rows(self) -> None:
        each, ring = self.each, self.chip.memories[MAPS[1]]
        pool = self.pooling[0].node if self.pooling else None
        rows, made = (min(pool.kernel[0], self.out_rows) if pool else 0), 0
        shape = (rows, self.out_width, each.channels_out, self.vb)
        for row in range(self.out_rows):
            window = self._window(row)
            for begin in range(0, each.channels_out, self.tile if each.weighted else each.channels_out):
                channels = slice(
                    begin, min(begin + self.tile, each.channels_out) if each.weighted else each.channels_out
                )
                x = self._products(channels, window) if each.weighted else window[..., channels]
                x = self._run(self.before, x, channels, slice(row, row + 1), by_rows=True)
                if pool is None:
                    self._store(x, channels, row)
                else:
                    ring.write(0, shape, to_bytes(x, self.vb), '', (slice(row % rows, row % rows + 1), EVERY, channels))
            while pool is not None and (complete := self._pooled_row(made, row)) is not None:
                signed, (inside, padding) = self.before[-1].out.signed, complete
                held = [
                    to_integers(ring.read(0, shape, '', (slice(index % rows, index % rows + 1),)), signed)
                    for index in inside
                ]
                x = run_node(_padded(self.pooling[0], padding), [np.concatenate(held)[None]])[0]
                x = self._run(self.pooling[1:], x, EVERY, slice(made, made + 1), self.pool_at + 1)
                self._store(x, EVERY, made)
                made += 1

    def _pooled_row(self, made: int, row: int) -> tuple[range, tuple[int, int]] | None:
        """(rows of the window, padding above and below) of the fused pool's next row, if all of them are there."""
        pool = self.pooling[0].node
        total = (self.out_rows + pool.padding[0] + pool.padding[1] - pool.kernel[0]) // pool.stride[0] + 1
        begin = made * pool.stride[0] - pool.padding[0]
        end = begin + pool.kernel[0]
        inside = range(max(begin, 0), min(end, self.out_rows))
        return (inside, (inside.start - begin, end - inside.stop)) if made < total and inside.stop - 1 <= row else None

    def _window(self, row: int) -> np.ndarray:
        """The rows of the input that an output row needs, [rows, w, c], once the row behind them is in the ring."""
        each = self.each
        begin = row * each.stride_down - each.pad_top
        end = begin + each.kernel_height
        inside = range(max(begin, 0), min(end, each.height))
        self._fetch(min(end + 1, each.height))
        found = np.concatenate([self._ring_row(index) for index in inside])
        if row == self.out_rows - 1:
            self._fetch(each.height)  # rows that no window needs
        self.missing = (inside.start - begin, end - inside.stop)
        return found

    def _fetch(self, end: int) -> None:
        """Brings the rows of the input up to `end` into the ring."""
        ring = self.chip.memories[MAPS[0]]
        for row in range(self.fetched, end):
            at = self._row_bytes() * (row % self.ring_rows)
            for operand in self.operands:
                deep = operand.shape[0] // self.each.height
                raw = self.chip.memory(operand.memory).read(
                    operand.address,
                    (*operand.shape, operand.value_bytes),
                    'input',
                    (slice(row * deep, (row + 1) * deep),),
                )
                ring.write(at, raw.shape, raw, '')
                at += raw.size
        self.fetched = max(self.fetched, end)

    def _row_bytes(self) -> int:
        return sum(
            operand.value_bytes * operand.shape[0] // self.each.height * operand.shape[1] * operand.shape[2]
            for operand in self.operands
        )

    def _ring_row(self, row: int) -> np.ndarray:
        """A row of the input as it lies in the ring, [1, w, c]."""
        found, at = [], self._row_bytes() * (row % self.ring_rows)
        for operand in self.operands:
            shape = (operand.shape[0] // self.each.height, *operand.shape[1:], operand.value_bytes)
            found.append(applied(to_integers(self.chip.memories[MAPS[0]].read(at, shape, ''), operand.signed), operand))
            at += int(np.prod(shape))
        return np.concatenate(found, axis=-1).reshape(1, *self.size_in[1:])

    # both modes

    def _products(self, channels: slice, window: np.ndarray | None) -> np.ndarray:
        """Sums of products of a tile of output channels: of the whole map (window None), or of the row of a window."""
        each, node = self.each, self.window
        if window is not None:
            node = dataclasses.replace(node, padding=(*self.missing, *node.padding[2:]))
        shape: tuple[int, ...] = ()
        for inputs, tile in self._weight_tiles(channels):
            if each.groups == 1:
                x = self._input(inputs) if window is None else window[..., inputs]
                part = convolve(x[None], tile, node)[0]
            else:
                part = _grouped(
                    self._input() if window is None else window, tile, node, channels, inputs, each.channels_out
                )
            self._hold(part + self._held(shape) if shape else part)
            shape = part.shape
        return self._held(shape)

    def _hold(self, x: np.ndarray) -> None:
        values = to_bytes(x, 4)
        self.accumulators.write(0, values.shape, values, '')

    def _held(self, shape: tuple[int, ...]) -> np.ndarray:
        return to_integers(self.accumulators.read(0, (*shape, 4), ''), True)

    def _weight_tiles(self, channels: slice) -> Iterator[tuple[slice, np.ndarray]]:
        """(input channels of a group, weights [kh, kw, inputs, outputs]) of each tile for these output channels."""
        each, program, memory = self.each, self.chip.program, self.chip.memories[WEIGHTS]
        depth, taps = (
            each.channels_in // each.groups,
            each.kernel_height * each.kernel_width * program.weight_value_bytes,
        )
        slot = taps * min(depth, program.rows) * min(each.channels_out, program.columns)
        number = channels.start // program.columns * -(-depth // program.rows)
        for begin in range(0, depth, program.rows):
            inputs = slice(begin, min(begin + program.rows, depth))
            shape = (
                each.kernel_height,
                each.kernel_width,
                inputs.stop - begin,
                channels.stop - channels.start,
                program.weight_value_bytes,
            )
            offset = taps * (depth * channels.start + begin * (channels.stop - channels.start))
            at = offset
            if not self.loaded:
                at = slot * (number % 2)
                memory.write(at, shape, self.chip.dram.read(each.weights + offset, shape, 'weight'), '')
            yield inputs, to_integers(memory.read(at, shape, ''), True)
            number += 1

    def _run(
        self,
        stages: tuple[QNode, ...],
        x: np.ndarray,
        channels: slice,
        rows: slice,
        first: int = 0,
        by_rows: bool = False,
    ) -> np.ndarray:
        """What the stages make of [rows, w, channels]; `first` is the index of the first of them."""
        for index, stage in enumerate(stages, first):
            op, inputs = stage.node.op, [x[None]]
            if self.each.weighted and index == 0:
                assert stage.bias is not None
                bias = stage.bias[channels].reshape(1, 1, 1, -1)
                inputs = [x[None], bias]
            elif op == 'add':
                inputs.append(self._second(x.shape, channels, rows)[None])
            elif op == 'scale':
                assert self.factors is not None
                inputs.append(self.factors[None, :, :, channels])
            elif op in WINDOW_POOLS and by_rows:
                stage = _padded(stage, self.missing)
            least = self.least if index == 0 else self.body[index - 1].out.lo
            x = run_node(stage, inputs, least)[0]
        return x

    def _second(self, shape: tuple[int, ...], channels: slice, rows: slice) -> np.ndarray:
        """The shortcut's values for these rows and channels."""
        return self.chip.gather(self.second, 'shortcut', rows, channels).reshape(shape)

    def _store(self, x: np.ndarray, channels: slice, row: int) -> None:
        """Writes what was made of a row (in frame mode of the map) and adds it to the sums of a global average pool."""
        each = self.each
        if self.side:
            part = x.sum(axis=(0, 1), dtype=np.int64)
            shape = (each.channels_out, 4)
            before = to_integers(self.accumulators.read(self.sums_at, shape, '', (channels,)), True)
            self.accumulators.write(self.sums_at, shape, to_bytes(before + part, 4), '', (channels,))
        if each.output_memory != NONE:
            height = self._height()
            first = 0 if each.frame else row * x.shape[0]
            where = (slice(first, first + x.shape[0]), EVERY, channels)
            self._write(each.output_memory, each.output, (height, x.shape[1], each.channels_out), x, where)

    def _height(self) -> int:
        """Rows of the result."""
        height = self.out_rows
        for stage in self.body[self.pool_at :] if self.pooling else self.body:
            if stage.node.op in WINDOW_POOLS and self.pooling:
                node = stage.node
                height = (height + node.padding[0] + node.padding[1] - node.kernel[0]) // node.stride[0] + 1
            elif stage.node.op == 'upsample':
                height *= stage.node.factor[0]
        return height

    def _write(
        self, memory: int, address: int, shape: tuple[int, int, int], x: np.ndarray, where: tuple[slice, ...]
    ) -> None:
        values = to_bytes(x, self.each.output_bytes)
        self.chip.memory(memory).write(address, (*shape, self.each.output_bytes), values, 'output', where)


def _padded(stage: QNode, vertical: tuple[int, int]) -> QNode:
    """A pool over the rows at hand, so many of its window missing above and below."""
    return dataclasses.replace(
        stage, node=dataclasses.replace(stage.node, padding=(*vertical, *stage.node.padding[2:]))
    )


def _grouped(
    x: np.ndarray, weights: np.ndarray, node: Node, outputs: slice, inputs: slice, channels_out: int
) -> np.ndarray:
    """The products of a tile of weights of a grouped convolution, [rows, w, outputs]."""
    depth, per_group = x.shape[2] // node.groups, channels_out // node.groups
    alone = dataclasses.replace(node, groups=1)
    if depth == per_group == 1:
        return convolve(
            x[None, :, :, outputs], weights, dataclasses.replace(node, groups=outputs.stop - outputs.start)
        )[0]
    found = []
    for group in range(outputs.start // per_group, -(-outputs.stop // per_group)):
        begin, end = max(outputs.start, group * per_group), min(outputs.stop, (group + 1) * per_group)
        seen = x[None, :, :, group * depth + inputs.start : group * depth + inputs.stop]
        found.append(convolve(seen, weights[..., begin - outputs.start : end - outputs.start], alone)[0])
    return np.concatenate(found, axis=-1)
