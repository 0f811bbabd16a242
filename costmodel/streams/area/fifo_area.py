"""What a FIFO of slices takes, and the storage of least cost.

    bram18, uram    sums over the slices
    lut, ff         sum over the terms of coefficient x amount; the amounts follow from the slices (`terms`)
    cost            lut / device.lut + bram18 / device.bram18 + uram / device.uram

The cost is the share of the device that is gone: one RAMB18 is exchanged for device.lut / device.bram18 LUTs (369 on a
ZCU104), one URAM288 for device.bram18 / device.uram RAMB18 (6.5). `build` takes the least of it over all FIFOs that
hold D words or more, of every storage and split, so no FIFO costs more than a deeper one: where the deeper one is
cheaper it is built (700 x 16 bits as 1,024 + 1 words in one RAMB18; split into 512 + 256 they would take two).

The coefficients (`fifo_area.json`) are for Vivado, fitted by us to syntheses of FINN's FIFOs by `python -m
experiments.fidelity.finn_fifo FILE.csv --fit`. Those FIFOs hold an occupancy monitor: its terms are fitted with the
others (`monitor`) and are in no price. For yosys see `coefficients`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from costmodel.cost import CostError
from costmodel.devices import Device, Family
from costmodel.streams.area.equations import Terms
from tailor_jax import files
from tailor_jax.dataflow.slices import (
    STORAGES,
    Slice,
    assemble,
    capacity,
    fifo_slices,
    mux_luts,
    primitives,
    split,
)
from tailor_jax.fields import header, read_fields

FILE = Path(__file__).with_suffix('.json')
RESOURCES = ('lut', 'ff')
_MOST = 1e6
_CASCADE = 8  # UltraRAMs in a column that hand words on to each other; more of them are joined by logic


@dataclasses.dataclass(frozen=True)
class Coefficients:
    """What the file holds.

    Attributes:
      source: what they were fitted to, in words.
      fitted_to: checksums of the FIFOs that were fitted to (`experiments.fidelity.finn_fifo`).
      of: {resource: {term: LUTs or flip-flops of one}}.
    """

    source: str
    fitted_to: tuple[int, ...]
    of: Mapping[str, Terms]


def load(path: Path) -> Coefficients:
    """Raises CostError naming the file where it is no file of coefficients."""
    try:
        fields = read_fields(path, 'fifo_coefficients', 1, CostError)
    except FileNotFoundError:
        raise CostError(f'there is no file of coefficients {str(path)!r}') from None
    source, fitted_to, found = fields.text('source'), fields.integers('fitted_to', 0, (1 << 32) - 1), {}
    for resource in RESOURCES:
        own = fields.object(resource)
        found[resource] = {term: own.number(term, 0, _MOST) for term in own.names()}
    fields.end()
    return Coefficients(source, fitted_to, found)


def save(path: Path, found: Coefficients) -> None:
    head = header('fifo_coefficients', 1) | {'source': found.source, 'fitted_to': found.fitted_to}
    lines = [json.dumps(head)[1:-1], *(f'"{name}": {json.dumps(own, indent=1)}' for name, own in found.of.items())]
    files.write(path, '{' + ',\n'.join(lines) + '}\n')


def terms(storage: str, slices: tuple[Slice, ...], family: Family) -> dict[str, Terms]:
    """{resource: {term: amount}} of a FIFO: control by storage, memory, multiplexers between banks and between parts.

    A rest in LUTRAM is delayed by one shift register a bit where it stands beside UltraRAM. Flip-flops: the word
    before the output is in block RAM's own register, and twice in logic where a rest in LUTRAM is joined to it.
    Up to four banks of block RAM take a LUT a bit and no more; more are decoded, and their multiplexers registered.
    """
    width, known = slices[-1].width_bits, primitives(family.name)
    rams = [each for each in slices if each.storage != 'register' and (each.storage, storage) != ('srl', 'uram')]
    rest = next((each for each in rams if each.word), None)
    address = max(1, (rams[-1].word + rams[-1].depth - 1).bit_length())
    luts = [each for each in slices if each.storage in ('srl', 'lutram')]
    delayed = width if storage == 'uram' and rest and rest.storage == 'lutram' else 0
    blocks = [(each.word, each.width_bits, math.ceil(each.banks / 2)) for each in rams if each.storage == 'bram']
    mux = 0.0 if known.cascaded else sum(wide * mux_luts(banks) for _, wide, banks in blocks)
    deep = 0.0 if known.cascaded else sum(wide * mux_luts(banks) for _, wide, banks in blocks if banks > 4)
    stacks = {word: max(each[2] for each in blocks if each[0] == word) for word, _, _ in blocks}
    groups = sum(math.ceil(each.banks / _CASCADE) - 1 for each in rams if each.storage == 'uram')
    pointer = 'shift_bit' if storage == 'srl' else 'address_bit'
    control: Terms = {f'{storage}.one': 1, pointer: address}
    join: Terms = {f'{storage}.join': 1} if rest else {}
    if storage == 'uram':
        control['uram.versal'] = family.name == 'versal'
        control['uram_group_bit'] = width * groups
    found: dict[str, Terms] = {'lut': control | join, 'ff': control | join}
    found['lut'] |= {
        'memory_lut': sum(each.count for each in luts) + delayed,
        'lut_mux': sum(each.width_bits * mux_luts(each.banks) for each in luts),
        'ram_mux': mux,
        'ram_bank': sum(banks for banks in stacks.values() if banks > (1 if known.cascaded else 4)),
        'join_bit': width if rest else 0,
    }
    found['ff'] |= {'ram_mux': deep, 'token_bit': 0 if storage == 'bram' else width}
    if rest and rest.storage in (('lutram', 'bram') if storage == 'uram' else ('lutram',)):
        found['ff'] |= {'token_bit': found['ff']['token_bit'] + width * (2 if storage == 'bram' else 1)}
    return found


def monitor(depth: int) -> dict[str, Terms]:
    """The terms of FINN's occupancy monitor: bits of its current and its maximum count, each with compare and port."""
    bits = {'monitor_bit': 2.0 * (depth.bit_length() + 1)}
    return {resource: dict(bits) for resource in RESOURCES}


def amount(resource: str, amounts: Terms, coefficients: Coefficients) -> float:
    """LUTs or flip-flops of terms; a term without a coefficient takes none."""
    own = coefficients.of[resource]
    return sum(own.get(term, 0.0) * count for term, count in amounts.items())


@dataclasses.dataclass(frozen=True)
class Fifo:
    """A FIFO as built, and what it takes. RAMs are counts; LUTs and flip-flops are estimates.

    Attributes:
      rows, more, rest: words in the main part and in the rest, and the storage of the rest ('': as Vivado chooses).
    """

    storage: str
    width_bits: int
    slices: tuple[Slice, ...]
    lut: float
    ff: float
    bram18: int
    uram: int
    rows: int
    more: int
    rest: str

    @property
    def capacity_words(self) -> int:
        return capacity(self.slices)

    def share(self, device: Device) -> float:
        """The cost: shares of the device's LUTs, RAMB18 and URAM288, added up."""
        parts = ((self.lut, device.lut), (self.bram18, device.bram18), (self.uram, device.uram))
        return sum(count / total for count, total in parts if count)


def price(depth: int, width_bits: int, storage: str, family: Family) -> Fifo:
    """The FIFO of a given storage, split as Vivado splits it; arguments and errors as `slices.fifo_slices`."""
    fifo_slices(depth, width_bits, storage, family.name)  # tells what cannot be built
    return _priced(storage, *split(depth, storage), '', width_bits, family)


def _priced(storage: str, rows: int, more: int, rest: str, width_bits: int, family: Family) -> Fifo:
    slices = assemble(rows, more, width_bits, storage, family.name, rest)
    found = terms(storage, slices, family)
    lut, ff = (amount(resource, found[resource], COEFFICIENTS) for resource in RESOURCES)
    bram18, uram = (sum(each.count for each in slices if each.storage == ram) for ram in ('bram', 'uram'))
    return Fifo(storage, width_bits, slices, lut, ff, bram18, uram, rows, more, rest)


@functools.lru_cache(maxsize=65536)
def build(depth: int, width_bits: int, device: Device) -> Fifo:
    """The cheapest FIFO that holds at least `depth` words; of equals the first in the order of `STORAGES`, then the
    one of least capacity.
    """
    family = device.family
    options = [
        _priced(storage, *rows, rest, width_bits, family)
        for storage in STORAGES
        if storage != 'uram' or device.uram
        for rows, rest in _splits(depth, storage)
    ]
    return min(options, key=lambda fifo: (fifo.share(device), STORAGES.index(fifo.storage), fifo.capacity_words))


def choose(depth: int, width_bits: int, device: Device) -> str:
    """The storage of the cheapest FIFO that holds at least `depth` words."""
    return build(depth, width_bits, device).storage


def _splits(depth: int, storage: str) -> Iterator[tuple[tuple[int, int], str]]:
    """((rows of the main part, rows of the rest), storage of the rest): all that hold `depth` words and can be the
    cheapest, to the next power of two of the whole.
    """
    main, left = split(depth, storage)
    if not left:
        yield (main, 0), ''
        return
    for rest in ('lutram', 'bram', 'uram') if storage == 'uram' else ('lutram', 'bram'):
        rows = left
        while rows < main:
            yield (main, rows), rest
            rows *= 2
    yield (2 * main, 0), ''


COEFFICIENTS: Coefficients = load(FILE)
