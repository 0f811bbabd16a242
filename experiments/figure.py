"""Pictures of results, drawn without a display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any


def panels(count: int, size_inches: tuple[float, float], **kwargs: Any) -> tuple[Any, Sequence[Any]]:
    """(a figure, its `count` axes in a row, with faint grid lines). Further arguments are those of `plt.subplots`."""
    import matplotlib  # slow to import

    matplotlib.use('agg')
    import matplotlib.pyplot as plt

    figure, (axes,) = plt.subplots(1, count, figsize=size_inches, squeeze=False, layout='constrained', **kwargs)
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure, axes


def png(figure: Any) -> bytes:
    """The picture as a file, equal for equal figures; the figure is closed."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, metadata={'Software': None})
    plt.close(figure)
    return buffer.getvalue()
