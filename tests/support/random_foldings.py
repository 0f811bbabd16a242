"""Random foldings of folded graphs, whatever they are good for: lanes, taps and outputs that fit."""

from __future__ import annotations

from hypothesis import strategies as st

from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow.folding import Folding, Layer
from tailor_jax.graph import Graph


def divisors(whole: int) -> list[int]:
    return [size for size in range(1, whole + 1) if whole % size == 0]


def near(whole: int, other: int) -> list[int]:
    """The divisors of one number that divide another, or that it divides."""
    return [size for size in divisors(whole) if max(size, other) % min(size, other) == 0]


@st.composite
def foldings(draw: st.DrawFn, graph: Graph) -> Folding:
    lanes: dict[str, int] = {}
    for members in fold.classes(graph):
        common = set(divisors(members[0].shape[2])).intersection(*(divisors(node.shape[2]) for node in members))
        lanes |= dict.fromkeys((node.name for node in members), draw(st.sampled_from(sorted(common))))
    layers = {}
    for node in graph.nodes:
        if node.op not in ('conv', 'dense'):
            continue
        taps = draw(st.sampled_from(fold.TAPS)) if node.kernel != (1, 1) else 'all'
        if fold.is_depthwise(graph, node):
            both = set(near(node.groups, lanes[node.inputs[0]])) & set(near(node.groups, lanes[node.name]))
            width = draw(st.sampled_from(sorted(both)))
            layers[node.name] = Layer(taps, width, width, draw(st.sampled_from(fold.WEIGHTS)))
            continue
        inner, outer = graph.in_shape(node)[2] // node.groups, node.shape[2] // node.groups
        width = draw(st.sampled_from(near(inner, lanes[node.inputs[0]])))
        outputs = draw(st.sampled_from(near(outer, lanes[node.name])))
        layers[node.name] = Layer(taps, width, outputs, draw(st.sampled_from(fold.WEIGHTS)))
    return Folding(lanes, layers)
