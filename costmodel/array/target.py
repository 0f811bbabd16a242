"""The settings of the PE-array target, and its presets (`presets.json`, each with its source)."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from costmodel.cost import CostError

POLICIES = ('layer_by_layer', 'retain', 'shortcut_mining', 'shortcut_fusion')
DATAFLOWS = ('output_stationary', 'weight_stationary', 'input_stationary', 'channel_parallel')
ENERGIES = ('asic_45nm', 'fpga_zc706')
BUFFERS = ('input_buffer_bytes', 'weight_buffer_bytes', 'output_buffer_bytes')


@dataclasses.dataclass(frozen=True)
class PEArray:
    """Settings of the PE-array target; made by `pe_array`, which fills them from a preset.

    Attributes:
      preset: where the settings that were not given come from.
      policy: which tensors stay on chip, one of `POLICIES`.
      rows, columns: of the array of multipliers.
      dataflow: what each multiplier keeps, see `costmodel.array.compute`.
      sram_bytes: buffer bytes on chip in all.
      input_buffer_bytes, weight_buffer_bytes, output_buffer_bytes: three separate buffers; all 0 for one buffer that everything shares.
      double_buffered: whether a tile is loaded while another is computed; then a layer takes max(compute, memory), else their sum.
      dram_bytes_per_cycle: bandwidth; None for DRAM that never makes the array wait.
      clock_mhz: clock of the array.
      weight_bits, activation_bits, accumulator_bits: widths of weights, feature maps and partial sums.
      batch: images that a layer handles before the next layer runs; every number of the cost is for the batch.
      rereads: whether traffic counts what tiles read again, and cycles the fill and drain of each tile; else each operand counts once.
      fuse_add: whether an add runs in the layer of its main branch, which then reads the shortcut and writes the sum, in place of a layer of its own.
      energy: the table of energies for each operation, one of `ENERGIES`.
      bank_bytes: size of a bank, which holds a part of one tensor (shortcut_mining).
      cuts: how many cuts between row mode and frame mode there may be, 1 or 2; 0 for two where the network upsamples, else one (shortcut_fusion).
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
        _one_of('policy', self.policy, POLICIES)
        _one_of('dataflow', self.dataflow, DATAFLOWS)
        _one_of('energy', self.energy, ENERGIES)
        if self.cuts not in (0, 1, 2):
            raise CostError(f'cuts must be 0, 1 or 2, got {self.cuts!r}')
        if self.frame is not None and not (isinstance(self.frame, tuple) and all(isinstance(name, str) for name in self.frame)):
            raise CostError(f'frame must be a tuple of names of blocks, or None for the best ones, got {self.frame!r}')
        for key in ('rows', 'columns', 'sram_bytes', 'weight_bits', 'activation_bits', 'accumulator_bits', 'batch', 'bank_bytes'):
            _integer(key, getattr(self, key), 1)
        for key in BUFFERS:
            _integer(key, getattr(self, key), 0)
        for key in ('double_buffered', 'rereads', 'fuse_add'):
            if not isinstance(getattr(self, key), bool):
                raise CostError(f'{key} must be True or False, got {getattr(self, key)!r}')
        _positive('clock_mhz', self.clock_mhz)
        if self.dram_bytes_per_cycle is not None:
            _positive('dram_bytes_per_cycle', self.dram_bytes_per_cycle)
        sizes = [getattr(self, key) for key in BUFFERS]
        if any(sizes) and (not all(sizes) or sum(sizes) != self.sram_bytes):
            raise CostError(
                f'{", ".join(BUFFERS)} must all be positive and add up to sram_bytes, or all be 0 for one shared buffer; '
                f'got {", ".join(map(str, sizes))} and sram_bytes {self.sram_bytes}'
            )

    def named_nodes(self) -> set[str]:
        """Nodes that some setting names: none."""
        return set()


def pe_array(preset: str = 'tailor_2d', **settings: Any) -> PEArray:
    """The PE-array target: a frozen, hashable value.

    Args:
      preset: a name in `presets.json`: tailor_2d, shortcut_fusion, vta, scalesim_32x32; or a JSON file of one's own with the same keys.
      **settings: any attribute of `PEArray`, in place of the preset's; also `bandwidth_gb_s` in place of `dram_bytes_per_cycle`. A `sram_bytes`
        given alone is one shared buffer; buffers given alone make `sram_bytes` their sum. What is None is as in the preset.

    Raises:
      CostError: for an unknown preset or setting (suggests the nearest) or a value that cannot be; names the key and what is expected.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    known = (*(field.name for field in dataclasses.fields(PEArray) if field.name != 'preset'), 'bandwidth_gb_s')
    base = _preset(preset)
    for where, keys in ((f'preset {preset}', base), ('pe_array', given)):
        for key in keys:
            if key not in known:
                raise CostError(f'{where} has no setting {key!r}{_hint(key, known)}; the settings are {", ".join(known)}')
    merged = {'policy': 'layer_by_layer', 'rereads': False, **dict.fromkeys(BUFFERS, 0), **base}
    if 'bandwidth_gb_s' in given:
        if 'dram_bytes_per_cycle' in given:
            raise CostError('give bandwidth_gb_s or dram_bytes_per_cycle, not both')
        _positive('bandwidth_gb_s', given['bandwidth_gb_s'])
    if 'sram_bytes' in given and not any(key in given for key in BUFFERS):
        merged |= dict.fromkeys(BUFFERS, 0)
    merged |= given
    if any(merged[key] for key in BUFFERS) and 'sram_bytes' not in given:
        for key in BUFFERS:
            _integer(key, merged[key], 0)
        merged['sram_bytes'] = sum(merged[key] for key in BUFFERS)
    if (bandwidth := merged.pop('bandwidth_gb_s', None)) is not None:
        _positive('clock_mhz', merged['clock_mhz'])
        merged['dram_bytes_per_cycle'] = bandwidth * 1000 / merged['clock_mhz']
    optional = ('bandwidth_gb_s', *(field.name for field in dataclasses.fields(PEArray) if field.default is not dataclasses.MISSING))
    if missing := [key for key in known if key not in merged and key not in optional]:
        raise CostError(f'preset {preset} lacks {", ".join(missing)}')
    if isinstance(merged.get('frame'), list):
        merged['frame'] = tuple(merged['frame'])
    return PEArray(preset=preset, **merged)


@functools.cache
def presets() -> dict[str, dict[str, Any]]:
    """{name: settings and their source}."""
    return json.loads((Path(__file__).parent / 'presets.json').read_text())


def _preset(name: str) -> dict[str, Any]:
    if name in presets():
        found = presets()[name]
    elif name.endswith('.json'):
        try:
            found = json.loads(Path(name).read_text())
        except OSError:
            raise CostError(f'preset: there is no file {name!r}') from None
        except json.JSONDecodeError as error:
            raise CostError(f'preset {name}: the file is no JSON: {error}') from None
        if not isinstance(found, dict):
            raise CostError(f'preset {name}: expected one JSON object of settings')
    else:
        raise CostError(f'no preset {name!r}{_hint(name, presets())}; the presets are {", ".join(presets())}, or a JSON file')
    return {key: value for key, value in found.items() if key != 'source'}


def _hint(given: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(given), list(known), 1)
    return f'; did you mean {near[0]!r}?' if near else ''


def _one_of(key: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise CostError(f'{key} must be one of {", ".join(known)}, got {value!r}{_hint(value, known)}')


def _integer(key: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise CostError(f'{key} must be an integer, {least} or more, got {value!r}')


def _positive(key: str, value: Any) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
        raise CostError(f'{key} must be a positive number, got {value!r}')
