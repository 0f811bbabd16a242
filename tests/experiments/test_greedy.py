"""Greedy removal: each decision against brute force over pruned networks, budgets, prices, and runs that are killed."""

import dataclasses
import json
import math
import random
import socket

import jax
import numpy as np
import pytest
from hypothesis import settings
from run_processes import FLAGS, HOOK, QUICK_TO_COMPILE, assert_same_run, end, start
from small_config import small_config

import costmodel
from experiments import run
from experiments.config import ConfigError
from experiments.methods import greedy
from experiments.phase import student_phase
from tailor_jax import data, model, rewrite
from tailor_jax.train import variables as variables_lib

LONG = pytest.mark.skipif(
    settings.default.max_examples <= 25, reason='half a minute: with HYPOTHESIS_PROFILE=thorough, make laws'
)

IMAGES = 64


@pytest.fixture(scope='module')
def teacher(tmp_path_factory) -> str:
    return run.train_teacher(config_of(), tmp_path_factory.mktemp('teacher') / 'run')


def config_of(teacher: str = '', **changes):
    """A part of two batches for each of three skips and one more, at a price that every skip is worth."""
    config = small_config()
    config.method, config.cost.weight, config.train.teacher_workdir = 'greedy', 1e6, teacher
    config.quant.calibration_images, config.train.student.epochs, config.train.finetune.epochs = IMAGES, 8 / 22, 0.0
    config.train.qat.epochs = 0.0
    for key, value in changes.items():
        config[key.replace('__', '.')] = value
    return config


@pytest.fixture(scope='module')
def whole(teacher, tmp_path_factory):
    """(checked config, workdir, summary) of a run that removes everything."""
    workdir, config = tmp_path_factory.mktemp('whole') / 'run', config_of(teacher)
    return run.check(config), workdir, run.train(config, workdir, quiet=True)


def settled_loss(net, variables, setting, batch, wanted, share):
    """The loss of the pruned network once running statistics have settled on the images, evaluated with those."""
    pruned = rewrite.binarize(net, setting)
    found, apply = model.restrict(variables, pruned), model.Net(pruned).apply
    settle = jax.jit(lambda each: each | apply(each, batch['image'], train=True, mutable=['batch_stats'])[1])
    for _ in range(160):
        found = settle(found)
    logits = np.asarray(apply(found, batch['image']), np.float64)
    likelihoods = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    entropy = -np.log(likelihoods[np.arange(len(logits)), batch['label']]).mean()
    return (1 - share) * entropy + share * ((logits - wanted) ** 2).mean()


@LONG
def test_the_order_is_that_of_brute_force_over_pruned_networks(whole, teacher):
    """Every decision again: from the weights before it, each candidate as a pruned network, priced by `evaluate`."""
    checked, workdir, summary = whole
    net, share = checked.graph, summary['config']['distill']['share']
    batch = next(iter(data.eval_batches(checked.source, 'train', batch_size=IMAGES)))
    whole_net, like = rewrite.binarize(net, dict.fromkeys(net.gates, 1)), model.init(net, 0)
    places = [f'{teacher}/checkpoints/teacher', *(workdir / 'checkpoints' / f'student{number}' for number in (1, 2))]
    weights = [variables_lib.read(path, like)[1] for path in map(type(workdir), places)]
    wanted = np.asarray(model.Net(whole_net).apply(weights[0], batch['image']), np.float64)

    def cost(setting):
        total = costmodel.evaluate(rewrite.binarize(net, setting), checked.cost.target).total
        parts = [(total[name] - none) / (every - none) for name, (none, every) in checked.cost.bounds.items()]
        return sum(parts) / len(parts)

    setting = dict.fromkeys(net.gates, 1)
    for variables, removed in zip(weights, summary['removed']):
        loss_now, cost_now = settled_loss(net, variables, setting, batch, wanted, share), cost(setting)
        prices = {}
        for gate in (gate for gate in net.gates if setting[gate]):
            without = setting | {gate: 0}
            loss = settled_loss(net, variables, without, batch, wanted, share)
            prices[gate] = max(loss - loss_now, 0) / (cost_now - cost(without)), -(cost_now - cost(without))
            if gate == removed['gate']:
                assert removed['loss'] == pytest.approx([loss_now, loss], rel=1e-3)
                assert removed['cost'] == pytest.approx([cost_now, cost(without)])
        assert removed['gate'] == min(prices, key=prices.__getitem__)
        setting = setting | {removed['gate']: 0}
    assert sorted(each['gate'] for each in summary['removed']) == sorted(net.gates)


def test_the_parts_are_the_phase_and_the_rest_of_it_is_one(whole):
    _, workdir, summary = whole
    steps = {path.name: max(int(each.name) for each in path.iterdir() if each.name.isdigit())
             for path in (workdir / 'checkpoints').glob('student*')}  # fmt: skip
    assert steps == {'student1': 2, 'student2': 2, 'student3': 4}
    assert set(summary['gates'].values()) == {0}
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    closed = []
    for removed, phase in zip(summary['removed'], steps):
        closed.append(removed['gate'])
        for row in (row for row in rows if row.get('phase') == f'student{len(closed)}' and 'loss' in row):
            assert {gate for gate in summary['gates'] if row[f'p_open/{gate}'] == 0} == set(closed), phase


def test_at_no_price_nothing_goes(teacher, tmp_path):
    summary = run.train(config_of(teacher, cost__weight=0.0), tmp_path / 'w', quiet=True)
    assert set(summary['gates'].values()) == {1} and summary['removed'] == [] and summary['cost'] == 1
    assert [path.name for path in (tmp_path / 'w' / 'checkpoints').glob('student*')] == ['student1']


@pytest.mark.parametrize('share', [0.0, 0.4, 1.0])
def test_a_budget_is_met_by_the_last_removal_and_not_before(share, teacher, tmp_path):
    checked = run.check(config_of())
    none, every = checked.cost.bounds['fifo_bits']
    limit = none + share * (every - none)
    config = config_of(teacher, cost__weight=0.1, cost__budget__fifo_bits=limit)
    summary = run.train(config, tmp_path / 'w', quiet=True)
    setting, gone = summary['gates'], [each['gate'] for each in summary['removed']]
    assert {gate for gate, value in setting.items() if not value} == set(gone)
    for count in range(len(gone) + 1):
        kept = {gate: int(gate not in gone[:count]) for gate in checked.graph.gates}
        used = costmodel.evaluate(rewrite.binarize(checked.graph, kept), checked.cost.target).total['fifo_bits']
        assert (used <= limit) == (count == len(gone))
    assert summary['hardware']['after']['fifo_bits'] <= limit and summary['budget'] == {'limits': {'fifo_bits': limit}}
    assert (len(gone) == 0) == (share == 1.0) and (len(gone) == 3) == (share == 0.0)


def test_decisions_of_a_run_that_goes_on_are_those_of_its_checkpoints(whole, monkeypatch):
    _, workdir, summary = whole
    (workdir / 'summary.json').unlink()
    monkeypatch.setattr(greedy, 'choice', lambda *_: pytest.fail('decided again'))
    again = run.train(config_of(summary['config']['train']['teacher_workdir']), workdir, quiet=True)
    untimed = ('seconds', 'images_per_second')
    assert {key: value for key, value in again.items() if key not in untimed} == {
        key: value for key, value in summary.items() if key not in untimed
    }


KILLS = {
    'before the first part, which is decided': 'os.mkdir */checkpoints/student1',
    'in a part, after its first checkpoint': 'os.rename */checkpoints/student2/4.orbax-checkpoint-tmp*',
}
RUN = (
    *FLAGS,
    '--config.method=greedy',
    '--config.cost.weight=1000000',
    '--config.train.save_every_epochs=0.25',
    '--config.train.student.epochs=2',
    '--config.train.qat.epochs=0',
)


@LONG
def test_killed_again_and_again_it_ends_as_the_run_that_nothing_interrupts(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(HOOK)
    environment = {
        'JAX_NUM_CPU_DEVICES': '1',
        'JAX_COMPILATION_CACHE_DIR': str(tmp_path / 'cache'),
        'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
        **QUICK_TO_COMPILE,
        'PYTHONPATH': str(tmp_path),
        'KILL_AT': 'none none',
    }
    assert end(start('experiments.train', *RUN, f'--workdir={tmp_path}/whole', **environment))[0] == 0
    command = ('experiments.train', *RUN, f'--workdir={tmp_path}/killed')
    for where, kill_at in KILLS.items():
        status, errors = end(start(*command, **environment | {'KILL_AT': kill_at}))
        assert status == -9, f'{where}: {errors}'
    assert end(start(*command, **environment))[0] == 0
    assert_same_run(tmp_path / 'killed', tmp_path / 'whole')
    assert len(json.loads((tmp_path / 'whole' / 'summary.json').read_text())['removed']) == 3


@LONG
def test_two_processes_decide_as_one_with_two_devices(tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    command = ('experiments.train', *RUN, '--config.train.teacher.epochs=0.5')
    one = start(*command, f'--workdir={tmp_path}/one', JAX_NUM_CPU_DEVICES='2', **QUICK_TO_COMPILE)
    assert end(one)[0] == 0
    flags = (*command, f'--workdir={tmp_path}/two', f'--coordinator_address=127.0.0.1:{port}', '--num_processes=2')
    two = [start(*flags, f'--process_id={index}', JAX_NUM_CPU_DEVICES='1', **QUICK_TO_COMPILE) for index in (0, 1)]
    ended = [end(process) for process in two]
    assert [status for status, _ in ended] == [0, 0], ended
    assert_same_run(tmp_path / 'two', tmp_path / 'one')


def of(table):
    """A function of a setting, from a table of the gates' values."""
    return lambda setting: table[tuple(setting.values())]


def test_the_choice_is_the_least_price_of_random_losses_and_costs():
    """Against every candidate; a skip that saves nothing is never worth a price."""
    rng = random.Random(0)
    for _ in range(200):
        setting = {f'g{index}': rng.randint(0, 1) for index in range(rng.randint(1, 5))}
        settings = [setting, *(greedy.closed(setting, gate) for gate in setting)]
        losses = {tuple(each.values()): rng.choice((0, 0.5, 1, 2, 5)) for each in settings}
        costs = {tuple(each.values()): rng.choice((0, 1, 2, 3)) for each in settings}
        prices = {}
        for gate in (gate for gate, value in setting.items() if value):
            after = setting | {gate: 0}
            raised, saved = of(losses)(after) - of(losses)(setting), of(costs)(setting) - of(costs)(after)
            prices[gate] = max(raised, 0) / saved if saved > 0 else math.inf
        for most in (0.0, 0.4, 1.0, 1e9, math.inf):
            found = greedy.choice(setting, of(losses), of(costs), most)
            worth = [price for price in prices.values() if price < most or most == math.inf]
            assert (found is None) == (not worth)
            assert found is None or prices[found['gate']] == min(worth)


def test_a_skip_that_costs_no_loss_goes_before_others_and_the_one_that_saves_most_first():
    losses = {(1, 1, 1): 1.0, (0, 1, 1): 0.9, (1, 0, 1): 0.8, (1, 1, 0): 1.1}
    costs = {(1, 1, 1): 1.0, (0, 1, 1): 0.75, (1, 0, 1): 0.875, (1, 1, 0): 0.25}
    found = greedy.choice(dict.fromkeys('abc', 1), of(losses), of(costs))
    assert found == {'gate': 'a', 'loss': [1.0, 0.9], 'cost': [1.0, 0.75]}


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'train__student__epochs': 3 / 22}, 'a batch or more for each of 3 skips and one more, but .* have 3 batches'),
        ({'cost__budget__fifo_bits': 1e9}, 'config.cost.weight is 1000000.0 beside a config.cost.budget'),
        ({'cost__weight': 0.1, 'cost__budget__fifo_bits': 0.0}, 'config.cost.budget: no setting of the gates meets'),
        ({'gates__p_open': 0.5}, "method 'greedy' does not use it"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        run.check(config_of(**changes))


def test_the_parts_add_up_to_the_phase():
    checked = run.check(config_of())
    for epochs in (4 / 22, 1.0, 7.3):
        phase = dataclasses.replace(student_phase(config_of(), warm=True), epochs=epochs)
        ends = greedy.parts(checked.graph, phase.epochs, 22)
        assert len(ends) == 5 and (ends[0], ends[-1]) == (0, round(epochs * 22)) and ends == sorted(set(ends))
