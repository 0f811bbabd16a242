"""The settings of the dataflow target, and the reuse factor that each layer gets under them.

The reuse factor of a layer depends on nothing but the layer, the network's input and the target, never on a gate:
closing a skip must not change how the other layers are built. It is the one given, or else the largest R of
`streaming.reuse_factors` with

    period_cycles(node, R) <= interval,      interval = 16 cycles a pixel of the network's input unless given.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from costmodel import devices
from costmodel.cost import CostError
from costmodel.settings import (
    MOST,
    MOST_BITS,
    Boolean,
    ByNode,
    Integer,
    Number,
    OneOf,
    check_values,
    known,
    setting,
    settings_of,
)
from tailor_jax import streaming
from tailor_jax.graph import Graph, Node

FIFO_POLICIES = ('full_map', 'exact', 'pow2')
CYCLES_PER_PIXEL = 16
MOST_CLOCK_MHZ = 10_000  # that synthesis can be asked for


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataflow:
    """Settings of the dataflow target."""

    device: str = setting(OneOf(tuple(devices.DEVICES)), 'part to fit into', 'zcu104')
    fifo_policy: str = setting(
        OneOf(FIFO_POLICIES),
        'depth of FIFOs: exact (the least that keeps full throughput), pow2 (that, rounded up to a power of two), '
        'full_map (a whole feature map, as hls4ml has)',
        'exact',
    )
    weight_bits: int = setting(Integer(1, MOST_BITS), 'width of weights', 8)
    activation_bits: int = setting(Integer(1, MOST_BITS), 'width of activations', 8)
    reuse_factor: int | tuple[tuple[str, int], ...] | None = setting(
        ByNode(1, MOST, weighted=True, common=True),
        'passes over the multipliers for one output token, R for all layers or by node; layers without one take the '
        'largest that meets the interval',
        None,
    )
    interval_cycles: int | None = setting(
        Integer(1, MOST),
        'cycles between images to meet with the fewest multipliers; 16 an input pixel when not given',
        None,
    )
    clock_mhz: float = setting(Number(hi=MOST_CLOCK_MHZ), 'clock', 200)
    stream_depth: int = setting(Integer(1, 1 << 24), 'tokens of a FIFO that need not hold more', 2)
    multiplier: str = setting(
        OneOf(('auto', 'dsp', 'lut')), 'what multiplies; auto: LUTs up to 4 x 4 bits, else DSPs', 'auto'
    )
    add: str = setting(
        OneOf(('separate', 'absorbed')),
        'separate, a process of its own, or absorbed: the convolution before it starts its accumulators from the '
        "skip's token",
        'separate',
    )
    skip: str = setting(
        OneOf(('clone', 'line_buffer')),
        "clone, or line_buffer: the skip is handed on from a layer's window",
        'clone',
    )
    process_latency_cycles: int = setting(
        Integer(0, 10_000), 'pipeline depth of a process; FIFOs are deep enough to hide it', 0
    )
    dsp_packing: bool = setting(
        Boolean(), 'two 8-bit products of one activation share a DSP; exported sources do not do this', False
    )
    weight_bits_of: tuple[tuple[str, int], ...] = setting(
        ByNode(1, MOST_BITS, weighted=True), 'widths of the weights of single nodes, over weight_bits', ()
    )
    activation_bits_of: tuple[tuple[str, int], ...] = setting(
        ByNode(1, MOST_BITS), 'widths of the outputs of single nodes, over activation_bits', ()
    )

    def __post_init__(self) -> None:
        check_values(self)

    @property
    def family(self) -> devices.Family:
        return devices.device(self.device).family


SETTINGS = settings_of(Dataflow)


def dataflow(**settings: Any) -> Dataflow:
    """The dataflow target: a frozen, hashable value.

    Args:
      **settings: those of `Dataflow`, which says what each is, as `python -m costmodel --help` does. A number by node
        is a mapping, {'stem_conv': 4}. What is None is the default.

    Notes: `multiplier`, `add`, `skip` and `dsp_packing` price designs other than those that `hls_export` emits, which
    has plain products (DSP packing, AMD WP486, is nothing that Vitis HLS makes of them), adds and clones of their own.
    FIFO depths that were found for a smaller `process_latency_cycles` than hardware has lose throughput; for a larger
    one they are only longer (see `tailor_jax.streaming`).

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
    """The interval, in cycles, that automatic reuse factors must meet."""
    height, width, _ = graph.input.shape
    return target.interval_cycles or CYCLES_PER_PIXEL * height * width


def reuse_factors(graph: Graph, target: Dataflow) -> dict[str, int]:
    """The reuse factor of every weighted node of the graph.

    Raises:
      GraphError: for a reuse factor that does not divide a layer (`streaming.reuse_split`).
      CostError: for an interval that a node cannot meet; the message names the node and the nearest interval.
    """
    return {node.name: _reuse_factor(graph, node, target) for node in graph.nodes if node.weighted}


def _reuse_factor(graph: Graph, node: Node, target: Dataflow) -> int:
    given = (
        target.reuse_factor
        if isinstance(target.reuse_factor, int)
        else dict(_pairs(target.reuse_factor)).get(node.name)
    )
    if given is not None:
        streaming.reuse_split(graph, node, given)
        return given
    interval = interval_wanted(graph, target)
    fitting = [
        factor
        for factor in streaming.reuse_factors(graph, node)
        if streaming.period_cycles(graph, node, factor) <= interval
    ]
    if not fitting:
        least = max(streaming.period_cycles(graph, each, 1) for each in graph.nodes)
        raise CostError(
            f'node {node.name!r} ({node.op}): it needs at least {streaming.period_cycles(graph, node, 1)} cycles an '
            'image, so an '
            f'interval of {interval} cycles cannot be met; the nearest that this network can meet is '
            f'interval_cycles={least}'
        )
    return fitting[-1]


def _pairs(value: object) -> tuple[tuple[str, int], ...]:
    return value if isinstance(value, tuple) else ()
