"""The processes of a design as C++ functions: memories with their storage, and the call of the function of `include/`
that works on them.

    function(design, plan, actor)  ->  static void process_<actor>(const int images, <its streams>)

A memory of one word is registers. `HEADERS` are those that a design includes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from hls_export.dataflow.layers import taps
from tailor_jax.dataflow import design as designs
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow.design import Actor, Design
from tailor_jax.dataflow.plan import Plan
from tailor_jax.dataflow.process import Average, Window

HEADERS = ('finish.h', 'mac.h', 'pool.h', 'window.h', 'words.h')
_IMPLEMENTATIONS = {'lut': 'lutram', 'bram': 'bram', 'uram': 'uram'}


def function(design: Design, plan: Plan, actor: Actor) -> str:
    """The function of one process."""
    streams = (*actor.inlets, *actor.outlets)
    parameters = ',\n        '.join(['const int images', *(f'hls::stream<::word_{name}>& {name}' for name in streams)])
    lines = [
        f'static void process_{actor.name}(\n        {parameters}) {{',
        '#pragma HLS INLINE off',
        *_body(design, plan, actor),
        '}',
    ]
    return '\n'.join(lines) + '\n'


def call(actor: Actor) -> str:
    """Its call in the top function."""
    arguments = ', '.join(['images', *actor.inlets, *actor.outlets])
    return f'    PROCESS({actor.name}, ::process_{actor.name}({arguments}));'


def _body(design: Design, plan: Plan, actor: Actor) -> Iterator[str]:
    node, layer = design.graph[actor.node], f'layer_{actor.name}'
    streams = ', '.join((*actor.inlets, *actor.outlets))
    match actor.part:
        case designs.WINDOW:
            yield from _window(design, plan, actor)
        case designs.MAC:
            slices, blocks = fold.slices_and_blocks(design.graph, node, design.folding.layers[node.name])
            folded = design.folding.layers[node.name]
            groups = fold.steps(design.graph, node, folded) // math.prod(node.shape[:2])
            yield _rom(f'weight_{node.name}', groups * slices * blocks, folded.weights)
            kept, storage = slices if blocks > 1 else 1, plan.replays.get(node.name, 'lut')
            yield from _memory('replay', f'tailor::mac_shape<{layer}>::replay', kept, storage)
            yield f'    tailor::mac<{layer}>(images, {streams}, weight_{node.name}, replay);'
        case designs.ADAPTED | designs.CLONE:
            yield f'    tailor::{actor.part}<{layer}>(images, {streams});'
        case _ if node.weighted or actor.name in plan.absorbed:
            host = plan.absorbed.get(actor.name, actor.name)
            step = min(design.folding.layers[host].outputs, design.folding.lanes[host])
            yield _rom(f'bias_{host}', design.graph[host].shape[2] // step, 'lut')
            taken = [f'layer_{host}', *([layer] if host != actor.name else [])]
            read, *skip = actor.inlets
            given = ', '.join([read, *actor.outlets, f'bias_{host}', *skip])
            yield f'    tailor::finish<{", ".join(taken)}>(images, {given});'
        case _ if isinstance(actor.process, Average):
            yield from _memory('sums', f'tailor::pool_sums<{layer}>', actor.process.words, 'lut')
            yield f'    tailor::{node.op}<{layer}>(images, {streams}, sums);'
        case _:
            yield f'    tailor::{node.op}<{layer}>(images, {streams});'


def _window(design: Design, plan: Plan, actor: Actor) -> Iterator[str]:
    node, layer, process = design.graph[actor.node], f'layer_{actor.name}', actor.process
    assert isinstance(process, Window)
    memory, row = plan.lines.get(actor.name, 'lut'), process.size[1] * process.words
    streams, kind = ', '.join(actor.outlets), taps(design, node)
    if kind == 'all':
        yield from _memory('rows', f'tailor::window_shape<{layer}>::rows', row if node.kernel[0] > 1 else 1, memory)
        kept = process.words if node.kernel[1] > 1 else 1
        yield from _memory('columns', f'tailor::window_shape<{layer}>::columns', kept, 'lut')
        template = ', '.join([layer, *map(str, process.taps_pixels)])
        yield f'    tailor::window_all<{template}>(images, {actor.inlets[0]}, rows, columns, {streams});'
    else:
        shape, words = ('banks', row) if kind == 'column' else ('ring', row * node.kernel[0])
        yield from _memory('ring', f'tailor::ring_shape<{layer}>::{shape}', words, memory)
        yield f'    tailor::window_{kind}<{layer}>(images, {actor.inlets[0]}, ring, {streams});'


def _memory(name: str, kind: str, words: int, memory: str) -> Iterator[str]:
    yield f'    {kind} {name};'
    yield f'#pragma HLS AGGREGATE variable={name}'
    if words == 1:
        yield f'#pragma HLS ARRAY_PARTITION variable={name} complete dim=0'
    else:
        yield f'#pragma HLS BIND_STORAGE variable={name} type=ram_s2p impl={_IMPLEMENTATIONS[memory]} latency=1'


def _rom(name: str, words: int, memory: str) -> str:
    if words == 1:
        return f'#pragma HLS ARRAY_PARTITION variable={name} complete dim=0'
    return f'#pragma HLS BIND_STORAGE variable={name} type=rom_1p impl={_IMPLEMENTATIONS[memory]}'
