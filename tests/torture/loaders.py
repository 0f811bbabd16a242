"""Every loader, fed with what it must refuse by name or read as it was; and the check of random configs.

A format that comes later joins `LOADERS`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import mutations
import numpy as np
import random_configs
from base import Base
from outcome import Try

from costmodel.array.settings import PEArray, pe_array, presets
from costmodel.streams.area import coefficients
from experiments import cli, dataset
from experiments.calibrate import scale
from experiments.config import validate
from experiments.fidelity import peers
from experiments.network import build_graph
from experiments.summary import read_csim, read_summary
from experiments.workdir import read_config
from hls_export import hardware, index, report
from tailor_jax import fields, graph, model, rewrite
from tailor_jax.data import description
from tailor_jax.data.embedded import prepare_embedded
from tailor_jax.dataflow import folding_file
from tailor_jax.integers import qgraph
from tailor_jax.quantization.spec import QuantSpec
from tailor_jax.train import variables

SLOW_S = 10


def _quant(path: Path) -> Any:
    return QuantSpec.from_json(fields.parse_json(fields.read_text(path), str(path)), str(path))


def _files(base: Base) -> dict[Path, tuple[Callable[[Path], Any], Callable]]:
    """{a good file: (its loader, how to mutate its bytes)}."""
    # Processes of their own: before this one loads what does not survive a fork.
    whole, project, sweep = base.whole, base.project, base.sweep
    preset = base.folder / 'preset.json'
    preset.write_text(json.dumps(presets()['tailor_2d']))
    synthesized = base.folder / 'report.json'
    amounts = {'lut': 100, 'ff': 200}
    rows = [{'name': op, 'op': op, 'estimate': amounts, 'synthesis': amounts} for op in ('conv', 'add', 'total')]
    synthesized.write_text(json.dumps({**fields.header('csynth', 1), 'rows': rows}))
    prepared = prepare_embedded('digits', base.folder / 'data')
    return {
        whole / 'graph.json': (graph.load, _json),
        whole / 'network.json': (graph.load, _json),
        whole / 'quant.json': (_quant, _json),
        whole / 'folding.json': (_folding(whole), _json),
        whole / 'config.json': (read_config, _json),
        whole / 'summary.json': (read_summary, _json),
        whole / 'qgraph.npz': (qgraph.load, _npz),
        whole / 'checkpoints' / 'teacher' / variables.NAME: (_variables(whole), _npz),
        sweep / 'weight0_seed0' / 'csim.json': (read_csim, _json),
        project / 'project.json': (lambda path: index.load(path.parent), _json),
        project / 'hardware.json': (lambda path: hardware.total(path.parent), _json),
        Path(__file__).parents[1] / 'support' / 'csynth.xml': (report.read_csynth, _bytes),
        preset: (lambda path: pe_array(preset=str(path)), _json),
        coefficients.FILE: (coefficients.load, _json),
        peers.FILE: (peers.load, _json),
        synthesized: (scale.factors, _json),
        prepared / 'features.json': (_description, _json),
        prepared / 'dataset_info.json': (_description, _json),
    }


def _folding(whole: Path) -> Callable[[Path], Any]:
    """A loader of the folding of a run, which is that of its network with every skip open."""
    network = rewrite.fold(graph.load(whole / 'network.json'))
    return lambda path: folding_file.load(path, network)


def _variables(whole: Path) -> Callable[[Path], Any]:
    """A loader of the teacher's variables of a run, which are those of the network that the run has a gated form of."""
    config = read_config(whole / 'config.json')
    like = model.init(build_graph(config, dataset.load(config)), 0)

    def load(path: Path) -> Any:
        step, found = variables.read(path.parent, like)
        return step, [array.tobytes() for array in jax.tree.leaves(found)]

    return load


def _description(path: Path) -> bytes:
    """What TFDS would be shown of a prepared set, one of whose two files of JSON is this one."""
    (other,) = {'features.json', 'dataset_info.json'} - {path.name}
    if not (path.parent / other).exists():
        shutil.copy(path.parents[2] / 'data' / 'digits' / '1.0.0' / other, path.parent)
    description.check(path.parent)
    return path.read_bytes()


def _bytes(content: bytes, seed: int) -> Iterator[bytes]:
    yield from mutations.flips(content, 8, seed)
    yield from mutations.truncations(content, 4, seed)


def _json(content: bytes, seed: int) -> Iterator[bytes]:
    yield from (text.encode() for text in mutations.json_edits(content, 12, seed))
    yield from _bytes(content, seed)


def _npz(content: bytes, seed: int) -> Iterator[bytes]:
    yield from mutations.npz_edits(content, 12, seed)
    yield from _bytes(content, seed)


def of_files(base: Base, count: int, seed: int) -> Iterator[Try]:
    """`count` damaged copies of all files together."""
    done, round_number, files = 0, 0, _files(base)
    folder = base.folder / 'loaders'
    while done < count:
        for good, (load, mutate) in files.items():
            meant = _key(load(good))
            for damaged in mutate(good.read_bytes(), seed + round_number):
                path = folder / good.stem / good.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(damaged)
                outcome, detail = _tried(lambda load=load, path=path: load(path), str(folder), meant)
                yield Try(f'load {good.name}', f'seed {seed + round_number}, try {done}', outcome, detail)
                done += 1
        round_number += 1


def _key(value: Any) -> Any:
    """What two loaded values are compared by."""
    if isinstance(value, qgraph.QGraph):
        return [
            {key: each.tobytes() if isinstance(each, np.ndarray) else each for key, each in vars(qnode).items()}
            for qnode in value.nodes
        ]
    return dataclasses.replace(value, preset='') if isinstance(value, PEArray) else value


def _tried(load: Callable[[], Any], names: str, meant: Any = None) -> tuple[str, str]:
    """(outcome, detail). What takes long counts as raw."""
    start = time.monotonic()
    try:
        with _alarm(SLOW_S):
            outcome, detail = ('same' if meant == _key(load()) else 'valid'), ''
    except cli.known_errors() as error:
        outcome, detail = 'named', str(error)
        if names not in detail or 'Traceback' in detail:
            outcome = 'raw'
    except BaseException as error:
        outcome, detail = 'raw', f'{type(error).__name__}: {error}'
    seconds = time.monotonic() - start
    return ('raw', f'took {seconds:.0f} s: {detail}') if seconds > SLOW_S / 2 else (outcome, detail[:400])


@contextlib.contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def of_configs(base: Base, count: int, seed: int) -> Iterator[Try]:
    """A random config is refused by name, or is valid: data, network, timetable and costs check out."""
    from experiments import run

    for number in range(count):
        changes = random_configs.draw(
            np.random.default_rng([seed, number]), hostile=random.Random(number).choice([0.0, 0.1, 0.5])
        )

        def check(changes: dict = changes) -> None:
            config = random_configs.changed(changes)
            validate(config)
            run.check(config)

        outcome, detail = _tried(check, '')
        yield Try('random configs', f'seed {seed}, try {number}: {changes}'[:300], outcome, detail)
