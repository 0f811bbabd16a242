"""The interval that a simulation reports: the mean over the steady state of a batch."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from plans import plan_of, unfolded

from costmodel.streams.flow.simulate import Run, simulate
from tailor_jax.dataflow import plan as planning
from tailor_jax.dataflow.folding import Folding, Layer
from tailor_jax.dataflow.process import period_cycles
from tailor_jax.graph import Graph, Node


def settled(gaps: list[int], read_before_end: int = 0, per_image: int = 1) -> Run:
    """A run whose images leave at these distances, the last of them `read_before_end` images after the last word came
    in.
    """
    ends = list(itertools.accumulate([500, *gaps]))
    return Run(ends, ends[len(ends) - 1 - read_before_end], per_image, {}, False)


@pytest.mark.parametrize(
    ('gaps', 'drained', 'mean', 'over'),
    [
        ([30] * 15, 0, 30, 8),
        ([12, 20, 30, 30, 30, 30, 30, 30, 9, 5], 2, 30, 4),  # fills, then drains
        ([30, 30, 31, 30, 30, 31, 30] * 4, 0, 30 + 2 / 7, 14),  # a median says 30
        ([24, 40, 24, 40, 24, 40, 24, 40, 24], 0, 32, 4),  # whole repetitions: five of them would say 30.4
        ([30, 29, 31, 34, 30, 27], 0, (34 + 30 + 27) / 3, 3),  # no pattern
        ([30], 0, 30, 1),
        ([30, 30], 2, None, 0),
        ([], 0, None, 0),
    ],
)
def test_the_interval_is_the_mean_of_the_steady_state(gaps, drained, mean, over):
    run = settled(gaps, drained)
    assert (
        run.interval_cycles == (None if mean is None else pytest.approx(mean, rel=1e-12))
        and run.interval_images == over
    )
    assert mean is None or isinstance(run.interval_cycles, int) == (mean == int(mean))


def test_a_deadlock_has_no_interval():
    run = dataclasses.replace(settled([30] * 10), deadlocked=True)
    assert run.interval_cycles is None and run.interval_images == 0


def test_images_that_the_end_of_the_batch_hurries_on_do_not_count():
    """Strides drop the last rows, so processes behind them are done, and leave room, before the last pixel comes in."""
    shape, half, quarter = (4, 8, 4), (2, 4, 4), (1, 2, 4)
    nodes = (
        Node('input', 'input', (), (4, 8, 2)),
        Node('stem', 'conv', ('input',), shape, (3, 3), padding=(1, 1, 1, 1)),
        Node('down', 'conv', ('stem',), half, stride=(2, 2)),
        Node('relu', 'relu', ('down',), half),
        Node('skip', 'conv', ('down',), half),
        Node('sum', 'add', ('skip', 'relu'), half),
        Node('less', 'conv', ('sum',), quarter, stride=(2, 2), groups=2),
        Node('last', 'conv', ('less',), quarter, (1, 2), padding=(0, 0, 0, 1)),
    )
    graph = Graph(nodes)
    whole = unfolded(graph)
    slow = {'stem': Layer('column', 2, 1), 'down': Layer('all', 4, 1), 'last': Layer('one', 1, 1)}
    made = plan_of(graph, Folding(whole.lanes, {**whole.layers, **slow}), latency=8)
    design = planning.check(graph, made)
    depths = {name: fifo.depth for name, fifo in made.fifos.items()}
    for images in (8, 16, 64):
        run = simulate(design, made.latency_cycles, depths, images)
        assert run.interval_cycles == max(period_cycles(actor.process) for actor in design.actors)
        assert run.interval_images > 1
