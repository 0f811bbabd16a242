"""The Verilog parts against integers: words, latencies and cycles, in one simulation of all; `make calibrate` proves
the whole grid and some random parts, `make laws` others."""

import pytest
from hypothesis import settings
from verilog_parts import BROKEN, EVERY

from experiments.calibrate import drawn, parts, tools
from hls_export.verilog.tools import RTL, SIMULATED, ToolError, lint
from tailor_jax.dataflow.process import Mac


@pytest.fixture(scope='module')
def said():
    """What the benches say of every part of the sample, then of the broken ones."""
    changed = {}
    for index, (part, text, other) in enumerate(BROKEN, len(EVERY)):
        whole = (RTL / f'{part.kind}.v').read_text()
        assert whole.count(text) == 1, (part.kind, text)
        changed[index] = whole.replace(text, other)
    found = tools.outcomes([*EVERY, *(part for part, _, _ in BROKEN)], changed)
    return found[: len(EVERY)], found[len(EVERY) :]


def test_every_part_does_what_its_reference_says(said):
    """Words under random stalls and without, the pipeline's latency, and the cycles in which words are promised."""
    assert {part.kind for part in EVERY} == {path.stem for path in RTL.glob('*.v')} - {
        *('anchor', 'batch', 'dsp', 'fifo', 'last_word', 'quotient', 'ram', 'tree', 'value')
    }
    assert not [error for part, each in zip(EVERY, said[0]) if (error := tools.wrong(part, each))]


def test_every_broken_part_is_caught(said):
    assert all(tools.wrong(part, each) for (part, _, _), each in zip(BROKEN, said[1]))


def test_a_wrong_word_is_caught(said):
    for part, (stalled, free) in zip(EVERY, said[0]):
        *lines, last = free.splitlines()
        outlet, cycle, word = last.split()
        flipped = '\n'.join([*lines, f'{outlet} {cycle} {int(word, 16) ^ 1:x}'])
        assert 'differs from word' in tools.wrong(part, (stalled, flipped))


def test_a_part_that_takes_other_cycles_than_its_process_is_caught(said, monkeypatch):
    index = next(k for k, part in enumerate(EVERY) if part.kind == 'mac')
    slices = EVERY[index]['slices']
    monkeypatch.setattr(parts, 'process', lambda part, words: Mac(words // slices, slices + 1, 2))
    assert 'word 1 was promised in cycle' in tools.wrong(EVERY[index], said[0][index])


@pytest.mark.skipif(settings.default.max_examples <= 25, reason='minutes: with HYPOTHESIS_PROFILE=thorough, make laws')
@pytest.mark.parametrize('defines', [(), ('GENERIC',)])
def test_random_parts(defines):
    """Without DSP48E2 too: plain multiplications behind the same registers."""
    points = [*drawn.points(96, 3), *(part for part in EVERY if part.kind in ('mac', 'mean', 'average', 'leaky_relu'))]
    assert not [
        error for part, each in zip(points, tools.outcomes(points, {}, defines)) if (error := tools.wrong(part, each))
    ]


def test_lint(tmp_path):
    """A part of every kind elaborates without a warning; a wire that nothing drives is found."""
    sources = [SIMULATED, *sorted(RTL.glob('*.v'))]
    for part in {part.kind: part for part in EVERY}.values():
        (tmp_path / 'part.v').write_text(parts.top(part, 'part', simulated=True))
        lint([*sources, 'part.v'], 'part', tmp_path, ('GENERIC',) * (part.kind == 'mac'))
    (tmp_path / 'part.v').write_text('module part (output y); wire x; assign y = x; endmodule\n')
    with pytest.raises(ToolError, match='UNDRIVEN'):
        lint(['part.v'], 'part', tmp_path)
