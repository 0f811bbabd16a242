"""Tiles of a layer under the size of the buffers: which sizes and loop order move the fewest bytes, and their room.

A layer of C input and N output channels (of one group), an H x W output and an fh x fw window is cut into n_c =
ceil(C/Tc), n_k = ceil(N/Tk) and n_s = ceil(H/Th) ceil(W/Tw) tiles. With I' the input read once through all spatial
tiles, halos counted with every tile that needs them:

    reuse     innermost   input        weights    partial sums
    output    channels    n_k I'       n_s W      none
    weight    pixels      n_k I'       W          2 (n_c - 1) O
    input     outputs     I'           n_s W      2 (n_c - 1) O

An operand that is a single tile is read once whatever the order. Results are written once. Buffers hold one tile of
each operand, two with double buffering: Tc ((Th-1) sh + fh) ((Tw-1) sw + fw) inputs, Tk Tc fh fw weights, Tk Th Tw
partial sums, and as many shortcut values where an add is fused. Tiles are whole rows, or parts of one row. Grouped
layers hold one group at a time, layers without weights a channel.

Bytes grow with n_s in every order, so for each (Tk, Tc) no tile moves fewer than the tallest that fits: the search is
exact over tiles of whole rows and of parts of one. Tiles of several part rows are not tried, and can move fewer bytes
in small buffers. Ties go to the fewest cycles (where `rereads` counts tile by tile), then to the smallest occupancy. A
tile that fits also fits more room, so more room never moves more bytes.

    search       the best tiling in so many bytes
    least_room   bytes that the smallest tiles take: with fewer a layer cannot run
    calm_room    bytes from which on tiles move every operand once and no partial sum, as with any room
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Collection
from fractions import Fraction
from typing import Any

import numpy as np

from costmodel.array import compute
from costmodel.array.layers import bits_to_bytes
from costmodel.array.loop_nest import LoopNest, loop_nest
from costmodel.array.settings import BUFFERS, PEArray
from costmodel.cost import TooSmall
from tailor_jax.array_schedule import Layer, LayerGraph

ORDERS = ('output', 'weight', 'input')


@dataclasses.dataclass(frozen=True)
class Tiling:
    """The tiles of a layer.

    Attributes:
      moved_bytes: what the layer moves in these tiles, results and shortcuts aside, for the batch.
      order: what the innermost loop keeps, one of `ORDERS`.
      tile: (Th, Tw, Tk, Tc).
      counts: (n_s, n_k, n_c).
      pixels_in, pixels_read: input pixels of one image; those that are read, repetitions counted.
      weight_reads: times that the weights are read for the batch.
      partial_bytes: partial sums written to DRAM and read back, for the batch.
      buffer_bytes: what the tiles occupy.
      cycles: of the array for the batch, tile by tile; 0 unless `rereads`.
    """

    moved_bytes: int
    order: str
    tile: tuple[int, int, int, int]
    counts: tuple[int, int, int]
    pixels_in: int
    pixels_read: int
    weight_reads: int
    partial_bytes: int
    buffer_bytes: int
    cycles: int

    @property
    def repeats(self) -> Fraction:
        """How many times the input is read, halos included."""
        return Fraction(self.pixels_read, self.pixels_in)


def tiled(
    network: LayerGraph, layer: Layer, target: PEArray, on_chip: Collection[str] = (), room: int | None = None
) -> Tiling:
    """The best tiles of a layer in `room` bytes (of one shared buffer; None for all) with some room (`check_room`).

    Tensors `on_chip` lie there as a whole: as operands they need no tile.
    """
    found = search(*_seen(network, layer, on_chip), target, target.sram_bytes if room is None else room)
    assert found is not None, (layer.name, room)
    return found


def check_room(network: LayerGraph, target: PEArray) -> None:
    """Raises TooSmall naming the layer whose smallest tiles take the most bytes, if the buffers have fewer."""
    parts = [least_room(loop_nest(network, layer), target) for layer in network.layers]
    limits = {'sram_bytes': [sum(part) for part in parts]}
    if target.input_buffer_bytes:
        limits = {key: [part[index] for part in parts] for index, key in enumerate(BUFFERS)}
    for key, taken in limits.items():
        if taken and max(taken) > getattr(target, key):
            layer, what = network.layers[taken.index(max(taken))], 'tiles take' if key == 'sram_bytes' else 'tile takes'
            where = f'node {layer.name!r} ({layer.op}): its smallest {what}'
            raise TooSmall(
                max(taken), f'{where} {max(taken)} bytes and {key} is {getattr(target, key)}; no layer needs more'
            )


def _seen(network: LayerGraph, layer: Layer, on_chip: Collection[str]) -> tuple[LoopNest, bool]:
    """The layer's loop nest, without a shortcut that lies on chip, and whether its input does."""
    nest = loop_nest(network, layer)
    if set(layer.shortcuts) <= set(on_chip):
        nest = dataclasses.replace(nest, shortcut=False)
    return nest, set(layer.inputs) <= set(on_chip)


@functools.lru_cache(maxsize=1 << 14)
def search(nest: LoopNest, input_on_chip: bool, target: PEArray, room: int) -> Tiling | None:
    """The best tiling of a loop nest in so many bytes, of whole rows or of parts of one row; None if there is none."""
    found = [_best(nest, target, input_on_chip, room, rows) for rows in (True, False)]
    return min(filter(None, found), key=_rank, default=None)


def _rank(tiling: Tiling) -> tuple[int, int, int]:
    return tiling.moved_bytes, tiling.cycles, tiling.buffer_bytes


def least_room(nest: LoopNest, target: PEArray) -> tuple[int, int, int]:
    """Bytes of the buffers for inputs, weights and outputs that the smallest tiles take, no operand lying on chip."""
    inputs, weights, outputs = _occupied(nest, target, False, 1, 1, 1, 1)
    return int(inputs), int(weights), int(outputs)


def calm_room(network: LayerGraph, layer: Layer, target: PEArray, on_chip: Collection[str] = ()) -> int:
    """The fewest bytes in which some tiling of a layer moves no more than with any room."""
    return _calm_room(*_seen(network, layer, on_chip), _of_any_size(target))


@functools.lru_cache(maxsize=64)
def _of_any_size(target: PEArray) -> PEArray:
    """The target without what its buffers hold, so that what does not depend on them is found once."""
    return dataclasses.replace(target, sram_bytes=1, input_buffer_bytes=0, weight_buffer_bytes=0, output_buffer_bytes=0)


@functools.lru_cache(maxsize=1 << 14)
def _calm_room(nest: LoopNest, input_on_chip: bool, target: PEArray) -> int:
    inner, outer = _channel_tiles(nest)
    whole = tuple(np.array([size]) for size in (*nest.size, nest.channels, nest.channels_in))
    least = _moved(nest, target, input_on_chip, 'output', *whole)[0][0]
    taken = []
    for rows in (True, False):
        size = nest.size[0] if rows else nest.size[1]
        for order in ORDERS if nest.weighted else ORDERS[:1]:

            def calm(extent: np.ndarray, rows: bool = rows, order: str = order) -> np.ndarray:
                return _moved(nest, target, input_on_chip, order, *_tile(nest, rows, extent), outer, inner)[0] == least

            shortest = 1 + _last(np.zeros_like(outer), np.full_like(outer, size), lambda extent: ~calm(extent))
            fits = shortest <= size
            held = _occupied(nest, target, input_on_chip, outer[fits], inner[fits], *_tile(nest, rows, shortest[fits]))
            taken += sum(held).tolist()
    return min(taken)


def _channel_tiles(nest: LoopNest) -> tuple[np.ndarray, np.ndarray]:
    """(Tc, Tk) of every pair of tile sizes."""
    inner, outer = np.meshgrid(_sizes(nest.channels_in), _sizes(nest.channels), indexing='ij')
    return inner.ravel(), outer.ravel()


def _best(nest: LoopNest, target: PEArray, input_on_chip: bool, room: int, rows: bool) -> Tiling | None:
    inner, outer = _channel_tiles(nest)
    extent = _tallest(nest, target, input_on_chip, room, rows, outer, inner)
    fits = extent >= 1
    if not fits.any():
        return None
    inner, outer, extent = inner[fits], outer[fits], extent[fits]
    found = []
    for order in ORDERS if nest.weighted else ORDERS[:1]:
        moved = _moved(nest, target, input_on_chip, order, *_tile(nest, rows, extent), outer, inner)[0]
        best = np.flatnonzero(moved == moved.min())
        # Smaller tiles may move as few: every extent of the best.
        which, shorter = (
            grid.ravel() for grid in np.meshgrid(best, np.arange(1, extent[best].max() + 1), indexing='ij')
        )
        held = shorter <= extent[which]
        which, shorter = which[held], shorter[held]
        found.append(
            _least(nest, target, input_on_chip, order, *_tile(nest, rows, shorter), outer[which], inner[which])
        )
    return min(found, key=_rank)


def _tile(nest: LoopNest, rows: bool, extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Th, Tw) of tiles of whole rows, or of parts of one row."""
    return (extent, np.full_like(extent, nest.size[1])) if rows else (np.ones_like(extent), extent)


def _counts(nest: LoopNest, target: PEArray, tall: Any, wide: Any, outer: Any, inner: Any) -> tuple[Any, Any, Any]:
    """(n_s, n_k, n_c), the images of the batch one after another."""
    spatial = -(-nest.size[0] // tall) * -(-nest.size[1] // wide) * target.batch
    return spatial, -(-nest.channels // outer), -(-nest.channels_in // inner)


def _moved(
    nest: LoopNest, target: PEArray, input_on_chip: bool, order: str, tall: Any, wide: Any, outer: Any, inner: Any
) -> tuple[Any, Any, Any, Any]:
    """Bytes moved for the batch, results aside; and of what they consist: input pixels of one image, times of the
    weights, bytes of partial sums.
    """
    n_s, n_k, n_c = _counts(nest, target, tall, wide, outer, inner)
    pixels = _walked(nest, 0)[tall] * _walked(nest, 1)[wide]  # I', for one image
    if order != 'input':
        pixels = pixels * np.where(n_s * n_c > 1, n_k, 1)
    weights = np.where(n_k * n_c > 1, n_s, 1) if order != 'weight' else np.ones_like(n_s)
    values = nest.groups * nest.channels * math.prod(nest.size) * target.batch
    partial = -(-2 * (n_c - 1) * (n_k * n_s > 1) * (order != 'output') * values * target.accumulator_bits // 8)
    inputs = 0 if input_on_chip else -(-pixels * nest.stored * target.batch * target.activation_bits // 8)
    return (
        inputs + weights * bits_to_bytes(nest.weights * target.weight_bits) + partial,
        pixels,
        weights,
        partial,
    )


def _least(
    nest: LoopNest, target: PEArray, input_on_chip: bool, order: str, tall: Any, wide: Any, outer: Any, inner: Any
) -> Tiling:
    """Of these tiles those of the fewest bytes moved, then cycles, then bytes of the buffers."""
    moved, pixels, weights, partial = _moved(nest, target, input_on_chip, order, tall, wide, outer, inner)
    busy = _busy(nest, target, tall, wide, outer, inner) if target.rereads else np.zeros_like(outer)
    held = sum(_occupied(nest, target, input_on_chip, outer, inner, tall, wide))
    index = np.lexsort((held, busy, moved))[0]
    counts = _counts(nest, target, tall, wide, outer, inner)
    return Tiling(
        int(moved[index]),
        order,
        (int(tall[index]), int(wide[index]), int(outer[index]), int(inner[index])),
        (int(counts[0][index]), int(counts[1][index]), int(counts[2][index])),
        math.prod(nest.size_in),
        int(pixels[index]),
        int(weights[index]),
        int(partial[index]),
        int(held[index]),
        int(busy[index]),
    )


def _sizes(count: int) -> np.ndarray:
    """The tile sizes ceil(count / n) for n = 1, 2, ..."""
    return np.unique(-(-count // np.arange(1, count + 1)))


def _tile_bits(nest: LoopNest, target: PEArray, input_on_chip: bool) -> tuple[int, int, int]:
    """Bits of an input value, a weight, a partial sum with its shortcut; 0 without a tile, twice with two."""
    twice = 2 if target.double_buffered else 1
    summed = target.accumulator_bits if nest.weighted else target.activation_bits
    return (
        0 if input_on_chip else twice * target.activation_bits,
        twice * target.weight_bits if nest.weighted else 0,
        twice * (summed + (target.activation_bits if nest.shortcut else 0)),
    )


def _occupied(
    nest: LoopNest, target: PEArray, input_on_chip: bool, outer: Any, inner: Any, tall: Any, wide: Any
) -> tuple[Any, Any, Any]:
    """Bytes of the buffers for inputs, weights and outputs. Arrays or numbers."""
    bits_in, bits_weight, bits_out = _tile_bits(nest, target, input_on_chip)
    covered_rows = np.minimum((tall - 1) * nest.stride[0] + nest.kernel[0], nest.size_in[0])
    covered_columns = np.minimum((wide - 1) * nest.stride[1] + nest.kernel[1], nest.size_in[1])
    return (
        -(-inner * covered_rows * covered_columns * bits_in // 8),
        -(-outer * inner * math.prod(nest.kernel) * bits_weight // 8),
        -(-outer * tall * wide * bits_out // 8),
    )


def _tallest(
    nest: LoopNest, target: PEArray, input_on_chip: bool, room: int, rows: bool, outer: np.ndarray, inner: np.ndarray
) -> np.ndarray:
    """The largest extent (rows, or columns of one row) of each (Tk, Tc) that the buffers hold; 0 if none.

    By bisection: occupancy grows with it.
    """
    low, high = np.zeros_like(outer), np.full_like(outer, nest.size[0] if rows else nest.size[1])

    def holds(extent: np.ndarray) -> np.ndarray:
        parts = _occupied(nest, target, input_on_chip, outer, inner, *_tile(nest, rows, extent))
        if not target.input_buffer_bytes:
            return sum(parts) <= room
        return np.logical_and.reduce([part <= getattr(target, key) for part, key in zip(parts, BUFFERS)])

    return _last(low, high, holds)


def _last(low: np.ndarray, high: np.ndarray, holds: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The largest extents of low..high for which `holds`, as it does for every smaller one; `low` if for none."""
    while (low < high).any():
        middle = (low + high + 1) // 2
        good = holds(np.maximum(middle, 1))  # 0 only where all is known
        low, high = np.where(good, middle, low), np.where(good, high, middle - 1)
    return low


@functools.lru_cache(maxsize=4096)
def _walked(nest: LoopNest, axis: int) -> np.ndarray:
    """[size + 1] rows (or columns) of the input that all tiles of an extent read together: each once, and the halos
    that two tiles share again.
    """
    size_in, size, shared, step = (
        nest.size_in[axis],
        nest.size[axis],
        nest.kernel[axis] - nest.stride[axis],
        nest.stride[axis],
    )
    found = np.full(size + 1, size_in, np.int64)
    for extent in range(1, size):
        if shared > 0:
            starts = np.arange(extent, size, extent) * step - nest.corner[axis]
            found[extent] += np.maximum(np.minimum(starts + shared, size_in) - np.maximum(starts, 0), 0).sum()
    return found


def _busy(
    nest: LoopNest, target: PEArray, tall: np.ndarray, wide: np.ndarray, outer: np.ndarray, inner: np.ndarray
) -> np.ndarray:
    """Cycles of the array, tile by tile; full tiles and those at the edges."""
    if not nest.weighted:
        return np.zeros_like(outer)
    taps, total = math.prod(nest.kernel), np.zeros_like(outer)
    cuts = [
        _cut(size, tile)
        for size, tile in zip((*nest.size, nest.channels, nest.channels_in), (tall, wide, outer, inner))
    ]
    for many_h, h in cuts[0]:
        for many_w, w in cuts[1]:
            for many_k, k in cuts[2]:
                for many_c, c in cuts[3]:
                    many = many_h * many_w * many_k * many_c
                    one = compute.product_cycles(
                        np.maximum(h * w, 1), taps, np.maximum(c, 1), np.maximum(k, 1), nest.groups, target
                    )
                    total = total + many * one
    return total * target.batch


def _cut(size: int, tile: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(how many, extent) of the full tiles and of the one at the edge."""
    return [(size // tile, tile), ((size % tile > 0).astype(np.int64), size % tile)]
