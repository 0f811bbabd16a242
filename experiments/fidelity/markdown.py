"""Tables and changes as the generated pages write them."""

from __future__ import annotations

from collections.abc import Sequence


def change(before: float, after: float) -> str:
    """after / before - 1 in per cent."""
    return f'{100 * (after / before - 1):+.1f} %' if before else 'none'


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join('| ' + ' | '.join(map(str, line)) + ' |' for line in lines)
