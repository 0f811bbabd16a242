"""Graphs at the edge of what can be priced: priced alike by every route, or refused by name."""

import json
import math
import time

import pytest
from cost_command import run
from fifo_depths import run_as_priced
from plans import unfolded

import costmodel
from costmodel import plot, report
from tailor_jax import graph, rewrite
from tailor_jax.dataflow.folding import Folding
from tailor_jax.dataflow.process import FORWARD_CYCLES
from tailor_jax.graph import Graph, GraphError, Node

SHAPE = (6, 6, 2)
INPUT = Node('input', 'input', (), SHAPE)
POLICIES = ('layer_by_layer', 'retain', 'shortcut_mining', 'shortcut_fusion')
ARRAYS = [costmodel.pe_array('shortcut_fusion', policy=policy) for policy in POLICIES]
STREAMS = [
    costmodel.dataflow(),
    costmodel.dataflow(fifo_policy='full_map'),
    costmodel.dataflow(skip='clone', add='separate'),
]
TARGETS = [*STREAMS, *ARRAYS]
WINDOW = {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}


def at_every_setting(net: Graph, target: object) -> None:
    """The table at each vertex, and the cost of the graph with the gates so."""
    target = costmodel.settled(net, target)
    table = costmodel.tabulate(net, target)
    for index in range(1 << len(net.gates)):
        setting = {gate: index >> place & 1 for place, gate in enumerate(net.gates)}
        total = costmodel.evaluate(rewrite.binarize(net, setting), target).total
        assert {name: total[name] for name in table.resources} == costmodel.expected(table, setting)


def reads_twice(source: str) -> Graph:
    nodes = (
        Node('conv', 'conv', ('input',), SHAPE, **WINDOW),
        Node('sum', 'add', (source, source), SHAPE, gate='outer'),
    )
    return (
        Graph((INPUT, *nodes, Node('last', 'conv', ('sum',), SHAPE, **WINDOW)))
        if source == 'conv'
        else Graph((INPUT, nodes[1], *last('sum')))
    )


def last(source: str) -> tuple[Node]:
    return (Node('last', 'conv', (source,), SHAPE, **WINDOW),)


NESTED = Graph(
    (
        INPUT,
        Node('stem', 'conv', ('input',), SHAPE, **WINDOW),
        Node('conv', 'conv', ('stem',), SHAPE, **WINDOW),
        # Closed, it leaves the outer add with one tensor to read.
        Node('inner', 'add', ('stem', 'conv'), SHAPE, gate='inner'),
        Node('outer', 'add', ('inner', 'stem'), SHAPE, gate='outer'),
        *last('outer'),
    )
)


@pytest.mark.parametrize(
    'target', TARGETS, ids=lambda target: getattr(target, 'policy', getattr(target, 'fifo_policy', ''))
)
@pytest.mark.parametrize(
    'net', [reads_twice('conv'), reads_twice('input'), NESTED], ids=['conv', 'input', 'closed inner gate']
)
def test_an_add_may_read_one_tensor_twice(net, target):
    at_every_setting(net, target)


def test_an_add_that_reads_one_tensor_twice_is_simulated_as_priced():
    net = reads_twice('conv')
    target = costmodel.dataflow(folding=unfolded(net))
    cost = costmodel.evaluate(net, target)
    assert run_as_priced(net, target).interval_cycles == cost.total['interval_cycles'] == 36


@pytest.mark.parametrize(
    'target', TARGETS, ids=lambda target: getattr(target, 'policy', getattr(target, 'fifo_policy', ''))
)
def test_a_network_that_computes_nothing_costs_nothing(target, tmp_path):
    """Its input is its output; so is that of a network whose only skip closes, at a vertex of the table as well."""
    alone = Graph((INPUT,))
    gated = Graph(
        (INPUT, Node('conv', 'conv', ('input',), SHAPE), Node('sum', 'add', ('input', 'conv'), SHAPE, gate='skip'))
    )
    at_every_setting(gated, target)
    at_every_setting(alone, target)
    cost = costmodel.evaluate(alone, target)
    settled = costmodel.settled(gated, target)
    closed = costmodel.evaluate(rewrite.remove(gated, ['skip']), settled).total
    assert {value for name, value in cost.total.items() if not name.endswith('_cycles')} == {0}
    for total, made in ((cost.total, cost.target), (closed, settled)):
        if isinstance(made, costmodel.Dataflow):  # a word a cycle
            words = math.prod(SHAPE) // made.folding.lanes['input']
            assert total['interval_cycles'] == total['latency_cycles'] == words
    timeless = [{name: total[name] for name in total if not name.endswith('_cycles')} for total in (cost.total, closed)]
    assert timeless[0] == timeless[1]
    assert report.text(cost, cost, 'alone') and json.loads(
        json.dumps(costmodel.to_json(cost, 'alone'), allow_nan=False)
    )
    plot.bars(cost, cost, tmp_path / 'alone.png')


def test_a_network_that_only_streams_takes_the_cycles_of_its_words():
    """And the pipeline of what streams, behind what the source takes for an image."""
    net = Graph((INPUT, Node('relu', 'relu', ('input',), SHAPE)))
    for lanes in (1, 2):
        folding = Folding(dict.fromkeys(net.by_name, lanes), {})
        cost = costmodel.evaluate(net, costmodel.dataflow(folding=folding))
        words, latency = 72 // lanes, cost.plan.latency_cycles['relu']
        assert cost.total['interval_cycles'] == words
        assert cost.total['latency_cycles'] == words - 1 + latency + FORWARD_CYCLES


@pytest.mark.parametrize('options', [(), ('--json',), ('--target=pe_array',), ('--target=pe_array', '--json')])
def test_the_command_prices_an_input_alone(capsys, tmp_path, options):
    graph.save(Graph((INPUT,)), tmp_path / 'alone.json')
    status, out, err = run(capsys, str(tmp_path / 'alone.json'), *options)
    assert status == 0 and out and not err


def test_an_input_alone_is_not_simulated(capsys, tmp_path):
    graph.save(Graph((INPUT,)), tmp_path / 'alone.json')
    status, out, err = run(capsys, str(tmp_path / 'alone.json'), '--simulate')
    assert (
        status == 1
        and not out
        and err == 'error: --simulate: the kept network is its input alone, so there is no process to run\n'
    )


def test_a_row_that_a_closed_gate_makes_and_a_block_that_it_takes_away_are_reported(tmp_path):
    """Without blocks each row is a block: `r1`, fused into the add while it is there, stands alone once the add is
    gone, and `side` goes.
    """
    nodes = (
        INPUT,
        Node('pool', 'max_pool', ('input',), SHAPE, **WINDOW),
        Node('side', 'conv', ('input',), SHAPE, **WINDOW),
        Node('sum', 'add', ('pool', 'side'), SHAPE, gate='skip'),
        Node('r1', 'relu', ('sum',), SHAPE),
        *last('r1'),
    )
    for target in TARGETS:
        before = costmodel.evaluate(Graph(nodes), target)
        after = costmodel.evaluate(rewrite.remove(Graph(nodes), ['skip']), target)
        names = [{row['name'] for row in cost.blocks} for cost in (before, after)]
        assert names[1] - names[0] == ({'r1'} if target in STREAMS else set()) or 'r1' in names[1]
        text = report.text(before, after, 'net').split('Blocks\n\n')[1].split('\n\n')[0].splitlines()[1:]
        rows = [line.replace(',', '').split() for line in text]
        assert {row[0] for row in rows} == names[0] | names[1] and len(rows) == 2 * len(names[0] | names[1])
        for state, cost in (('before', before), ('after', after)):
            column = text and report.text(before, after, 'net').split('Blocks\n\n')[1].splitlines()[0].split()[
                1:
            ].index('macs')
            assert sum(int(row[2 + column]) for row in rows if row[1] == state) == cost.total['macs'] > 0
        plot.bars(before, after, tmp_path / 'net.png')


PADDED = {
    'conv': Node('x', 'conv', ('input',), (8, 8, 3), (3, 3), padding=(2, 2, 2, 2)),
    'even kernel': Node('x', 'conv', ('input',), (7, 7, 3), (2, 2), padding=(1, 1, 1, 1)),
    'stride': Node('x', 'conv', ('input',), (4, 4, 3), (3, 3), (2, 2), (2, 2, 2, 2)),
    'one side': Node('x', 'conv', ('input',), (6, 7, 3), (3, 3), padding=(1, 1, 1, 2)),
    'max_pool': Node('x', 'max_pool', ('input',), (8, 8, 2), (3, 3), padding=(2, 2, 2, 2)),
}


@pytest.mark.parametrize('node', PADDED.values(), ids=PADDED)
def test_padding_that_makes_more_windows_than_pixels_is_no_stream_but_has_a_price_on_an_array(node):
    net = Graph((INPUT, node))
    for target in STREAMS:
        for price in (costmodel.evaluate, costmodel.tabulate):
            with pytest.raises(GraphError, match=r"node 'x' \(\w+\): padding .* windows .* over \(6, 6\) pixels"):
                price(net, target)
    for target in ARRAYS:
        total = costmodel.evaluate(net, target).total
        assert total['dram_output_bytes'] == math.prod(node.shape) and total['macs'] == graph.macs(net)


def test_padding_that_fits_is_streamed():
    for padding in ((0, 2, 0, 2), (2, 0, 2, 0), (1, 1, 1, 1)):
        net = Graph((INPUT, Node('x', 'conv', ('input',), (6, 6, 3), (3, 3), padding=padding)))
        target = costmodel.dataflow(folding=unfolded(net))
        cost = costmodel.evaluate(net, target)
        assert run_as_priced(net, target).interval_cycles == cost.total['interval_cycles'] == 36


@pytest.mark.parametrize('make', [costmodel.dataflow, costmodel.pe_array])
@pytest.mark.parametrize('clock', [0, -1, math.nan, math.inf, True, '200'])
def test_a_clock_is_a_finite_number_above_0(make, clock):
    with pytest.raises(costmodel.CostError, match='^clock_mhz must be a finite number above 0, got'):
        make(clock_mhz=clock)


@pytest.mark.parametrize('clock', ['0', 'nan', 'inf', '-1', 'fast'])
def test_the_command_refuses_such_a_clock(capsys, clock):
    for target in ('dataflow', 'pe_array'):
        status, out, err = run(capsys, 'resnet8', f'--target={target}', f'--clock_mhz={clock}')
        assert status == 1 and not out and err.startswith('error: ') and 'clock_mhz' in err and err.count('\n') == 1


def test_a_segment_may_begin_with_any_op():
    """Its entry stands in as an input, whatever it was: a conv with groups and shared weights here."""
    shared = {'weights': 'both', 'groups': 2, **WINDOW}
    nodes = (INPUT, Node('a', 'conv', ('input',), SHAPE, **shared), Node('b', 'conv', ('a',), SHAPE, **shared))
    net = Graph((*nodes, Node('sum', 'add', ('b', 'a'), SHAPE)))
    assert costmodel.evaluate(net, costmodel.dataflow()).depths['a__sum'] > 6


def large(blocks: int) -> Graph:
    nodes = [INPUT]
    for index in range(blocks):
        before = nodes[-1].name
        nodes += [
            Node(f'conv{index}', 'conv', (before,), SHAPE, block=f'b{index}'),
            Node(f'sum{index}', 'add', (f'conv{index}', before), SHAPE, gate=f'gate{index}', block=f'b{index}'),
        ]
    return Graph(tuple(nodes))


@pytest.mark.parametrize('target', [costmodel.dataflow(), *ARRAYS[:3]], ids=['dataflow', *POLICIES[:3]])
def test_six_thousand_nodes_are_priced_in_seconds_and_as_the_sum_of_equal_blocks(target):
    few, many = large(30), large(3000)
    begin = time.process_time()
    total = costmodel.evaluate(many, target).total
    assert time.process_time() - begin < 20  # quadratic, the dataflow target took a minute
    if isinstance(target, costmodel.Dataflow):  # memories of weights are chosen by what the whole network takes
        target = costmodel.dataflow(folding=unfolded(many))
        total = costmodel.evaluate(many, target).total
    small, next_one = (costmodel.evaluate(net, target).total for net in (few, large(31)))
    assert total['macs'] == 100 * small['macs'] == graph.macs(many)
    for name in ('lut', 'fifo_bits', 'dram_bytes', 'cycles'):
        if name in total:
            assert total[name] == small[name] + 2970 * (next_one[name] - small[name]) > small[name]


def test_more_cuts_than_can_be_tried_are_refused_by_number():
    with pytest.raises(
        costmodel.CostError,
        match='tries every cut, and a network of 6,001 nodes in 3,000 blocks has 3,000; .*set frame',
    ):
        costmodel.evaluate(large(3000), costmodel.pe_array('shortcut_fusion', policy='shortcut_fusion'))
    frame = costmodel.pe_array(
        'shortcut_fusion', policy='shortcut_fusion', frame=tuple(f'b{index}' for index in range(10, 3000))
    )
    assert costmodel.evaluate(large(3000), frame).total['macs'] == graph.macs(large(3000))


def test_views_of_views_are_as_deep_as_they_like():
    """Two thousand flattens in a row, and a concat that doubles its input 18 times: 2^18 ways to one tensor."""
    flat = [INPUT, Node('first', 'flatten', ('input',), (1, 1, 72))]
    for index in range(2000):
        flat.append(Node(f'flat{index}', 'flatten', (flat[-1].name,), (1, 1, 72)))
    flat.append(Node('dense', 'dense', (flat[-1].name,), (1, 1, 2)))
    doubled = [INPUT]
    for index in range(18):
        doubled.append(Node(f'cat{index}', 'concat', (doubled[-1].name,) * 2, (6, 6, 2 ** (index + 2))))
    doubled.append(Node('conv', 'conv', (doubled[-1].name,), (6, 6, 1)))
    for target in ARRAYS[:3]:
        assert costmodel.evaluate(Graph(tuple(flat)), target).total['dram_input_bytes'] == 72
        assert costmodel.evaluate(Graph(tuple(doubled)), target).total['dram_input_bytes'] == 72
