"""One run, from data to an integer network: the phases that `experiments.train` and `experiments.sweep` share.

    teacher    the network with every skip, in floating point
    student    warm-started from it, a learnable gate on every skip, distillation and hardware cost in the loss
    finetune   gates binarized, skips and dead projections gone, batch statistics settled
    qat        batch norms folded, weights and activations quantized: the network that is exported

Every phase ends in a checkpoint and starts from one if it is there, so an interrupted run goes on where it was.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

import costmodel
from experiments import config as config_lib
from experiments import dataset
from experiments.config import ConfigError
from experiments.cost import HardwareCost, cost_of
from experiments.workdir import read_config, read_json, write
from tailor_jax import build, data, gates, model, qgraph, rewrite
from tailor_jax import graph as graph_lib
from tailor_jax.graph import Graph
from tailor_jax.lower import lower
from tailor_jax.qgraph import QGraph
from tailor_jax.quant import QuantSpec, calibrate
from tailor_jax.train import loop, step
from tailor_jax.train.checkpoint import Checkpoints
from tailor_jax.train.metrics import Metrics
from tailor_jax.train.optimizer import Recipe
from tailor_jax.train.step import Objective


@dataclasses.dataclass
class Run:
    """What the phases of one run share."""

    config: ConfigDict
    workdir: Path
    source: data.Source
    metrics: Metrics
    images: int = 0  # trained on in this process
    seconds: float = 0.0  # spent in training steps in this process

    @functools.cached_property
    def steps_per_epoch(self) -> int:
        return data.steps_per_epoch(self.source, self.config.train.batch_size)


def build_graph(config: ConfigDict, source: data.Source) -> Graph:
    """The network with its learnable gates that a config describes, for a data set's image shape and classes. Raises ConfigError."""
    width = config.model.width or None
    try:
        return build.resnet(config.model.depth, source.image_shape, source.classes, width, config.model.skips)
    except ValueError as error:
        raise ConfigError(f'config.model cannot be built for images of {source.image_shape}: {error}') from None


def check(config: ConfigDict) -> tuple[data.Source, Graph, HardwareCost]:
    """Everything that can be known before anything is written: the data set, the network and its cost, or a ConfigError."""
    devices, batch_size = jax.local_device_count(), config.train.batch_size
    if batch_size % devices:
        raise ConfigError(f'config.train.batch_size {batch_size} is not divisible by {devices} devices')
    source = dataset.load(config)
    if batch_size > source.train_size:
        raise ConfigError(f'config.train.batch_size {batch_size} exceeds the {source.train_size} training images of {source.name}')
    dataset.augmentation(config, source, jax.process_count())
    graph = build_graph(config, source)
    if config.train.teacher_workdir:
        _teacher_config(config)
    return source, graph, cost_of(config, graph)


def train(config: ConfigDict, workdir: Path, quiet: bool = False) -> dict:
    """Runs every phase and writes config.json, graph.json, qgraph.npz and summary.json into `workdir`; returns the summary.

    Raises ConfigError where the config does not fit the data or the devices.
    """
    start = time.monotonic()
    source, graph, cost = check(config)
    run = _open(config, source, workdir, quiet)
    try:
        summary = _phases(run, graph, cost)
    finally:
        run.metrics.close()
    summary |= {'seconds': round(time.monotonic() - start, 2), 'images_per_second': round(run.images / max(run.seconds, 1e-9), 1)}
    write(workdir / 'summary.json', json.dumps(summary, indent=2) + '\n')
    return summary


def train_teacher(config: ConfigDict, workdir: Path) -> str:
    """Trains only the teacher, or finds it trained; returns `workdir` as a value for `train.teacher_workdir`."""
    source, graph, _ = check(config)
    run = _open(config, source, workdir, quiet=False)
    try:
        _teacher(run, _opened(graph))
    finally:
        run.metrics.close()
    return str(workdir)


def teacher_accuracy(config: ConfigDict, workdir: Path) -> float:
    """Trains only the teacher, or finds it trained; returns its accuracy on the test split."""
    source, graph, _ = check(config)
    run = _open(config, source, workdir, quiet=False)
    try:
        return _accuracy(run, 'teacher', _opened(graph), _teacher(run, _opened(graph)))
    finally:
        run.metrics.close()


def _open(config: ConfigDict, source: data.Source, workdir: Path, quiet: bool) -> Run:
    """Makes or reopens the workdir."""
    workdir.mkdir(parents=True, exist_ok=True)
    write(workdir / 'config.json', config_lib.to_json(config))
    return Run(config, workdir, source, Metrics(workdir, quiet))


def _opened(graph: Graph) -> Graph:
    """The network with every skip, none of them gated."""
    return rewrite.binarize(graph, dict.fromkeys(graph.gates, 1))


def _teacher(run: Run, open_graph: Graph) -> dict:
    """The teacher's variables: trained here, or taken from `train.teacher_workdir`."""
    fresh = model.init(open_graph, run.config.seed)
    if run.config.train.teacher_workdir:
        return _load_teacher(run, open_graph, fresh)
    return _phase(run, 'teacher', Objective(open_graph), fresh, {})[0]


def _phases(run: Run, graph: Graph, cost: HardwareCost) -> dict:
    config = run.config

    # ---- teacher -----------------------------------------------------------------------------------------------------------
    open_graph = _opened(graph)
    teacher = _teacher(run, open_graph)
    accuracy = {'teacher': _accuracy(run, 'teacher', open_graph, teacher)}
    taught = {'teacher': open_graph, 'distill_share': config.distill.share, 'temperature': config.distill.temperature}

    # ---- gates: learned under the expected cost --------------------------------------------------------------------------------
    start = gates.init(graph.gates, config.gates.p_open)
    student, log_alpha = _phase(run, 'student', Objective(graph, cost=cost, **taught), teacher, start, teacher)
    accuracy['gated'] = _accuracy(run, 'gated', graph, student, gates.at_test(log_alpha))
    settings = gates.round_off(log_alpha)

    # ---- binarize, and settle the batch statistics of the pruned network ---------------------------------------------------------
    pruned = rewrite.binarize(graph, settings)
    student = model.restrict(student, pruned)
    accuracy['binarized'] = _accuracy(run, 'binarized', pruned, student)
    student, _ = _phase(run, 'finetune', Objective(pruned, **taught), student, {}, teacher)
    accuracy['finetuned'] = _accuracy(run, 'finetuned', pruned, student)

    # ---- fold, quantize, train what is left ----------------------------------------------------------------------------------
    folded, params = rewrite.fold(pruned), model.fold_variables(pruned, student)
    spec = _quantization(run, folded, params)
    quantized, _ = _phase(run, 'qat', Objective(folded, spec, **taught), {'params': params}, {}, teacher)
    integers = lower(folded, jax.device_get(quantized['params']), dict(spec.activations), dict(spec.weights))
    accuracy['quantized'] = _check_exact(run, integers, folded, spec, quantized)

    write(run.workdir / 'graph.json', graph_lib.to_json(pruned))
    qgraph.save(integers, run.workdir / 'qgraph.npz')
    before, after = (costmodel.evaluate(each, cost.target).total for each in (open_graph, pruned))
    return {
        'accuracy': accuracy,
        'gates': settings,
        'p_open': {name: float(value) for name, value in gates.p_open(log_alpha).items()},
        'gates_fractional': gates.fractional(log_alpha),
        'rounding_accuracy_change': accuracy['binarized'] - accuracy['gated'],
        'cost': float(cost.share(after)),
        'hardware': {'before': before, 'after': after},
        'config': config.to_dict(),
    }


def _phase(run: Run, name: str, objective: Objective, variables: Mapping, log_alpha: Mapping, teacher: Mapping | None = None) -> tuple[dict, dict]:
    """Trains one phase, or restores it; returns the network's variables and the gates' parameters at its end."""
    config, settings, index = run.config, run.config.train[name], config_lib.PHASES.index(name)
    steps = config_lib.steps(settings.epochs, run.steps_per_epoch)
    recipe = Recipe(
        steps,
        settings.learning_rate,
        config.gates.learning_rate,
        settings.weight_decay,
        config_lib.steps(settings.warmup_epochs, run.steps_per_epoch),
        config.train.clip_norm,
    )
    seed = len(config_lib.PHASES) * config.seed + index
    context = step.Context(jax.numpy.uint32(seed), dict(teacher or {}), jax.numpy.float32(config.cost.weight))
    state = step.init_state(variables, log_alpha, recipe)

    def batches(first: int):
        host = data.train_batches(
            run.source,
            batch_size=config.train.batch_size,
            seed=seed,
            start_step=first,
            steps=steps - first,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            augment=dataset.augmentation(config, run.source, jax.process_count()),
        )
        return data.prefetch(host, devices=jax.local_devices())

    if steps:
        with Checkpoints(run.workdir / 'checkpoints' / name) as checkpoints:
            done, start = checkpoints.latest_step() or 0, time.monotonic()
            state = loop.fit(
                state,
                step.make_train_step(objective, recipe),
                batches,
                context,
                phase=name,
                steps=steps,
                steps_per_epoch=run.steps_per_epoch,
                batch_size=config.train.batch_size,
                metrics=run.metrics,
                checkpoints=checkpoints,
                log_every=config.train.log_every_steps,
                save_every=max(config_lib.steps(config.train.save_every_epochs, run.steps_per_epoch), 1),
            )
            run.images += (steps - done) * config.train.batch_size
            run.seconds += time.monotonic() - start
    state = jax.device_get(state)
    return {'params': state.params['net'], 'batch_stats': state.batch_stats}, state.params['gates']


def _teacher_config(config: ConfigDict) -> ConfigDict:
    """The config of the run at `train.teacher_workdir`. Raises ConfigError if there is none or if it is of another network."""
    workdir = Path(config.train.teacher_workdir)
    try:
        other = read_config(workdir / 'config.json')
    except FileNotFoundError:
        raise ConfigError(f'config.train.teacher_workdir is {str(workdir)!r}, but no config.json is there; give the workdir of a run') from None
    for key in ('model', 'data'):
        if other[key] != config[key]:
            raise ConfigError(
                f'config.train.teacher_workdir {str(workdir)!r} was trained with {key} = {other[key].to_dict()}, '
                f'but this config has {config[key].to_dict()}'
            )
    return other


def _load_teacher(run: Run, open_graph: Graph, fresh: Mapping) -> dict:
    """The teacher that another run trained. Raises ConfigError if it is not finished."""
    workdir, other = Path(run.config.train.teacher_workdir), _teacher_config(run.config)
    steps = config_lib.steps(other.train.teacher.epochs, data.steps_per_epoch(run.source, other.train.batch_size))
    with Checkpoints(workdir / 'checkpoints' / 'teacher') as checkpoints:
        if checkpoints.latest_step() != steps:
            raise ConfigError(
                f'config.train.teacher_workdir {str(workdir)!r} holds no finished teacher: step {checkpoints.latest_step() or 0} of {steps}'
            )
        settings = other.train.teacher
        recipe = Recipe(steps, settings.learning_rate, 0.0, settings.weight_decay, 0, other.train.clip_norm)
        state = jax.device_get(checkpoints.restore(step.init_state(fresh, {}, recipe)))
    return {'params': state.params['net'], 'batch_stats': state.batch_stats}


def _accuracy(run: Run, name: str, graph: Graph, variables: Mapping, gate_values: Mapping | None = None) -> float:
    batches = data.eval_batches(run.source, 'test', batch_size=min(512, run.source.test_size))
    value = loop.accuracy(step.predict(graph), variables, dict(gate_values or {}), batches)
    run.metrics.evaluation(name, value)
    return value


def _quantization(run: Run, folded: Graph, params: Mapping) -> QuantSpec:
    """The quantization types, chosen once: a resumed run takes those it started with."""
    path, quant = run.workdir / 'quant.json', run.config.quant
    if path.exists():
        return QuantSpec.from_json(read_json(path))
    images = next(iter(data.eval_batches(run.source, 'train', batch_size=min(quant.calibration_images, run.source.train_size))))['image']
    tensors = jax.jit(functools.partial(model.Net(folded).apply, capture=True))({'params': params}, images)
    spec = calibrate(folded, params, jax.device_get(tensors), quant.weight_bits, quant.activation_bits)
    integers = lower(folded, params, dict(spec.activations), dict(spec.weights))
    _exact_logits(integers, folded, spec, params, images)  # too wide, or inexact on this device: better now than after training
    write(path, json.dumps(spec.to_json(), indent=1) + '\n')
    return spec


def _check_exact(run: Run, integers: QGraph, folded: Graph, spec: QuantSpec, variables: Mapping) -> float:
    """Accuracy of the integer network on the test split, every logit of which must be the training forward pass's."""
    right = total = 0.0
    for batch in data.eval_batches(run.source, 'test', batch_size=min(512, run.source.test_size)):
        logits = _exact_logits(integers, folded, spec, variables['params'], batch['image'])
        right += float(np.sum((logits.argmax(-1) == batch['label']) * batch['weight']))
        total += float(np.sum(batch['weight']))
    run.metrics.evaluation('quantized', right / total)
    return right / total


def _exact_logits(integers: QGraph, folded: Graph, spec: QuantSpec, params: Mapping, images: np.ndarray) -> np.ndarray:
    """The integer reference's logits; raises AssertionError unless training's forward pass gives the same."""
    logits = qgraph.run_int(integers, qgraph.quantize_input(integers, images))
    trained = jax.device_get(step.predict(folded, spec)({'params': params}, {}, images))
    if not np.array_equal(trained, logits * np.float32(integers.output.out.step)):
        raise AssertionError('the training forward pass and the integer reference differ; this is a defect, please report it')
    return logits
