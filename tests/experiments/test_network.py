"""The network of a run: every network with a name trains, and so do a graph file and a builder of one's own; what does
not fit is refused before anything is written.
"""

import importlib
import itertools
import re
import types
from pathlib import Path

import pytest
from hypothesis import settings
from small_config import small_config
from trained import train_named

import costmodel
from experiments import network, run
from experiments.config import ConfigError, defaults, validate
from experiments.configs import digits
from tailor_jax import build, graph, rewrite
from tailor_jax.integers import qgraph

ROOT = Path(__file__).parents[2]
IMAGES = types.SimpleNamespace(image_shape=(8, 8, 1), classes=10)

# A network with a name, its images and its settings: all those that classify, but for ResNets, which other tests train.
BARE = {'method': 'static'}
TRAINED = {
    'vgg16': (
        (32, 32, 3),
        {'model.multiplier': 1 / 32, 'cost.target': 'pe_array', 'method': 'keep', 'train.student.epochs': 0.0},
    ),
    'squeezenet': ((32, 32, 3), {'model.multiplier': 1 / 16, 'cost.target': 'pe_array', **BARE}),
    'mobilenet_v2': ((16, 16, 1), {'model.multiplier': 0.1, **BARE}),
    'efficientnet_b1': (
        (16, 16, 1),
        {'model.multiplier': 0.1, 'model.depth_multiplier': 0.1, 'cost.target': 'pe_array', **BARE},
    ),
    'quartznet': ((1, 32, 8), {'model.multiplier': 1 / 32, 'model.repeats': 1, **BARE}),
}
DETECTORS = ('yolov3', 'retinanet_r50_fpn')


def test_every_network_is_trained_or_no_classifier():
    """Here, or by `train_named` in the test of its own module."""
    assert {build.named(name).input.shape for name in DETECTORS} == {(416, 416, 3), (512, 512, 3)}
    tests = '\n'.join(path.read_text(encoding='utf-8') for path in (ROOT / 'tests' / 'graph').glob('test_*.py'))
    elsewhere = set(re.findall(r"train_named\(\s*'(\w+)'", tests))
    assert {*TRAINED, *DETECTORS, *elsewhere, 'resnet', 'squeezenet1_1'} == {*build.NETWORKS}


# The slowest to compile train where time is given: HYPOTHESIS_PROFILE=thorough, make laws.
LONG = () if settings.default.max_examples > 25 else ('efficientnet_b1', 'mobilenet_v2', 'squeezenet', 'vgg16')


@pytest.mark.parametrize('name', [name for name in TRAINED if name not in LONG])
def test_a_network_with_a_name_trains_is_quantized_and_priced(name, tmp_path):
    train_named(name, *TRAINED[name], tmp_path)


@pytest.mark.parametrize('name', DETECTORS)
def test_a_detector_is_no_classifier(name):
    config = defaults()
    config.model.name = name
    source = types.SimpleNamespace(image_shape=(64, 64, 3), classes=10)
    with pytest.raises(ConfigError, match=rf'config.model.name {name} gives \(1, 1, \d+\); expected \(1, 1, 10\)'):
        network.build_graph(config, source)


# ---- the examples of docs/networks.md
# ---------------------------------------------------------------------------------------


@pytest.fixture
def examples(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'docs' / 'examples')


@pytest.mark.parametrize('name, target', [('two_skips', 'dataflow'), ('unet', 'pe_array')])
def test_the_expected_cost_of_an_example_is_that_of_its_pruned_networks(name, target, examples):
    net, priced = importlib.import_module(name).net(), getattr(costmodel, target)()
    assert len(net.gates) == 2
    priced = costmodel.settled(net, priced)
    table = costmodel.tabulate(net, priced)
    for setting in itertools.product((0, 1), repeat=2):
        settings = dict(zip(net.gates, setting))
        total = costmodel.evaluate(rewrite.binarize(net, settings), priced).total
        expected = costmodel.expected(table, {gate: float(z) for gate, z in settings.items()})
        assert {key: float(value) for key, value in expected.items()} == {key: total[key] for key in expected}


def trained(workdir, target, **source):
    """The summary of a run of two steps a phase."""
    config = digits.get_config()
    config.model.update(source)
    config.cost.target = target
    for phase in ('teacher', 'student', 'finetune', 'qat'):
        config.train[phase].epochs = 2 / 22
    return run.train(config, workdir, quiet=True)


def test_two_skips_train_from_their_builder_and_from_their_file_alike(examples, tmp_path):
    net = importlib.import_module('two_skips').net(width=4)
    graph.save(net, tmp_path / 'net.json')
    one = trained(tmp_path / 'one', 'dataflow', builder='two_skips:net', width=4)
    other = trained(tmp_path / 'other', 'dataflow', graph=str(tmp_path / 'net.json'))
    for key in ('accuracy', 'gates', 'p_open', 'hardware'):
        assert one[key] == other[key]
    assert set(one['gates']) == set(net.gates)
    assert (tmp_path / 'one' / 'network.json').read_bytes() == (tmp_path / 'net.json').read_bytes()


def test_the_unet_trains(examples, tmp_path):
    summary = trained(tmp_path / 'w', 'pe_array', builder='unet:net', width=2)
    pruned = rewrite.binarize(importlib.import_module('unet').net(width=2), summary['gates'])
    assert qgraph.load(tmp_path / 'w' / 'qgraph.npz').graph == rewrite.fold(pruned)


def test_an_example_writes_the_file_that_the_page_prints(examples, tmp_path, monkeypatch):
    """The graph file on the page is the first and the last lines of what two_skips.py writes."""
    path = tmp_path / 'two_skips.json'
    graph.save(importlib.import_module('two_skips').net(), path)
    page = (ROOT / 'docs' / 'networks.md').read_text(encoding='utf-8')
    printed = [line.removeprefix('    ') for line in page.splitlines() if line.startswith(('    {"', '    ]}'))]
    lines = path.read_text().splitlines()
    assert len(printed) == 6 and set(printed) <= set(lines) and printed[0] == lines[0] and printed[-1] == lines[-1]


def test_the_page_lists_every_field_and_method_of_the_builder():
    from tailor_jax.node import Node

    page = (ROOT / 'docs' / 'networks.md').read_text(encoding='utf-8')
    methods = [name for name in vars(build.Builder) if not name.startswith('_') and callable(vars(build.Builder)[name])]
    fields = [name for name in Node.__dataclass_fields__]
    for name in (*fields, *(f'{name}(' for name in methods), *build.NETWORKS):
        assert re.search(rf'`[^`]*\b{re.escape(name)}', page), name


# ---- what is refused
# --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'changes, message',
    [
        (
            {'multiplier': 2.0},
            'config.model.multiplier is 2.0, but resnet has no multiplier; it takes depth, width, skips',
        ),
        ({'name': 'vgg16', 'depth': 8}, 'config.model.depth is 8, but vgg16 has no depth; it takes multiplier, skips'),
        ({'name': 'resnet14', 'depth': 8}, "config.model.depth is 8, but config.model.name is 'resnet14'"),
        ({'name': 'sqeezenet'}, "config.model.name is 'sqeezenet': .*did you mean 'squeezenet'"),
        ({'name': 'vgg16', 'graph': 'x.json'}, "config.model.graph is 'x.json' beside config.model.name 'vgg16'"),
        ({'graph': 'x.json', 'builder': 'a:b'}, "config.model.builder is 'a:b' beside config.model.graph 'x.json'"),
        ({'graph': 'x.json', 'width': 4}, 'config.model.width is 4, but a graph file has no width'),
        ({'builder': 'mine'}, "config.model.builder is 'mine'; expected package.module:function"),
    ],
)
def test_keys_that_do_not_fit_are_refused_before_data_are_seen(changes, message):
    config = defaults()
    config.model.update(changes)
    with pytest.raises(ConfigError, match=message):
        validate(config)


def own(tmp_path, monkeypatch, body):
    """The config of a builder `own:net` with this body."""
    (tmp_path / 'own.py').write_text(
        f'from tailor_jax import build\ndef net(input_shape, classes, width=4):\n    {body}\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(importlib.sys.modules, 'own', raising=False)
    config = digits.get_config()
    config.model.builder = 'own:net'
    return config


@pytest.mark.parametrize(
    'body, message',
    [
        ('1 / 0', r'ZeroDivisionError: division by zero \(.*own.py, line 3\)'),
        ('raise type("Odd", (Exception,), {"__str__": lambda self: 1 / 0})', 'Odd: an error without a text'),
        ('return type("Odd", (), {"__repr__": lambda self: 1 / 0})()', 'gives a Odd; expected'),
        ('raise SystemExit(0)', 'SystemExit: 0'),
        ('build.resnet(9)', 'ValueError: resnet depth must be'),
        ('pass', 'gives None; expected a tailor_jax.graph.Graph'),
        ('return 3', 'gives 3; expected a tailor_jax.graph.Graph'),
        ('return build.resnet(8, (4, 4, 1), width=4)', r'takes \(4, 4, 1\); expected \(8, 8, 1\)'),
        ('return build.resnet(8, input_shape, 11, width=4)', r'gives \(1, 1, 11\); expected \(1, 1, 10\)'),
    ],
)
def test_a_builder_that_fails_is_told_in_one_line(body, message, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=f'^config.model.builder own:net:? {message}') as caught:
        network.build_graph(own(tmp_path, monkeypatch, body), IMAGES)
    assert '\n' not in str(caught.value)


def test_a_builder_that_is_not_there_or_does_not_take_a_key(tmp_path, monkeypatch):
    config = own(tmp_path, monkeypatch, 'return build.resnet(8, input_shape, classes, width)')
    config.model.width = 8
    assert network.build_graph(config, IMAGES) == build.resnet(8, (8, 8, 1), 10, 8)
    config.model.depth = 8
    with pytest.raises(ConfigError, match='config.model.depth is 8, but own:net has no depth; it takes width'):
        network.build_graph(config, IMAGES)
    config.model.depth = None
    for builder, message in (('own:nat', "AttributeError: .*'nat'"), ('nowhere_at_all:net', 'ModuleNotFoundError')):
        config.model.builder = builder
        with pytest.raises(ConfigError, match=f'config.model.builder {builder}: {message}'):
            network.build_graph(config, IMAGES)


def test_a_graph_file_that_does_not_fit(tmp_path):
    config, path = digits.get_config(), tmp_path / 'net.json'
    config.model.graph = str(path)
    with pytest.raises(ConfigError, match=r'config.model.graph is .*, which does not exist'):
        network.build_graph(config, IMAGES)
    path.write_text('{')
    with pytest.raises(ConfigError, match=r'config.model.graph: .*net.json is damaged, or no JSON'):
        network.build_graph(config, IMAGES)
    graph.save(build.resnet(8, (8, 8, 3), 10, 4), path)
    with pytest.raises(
        ConfigError, match=r'net.json takes \(8, 8, 3\); expected \(8, 8, 1\), for images of \(8, 8, 1\)'
    ):
        network.build_graph(config, IMAGES)
    config.model.graph = str(tmp_path)
    with pytest.raises(ConfigError, match='config.model.graph: '):
        network.build_graph(config, IMAGES)


@pytest.mark.parametrize(
    'method, skips, message',
    [
        ('shorten', 'long', "gate 's1b0_long' is of no block that holds both"),
        ('shorten', 'long+short', "gate 's1b0_short1' is of no block that holds both"),
        ('nonresnet', 'long', "that of gate 's1b0_long' goes over 2;"),
        ('nonresnet', 'short', "that of gate 's1b0_short1' goes over 1 and is added elsewhere"),
        ('remove', 'none', "config.method is 'remove', but the network has no gates"),
    ],
)
def test_a_method_that_needs_another_structure(method, skips, message):
    config = small_config()
    config.method, config.model.skips = method, skips
    with pytest.raises(ConfigError, match=message):
        run.check(config)


@pytest.mark.parametrize(
    'method, skips',
    [('shorten', 'long_post+short'), ('nonresnet', 'short_pre'), ('keep', 'none'), ('gates', 'long+short')],
)
def test_a_method_that_has_its_structure(method, skips):
    config = small_config()
    config.method, config.model.skips = method, skips
    run.check(config)


def test_what_dataflow_does_not_run_says_so_and_where_it_is_priced():
    config = digits.get_config()
    config.model.builder, config.cost.target = 'tailor_jax.build:efficientnet_b1', 'dataflow'
    with pytest.raises(ConfigError, match="config.cost.target is 'dataflow': node 'stem_swish'.*pe_array prices"):
        run.check(config)


# ---- a network that changes under a run
# -------------------------------------------------------------------------------------


def test_a_run_is_not_gone_on_with_after_its_graph_file_has_changed(tmp_path):
    """Nor is its teacher taken; the file put back, it goes on."""
    first, second = (build.resnet(8, (8, 8, 1), width=width) for width in (2, 4))
    config = small_config()
    config.model.update(depth=None, width=None, graph=str(tmp_path / 'net.json'))
    for phase in ('teacher', 'student', 'finetune', 'qat'):
        config.train[phase].epochs = 1 / 22
    graph.save(first, tmp_path / 'net.json')
    accuracy = run.teacher_accuracy(config, tmp_path / 'w')
    kept = {path: path.read_bytes() for path in (tmp_path / 'w').glob('*.json*')}
    graph.save(second, tmp_path / 'net.json')
    with pytest.raises(FileExistsError, match='w/network.json is another network than config.model gives now'):
        run.train(config, tmp_path / 'w', quiet=True)
    assert all(path.read_bytes() == content for path, content in kept.items())
    other = digits.get_config()
    other.update(config.to_dict())
    other.train.teacher_workdir = str(tmp_path / 'w')
    with pytest.raises(ConfigError, match='teacher_workdir is .*, whose network.json is another network'):
        run.check(other)
    graph.save(first, tmp_path / 'net.json')
    assert run.teacher_accuracy(config, tmp_path / 'w') == accuracy
    run.check(other)
    (tmp_path / 'w' / 'network.json').unlink()
    with pytest.raises(ConfigError, match=r'but no network\.json is there'):
        run.check(other)
    (tmp_path / 'w' / 'network.json').write_text('{')
    with pytest.raises(graph.GraphError, match=r'w/network\.json is damaged.*put a good copy in its place'):
        run.teacher_accuracy(config, tmp_path / 'w')


def test_the_keys_that_are_not_given_are_the_builders_own():
    config = defaults()
    assert network.build_graph(config, IMAGES) == build.resnet(input_shape=(8, 8, 1))
    config.model.name = 'resnet14_short'
    assert network.skips_of(config) == 'short'
    assert network.build_graph(config, IMAGES) == build.resnet(14, (8, 8, 1), skips='short')
    assert network.build_graph(network.plain(config), IMAGES) == build.resnet(14, (8, 8, 1), skips='long')
    assert network.build_graph(network.plain(defaults()), IMAGES) == build.resnet(8, (8, 8, 1), skips='long')
