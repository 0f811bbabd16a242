"""One run, from data to an integer network: the phases that `experiments.train`, `.sweep` and `.compare` share.

    teacher    the network with every skip, in floating point
    student    warm-started from it or from scratch; its skips go, or stay, as its method says (see `methods`)
    finetune   gates binarized, skips and dead projections gone, batch statistics settled
    qat        batch norms folded, weights and activations quantized: the network that is exported

Every phase ends in a checkpoint and starts from one if it is there, so an interrupted run goes on where it was.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import costmodel
from experiments import config as config_lib
from experiments import dataset, network
from experiments.checks import Checked, check
from experiments.config import Config
from experiments.cost import comparable, cost_of, keep_folding
from experiments.methods import METHODS
from experiments.methods.method import Method, Net, Student, completed
from experiments.network import build_graph
from experiments.phase import Run, accuracy, phase_of, student_phase, train_phase
from experiments.quantization import quantize
from experiments.summary import summary_header
from experiments.teacher import check_kept, teacher_of
from experiments.workdir import held
from tailor_jax import data, files, model, rewrite
from tailor_jax import graph as graph_lib
from tailor_jax.graph import Graph
from tailor_jax.integers import qgraph
from tailor_jax.train.metrics import Metrics
from tailor_jax.train.step import Teacher

__all__ = ['build_graph', 'check', 'reference_cost', 'teacher_accuracy', 'train', 'train_teacher']


def train(config: Config, workdir: Path, quiet: bool = False) -> dict:
    """Runs every phase; writes config.json, graph.json, qgraph.npz and summary.json, and returns the summary.

    Raises ConfigError where the config does not fit the data or the devices, LockedError while another process works in
    `workdir`, and FileExistsError where it is of another config.
    """
    start = time.monotonic()
    checked = check(config)
    with held(workdir, 'config.json', config), _opened(config, checked.source, workdir, quiet) as run:
        network.keep(checked.graph, workdir)
        keep_folding(config, checked.graph, workdir)
        summary = _phases(run, checked)
        summary |= {
            'seconds': round(time.monotonic() - start, 2),
            'images_per_second': round(run.images / max(run.seconds, 1e-9), 1),
        }
        files.write(workdir / 'summary.json', json.dumps(summary, indent=2) + '\n')
    return summary


def _phases(run: Run, checked: Checked) -> dict:
    """The run, from its first phase to its summary."""
    config, graph, method = run.config, checked.graph, METHODS[run.config.method]
    measured: dict[str, float] = {}

    # ---- teacher: the network before any skip went
    whole, teacher = method.of_teacher(graph), None
    if method.has_teacher:
        teacher = teacher_of(run, whole, method.distills)
        measured['teacher'] = accuracy(run, 'teacher', whole, teacher.variables)

    # ---- student: its skips go, or stay, as the method says
    student = method.train(run, _net(config, checked, method, teacher), teacher)
    preserve = config.aids.preserve_variance
    measured['gated'] = accuracy(run, 'gated', graph, student.variables, student.gate_values, preserve)

    # ---- finetune: the pruned network settles
    pruned, variables = _pruned(graph, student, preserve)
    measured['binarized'] = accuracy(run, 'binarized', pruned, variables)
    variables = train_phase(run, phase_of(config, 'finetune'), pruned, variables, teacher).variables
    measured['finetuned'] = accuracy(run, 'finetuned', pruned, variables)

    # ---- quantize: folded, quantized, and trained as the integers that are exported
    integers, measured['quantized'] = quantize(run, pruned, variables, teacher)
    files.write(run.workdir / 'graph.json', graph_lib.to_json(pruned))
    qgraph.save(integers, run.workdir / 'qgraph.npz')

    return _summary(config, checked, whole, pruned, student, measured)


def _net(config: Config, checked: Checked, method: Method, teacher: Teacher | None) -> Net:
    """The student before its training, from the teacher's weights or from scratch."""
    start = model.init(checked.graph, config.seed)
    if method.warm and teacher:
        start = completed(teacher.variables, start)  # nodes that the teacher lacks start fresh
    phase = student_phase(config, method.warm)
    return Net(checked.graph, start, method.warm, phase, checked.cost, checked.budget)


def _pruned(graph: Graph, student: Student, preserve_variance: bool) -> tuple[Graph, dict]:
    """The network with the student's gates binarized, and its variables."""
    variables, pruned = student.variables, rewrite.binarize(graph, student.settings)
    if preserve_variance:
        variables = model.absorb_gain(graph, variables, student.settings)
    return pruned, model.restrict(variables, pruned)


def _summary(
    config: Config, checked: Checked, whole: Graph, pruned: Graph, student: Student, measured: Mapping[str, float]
) -> dict:
    """The content of summary.json but for how long it took; see docs/training.md."""
    target = checked.cost.target
    before, after = (costmodel.evaluate(each, comparable(each, target)).total for each in (whole, pruned))
    return {
        **summary_header(),
        'accuracy': measured,
        'gates': student.settings,
        **student.told,
        'rounding_accuracy_change': measured['binarized'] - measured['gated'],
        'cost': float(checked.cost.share(after)),
        'hardware': {'before': before, 'after': after},
        'config': config.to_dict(),
    }


def train_teacher(config: Config, workdir: Path) -> str:
    """Trains only the teacher, or finds it trained; returns `workdir` as a value for `train.teacher_workdir`."""
    teacher_accuracy(config, workdir)
    return str(workdir)


def teacher_accuracy(config: Config, workdir: Path) -> float:
    """Trains only the teacher, or finds it trained; returns its accuracy on the test split."""
    checked = check(config)
    graph = METHODS[config.method].of_teacher(checked.graph)
    workdir.mkdir(parents=True, exist_ok=True)
    with files.locked(workdir):
        check_kept(config, checked.graph, workdir)
        files.write(workdir / 'config.json', config_lib.to_json(config))  # runs that differ elsewhere share a teacher
        network.keep(checked.graph, workdir)
        with _opened(config, checked.source, workdir, quiet=False) as run:
            return accuracy(run, 'teacher', graph, teacher_of(run, graph, distills=False).variables)


def reference_cost(config: Config) -> Callable[[Mapping], float]:
    """{resource: number} -> the cost of skips on the scale of the plain residual network: 1 with all its skips, 0 with
    none, and 0 of a network whose skips cost nothing.
    """
    plain = network.plain(config)
    return cost_of(plain, build_graph(plain, dataset.load(plain)), charged=False).share


@contextlib.contextmanager
def _opened(config: Config, source: data.Source, workdir: Path, quiet: bool) -> Iterator[Run]:
    """A run in a workdir that this process has to itself."""
    metrics = Metrics(workdir, quiet)
    try:
        yield Run(config, workdir, source, metrics)
        metrics.complete()
    finally:
        metrics.close()
