"""Every pragma of a project is one that Vitis HLS knows, and stands where it must; one that is gone is missed."""

from __future__ import annotations

import collections
import json
import re
from pathlib import Path

import numpy as np
import pytest
from plans import folded, plan_of
from random_nets import random_images, random_qgraph

import hls_export
from tailor_jax.dataflow.folding import Layer
from tailor_jax.dataflow.plan import MULTIPLIERS
from tailor_jax.graph import Graph, Node

KNOWN = json.loads((Path(__file__).parents[1] / 'support' / 'hls_pragmas.json').read_text())['pragmas']
PRAGMA = re.compile(r'^\s*#pragma HLS (\w+)(.*)$')
LOOP = ('LOOP_TRIPCOUNT', 'PIPELINE', 'LATENCY')
# What no rule below asks for: a function that is part of its caller, values packed into one word, operations, and the
# trips after which a word that was written is read again.
INVENTORY = {
    'finish.h': {'INLINE': 5, 'AGGREGATE': 4, 'ARRAY_RESHAPE': 1},
    'mac.h': {'INLINE': 6, 'AGGREGATE': 3, 'ARRAY_RESHAPE': 1, 'BIND_OP': 3, 'DEPENDENCE': 1},
    'pool.h': {'INLINE': 6, 'AGGREGATE': 2, 'DEPENDENCE': 1},
    'types.h': {'INLINE': 6},
    'window.h': {'INLINE': 16, 'AGGREGATE': 6, 'ARRAY_PARTITION': 2, 'DEPENDENCE': 4},
    'words.h': {'INLINE': 9, 'AGGREGATE': 2},
}


def network() -> Graph:
    """Every op and every form of a window."""
    window = {'kernel': (3, 3), 'padding': (1, 1, 1, 1)}
    shape = (4, 6, 4)
    return Graph(
        (
            Node('input', 'input', (), (4, 6, 2)),
            Node('all', 'conv', ('input',), shape, **window),
            Node('column', 'conv', ('all',), shape, relu=True, **window),
            Node('one', 'conv', ('column',), shape, **window),
            Node('depthwise', 'conv', ('one',), shape, groups=4, **window),
            Node('sum', 'add', ('depthwise', 'column'), shape),
            Node('sum2', 'add', ('sum', 'sum'), shape),
            Node('relu', 'relu', ('sum2',), shape),
            Node('leaky', 'leaky_relu', ('relu',), shape),
            Node('largest', 'max_pool', ('leaky',), shape, **window),
            Node('average', 'avg_pool', ('largest',), shape, **window),
            Node('mean', 'global_avg_pool', ('average',), (1, 1, 4)),
            Node('classes', 'dense', ('mean',), (1, 1, 3), bias=True),
        )
    )


@pytest.fixture(scope='module')
def sources(tmp_path_factory) -> dict[str, str]:
    net = random_qgraph(network(), mixed=False)
    layers = {'column': Layer('column', 1, 2), 'one': Layer('one', 1, 2), 'depthwise': Layer('column', 1, 1)}
    made = plan_of(net.graph, folded(net.graph, **layers), absorbed={'sum': 'depthwise'}, multipliers={'one': 'pair'})
    path = tmp_path_factory.mktemp('pragmas') / 'p'
    hls_export.write(path, net, made, random_images(net, 2), np.zeros(2, int))
    files = (path / 'tailor_top.cpp', *sorted((path / 'include').glob('*.h')))
    return {file.name: file.read_text() for file in files}


def options_of(text: str) -> dict[str, str | None]:
    found = {}
    for each in text.split():
        key, given, value = each.partition('=')
        found[key] = value if given else None
    return found


def unknown(name: str, text: str) -> list[str]:
    """Pragmas, options or values that Vitis HLS does not know, and variables that the file does not have."""
    found = []
    bare = '\n'.join(line for line in text.splitlines() if not PRAGMA.match(line))
    for line in text.splitlines():
        if not (match := PRAGMA.match(line)):
            found += [f'{name}: {line}'] if '#pragma' in line and 'once' not in line else []
            continue
        allowed = KNOWN.get(match[1], {})
        for key, value in options_of(match[2]).items():
            choices = allowed.get(key, ())
            fits = value is None if choices == 'flag' else value is not None and (choices is None or value in choices)
            if not fits or (key in ('variable', 'port') and not re.search(rf'\b{value}\b', bare) and value != 'return'):
                found.append(f'{name}: {line}')
        if match[1] not in KNOWN:
            found.append(f'{name}: {line}')
    return found


def pragmas(block: str) -> dict[tuple[str, str | None], dict]:
    """{(pragma, variable or port): options} of some lines."""
    found = {}
    for line in block.splitlines():
        if match := PRAGMA.match(line):
            options = options_of(match[2])
            found[match[1], options.get('variable') or options.get('port')] = options
    return found


def missing(files: dict[str, str]) -> list[str]:
    """What must be said of loops, memories, ROMs, streams, processes and ports, and is not."""
    found = []
    for name, text in files.items():
        for loop in re.findall(r'trips:\n.*?TRIP\(', text, re.S):
            said = pragmas(loop)
            found += [f'{name}: {each}' for each in LOOP if (each, None) not in said]
            pipeline = said.get(('PIPELINE', None), {})
            found += [] if pipeline == {'II': '1', 'style': 'flp'} else [f'{name}: II']
        counts = collections.Counter(match[1] for line in text.splitlines() if (match := PRAGMA.match(line)))
        for each, count in INVENTORY.get(name, {}).items():
            found += [] if counts[each] == count else [f'{name}: {counts[each]} {each}, not {count}']
    top = files['tailor_top.cpp']
    *functions, network = re.findall(r'^(?:static )?void \w+\(.*?^\}', top, re.S | re.M)
    for text in functions:
        said, name = pragmas(text), re.search(r'void (\w+)', text)[1]
        found += [] if said.get(('INLINE', None)) == {'off': None} else [f'{name}: INLINE']
        for memory in re.findall(r'^    tailor::\S+ (\w+);', text, re.M):
            found += [] if ('AGGREGATE', memory) in said else [f'{name}: AGGREGATE {memory}']
        roms = re.findall(r'\b(?:weight|bias)_\w+(?=[,)])', text.splitlines()[-2])
        for memory in re.findall(r'^    tailor::\S+ (\w+);', text, re.M) + roms:
            stored = ('BIND_STORAGE', memory) in said or ('ARRAY_PARTITION', memory) in said
            found += [] if stored else [f'{name}: storage of {memory}']
    said = pragmas(network)
    for stream in re.findall(r'hls::stream<::word_\w+> (\w+)\(', network):
        found += [f'{each} {stream}' for each in ('STREAM', 'BIND_STORAGE') if (each, stream) not in said]
    for port in ('input_stream', 'output_stream', 'images', 'return'):
        found += [] if ('INTERFACE', port) in said else [f'INTERFACE {port}']
    for port in ('input_stream', 'output_stream'):
        found += [] if said.get(('AGGREGATE', port), {}).get('compact') == 'byte' else [f'AGGREGATE {port}']
    once = (('DATAFLOW', None), ('STABLE', 'images'))
    return found + [str(each) for each in once if each not in said]


def test_every_pragma_is_known_and_none_is_missing(sources):
    assert not [problem for name, text in sources.items() for problem in unknown(name, text)]
    assert not missing(sources)
    assert sum(text.count('#pragma HLS') for text in sources.values()) > 150


def test_every_pragma_is_missed_when_it_is_gone(sources):
    assert not missing(sources)
    for name, text in sources.items():
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if PRAGMA.match(line):
                left = '\n'.join(lines[:number] + lines[number + 1 :])
                assert missing(sources | {name: left}), f'{name}:{number + 1}: {line}'


@pytest.mark.parametrize(
    ('right', 'wrong'),
    [
        ('#pragma HLS PIPELINE II=1 style=flp', '#pragma HLS PIPELINE II=1 style=fast'),
        ('#pragma HLS PIPELINE II=1 style=flp', '#pragma HLS PIPELINED II=1'),
        ('#pragma HLS LATENCY min=', '#pragma HLS LATENCY least='),
        ('#pragma HLS AGGREGATE variable=result', '#pragma HLS AGGREGATE variable=rezult'),
        ('complete dim=2', 'type=complete dim=2'),
    ],
)
def test_a_misspelt_pragma_is_seen(sources, right, wrong):
    text = sources['finish.h']
    assert right in text and not unknown('finish.h', text)
    assert unknown('finish.h', text.replace(right, wrong, 1))


def test_multipliers_are_bound_as_asked_for(sources):
    """DSPs, LUTs; pairs of products always in a DSP."""
    bound = re.findall(r'#pragma HLS BIND_OP variable=(\w+) op=mul impl=(\w+)', sources['mac.h'])
    assert bound == [('result', 'dsp'), ('result', 'fabric'), ('both', 'dsp')]
    assert MULTIPLIERS == ('dsp', 'pair', 'lut')
