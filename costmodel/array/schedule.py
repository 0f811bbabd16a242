"""The schedule of a network on a PE array under shortcut_fusion: what `hls_export.array.lower` makes a program of."""

from __future__ import annotations

from costmodel.array.evaluate import evaluate
from costmodel.array.layers import layer_graph
from costmodel.array.policies import shortcut_fusion
from costmodel.array.settings import PEArray
from costmodel.cost import CostError
from tailor_jax import rewrite
from tailor_jax.array_schedule import TRAFFIC, Schedule
from tailor_jax.graph import Graph

# What the engine that runs a program has.
WANTED = {'policy': 'shortcut_fusion', 'batch': 1, 'accumulator_bits': 32, 'double_buffered': True}


def schedule(graph: Graph, target: PEArray) -> Schedule:
    """The layers in order under `target.frame`, or the best cut where that is None, and the traffic they are priced at.

    Raises:
      CostError: for settings that no program runs under.
    """
    for key, value in WANTED.items():
        if getattr(target, key) != value:
            raise CostError(f'{key} must be {value} for instructions, got {getattr(target, key)!r}')
    for key in ('weight_bits', 'activation_bits'):
        if getattr(target, key) not in (8, 16):
            raise CostError(f'{key} must be 8 or 16 for instructions, got {getattr(target, key)}')
    cost = evaluate(graph, target)
    chosen = cost.target
    network = layer_graph(rewrite.fold(graph), chosen)
    traffic = {kind: cost.total[f'dram_{kind}_bytes'] for kind in TRAFFIC}
    steps = tuple(shortcut_fusion.steps(network, chosen))
    return Schedule(network, steps, chosen.rows, chosen.columns, chosen.weight_bits, chosen.activation_bits, traffic)
