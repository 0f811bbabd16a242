"""Random residual graphs with learnable gates, for the laws of the cost model: nested skips, projections, strides,
pools, 1-D, shared gates.

nested_graphs()    a hypothesis strategy of graphs as a builder makes them (batch norms, ReLUs), up to `max_gates` gates
same_rate(...)     a strategy of reconvergent segments over stride 1 convolutions that keep the size: no slack anywhere
"""

from __future__ import annotations

from hypothesis import strategies as st

from tailor_jax import rewrite
from tailor_jax.graph import Graph, Node, window_shape


class _Net:
    """Nodes appended one by one; every method returns the new node."""

    def __init__(self, draw: st.DrawFn, shape: tuple[int, int, int]):
        self.draw, self.nodes, self.gates = draw, [Node('input', 'input', (), shape)], 0

    def append(self, op: str, inputs: tuple[str, ...], shape: tuple[int, int, int], **attributes) -> Node:
        self.nodes.append(Node(f'{op.replace("_", "")}{len(self.nodes)}', op, inputs, shape, **attributes))
        return self.nodes[-1]

    def window(
        self, op: str, source: Node, channels: int, size: int, stride: int = 1, groups: int = 1, valid: bool = False
    ) -> Node:
        height, width, _ = source.shape
        kernel, strides = (min(size, height), min(size, width)), (1 if height == 1 else stride, stride)
        vertical, across = ((0, 0), (0, 0)) if valid else (((k - 1) // 2, k // 2) for k in kernel)
        padding = (*vertical, *across)
        return self.append(
            op,
            (source.name,),
            (*window_shape(source.shape, kernel, strides, padding), channels),
            kernel=kernel,
            stride=strides,
            padding=padding,
            groups=groups,
        )

    def normalized(self, conv: Node) -> Node:
        return self.append('batch_norm', (conv.name,), conv.shape) if self.draw(st.booleans()) else conv

    def layer(self, source: Node, channels: int, stride: int = 1) -> Node:
        groups = self.draw(st.sampled_from([1, 1, 1, 2]))
        groups = groups if channels % groups == 0 and source.shape[2] % groups == 0 else 1
        tensor = self.normalized(
            self.window('conv', source, channels, self.draw(st.sampled_from([1, 2, 3, 3, 3, 5])), stride, groups)
        )
        return self.append('relu', (tensor.name,), tensor.shape) if self.draw(st.booleans()) else tensor

    def residual(self, source: Node, depth: int, max_gates: int) -> Node:
        """A branch of one to three layers or nested residuals, and a skip around it, through a projection where shapes
        differ.
        """
        stride = self.draw(st.sampled_from([1, 1, 2])) if source.shape[1] > 2 else 1
        channels = source.shape[2] * self.draw(st.sampled_from([1, 1, 2])) if source.shape[2] < 8 else source.shape[2]
        tensor = self.layer(source, channels, stride)
        for _ in range(self.draw(st.integers(0, 2))):
            nest = depth > 0 and self.gates + 1 < max_gates and self.draw(st.booleans())
            tensor = self.residual(tensor, depth - 1, max_gates) if nest else self.layer(tensor, tensor.shape[2])
        if tensor.shape != source.shape:
            steps = tuple(-(-before // after) for before, after in zip(source.shape[:2], tensor.shape[:2]))
            skip = (
                self.append('conv', (source.name,), tensor.shape, stride=steps)
                if _projects(source, tensor, steps)
                else None
            )
            if skip is None:
                return tensor
            skip = self.normalized(skip)
        else:
            skip = source
            if (
                self.draw(st.integers(0, 4)) == 0
            ):  # the layers on the skip: a closed gate leaves nothing of the block but its ReLUs
                tensor, skip = skip, tensor
        self.gates += 1
        tensor = self.append('add', (tensor.name, skip.name), tensor.shape, gate=f'gate{self.gates}')
        for _ in range(self.draw(st.sampled_from([0, 1, 1, 2]))):
            tensor = self.append('relu', (tensor.name,), tensor.shape)
        return tensor


def _projects(source: Node, tensor: Node, steps: tuple[int, int]) -> bool:
    return window_shape(source.shape, (1, 1), steps, (0, 0, 0, 0)) == tensor.shape[:2]


@st.composite
def nested_graphs(draw: st.DrawFn, max_gates: int = 6, shared: bool = True) -> Graph:
    """A residual network of 1 to `max_gates` adds; some may share a gate, some may have none."""
    shape = (draw(st.sampled_from([1, 3, 4, 6, 8])), draw(st.integers(3, 8)), draw(st.integers(1, 3)))
    net = _Net(draw, shape)
    tensor = net.residual(net.layer(net.nodes[0], draw(st.sampled_from([2, 4]))), 2, max_gates)
    while net.gates < max_gates and draw(st.integers(0, 5)):
        match draw(st.integers(0, 7)):
            case 0:
                tensor = net.window(
                    'max_pool', tensor, tensor.shape[2], draw(st.integers(2, 3)), draw(st.integers(1, 2))
                )
            case 1:
                size = draw(st.integers(1, min(3, tensor.shape[1])))
                tensor = net.window('conv', tensor, tensor.shape[2], size, valid=True)
            case _:
                tensor = net.residual(tensor, 2, max_gates)
    if draw(st.booleans()):
        tensor = net.append('global_avg_pool', (tensor.name,), (1, 1, tensor.shape[2]))
        net.append('dense', (tensor.name,), (1, 1, draw(st.integers(2, 5))))
    gates = sorted({node.gate for node in net.nodes if node.gate})
    renamed = {gate: gate for gate in gates}
    if shared and len(gates) > 1 and draw(st.integers(0, 4)) == 0:
        renamed[gates[-1]] = gates[0]
    if gates and draw(st.integers(0, 4)) == 0:
        renamed[draw(st.sampled_from(gates))] = ''
    fields = [
        node if not node.gate else Node(node.name, 'add', node.inputs, node.shape, gate=renamed[node.gate])
        for node in net.nodes
    ]
    return rewrite.dead_code(Graph(tuple(fields)))


@st.composite
def same_rate(draw: st.DrawFn, max_depth: int = 2) -> Graph:
    """One skip from the input to the output around convolutions that keep the size, with skips nested inside."""
    net = _Net(draw, (draw(st.sampled_from([1, 4, 5])), draw(st.integers(3, 6)), 2))

    def branch(source: Node, depth: int) -> Node:
        tensor = source
        for _ in range(draw(st.integers(1, 3))):
            nest = depth > 0 and draw(st.integers(0, 2)) == 0
            tensor = (
                branch(tensor, depth - 1)
                if nest
                else net.window('conv', tensor, 2, draw(st.sampled_from([1, 2, 3, 3])))
            )
        net.gates += 1
        return net.append('add', (tensor.name, source.name), tensor.shape, gate=f'gate{net.gates}')

    branch(net.nodes[0], max_depth)
    return Graph(tuple(net.nodes))
