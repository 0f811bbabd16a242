"""The ops of the graph IR: what each of them is, said once.

`TRAITS` has a row an op. A walk that asks what kind of op a node has asks by a set below (`WEIGHTED`, `POOLS`, ...) or
by a property of the node (`node.weighted`); it names an op only where it does what no other op does. So an op with the
traits of others needs no line in most walks. `python -m tailor_jax.build --ops` prints the table that
docs/architecture.md has.

In the formulas x, y are the inputs, x0, x1, ... their integers, a is an accumulator of which the output's integers q
are made (`tailor_jax.integers.qgraph`), and s, multiplier, divisor, table belong to the integer node
(`tailor_jax.integers.qnode`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Op:
    """What an op is.

    Attributes:
      computes: its formula on real numbers.
      integers: its formula on integers.
      kind: what it is to a network: an `input`, a layer with weights, a norm, an activation, a join of several tensors,
        a pool, or a move of values that changes none.
      scaling: how its integers get their type: `given`; `accumulated`, sums and products at a scale of their own,
        rounded to any type; `mean`, the same for an exact quotient; `table`, looked up in any type; `passed`, which is
        that of its input; `folded`, none, for it is gone before.
      signed: whether results may be negative; None where that is as among its inputs.
      inputs: how many it reads; None for two or more.
      fields: those of a node's fields that it uses, beside `name`, `op`, `inputs`, `shape` and `block`.
      elementwise: whether a result is made of the values at its own place (and of one a channel, or a parameter).
      view: whether it moves addresses only: it makes no tensor where tensors lie in memory.
      stream: which tokens its streaming process writes (`tailor_jax.streaming`): all that come in (`port`), one for
        each that it reads (`token`), for each `window` or for each whole `map`; '' for an op without a process.
    """

    computes: str
    integers: str
    kind: Literal['input', 'weighted', 'norm', 'activation', 'join', 'pool', 'move']
    scaling: Literal['given', 'accumulated', 'mean', 'table', 'passed', 'folded']
    signed: bool | None = None
    inputs: int | None = 1
    fields: tuple[str, ...] = ()
    elementwise: bool = False
    view: bool = False
    stream: Literal['', 'port', 'token', 'window', 'map'] = ''


_WINDOW = ('kernel', 'stride', 'padding')
_WEIGHTS = ('bias', 'weights', 'relu')
_MEAN = 'a = (sum x0 << s0) / divisor, rounded'
_TABLE = 'q = table[x0 - the least x0], made in float64'

TRAITS = {
    'input': Op('the image', 'q = the image', 'input', 'given', True, 0, stream='port'),
    'conv': Op(
        'sums of products over a window, each output channel of one group of input channels',
        'a = sum w x0 + b',
        'weighted',
        'accumulated',
        True,
        fields=(*_WINDOW, 'groups', *_WEIGHTS),
        stream='window',
    ),
    'batch_norm': Op(
        '(x - mean) scale / sqrt(var + eps) + bias, a channel', 'into its conv', 'norm', 'folded', elementwise=True
    ),
    'dense': Op(
        'sums of products over all channels of a (1, 1, C) map',
        'a = sum w x0 + b',
        'weighted',
        'accumulated',
        True,
        fields=_WEIGHTS,
        stream='token',
    ),
    'relu': Op('max(x, 0)', 'q = max(x0, 0)', 'activation', 'passed', elementwise=True, stream='token'),
    'leaky_relu': Op(
        'x where x >= 0, slope x elsewhere',
        'a = x0 << s0 where x0 >= 0, multiplier x0 elsewhere',
        'activation',
        'accumulated',
        fields=('slope',),
        elementwise=True,
        stream='token',
    ),
    'sigmoid': Op('1 / (1 + exp(-x))', _TABLE, 'activation', 'table', False, elementwise=True),
    'swish': Op('x sigmoid(x)', _TABLE, 'activation', 'table', True, elementwise=True),
    'add': Op(
        'x + y; x + z y under a gate z',
        'a = (x0 << s0) + (x1 << s1)',
        'join',
        'accumulated',
        inputs=2,
        fields=('relu', 'gate'),
        elementwise=True,
        stream='token',
    ),
    'scale': Op(
        'x[h, w, c] y[0, 0, c], y of shape (1, 1, C)',
        'a = x0 x1',
        'join',
        'accumulated',
        inputs=2,
        elementwise=True,
    ),
    'concat': Op(
        "the inputs' channels one after another",
        'a = (x0 << s0, x1 << s1, ...)',
        'join',
        'accumulated',
        inputs=None,
        view=True,
    ),
    'max_pool': Op('the largest of a window', 'q = max x0', 'pool', 'passed', fields=_WINDOW, stream='window'),
    'avg_pool': Op(
        'the sum over a window / (kernel h kernel w): padding counts, as zeros',
        _MEAN,
        'pool',
        'mean',
        fields=_WINDOW,
        stream='window',
    ),
    'global_avg_pool': Op('the mean of a map', _MEAN, 'pool', 'mean', stream='map'),
    'upsample': Op(
        'x[h // factor h, w // factor w, c]: nearest neighbour', 'q = x0, moved', 'move', 'passed', fields=('factor',)
    ),
    'flatten': Op('(H, W, C) -> (1, 1, H W C), row-major', 'q = x0, moved', 'move', 'passed', view=True),
}
OPS = tuple(TRAITS)


def _having(trait: Callable[[Op], bool]) -> frozenset[str]:
    return frozenset(op for op, traits in TRAITS.items() if trait(traits))


WEIGHTED = _having(lambda op: op.kind == 'weighted')
ACTIVATIONS = _having(lambda op: op.kind == 'activation')
POOLS = _having(lambda op: op.kind == 'pool')
WINDOWED = _having(lambda op: 'kernel' in op.fields)
WINDOW_POOLS = POOLS & WINDOWED
RECTIFIED = _having(lambda op: 'relu' in op.fields)  # a ReLU can be fused onto them
FOLDING = frozenset(('batch_norm', 'relu'))  # folding can make their producer stand for them
ELEMENTWISE = _having(lambda op: op.elementwise)
VIEWS = _having(lambda op: op.view)
MEANS = _having(lambda op: op.scaling == 'mean')
TABLED = _having(lambda op: op.scaling == 'table')
PASSED = _having(lambda op: op.scaling == 'passed')
ACCUMULATED = _having(lambda op: op.scaling in ('accumulated', 'mean'))
STREAMED = _having(lambda op: op.stream != '')


def listed(ops: Iterable[str], last: str = 'and') -> str:
    """Names of ops for messages, in the order of the table: 'conv, dense and add'."""
    *most, end = sorted(ops, key=OPS.index)
    return f'{", ".join(most)} {last} {end}' if most else end


def table() -> list[str]:
    """The ops as a Markdown table, a row each."""
    rows = ['| op | computes | in integers | dataflow design |', '|---|---|---|---|']
    for name, op in TRAITS.items():
        dataflow = 'folded' if op.scaling == 'folded' else 'yes' if op.stream else 'refused'
        integers = f'folded {op.integers}' if op.scaling == 'folded' else f'`{op.integers}`'
        rows.append(f'| `{name}` | {op.computes} | {integers} | {dataflow} |')
    return rows
