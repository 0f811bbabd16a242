"""One operation of the graph IR: what its fields may hold, and the JSON object that it is in a file.

A field that its op does not use keeps its default, so that no walk can be misled by it. Sizes have bounds (`MOST_...`),
so that every count that is made of them fits 64 bits and nothing that is proportional to them takes for ever.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

from tailor_jax.fields import REQUIRED, Fields, plain
from tailor_jax.ops import OPS, TRAITS, WEIGHTED, WINDOWED

NAME = re.compile(r'(?=.{1,100}\Z)[a-z][a-z0-9]*(_[a-z0-9]+)*')
# A node name becomes part of C++ and Verilog identifiers; these words would not compile.
_KEYWORDS = """
and asm auto begin bool break case catch char class const continue default delete do double else end endmodule enum
explicit export extern false float for friend goto if inline int long main module namespace new not operator or private
protected public reg register return short signed sizeof static struct switch template this throw true try typedef
typename union unsigned using virtual void volatile while wire xor
"""
RESERVED = frozenset(_KEYWORDS.split())
NO_GATES = frozenset(('all', 'none'))  # words for gates, where some are listed
_RULE = 'must be lower case words and digits joined by single underscores, at most 100 characters'

MOST_SIDE = 1 << 20
MOST_CHANNELS = 1 << 24
MOST_PIXELS = 1 << 24
MOST_VALUES = 1 << 31
MOST_PRODUCTS = 1 << 43
MOST_WINDOW = 1 << 10  # sides of kernels, strides, factors of an upsample
_PLAIN = frozenset((int, float, str))
_LISTS = {'inputs': None, 'shape': 3, 'kernel': 2, 'stride': 2, 'padding': 4, 'factor': 2}


class GraphError(ValueError):
    """A graph that breaks a rule of the IR. The message names the node, what it got and what was expected."""


@dataclasses.dataclass(frozen=True)
class Node:
    """One operation. `shape` is its output's (H, W, C). Lists become tuples, and numbers of numpy those of Python.

    Attributes:
      name: parameter key, C++ identifier suffix and report row; lower case words joined by underscores.
      op: one of `tailor_jax.ops.OPS`.
      inputs: names of the nodes it reads. For `add`: (main branch, skip tensor); for `scale`: (map, factors); for
        `concat`: two or more.
      kernel, stride: of a windowed op: window height and width, steps down and across.
      padding: of a windowed op: zeros at (top, bottom, left, right), or for a max_pool minus infinity.
      groups: channel groups of a conv; equal to the input channels for a depthwise one.
      bias: whether a conv adds a bias (a dense layer always does).
      weights: the key of the parameters of a weighted op; nodes of the same key share them. By default the node's own
        name.
      factor: how many times an upsample repeats each row and each column.
      slope: of a leaky_relu below zero.
      relu: whether a ReLU is fused onto the output (set by `rewrite.fold`).
      gate: the learnable gate of an add; empty for an add that is always open.
      block: the row of the block-level report that this node belongs to.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: tuple[int, int, int]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    bias: bool = False
    weights: str = ''
    factor: tuple[int, int] = (1, 1)
    slope: float = 0.1
    relu: bool = False
    gate: str = ''
    block: str = ''

    def __post_init__(self) -> None:
        for field in _LISTS:
            values = getattr(self, field)
            if type(values) is list or (type(values) is tuple and not _PLAIN.issuperset(map(type, values))):
                object.__setattr__(self, field, tuple(plain(value) for value in values))
        for field in ('groups', 'slope'):
            if type(value := getattr(self, field)) not in _PLAIN:
                object.__setattr__(self, field, plain(value))

    @property
    def key(self) -> str:
        """Where its parameters are kept."""
        return self.weights or self.name

    @property
    def weighted(self) -> bool:
        """Whether it has weights."""
        return self.op in WEIGHTED

    @property
    def windowed(self) -> bool:
        """Whether it slides a window over its input."""
        return self.op in WINDOWED

    @property
    def biased(self) -> bool:
        """Whether it adds a bias."""
        return self.bias or self.op == 'dense'

    @functools.cached_property
    def problem(self) -> str:
        """What its fields hold and must not, whatever graph it stands in; '' for a node that is in order."""
        return _problem(self)


def _problem(node: Node) -> str:
    if not _is_name(node.name) or node.name in RESERVED:
        return f'its name {_RULE}, and no C++ keyword'
    if type(node.op) is not str or node.op not in OPS:
        return f'op {node.op!r} is not one of {", ".join(OPS)}'
    if type(node.inputs) is not tuple or not all(_is_name(name) for name in node.inputs):
        return f'inputs must be a tuple of names of nodes, got {node.inputs!r}'
    for field, value in (('gate', node.gate), ('block', node.block), ('weights', node.weights)):
        if value != '' and not _is_name(value):
            return f'{field} {value!r} {_RULE}'
    if node.gate in NO_GATES:
        return f'gate {node.gate!r} has a name that says which gates are kept: every one, or not one; give it another'
    for field, lo, hi in _RANGES:
        values = getattr(node, field)
        whole = type(values) is tuple and len(values) == _LISTS[field]
        if not whole or not all(type(value) is int and lo <= value <= hi for value in values):
            return f'{field} must be {_EXPECTED[field]}, got {values!r}'
    height, width, channels = node.shape
    if max(height, width) > MOST_SIDE or height * width > MOST_PIXELS or height * width * channels > MOST_VALUES:
        most = f'{MOST_SIDE:,} rows or columns, {MOST_PIXELS:,} pixels or {MOST_VALUES:,} values'
        return f'shape {node.shape} has more than {most}'
    if type(node.groups) is not int or not 1 <= node.groups <= MOST_CHANNELS:
        return f'groups must be an integer of 1..{MOST_CHANNELS}, got {node.groups!r}'
    if type(node.slope) not in (int, float) or not 0 <= node.slope < 1:
        return f'slope must be at least 0 and below 1, got {node.slope!r}'
    for field in ('bias', 'relu'):
        if type(getattr(node, field)) is not bool:
            return f'{field} must be True or False, got {getattr(node, field)!r}'
    for field, users in _USERS.items():
        if node.op not in users and (value := getattr(node, field)) != _DEFAULTS[field]:
            return f'only {" or ".join(users)} can have {field}, got {value!r}'
    return ''


_DEFAULTS = {
    field.name: field.default for field in dataclasses.fields(Node) if field.default is not dataclasses.MISSING
}
_USERS = {  # the ops that have a field, of those that not every op has
    field: users
    for field in _DEFAULTS
    if (users := tuple(op for op, traits in TRAITS.items() if field in traits.fields))
}
_RANGES = (
    ('shape', 1, MOST_CHANNELS),
    ('kernel', 1, MOST_WINDOW),
    ('stride', 1, MOST_WINDOW),
    ('padding', 0, MOST_WINDOW),
    ('factor', 1, MOST_WINDOW),
)
_EXPECTED = {
    'shape': f'three positive integers (H, W, C) of up to {MOST_CHANNELS}',
    'kernel': f'two positive integers of up to {MOST_WINDOW}',
    'stride': f'two positive integers of up to {MOST_WINDOW}',
    'padding': f'four integers (top, bottom, left, right) of 0..{MOST_WINDOW}',
    'factor': f'two positive integers of up to {MOST_WINDOW}',
}


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def node_to_dict(node: Node) -> dict[str, Any]:
    """The node's fields that differ from their defaults, as plain JSON values."""
    found: dict[str, Any] = {'name': node.name, 'op': node.op, 'inputs': list(node.inputs), 'shape': list(node.shape)}
    for field, default in _DEFAULTS.items():
        if (value := getattr(node, field)) != default:
            found[field] = list(value) if isinstance(value, tuple) else value
    return found


def node_from_dict(fields: Mapping[str, Any], where: str = 'node') -> Node:
    """The inverse of `node_to_dict`, of what a file holds.

    Args:
      fields: the object.
      where: of the object, for messages: 'node s1b0_conv1 of graph.json'.

    Raises:
      GraphError: for a field that a node does not have or lacks, or that holds what it must not.
    """
    given = Fields(fields, where, GraphError)
    name, op = given.text('name', NAME), given.text('op', choices=OPS)
    values: dict[str, Any] = {'inputs': given.texts('inputs', NAME)}
    for field, lo, hi in _RANGES:
        values[field] = given.integers(field, lo, hi, _LISTS[field], _DEFAULTS.get(field, REQUIRED))
    for field in ('bias', 'relu'):
        values[field] = given.boolean(field, False)
    for field in ('weights', 'gate', 'block'):
        values[field] = given.text(field, NAME, default='')
    groups, slope = given.integer('groups', 1, MOST_CHANNELS, 1), given.number('slope', 0, 1, _DEFAULTS['slope'])
    given.end()
    node = Node(name, op, groups=groups, slope=slope, **values)
    if node.problem:
        raise GraphError(f'{where}: {node.problem}')
    return node
