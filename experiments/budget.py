"""A budget of hardware in place of a price: `cost.budget`.

With B_r the limit of resource r, and C_r(all), C_r(none) its exact cost with every skip and with none, training is
subject to

    excess_r(p) = (E[C_r](p) - B_r) / |C_r(all) - C_r(none)| <= 0

by ascent on a multiplier for each r (`tailor_jax.train.step`). An expectation that meets a budget says nothing of the
rounded gates, so `repair` chooses among the likeliest settings that meet it exactly, by the loss that the trained
student has with each on training images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import costmodel
from costmodel import targets
from costmodel.expectation.budget import settings_within
from experiments.config import Config, ConfigError
from experiments.cost import HardwareCost


@dataclasses.dataclass(frozen=True)
class Budget:
    """Limits on the resources of one graph on one target; callable on {gate: P(open)} to give the excess of each.

    Attributes:
      cost: graph and target.
      limits: ((resource, at most), ...).
      scales: C_r(all) - C_r(none) of each, in the same order.
    """

    cost: HardwareCost
    limits: tuple[tuple[str, float], ...]
    scales: tuple[float, ...]

    @property
    def resources(self) -> tuple[str, ...]:
        return tuple(resource for resource, _ in self.limits)

    def __call__(self, p: Mapping) -> dict:
        expected = costmodel.expected(self.cost.table, p)
        return {
            resource: (expected[resource] - limit) / scale for (resource, limit), scale in zip(self.limits, self.scales)
        }


def budget_of(config: Config, cost: HardwareCost) -> Budget | None:
    """The budget that a config describes, None for none.

    Raises ConfigError for a resource that the target does not price, and for a budget that no setting of the gates
    meets.
    """
    given = {name: value for name, value in config.cost.budget.items() if value is not None}
    share = given.pop('device_share', None)
    capacity = targets.capacity(cost.target)
    if share is not None:
        given |= {
            name: min(share * total, given.get(name, share * total))
            for name, total in capacity.items()
            if name in cost.table.resources
        }
    able = [name for name in cost.table.resources if name in config.cost.budget]
    for name in given:
        if name not in cost.table.resources:
            raise ConfigError(f'config.cost.budget limits {name!r}; on this target it can limit {", ".join(able)}')
    if not given:
        return None
    try:
        settings_within(cost.table, dict.fromkeys(cost.table.gates, 0.5), given, 1)
    except costmodel.CostError as error:
        raise ConfigError(f'config.cost.budget: {error}') from None
    ends = [costmodel.expected(cost.table, dict.fromkeys(cost.table.gates, end)) for end in (0.0, 1.0)]
    # Where skips hardly change a resource, in whichever direction, a thousandth of the limit is the scale.
    limits = tuple((name, float(limit)) for name, limit in given.items())
    scales = tuple(float(max(abs(ends[1][name] - ends[0][name]), 1e-3 * limit, 1.0)) for name, limit in limits)
    return Budget(cost, limits, scales)


def repair(
    budget: Budget, p: Mapping[str, float], candidates: int, loss: Callable[[Mapping[str, int]], float]
) -> tuple[dict[str, int], list[dict]]:
    """The setting to export, and the candidates it was chosen from.

    Args:
      budget: which every candidate meets exactly.
      p: the learned {gate: P(open)}.
      candidates: how many of the likeliest settings, and how many of the likeliest that leave no room for another skip,
        to try.
      loss: of the student under a setting.
    """
    limits = dict(budget.limits)
    tried = [settings_within(budget.cost.table, p, limits, candidates, maximal) for maximal in (False, True)]
    distinct = {tuple(setting.items()): setting for settings in tried for setting in settings}
    losses = [loss(setting) for setting in distinct.values()]
    record = [{'gates': setting, 'loss': value} for setting, value in zip(distinct.values(), losses)]
    return list(distinct.values())[losses.index(min(losses))], record
