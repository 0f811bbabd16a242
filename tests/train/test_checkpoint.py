"""Checkpoints and metrics after damage: single bits flipped, files cut, emptied and lost, against the run that nothing
happened to.
"""

import os
import random
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from training import NET, fit

from tailor_jax import build, gates, model
from tailor_jax.train import checkpoint, step
from tailor_jax.train.checkpoint import CheckpointError, Checkpoints
from tailor_jax.train.metrics import Metrics
from tailor_jax.train.recipe import Recipe

STEPS, LAST, BEFORE = 12, '12', '8'  # steps an epoch are 4, saved every 4


def state(width: int = 4):
    """As `fit` starts from."""
    net = NET if width == 4 else build.resnet(8, (8, 8, 1), width=width)
    return step.init_state(model.init(net, 0), gates.init(net.gates, 0.6), Recipe(12, 0.05, 0.1))


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp('whole') / 'run'
    fit(workdir, STEPS)
    return workdir


@pytest.fixture
def run(whole, tmp_path) -> Path:
    """A copy of the finished run."""
    return shutil.copytree(whole, tmp_path / 'run')


def restored(workdir: Path, **kwargs):
    with Checkpoints(workdir / 'checkpoints', **kwargs) as checkpoints:
        return checkpoints.restore(state())


def bits(tree) -> list[tuple]:
    return [(leaf.dtype, leaf.shape, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(tree)]


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def files_of(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.rglob('*')) if path.is_file() and path.stat().st_size]


def test_what_is_restored_is_what_was_saved_whichever_bit_or_file_is_damaged(whole, tmp_path, capfd):
    good = restored(whole)
    assert good.step == STEPS and good.metrics == (whole / 'metrics.jsonl').read_bytes()
    shutil.copytree(whole, tmp_path / 'shorter')
    shutil.rmtree(tmp_path / 'shorter' / 'checkpoints' / LAST)
    before = restored(tmp_path / 'shorter')
    rng, files, ends = random.Random(0), files_of(whole / 'checkpoints' / LAST), []
    sizes = [path.stat().st_size for path in files]
    for number in range(24):  # each file as likely as any other, and each bit
        path = rng.choice(files) if number % 2 else rng.choices(files, sizes)[0]
        workdir = shutil.copytree(whole, tmp_path / str(number))
        harmed = workdir / path.relative_to(whole)
        match number % 8:
            case 6:
                harmed.write_bytes(b'')
            case 7:
                harmed.unlink()
            case _:
                flip(harmed, rng.randrange(8 * path.stat().st_size))
        found, expected, told = restored(workdir), good, capfd.readouterr().err
        assert 'Traceback' not in told
        if found.step != STEPS:
            expected = before
            assert f'{workdir}/checkpoints/{LAST} is damaged (' in told
            assert f'it is now damaged_{LAST}, and training goes on from the checkpoint of step {BEFORE}' in told
            assert (
                files_of(workdir / 'checkpoints' / f'damaged_{LAST}') and not (workdir / 'checkpoints' / LAST).exists()
            )
        assert (found.step, found.metrics, bits(found.state)) == (expected.step, expected.metrics, bits(expected.state))
        ends.append(found.step)
    assert set(ends) == {STEPS, int(BEFORE)}  # some flips change nothing that matters, and most do


@pytest.mark.parametrize('damaged', [[LAST], [LAST, BEFORE]], ids=['one before', 'none before'])
def test_training_goes_on_from_what_is_whole_and_ends_bit_for_bit(run, whole, damaged, capfd):
    for name in damaged:
        flip(max(files_of(run / 'checkpoints' / name / 'state'), key=lambda path: path.stat().st_size), 5001)
    assert bits(fit(run, STEPS)) == bits(fit(whole, STEPS))
    told = capfd.readouterr().err
    assert f'{run}/checkpoints/{LAST} is damaged (' in told
    assert (
        'the beginning of this phase' in told if len(damaged) == 2 else 'goes on from the checkpoint of step 8' in told
    )
    assert (run / 'metrics.jsonl').read_bytes() == (whole / 'metrics.jsonl').read_bytes()
    assert bits(restored(run).state) == bits(restored(whole).state)
    assert {path.name for path in (run / 'checkpoints').iterdir()} >= {LAST, *(f'damaged_{name}' for name in damaged)}


DAMAGES = {
    'halved': lambda text: text[: len(text) // 2],
    'emptied': lambda text: b'',
    'a digit changed': lambda text: text.replace(b'"step": 2,', b'"step": 3,', 1),
    'not utf-8': lambda text: text[:40] + b'\xff' + text[41:],
    'not even lines': lambda text: b'\0' * len(text),
    'a row too many at the end': lambda text: text + b'{"phase": "gates", "step": 99}\n',
    'cut off in a row at the end': lambda text: text + b'{"phase": "ga',
}


@pytest.mark.parametrize('steps', [LAST, BEFORE], ids=['finished', 'half-way'])
@pytest.mark.parametrize('damage', DAMAGES.values(), ids=DAMAGES)
def test_metrics_end_as_they_should_whatever_happened_to_the_file(run, whole, damage, steps, capfd):
    path, text = run / 'metrics.jsonl', (whole / 'metrics.jsonl').read_bytes()
    if steps == BEFORE:
        shutil.rmtree(run / 'checkpoints' / LAST)
    path.write_bytes(damage(text))
    assert damage(text) != text
    finish(run)
    assert path.read_bytes() == text + EVALUATIONS
    warned = f'warning: {path} has lost rows' in capfd.readouterr().err
    lines, saved = damage(text).splitlines(keepends=True), text.splitlines(keepends=True)[: int(steps)]
    assert warned == (lines[: int(steps)] != saved)


EVALUATIONS = b'{"evaluation": "one", "test_accuracy": 0.5}\n{"evaluation": "two", "test_accuracy": 0.25}\n'


def finish(workdir: Path) -> None:
    """The phase, and what comes after it in a run."""
    fit(workdir, STEPS)
    metrics = Metrics(workdir, quiet=True)
    metrics.start('gates', STEPS, STEPS, 32, 4, restored(workdir).metrics)
    metrics.evaluation('one', 0.5)
    metrics.evaluation('two', 0.25)
    metrics.complete()
    metrics.close()


def test_metrics_that_were_lost_are_restored(run, whole, capfd):
    (run / 'metrics.jsonl').unlink()
    finish(run)
    assert (run / 'metrics.jsonl').read_bytes() == (whole / 'metrics.jsonl').read_bytes() + EVALUATIONS
    assert f'{run}/metrics.jsonl has lost rows' in capfd.readouterr().err


@pytest.mark.parametrize(
    'damage',
    [lambda text: text, lambda text: text[:-3], lambda text: text.replace(b'0.5', b'0.6'), lambda text: text + b'x'],
)
def test_evaluations_are_written_once_in_their_order(run, whole, damage):
    finish(run)
    path = run / 'metrics.jsonl'
    path.write_bytes(damage(path.read_bytes()))
    finish(run)
    assert path.read_bytes() == (whole / 'metrics.jsonl').read_bytes() + EVALUATIONS


@pytest.mark.parametrize('what', ['pipe', 'link'])
def test_what_stands_in_the_place_of_a_file_is_damage_and_nobody_waits_for_it(run, what, capfd):
    path = files_of(run / 'checkpoints' / LAST / 'state')[-1]
    path.rename(run / 'elsewhere')
    if what == 'pipe':
        os.mkfifo(path)
    else:
        path.symlink_to(run / 'elsewhere')
    assert restored(run).step == int(BEFORE)
    assert f'{LAST} is damaged' in capfd.readouterr().err


def test_a_checkpoint_of_another_network_is_refused_and_kept(run):
    before = {path: path.read_bytes() for path in files_of(run / 'checkpoints')}
    with (
        Checkpoints(run / 'checkpoints') as checkpoints,
        pytest.raises(CheckpointError, match=r'checkpoints/12 is of another network') as error,
    ):
        checkpoints.restore(state(width=8))
    assert 'train in another directory' in str(error.value)
    with (
        Checkpoints(run / 'checkpoints', note={'bits': 4}) as checkpoints,
        pytest.raises(CheckpointError, match='was trained another way'),
    ):
        checkpoints.restore(state())
    assert before == {path: path.read_bytes() for path in files_of(run / 'checkpoints')}


def test_a_whole_checkpoint_of_another_version_is_refused_and_kept(run, monkeypatch):
    monkeypatch.setattr(checkpoint, 'FORMAT', ('checkpoint', 2))
    with pytest.raises(CheckpointError, match=r'checkpoints/12: its version is 1; this program reads version 2'):
        restored(run)
    assert (run / 'checkpoints' / LAST).is_dir()


def test_a_checkpoint_of_another_phase_is_refused_and_kept(run):
    copy = shutil.copytree(run / 'checkpoints', run / 'elsewhere')
    for read in (lambda: checkpoint.note(copy), lambda: Checkpoints(copy).restore(state())):
        with pytest.raises(CheckpointError, match=r'elsewhere/12 is of checkpoints, and was copied or moved'):
            read()
    assert (copy / LAST).is_dir()


def test_the_directory_of_another_run_is_only_read(run, tmp_path):
    (run / 'checkpoints' / '16.orbax-checkpoint-tmp-0').mkdir()  # that run may be writing it
    assert bits(restored(run, read_only=True).state) == bits(restored(run, note='other', read_only=True).state)
    flip(max(files_of(run / 'checkpoints' / LAST / 'state'), key=lambda path: path.stat().st_size), 5001)
    before = {path: path.read_bytes() for path in files_of(run / 'checkpoints')}
    with pytest.raises(CheckpointError, match=r'checkpoints/12 is damaged \(.*\); train that network again'):
        restored(run, read_only=True)
    assert before == {path: path.read_bytes() for path in files_of(run / 'checkpoints')}
    assert (run / 'checkpoints' / '16.orbax-checkpoint-tmp-0').is_dir()
    with Checkpoints(tmp_path / 'nowhere', read_only=True) as checkpoints:
        assert checkpoints.latest_step() is None and checkpoints.restore(state()) is None
    assert not (tmp_path / 'nowhere').exists()


def test_the_note_is_that_of_the_newest_checkpoint_whose_record_is_whole(tmp_path):
    assert checkpoint.note(tmp_path / 'nowhere') is None
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(state()) is None and checkpoint.note(tmp_path) is None
    for number in (1, 2):
        with Checkpoints(tmp_path, note={'number': number}) as checkpoints:
            checkpoints.save(number, jax.device_get(state()))
    assert checkpoint.note(tmp_path) == {'number': 2}
    flip(tmp_path / '2' / 'record' / 'metadata', 100)
    assert checkpoint.note(tmp_path) == {'number': 1}


def test_damage_at_the_same_step_again_keeps_both(run):
    for name in ('damaged_12', 'damaged_12_1'):
        flip(max(files_of(run / 'checkpoints' / LAST / 'state'), key=lambda path: path.stat().st_size), 5001)
        fit(run, STEPS)
        assert (run / 'checkpoints' / name).is_dir()
    assert all(checkpoint.NAME.fullmatch(path.name) for path in (run / 'checkpoints').iterdir())
