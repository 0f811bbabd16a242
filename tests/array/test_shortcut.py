"""ShortcutMining and ShortcutFusion: against layer by layer, against a replay of what lies where, and against what must
move at least.
"""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from random_graphs import nested_graphs

import costmodel
from costmodel.array.layers import layer_graph, tensor_bytes
from costmodel.array.policies import frames, shortcut_fusion
from tailor_jax import build, rewrite
from tailor_jax.array_schedule import DRAM, sizes
from tailor_jax.graph import Node

DRAM_KINDS = ('dram_input_bytes', 'dram_weight_bytes', 'dram_output_bytes', 'dram_shortcut_bytes')
NETWORKS = {
    'resnet50': (64, 64, 3),
    'squeezenet': (64, 64, 3),
    'efficientnet_b1': (64, 64, 3),
    'yolov3': (64, 64, 3),
    'retinanet_r50_fpn': (128, 128, 3),
    'vgg16': (64, 64, 3),
}


def network(name):
    return build.named(name, NETWORKS[name])


def fusion(**settings):
    return costmodel.pe_array('shortcut_fusion', **{'policy': 'shortcut_fusion', 'sram_bytes': 1 << 40, **settings})


def unavoidable(graph, target):
    """Weights of every layer, the input once, the results once."""
    network = layer_graph(rewrite.fold(graph), target)
    weights = costmodel.evaluate(graph, target).total['dram_weight_bytes']
    return weights + sum(tensor_bytes(network, name, target) for name in (network.graph.input.name, *network.results))


@pytest.mark.parametrize('name', ['resnet50', 'squeezenet', 'yolov3'])
@pytest.mark.parametrize('fuse_add', [False, True])
def test_row_mode_is_layer_by_layer(name, fuse_add):
    graph = network(name)
    rows = costmodel.evaluate(graph, fusion(fuse_add=fuse_add, frame=())).total
    assert all(
        rows[kind] == costmodel.evaluate(graph, fusion(policy='layer_by_layer', fuse_add=fuse_add)).total[kind]
        for kind in DRAM_KINDS
    )


@pytest.mark.parametrize('name', ['resnet50', 'efficientnet_b1', 'vgg16'])
def test_with_room_for_all_only_what_must_is_moved(name):
    graph = network(name)
    for policy in ('shortcut_mining', 'shortcut_fusion'):
        assert costmodel.evaluate(graph, fusion(policy=policy)).total['dram_bytes'] == unavoidable(
            graph, fusion(policy=policy)
        )


@pytest.mark.parametrize('name', ['yolov3', 'squeezenet'])
def test_some_networks_keep_more_tensors_than_three_buffers_hold(name):
    """The banks of shortcut_mining hold them all; three buffers spill, and never less than is missing."""
    graph = network(name)
    mining, fused = (
        costmodel.evaluate(graph, fusion(policy=policy)).total['dram_bytes']
        for policy in ('shortcut_mining', 'shortcut_fusion')
    )
    assert (
        mining
        == unavoidable(graph, fusion())
        < fused
        < costmodel.evaluate(graph, fusion(policy='layer_by_layer')).total['dram_bytes']
    )


@given(nested_graphs(6), st.booleans(), st.sampled_from([1, 3]), st.randoms(use_true_random=False))
def test_every_operand_lies_where_the_step_says(graph, fuse_add, batch, rng):
    """Replays the steps with nothing but buffers that hold names."""
    target = fusion(fuse_add=fuse_add, batch=batch)
    target = rng.choice(shortcut_fusion.alternatives(graph, target))
    network = layer_graph(rewrite.fold(graph), target)
    steps = shortcut_fusion.steps(network, target)
    memories, held, dram, moved = sizes(steps), {}, {network.graph.input.name}, 0

    def put(name, place, replaced=()):
        begin, end = place[1], place[1] + tensor_bytes(network, name, target)
        assert end <= memories[place[0]]
        for other, (memory, at) in list(held.items()):
            if memory == place[0] and max(begin, at) < min(end, at + tensor_bytes(network, other, target)):
                assert network.last_reader.get(other, math.inf) < index or other in replaced or other in dram, (
                    other,
                    name,
                )
                del held[other]
        held[name] = place

    for index, step in enumerate(steps):
        for name, place in step.stores:
            assert held[name] == place
            dram.add(name)
            moved += tensor_bytes(network, name, target)
        for name, place in step.loads:
            assert name in dram
            put(name, place)
            moved += tensor_bytes(network, name, target)
        for name in (*step.layer.inputs, *step.layer.shortcuts):
            place = step.places[name]
            assert name in dram if place[0] == DRAM else held[name] == place
            moved += tensor_bytes(network, name, target) if place[0] == DRAM else 0
        dying = [name for name in step.layer.reads if network.last_reader.get(name) == index]
        for name in step.layer.outputs:
            if step.places[name][0] == DRAM:
                dram.add(name)
                moved += tensor_bytes(network, name, target)
            else:
                replaced = [other for other in frames.overwritable(network, step.layer, name) if other in dying]
                put(name, step.places[name], replaced)
        for name, place in step.late_stores:
            assert held[name] == place
            dram.add(name)
            moved += tensor_bytes(network, name, target)
    assert set(network.results) <= dram
    total = costmodel.evaluate(graph, target).total
    assert (total['dram_feature_map_bytes'], total['buffer_bytes']) == (moved, sum(memories))


@given(nested_graphs(6), st.sampled_from([0, 1, 2]), st.sampled_from([600, 2000, 6000]))
def test_the_cut_taken_is_the_best_of_all(graph, cuts, sram_bytes):
    target = fusion(cuts=cuts, sram_bytes=sram_bytes, rows=4, columns=4)
    fitting = [cut for cut in shortcut_fusion.search(graph, target) if cut.buffer_bytes <= sram_bytes]
    if not fitting:
        least = min(cut.buffer_bytes for cut in shortcut_fusion.search(graph, target))
        with pytest.raises(costmodel.CostError, match=f'at least {least} bytes'):
            costmodel.evaluate(graph, target)
        return
    total = costmodel.evaluate(graph, target).total
    assert total['dram_bytes'] == min(cut.dram_bytes for cut in fitting)
    curve = [cut for cut in shortcut_fusion.curve(graph, target) if cut.buffer_bytes <= sram_bytes]
    assert curve[-1].dram_bytes == total['dram_bytes']


def test_two_cuts_are_never_worse_and_serve_decoders():
    graph = network('yolov3')
    one, two = (costmodel.evaluate(graph, fusion(cuts=cuts, sram_bytes=700_000)).total['dram_bytes'] for cuts in (1, 2))
    assert two <= one
    assert costmodel.evaluate(graph, fusion(sram_bytes=700_000)).total['dram_bytes'] == two


def test_a_residual_block_in_frame_mode():
    """The block's input in buffer 2, its convolutions in 0 and 1, the sum over the shortcut."""
    graph = build.resnet(50, (64, 64, 3))
    target = fusion(frame=tuple(dict.fromkeys(node.block or node.name for node in graph.nodes[1:])))
    places = {}
    for step in shortcut_fusion.steps(layer_graph(rewrite.fold(graph), target), target):
        places |= step.places
    assert [places[name][0] for name in ('s1b0_long', 's1b1_conv1', 's1b1_conv2', 's1b1_long')] == [2, 0, 1, 2]


@given(nested_graphs(5), st.sampled_from([1, 7, 64]), st.sampled_from([300, 700, 1500, 4000]), st.booleans())
def test_mining_bank_by_bank(graph, bank_bytes, sram_bytes, fuse_add):
    """The policy's counts against a pool of banks that are moved one by one."""
    target = fusion(
        policy='shortcut_mining', bank_bytes=bank_bytes, sram_bytes=sram_bytes, fuse_add=fuse_add, rows=4, columns=4
    )
    try:
        total = costmodel.evaluate(graph, target).total
    except costmodel.CostError as error:
        assert 'takes at least' in str(error)
        assume(False)
    assert total['dram_feature_map_bytes'] == mined_by_hand(layer_graph(rewrite.fold(graph), target), target)
    assert total['buffer_bytes'] <= sram_bytes


def worked_by_hand(graph, layer, target, lacking, taken):
    """(bytes beside the banks, passes of the input) of the smallest loop order that reads all once; 8 bits, 32-bit
    sums, one image.
    """
    node = layer.nodes[0]
    (rows_in, width_in, channels_in), (rows, width, channels) = graph.in_shape(node), node.shape
    lines = min(node.kernel[0] + 1, rows_in) * width_in * channels_in
    average = [member for member in layer.nodes if member.op == 'global_avg_pool']
    sums = 4 * sum(member.shape[2] for member in average)
    pools = [member for member in layer.nodes[1:] if member.op in ('max_pool', 'avg_pool')]
    pooled = sum(
        min(pool.kernel[0], graph.in_shape(pool)[0]) * graph.in_shape(pool)[1] * graph.in_shape(pool)[2]
        for pool in pools
    )
    if node.op not in ('conv', 'dense'):
        factors = graph[node.inputs[1]].shape[2] if node.op == 'scale' else 0
        return lines + pooled + factors + sums, 1
    taps, deep = node.kernel[0] * node.kernel[1], channels_in // node.groups
    across = [min(target.columns, channels - begin) for begin in range(0, channels, target.columns)]
    tiles = [taps * min(target.rows, deep - begin) * wide for wide in across for begin in range(0, deep, target.rows)]
    pair, one_row = sum(tiles[:2]), 4 * width * across[0]
    by_rows = lines + pooled + one_row + sums + (pair if rows == 1 else sum(tiles))
    by_channels = pair + one_row * rows + sums
    streamed = min(by_rows, by_channels + lines) if len(across) == 1 else by_rows
    fits = [(streamed, 1)] if streamed <= target.sram_bytes else []
    if by_channels + lacking + taken <= target.sram_bytes:
        fits.append((by_channels + lacking, 1))
    return min(fits, default=(by_channels + lines, len(across)))


def mined_by_hand(network, target):
    size = target.bank_bytes
    banks, copies, moved = set(), set(), 0  # (tensor, number of its bank): on chip; in DRAM

    def parts(name):
        return [(name, number) for number in range(-(-tensor_bytes(network, name, target) // size))]

    def part_bytes(part):
        return min(size, tensor_bytes(network, part[0], target) - part[1] * size)

    def readers_after(name, index):
        found = [later for later, layer in enumerate(network.layers) if later > index and name in layer.reads]
        return found[0] if found else math.inf

    def drop(name):
        part = max(part for part in banks if part[0] == name)
        banks.remove(part)
        cost = 0 if part in copies else part_bytes(part)
        copies.add(part)
        return cost

    born = [network.graph.input.name]
    copies.update(parts(born[0]))
    for index, layer in enumerate(network.layers):
        there = {name: sum(part_bytes(part) for part in banks if part[0] == name) for name in layer.inputs}
        lacking = sum(tensor_bytes(network, name, target) for name in layer.inputs) - sum(there.values())
        taken = size * sum(part[0] in layer.inputs for part in banks)
        working, passes = worked_by_hand(network.graph, layer, target, lacking, taken)
        limit = (target.sram_bytes - working) // size
        others = [name for name in born if name not in layer.reads]
        others.sort(key=lambda name: readers_after(name, index), reverse=True)
        operands = sorted(layer.reads, key=lambda name: tensor_bytes(network, name, target), reverse=True)
        operands = [name for name in operands if name not in layer.inputs] + [
            name for name in operands if name in layer.inputs
        ]
        for name in [*others, *operands]:
            while len(banks) > limit and any(part[0] == name for part in banks):
                moved += drop(name)
        for names, times in ((layer.inputs, passes), (layer.shortcuts, 1)):
            moved += times * sum(part_bytes(part) for name in names for part in parts(name) if part not in banks)
        streamed = [
            part
            for name in layer.reads
            for part in parts(name)
            if part not in banks and readers_after(name, index) < math.inf
        ]
        for name in layer.outputs:
            final = name in network.results
            dying = [
                other for other in frames.overwritable(network, layer, name) if readers_after(other, index) == math.inf
            ]
            room = max(({part for part in banks if part[0] == other} for other in dying), key=len, default=set())
            banks -= room
            for part in parts(name):
                victims = [other for other in others if readers_after(other, index) > readers_after(name, index)]
                victims = [other for other in victims if any(each[0] == other for each in banks)]
                keeps = not (final and readers_after(name, index) == math.inf)
                if keeps and len(banks) >= limit and victims:
                    moved += drop(victims[0])
                if keeps and len(banks) < limit:
                    banks.add(part)
                if final or part not in banks:
                    moved += part_bytes(part)
                    copies.add(part)
            taken = sum(part[0] == name for part in banks)
            banks |= set(sorted(room)[taken:])  # what was not written over is there until the layer ends
            born.append(name)
        banks.update(streamed[: max(0, limit - len(banks))])
        banks = {part for part in banks if readers_after(part[0], index) < math.inf}
        born = [name for name in born if readers_after(name, index) < math.inf]
    return moved


@given(nested_graphs(4))
def test_frame_mode_sums_for_the_batch_row_mode_for_one_image(graph):
    one, three = fusion(), fusion(batch=3)
    network = layer_graph(rewrite.fold(graph), one)
    for layer in network.layers:
        assert frames.frame_memories(network, layer, three)[5] == 3 * frames.frame_memories(network, layer, one)[5]
        assert frames.row_memories(network, layer, three)[5] == frames.row_memories(network, layer, one)[5]


@pytest.mark.parametrize('input_rows, passes', [(4, 4), (8, 1)])
def test_what_the_banks_lack_of_an_input_is_read_for_each_pass(input_rows, passes):
    """A convolution whose 2,304 weights do not fit; its 16 outputs on 4 columns are four passes."""
    graph = rewrite.Graph(
        (
            Node('input', 'input', (), (8, 8, 16)),
            Node('conv', 'conv', ('input',), (8, 8, 16), (3, 3), padding=(1, 1, 1, 1)),
        )
    )
    tiles, maps = 2 * 9 * 4 * 4, 4 * 8 * 8 * 4
    target = fusion(policy='shortcut_mining', sram_bytes=tiles + maps + input_rows * 8 * 16, rows=4, columns=4)
    assert costmodel.evaluate(graph, target).total['dram_input_bytes'] == passes * 8 * 8 * 16


def test_a_layer_that_cannot_work_is_named():
    with pytest.raises(
        costmodel.CostError, match=r"node 's3b0_conv2' takes at least \d+ bytes of buffers, and sram_bytes is 100"
    ):
        costmodel.evaluate(build.resnet(8), fusion(policy='shortcut_mining', sram_bytes=100))


@pytest.mark.parametrize(
    'settings, message',
    [
        ({'cuts': 3}, 'cuts must be an integer of 0..2, got 3'),
        ({'frame': 'head'}, 'frame must be a list or tuple of names'),
        ({'bank_bytes': 0}, 'bank_bytes must be an integer of 1..1099511627776, got 0'),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(costmodel.CostError, match=message):
        fusion(**settings)


def test_a_block_that_is_not_there_is_named():
    graph = build.resnet(8)
    with pytest.raises(costmodel.CostError, match="frame names block 's1b9'"):
        costmodel.tabulate(graph, fusion(frame=('s1b9',)))
    with pytest.raises(costmodel.CostError, match='frame must say which blocks'):
        shortcut_fusion.steps(layer_graph(rewrite.fold(graph), fusion()), fusion())


def test_a_skip_that_nobody_can_hold_is_read_again():
    """A tensor read far away, past three others: it leaves and is streamed to its add."""
    nodes, tensor = [Node('input', 'input', (), (4, 4, 2))], 'input'
    for index in range(5):
        nodes.append(Node(f'conv{index}', 'conv', (tensor,), (4, 4, 2), (3, 3), padding=(1, 1, 1, 1)))
        tensor = f'conv{index}'
    for index in range(3, -1, -1):
        nodes.append(Node(f'add{index}', 'add', (tensor, f'conv{index}'), (4, 4, 2)))
        tensor = f'add{index}'
    graph = rewrite.Graph(tuple(nodes))
    target = fusion(frame=tuple(node.name for node in nodes[1:]))
    total = costmodel.evaluate(graph, target).total
    assert total['dram_feature_map_bytes'] == 2 * 32 + (32 + 32) * 2  # two of four shortcuts are written and read
    assert total['dram_shortcut_bytes'] == 2 * 32
