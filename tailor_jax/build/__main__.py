"""Networks on the command line.

    python -m tailor_jax.build            every name and some ResNets: parameters, GMACs, gates, nodes
    python -m tailor_jax.build yolov3     every node of one network
    python -m tailor_jax.build --ops      the ops that nodes have

Exit status is 1 for a network that does not exist.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tailor_jax import ops
from tailor_jax.build.named import NETWORKS, named
from tailor_jax.command import Parser, status
from tailor_jax.graph import macs, parameters

RESNETS = ('resnet8', 'resnet20', 'resnet56', 'resnet18', 'resnet34', 'resnet50', 'resnet152')


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
    given = parser.parse_args(arguments)
    if given.ops and given.network is not None:
        raise ValueError(f'--ops lists the ops of every network; leave out {given.network!r}')
    print('\n'.join(ops.table() if given.ops else table()) if given.network is None else named(given.network))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
