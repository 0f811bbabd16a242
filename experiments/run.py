"""One run, from data to an integer network: the phases that `experiments.train`, `.sweep` and `.compare` share.

    teacher    the network with every skip, in floating point
    student    warm-started from it or from scratch; its gates are learned, or follow the plan of its method (see `methods`)
    finetune   gates binarized, skips and dead projections gone, batch statistics settled
    qat        batch norms folded, weights and activations quantized: the network that is exported

Every phase ends in a checkpoint and starts from one if it is there, so an interrupted run goes on where it was.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import jax
import numpy as np

import costmodel
from experiments import config as config_lib
from experiments import dataset, methods, network, options, plan
from experiments.budget import Budget, budget_of, repair
from experiments.config import Config, ConfigError
from experiments.cost import HardwareCost, cost_of
from experiments.methods import METHODS
from experiments.network import build_graph
from experiments.phase import (
    Run,
    accuracy,
    load_teacher,
    phase_of,
    sample_images,
    teacher_config,
    train_phase,
    variables_of,
)
from experiments.quantization import check_bits, quantize
from experiments.summary import summary_header
from experiments.workdir import held
from tailor_jax import data, dirac, files, gates, model, rewrite
from tailor_jax import graph as graph_lib
from tailor_jax.graph import Graph
from tailor_jax.integers import qgraph
from tailor_jax.train import cluster, losses, step
from tailor_jax.train.metrics import Metrics
from tailor_jax.train.step import Objective


@dataclasses.dataclass(frozen=True)
class Checked:
    """What is known before anything is written."""

    source: data.Source
    graph: Graph
    cost: HardwareCost
    budget: Budget | None


@dataclasses.dataclass(frozen=True)
class Student:
    """A trained student: its variables for the graph with gates, the setting its gates end in, and what to tell of
    them.
    """

    variables: Mapping
    settings: dict[str, int]
    gate_values: Mapping
    told: dict


def check(config: Config) -> Checked:
    """Everything that can be known before anything is written: the data set, the network and its cost, or a
    ConfigError.
    """
    config_lib.validate(config)
    devices, batch_size = jax.device_count(), config.train.batch_size // config.train.accumulate
    if batch_size % devices:
        parts = f' in {config.train.accumulate} parts' if config.train.accumulate > 1 else ''
        raise ConfigError(
            f'config.train.batch_size {config.train.batch_size}{parts} is not divisible by {devices} devices'
        )
    source = dataset.load(config)
    if config.train.batch_size > source.train_size:
        raise ConfigError(
            f'config.train.batch_size {config.train.batch_size} exceeds the {source.train_size} training images of '
            f'{source.name}'
        )
    dataset.augmentation(config, source, jax.process_count())
    graph = build_graph(config, source)
    network.check_method(config, graph)
    options.check(config, graph)
    plan.check(config, graph, data.steps_per_epoch(source, config.train.batch_size))
    check_bits(config, graph)
    if config.train.teacher_workdir:
        teacher_config(config)
        network.check_teacher(graph, Path(config.train.teacher_workdir))
    cost = cost_of(config, graph)
    return Checked(source, graph, cost, budget_of(config, cost) if METHODS[config.method].gates == 'learned' else None)


def train(config: Config, workdir: Path, quiet: bool = False) -> dict:
    """Runs every phase and writes config.json, graph.json, qgraph.npz and summary.json into `workdir`; returns the
    summary.

    Raises ConfigError where the config does not fit the data or the devices, LockedError while another process works in
    `workdir`, and FileExistsError where it is of another config.
    """
    start = time.monotonic()
    checked = check(config)
    with held(workdir, 'config.json', config), _opened(config, checked.source, workdir, quiet) as run:
        network.keep(checked.graph, workdir)
        summary = _phases(run, checked)
        summary |= {
            'seconds': round(time.monotonic() - start, 2),
            'images_per_second': round(run.images / max(run.seconds, 1e-9), 1),
        }
        files.write(workdir / 'summary.json', json.dumps(summary, indent=2) + '\n')
    return summary


def train_teacher(config: Config, workdir: Path) -> str:
    """Trains only the teacher, or finds it trained; returns `workdir` as a value for `train.teacher_workdir`."""
    teacher_accuracy(config, workdir)
    return str(workdir)


def teacher_accuracy(config: Config, workdir: Path) -> float:
    """Trains only the teacher, or finds it trained; returns its accuracy on the test split."""
    checked = check(config)
    graph = _teacher_graph(checked.graph, config.method)
    workdir.mkdir(parents=True, exist_ok=True)
    with files.locked(workdir):
        network.keep(checked.graph, workdir)
        files.write(workdir / 'config.json', config_lib.to_json(config))  # runs that differ elsewhere share a teacher
        with _opened(config, checked.source, workdir, quiet=False) as run:
            return accuracy(run, 'teacher', graph, _teacher(run, graph))


def reference_cost(config: Config) -> Callable[[Mapping], float]:
    """{resource: number} -> the cost of skips on the scale of the plain residual network: 1 with all its skips, 0 with
    none.
    """
    plain = network.plain(config)
    return cost_of(plain, build_graph(plain, dataset.load(plain))).share


@contextlib.contextmanager
def _opened(config: Config, source: data.Source, workdir: Path, quiet: bool) -> Iterator[Run]:
    """A run in a workdir that this process has to itself."""
    metrics = Metrics(workdir, quiet)
    try:
        yield Run(config, workdir, source, metrics)
        metrics.complete()
    finally:
        metrics.close()


def _teacher_graph(graph: Graph, method: str) -> Graph:
    """The network as it was before any skip went, none of its skips gated."""
    return rewrite.binarize(graph, methods.before(graph, method))


def _teacher(run: Run, graph: Graph) -> dict:
    """The teacher's variables: trained here, or taken from `train.teacher_workdir`."""
    fresh = model.init(graph, run.config.seed)
    if run.config.train.teacher_workdir:
        return load_teacher(run, graph, fresh)
    objective = Objective(graph, compute_dtype=run.config.train.compute_dtype)
    return variables_of(train_phase(run, phase_of(run.config, 'teacher'), objective, fresh))


def _phases(run: Run, checked: Checked) -> dict:
    config, graph, cost = run.config, checked.graph, checked.cost
    method = METHODS[config.method]

    # ---- teacher
    # -----------------------------------------------------------------------------------------------------------
    whole, teacher, measured = _teacher_graph(graph, config.method), {}, {}
    if method.has_teacher:
        teacher = _teacher(run, whole)
        measured['teacher'] = accuracy(run, 'teacher', whole, teacher)
    taught = (
        {'teacher': whole, 'distill_share': config.distill.share, 'temperature': config.distill.temperature}
        if method.distills
        else {}
    )

    # ---- student: its skips go, or stay, as the method says
    # -----------------------------------------------------------------------
    student = _student(run, checked, taught, teacher)
    preserve = config.aids.preserve_variance and method.gates in ('learned', 'scheduled')
    measured['gated'] = accuracy(run, 'gated', graph, student.variables, student.gate_values, preserve)

    # ---- binarize, and settle the batch statistics of the pruned network
    # ---------------------------------------------------------
    variables = model.absorb_gain(graph, student.variables, student.settings) if preserve else student.variables
    pruned = rewrite.binarize(graph, student.settings)
    variables = model.restrict(variables, pruned)
    measured['binarized'] = accuracy(run, 'binarized', pruned, variables)
    objective = Objective(pruned, compute_dtype=config.train.compute_dtype, **taught)
    variables = variables_of(train_phase(run, phase_of(config, 'finetune'), objective, variables, teacher=teacher))
    measured['finetuned'] = accuracy(run, 'finetuned', pruned, variables)

    # ---- fold, quantize, train what is left
    # ----------------------------------------------------------------------------------
    integers, measured['quantized'] = quantize(run, pruned, variables, taught, teacher)

    files.write(run.workdir / 'graph.json', graph_lib.to_json(pruned))
    qgraph.save(integers, run.workdir / 'qgraph.npz')
    before, after = (costmodel.evaluate(each, cost.target).total for each in (whole, pruned))
    return {
        **summary_header(),
        'accuracy': measured,
        'gates': student.settings,
        **student.told,
        'rounding_accuracy_change': measured['binarized'] - measured['gated'],
        'cost': float(cost.share(after)),
        'hardware': {'before': before, 'after': after},
        'config': config.to_dict(),
    }


def _student(run: Run, checked: Checked, taught: Mapping, teacher: Mapping) -> Student:
    """Trains the network with gates from the teacher's weights or from scratch."""
    config, graph, method = run.config, checked.graph, METHODS[run.config.method]
    phase = phase_of(config, 'student')
    if not method.warm:
        settings = config.train.teacher
        recipe = {'learning_rate': settings.learning_rate, 'warmup_epochs': settings.warmup_epochs}
        phase = phase_of(config, 'student', settings=settings, epochs=plan.student_epochs(config), **recipe)
    start = model.init(graph, config.seed)  # nodes that the teacher lacks start fresh
    if method.warm:
        start = {kind: {**tree, **teacher.get(kind, {})} for kind, tree in start.items()}
    common = {'compute_dtype': config.train.compute_dtype, **taught}

    match method.gates:
        case 'chosen' | 'closed':
            settings = options.chosen(config, graph) if method.gates == 'chosen' else dict.fromkeys(graph.gates, 0)
            pruned = rewrite.binarize(graph, settings)
            variables = _train(run, phase, Objective(pruned, **common), model.restrict(start, pruned), teacher)
            return _decided(graph, _completed(start, variables), settings)
        case 'rounds':
            variables = start
            lengths = plan.rounds(config, graph, run.updates_per_epoch)
            for number, (settings, epochs) in enumerate(zip(methods.rounds(graph, len(lengths)), lengths), start=1):
                pruned = rewrite.binarize(graph, settings)
                part = phase_of(
                    config, 'student', number, epochs=epochs, warmup_epochs=phase.warmup_epochs / len(lengths)
                )
                variables = _completed(
                    start, _train(run, part, Objective(pruned, **common), model.restrict(variables, pruned), teacher)
                )
            return _decided(graph, variables, dict(settings))
        case 'scheduled':
            switches = plan.removal(config, graph, run.updates_per_epoch)
            objective = Objective(graph, **common, **_aids(run, phase.epochs))
            variables = _train(run, phase, objective, _with_dirac(config, graph, start), teacher, switches=switches)
            return _decided(graph, variables, methods.after(graph, config.method))
        case 'learned':
            return _learned(run, checked, common, start, teacher)
        case _:
            raise ConfigError(f'config.method {config.method!r} has gates {method.gates!r}, which no phase trains')


def _learned(run: Run, checked: Checked, common: Mapping, start: Mapping, teacher: Mapping) -> Student:
    """The student whose gates learn, under the cost's weight or a budget."""
    config, graph, budget = run.config, checked.graph, checked.budget
    phase = phase_of(config, 'student')
    terms = {'excess': budget} if budget else {'cost': checked.cost}
    objective = Objective(graph, **terms, **common, **_aids(run, phase.epochs))
    log_alpha = gates.init(graph.gates, config.gates.p_open)
    state = train_phase(run, phase, objective, _with_dirac(config, graph, start), gates=log_alpha, teacher=teacher)
    variables, log_alpha = _without_dirac(variables_of(state)), state.params['gates']
    p_open = {name: float(value) for name, value in gates.p_open(log_alpha).items()}
    told = {'p_open': p_open, 'gates_fractional': gates.fractional(log_alpha)}
    settings = gates.round_off(log_alpha)
    if budget:
        sample = sample_images(run)
        predict = step.predict(graph, preserve_variance=config.aids.preserve_variance)

        def loss(setting: Mapping[str, int]) -> float:
            values = {name: np.float32(value) for name, value in setting.items()}
            return float(
                np.mean(
                    losses.cross_entropy(
                        predict(variables, values, sample['image']), jax.numpy.asarray(sample['label'])
                    )
                )
            )

        settings, candidates = cluster.from_main(lambda: repair(budget, p_open, config.gates.repair_candidates, loss))
        told['budget'] = {
            'limits': dict(budget.limits),
            'rounded_gates': gates.round_off(log_alpha),
            'candidates': candidates,
        }
    return Student(variables, settings, gates.at_test(log_alpha), told)


def _train(run: Run, phase, objective: Objective, start: Mapping, teacher: Mapping, **kwargs) -> dict:
    return _without_dirac(variables_of(train_phase(run, phase, objective, start, teacher=teacher, **kwargs)))


def _completed(start: Mapping, variables: Mapping) -> dict:
    """Variables of a pruned network with those of the nodes it lacks, from `start`."""
    return {kind: {**tree, **variables.get(kind, {})} for kind, tree in start.items()}


def _decided(graph: Graph, variables: Mapping, settings: dict[str, int]) -> Student:
    """A student whose gates needed no rounding."""
    values = {name: np.float32(value) for name, value in settings.items()}
    return Student(
        variables,
        settings,
        values,
        {'p_open': {name: float(value) for name, value in settings.items()}, 'gates_fractional': 0.0},
    )


def _aids(run: Run, epochs: float) -> dict:
    aids = run.config.aids
    leaky = (aids.leaky_slope, run.steps(aids.leaky_epochs or epochs / 2)) if aids.leaky_slope else None
    return {'preserve_variance': aids.preserve_variance, 'leaky': leaky}


def _with_dirac(config: Config, graph: Graph, variables: Mapping) -> dict:
    trained = METHODS[config.method].warm
    return (
        {**variables, 'params': dirac.attach(graph, variables['params'], trained)}
        if config.aids.dirac
        else dict(variables)
    )


def _without_dirac(variables: Mapping) -> dict:
    return {**variables, 'params': jax.device_get(dirac.fold(variables['params']))}
