"""The comparison of networks with and without skips: equal but for the skips, and resumable."""

import json
import types

import pytest

from experiments.benchmarks import skips_matter
from experiments.config import ConfigError

OPTIONS = {
    'data': 'digits',
    'depths': '8',
    'skips': 'long,none',
    'width': 4,
    'epochs': 0.2,
    'seeds': '0',
    'batch_size': 64,
    'learning_rate': 0.1,
}


def options(workdir, **changes):
    return types.SimpleNamespace(workdir=str(workdir), **{**OPTIONS, **changes})


def test_both_networks_are_trained_alike(tmp_path, capsys):
    skips_matter.main(options(tmp_path))
    rows = json.loads((tmp_path / 'skips_matter.json').read_text())
    assert [row['skips'] for row in rows] == ['long', 'none']
    for row in rows:
        assert row['config']['model'].pop('skips') == row['skips']
    assert rows[0]['config'] == rows[1]['config']
    table = (tmp_path / 'skips_matter.md').read_text()
    assert (
        f'| ResNet-8 | 0 | {100 * rows[0]["accuracy"]:.1f} % | {100 * rows[1]["accuracy"]:.1f} % |' in table
        and table in capsys.readouterr().out
    )
    skips_matter.main(options(tmp_path))  # finds both trained
    assert [row['accuracy'] for row in json.loads((tmp_path / 'skips_matter.json').read_text())] == [
        row['accuracy'] for row in rows
    ]
    with pytest.raises(FileExistsError, match='another config'):
        skips_matter.main(options(tmp_path, learning_rate=0.2))


@pytest.mark.parametrize(
    'changes, message',
    [({'depths': '8,x'}, "--depths is '8,x'; expected numbers"), ({'skips': 'lang'}, "--skips is 'lang'")],
)
def test_bad_flags_are_named(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        skips_matter.main(options(tmp_path, **changes))
