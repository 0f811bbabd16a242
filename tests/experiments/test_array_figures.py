"""The figures of docs/pe_array.md against the papers'."""

from pathlib import Path

import pytest

from experiments.fidelity import figures


def test_shortcut_fusion_spans_what_the_paper_reports():
    board = figures.target().sram_bytes
    found = [-figures.fitting(name, size, board).change for name, size in figures.FUSION]
    assert min(found) == pytest.approx(0.478, abs=0.03) and max(found) == pytest.approx(0.848, abs=0.03)


def test_buffers_of_about_one_size_give_shortcut_minings_figures_for_resnets():
    sizes = {name: figures.buffer_for(name, figures.MINING[name]) for name in ('resnet34', 'resnet152')}
    assert max(sizes.values()) < 1.2 * min(sizes.values())
    for name, sram_bytes in sizes.items():
        change = figures.mined(name, sram_bytes) / figures.baseline(name)['dram_feature_map_bytes'] - 1
        assert change == pytest.approx(figures.MINING[name], abs=0.01) and change <= figures.MINING[name]


def test_the_published_ratio_lies_between_two_cuts():
    published = (1 + figures.MINING['resnet152']) * figures.baseline('resnet152')['dram_feature_map_bytes']
    ratios = [published / each.feature_map_bytes for each in figures.curve('resnet152')]
    assert ratios == sorted(ratios) and ratios[0] < figures.RATIO < ratios[-1]


def test_the_document_has_the_tables_of_the_command(tmp_path, capsys):
    assert figures.main([str(tmp_path / 'curve.png')]) == 0
    assert (tmp_path / 'curve.png').stat().st_size > 10_000
    document = (Path(__file__).parents[2] / 'docs' / 'pe_array.md').read_text()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('|')]
    assert len(rows) > 20 and all(row in document for row in rows)
