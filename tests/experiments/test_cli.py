"""How programs start and end: --help, errors in one paragraph, files that cannot be written, reports of what is not
there.
"""

import csv
import errno
import importlib
import json
import os
import pkgutil
import runpy
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import run_files
from random_configs import base
from run_processes import HUNG_S, QUICK_TO_COMPILE

import experiments
import experiments.benchmarks
from experiments import cli, pareto, report, results
from experiments import config as config_lib
from experiments.config import ConfigError
from experiments.summary import read_csim, read_summary, summary_header
from experiments.workdir import prepare_run
from hls_export import csim
from tailor_jax.fields import FormatError, header
from tailor_jax.files import LockedError

ROOT = Path(__file__).parents[2]
PROGRAMS = tuple(
    module.name
    for package in (experiments, experiments.benchmarks)
    for module in pkgutil.iter_modules(package.__path__, f'{package.__name__}.')
    if '    cli.run(main' in Path(importlib.util.find_spec(module.name).origin).read_text()
)


# ---- --help ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings('ignore:.*found in sys.modules:RuntimeWarning')
@pytest.mark.parametrize('program', PROGRAMS)
@pytest.mark.parametrize('flag', ['--help', '-h'])
def test_help_prints_the_docstring_and_every_flag_and_ends_well(program, flag, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [program, flag])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(program, run_name='__main__', alter_sys=True)
    printed, source = capsys.readouterr(), Path(importlib.util.find_spec(program).origin).read_text()
    assert ended.value.code in (0, None) and not printed.err
    assert f'python -m {program}' in printed.out and printed.out.startswith(source[3:].split('\n')[0])
    values = {name: options for name, options in _flags(program).items()}
    assert values
    for name, (_, text) in values.items():
        assert f'--{name}=' in printed.out or f'--[no]{name}' in printed.out
        assert ' '.join(text.split()) in ' '.join(printed.out.split())
    assert ('--config.KEY=VALUE' in printed.out) == ('config' in values)


def _flags(program):
    """The flags that a program gives to `cli.run`, by another route than its help."""
    seen = {}

    def run(main, flags_of, config=False, cluster=False):
        seen.update(flags_of, **(cli.CONFIG_FLAGS if config else {}), **(cli.CLUSTER_FLAGS if cluster else {}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, 'run', run)
        runpy.run_module(program, run_name='__main__', alter_sys=True)
    return seen


def test_there_are_programs():
    assert {'experiments.train', 'experiments.report', 'experiments.benchmarks.csim'} <= set(PROGRAMS) and len(
        PROGRAMS
    ) >= 14


def test_help_of_data_preparation_and_a_real_process():
    for module, flag in (('tailor_jax.data.prepare', '--tfds_dir'), ('experiments.report', '--workdir')):
        done = subprocess.run(
            [sys.executable, '-m', module, '--help'], cwd=ROOT, capture_output=True, text=True, timeout=HUNG_S
        )
        assert done.returncode == 0 and flag in done.stdout and not done.stderr


@pytest.mark.parametrize(
    'program, flags, message',
    [
        ('experiments.train', ['--flagfile=/nowhere'], 'Unable to open flagfile'),
        ('experiments.sweep', ['--weights=0', f'--seeds={"9" * 400}'], '; expected numbers separated by commas'),
    ],
)
def test_wrong_arguments_are_one_line(program, flags, message, tmp_path):
    command = [
        sys.executable,
        '-m',
        program,
        '--config=experiments/configs/digits_resnet8.py',
        f'--workdir={tmp_path}/w',
        *flags,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HUNG_S)
    assert done.returncode == 1 and not (tmp_path / 'w').exists()
    assert done.stderr.startswith('error: ') and message in done.stderr and done.stderr.count('\n') == 1


# ---- errors of files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'error, message',
    [
        (OSError(errno.ENOSPC, 'No space left on device'), 'W: No space left on device'),
        (OSError(errno.EACCES, 'Permission denied', '/a/b'), '/a/b: Permission denied'),
        (OSError(errno.EXDEV, 'Invalid cross-device link', '/a', None, '/b'), '/a -> /b: Invalid cross-device link'),
        (FileNotFoundError('W holds no run'), 'W holds no run'),
        (FormatError('a.json is damaged'), 'a.json is damaged'),
        (LockedError('W is in use by process 3'), 'W is in use by process 3'),
        (MemoryError('Unable to allocate 1.00 TiB'), 'not enough memory: Unable to allocate 1.00 TiB'),
        (MemoryError(), 'not enough memory'),
    ],
)
def test_an_error_of_a_file_is_one_line_with_its_path_and_reason(error, message):
    assert isinstance(error, cli.known_errors())
    assert cli.told(error, {'workdir': 'W'}) == message


# A program whose files may not grow beyond a size: EFBIG, as a quota or a full disk.
LIMITED = """import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.dont_write_bytecode = True  # of which a file that is cut off would be kept
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
del sys.argv[:2]
runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"""


@pytest.mark.parametrize('largest, wrong', [(100, ''), (6_000, 'checkpoints/teacher/6')])
def test_a_disk_that_is_full_ends_a_run_with_one_error_that_names_the_workdir(largest, wrong, tmp_path):
    """Without room for the first file, and for the first checkpoint. No traceback, of threads of libraries either; the
    rest is kept.
    """
    flags = [f'--config.train.{phase}.epochs=1' for phase in config_lib.PHASES] + [
        '--config.model.width=4',
        '--config.cost.dataflow.interval_cycles=4096',
    ]
    command = ['experiments.train', '--config=experiments/configs/digits_resnet8.py', f'--workdir={tmp_path}/w', *flags]
    command += ['--config.data.train_split=train[:30%]', '--config.train.log_every_steps=100']
    # No cache whose files would be cut off.
    environment = {name: value for name, value in os.environ.items() if not name.startswith('JAX_')} | QUICK_TO_COMPILE
    command = [sys.executable, '-c', LIMITED, str(largest), *command]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=HUNG_S)
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert line.startswith(f'error: {tmp_path}/w') and wrong in line and len(line) < 600
    assert (tmp_path / 'w' / 'config.json').exists() == bool(wrong)


@pytest.mark.parametrize('where', ['a file in place of the directory', 'a read-only file system', '/dev/full'])
def test_a_workdir_that_cannot_be_written_is_named(where, tmp_path):
    if where == '/dev/full':
        with pytest.raises(OSError) as caught, open('/dev/full', 'wb', buffering=0) as file:
            file.write(b'x')
        assert cli.told(caught.value, {'workdir': 'W'}) == 'W: No space left on device'
        return
    (tmp_path / 'file').write_text('')
    workdir = tmp_path / 'file' / 'w' if 'file in' in where else Path('/proc/w')
    with pytest.raises(cli.known_errors()) as caught:
        prepare_run(base(), str(workdir), overwrite=False)
    assert str(workdir.parent) in cli.told(caught.value, {'workdir': str(workdir)})


# ---- reports ---------------------------------------------------------------------------------------------------------


def summary_of(seed=0, weight=0.1, accuracy=0.9):
    config = base()
    config.seed, config.cost.weight = seed, weight
    return run_files.summary_of(config, accuracy)


def write_run(directory, summary, simulated=None):
    directory.mkdir(parents=True)
    (directory / 'summary.json').write_text(json.dumps(summary))
    if simulated is not None:
        (directory / 'csim.json').write_text(
            json.dumps({**header(*csim.FORMAT), 'mode': 'fast', 'images': 360, 'mismatched_values': 0, **simulated})
        )


def reported(directory):
    report.main(types.SimpleNamespace(workdir=str(directory)))


@pytest.mark.parametrize(
    'files, message',
    [
        (None, 'does not exist; give the workdir of a run or of a sweep'),
        ((), 'holds no finished run, and no sweep; experiments.train and experiments.sweep write them'),
        (
            ('config.json',),
            'holds a run that is not finished: it has no summary.json yet; the command that started it goes on with it',
        ),
        (('compare.json',), 'holds a comparison; its report is '),
        (
            ('sweep.json',),
            'holds a sweep of which no run is finished yet: 0 begun, 0 trained, none of those C-simulated',
        ),
        (
            ('sweep.json', 'weight0_seed0/config.json', 'weight0_seed0/summary.json', 'weight1_seed0/config.json'),
            '2 begun, 1 trained, none',
        ),
    ],
)
def test_a_report_says_what_there_is_in_place_of_a_finished_run(files, message, tmp_path):
    directory = tmp_path / 's'
    for name in files or ():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text('{}')
    if files is not None:
        directory.mkdir(exist_ok=True)
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(FileNotFoundError) as caught:
        reported(directory)
    assert str(caught.value).startswith(f'{directory} ') and message in str(caught.value)
    assert sorted(tmp_path.rglob('*')) == before


def test_a_report_of_a_file_says_so(tmp_path):
    (tmp_path / 'f').write_text('')
    with pytest.raises(FileNotFoundError, match='is no directory; give the workdir'):
        reported(tmp_path / 'f')


def test_a_report_of_hand_written_files_is_their_table(tmp_path, capsys):
    """The columns and the front by another route: read from the files themselves."""
    write_run(tmp_path / 's' / 'weight0_seed0', summary_of(weight=0.0, accuracy=0.9), {'accuracy': 0.9})
    write_run(tmp_path / 's' / 'weight1_seed0', summary_of(weight=1.0, accuracy=0.8), {'accuracy': 0.8})
    reported(tmp_path / 's')
    with (tmp_path / 's' / 'pareto.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [(row['weight'], row['accuracy_csim'], row['lut'], row['pareto']) for row in rows] == [
        ('0.0', '0.9', '8996', '1'),
        ('1.0', '0.8', '8996', '0'),
    ]
    reported(tmp_path / 's' / 'weight0_seed0')
    printed = capsys.readouterr().out
    assert 'skips     1 of 2 kept: s1b0_long' in printed and '12 s, 1,000 training images/s' in printed


def test_runs_of_different_things_are_no_sweep(tmp_path):
    write_run(tmp_path / 'weight0_seed0', summary_of(), {'accuracy': 0.9})
    other = summary_of()
    for numbers in other['hardware'].values():
        numbers['dram_bytes'] = numbers.pop('lut')
    write_run(tmp_path / 'weight1_seed0', other, {'accuracy': 0.9})
    with pytest.raises(
        ConfigError,
        match=r"weight1_seed0/summary.json tells of 'dram_bytes', and .*weight0_seed0/summary.json does not",
    ):
        pareto.rows_of(tmp_path)


def test_a_damaged_summary_is_refused_by_name_or_reported(tmp_path, monkeypatch):
    """Some hundred random edits of summary.json and csim.json, through the whole report but for its picture."""
    from random_configs import mutated

    monkeypatch.setattr(pareto, 'draw', lambda rows: b'')
    rng, refused = np.random.default_rng(0), 0
    write_run(tmp_path / 'a', summary_of(), {'accuracy': 0.9})
    write_run(tmp_path / 'b', summary_of(seed=1), {'accuracy': 0.9})
    for number in range(400):
        name = 'summary.json' if number % 4 else 'csim.json'
        path = tmp_path / 'b' / name
        whole = path.read_text()
        text = json.dumps(mutated(rng, json.loads(whole))).encode('utf-8', 'surrogatepass')
        path.write_bytes(text[: rng.integers(len(text))] if rng.random() < 0.1 else text)
        try:
            rows = report.write_sweep(tmp_path)
            assert len(rows) == 2
            results.table(rows, pareto.columns(rows))
            results.print_summary(read_summary(tmp_path / 'b' / 'summary.json'), tmp_path / 'b')
        except ConfigError as error:
            assert str(path) in str(error) and '\n' not in str(error), str(error)
            refused += 1
        path.write_text(whole)
    assert 250 < refused < 400
    assert report.write_sweep(tmp_path)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda s: s['gates'].update(s1b0_long=0.5), "summary.json: gates: 's1b0_long' is 0.5; expected 0 or 1"),
        (lambda s: s['accuracy'].pop('quantized'), "summary.json: accuracy: 'quantized' is missing"),
        (
            lambda s: s['hardware']['after'].pop('lut'),
            "summary.json: hardware: before has 'lut', which hardware: after lacks",
        ),
        (
            lambda s: [each.update(run=1) for each in s['hardware'].values()],
            "summary.json: hardware: 'run' is no resource; expected some of bops, ",
        ),
        (lambda s: s['config'].update(sead=1), "summary.json: config: unknown field 'sead'; did you mean 'seed'?"),
        (
            lambda s: s['config']['train'].update(batch_size='x'),
            "summary.json: config: config.train.batch_size is 'x'; expected an integer",
        ),
        (lambda s: s.update(version=7), 'its version is 7; this program reads version 2'),
        (lambda s: s.update(cost=float('nan')), 'NaN is no JSON number'),
    ],
)
def test_an_error_in_a_summary_names_file_and_field(change, message, tmp_path):
    summary = summary_of()
    change(summary)
    write_run(tmp_path / 'r', summary)
    with pytest.raises(ConfigError) as caught:
        read_summary(tmp_path / 'r' / 'summary.json')
    assert message in str(caught.value) and str(caught.value).endswith(
        'delete it, and the command that wrote it writes it again'
    )


def test_a_sweep_is_reported_whatever_its_files_are_called_and_however_little_it_measured(tmp_path):
    """Names are any bytes; they come back in pareto.csv as they are, and escaped in the page."""
    directory, name = tmp_path / os.fsdecode(b'a\xff<b>'), os.fsdecode(b'r\xfe"<i>')
    bare = summary_of()
    bare['hardware'] = {'before': {}, 'after': {}}
    write_run(directory / name, bare, {'accuracy': 0.75})
    done = subprocess.run(
        [sys.executable, '-m', 'experiments.report', f'--workdir={directory}'.encode('utf-8', 'surrogateescape')],
        cwd=ROOT,
        env=os.environ | {'PYTHONIOENCODING': 'utf-8:strict'},
        capture_output=True,
    )
    assert done.returncode == 0 and not done.stderr
    assert b'r\xfe""<i>' in (directory / 'pareto.csv').read_bytes()
    page = (directory / 'report.html').read_bytes()
    assert b'a\xff&lt;b&gt;' in page and b'r\xfe&quot;&lt;i&gt;' in page and b'<i>' not in page


def test_a_summary_and_a_simulation_are_read_as_written(tmp_path):
    write_run(tmp_path / 'r', summary_of(), {'accuracy': 0.75})
    told = read_summary(tmp_path / 'r' / 'summary.json')
    assert {**summary_header(), **told} == summary_of()
    assert read_csim(tmp_path / 'r' / 'csim.json') == {'images': 360, 'mismatched_values': 0, 'accuracy': 0.75}
    shutil.rmtree(tmp_path / 'r')
    with pytest.raises(FileNotFoundError):
        read_summary(tmp_path / 'r' / 'summary.json')
