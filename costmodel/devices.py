"""FPGA parts: what they hold, and how their family multiplies.

Totals are those of the vendor's product tables, named in `source`. A RAMB36 counts as two `bram18`.
"""

from __future__ import annotations

import dataclasses

from costmodel.cost import CostError
from tailor_jax.fields import hint


@dataclasses.dataclass(frozen=True)
class Family:
    """What multiplies in a family; its memories are `slices.PRIMITIVES`.

    Attributes:
      dsp_bits: operand widths of one DSP multiplier.
      dsp_pair_bits: two products that share an operand fit one DSP when no operand is wider than this.
    """

    name: str
    dsp_bits: tuple[int, int] = (27, 18)
    dsp_pair_bits: int = 8


# The pair packing of two 8-bit products needs the 27-bit port of the DSP48E2 (AMD WP486); the 25-bit port of the
# DSP48E1 takes 7 bits.
SERIES7 = Family('7series', dsp_bits=(25, 18), dsp_pair_bits=7)
ULTRASCALE = Family('ultrascale')
VERSAL = Family('versal', dsp_bits=(27, 24))  # DSP58, AMD AM004; no part of it is among DEVICES yet


@dataclasses.dataclass(frozen=True)
class Device:
    """A part: totals of each resource, its family, and the document that the totals come from."""

    name: str
    part: str
    family: Family
    lut: int
    ff: int
    bram18: int
    uram: int
    dsp: int
    source: str

    @property
    def capacity(self) -> dict[str, int]:
        return {resource: getattr(self, resource) for resource in ('bram18', 'uram', 'lut', 'ff', 'dsp')}


_ZYNQ7 = 'AMD DS190 Zynq-7000 overview'
_ZYNQU = 'AMD DS891 Zynq UltraScale+ overview'
_ALVEO = 'AMD DS890 UltraScale architecture overview'
_KRIA = 'AMD DS987 Kria K26 SOM data sheet'
_U50 = 'AMD DS965 Alveo U50 data sheet'

DEVICES = {
    device.name: device
    for device in (
        Device('pynq_z2', 'xc7z020clg400-1', SERIES7, 53_200, 106_400, 280, 0, 220, _ZYNQ7),
        Device('zc706', 'xc7z045ffg900-2', SERIES7, 218_600, 437_200, 1_090, 0, 900, _ZYNQ7),
        Device('ultra96', 'xczu3eg-sbva484-1-i', ULTRASCALE, 70_560, 141_120, 432, 0, 360, _ZYNQU),
        Device('zcu102', 'xczu9eg-ffvb1156-2-e', ULTRASCALE, 274_080, 548_160, 1_824, 0, 2_520, _ZYNQU),
        Device('zcu104', 'xczu7ev-ffvc1156-2-e', ULTRASCALE, 230_400, 460_800, 624, 96, 1_728, _ZYNQU),
        Device('kv260', 'xck26-sfvc784-2LV-c', ULTRASCALE, 117_120, 234_240, 288, 64, 1_248, _KRIA),
        Device('kcu1500', 'xcku115-flvb2104-2-e', ULTRASCALE, 663_360, 1_326_720, 4_320, 0, 5_520, _ALVEO),
        Device('u50', 'xcu50-fsvh2104-2-e', ULTRASCALE, 871_680, 1_743_360, 2_688, 640, 5_952, _U50),
        Device('u200', 'xcu200-fsgd2104-2-e', ULTRASCALE, 1_182_240, 2_364_480, 4_320, 960, 6_840, _ALVEO),
        Device('u250', 'xcu250-figd2104-2L-e', ULTRASCALE, 1_728_000, 3_456_000, 5_376, 1_280, 12_288, _ALVEO),
    )
}


def device(name: str) -> Device:
    """The part of that name; raises CostError that lists the known ones."""
    if name not in DEVICES:
        raise CostError(f'no device {name!r}; the known devices are {", ".join(DEVICES)}{hint(name, DEVICES)}')
    return DEVICES[name]
