"""The settings of the PE-array target, and its presets (`presets.json`, each with its source)."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

from costmodel.cost import CostError
from costmodel.settings import (
    MOST,
    MOST_BITS,
    Blocks,
    Boolean,
    Integer,
    Number,
    OneOf,
    Setting,
    Text,
    check_values,
    known,
    setting,
    settings_of,
)
from tailor_jax.fields import hint, parse_json, read_text

POLICIES = ('layer_by_layer', 'retain', 'shortcut_mining', 'shortcut_fusion')
DATAFLOWS = ('output_stationary', 'weight_stationary', 'input_stationary', 'channel_parallel')
ENERGIES = ('asic_45nm', 'fpga_zc706')
BUFFERS = ('input_buffer_bytes', 'weight_buffer_bytes', 'output_buffer_bytes')


@functools.cache
def presets() -> dict[str, dict[str, Any]]:
    """{name: settings and their source}."""
    return json.loads((Path(__file__).parent / 'presets.json').read_text())


@dataclasses.dataclass(frozen=True, kw_only=True)
class PEArray:
    """Settings of the PE-array target; made by `pe_array`, which fills them from a preset."""

    preset: str = setting(
        Text(f'{", ".join(presets())}, or a JSON file'), 'where settings that are not given come from'
    )
    policy: str = setting(OneOf(POLICIES), 'what stays on chip', 'layer_by_layer')
    rows: int = setting(Integer(1, 1 << 16), 'rows of the array of multipliers')
    columns: int = setting(Integer(1, 1 << 16), 'columns of the array')
    dataflow: str = setting(OneOf(DATAFLOWS), 'what a multiplier keeps')
    sram_bytes: int = setting(Integer(1, MOST), 'buffer bytes on chip; given alone, one shared buffer')
    input_buffer_bytes: int = setting(
        Integer(0, MOST), 'buffer of inputs, where buffers are separate: all three, or all 0', 0
    )
    weight_buffer_bytes: int = setting(Integer(0, MOST), 'buffer of weights', 0)
    output_buffer_bytes: int = setting(Integer(0, MOST), 'buffer of results and partial sums', 0)
    double_buffered: bool = setting(
        Boolean(), 'tiles are loaded while others are computed: a layer takes max(compute, memory), else their sum'
    )
    dram_bytes_per_cycle: float | None = setting(
        Number(), 'bandwidth of the DRAM; None, in a preset, for DRAM that never makes the array wait', None
    )
    clock_mhz: float = setting(Number(), 'clock')
    weight_bits: int = setting(Integer(1, MOST_BITS), 'width of weights')
    activation_bits: int = setting(Integer(1, MOST_BITS), 'width of feature maps')
    accumulator_bits: int = setting(Integer(1, 64), 'width of partial sums')
    batch: int = setting(
        Integer(1, 1 << 12), 'images that a layer handles before the next layer runs; every cost is for all of them'
    )
    rereads: bool = setting(
        Boolean(),
        'count what tiles read again, and the fill and drain of each; else each operand counts once',
        False,
        policies=('layer_by_layer', 'retain'),
    )
    fuse_add: bool = setting(Boolean(), 'an add runs in the layer of its main branch, else in one of its own')
    energy: str = setting(OneOf(ENERGIES), 'table of energies')
    bank_bytes: int = setting(
        Integer(1, MOST), 'size of a bank, which holds a part of one tensor', 4096, policies=('shortcut_mining',)
    )
    cuts: int = setting(
        Integer(0, 2),
        'cuts between row mode and frame mode: 1, 2, or 0 for two where the network upsamples, else one',
        0,
        policies=('shortcut_fusion',),
    )
    frame: tuple[str, ...] | None = setting(
        Blocks(), 'blocks in frame mode, or none; the best ones when not given', None, policies=('shortcut_fusion',)
    )

    def __post_init__(self) -> None:
        check_values(self)
        sizes = [getattr(self, key) for key in BUFFERS]
        if any(sizes) and (not all(sizes) or sum(sizes) != self.sram_bytes):
            raise CostError(
                f'{", ".join(BUFFERS)} must all be positive and add up to sram_bytes, or all be 0 for one shared '
                'buffer; '
                f'got {", ".join(map(str, sizes))} and sram_bytes {self.sram_bytes}'
            )


# What a preset may say, and `pe_array` may be given: there all but the preset is None, which is as the preset says.
_OF_PRESETS = {key: each for key, each in settings_of(PEArray).items() if key != 'preset'} | {
    'bandwidth_gb_s': Setting(
        Number(), 'bandwidth of the DRAM in 10^9 bytes a second, in place of bytes a cycle', dataclasses.MISSING
    )
}
SETTINGS = {
    'preset': dataclasses.replace(settings_of(PEArray)['preset'], default='tailor_2d'),
    **{key: dataclasses.replace(each, default=None) for key, each in _OF_PRESETS.items()},
}


def pe_array(preset: str = 'tailor_2d', **settings: Any) -> PEArray:
    """The PE-array target: a frozen, hashable value.

    Args:
      preset: a name in `presets.json`: tailor_2d, shortcut_fusion, vta, scalesim_32x32; or a JSON file of one's own
        with the same keys.
      **settings: any field of `PEArray`, which says what each is, in place of the preset's; also `bandwidth_gb_s` in
        place of `dram_bytes_per_cycle`. A `sram_bytes` given alone is one shared buffer; buffers given alone make
        `sram_bytes` their sum. What is None is as in the preset.

    Raises:
      CostError: for an unknown preset or setting (suggests the nearest) or a value that cannot be; names the key and
        what is expected.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    known('pe_array', given, _OF_PRESETS)
    merged = {**dict.fromkeys(BUFFERS, 0), **_preset(preset)}
    if 'bandwidth_gb_s' in given:
        if 'dram_bytes_per_cycle' in given:
            raise CostError('give bandwidth_gb_s or dram_bytes_per_cycle, not both')
        _OF_PRESETS['bandwidth_gb_s'].checked('bandwidth_gb_s', given['bandwidth_gb_s'])
    if 'sram_bytes' in given and not any(key in given for key in BUFFERS):
        merged |= dict.fromkeys(BUFFERS, 0)
    merged |= given
    if any(merged[key] for key in BUFFERS) and 'sram_bytes' not in given:
        merged['sram_bytes'] = sum(_OF_PRESETS[key].checked(key, merged[key]) for key in BUFFERS)
    needed = (field.name for field in dataclasses.fields(PEArray) if field.default is dataclasses.MISSING)
    if missing := [key for key in needed if key not in merged and key != 'preset']:
        raise CostError(f'preset {preset} lacks {", ".join(missing)}')
    bandwidth = merged.pop('bandwidth_gb_s', None)
    if bandwidth is not None:
        clock_mhz = _OF_PRESETS['clock_mhz'].checked('clock_mhz', merged['clock_mhz'])
        merged['dram_bytes_per_cycle'] = bandwidth * 1000 / clock_mhz
    elif 'dram_bytes_per_cycle' not in merged:
        raise CostError(f'preset {preset} lacks dram_bytes_per_cycle or bandwidth_gb_s')
    return PEArray(preset=preset, **merged)


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
        known(f'preset {name}', found, _OF_PRESETS)
        return {key: _OF_PRESETS[key].checked(f'preset {name}: {key}', value) for key, value in found.items()}
    if not isinstance(name, str) or name not in presets():
        raise CostError(
            f'no preset {name!r}{hint(name, presets())}; the presets are {SETTINGS["preset"].check.expected}'
        )
    return {key: value for key, value in presets()[name].items() if key != 'source'}
