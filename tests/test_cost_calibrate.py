"""The coefficients against the committed synthesis results (no tool needed), and the calibration's own machinery."""

import json
import shutil
from pathlib import Path

import pytest

from costmodel import fidelity
from costmodel.calibrate import __main__ as command
from costmodel.calibrate import fit, grid, parts, table, tools
from costmodel.calibrate.parts import point
from costmodel.streams import coefficients

DOCS = Path(__file__).parent.parent / 'docs'
MEASURED = table.read()
UNSEEN = fit.held_out(MEASURED)
HELD_OUT = {part: row for part, row in MEASURED.items() if part.key in UNSEEN}


def test_the_results_are_those_of_the_grid_and_were_all_simulated():
    assert [part.key for part in MEASURED] == [part.key for part in grid.points()]
    assert len(MEASURED) >= 300 and len(HELD_OUT) >= len(MEASURED) // 5
    assert all(int(row['simulated_tokens']) >= 40 for row in table.raw())
    assert {part.kind for part in MEASURED} == {path.stem for path in parts.RTL.glob('*.v')} - {'bench'}


def test_the_counts_are_those_of_the_cells():
    for row in table.raw():
        cells = {name: int(count) for name, count in (pair.split(':') for pair in row['cells'].split())}
        assert {name: str(value) for name, value in tools.counted(cells).items()}.items() <= row.items()


@pytest.mark.parametrize('resource', ['bram18', 'uram', 'dsp'])
def test_block_counts_are_equal_on_at_least_95_percent_of_points(resource):
    count, equal, wrong = fit.equal_blocks(MEASURED, resource)
    assert count >= 10 and equal >= 0.95 * count, wrong


@pytest.mark.parametrize('fold', range(grid.FOLDS))
def test_errors_on_held_out_points(fold):
    """At most 10 % in the median and 25 % at the 95th percentile, of points that the fit has not seen; fold 0 is the model's own."""
    unseen = fit.held_out(MEASURED, fold)
    fitted = fit.fit(MEASURED, unseen)
    for resource in ('lut', 'ff'):
        found = fit.errors(fitted, {part: row for part, row in MEASURED.items() if part.key in unseen}, resource)
        assert found.points > 60 and found.median <= 0.10 and found.percentile95 <= 0.25


def test_the_models_coefficients_are_the_fit():
    """To the digits written, apart from what another solver's rounding can do."""
    fitted = fit.fit(MEASURED, UNSEEN)
    assert fitted.keys() == coefficients.COEFFICIENTS.keys()
    for part, row in HELD_OUT.items():
        for resource in ('lut', 'ff'):
            assert fit.predicted(fitted, part, resource) == pytest.approx(
                fit.predicted(coefficients.COEFFICIENTS, part, resource), rel=0.01, abs=0.5
            ), row


def test_keys_name_their_points():
    assert all(parts.parse(part.key) == part for part in grid.points())


def test_a_table_measured_elsewhere(tmp_path, capsys):
    """Parts that take twice the LUTs give coefficients that predict twice the LUTs; parts that are not in the table keep theirs."""
    path, target = tmp_path / 'mine.csv', tmp_path / 'coefficients.json'
    rows = [{'part': part.key, **row, 'lut': 2 * row['lut']} for part, row in MEASURED.items() if part.kind == 'fifo']
    table.write(path, ['by hand'], table.RESOURCES, rows)
    before = coefficients.FILE
    coefficients.FILE = target
    try:
        assert command.main([f'--csynth={path}', '--write']) == 0
    finally:
        coefficients.FILE = before
    found = json.loads(target.read_text())
    assert found.keys() == coefficients.COEFFICIENTS.keys()
    part = point('fifo', style='bram', depth=256, width=72)
    assert fit.predicted(found, part, 'lut') == pytest.approx(2 * fit.predicted(coefficients.COEFFICIENTS, part, 'lut'), rel=0.05)
    assert found['clone.lut'] == coefficients.COEFFICIENTS['clone.lut']
    assert 'held out' in capsys.readouterr().out


@pytest.mark.parametrize(
    'text, message',
    [
        ('part,lut\nclone width=8,4\n', 'has no ff, bram18, uram, dsp'),
        ('part,lut,ff,bram18,uram,dsp\ncoil width=8,4,4,0,0,0\n', "no equations for parts of the kind 'coil'"),
    ],
)
def test_a_bad_table_is_named(tmp_path, capsys, text, message):
    path = tmp_path / 'mine.csv'
    path.write_text(text)
    assert command.main([f'--csynth={path}']) == 1
    assert message in capsys.readouterr().err


def test_without_the_tools_it_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    assert command.main([]) == 1
    assert 'yosys and iverilog not found; install them first' in capsys.readouterr().err


EACH = [
    point('fifo', style='srl', depth=5, width=7),
    point('fifo', style='bram', depth=9, width=7),
    point('clone', width=5),
    point('add', channels=2, bits=5, shift=1, relu=0),
    point('requantize', channels=2, acc=12, bits=5, shift=3, relu=1),
    point('maximum', taps=3, channels=2, bits=5),
    point('window', style='lutram', kernel=3, height=4, columns=5, width=6),
    point('mac', multiplier='lut', slices=3, products=5, channels=2, w=3, a=4),
    point('mac', multiplier='pair', slices=2, products=3, channels=3, w=8, a=8),
    point('rom', style='lut', depth=6, width=9),
]


@pytest.mark.skipif(not shutil.which('iverilog'), reason='iverilog is not installed')
@pytest.mark.parametrize('part', EACH, ids=lambda part: part.key)
def test_templates_do_what_their_reference_says(part, monkeypatch):
    assert tools.simulate(part) >= 20
    right = parts.reference
    monkeypatch.setattr(parts, 'reference', lambda *args: [[*stream[:-1], stream[-1] ^ 1] for stream in right(*args)])
    with pytest.raises(tools.ToolError, match='output 0 differs from token'):
        tools.simulate(part)


@pytest.mark.skipif(bool(tools.missing()), reason='yosys is not installed')
def test_synthesis_of_a_clone():
    found = tools.synthesize([point('clone', width=16), point('clone', width=5)])
    assert [(row['ff'], row['bram18']) for row in found] == [(18, 0), (7, 0)]


def test_the_page_of_figures_is_up_to_date():
    """`python -m costmodel.fidelity docs/fidelity.md` after a change of the model."""
    assert fidelity.page() == (DOCS / 'fidelity.md').read_text()
