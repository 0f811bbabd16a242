"""Instruction lists: words there and back; the engine's results equal run_int, its traffic the cost model's, and it
needs all of its memories.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_nets import random_images, random_qgraph, residual_graphs

import costmodel
from costmodel.array.schedule import schedule
from hls_export.array import engine
from hls_export.array.lower import lower
from hls_export.array.memory import EngineFault
from tailor_jax import build
from tailor_jax.array_isa import (
    SIGNED,
    STAGE_WORDS,
    WORDS,
    Instruction,
    InstructionError,
    Stage,
    decode,
    decode_stage,
    encode,
    encode_stage,
)
from tailor_jax.graph import Graph, Node
from tailor_jax.integers.qgraph import run_int


def fusion(**settings):
    return costmodel.pe_array('shortcut_fusion', **{'policy': 'shortcut_fusion', 'sram_bytes': 1 << 30, **settings})


def blocks(graph):
    return list(dict.fromkeys(node.block or node.name for node in graph.nodes[1:]))


def check(qgraph, target, seed=0):
    """Runs a program; returns it and its image."""
    made = lower(qgraph, schedule(qgraph.graph, target))
    image = random_images(qgraph, 3, seed)[2]
    result, traffic = engine.run(made, image)
    np.testing.assert_array_equal(result, run_int(qgraph, image[None])[0])
    assert traffic == made.traffic
    return made, image


def starved(made, image):
    """Every memory that the program uses, one byte smaller, and DRAM."""
    for index, size in enumerate(made.memories):
        if size:
            smaller = tuple(each - (place == index) for place, each in enumerate(made.memories))
            with pytest.raises(EngineFault, match='bytes'):
                engine.run(dataclasses.replace(made, memories=smaller), image)
    with pytest.raises(EngineFault, match='dram has'):
        engine.run(dataclasses.replace(made, dram_bytes=made.dram_bytes - 1), image)


def records(kind, layout):
    def values(name, bits):
        return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if name in SIGNED else st.integers(0, (1 << bits) - 1)

    return st.builds(kind, **{name: values(name, bits) for word in layout for name, bits in word})


@given(records(Instruction, WORDS), records(Stage, STAGE_WORDS))
def test_words_and_fields_are_each_others_inverse(instruction, stage):
    assert decode(encode(instruction)) == instruction and len(encode(instruction)) == 11
    assert decode_stage(encode_stage(stage)) == stage
    assert all(0 <= word < 1 << 32 for word in (*encode(instruction), *encode_stage(stage)))


def test_every_field_has_its_bits():
    for kind, layout in ((Instruction, WORDS), (Stage, STAGE_WORDS)):
        names = [name for word in layout for name, _ in word]
        assert sorted(names) == sorted(field.name for field in dataclasses.fields(kind))
        assert all(sum(bits for _, bits in word) <= 32 for word in layout)


def test_a_value_that_does_not_fit_is_named():
    with pytest.raises(InstructionError, match='field width holds 0 to 65535, got 65536'):
        encode(Instruction(1, width=65536))
    with pytest.raises(InstructionError, match='expected 11 words, got 3'):
        decode([0, 0, 0])
    with pytest.raises(InstructionError, match='bits set beyond its last field'):
        decode([1 << 31, *[0] * 10])


@given(residual_graphs(), st.integers(0, 99), st.randoms(use_true_random=False))
def test_random_networks_under_random_cuts(graph, seed, rng):
    """Strides, projections, groups, pools, 1-D; narrow arrays, so that most layers take several tiles."""
    qgraph = random_qgraph(graph, seed)
    order = blocks(qgraph.graph)
    begin, end = sorted(rng.choices(range(len(order) + 1), k=2))
    target = fusion(
        rows=rng.choice([1, 2, 3, 64]),
        columns=rng.choice([1, 3, 64]),
        fuse_add=rng.random() < 0.5,
        frame=tuple(order[begin:end]),
    )
    starved(*check(qgraph, target, seed))


@pytest.mark.parametrize('depth', [8, 20])
@pytest.mark.parametrize('frame', [None, (), ('s2b0', 's2b1', 's2b2')])
def test_cifar_resnets(depth, frame):
    graph = build.resnet(depth, (16, 16, 3))
    known = frame and tuple(name for name in frame if name in blocks(graph))
    check(
        random_qgraph(graph, depth, mixed=False),
        fusion(frame=known, sram_bytes=60_000 if frame is None else 1 << 30, rows=16, columns=16),
    )


@pytest.mark.parametrize(
    'name, shape, width',
    [
        ('resnet18', (32, 32, 3), 8),
        ('resnet50', (32, 32, 3), 8),
        ('mobilenet_v2', (32, 32, 3), None),
        ('efficientnet_b1', (32, 32, 3), None),
        ('squeezenet', (32, 32, 3), None),
    ],
)
def test_shapes_of_larger_networks(name, shape, width):
    """Bottlenecks, depthwise, squeeze-excite, concats as inputs and as shortcuts; half in rows, half in frames, and for
    two all in either.
    """
    qgraph = random_qgraph(build.named(name, shape, 10, width=width), 1, bits=(4, 4))
    order = blocks(qgraph.graph)
    cut = check(qgraph, fusion(frame=tuple(order[len(order) // 2 :])))
    if name in ('resnet50', 'squeezenet'):
        starved(*cut)
        check(qgraph, fusion(frame=()))
        check(qgraph, fusion(frame=tuple(order)))


def decoder():
    """Upsampling, concats, squeeze and excite, leaky ReLUs, a swish, an average pool, shared weights, heads that are
    flattened and joined.
    """
    shape = {'a': (8, 8, 6), 'b': (4, 4, 6)}
    same = {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}
    nodes = [
        Node('input', 'input', (), (8, 8, 3)),
        Node('conv1', 'conv', ('input',), shape['a'], **same),
        Node('leaky1', 'leaky_relu', ('conv1',), shape['a']),
        Node('mean', 'global_avg_pool', ('leaky1',), (1, 1, 6)),
        Node('gate', 'sigmoid', ('mean',), (1, 1, 6)),
        Node('scaled', 'scale', ('leaky1', 'gate'), shape['a']),
        Node('pool', 'avg_pool', ('scaled',), shape['b'], (3, 3), (2, 2), (1, 0, 1, 0)),
        Node('conv2', 'conv', ('pool',), shape['b'], **same, groups=3),
        Node('swish', 'swish', ('conv2',), shape['b']),
        Node('both', 'concat', ('swish', 'pool'), (4, 4, 12)),
        Node('conv3', 'conv', ('both',), shape['b']),
        Node('up', 'upsample', ('conv3',), shape['a'], factor=(2, 2)),
        Node('joined', 'concat', ('up', 'leaky1', 'conv1'), (8, 8, 18)),
        Node('conv4', 'conv', ('joined',), shape['a']),
        Node('add', 'add', ('conv4', 'leaky1'), shape['a']),
        Node('head1', 'conv', ('add',), (8, 8, 2), weights='head'),
        Node('head2', 'conv', ('conv3',), (4, 4, 2), weights='head'),
        Node('flat1', 'flatten', ('head1',), (1, 1, 128)),
        Node('flat2', 'flatten', ('head2',), (1, 1, 32)),
        Node('out', 'concat', ('flat1', 'flat2'), (1, 1, 160)),
    ]
    return Graph(tuple(nodes))


@settings(max_examples=max(8, settings.default.max_examples // 3))
@given(st.integers(0, 99), st.randoms(use_true_random=False))
def test_a_decoder(seed, rng):
    qgraph = random_qgraph(decoder(), seed)
    order = blocks(qgraph.graph)
    begin, end = sorted(rng.choices(range(len(order) + 1), k=2))
    starved(*check(qgraph, fusion(rows=4, columns=4, frame=tuple(order[begin:end])), seed))


def test_16_bit_values():
    qgraph = random_qgraph(build.resnet(8, (8, 8, 3), width=4), 3, bits=(9, 9), mixed=False)
    check(qgraph, fusion(weight_bits=16, activation_bits=16, frame=('s2b0',)))
    with pytest.raises(InstructionError, match=r'its (weights|values) have 9 bits'):
        lower(qgraph, schedule(qgraph.graph, fusion()))


def test_a_listing_names_every_instruction():
    qgraph = random_qgraph(build.resnet(8, (8, 8, 3), width=4))
    made = lower(qgraph, schedule(qgraph.graph, fusion(frame=('s2b0',))))
    lines = made.listing().splitlines()
    assert len(lines) == len(made.words) == len(made.names)
    assert any('load' in line and 's1b0_long' in line for line in lines) and any(
        'frame' in line and 's2b0_conv2' in line for line in lines
    )


@pytest.mark.parametrize(
    'settings, message',
    [
        ({'policy': 'retain'}, "policy must be shortcut_fusion for instructions, got 'retain'"),
        ({'batch': 2}, 'batch must be 1'),
        ({'activation_bits': 4}, 'activation_bits must be 8 or 16'),
        ({'double_buffered': False}, 'double_buffered must be True'),
    ],
)
def test_what_the_engine_does_not_have_is_refused(settings, message):
    with pytest.raises(costmodel.CostError, match=message):
        schedule(build.resnet(8, (8, 8, 3), width=4), fusion(**settings))


def test_what_no_instruction_holds_names_the_node():
    nodes = [
        Node('input', 'input', (), (2, 2, 2)),
        Node('conv', 'conv', ('input',), (2, 2, 2)),
        Node('twice', 'concat', ('conv', 'conv'), (2, 2, 4)),
        Node('last', 'conv', ('twice',), (2, 2, 2)),
    ]
    qgraph = random_qgraph(Graph(tuple(nodes)))
    with pytest.raises(InstructionError, match=r"node 'twice': it holds a tensor twice"):
        lower(qgraph, schedule(qgraph.graph, fusion()))


def test_a_schedule_of_another_network_is_refused():
    one, other = (random_qgraph(build.resnet(8, (size, size, 3), width=4)) for size in (8, 16))
    with pytest.raises(InstructionError, match='the schedule is of another network'):
        lower(one, schedule(other.graph, fusion()))


def test_bytes_that_nobody_wrote_are_a_fault():
    qgraph = random_qgraph(build.resnet(8, (8, 8, 3), width=4))
    made = lower(qgraph, schedule(qgraph.graph, fusion()))
    names = list(made.names)
    skipped = names.index('s1b0_conv1')
    without = dataclasses.replace(
        made, words=np.delete(made.words, skipped, 0), names=tuple(names[:skipped] + names[skipped + 1 :])
    )
    with pytest.raises(EngineFault):
        engine.run(without, random_images(qgraph, 1)[0])
