"""Prose, tables and changes as the generated pages write them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

COLUMNS = 120
_WHOLE = ('#', '|', '![')  # headings, tables and pictures
_SIGN = re.compile(r' (?=[-+*>] )')  # at the beginning of a line Markdown would take it for a list or a quotation
_TIED = '\0'


def change(before: float, after: float) -> str:
    """after / before - 1 in per cent."""
    return f'{100 * (after / before - 1):+.1f} %' if before else 'none'


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[object]], right: bool = False) -> str:
    """A Markdown table; with `right`, all columns but the first are flush right."""
    lines = [head, ['---'] + ['---:' if right else '---'] * (len(head) - 1), *rows]
    return '\n'.join('| ' + ' | '.join(map(str, line)) + ' |' for line in lines)


def filled(text: str) -> str:
    """Markdown whose paragraphs and list items are filled to `COLUMNS`; headings, tables and pictures stay."""
    return '\n\n'.join(_filled(part) for part in text.strip().split('\n\n')) + '\n'


def _filled(part: str) -> str:
    if part.startswith(_WHOLE):
        return part
    indent = '  ' if part.startswith('- ') else ''
    fill = textwrap.TextWrapper(COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    items = re.split(r'\n(?=- )', part)
    tied = (_SIGN.sub(_TIED, ' '.join(item.split())) for item in items)
    return '\n'.join(map(fill.fill, tied)).replace(_TIED, ' ')
