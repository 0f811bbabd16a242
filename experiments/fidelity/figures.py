"""The figures of ShortcutFusion and ShortcutMining as this model gives them, beside the published ones, and the curves
of bytes against buffers.

    python -m experiments.fidelity.figures                      # the tables of docs/pe_array.md, some seconds
    python -m experiments.fidelity.figures curve.png            # and the picture of reduction against buffers

The baseline is the papers': weights, inputs and results of each layer once, an add a layer of its own
(`layer_by_layer`, fuse_add=False), 8 bits. Published: ShortcutFusion (arXiv 2106.08167) moves 47.8 to 84.8 % less than
it over four networks on a KCU1500, and 5.27 times fewer bytes of feature maps than ShortcutMining for ResNet-152.
ShortcutMining (HPCA 2019) moves 53.3, 58 and 43 % fewer bytes of feature maps.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Sequence

import costmodel
from costmodel.array.policies import shortcut_fusion
from costmodel.array.policies.shortcut_fusion import Cut
from costmodel.cost import CostError
from costmodel.plot import check_picture
from tailor_jax import build
from tailor_jax.command import Parser, status
from tailor_jax.graph import Graph

FUSION = (('resnet152', 224), ('resnet152', 256), ('efficientnet_b1', 256), ('yolov3', 416), ('retinanet_r50_fpn', 512))
MINING = {'squeezenet': -0.533, 'squeezenet1_1': -0.533, 'resnet34': -0.58, 'resnet152': -0.43}
RATIO = 5.27


@dataclasses.dataclass(frozen=True)
class Reduction:
    """A cut, what it moves less than the baseline (a negative fraction), and its bytes of feature maps."""

    cut: Cut
    change: float
    feature_map_bytes: int


@functools.cache
def network(name: str, size: int = 224) -> Graph:
    return build.named(name, (size, size, 3))


@functools.cache
def baseline(name: str, size: int = 224) -> dict[str, int]:
    return costmodel.evaluate(network(name, size), costmodel.pe_array('shortcut_fusion', fuse_add=False)).total


def target(**settings: object) -> costmodel.PEArray:
    return costmodel.pe_array('shortcut_fusion', **{'policy': 'shortcut_fusion', **settings})  # type: ignore[arg-type]


@functools.cache
def curve(name: str, size: int = 224) -> tuple[Reduction, ...]:
    """Reduction against buffer bytes: the cuts that no other one beats, from the smallest buffers to the largest."""
    base = baseline(name, size)
    return tuple(
        Reduction(cut, cut.dram_bytes / base['dram_bytes'] - 1, cut.dram_bytes - base['dram_weight_bytes'])
        for cut in shortcut_fusion.curve(network(name, size), target())
    )


def fitting(name: str, size: int, sram_bytes: int) -> Reduction | None:
    """The best cut whose buffers fit."""
    return max(
        (each for each in curve(name, size) if each.cut.buffer_bytes <= sram_bytes),
        key=lambda each: -each.change,
        default=None,
    )


def mined(name: str, sram_bytes: int, **settings: object) -> int | None:
    """Bytes of feature maps that ShortcutMining moves with such a buffer, adds apart; None if that is too small."""
    try:
        wanted = target(policy='shortcut_mining', sram_bytes=sram_bytes, fuse_add=False, **settings)
        return costmodel.evaluate(network(name), wanted).total['dram_feature_map_bytes']
    except CostError:
        return None


@functools.cache
def buffer_for(name: str, change: float) -> int:
    """The smallest buffer, to a KiB, with which ShortcutMining moves so much less (by bisection)."""
    goal, low, high = (1 + change) * baseline(name)['dram_feature_map_bytes'], 1, 1 << 14
    while low < high:
        middle = (low + high) // 2
        moved = mined(name, middle << 10)
        low, high = (low, middle) if moved is not None and moved <= goal else (middle + 1, high)
    return low << 10


def fusion_table() -> str:
    board = target().sram_bytes
    lines = [
        '| network | baseline, MB | on the KCU1500 | buffers, MB | three of them, MiB | with any buffers | buffers, '
        'MB |',
        '|' + '---|' * 7,
    ]
    for name, size in FUSION:
        best, most = fitting(name, size, board), curve(name, size)[-1]
        assert best is not None
        lines.append(
            f'| {name} @{size} | {baseline(name, size)["dram_bytes"] / 1e6:.1f} | {best.change:.1%} | '
            f'{best.cut.buffer_bytes / 1e6:.2f} '
            f'| {sum(best.cut.memories[:3]) / 2**20:.2f} | {most.change:.1%} | {most.cut.buffer_bytes / 1e6:.2f} |'
        )
    return '\n'.join(lines)


def curve_table(name: str = 'resnet152', size: int = 224) -> str:
    lines = [
        '| frame mode from | three buffers, MiB | weights, MB | accumulators, MB | all, MB | reduction |',
        '|' + '---|' * 6,
    ]
    for each in curve(name, size):
        cut = each.cut
        lines.append(
            f'| {cut.frame[0]} | {sum(cut.memories[:3]) / 2**20:.2f} | {cut.memories[4] / 1e6:.2f} | '
            f'{cut.memories[5] / 1e6:.2f} '
            f'| {cut.buffer_bytes / 1e6:.2f} | {each.change:.1%} |'
        )
    return '\n'.join(lines)


def mining_table() -> str:
    sizes = {name: buffer_for(name, change) for name, change in MINING.items()}
    common = sizes['resnet152']
    lines = ['| network | published | buffer that gives it, KiB | with the buffer of ResNet-152 |', '|---|---|---|---|']
    for name, change in MINING.items():
        moved = mined(name, common)
        assert moved is not None
        lines.append(
            f'| {name} | {change:.1%} | {sizes[name] >> 10} | '
            f'{moved / baseline(name)["dram_feature_map_bytes"] - 1:.1%} |'
        )
    return '\n'.join(lines)


def ratio_table() -> str:
    """Feature-map bytes of ResNet-152 over ShortcutFusion's: the published ShortcutMining and the model's."""
    base = baseline('resnet152')['dram_feature_map_bytes']
    published = (1 + MINING['resnet152']) * base
    lines = [
        '| ShortcutFusion from | buffers, MB | feature maps, MB | published ShortcutMining / this | modelled with '
        'equal buffers / this |',
        '|' + '---|' * 5,
    ]
    for each in curve('resnet152'):
        here, equal = each.feature_map_bytes, mined('resnet152', each.cut.buffer_bytes)
        assert equal is not None
        lines.append(
            f'| {each.cut.frame[0]} | {each.cut.buffer_bytes / 1e6:.2f} | {here / 1e6:.2f} | {published / here:.2f} '
            f'| {equal / here:.2f} |'
        )
    return '\n'.join(lines)


def shortcut_share(name: str, size: int = 224) -> float:
    """The share of the baseline's feature-map bytes that reading and adding shortcuts is: three accesses an add."""
    graph = network(name, size)
    adds = sum(3 * node.shape[0] * node.shape[1] * node.shape[2] for node in graph.nodes if node.op == 'add')
    return adds / baseline(name, size)['dram_feature_map_bytes']


def plot(path: str) -> None:
    """Writes the picture of each network's reduction against the bytes of its buffers."""
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4))
    for name, size in FUSION:
        points = curve(name, size)
        axis.step(
            [each.cut.buffer_bytes / 1e6 for each in points],
            [-100 * each.change for each in points],
            where='post',
            label=f'{name} @{size}',
        )
    axis.axvline(target().sram_bytes / 1e6, color='grey', linestyle=':', label='block RAM of the KCU1500')
    axis.set_xscale('log')
    axis.set_xlabel('buffers, MB')
    axis.set_ylabel('DRAM bytes below the baseline, %')
    axis.spines[['top', 'right']].set_visible(False)
    axis.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments: Sequence[str]) -> int:
    """Prints the tables; writes the picture if a file is given. Returns the exit status."""
    return status(lambda: _run(arguments), ValueError)


def _run(arguments: Sequence[str]) -> int:
    parser = Parser('python -m experiments.fidelity.figures', __doc__)
    parser.add_argument('picture', metavar='FILE.png', nargs='?', help='write the picture of reduction against buffers')
    picture = parser.parse_args(arguments).picture
    if picture is not None:
        check_picture('FILE.png', picture)
    print('ShortcutFusion', fusion_table(), 'ResNet-152 @224 by cut', curve_table(), sep='\n\n')
    print(
        '\nShortcutMining', mining_table(), f'The ratio between the two, published {RATIO}', ratio_table(), sep='\n\n'
    )
    shares = ', '.join(f'{name} {shortcut_share(name):.1%}' for name in ('resnet34', 'resnet50', 'resnet152'))
    print(f'\nShare of adds in the baseline of feature maps: {shares}')
    if picture is not None:
        plot(picture)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
