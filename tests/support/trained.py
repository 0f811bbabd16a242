"""A network with a name, trained for two steps a phase and held to what it was built as."""

import json
from pathlib import Path
from typing import Any

from tiny_set import CLASSES, tiny_config, tiny_set

import costmodel
from experiments import checks, run
from experiments.config import defaults
from experiments.cost import target_of
from experiments.export import export
from tailor_jax import build, graph, rewrite
from tailor_jax.integers import qgraph


def train_named(name: str, shape: tuple[int, int, int], settings: dict[str, Any], root: Path) -> dict[str, Any]:
    """The summary of a run in root/w, on images of this shape, with these keys of the config; what dataflow prices is
    exported to root/p.

    What is exported is the network as built less the skips that went, at the cost model's price; `run.train` itself
    proves that the integers are what training computed.
    """
    config = tiny_config(tiny_set(root / 'data', shape))
    config.model.name = name
    for key, value in settings.items():
        config[key] = value
    for key in checks.unused(config):
        config[key] = defaults()[key]
    config.train.finetune.epochs = 0.0
    workdir = root / 'w'
    summary = run.train(config, workdir, quiet=True)
    sizes = {key.removeprefix('model.'): value for key, value in settings.items() if key.startswith('model.')}
    net = build.named(name, shape, CLASSES, **sizes)
    assert graph.load(workdir / 'network.json') == net and set(summary['gates']) == set(net.gates)
    pruned = rewrite.binarize(net, summary['gates'])
    assert qgraph.load(workdir / 'qgraph.npz').graph == rewrite.fold(pruned)
    assert summary['hardware']['after'] == costmodel.evaluate(pruned, costmodel.settled(net, target_of(config))).total
    if config.cost.target == 'dataflow':
        export(workdir, root / 'p')
        told = json.loads((root / 'p' / 'hardware.json').read_text())
        assert told['total'] == summary['hardware']['after']
    return summary
