"""What a try came to, and the table of all of them.

same    it ended well, with the bits of the run that nothing disturbed; a loader gave what was saved
valid   a loader or a check took what it was given: another file by all rules, where no digest says which it must be
named   it ended with status 1 and an error of one paragraph that names the file, the key or the process at fault
wrong   it ended well with other bits, or changed what it must not touch
raw     anything else: a traceback, an error that names nothing, another status, no end at all
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Callable, Iterable

from process import Ended

OUTCOMES = ('same', 'valid', 'named', 'wrong', 'raw')


@dataclasses.dataclass(frozen=True)
class Try:
    """One try: its kind is the row of the table, `what` says how to repeat it."""

    kind: str
    what: str
    outcome: str
    detail: str = ''


def judge(
    ended: Ended, same: Callable[[], bool], names: Iterable[object] = (), well: tuple[int, ...] = (0,)
) -> tuple[str, str]:
    """(outcome, detail) of a process that was left to end.

    Args:
      ended: how it did.
      same: whether it left the right bits.
      names: of which the error must say one; () for any.
      well: the statuses of success.
    """
    if ended.status in well:
        return ('same', '') if same() else ('wrong', _end(ended.errors))
    text = ended.output + ended.errors
    if ended.status != 1 or 'Traceback (most recent call last)' in text:
        return 'raw', f'status {ended.status} after {ended.seconds:.0f} s: {_end(text)}'
    if re.search(r'^mismatched values +[1-9]', text, re.MULTILINE):
        return 'named', _end(text)
    if not re.search(r'^error: ', text, re.MULTILINE):
        return 'raw', f'no error in one line: {_end(text)}'
    wanted = [str(name) for name in names]
    if wanted and not any(name in text for name in wanted):
        return 'raw', f'names none of {", ".join(wanted)}: {_end(text)}'
    return 'named', _end(text)


def _end(text: str) -> str:
    return text.strip()[-400:]


def summary(tries: Iterable[Try]) -> str:
    """How many came to what, in a line."""
    counts = collections.Counter(each.outcome for each in tries)
    return ', '.join(f'{counts[name]} {name}' for name in OUTCOMES if counts[name])


def table(tries: Iterable[Try]) -> str:
    """The counts a kind, as aligned text."""
    counts: dict[str, collections.Counter] = {}
    for each in tries:
        counts.setdefault(each.kind, collections.Counter())[each.outcome] += 1
    rows = [['what', 'tries', 'same bits', 'valid', 'named errors', 'wrong', 'raw']]
    rows += [
        [kind, str(sum(found.values())), *(str(found[name]) for name in OUTCOMES)] for kind, found in counts.items()
    ]
    total = sum(counts.values(), collections.Counter())
    rows.append(['total', str(sum(total.values())), *(str(total[name]) for name in OUTCOMES)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return '\n'.join(
        '  '.join(pad(cell, width) for pad, cell, width in zip([str.ljust] + [str.rjust] * 6, row, widths)).rstrip()
        for row in rows
    )
