"""The last phase: batch norms folded, tensors quantized, and the proof that training computed what integers do."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping

import jax
import numpy as np

from experiments import config as config_lib
from experiments.config import ConfigError
from experiments.phase import Run, advice, phase_of, sample_images, train_phase
from tailor_jax import data, files, model, rewrite
from tailor_jax.fields import MOST_BYTES
from tailor_jax.graph import Graph, GraphError
from tailor_jax.integers import qgraph
from tailor_jax.integers.lower import lower
from tailor_jax.integers.qgraph import QGraph
from tailor_jax.quantization.quant import calibrate
from tailor_jax.quantization.scales import add_scales, settle
from tailor_jax.quantization.spec import QuantSpec
from tailor_jax.train import checkpoint, cluster, step
from tailor_jax.train.step import Teacher


def quantize(run: Run, graph: Graph, variables: Mapping, teacher: Teacher | None) -> tuple[QGraph, float]:
    """Folds, calibrates, trains and lowers a network; (the integer network, its accuracy on the test split)."""
    folded, params = rewrite.fold(graph), model.fold_variables(graph, variables)
    spec = QuantSpec.from_json(cluster.from_main(lambda: _calibrated(run, folded, params).to_json()))
    start = _with_scales(folded, params, spec) if run.config.quant.scales == 'learned' else params
    phase = phase_of(run.config, 'qat')
    trained = train_phase(run, phase, folded, {'params': start}, teacher, quant=spec)
    params, spec = settle(folded, trained.variables['params'], spec)
    integers = lower(folded, params, dict(spec.activations), dict(spec.weights))
    return integers, _proved_accuracy(run, integers, folded, spec, params)


def _with_scales(folded: Graph, params: Mapping, spec: QuantSpec) -> dict:
    try:
        return add_scales(folded, params, spec)
    except GraphError as error:
        raise ConfigError(f'{error}; take config.quant.scales=calibrated') from None


def check_bits(config, graph: Graph) -> None:
    """Raises ConfigError if a width is given for a node that the network does not have."""
    folded = rewrite.fold(graph)
    for key in ('quant.weight_bits_of', 'quant.activation_bits_of'):
        for name in config_lib.bits_of(config, key):
            if name not in folded.by_name:
                raise ConfigError(
                    f'config.{key} names node {name!r}, which the folded network does not have; it has '
                    f'{", ".join(folded.by_name)}'
                )


def _calibrated(run: Run, folded: Graph, params: Mapping) -> QuantSpec:
    """The quantization types, chosen once: a resumed run takes those that its checkpoints were trained with.

    quant.json tells of them.
    """
    noted = checkpoint.note(run.checkpoints('qat'))
    spec = _chosen(run, folded, params) if noted is None else QuantSpec.from_json(noted)
    path, text = run.workdir / 'quant.json', json.dumps(spec.to_json(), indent=1) + '\n'
    if path.exists() and files.read(path, MOST_BYTES) != text.encode():
        print(f'warning: {path} has changed, or is damaged; written again', file=sys.stderr)
    files.write(path, text)
    return spec


def _chosen(run: Run, folded: Graph, params: Mapping) -> QuantSpec:
    images, quant = sample_images(run)['image'], run.config.quant
    tensors = jax.jit(functools.partial(model.Net(folded).apply, capture=True))({'params': params}, images)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get((params, tensors)))):
        raise ConfigError(  # its weights were finite when they were saved, but what they compute is not
            'the trained network computes values that are NaN or infinite, which have no scale. '
            + advice(phase_of(run.config, 'finetune'))
        )
    widths = (config_lib.bits_of(run.config, f'quant.{kind}_bits_of') for kind in ('weight', 'activation'))
    spec = calibrate(folded, params, jax.device_get(tensors), quant.weight_bits, quant.activation_bits, *widths)
    integers = lower(folded, params, dict(spec.activations), dict(spec.weights))
    # Too wide, or inexact on this device: better now than after training.
    _exact_logits(integers, folded, spec, params, images)
    return spec


def _proved_accuracy(run: Run, integers: QGraph, folded: Graph, spec: QuantSpec, params: Mapping) -> float:
    """Accuracy of the integer network on the test split, every logit of which must be the training forward pass's."""
    right = total = 0.0
    for batch in data.eval_batches(run.source, 'test', batch_size=min(512, run.source.test_size)):
        logits = _exact_logits(integers, folded, spec, params, batch['image'])
        right += float(np.sum((logits.argmax(-1) == batch['label']) * batch['weight']))
        total += float(np.sum(batch['weight']))
    run.metrics.evaluation('quantized', right / total)
    return right / total


def _exact_logits(integers: QGraph, folded: Graph, spec: QuantSpec, params: Mapping, images: np.ndarray) -> np.ndarray:
    """The integer reference's logits; raises AssertionError unless training's forward pass gives the same."""
    logits = qgraph.run_int(integers, qgraph.quantize_input(integers, images))
    trained = jax.device_get(step.predict(folded, spec)({'params': params}, {}, images))
    if not np.array_equal(trained, logits * np.float32(integers.output.out.step)):
        raise AssertionError(
            'the training forward pass and the integer reference differ; this is a defect, please report it'
        )
    return logits
