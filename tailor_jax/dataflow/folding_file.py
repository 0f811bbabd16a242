"""A folding as a JSON file that users may edit, a line a tensor and a line a layer:

    {"format": "tailor_jax.folding", "version": 1, "interval_cycles": 32768,
     "lanes": {"stem_conv": 1, ...},
     "layers": {"stem_conv": {"taps": "all", "lanes": 1, "outputs": 2, "weights": "lut"}, ...}}

`lanes` are of the tensors of all nodes of the folded graph with every skip open, `layers` its convolutions and dense
layers (`folding.Layer`). `interval_cycles` is what the folding was made for; the interval of an edited one is that of
its slowest process.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from tailor_jax import files
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow.folding import TAPS, WEIGHTS, Folding, Layer
from tailor_jax.fields import Fields, header, read_fields, shown
from tailor_jax.graph import Graph, GraphError
from tailor_jax.node import MOST_CHANNELS, NAME

KIND, VERSION = 'folding', 1
MOST_CYCLES = 1 << 40


def save(path: str | Path, folding: Folding, interval_cycles: int) -> None:
    """Writes a folding, in its order."""
    lanes = _lines({name: json.dumps(lanes) for name, lanes in folding.lanes.items()})
    layers = _lines({name: json.dumps(dataclasses.asdict(layer)) for name, layer in folding.layers.items()})
    head = json.dumps(header(KIND, VERSION) | {'interval_cycles': interval_cycles})[:-1]
    files.write(path, f'{head},\n "lanes": {lanes},\n "layers": {layers}}}\n')


def _lines(values: dict[str, str]) -> str:
    """A JSON object, a line an entry."""
    return '{\n' + ',\n'.join(f'  {json.dumps(name)}: {value}' for name, value in values.items()) + '}'


def load(path: str | Path, graph: Graph) -> tuple[Folding, int]:
    """(the folding of a folded graph with every skip open, the interval in cycles that it was made for).

    Raises:
      FileNotFoundError: where there is no file.
      GraphError: for what is no folding or does not fit the graph; the message names the file, and the field or node,
        what was given and what would fit.
    """
    fields = read_fields(path, KIND, VERSION, GraphError)
    interval_cycles = fields.integer('interval_cycles', 1, MOST_CYCLES)
    of_tensors, of_layers = fields.object('lanes'), fields.object('layers')
    fields.end()
    lanes = {name: of_tensors.integer(name, 1, MOST_CHANNELS) for name in _node_names(of_tensors)}
    layers = {name: _layer(of_layers.object(name)) for name in _node_names(of_layers)}
    given = Folding(lanes, layers)
    try:
        fold.check(graph, given)
    except GraphError as error:
        raise GraphError(f'{path}: {error}') from None
    in_order = {node.name: node for node in graph.nodes}
    return Folding(
        {name: lanes[name] for name in in_order}, {name: layers[name] for name in in_order if name in layers}
    ), interval_cycles


def _node_names(fields: Fields) -> list[str]:
    names = list(fields.names())
    for name in names:
        if not NAME.fullmatch(name):
            raise GraphError(f'{fields.where}: {shown(name)} is no name of a node')
    return names


def _layer(fields: Fields) -> Layer:
    layer = Layer(
        fields.text('taps', choices=TAPS),
        fields.integer('lanes', 1, MOST_CHANNELS),
        fields.integer('outputs', 1, MOST_CHANNELS),
        fields.text('weights', choices=WEIGHTS),
    )
    fields.end()
    return layer
