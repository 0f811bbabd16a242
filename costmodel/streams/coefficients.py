"""Coefficients of the logic equations: LUTs and flip-flops of the parts, as data in one place.

Structure (how many adders, how wide) comes from the equations of `logic`, and only the cost of a bit of each part stands here. FIFO control
is fitted to yosys 0.23 `synth_xilinx -family xcup` (facts: FIFOs 128 bits wide, depths 16 to 4096); the others are first-principle
estimates of a six-input-LUT fabric (one LUT and its carry per bit of an adder; a 4:1 multiplexer per LUT).
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Coefficients:
    """LUTs and flip-flops per unit of each part.

    FIFO: control = fifo_lut_per_address_bit * ceil(log2 depth) + fifo_lut, the same for FFs; distributed-RAM FIFOs register their output.
    Products in LUTs: lut_per_product_bit * weight_bits * activation_bits. Adders, comparators: LUTs per bit.
    Control of a process: control_lut + control_lut_per_counter_bit * bits of its row, column and pass counters.
    """

    fifo_lut: float = 1
    fifo_lut_per_address_bit: float = 2
    fifo_ff: float = 2
    fifo_ff_per_address_bit: float = 2
    srl_ff: float = 2
    lut_per_product_bit: float = 1.1
    adder_lut_per_bit: float = 1
    dsp_adder_share: float = 0.5  # adders behind DSP products that stay in LUTs; the others use the DSP's own adder
    accumulator_ff_per_bit: float = 1
    round_lut_per_bit: float = 0.5  # the rounding add of a requantizer, per accumulator bit
    saturate_lut_per_bit: float = 1  # its saturation, per output bit
    relu_lut_per_bit: float = 0.5
    compare_lut_per_bit: float = 1  # a maximum of two: compare and select
    mask_lut_per_bit: float = 0.5  # zeroing the taps outside the image
    mux_lut_per_bit: float = 1 / 3  # an n:1 multiplexer, per bit and input beyond the first
    register_ff_per_bit: float = 1
    handshake_lut: float = 4  # one stream port of a process
    handshake_ff: float = 2
    control_lut: float = 24
    control_ff: float = 16
    control_lut_per_counter_bit: float = 2
    control_ff_per_counter_bit: float = 1


FIRST_PRINCIPLES = Coefficients()
