"""Energy of a row, by energies for each operation (`energy.json`, with sources; those under `recalled` were not checked
against the publication).

Counted are multiply-accumulates, what passes between the buffers and the array, and DRAM bytes, each of which passes
the buffers too. Wires, registers and leakage are not.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from costmodel.array.settings import PEArray


@functools.cache
def tables() -> dict[str, dict[str, Any]]:
    """{technology: energies in pJ}."""
    return json.loads((Path(__file__).parent / 'energy.json').read_text())


def picojoules(row: Mapping[str, Any], fetched_bits: int, target: PEArray) -> int:
    """Energy of a row whose layer moves so much between buffers and array, rounded to an integer."""
    table = tables()[target.energy]
    multiply = _at(table['multiply_pj'], math.sqrt(target.weight_bits * target.activation_bits))
    add = _at(table['add_pj'], target.accumulator_bits)
    buffers = (fetched_bits / 8 + row['dram_bytes']) * table['buffer_pj_per_byte']
    return round(row['macs'] * (multiply + add) + buffers + row['dram_bytes'] * table['dram_pj_per_byte'])


def _at(energies: Mapping[str, float], bits: float) -> float:
    """The power law through the energies at 8 and 32 bits: E(b) = E(8) (b / 8)^(log4(E(32) / E(8)))."""
    return energies['8'] * (bits / 8) ** math.log(energies['32'] / energies['8'], 4)
