"""Pictures of a cost: stacked bars per block, the network as trained beside the network as exported.

    python -m costmodel resnet20 --fifo_policy=full_map --keep=none --plot=resnet20.png
    python -m costmodel resnet20 --target=pe_array --keep=none --plot=resnet20.png

A bar of a dataflow design is split into `layers` (arithmetic, line buffers, weights, control), `streams` (the FIFOs
between layers) and `skips` (the adds with their clones, and every FIFO that feeds an add). DRAM bytes of a PE array are
split by what is moved, its cycles into those of the array and those that it waits for DRAM.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from costmodel import targets
from costmodel.cost import Cost, CostError

PICTURES = ('.png', '.pdf', '.svg', '.jpg', '.jpeg', '.webp', '.tif', '.tiff', '.eps', '.ps')
COLORS = ('#4878a8', '#a8c4e0', '#8ab88a', '#d9773f')


def split(cost: Cost, resource: str) -> dict[str, dict[str, float]]:
    """{part: {block: amount}} of one resource; the parts of a block add up to its row, but for the rounding of each row
    to an integer.
    """
    return targets.module(cost.target).parts(cost, resource)


def bars(before: Cost, after: Cost, path: str | Path, title: str = '', resources: tuple[str, ...] = ()) -> None:
    """Writes a picture, in the format of its suffix, with a panel a resource: a bar a block before and after."""
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    resources = resources or targets.module(before.target).PICTURED
    blocks = list(dict.fromkeys(row['name'] for row in (*before.blocks, *after.blocks)))
    places = np.arange(len(blocks))
    inches = max(6, 0.55 * len(blocks) + 2), 2.4 * len(resources) + 0.8
    figure, axes = plt.subplots(len(resources), 1, sharex=True, figsize=inches, squeeze=False)
    for axis, resource in zip(axes[:, 0], resources):
        for side, (cost, hatch) in enumerate(((before, ''), (after, '///'))):
            bottom = np.zeros(len(blocks))
            for color, (part, amounts) in zip(COLORS, split(cost, resource).items()):
                heights = np.array([amounts.get(block, 0.0) for block in blocks])
                label = f'{part}, {"after" if side else "before"}'
                style = {'color': color, 'hatch': hatch, 'edgecolor': 'white', 'linewidth': 0.4, 'label': label}
                axis.bar(places + 0.42 * side - 0.21, heights, 0.4, bottom, **style)
                bottom += heights
        axis.set_ylabel(resource)
        axis.set_title(
            f'{resource}: {before.total[resource]:,} before, {after.total[resource]:,} after', fontsize=9, loc='left'
        )
        axis.spines[['top', 'right']].set_visible(False)
    axes[-1, 0].set_xticks(places, blocks, rotation=45, ha='right')
    if len({tuple(split(before, resource)) for resource in resources}) == 1:  # the same parts in every panel
        axes[0, 0].legend(ncols=2, fontsize=7, frameon=False)
    else:
        for axis in axes[:, 0]:
            axis.legend(fontsize=7, frameon=False, loc='center left', bbox_to_anchor=(1, 0.5))
    figure.suptitle(title.encode(errors='replace').decode(), parse_math=False, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def check_picture(option: str, path: str) -> None:
    """Raises CostError naming the option where no picture can be written: before the work, not after it."""
    suffix = Path(path).suffix
    if suffix not in PICTURES or Path(path).is_dir():
        raise CostError(
            f'{option} must be a file with a suffix such as .png (one of {", ".join(PICTURES)}), got {path!r}'
        )
    if not Path(path).parent.is_dir():
        raise CostError(f'{option}: there is no folder {str(Path(path).parent)!r}')
