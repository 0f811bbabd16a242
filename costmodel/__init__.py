"""Hardware cost of a network on a target, exact for a graph and exact in expectation for a graph with learnable gates.

    target = costmodel.dataflow(device='zcu104', fifo_policy='exact', weight_bits=8)    # a streaming design on an FPGA
    target = costmodel.pe_array(preset='shortcut_fusion', policy='layer_by_layer')      # a PE array with DRAM
    target = costmodel.settled(graph, target)    # how far layers are unrolled, once for all gates
    cost   = costmodel.evaluate(graph, target)   # cost.total['bram18'], cost.nodes, cost.blocks, cost.fifos: integers
    table  = costmodel.tabulate(graph, target)   # every setting of every gate group
    value  = costmodel.expected(table, p)        # {resource: scalar} for p = {gate: probability}; differentiable
    costmodel.check_depths(graph, plan)          # whether FIFOs that were set by hand are deep enough

`expected` and `tabulate` are loaded on first use, so that pricing a network does not wait for jax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from costmodel import devices
from costmodel.array.settings import PEArray, pe_array
from costmodel.cost import Cost, CostError
from costmodel.report import to_json
from costmodel.streams.plan import check_depths
from costmodel.streams.settings import Dataflow, dataflow
from costmodel.targets import evaluate, monotone, settled

if TYPE_CHECKING:
    from costmodel.expectation.expected import expected
    from costmodel.expectation.table import CostTable, tabulate

__all__ = [
    'Cost',
    'CostError',
    'CostTable',
    'Dataflow',
    'PEArray',
    'check_depths',
    'dataflow',
    'devices',
    'evaluate',
    'expected',
    'monotone',
    'pe_array',
    'settled',
    'tabulate',
    'to_json',
]


def __getattr__(name: str) -> Any:
    if name not in ('expected', 'tabulate', 'CostTable'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    # Together: a table is a pytree only once `expectation` has registered it.
    from costmodel.expectation import expected, table

    return expected.expected if name == 'expected' else getattr(table, name)
