"""What a target must offer, and the one place that knows the kinds of targets.

`evaluate` prices a graph; an `Evaluator` is what the expectation over gates needs of a target:

    reductions      {resource: 'sum' or 'max'}: how costs add up
    chains(graph)   the exact costs of all settings of the gates, as a chain of links (`costmodel.expectation.chain`); several to choose from
    choice          how one of them is chosen
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from costmodel import devices
from costmodel.array import evaluate as array
from costmodel.array.settings import PEArray
from costmodel.cost import Cost, CostError
from costmodel.expectation.chain import Chain, Choice, independent
from costmodel.streams import evaluate as streams
from costmodel.streams.settings import Dataflow
from tailor_jax.fields import hint
from tailor_jax.graph import Graph
from tailor_jax.ops import WEIGHTED, listed

Target = Dataflow | PEArray


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """What the expectation over gates is made of."""

    reductions: Mapping[str, str]
    chains: Callable[[Graph], list[Chain]]
    choice: Choice | None = None


def evaluate(graph: Graph, target: Target) -> Cost:
    """The exact cost of a graph on a target; gated adds count as open. Integers; see `Cost`.

    Raises:
      GraphError, CostError: for a network that the target cannot run, or a setting that names what the graph does not
        have.
    """
    check_names(graph, target)
    match target:
        case Dataflow():
            return streams.evaluate(graph, target)
        case PEArray():
            return array.evaluate(graph, target)
        case _:
            raise _unknown(target)


def evaluator(target: Target) -> Evaluator:
    """The target's evaluator."""
    match target:
        case Dataflow():
            rows = functools.partial(streams.rows, target=target)
            return Evaluator(
                streams.REDUCTIONS,
                lambda graph: [independent(graph, rows, streams.REDUCTIONS, streams.couplings(graph, target))],
            )
        case PEArray():
            return Evaluator(array.REDUCTIONS, lambda graph: array.chains(graph, target), array.choice(target))
        case _:
            raise _unknown(target)


def monotone(target: Target) -> tuple[str, ...]:
    """The resources that removing a skip can never raise on this target."""
    match target:
        case Dataflow():
            return streams.monotone(target)
        case PEArray():
            return array.monotone(target)
        case _:
            raise _unknown(target)


def name(target: Target) -> str:
    """What commands and reports call this kind of target."""
    match target:
        case Dataflow():
            return 'dataflow'
        case PEArray():
            return 'pe_array'
        case _:
            raise _unknown(target)


def capacity(target: Target) -> dict[str, int]:
    """{resource: how much of it the target's device has}; resources that are missing here have no limit."""
    match target:
        case Dataflow():
            return devices.device(target.device).capacity
        case PEArray():
            return {'buffer_bytes': target.sram_bytes}
        case _:
            raise _unknown(target)


def images_per_second(cost: Cost) -> float:
    """Images a second at the target's clock; 0 of a network that computes nothing, which has no time of its own."""
    match cost.target:
        case Dataflow():
            return cost.target.clock_mhz * 1e6 / cost.total['interval_cycles']
        case PEArray():
            busy = cost.total['cycles']
            return cost.target.batch * cost.target.clock_mhz * 1e6 / busy if busy else 0.0
        case _:
            raise _unknown(cost.target)


def _unknown(target: Any) -> CostError:
    return CostError(
        f'unknown kind of target {type(target).__name__}; make one with costmodel.dataflow(...) or '
        'costmodel.pe_array(...)'
    )


def check_names(graph: Graph, target: Target) -> None:
    """Raises CostError if a setting names a node or block that the graph has not and had not (`Graph.gone`), or one
    that it does nothing for.
    """
    if not isinstance(target, Dataflow | PEArray):
        raise _unknown(target)
    for key, names in target.named_nodes().items():
        for each in sorted(names - graph.gone):
            if each not in graph.by_name:
                raise CostError(f'{key} names node {each!r}, which the graph does not have{hint(each, graph.by_name)}')
            node, of_any = graph[each], key == 'activation_bits_of'
            if node.op == 'batch_norm' or not (of_any or node.weighted):
                wanted = 'a node of its own once batch norms are folded' if of_any else listed(WEIGHTED)
                raise CostError(f'{key} names node {each!r}, and that is a {node.op}; it is a setting of {wanted}')
    if isinstance(target, PEArray) and target.frame:
        blocks = dict.fromkeys(node.block or node.name for node in graph.nodes)
        for each in sorted(set(target.frame) - set(blocks) - graph.gone):
            raise CostError(f'frame names block {each!r}, which the graph does not have{hint(each, blocks)}')
