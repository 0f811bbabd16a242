"""The comparison of FIFOs with Vivado's, on a table made by the model itself: counts equal, the fit recovers it."""

import pytest

from costmodel.streams.area import fifo_area
from experiments.fidelity import finn_fifo
from experiments.fidelity.finn_fifo import Point

SIZES = [(depth, width) for depth in (2, 20, 65, 257, 545, 769, 5_000, 40_000, 140_000) for width in (8, 24, 72, 100)]


def points() -> list[Point]:
    found = []
    for style, storage in finn_fifo.STORAGES.items():
        for part in finn_fifo.FAMILIES:
            for depth, width in SIZES:
                if (storage in ('srl', 'lutram')) == (depth < 500):
                    bare = Point(part, style, width, depth, 1, 1, 0, 0)
                    lut, ff = (
                        round(fifo_area.amount(name, bare.terms()[name], fifo_area.COEFFICIENTS))
                        for name in fifo_area.RESOURCES
                    )
                    found.append(Point(part, style, width, depth, lut, ff, *bare.rams()))
    return found


def written(path, rows):
    head = 'width,depth,lut,ff,bram18,uram,part,style_built,kind,directive'
    lines = [
        f'{p.width},{p.depth},{p.lut},{p.ff},{p.bram18},{p.uram},{p.part},{p.style},measured,Default' for p in rows
    ]
    path.write_text('\n'.join([head, *lines, '8,8,1,1,0,0,xczu7ev,srl,model,Default']) + '\n')
    return path


def test_the_page_and_the_fit(tmp_path, monkeypatch, capsys):
    rows = points()
    table, page, file = written(tmp_path / 'fifos.csv', rows), tmp_path / 'fifos.md', tmp_path / 'fifo_area.json'
    assert finn_fifo.read(table) == rows  # the row of a model is left out
    monkeypatch.setattr(fifo_area, 'FILE', file)
    assert finn_fifo.main([str(table), str(page), '--fit']) == 0
    text = page.read_text()
    assert '| 545 x 72 |' in text and 'Not fitted to:' in capsys.readouterr().out
    new = fifo_area.load(file)
    unseen = [point for point in rows if point.key not in new.fitted_to]
    assert 0.4 < len(unseen) / len(rows) < 0.6
    assert finn_fifo.errors(unseen, 'lut', new)[1] < 0.05 and finn_fifo.errors(unseen, 'ff', new)[1] < 0.05
    assert all(row[2] == row[3] for row in finn_fifo.rows(unseen, new))


@pytest.mark.parametrize(
    'line, message',
    [
        ('8,8,1,1,0,0,xc7z020,srl,measured,Default', "line 2: part 'xc7z020'"),
        ('8,8,many,1,0,0,xczu7ev,srl,measured,Default', "line 2: lut is 'many'"),
        ('8,0,1,1,0,0,xczu7ev,srl,measured,Default', 'line 2: width, depth and lut'),
        ('8,8,1,1,0,0,xczu7ev,srl,model,Default', 'no measured FIFO'),
    ],
)
def test_tables_that_are_none(tmp_path, capsys, line, message):
    path = tmp_path / 'fifos.csv'
    path.write_text(f'width,depth,lut,ff,bram18,uram,part,style_built,kind,directive\n{line}\n')
    assert finn_fifo.main([str(path)]) == 1
    assert message in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert finn_fifo.main([str(tmp_path / 'none.csv')]) == 1
    assert 'there is no file' in capsys.readouterr().err
