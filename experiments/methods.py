"""The methods: how a network loses its skips, or keeps them. docs/methods.md has a page of each.

    keep                 the skips of gates.keep stay from the start on, by default every one: the network that the others are compared with
    gates                learned gates under the expected hardware cost, as a penalty (cost.weight) or a constraint (cost.budget)
    remove               Tailor's SkipRemover: one skip after another closes, input side first; teacher's weights, distillation
    shorten              Tailor's SkipShortener: block after block, the skip over two convolutions gives way to one over each
    nonresnet            NonResNet: groups of skips go in rounds, each a training of its own from the weights of the one before; no distillation
    static               no skips, from scratch
    kd_only              no skips, from scratch, with distillation
    dynamic_scratch      as `remove`, from scratch and without distillation
    dynamic_pretrained   as `remove`, without distillation

A student that starts from scratch trains as long as teacher and student of the others together, at the teacher's
learning rate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tailor_jax.graph import Graph
from tailor_jax.skips import Shortening, shortenings

PLAIN = ('long', 'short', 'short_pre')


@dataclasses.dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
      gates: 'chosen' (by gates.keep), 'closed', 'learned', 'scheduled' (they switch during one phase) or 'rounds' (a
        phase for each group of skips that goes).
      warm: whether the student starts from the teacher's weights.
      distills: whether the teacher's logits are part of the loss.
      skips: values of model.skips that it is defined for; what it needs of a network without such a word, see
        `experiments.network.check_method`.
    """

    gates: str
    warm: bool
    distills: bool
    skips: tuple[str, ...] = PLAIN

    @property
    def has_teacher(self) -> bool:
        return self.warm or self.distills


METHODS = {
    'keep': Method('chosen', warm=True, distills=True, skips=(*PLAIN, 'none')),
    'gates': Method('learned', warm=True, distills=True, skips=(*PLAIN, 'long+short')),
    'remove': Method('scheduled', warm=True, distills=True),
    'shorten': Method('scheduled', warm=True, distills=True, skips=('long_post+short',)),
    'nonresnet': Method('rounds', warm=True, distills=False, skips=('short_pre',)),
    'static': Method('closed', warm=False, distills=False),
    'kd_only': Method('closed', warm=False, distills=True),
    'dynamic_scratch': Method('scheduled', warm=False, distills=False),
    'dynamic_pretrained': Method('scheduled', warm=True, distills=False),
}


def before(graph: Graph, method: str) -> dict[str, int]:
    """The gate settings of the network as the teacher has it: every skip, but of a block to be shortened only the long
    one.
    """
    short = {gate for each in _shortened(graph, method) for gate in each.short}
    return {gate: int(gate not in short) for gate in graph.gates}


def after(graph: Graph, method: str) -> dict[str, int]:
    """The gate settings that a scheduled method ends with: no skip, but the short ones of a block that is shortened."""
    return {gate: 1 - value for gate, value in before(graph, method).items()}


def units(graph: Graph, method: str) -> list[tuple[str, ...]]:
    """The gates that switch together, input side first: one skip each, or all those of a block that is shortened."""
    blocks = [(*each.short, each.long) for each in _shortened(graph, method)]
    return blocks or [(gate,) for gate in graph.gates]


def switches(
    graph: Graph, method: str, every_updates: float, ramp_steps: int, parts: int = 1
) -> dict[str, tuple[float, float, int, int]]:
    """The plan of `gates.scheduled`: unit k = 0, 1, ... begins to switch after round((k + 1) * every_updates) updates
    of `parts` steps each.
    """
    start, end, plan = before(graph, method), after(graph, method), {}
    for index, unit in enumerate(units(graph, method)):
        for gate in unit:
            plan[gate] = (float(start[gate]), float(end[gate]), round((index + 1) * every_updates) * parts, ramp_steps)
    return plan


def rounds(graph: Graph, count: int) -> list[Mapping[str, int]]:
    """Gate settings of each round: the k-th closes k / count of the skips, input side first."""
    gates = graph.gates
    closed = [round(len(gates) * (index + 1) / count) for index in range(count)]
    return [{gate: int(position >= number) for position, gate in enumerate(gates)} for number in closed]


def _shortened(graph: Graph, method: str) -> tuple[Shortening, ...]:
    return shortenings(graph) if method == 'shorten' else ()
