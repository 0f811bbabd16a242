"""The PE-array part of docs/fidelity.md: the model beside SCALE-Sim, ZigZag and the figures of three papers.

`python -m experiments.fidelity.dataflow docs/fidelity.md` writes the page. The tools' rows are those of `peers.json`;
nothing here runs them.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.fidelity import figures, peers, tailor
from experiments.fidelity.markdown import change, markdown_table
from tailor_jax.ops import WEIGHTED

CURVE = 'images/shortcut_fusion_curve.png'


def sections() -> Sequence[str]:
    """The parts of the page, in Markdown."""
    return (_scalesim(), _zigzag(), _seconds(), _shortcut_fusion(), _shortcut_mining(), _tailor())


def _runs(tool: str) -> list[str]:
    return [run for run in peers.runs() if run.split('/')[1] == tool]


def _version(tool: str) -> str:
    return peers.runs()[_runs(tool)[0]]['version']


def _scalesim() -> str:
    rows = []
    for run in _runs('scalesim'):
        found = peers.pairs(run)
        name, _, dataflow = run.split('/')
        theirs, ours = sum(each.peer_cycles for each in found), sum(each.cycles for each in found)
        equal = sum(each.peer_cycles == each.cycles for each in found)
        rows.append((name, dataflow, f'{theirs:,}', f'{ours:,}', change(theirs, ours), f'{equal} of {len(found)}'))
    return f"""## PE array: SCALE-Sim, cycles layer by layer

SCALE-Sim {_version('scalesim')} on 32 x 32 multipliers, 8 bits, one image, three buffers of 256 KiB; beside it our
closed forms. Layers are convolutions and dense layers. `python -m experiments.benchmarks.pe_peers` runs the tools and
keeps their rows in `experiments/fidelity/peers.json`.

{markdown_table(('network', 'dataflow', 'cycles of SCALE-Sim', 'of the model', 'difference', 'layers equal'), rows)}

SCALE-Sim knows no padding and rounds output sizes up: a 34-pixel map under a 3x3 window of stride 2 becomes 17 pixels.
Each layer was therefore given the pixels that its windows cover, so that both count the network's own 16. Stalls do not
arise: DRAM never makes this array wait."""


def _zigzag() -> str:
    rows, misses, largest = [], [], 0.0
    for run in _runs('zigzag'):
        found = peers.pairs(run)
        for kind, ops in (('convolutions', WEIGHTED), ('adds', {'add'}), ('all', WEIGHTED | {'add'})):
            part = [each for each in found if each.node.op in ops]
            theirs, ours = sum(each.peer_dram_bytes for each in part), sum(each.dram_bytes for each in part)
            near = sum(_near(each) for each in part)
            same = sum(each.peer_bytes == each.bytes for each in part)
            rows.append(
                (run.split('/')[0], kind, f'{theirs:,}', f'{ours:,}', change(theirs, ours), same, near, len(part))
            )
        away = [each for each in found if not _near(each)]
        misses.append(
            f'{len(away)} of {run.split("/")[0]}: {", ".join(f"`{each.node.name}`" for each in away) or "none"}'
        )
        largest = max(largest, *(abs(each.dram_bytes / each.peer_dram_bytes - 1) for each in found))
    head = (
        'network',
        'layers',
        'DRAM bytes of ZigZag',
        'of the model',
        'difference',
        'equal in every kind',
        'within 5 %',
        'of',
    )
    again = [
        change(sum(each.peer_dram_bytes for each in found), sum(each.dram_bytes for each in found))
        for found in (peers.pairs(run, rereads=True) for run in _runs('zigzag'))
    ]
    cycles = [
        [(each.peer_cycles, each.cycles) for each in peers.pairs(run) if each.node.op != 'add']
        for run in _runs('zigzag')
    ]
    equal = ' and '.join(f'{sum(one == other for one, other in part)} of {len(part)}' for part in cycles)
    return f"""## PE array: ZigZag, DRAM bytes layer by layer

ZigZag {_version('zigzag')} on the same array and buffers, input channels by output channels, the mapping of least
energy with DRAM at a hundred times a buffer. Adds are layers of their own, two reads and a write. Ours is
`layer_by_layer`, each operand once.

{markdown_table(head, rows)}

Not within 5 %: {'; '.join(misses)}. These are the 1x1 projections of stride 2, of which ZigZag reads only the pixels
that the stride hits, a quarter of the map; the model reads maps whole, as whole rows come in bursts. The largest
difference is {100 * largest:.0f} % of a layer. With `rereads` the totals differ by {' and '.join(again)}: the model's
tiles are half a buffer, for double buffering, and read halos again where ZigZag's hold the whole map.

Compute cycles, ZigZag's ideal ones, equal `channel_parallel` on {equal} convolutions and dense layers. Adds differ in
cycles: ZigZag gives a column to each channel, the model fills all columns."""


def _near(pair: peers.Pair) -> bool:
    return abs(pair.dram_bytes - pair.peer_dram_bytes) <= 0.05 * pair.peer_dram_bytes


def _seconds() -> str:
    rows, ratios = [], []
    for run, each in peers.runs().items():
        ratios.append([each['seconds'] / each[key] for key in ('first_seconds', 'later_seconds')])
        own = (f'{1e3 * each[key]:.2f}' for key in ('first_seconds', 'later_seconds'))
        rows.append((run.replace('/', ', '), each['seconds'], *own, *(f'{ratio:,.0f}' for ratio in ratios[-1])))
    least = [min(column) for column in zip(*ratios)]
    return f"""## PE array: time

Seconds of processor time as measured with the rows above, imports aside. The tools ran each shape of a layer once, so
whole networks take them longer; the model priced the whole networks, with traffic, cycles, buffers and energy. Its
first call in a process searches tiles and warms up, later ones know the tiles.

{markdown_table(('run', 'tool, s', 'first call, ms', 'later, ms', 'ratio, first', 'ratio, later'), rows)}

The model is at least {least[0]:,.0f} times faster in its first call and {least[1]:,.0f} in later ones. A thousand times
is missed by first calls, which take some ten milliseconds, where the tool takes a few seconds."""


def _shortcut_fusion() -> str:
    board = figures.target().sram_bytes
    found = [figures.fitting(name, size, board) for name, size in figures.FUSION]
    spans = [-100 * each.change for each in found if each is not None]
    base = figures.baseline('efficientnet_b1', 256)
    weights = 100 * base['dram_weight_bytes'] / base['dram_bytes']
    return f"""## ShortcutFusion: 47.8 to 84.8 % fewer DRAM bytes

Published for ResNet-152, EfficientNet-B1, YOLOv3 and RetinaNet on a KCU1500, against every operand of every layer moved
once; ours with the {board:,} bytes of the board's block RAM (`python -m experiments.fidelity.figures`):

{figures.fusion_table()}

![Reduction of DRAM bytes against buffer bytes]({CURVE})

The model spans {min(spans):.1f} to {max(spans):.1f} %: it misses the published range by {84.8 - max(spans):.1f} points
at the upper end and {min(spans) - 47.8:.1f} at the lower. Above, weights, which nothing removes, are {weights:.0f} % of
EfficientNet-B1's baseline; one that reads squeeze-excite inputs twice would come closer. Below, the model takes the
best cut that fits, which need not be the paper's. Why YOLOv3 and RetinaNet gain little on this board is in
[pe_array.md](pe_array.md)."""


def _shortcut_mining() -> str:
    shares = [
        (name, 'about 40 %', f'{100 * figures.shortcut_share(name):.1f} %')
        for name in ('resnet34', 'resnet50', 'resnet152')
    ]
    common = figures.buffer_for('resnet152', figures.MINING['resnet152'])
    moved = {name: figures.mined(name, common) for name in figures.MINING}
    miss = {
        name: 100 * (1 + goal - (moved[name] or 0) / figures.baseline(name)['dram_feature_map_bytes'])
        for name, goal in figures.MINING.items()
    }
    return f"""## ShortcutMining: 53.3, 58 and 43 % fewer bytes of feature maps

{figures.mining_table()}

Each figure is reached with a buffer of 200 to 350 KiB, all of them with no single one: with that of ResNet-152,
ResNet-34 misses by {miss['resnet34']:+.1f} points, SqueezeNet by {miss['squeezenet']:+.1f} as version 1.0 and
{miss['squeezenet1_1']:+.1f} as 1.1 (positive: the model moves less than published). Which version the paper ran, its
buffer, banks, loop order and precision are not known to us.

The published {figures.RATIO} times fewer bytes of feature maps of ShortcutFusion than of ShortcutMining, ResNet-152, 8
bits:

{figures.ratio_table()}

The published ratio lies between the cuts at `s2b1` and `s1b1` against the published traffic of ShortcutMining. Against
the modelled one with equal buffers it is **not reproduced**: banks that take any role, as modelled, move fewer bytes
than three fixed buffers do.

Shortcuts' share of the feature-map bytes of the baseline, all networks at 224 x 224:

{markdown_table(('network', 'published', 'adds, each two reads and a write'), shares)}

The published share is that of adds as layers of their own. With c channels of the inner width a bottleneck's
convolutions read and write 12 c values a pixel and its add as many, a half; in a basic block it is 3 of 7. What lies
outside such blocks lowers the shares, least in ResNet-152."""


def _tailor() -> str:
    found = tailor.settings()
    best = tailor.closest(found)
    rows = []
    for policy, fuse_add, sram_bytes in tailor.MEMORIES:
        for batch in tailor.BATCHES:
            part = tuple(
                each
                for each in found
                if (each.policy, each.fuse_add, each.sram_bytes, each.batch) == (policy, fuse_add, sram_bytes, batch)
            )
            near = tailor.closest(part)
            performance = [100 * each.performance for each in part]
            rows.append(
                (
                    f'{policy}{", adds fused" if fuse_add else ""}, {sram_bytes >> 10} KiB',
                    batch,
                    f'{100 * near.dram:+.1f} %',
                    f'{100 * near.maps:+.1f} %',
                    f'{min(performance):+.0f} to {max(performance):+.0f} %',
                    f'{100 * near.performance:+.1f} %',
                    f'{near.side} x {near.side}, {near.dataflow}, {near.bytes_per_cycle}',
                )
            )
    single = tailor.closest(tuple(each for each in found if each.batch == 1))
    head = (
        'policy, buffer',
        'batch',
        'DRAM bytes',
        'of maps',
        'performance, any array',
        'closest',
        'by array, dataflow, DRAM bytes a cycle',
    )
    return f"""## Tailor's 2-D array: -45 % bandwidth, +30 % performance

All skips of ResNet-50 (224 x 224, 8 bits) removed, projections included. The array, its buffers, bandwidth and batch
are not known to us, so {len(found):,} settings were priced (`experiments/fidelity/tailor.py`); bandwidth is DRAM bytes,
performance 1 / cycles. For each policy and batch the setting closest to both figures:

{markdown_table(head, rows)}

{100 * best.dram:+.1f} % and {100 * best.performance:+.1f} %, the closest of all, come from {best.policy},
{best.sram_bytes >> 10} KiB, a batch of {best.batch} and {best.side} x {best.side} multipliers, {best.dataflow}, with
{best.bytes_per_cycle} bytes a cycle. So the figures fit an array that writes every map to DRAM, runs adds as passes of
their own, and reads weights once for a few images. With a single image the closest setting gives
{100 * single.dram:+.1f} % and {100 * single.performance:+.1f} %: weights, of which only those of projections go, are
more of the traffic. With adds fused the bytes are out of reach at every batch. Many settings come close; the two
published figures do not determine an array."""
