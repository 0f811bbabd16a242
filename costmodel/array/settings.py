"""The settings of the PE-array target, and its presets (`presets.json`, each with its source)."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from costmodel import settings as check
from costmodel.cost import CostError
from tailor_jax.fields import hint, parse_json, read_text

POLICIES = ('layer_by_layer', 'retain', 'shortcut_mining', 'shortcut_fusion')
DATAFLOWS = ('output_stationary', 'weight_stationary', 'input_stationary', 'channel_parallel')
ENERGIES = ('asic_45nm', 'fpga_zc706')
BUFFERS = ('input_buffer_bytes', 'weight_buffer_bytes', 'output_buffer_bytes')

_INTEGERS = {
    **dict.fromkeys(('rows', 'columns'), (1, 1 << 16)),
    **dict.fromkeys(('sram_bytes', 'bank_bytes'), (1, check.MOST)),
    **dict.fromkeys(BUFFERS, (0, check.MOST)),
    **dict.fromkeys(('weight_bits', 'activation_bits'), (1, check.MOST_BITS)),
    'accumulator_bits': (1, 64),
    'batch': (1, 1 << 12),
    'cuts': (0, 2),
}
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    'policy': functools.partial(check.one_of, known=POLICIES),
    'dataflow': functools.partial(check.one_of, known=DATAFLOWS),
    'energy': functools.partial(check.one_of, known=ENERGIES),
    **{key: functools.partial(check.integer, lo=lo, hi=hi) for key, (lo, hi) in _INTEGERS.items()},
    **dict.fromkeys(('double_buffered', 'rereads', 'fuse_add'), check.boolean),
    'clock_mhz': check.positive,
    'dram_bytes_per_cycle': check.optional(check.positive),
    'frame': check.optional(check.names),
}
SETTINGS = (*_CHECKS, 'bandwidth_gb_s')


@dataclasses.dataclass(frozen=True)
class PEArray:
    """Settings of the PE-array target; made by `pe_array`, which fills them from a preset.

    Attributes:
      preset: where the settings that were not given come from.
      policy: which tensors stay on chip, one of `POLICIES`.
      rows, columns: of the array of multipliers.
      dataflow: what each multiplier keeps, see `costmodel.array.compute`.
      sram_bytes: buffer bytes on chip in all.
      input_buffer_bytes, weight_buffer_bytes, output_buffer_bytes: three separate buffers; all 0 for one buffer that
        everything shares.
      double_buffered: whether a tile is loaded while another is computed; then a layer takes max(compute, memory), else
        their sum.
      dram_bytes_per_cycle: bandwidth; None for DRAM that never makes the array wait.
      clock_mhz: clock of the array.
      weight_bits, activation_bits, accumulator_bits: widths of weights, feature maps and partial sums.
      batch: images that a layer handles before the next layer runs; every number of the cost is for the batch.
      rereads: whether traffic counts what tiles read again, and cycles the fill and drain of each tile; else each
        operand counts once.
      fuse_add: whether an add runs in the layer of its main branch, which then reads the shortcut and writes the sum,
        in place of a layer of its own.
      energy: the table of energies for each operation, one of `ENERGIES`.
      bank_bytes: size of a bank, which holds a part of one tensor (shortcut_mining).
      cuts: how many cuts between row mode and frame mode there may be, 1 or 2; 0 for two where the network upsamples,
        else one (shortcut_fusion).
      frame: the blocks in frame mode; None for the best ones (shortcut_fusion).
    """

    preset: str
    policy: str
    rows: int
    columns: int
    dataflow: str
    sram_bytes: int
    input_buffer_bytes: int
    weight_buffer_bytes: int
    output_buffer_bytes: int
    double_buffered: bool
    dram_bytes_per_cycle: float | None
    clock_mhz: float
    weight_bits: int
    activation_bits: int
    accumulator_bits: int
    batch: int
    rereads: bool
    fuse_add: bool
    energy: str
    bank_bytes: int = 4096
    cuts: int = 0
    frame: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for key, checked in _CHECKS.items():
            object.__setattr__(self, key, checked(key, getattr(self, key)))
        sizes = [getattr(self, key) for key in BUFFERS]
        if any(sizes) and (not all(sizes) or sum(sizes) != self.sram_bytes):
            raise CostError(
                f'{", ".join(BUFFERS)} must all be positive and add up to sram_bytes, or all be 0 for one shared '
                'buffer; '
                f'got {", ".join(map(str, sizes))} and sram_bytes {self.sram_bytes}'
            )

    def named_nodes(self) -> dict[str, set[str]]:
        """{setting: nodes that it names}: none."""
        return {}


def pe_array(preset: str = 'tailor_2d', **settings: Any) -> PEArray:
    """The PE-array target: a frozen, hashable value.

    Args:
      preset: a name in `presets.json`: tailor_2d, shortcut_fusion, vta, scalesim_32x32; or a JSON file of one's own
        with the same keys.
      **settings: any attribute of `PEArray`, in place of the preset's; also `bandwidth_gb_s` in place of
        `dram_bytes_per_cycle`. A `sram_bytes` given alone is one shared buffer; buffers given alone make `sram_bytes`
        their sum. What is None is as in the preset.

    Raises:
      CostError: for an unknown preset or setting (suggests the nearest) or a value that cannot be; names the key and
        what is expected.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    check.known('pe_array', given, SETTINGS)
    base = _preset(preset)
    merged = {'policy': 'layer_by_layer', 'rereads': False, **dict.fromkeys(BUFFERS, 0), **base}
    if 'bandwidth_gb_s' in given:
        if 'dram_bytes_per_cycle' in given:
            raise CostError('give bandwidth_gb_s or dram_bytes_per_cycle, not both')
        check.positive('bandwidth_gb_s', given['bandwidth_gb_s'])
    if 'sram_bytes' in given and not any(key in given for key in BUFFERS):
        merged |= dict.fromkeys(BUFFERS, 0)
    merged |= given
    if any(merged[key] for key in BUFFERS) and 'sram_bytes' not in given:
        merged['sram_bytes'] = sum(check.integer(key, merged[key], 0, check.MOST) for key in BUFFERS)
    needed = (field.name for field in dataclasses.fields(PEArray) if field.default is dataclasses.MISSING)
    if missing := [key for key in needed if key not in merged and key not in ('preset', 'dram_bytes_per_cycle')]:
        raise CostError(f'preset {preset} lacks {", ".join(missing)}')
    bandwidth = merged.pop('bandwidth_gb_s', None)
    if bandwidth is not None:
        merged['dram_bytes_per_cycle'] = bandwidth * 1000 / check.positive('clock_mhz', merged['clock_mhz'])
    elif 'dram_bytes_per_cycle' not in merged:
        raise CostError(f'preset {preset} lacks dram_bytes_per_cycle or bandwidth_gb_s')
    return PEArray(preset=preset, **merged)


@functools.cache
def presets() -> dict[str, dict[str, Any]]:
    """{name: settings and their source}."""
    return json.loads((Path(__file__).parent / 'presets.json').read_text())


def _preset(name: str) -> dict[str, Any]:
    """The settings of a preset or of a user's file; those of a file are checked here, so that errors name it."""
    if isinstance(name, str) and name.endswith('.json'):
        try:
            found = parse_json(read_text(name, CostError), name, CostError)
        except FileNotFoundError:
            raise CostError(f'preset: there is no file {name!r}') from None
        if not isinstance(found, dict):
            raise CostError(f'preset {name}: expected one JSON object of settings')
        found.pop('source', None)
        check.known(f'preset {name}', found, SETTINGS)
        checks = _CHECKS | {'bandwidth_gb_s': check.positive}
        return {key: checks[key](f'preset {name}: {key}', value) for key, value in found.items()}
    if not isinstance(name, str) or name not in presets():
        known = ', '.join(presets())
        raise CostError(f'no preset {name!r}{hint(name, presets())}; the presets are {known}, or a JSON file')
    return {key: value for key, value in presets()[name].items() if key != 'source'}
