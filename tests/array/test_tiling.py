"""Tiles of the PE array against loops that are really walked, and cycles against an array that is really stepped."""

import itertools
import math

import pytest
from array_cases import loop_nests
from hypothesis import given, settings
from hypothesis import strategies as st

import costmodel
from costmodel.array import compute, tiling
from costmodel.array.loop_nest import LoopNest
from tailor_jax import build


def tiles(size: int, tile: int) -> list[range]:
    return [range(start, min(start + tile, size)) for start in range(0, size, tile)]


def covered(nest: LoopNest, axis: int, outputs: range) -> set[int]:
    """Input rows (columns) that a tile of outputs reads; what a stride passes over is read with it."""
    kernel, stride, corner = nest.kernel[axis], nest.stride[axis], nest.corner[axis]
    first, last = outputs[0] * stride - corner, outputs[-1] * stride - corner + max(kernel, stride)
    first, last = (
        (0 if outputs[0] == 0 else first),
        (nest.size_in[axis] if outputs[-1] == nest.size[axis] - 1 else last),
    )
    return set(range(max(first, 0), min(last, nest.size_in[axis])))


def walked(nest: LoopNest, target: costmodel.PEArray, tile: tuple[int, int, int, int], order: tuple[int, ...]) -> int:
    """Bits that a nest of loops over tiles moves when each operand's buffer holds just the tile in use; without the
    final results.
    """
    tall, wide, outer, inner = tile
    spatial = [
        (image, rows, columns)
        for image in range(target.batch)
        for rows in tiles(nest.size[0], tall)
        for columns in tiles(nest.size[1], wide)
    ]
    loops = (spatial, tiles(nest.channels, outer), tiles(nest.channels_in, inner))
    bits, held, begun = 0, {}, {}
    for indices in itertools.product(*(range(len(loops[axis])) for axis in order)):
        at = dict(zip(order, indices))
        (_, rows, columns), ks, cs = loops[0][at[0]], loops[1][at[1]], loops[2][at[2]]
        if held.get('input') != (at[0], at[2]):
            bits += len(covered(nest, 0, rows)) * len(covered(nest, 1, columns)) * len(cs) * target.activation_bits
        if held.get('weight') != (at[1], at[2]):
            bits += len(ks) * len(cs) * math.prod(nest.kernel) * target.weight_bits
        sums = len(rows) * len(columns) * len(ks) * target.accumulator_bits
        if held.get('output') != (at[0], at[1]):
            if 'output' in held and begun[held['output']][0] < len(loops[2]):
                bits += begun[held['output']][1]  # unfinished: written out
            if (at[0], at[1]) in begun:
                bits += sums  # read back
        held = {'input': (at[0], at[2]), 'weight': (at[1], at[2]), 'output': (at[0], at[1])}
        begun[held['output']] = (begun.get(held['output'], (0, 0))[0] + 1, sums)
    return bits * nest.groups


def occupied(nest: LoopNest, target: costmodel.PEArray, tile: tuple[int, int, int, int]) -> int:
    tall, wide, outer, inner = tile
    rows, columns = (
        min((extent - 1) * nest.stride[axis] + nest.kernel[axis], nest.size_in[axis])
        for axis, extent in enumerate((tall, wide))
    )
    parts = (
        inner * rows * columns * target.activation_bits,
        outer * inner * math.prod(nest.kernel) * target.weight_bits,
        outer * tall * wide * (target.accumulator_bits + nest.shortcut * target.activation_bits),
    )
    return sum(-(-(2 if target.double_buffered else 1) * part // 8) for part in parts)


@given(loop_nests(), st.integers(20, 2000), st.booleans(), st.integers(1, 2))
def test_no_nest_of_loops_over_tiles_that_fit_moves_fewer_bytes(nest, room, double_buffered, batch):
    target = costmodel.pe_array(sram_bytes=room, double_buffered=double_buffered, batch=batch)
    sizes = [range(1, count + 1) for count in (*nest.size, nest.channels, nest.channels_in)]
    fitting = [tile for tile in itertools.product(*sizes) if occupied(nest, target, tile) <= room]
    # Whole rows, and parts of one row.
    candidates = [tile for tile in fitting if tile[1] == nest.size[1] or tile[0] == 1]
    found = tiling.search(nest, False, target, room)
    assert (found is None) == (not candidates)
    if found is None:
        return
    least = {
        tile: min(walked(nest, target, tile, order) for order in itertools.permutations(range(3)))
        for tile in candidates
    }
    assert 8 * found.moved_bytes == min(least.values()) == least[found.tile]
    assert (
        found.buffer_bytes
        == min(occupied(nest, target, tile) for tile, bits in least.items() if bits == 8 * found.moved_bytes)
        <= room
    )


def stepped(pixels: int, products: int, outputs: int, target: costmodel.PEArray) -> int:
    """Cycles of an array whose operands move one multiplier a cycle: passes one after another, each with its own
    wavefront.
    """
    rows, columns = target.rows, target.columns
    match target.dataflow:
        case 'output_stationary':  # operands enter at the edges, skewed; results leave through the rows
            held, time, load = (pixels, outputs), products, 0
        case 'weight_stationary':
            held, time, load = (products, outputs), pixels, rows
        case 'input_stationary':
            held, time, load = (products, pixels), outputs, rows
    cycles = 0
    for _ in range(0, held[0], rows):
        for _ in range(0, held[1], columns):
            cycles += 1 + max(load + time - 1 + row + column for row in range(rows) for column in range(columns))
    return cycles - 1


@settings(max_examples=20)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(['output_stationary', 'weight_stationary', 'input_stationary']),
    st.integers(1, 6),
    st.integers(1, 6),
)
def test_cycles_are_those_of_wavefronts(pixels, products, outputs, dataflow, rows, columns):
    target = costmodel.pe_array(dataflow=dataflow, rows=rows, columns=columns)
    assert compute.product_cycles(pixels, 1, products, outputs, 1, target) == stepped(pixels, products, outputs, target)


def test_a_buffer_too_small_names_the_node_and_the_bytes():
    graph = build.resnet(8)
    with pytest.raises(
        costmodel.CostError, match=r"'stem_conv' \(conv\): its smallest tiles take (\d+) bytes and sram_bytes is 20"
    ) as caught:
        costmodel.evaluate(graph, costmodel.pe_array(sram_bytes=20))
    least = int(caught.value.args[0].split(' take ')[1].split()[0])
    with pytest.raises(costmodel.CostError, match='smallest tiles'):
        costmodel.evaluate(build.resnet(8, skips='none'), costmodel.pe_array(sram_bytes=least - 1))
    costmodel.evaluate(build.resnet(8, skips='none'), costmodel.pe_array(sram_bytes=max(least, 100)))
    with pytest.raises(costmodel.CostError, match=r'takes \d+ bytes and weight_buffer_bytes is 8'):
        costmodel.evaluate(graph, costmodel.pe_array('vta', weight_buffer_bytes=8))
