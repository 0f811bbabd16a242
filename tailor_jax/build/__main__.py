"""Networks on the command line.

    python -m tailor_jax.build                  those with names of their own and some ResNets: parameters, GMACs, gates, nodes
    python -m tailor_jax.build yolov3           every node of one network

Exit status is 1 for a network that does not exist.
"""

from __future__ import annotations

import sys

from tailor_jax.build.named import NETWORKS, named
from tailor_jax.graph import macs, parameters

RESNETS = ('resnet8', 'resnet20', 'resnet56', 'resnet18', 'resnet34', 'resnet50', 'resnet152')


def table() -> list[str]:
    """A row a network, as Markdown."""
    rows = ['| network | input | parameters | GMACs | gates | nodes |', '|---|---|---:|---:|---:|---:|']
    for name in (*RESNETS, *NETWORKS):
        net = named(name)
        size = 'x'.join(map(str, net.input.shape))
        rows.append(f'| `{name}` | {size} | {parameters(net):,} | {macs(net) / 1e9:.3f} | {len(net.gates)} | {len(net.nodes)} |')
    return rows


def main(arguments: list[str]) -> int:
    if not arguments:
        print('\n'.join(table()))
    for name in arguments:
        try:
            print(named(name))
        except ValueError as error:
            print(f'error: {error}', file=sys.stderr)
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
