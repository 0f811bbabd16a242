"""The methods through the whole road, and the comparison of them."""

import csv
import types

import numpy as np
import pytest

import costmodel
from experiments import compare, grid, network, run
from experiments import config as config_lib
from experiments.config import ConfigError
from experiments.configs import digits_resnet8
from experiments.cost import RESOURCES, kept_design, target_of
from experiments.methods import METHODS, method
from experiments.workdir import FINISHED, prepare_comparison
from tailor_jax import build, data, graph, rewrite


def small_config():
    config = digits_resnet8.get_config()
    config.model.width = 4
    config.cost.dataflow.interval_cycles = 4096
    config.data.update(train_split='train[:30%]', test_split='test[:50%]')
    for phase in config_lib.PHASES:
        config.train[phase].epochs = 1.0
    return config


def test_a_comparison_trains_each_method_and_tells_mean_and_spread(tmp_path):
    entries, config = ['shorten', 'nonresnet'], small_config()
    config.train.student.epochs, config.train.finetune.epochs = 3.0, 0.0
    directory = prepare_comparison(config, str(tmp_path / 'c'), overwrite=False)
    rows = compare.compare(config, directory, entries, [0])
    with (directory / 'comparison.csv').open() as file:
        assert [(row['method'], row['seed']) for row in csv.DictReader(file)] == [(entry, '0') for entry in entries]
    assert (directory / 'comparison.png').read_bytes().startswith(b'\x89PNG')
    assert all(row['method'] in (directory / 'comparison.md').read_text() for row in rows)
    # What each ends with is the network that the builder makes without learnable gates, priced on the scale of the
    # residual network.
    plain = {'shorten': 'short', 'nonresnet': 'none'}
    for row in rows:
        saved = graph.from_json((directory / f'{row["method"]}_seed0' / 'graph.json').read_text())
        built = build.resnet(8, (8, 8, 1), width=4, skips=plain[row['method']])
        assert saved == rewrite.binarize(built, dict.fromkeys(built.gates, 1))
        whole, run_of = build.resnet(8, (8, 8, 1), width=4), directory / f'{row["method"]}_seed0'
        target = costmodel.settled(whole, target_of(config))
        ends = [
            costmodel.evaluate(rewrite.binarize(whole, dict.fromkeys(whole.gates, kept)), target).total
            for kept in (0, 1)
        ]
        own = kept_design(config, network.kept(run_of / network.FILE), run_of)
        cost = costmodel.evaluate(saved, own).total
        parts = [
            (cost[name] - ends[0][name]) / (ends[1][name] - ends[0][name])
            for name in RESOURCES['dataflow']
            if ends[0][name] < ends[1][name]
        ]
        assert row['cost'] == pytest.approx(np.mean(parts), abs=1e-5)
    before = {path: path.stat().st_mtime_ns for path in directory.glob('*/summary.json')}
    assert len(before) == 2
    compare.compare(config, directory, entries, [0])
    assert before == {path: path.stat().st_mtime_ns for path in directory.glob('*/summary.json')}
    table = (directory / 'comparison.csv').read_text()
    assert compare.compare(config, directory, entries[:1], [0]) == rows  # what other commands trained there stays
    assert (directory / 'comparison.csv').read_text() == table
    lost = directory / 'shorten_seed0' / 'qgraph.npz'  # a summary alone is no finished run
    content = lost.read_bytes()
    lost.unlink()
    compare.compare(config, directory, entries, [0])
    assert lost.read_bytes() == content


def test_mean_and_standard_deviation():
    values = [0.5, 0.7, 0.9]
    row = {'skips_kept': 1, 'cost': 0.5, 'accuracy_float': 0.5, 'lut': 10}
    rows = [{'method': 'keep', 'seed': seed, 'accuracy_quantized': value, **row} for seed, value in enumerate(values)]
    (only,) = compare.summarized(rows)
    assert only['accuracy_quantized'] == (pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)))
    assert '70.00 ± 20.00 %' in compare.markdown(rows)


def test_a_budget_is_met_with_every_option_on(tmp_path):
    """Budget, aids, accumulation, bfloat16, learned scales, single widths: what is exported meets the budget and is
    exact (run.train proves it).
    """
    config = small_config()
    config.aids.update(preserve_variance=True, dirac=True, leaky_slope=0.2)
    config.train.update(accumulate=2, compute_dtype='bfloat16', schedule='step')
    config.quant.update(scales='learned', weight_bits_of='s1b0_conv1=4', activation_bits_of='s2b0_conv1=6')
    none, every = run.check(config).cost.bounds['fifo_bits']
    config.gates.repair_candidates = 3
    limit = (none + every) / 2
    config.cost.budget.update(fifo_bits=limit, lut=1e6)
    summary = run.train(config, tmp_path / 'w', quiet=True)
    exported = summary['hardware']['after']['fifo_bits']
    assert exported <= limit < summary['hardware']['before']['fifo_bits'] == every
    saved = graph.from_json((tmp_path / 'w' / 'graph.json').read_text())
    own = kept_design(config, network.kept(tmp_path / 'w' / network.FILE), tmp_path / 'w')
    assert costmodel.evaluate(saved, own).total['fifo_bits'] == exported
    candidates = summary['budget']['candidates']
    assert summary['gates'] == min(candidates, key=lambda row: row['loss'])['gates'] and len(candidates) >= 2
    config.cost.budget.update(fifo_bits=10.0)
    with pytest.raises(ConfigError, match='config.cost.budget: no setting of the gates meets the budget'):
        run.check(config)
    config.cost.budget.update(fifo_bits=None, dram_bytes=10.0)
    with pytest.raises(ConfigError, match="config.cost.budget limits 'dram_bytes'; on this target it can limit bram18"):
        run.check(config)


def test_a_share_of_the_device_is_a_budget_of_each_of_its_resources():
    config = small_config()
    config.cost.budget.device_share = 0.5
    limits = dict(run.check(config).budget.limits)
    device = costmodel.devices.device(config.cost.dataflow.device).capacity
    assert limits == {name: 0.5 * device[name] for name in limits} and {'lut', 'ff', 'dsp', 'bram18'} <= set(limits)


@pytest.mark.parametrize(
    'change, message',
    [
        ({'method': 'shorten'}, "gate 's1b0_long' is of no block that holds both; a ResNet with model.skips=long_post"),
        (
            {'method': 'remove', 'removal.every_epochs': 2.0},
            r'3 removals, 2 epochs apart, .* do not end within the 1 epochs .*; give less than 0.3333',
        ),
        (
            {'method': 'nonresnet', 'model.skips': 'short_pre', 'removal.rounds': 4},
            'config.removal.rounds is 4, but the network has 3 skips',
        ),
        (
            {'model.skips': 'long+short', 'aids.preserve_variance': True},
            "config.aids.preserve_variance: node 's1b0_short2'",
        ),
        (
            {'method': 'keep', 'gates.keep': 's1b0_long,s9'},
            "config.gates.keep names 's9'; expected all, none, or some of s1b0_long",
        ),
        (
            {'method': 'remove', 'removal.soften_epochs': 0.9},
            'removals that are spread must end within two thirds of the 1 epochs',
        ),
        (
            {'method': 'remove', 'cost.budget.lut': 10.0},
            "config.cost.budget.lut is 10.0, but method 'remove' does not use it; .*gates would",
        ),
        (
            {'method': 'static', 'aids.dirac': True},
            "config.aids.dirac is True, but method 'static' does not use it; gates, remove",
        ),
        ({'method': 'nonresnet'}, "that of gate 's1b0_long' goes over 2; a ResNet with model.skips=short_pre"),
        (
            {'aids.leaky_slope': 0.1, 'aids.leaky_epochs': 9.0},
            'config.aids.leaky_epochs is 9, but the phase has 1 epochs',
        ),
        ({'cost.budget.lut': 1e6, 'cost.weight': 0.5}, 'config.cost.weight is 0.5 beside a config.cost.budget'),
        (
            {'cost.pe_array.policy': 'retain'},
            "config.cost.pe_array.policy is 'retain', but config.cost.target is 'dataflow'; it is a setting of",
        ),
        ({'train.accumulate': 5}, 'config.train.batch_size 64 is not divisible by config.train.accumulate 5'),
        ({'train.accumulate': 32}, 'config.train.batch_size 64 in 32 parts is not divisible by 4 devices'),
        ({'quant.weight_bits_of': 'conv=x'}, "config.quant.weight_bits_of is 'conv=x'; expected NODE=BITS"),
        (
            {'quant.weight_bits_of': 'nowhere=4'},
            "config.quant.weight_bits_of names node 'nowhere', which the folded network does not have",
        ),
        (
            {'quant.activation_bits_of': 'stem_conv=40'},
            "gives node 'stem_conv' 40 bits; expected a width of 2 to 16 bits",
        ),
        ({'train.schedule': 'stpe'}, "config.train.schedule is 'stpe'.*did you mean 'step'"),
        ({'cost.budget.lut': -1.0}, 'config.cost.budget.lut is -1.0; expected a limit, not negative'),
    ],
)
def test_options_that_do_not_fit_together(change, message):
    config = small_config()
    config.update_from_flattened_dict(change)
    with pytest.raises(ConfigError, match=message):
        run.check(config)


@pytest.mark.parametrize(
    'entry, message',
    [
        ('gate', "--methods names 'gate'.*did you mean 'gates'"),
        ('keep:0.3', 'only .*gates take a weight'),
        ('gates:x', 'expected numbers'),
    ],
)
def test_entries_of_a_comparison(entry, message):
    with pytest.raises(ConfigError, match=message):
        compare.config_of(small_config(), entry)


def test_the_table_keeps_the_finished_runs_of_other_commands(tmp_path):
    for name in ('gates0.3_seed0', 'keep_seed2', 'keep_seed0', 'dynamic_scratch_seed0', 'teacher_long_seed0'):
        (tmp_path / name).mkdir()
        for file in FINISHED:
            (tmp_path / name / file).touch()
    (tmp_path / 'remove_seed0').mkdir()
    (tmp_path / 'remove_seed0' / 'summary.json').touch()  # alone it is no finished run
    assert list(compare._runs(tmp_path, ['shorten', 'keep'], [1, 0]).items()) == [
        ('shorten_seed1', 'shorten'),
        ('shorten_seed0', 'shorten'),
        ('keep_seed1', 'keep'),
        ('keep_seed0', 'keep'),
        ('keep_seed2', 'keep'),
        ('dynamic_scratch_seed0', 'dynamic_scratch'),
        ('gates0.3_seed0', 'gates:0.3'),
    ]
    for entry in ('gates:0.3', 'gates:1e-05', 'gates:.5', 'gates', *METHODS):
        assert compare._entry(compare._name(entry, 12)) == entry


def test_a_seed_that_no_run_of_a_comparison_has_is_refused():
    config = small_config()
    config.seed = 7
    flags = types.SimpleNamespace(config=config, workdir='w', methods='keep', seeds='0,1', overwrite=False)
    with pytest.raises(ConfigError, match='config.seed is 7, but the runs have the seeds 0,1 of --seeds'):
        compare.main(flags)


@pytest.mark.parametrize(
    'chosen, message',
    [
        ('remove', "config.method is 'remove', but the runs have the methods keep,gates:0.3 of --methods"),
        ('remvoe', "config.method is 'remvoe'; expected one of .*did you mean 'remove'"),
        ('gates', 'the method passed'),
        ('keep', 'the method passed'),
    ],
)
def test_a_method_that_no_run_of_a_comparison_has_is_refused(chosen, message, monkeypatch):
    def stop(*_):
        raise ConfigError('the method passed')

    monkeypatch.setattr(grid, 'check', stop)
    config = small_config()
    config.method = chosen
    flags = types.SimpleNamespace(config=config, workdir='w', methods='keep,gates:0.3', seeds='0', overwrite=False)
    with pytest.raises(ConfigError, match=message):
        compare.main(flags)


def test_every_method_starts_from_its_own_residual_network():
    """What the comparison's teachers are: the builder's networks, and for the shortener the long skips alone."""
    for entry in compare.DEFAULT_METHODS.split(','):
        config = compare.config_of(small_config(), entry)
        net = build.resnet(8, (8, 8, 1), width=4, skips=network.skips_of(config))
        teacher = rewrite.binarize(net, method.before(net, config.method == 'shorten'))
        adds = [node.name for node in teacher if node.op == 'add']
        kind = {'shorten': 'long_post', 'nonresnet': 'short1'}.get(entry, 'long')
        assert adds == [f's{stage}b0_{kind}' for stage in (1, 2, 3)], entry


def supernet(input_shape, classes, skips='long_post+short'):
    """A builder of one's own: its network fits `keep` and `shorten`."""
    return build.resnet(8, input_shape, classes, width=4, skips=skips)


def own_config():
    config = small_config()
    config.train.student.epochs = 3.0
    config.model.update(depth=None, width=None, skips=None, builder=f'{__name__}:supernet')
    return config


def test_methods_whose_teachers_differ_do_not_share_one():
    """Of one's own network no word tells them apart, and the nodes that both have are called the same."""
    keep, remove, shorten = points = compare.points(own_config(), ['keep', 'remove', 'shorten'], [0])
    assert keep.shared == remove.shared != shorten.shared
    grid.check(points)
    with pytest.raises(ConfigError, match="keep_seed0 and b cannot share .*: it has other skips under method 'keep'"):
        grid.check([keep, grid.Point('b', shorten.config, keep.shared)])


def test_a_teacher_of_another_method_is_refused_where_its_network_differs(tmp_path):
    keep, remove, shorten = (point.config for point in compare.points(own_config(), ['keep', 'remove', 'shorten'], [0]))
    network.keep(run.check(keep).graph, tmp_path)
    (tmp_path / 'config.json').write_text(config_lib.to_json(keep))
    for config in (remove, shorten):
        config.train.teacher_workdir = str(tmp_path)
    run.check(remove)
    with pytest.raises(ConfigError, match="whose teacher is of another network: method 'keep' has other skips in it"):
        run.check(shorten)
    shorten.train.teacher_workdir = ''
    with pytest.raises(FileExistsError, match="config.json is of method 'keep', whose teacher has other skips than"):
        run.train_teacher(shorten, tmp_path)


@pytest.mark.parametrize('name, skips', [('vgg16', 'none'), ('mobilenet_v2', 'long'), ('resnet8_short', 'short')])
def test_a_named_network_keeps_the_skips_that_it_has(name, skips):
    config = small_config()
    config.method = 'keep'
    config.model.update(name=name, depth=None, width=None, skips=None)
    assert compare.config_of(config, 'keep').model == config.model
    assert network.skips_of(config) == skips
    usual = network.plain(config)
    assert network.skips_of(usual) == ('none' if name == 'vgg16' else 'long')
    config_lib.validate(usual)


def test_a_name_that_says_where_skips_are_gives_way_to_what_a_method_takes():
    config = small_config()
    config.model.update(name='resnet8_short', depth=None, skips=None)
    for entry, skips in (('keep', 'short'), ('shorten', 'long_post+short'), ('nonresnet', 'short_pre')):
        each = compare.config_of(config, entry)
        assert network.skips_of(each) == skips and network.build_graph(each, data.load('digits')).gates


def test_the_scale_of_a_network_without_skips_is_zero():
    config = small_config()
    config.method = 'keep'
    config.model.update(depth=None, width=None, skips=None, builder=f'{__name__}:bare')
    assert run.reference_cost(config)({}) == 0.0


def bare(input_shape, classes):
    return build.resnet(8, input_shape, classes, width=4, skips='none')


def test_a_network_without_skips_under_a_method_that_needs_them():
    config = small_config()
    config.model.update(name='resnet8_none', depth=None, skips=None)
    with pytest.raises(ConfigError, match="config.method is 'gates', but the network has no gates; method keep trains"):
        run.check(config)
