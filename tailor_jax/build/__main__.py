"""Networks on the command line.

    python -m tailor_jax.build            every name and some ResNets: parameters, GMACs, gates, nodes
    python -m tailor_jax.build yolov3     every node of one network
    python -m tailor_jax.build --ops      the ops that nodes have
    python -m tailor_jax.build --fields   the fields that nodes have in a graph file

Exit status is 1 for a network that does not exist.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence

from tailor_jax import ops
from tailor_jax.build.named import NETWORKS, named
from tailor_jax.command import Parser, status
from tailor_jax.graph import Node, macs, parameters

RESNETS = ('resnet8', 'resnet20', 'resnet56', 'resnet18', 'resnet34', 'resnet50', 'resnet152')

# {field of a node in a graph file: (its default where that is no value, what it holds)}
FIELDS = {
    'name': ('', 'lower case words and digits joined by `_`, no C++ keyword, each once'),
    'op': ('', 'an [op](architecture.md#ops)'),
    'inputs': (
        '',
        'names of nodes before it: `add` (main branch, skip), `scale` (map, factors), `concat` two or more, '
        '`input` none, others one',
    ),
    'shape': ('', "its output's (H, W, C), checked against inputs and attributes"),
    'kernel': ('', 'of a window, (down, across)'),
    'stride': ('', '(down, across)'),
    'padding': ('', '(top, bottom, left, right), smaller than the kernel'),
    'groups': ('', "the input's channels for a depthwise one"),
    'bias': ('', 'a dense layer always has one'),
    'weights': ('its name', 'nodes of the same key share parameters'),
    'factor': ('', 'how often each row and column is repeated'),
    'slope': ('', 'below zero'),
    'relu': ('', 'a ReLU fused onto it, as folding leaves it'),
    'gate': ('none', 'the gate that closes its skip, not called `all` or `none`; adds of the same gate close together'),
    'block': ('none', "the report's row"),
}


def fields_table() -> list[str]:
    """A row a field of a node in a graph file, as Markdown."""
    rows = ['| field | ops | default | |', '|---|---|---|---|']
    for field in dataclasses.fields(Node):
        default, holds = FIELDS[field.name]
        if not default and field.default is not dataclasses.MISSING:
            default = json.dumps(field.default)
        using = [f'`{op}`' for op, traits in ops.TRAITS.items() if field.name in traits.fields]
        rows.append(f'| `{field.name}` | {", ".join(using) or "all"} | {default} | {holds} |'.replace('|  |', '| |'))
    return rows


def table() -> list[str]:
    """A row a network, as Markdown."""
    rows = ['| network | input | parameters | GMACs | gates | nodes |', '|---|---|---:|---:|---:|---:|']
    for name in (*RESNETS, *(name for name in NETWORKS if name != 'resnet')):
        net = named(name)
        size = 'x'.join(map(str, net.input.shape))
        rows.append(
            f'| `{name}` | {size} | {parameters(net):,} | {macs(net) / 1e9:.3f} | {len(net.gates)} | {len(net.nodes)} |'
        )
    return rows


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    return status(lambda: _run(arguments), ValueError)


def _run(arguments: Sequence[str]) -> int:
    parser = Parser('python -m tailor_jax.build', __doc__)
    parser.add_argument(
        'network', metavar='NETWORK', nargs='?', help='resnetN, resnetN_short, ..., or a name of the table'
    )
    parser.add_argument('--ops', action='store_true', help='the ops that nodes have, as Markdown')
    parser.add_argument('--fields', action='store_true', help='the fields of nodes in a graph file, as Markdown')
    given = parser.parse_args(arguments)
    pages = {'networks': table, 'ops': ops.table, 'fields': fields_table}
    asked = [flag for flag in ('ops', 'fields') if getattr(given, flag)]
    if asked and given.network is not None:
        raise ValueError(f'--{asked[0]} lists the {asked[0]} of every network; leave out {given.network!r}')
    if len(asked) > 1:
        raise ValueError('--ops and --fields are a table each; give one')
    print(named(given.network) if given.network is not None else '\n'.join(pages[(asked or ['networks'])[0]]()))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
