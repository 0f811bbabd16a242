"""Hypothesis strategies for the PE array: targets of every policy, loop nests of layers."""

from hypothesis import settings
from hypothesis import strategies as st

import costmodel
from costmodel.array.evaluate import POLICIES
from costmodel.array.loop_nest import LoopNest

FEW = 12 if settings.default.max_examples == 25 else settings.default.max_examples  # four policies share them


@st.composite
def targets(draw: st.DrawFn) -> costmodel.PEArray:
    """Every policy; buffers from hardly a tile to a whole network; fused adds or not; batches; all sorts of widths."""
    return costmodel.pe_array(
        policy=draw(st.sampled_from(sorted(POLICIES))),
        rows=draw(st.sampled_from([2, 8])),
        columns=draw(st.sampled_from([3, 8])),
        dataflow=draw(
            st.sampled_from(['output_stationary', 'weight_stationary', 'input_stationary', 'channel_parallel'])
        ),
        sram_bytes=draw(st.sampled_from([300, 500, 800, 1200, 2000, 4000, 100_000])),
        double_buffered=draw(st.booleans()),
        rereads=draw(st.sampled_from([False, False, True])),
        fuse_add=draw(st.booleans()),
        weight_bits=draw(st.sampled_from([8, 16])),
        activation_bits=draw(st.sampled_from([4, 8, 16])),
        batch=draw(st.sampled_from([1, 1, 3])),
    )


@st.composite
def loop_nests(draw: st.DrawFn) -> LoopNest:
    kernel, stride = draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 1, 2]))
    padding = draw(st.integers(0, kernel - 1))
    size_in = (draw(st.integers(kernel, 7)), draw(st.integers(kernel, 6)))
    size = tuple((side + 2 * padding - kernel) // stride + 1 for side in size_in)
    channels_in, channels, groups = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.sampled_from([1, 1, 3]))
    return LoopNest(
        size_in,
        size,
        channels_in,
        channels,
        groups,
        groups * channels_in,
        (kernel,) * 2,
        (stride,) * 2,
        (padding,) * 2,
        True,
        draw(st.booleans()),
    )
