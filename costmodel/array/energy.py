"""Energy of a row: its multiply-accumulates and its DRAM bytes, by published energies for each operation (`energy.json`, with sources)."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from costmodel.array.target import PEArray


@functools.cache
def tables() -> dict[str, dict[str, Any]]:
    """{technology: energies in pJ}."""
    return json.loads((Path(__file__).parent / 'energy.json').read_text())


def picojoules(row: Mapping[str, Any], target: PEArray) -> int:
    """Energy of a row, rounded to an integer."""
    table = tables()[target.energy]
    multiply = _at(table['multiply_pj'], math.sqrt(target.weight_bits * target.activation_bits))
    add = _at(table['add_pj'], target.accumulator_bits)
    return round(row['macs'] * (multiply + add) + row['dram_bytes'] * table['dram_pj_per_byte'])


def _at(energies: Mapping[str, float], bits: float) -> float:
    """The power law through the published energies at 8 and 32 bits: E(b) = E(8) (b / 8)^(log4(E(32) / E(8)))."""
    return energies['8'] * (bits / 8) ** math.log(energies['32'] / energies['8'], 4)
