"""Whole streaming designs at the throughput of published ones, and what removing their skips saves."""

from __future__ import annotations

import dataclasses

import costmodel
from experiments.fidelity.markdown import change, markdown_table
from tailor_jax import build, rewrite
from tailor_jax.graph import Graph


@dataclasses.dataclass(frozen=True)
class Published:
    """A design as published: block RAM in RAMB36, the cycles an image that it is compared at."""

    flow: str
    depth: int
    bits: int
    device: str
    clock_mhz: int
    interval_cycles: int
    lut: str
    ff: str
    dsp: str
    bram36: str


# NN2FPGA: IEEE TCAD 44(5), 2025, tables VI and VII, as quoted by ShashankT-ECE/cnn-accelerator (t5_prior_numbers.csv);
# FINN: Hamanaka et al., IEEE Access 2023, as quoted there; hls4ml: an HLS estimate, not routed (bote05/RTL_LLM_CLAUDE).
# Intervals are clock / published images a second, to the power of two that they lie 0 to 1.3 % above.
PUBLISHED = (
    Published('NN2FPGA', 20, 8, 'kv260', 250, 32768, '65.0k', '81.7k', '636', '60.5 + 12 URAM'),
    Published('NN2FPGA', 20, 8, 'ultra96', 214, 65536, '54.4k', '57.6k', '318', '89.5'),
    Published('NN2FPGA', 8, 8, 'kv260', 250, 8192, '55.4k', '70.1k', '767', '63.5'),
    Published('NN2FPGA', 8, 8, 'ultra96', 214, 16384, '46.4k', '45.1k', '360', '54'),
    Published('NN2FPGA', 8, 4, 'kv260', 250, 4096, '40.4k', '64.8k', '794', '58'),
    Published('FINN', 8, 4, 'kv260', 225, 16698, '81.4k', '87.6k', '', '28.5'),
    Published('hls4ml, estimated', 8, 8, 'zcu104', 200, 175714, '200.9k', '100.2k', '488', '608'),
)


def section() -> str:
    beside, removed = [], []
    for each in PUBLISHED:
        graph = build.resnet(each.depth)
        target = costmodel.settled(graph, _target(each))
        costs = [costmodel.evaluate(_with(graph, gate), target).total for gate in (1, 0)]
        name = f'ResNet-{each.depth}, {each.bits} bits, {each.device}'
        pace = f'{each.interval_cycles:,}'
        beside += [
            (name, pace, each.flow, each.lut, each.ff, each.dsp, each.bram36),
            ('', f'{costs[0]["interval_cycles"]:,}', 'tailor_jax, estimated', *_amounts(costs[0])),
        ]
        savings = (change(costs[0][key], costs[1][key]) for key in ('lut', 'ff', 'dsp', 'bram18', 'fifo_bits'))
        removed.append((name, pace, *savings))
    columns = ('network', 'cycles an image', 'flow', 'LUT', 'FF', 'DSP', 'RAMB36')
    return f"""## Whole designs at the throughput of published ones

{markdown_table(columns, beside)}

Published designs hold what feeds them, DMA and the like, and most were placed; ours are priced by coefficients fitted
to syntheses of parts, FIFOs apart. So they should be lower, and by how much a synthesized whole has to show.

What removing every skip saves of these designs:

{markdown_table(('network', 'cycles an image', 'LUT', 'FF', 'DSP', 'RAMB18', 'FIFO bits'), removed)}

For whoever trains gates: once streams are folded, a skip costs its FIFO, an adder of a few lanes and, in a block that
changes size, a projection. FIFO bits are what closing it saves for sure; LUTs fall by some percent, multipliers only
where a projection goes."""


def _target(each: Published) -> costmodel.Dataflow:
    return costmodel.dataflow(
        device=each.device,
        clock_mhz=each.clock_mhz,
        interval_cycles=each.interval_cycles,
        weight_bits=each.bits,
        activation_bits=each.bits,
        multiplier='dsp',
    )


def _with(graph: Graph, gate: int) -> Graph:
    return rewrite.binarize(graph, dict.fromkeys(graph.gates, gate))


def _amounts(total: dict[str, int]) -> tuple[str, ...]:
    uram = f' + {total["uram"]} URAM' if total['uram'] else ''
    return (
        f'{total["lut"] / 1000:.1f}k',
        f'{total["ff"] / 1000:.1f}k',
        str(total['dsp']),
        f'{total["bram18"] / 2:g}{uram}',
    )
