"""The settings of the dataflow target.

How far layers are unrolled is a folding (`tailor_jax.dataflow.folding`), the one given or the one of least resources
that meets the interval (`costmodel.streams.solved`). It is decided once, with every skip open, and is part of the
target from then on: closing a skip must not change how the other layers are built.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from costmodel import devices
from costmodel.cost import CostError
from costmodel.settings import (
    MOST,
    MOST_BITS,
    Boolean,
    ByNode,
    Check,
    Integer,
    Number,
    OneOf,
    check_values,
    known,
    setting,
    settings_of,
)
from tailor_jax.dataflow.folding import Folding
from tailor_jax.graph import Graph, Node

FIFO_POLICIES = ('full_map', 'exact', 'pow2')
CYCLES_PER_PIXEL = 16
MOST_CLOCK_MHZ = 10_000  # that synthesis can be asked for


@dataclasses.dataclass(frozen=True)
class FoldingFile(Check):
    """A folding, or the file that holds one."""

    kind: ClassVar[type] = str

    @property
    def expected(self) -> str:
        return 'a file of a folding (tailor_jax.dataflow.folding_file)'

    def __call__(self, key: str, value: Any) -> Folding | str:
        if not isinstance(value, (Folding, str)):
            raise CostError(f'{key} must be {self.expected}, got {value!r}')
        return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataflow:
    """Settings of the dataflow target."""

    device: str = setting(OneOf(tuple(devices.DEVICES)), 'part to fit into', 'zcu104')
    fifo_policy: str = setting(
        OneOf(FIFO_POLICIES),
        'depth of FIFOs: exact (the least that keeps full throughput), pow2 (that, rounded up to a power of two), '
        'full_map (a whole feature map between layers, as hls4ml has)',
        'exact',
    )
    weight_bits: int = setting(Integer(1, MOST_BITS), 'width of weights', 8)
    activation_bits: int = setting(Integer(1, MOST_BITS), 'width of activations', 8)
    folding: Folding | str | None = setting(
        FoldingFile(),
        'lanes of every stream, taps, lanes and outputs at once of every layer; that of least resources which meets '
        'the interval when not given',
        None,
    )
    interval_cycles: int | None = setting(
        Integer(1, MOST),
        'cycles between images to meet with the least resources; 16 an input pixel when not given',
        None,
    )
    device_share: float | None = setting(
        Number(hi=1),
        'the shortest interval whose layers, with short FIFOs and weights in LUTs, take at most this share of each '
        'resource of the device, in place of interval_cycles',
        None,
    )
    clock_mhz: float = setting(Number(hi=MOST_CLOCK_MHZ), 'clock', 200)
    stream_depth: int = setting(
        Integer(1, 1 << 24), 'words of a FIFO that need not hold more; up to 32 take the LUTs of 2', 32
    )
    multiplier: str = setting(
        OneOf(('auto', 'dsp', 'lut')), 'what multiplies; auto: LUTs up to 4 x 4 bits, else DSPs', 'auto'
    )
    add: str = setting(
        OneOf(('absorbed', 'separate')),
        'absorbed, into what rounds the sums of the convolution before it, or separate, a process of its own',
        'absorbed',
    )
    skip: str = setting(
        OneOf(('line_buffer', 'clone')),
        "line_buffer: a skip is handed on from a layer's window where that takes less, or always a clone",
        'line_buffer',
    )
    dsp_packing: bool = setting(Boolean(), 'two 8-bit products of one activation share a DSP', True)
    weight_bits_of: tuple[tuple[str, int], ...] = setting(
        ByNode(1, MOST_BITS, weighted=True), 'widths of the weights of single nodes, over weight_bits', ()
    )
    activation_bits_of: tuple[tuple[str, int], ...] = setting(
        ByNode(1, MOST_BITS), 'widths of the outputs of single nodes, over activation_bits', ()
    )

    def __post_init__(self) -> None:
        check_values(self)
        if self.device_share is not None and self.interval_cycles is not None:
            raise CostError('interval_cycles and device_share both say how fast a design is; give one of them')
        if isinstance(self.folding, str) and self.device_share is not None:
            raise CostError('device_share and a file of a folding both say how a design is folded; give one of them')


SETTINGS = settings_of(Dataflow)


def dataflow(**settings: Any) -> Dataflow:
    """The dataflow target: a frozen, hashable value.

    Args:
      **settings: those of `Dataflow`, which says what each is, as `python -m costmodel --help` does. A number by node
        is a mapping, {'stem_conv': 4}. What is None is the default.

    Raises:
      CostError: for an unknown setting (suggests the nearest), an unknown device (lists the known ones), a number of
        the wrong type or out of its range.
    """
    known('dataflow', settings, SETTINGS)
    return Dataflow(**{key: value for key, value in settings.items() if value is not None})


def weight_bits(target: Dataflow, node: Node) -> int:
    return dict(target.weight_bits_of).get(node.name, target.weight_bits)


def activation_bits(target: Dataflow, node: Node) -> int:
    """Bits of one value of the node's output tensor."""
    return dict(target.activation_bits_of).get(node.name, target.activation_bits)


def interval_wanted(graph: Graph, target: Dataflow) -> int:
    """The interval, in cycles, that the folding must meet."""
    height, width, _ = graph.input.shape
    return target.interval_cycles or CYCLES_PER_PIXEL * height * width
