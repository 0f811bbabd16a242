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
    words = [re.sub(r'\(.*?\)', '', word).strip() for row, *_ in ROWS for word in row.split(',')]
    words = [word for word in words if word != 'word']
    assert len(NAMES) > 40 and len(words) == len(set(words))


@pytest.mark.parametrize('word', ['setting', 'group', 'schedule', 'step', 'table'])
def test_a_word_of_several_parts_has_its_noun(word):
    """Each of its rows says which kind it is; no row has it alone, and no row gives two meanings after a semicolon."""
    entries = [each.strip() for row, *_ in ROWS for each in row.split(',')]
    assert word not in entries and sum(each.split()[-1] == word for each in entries) > 1


def test_a_row_of_one_word_has_one_meaning():
    several = [row for row, what, _ in ROWS if ',' not in row and re.search(r'; (of|in|on) ', what)]
    assert not several
