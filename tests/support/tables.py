"""What tests ask of a cost table."""

import numpy as np

import costmodel


def table_peak(table: costmodel.CostTable, name: str) -> float:
    """The largest number that meets float32 on the way to this resource's expectation, in any of the table's
    alternatives.
    """
    if name in table.maxima:
        return float(np.max(table.support[table.maxima.index(name)]))
    index = table.additive.index(name)
    return float(
        np.max(
            table.constant[..., index]
            + sum(stack.values[..., index].max(axis=(-2, -1)).sum(axis=-1) for stack in table.stacks)
        )
    )
