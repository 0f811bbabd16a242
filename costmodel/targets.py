"""The targets: one table, and what each of its modules offers. Another target is a package and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from costmodel.array import target as pe_array
from costmodel.cost import Cost, CostError
from costmodel.expectation.chain import Evaluator
from costmodel.settings import Blocks, ByNode, Setting
from costmodel.streams import target as dataflow
from tailor_jax.fields import hint
from tailor_jax.graph import Graph
from tailor_jax.ops import WEIGHTED, listed


class Target(Protocol):
    """The settings of a target: a frozen dataclass, hashable."""

    @property
    def clock_mhz(self) -> float: ...


class Module(Protocol):
    """What a target is."""

    @property
    def Settings(self) -> type:
        """The dataclass of its settings, each field a `costmodel.settings.setting`."""

    @property
    def make(self) -> Callable[..., Any]:
        """(**settings) -> Settings."""

    @property
    def SETTINGS(self) -> Mapping[str, Setting]:
        """{key: what it is} of everything that `make` takes."""

    @property
    def REDUCTIONS(self) -> Mapping[str, str]:
        """{resource: 'sum' or 'max'}: how costs add up."""

    @property
    def TOTALS(self) -> tuple[str, ...]:
        """The resources that only the whole network has."""

    @property
    def SKIPS_ADD_TO(self) -> tuple[str, ...]:
        """The resources that skips are weighed by unless somebody says which."""

    @property
    def LIMITED(self) -> tuple[str, ...]:
        """Those that a design may be given a limit of."""

    @property
    def PICTURED(self) -> tuple[str, ...]:
        """Those that a picture shows."""

    @property
    def HAS_FIFOS(self) -> bool:
        """Whether its designs have FIFOs, whose depths can be found and simulated."""

    def settled(self, graph: Graph, target: Any) -> Any:
        """The target with all that is decided once for a network with every skip open; see `settled` below."""

    def evaluate(self, graph: Graph, target: Any) -> Cost:
        """The exact cost of a graph; see `evaluate` below."""

    def evaluator(self, target: Any) -> Evaluator:
        """What the expectation over gates is made of."""

    def monotone(self, target: Any) -> tuple[str, ...]:
        """The resources that removing a skip can never raise."""

    def capacity(self, target: Any) -> dict[str, int]:
        """{resource: how much of it there is}; resources that are missing here have no limit."""

    def images_per_second(self, cost: Cost) -> float:
        """Images a second at the target's clock."""

    def parts(self, cost: Cost, resource: str) -> dict[str, dict[str, float]]:
        """{part: {block: amount}} of one resource, for pictures."""


TARGETS: dict[str, Module] = {'dataflow': dataflow, 'pe_array': pe_array}


def name(target: Target) -> str:
    """What commands and reports call this kind of target. Raises CostError for what is none."""
    for each in TARGETS:
        if isinstance(target, TARGETS[each].Settings):
            return each
    made = ' or '.join(f'costmodel.{each}(...)' for each in TARGETS)
    raise CostError(f'unknown kind of target {type(target).__name__}; make one with {made}')


def module(target: Target) -> Module:
    """The module of a target."""
    return TARGETS[name(target)]


def evaluate(graph: Graph, target: Target) -> Cost:
    """The exact cost of a graph on a target; gated adds count as open. Integers; see `Cost`.

    Raises:
      GraphError, CostError: for a network that the target cannot run, or a setting that names what the graph does not
        have.
    """
    check_names(graph, target)
    return module(target).evaluate(graph, target)


def settled(graph: Graph, target: Target) -> Target:
    """The target with all that is decided once for a network, with every skip open: how far the layers of a streaming
    design are unrolled. Costs of the same network with other gates compare only on one settled target, which
    `Cost.target` is, too.

    Raises:
      GraphError, CostError: as `evaluate`.
    """
    check_names(graph, target)
    return module(target).settled(graph, target)


def monotone(target: Target) -> tuple[str, ...]:
    """The resources that removing a skip can never raise on this target."""
    return module(target).monotone(target)


def capacity(target: Target) -> dict[str, int]:
    """{resource: how much of it the target's device has}; resources that are missing here have no limit."""
    return module(target).capacity(target)


def images_per_second(cost: Cost) -> float:
    """Images a second at the target's clock; 0 of a network that computes nothing, which has no time of its own."""
    return module(cost.target).images_per_second(cost)


def check_names(graph: Graph, target: Target) -> None:
    """Raises CostError if a setting names a node or block that the graph has not and had not (`Graph.gone`), or one
    that it does nothing for.
    """
    blocks = dict.fromkeys(node.block or node.name for node in graph.nodes)
    for key, each in module(target).SETTINGS.items():
        value = getattr(target, key, None)
        if isinstance(each.check, ByNode) and isinstance(value, tuple):
            for node in sorted({node for node, _ in value} - graph.gone):
                _check_node(graph, key, node, each.check.weighted)
        if isinstance(each.check, Blocks) and value:
            for block in sorted(set(value) - set(blocks) - graph.gone):
                raise CostError(f'{key} names block {block!r}, which the graph does not have{hint(block, blocks)}')


def _check_node(graph: Graph, key: str, node: str, weighted: bool) -> None:
    if node not in graph.by_name:
        raise CostError(f'{key} names node {node!r}, which the graph does not have{hint(node, graph.by_name)}')
    found = graph[node]
    if found.op == 'batch_norm' or (weighted and not found.weighted):
        wanted = listed(WEIGHTED) if weighted else 'a node of its own once batch norms are folded'
        raise CostError(f'{key} names node {node!r}, and that is a {found.op}; it is a setting of {wanted}')


def check_policy(target: Target, given: Mapping[str, Any], shown: str = '{}') -> None:
    """Raises CostError for a given setting that the target's policy does not have.

    Args:
      target: that was made.
      given: {key: value} of what was asked for; what is False, 0 or None asks for nothing.
      shown: how a key is written in the message, '--{}' on a command line.
    """
    for key, each in module(target).SETTINGS.items():
        if each.policies and given.get(key) and (policy := getattr(target, 'policy', '')) not in each.policies:
            preset = given.get('preset')
            raise CostError(
                f'{shown.format(key)} is a setting of {shown.format("policy")}={" or ".join(each.policies)}, and the '
                f'policy is {policy}'
                + (f'; {shown.format("preset")}={preset} sets no policy' if preset in each.policies else '')
            )


def resources(of: Callable[[Module], Iterable[str]]) -> tuple[str, ...]:
    """Names of resources of all targets, each once, in the table's order: `resources(lambda each: each.LIMITED)`."""
    return tuple(dict.fromkeys(name for each in TARGETS.values() for name in of(each)))
