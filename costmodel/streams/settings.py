"""The settings of the dataflow target, and the reuse factor that each layer gets under them.

The reuse factor of a layer depends on nothing but the layer, the network's input and the target, never on a gate:
closing a skip must not change how the other layers are built. It is the one given, or else the largest R of
`streaming.reuse_factors` with

    period_cycles(node, R) <= interval,      interval = 16 cycles a pixel of the network's input unless given.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from costmodel import devices, settings
from costmodel.cost import CostError
from tailor_jax import streaming
from tailor_jax.graph import Graph, Node

FIFO_POLICIES = ('full_map', 'exact', 'pow2')
MULTIPLIERS = ('auto', 'dsp', 'lut')
ADDS = ('separate', 'absorbed')
SKIPS = ('clone', 'line_buffer')
CYCLES_PER_PIXEL = 16

_OF_NODES = ('weight_bits_of', 'activation_bits_of')


def _reuse(key: str, value: Any) -> int | tuple[tuple[str, int], ...] | None:
    if isinstance(value, (Mapping, tuple)):
        return settings.by_node(key, value, 1, settings.MOST)
    return None if value is None else settings.integer(key, value, 1, settings.MOST)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    'device': functools.partial(settings.one_of, known=tuple(devices.DEVICES)),
    'fifo_policy': functools.partial(settings.one_of, known=FIFO_POLICIES),
    'multiplier': functools.partial(settings.one_of, known=MULTIPLIERS),
    'add': functools.partial(settings.one_of, known=ADDS),
    'skip': functools.partial(settings.one_of, known=SKIPS),
    **dict.fromkeys(
        ('weight_bits', 'activation_bits'), functools.partial(settings.integer, lo=1, hi=settings.MOST_BITS)
    ),
    **dict.fromkeys(_OF_NODES, functools.partial(settings.by_node, lo=1, hi=settings.MOST_BITS)),
    'reuse_factor': _reuse,
    'interval_cycles': settings.optional(functools.partial(settings.integer, lo=1, hi=settings.MOST)),
    'clock_mhz': settings.positive,
    'stream_depth': functools.partial(settings.integer, lo=1, hi=1 << 24),
    'process_latency_cycles': functools.partial(settings.integer, lo=0, hi=10_000),
    'dsp_packing': settings.boolean,
}


@dataclasses.dataclass(frozen=True)
class Dataflow:
    """Settings of the dataflow target; made by `dataflow`, which documents them."""

    device: str = 'zcu104'
    fifo_policy: str = 'exact'
    weight_bits: int = 8
    activation_bits: int = 8
    reuse_factor: int | tuple[tuple[str, int], ...] | None = None
    interval_cycles: int | None = None
    clock_mhz: float = 200
    stream_depth: int = 2
    multiplier: str = 'auto'
    add: str = 'separate'
    skip: str = 'clone'
    process_latency_cycles: int = 0
    dsp_packing: bool = False
    weight_bits_of: tuple[tuple[str, int], ...] = ()
    activation_bits_of: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for key, checked in _CHECKS.items():
            object.__setattr__(self, key, checked(key, getattr(self, key)))

    @property
    def family(self) -> devices.Family:
        return devices.device(self.device).family

    def named_nodes(self) -> dict[str, set[str]]:
        """{setting: nodes that it names}."""
        return {key: {name for name, _ in _pairs(getattr(self, key))} for key in ('reuse_factor', *_OF_NODES)}


def dataflow(
    device: str = 'zcu104',
    fifo_policy: str = 'exact',
    weight_bits: int = 8,
    activation_bits: int = 8,
    reuse_factor: int | Mapping[str, int] | None = None,
    interval_cycles: int | None = None,
    clock_mhz: float = 200,
    stream_depth: int = 2,
    multiplier: str = 'auto',
    add: str = 'separate',
    skip: str = 'clone',
    process_latency_cycles: int = 0,
    dsp_packing: bool = False,
    weight_bits_of: Mapping[str, int] | None = None,
    activation_bits_of: Mapping[str, int] | None = None,
) -> Dataflow:
    """The dataflow target: a frozen, hashable value.

    Args:
      device: a name of `devices.DEVICES`.
      fifo_policy: 'exact' (the depth that keeps full throughput), 'pow2' (rounded up to a power of two) or 'full_map'
        (height x width tokens on every stream, as hls4ml emits).
      weight_bits, activation_bits: widths of the integers in ROMs and on streams, 1..32.
      reuse_factor: passes over the multipliers for one output token, for every layer or by node name; layers not named,
        or all of them when it is None, take the largest that meets the interval.
      interval_cycles: cycles from one image to the next that the layers must keep up with; 16 a pixel of the input when
        None.
      clock_mhz: clock, for images per second.
      stream_depth: the least depth of any FIFO.
      multiplier: where products are computed: 'dsp', 'lut', or 'auto' (LUTs up to 4 x 4 bits, else DSPs).
      add: 'separate' (a process of its own, what `hls_export` emits) or 'absorbed' (the convolution before it starts
        its accumulators from the skip's token, where nothing stands between).
      skip: 'clone' (what `hls_export` emits) or 'line_buffer' (a windowed layer hands the tensor on from its window,
        see `taps`).
      process_latency_cycles: from the last cycle of an iteration of a process to its write: the depth of its pipeline
        (see `tailor_jax.streaming`). FIFO depths that were found with less than hardware has lose throughput; with more
        they are only longer.
      dsp_packing: whether two products of an activation share a DSP where the widths allow (AMD WP486). The sources of
        `hls_export` are plain products, which Vitis HLS does not pack, so the cost of an export is without.
      weight_bits_of, activation_bits_of: widths of single nodes, over the common ones.

    Raises:
      CostError: for an unknown device (lists the known ones), an unknown policy, a number of the wrong type or out of
        its range.
    """
    return Dataflow(
        device,
        fifo_policy,
        weight_bits,
        activation_bits,
        reuse_factor,  # type: ignore[arg-type]  # and the mappings: `Dataflow` freezes them
        interval_cycles,
        clock_mhz,
        stream_depth,
        multiplier,
        add,
        skip,
        process_latency_cycles,
        dsp_packing,
        () if weight_bits_of is None else weight_bits_of,  # type: ignore[arg-type]
        () if activation_bits_of is None else activation_bits_of,  # type: ignore[arg-type]
    )


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
