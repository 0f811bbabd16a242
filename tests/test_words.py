"""docs/words.md: whatever it names is there."""

import pkgutil
import re
from pathlib import Path

import pytest

ROWS = [
    line.split('|')[1:4]
    for line in (Path(__file__).parents[1] / 'docs' / 'words.md').read_text().splitlines()
    if line.startswith('| ')
]
NAMES = sorted({name for *_, where in ROWS for name in re.findall(r'`([\w.]+)`', where)})


@pytest.mark.parametrize('name', NAMES)
def test_a_word_stands_for_what_is_there(name):
    assert pkgutil.resolve_name(name) is not None


def test_no_word_is_there_twice():
    words = [word.strip() for row, *_ in ROWS for word in row.split(',')]
    words = [word for word in words if word != 'word']
    assert len(NAMES) > 40 and len(words) == len(set(words))
