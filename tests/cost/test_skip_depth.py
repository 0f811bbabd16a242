"""The depth of a skip over n equal convolutions in closed form (docs/cost_model.md), against the schedule."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.streams.flow import depths as flow
from costmodel.streams.flow.part import design_segments, edges
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow.design import CLONE, MAC, WINDOW, Hand
from tailor_jax.dataflow.folding import Folding, Layer
from tailor_jax.dataflow.process import FORWARD_CYCLES
from tailor_jax.graph import Graph, Node

HEIGHT = 3


@dataclasses.dataclass(frozen=True)
class Case:
    """`convs` 3x3 convolutions of `channels` under a skip, all taps of `lanes` channels and `outputs` sums a cycle;
    `latency`: of the parts of a node, '' of its finish."""

    convs: int
    width: int
    channels: int
    lanes: int
    outputs: int
    latency: dict[str, int]


@st.composite
def cases(draw):
    channels = draw(st.sampled_from([1, 2, 4, 8]))
    lanes = draw(st.sampled_from([each for each in (1, 2, 4, 8) if channels % each == 0 and channels // each <= 4]))
    outputs = draw(st.sampled_from([each for each in (1, 2, 4, 8) if lanes % each == 0 and channels // each <= 4]))
    latency = {part: draw(st.integers(0, most)) for part, most in ((WINDOW, 3), (MAC, 12), ('', 3), (CLONE, 1))}
    return Case(draw(st.integers(1, 3)), draw(st.integers(4, 8)), channels, lanes, outputs, latency)


def late_cycles(case):
    """D: how much later a layer's word is written than the word at its place is read, in cycles."""
    words, blocks, passes = case.channels // case.lanes, case.channels // case.outputs, case.lanes // case.outputs
    pipeline = sum(case.latency[part] for part in (WINDOW, MAC, '')) + 3 * FORWARD_CYCLES
    return (case.width + 1) * words * blocks + (words - 1) * blocks + (passes - 1) * words + pipeline


def scheduled(case, absorb=True, hand=None):
    """The depth of the skip's FIFO that the schedule finds."""
    shape = (HEIGHT, case.width, case.channels)
    nodes = [Node('input', 'input', (), shape)]
    for number in range(case.convs):
        nodes.append(Node(f'conv{number}', 'conv', (nodes[-1].name,), shape, kernel=(3, 3), padding=(1, 1, 1, 1)))
    nodes.append(Node('sum', 'add', (nodes[-1].name, 'input'), shape))
    graph = Graph(tuple(nodes))
    layers = {node.name: Layer('all', case.lanes, case.outputs) for node in nodes if node.weighted}
    handed = {} if hand is None else {'input': Hand('conv0', hand)}
    folding = Folding(dict.fromkeys(graph.by_name, case.lanes), layers)
    design = designs.design(graph, folding, designs.absorbable(graph) if absorb else {}, handed)
    [segment] = design_segments(design, {actor.name: case.latency[actor.part] for actor in design.actors})
    found = flow.depths(segment.part, flow.own_period(segment.part), 1).streams
    return {name: found[edge] for edge, name in edges(segment.actors).items()}['input__sum']


@given(cases(), st.data())
def test_the_closed_form_of_a_skip(case, data):
    words, blocks = case.channels // case.lanes, case.channels // case.outputs
    late = case.convs * late_cycles(case)
    assert scheduled(case) == 1 + (late + case.latency[CLONE] - case.latency['']) // blocks
    assert scheduled(case, absorb=False) == 1 + (late + case.latency[CLONE] + FORWARD_CYCLES) // blocks
    taps = sorted({up * case.width + left for up in range(3) for left in range(3)})
    pixels = data.draw(st.sampled_from([tap for tap in taps if tap <= case.convs * (case.width + 1)]))
    handed = 1 + (late - FORWARD_CYCLES - case.latency['']) // blocks - pixels * words
    assert scheduled(case, hand=pixels) == max(1, handed)


@pytest.mark.parametrize('convs', [1, 2, 3])
def test_a_word_a_pixel_and_cycle(convs):
    """n (W + 7 + L_w + L_m + L_f) + 1 + L_clone - L_f."""
    latency = {WINDOW: 2, MAC: 14, '': 3, CLONE: 0}
    assert scheduled(Case(convs, 8, 4, 4, 4, latency)) == convs * (8 + 7 + 2 + 14 + 3) + 1 - 3
