"""The figures of docs/pe_array.md against the papers'."""

from pathlib import Path

import pytest

from costmodel.array import figures


def test_shortcut_fusion_spans_what_the_paper_reports():
    board = figures.target().sram_bytes
    found = [-figures.fitting(name, size, board).change for name, size in figures.FUSION]
    assert min(found) == pytest.approx(0.478, abs=0.03) and max(found) == pytest.approx(0.848, abs=0.03)


def test_one_buffer_gives_shortcut_minings_figures_for_resnets():
    base = {name: figures.baseline(name)['dram_feature_map_bytes'] for name in ('resnet34', 'resnet152')}
    sram_bytes = figures.buffer_for('resnet152', figures.MINING['resnet152'])
    for name, size in base.items():
        assert figures.mined(name, sram_bytes) / size - 1 == pytest.approx(figures.MINING[name], abs=0.03)
    assert figures.mined('resnet152', sram_bytes) / base['resnet152'] - 1 <= figures.MINING['resnet152']


def test_the_published_ratio_lies_between_two_cuts():
    published = (1 + figures.MINING['resnet152']) * figures.baseline('resnet152')['dram_feature_map_bytes']
    ratios = [published / each.feature_map_bytes for each in figures.curve('resnet152')]
    assert ratios == sorted(ratios) and ratios[0] < figures.RATIO < ratios[-1]


def test_the_document_has_the_tables_of_the_command(tmp_path, capsys):
    assert figures.main([str(tmp_path / 'curve.png')]) == 0
    assert (tmp_path / 'curve.png').stat().st_size > 10_000
    document = (Path(__file__).parent.parent / 'docs' / 'pe_array.md').read_text()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('|')]
    assert len(rows) > 20 and all(row in document for row in rows)
