"""The file of a folding: what is written is read, and what does not fit is named."""

import json
import re

import mutations
import pytest

from tailor_jax import build, rewrite
from tailor_jax.dataflow import folding as fold
from tailor_jax.dataflow import folding_file
from tailor_jax.dataflow.folding import Folding, Layer
from tailor_jax.fields import header
from tailor_jax.graph import GraphError

GRAPH = rewrite.fold(build.resnet(8, (8, 8, 1), width=4))
LANES = {node.name: 1 if node.shape[2] == 1 else 2 for node in GRAPH.nodes}
LAYERS = {
    node.name: Layer('all' if node.kernel == (1, 1) else 'column', 1, 2, 'bram')
    for node in GRAPH.nodes
    if node.weighted
}
FOLDING = Folding(LANES, LAYERS)


def document():
    layers = {
        name: {'taps': layer.taps, 'lanes': layer.lanes, 'outputs': layer.outputs, 'weights': layer.weights}
        for name, layer in LAYERS.items()
    }
    return header('folding', 1) | {'interval_cycles': 4096, 'lanes': dict(LANES), 'layers': layers}


def test_what_is_written_is_read(tmp_path):
    first, second = tmp_path / 'a.json', tmp_path / 'b.json'
    folding_file.save(first, FOLDING, 4096)
    read = folding_file.load(first, GRAPH)
    assert read == (FOLDING, 4096) and json.loads(first.read_text()) == document()
    folding_file.save(second, *read)
    assert first.read_bytes() == second.read_bytes()
    assert len(first.read_text().splitlines()) == len(LANES) + len(LAYERS) + 3
    shuffled = document()
    for part in ('lanes', 'layers'):
        shuffled[part] = dict(reversed(shuffled[part].items()))
    second.write_text(json.dumps(shuffled))
    folding_file.save(second, *folding_file.load(second, GRAPH))
    assert first.read_bytes() == second.read_bytes()


def edited(*path, value=None):
    """The document with a value replaced, or taken out."""
    made = document()
    place = made
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


@pytest.mark.parametrize(
    'given, message',
    [
        ([], r'expected an object, got \[\]'),
        ({}, "expected a file with format 'tailor_jax.folding', got None"),
        (edited('version', value=2), 'its version is 2; this program reads version 1'),
        (edited('interval_cycles'), "'interval_cycles' is missing"),
        (edited('interval_cycles', value=0), "'interval_cycles' is 0; expected an integer of 1..1099511627776"),
        (edited('lane', value={}), "unknown field 'lane'; did you mean 'lanes'"),
        (edited('lanes', value=[1]), r'lanes: expected an object, got \[1\]'),
        (edited('lanes', 's1b0_conv1', value=True), "lanes: 's1b0_conv1' is True; expected an integer of 1.."),
        (
            edited('lanes', 's1b0_conv1', value=3),
            r"node 's1b0_conv1' \(conv\): lanes must divide its 4 channels, got 3",
        ),
        (edited('lanes', 's1b0_long', value=4), "node 's1b0_long' .* they must be equal"),
        (edited('lanes', 's1b0_conv1'), "the folding has no lanes for the tensor of 's1b0_conv1'"),
        (edited('lanes', 's9b0_conv1', value=1), "the folding names 's9b0_conv1', which the network does not have"),
        (edited('lanes', 'x"; y', value=1), "lanes: 'x\"; y' is no name of a node"),
        (edited('layers', 's1b0_conv1'), r"the folding has no layer 's1b0_conv1' \(conv\)"),
        (edited('layers', 's1b0_long', value=document()['layers']['s1b0_conv1']), "the folding names 's1b0_long'"),
        (edited('layers', 's1b0_conv1', 'outputs'), "layers: s1b0_conv1: 'outputs' is missing"),
        (edited('layers', 's1b0_conv1', 'pe', value=2), "layers: s1b0_conv1: unknown field 'pe'; expected only"),
        (edited('layers', 's1b0_conv1', 'taps', value='row'), "'taps' is 'row'; expected one of all, column, one"),
        (edited('layers', 'head_dense', 'taps', value='one'), "node 'head_dense': taps must be one of all, got 'one'"),
        (
            edited('layers', 's1b0_conv1', 'outputs', value=3),
            r"node 's1b0_conv1' \(conv\): outputs must divide its 4 channels, got 3",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, given, message):
    path = tmp_path / 'mine.json'
    path.write_text(json.dumps(given))
    with pytest.raises(GraphError, match=f'^{re.escape(str(path))}: .*{message}') as raised:
        folding_file.load(path, GRAPH)
    assert '\n' not in str(raised.value) and len(str(raised.value)) < 400


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(GraphError, match=re.escape(str(tmp_path))):
        folding_file.load(tmp_path, GRAPH)
    with pytest.raises(FileNotFoundError):
        folding_file.load(tmp_path / 'none.json', GRAPH)


def test_a_damaged_file_is_refused_or_fits(tmp_path):
    """Whatever is read is a folding of the network; whatever is not is refused by an error that names the file."""
    path = tmp_path / 'mine.json'
    folding_file.save(path, FOLDING, 4096)
    good = path.read_bytes()
    damaged = [*mutations.flips(good, 300), *mutations.truncations(good, 50)]
    damaged += [text.encode(errors='surrogatepass') for text in mutations.json_edits(good, 400)]
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            found, interval = folding_file.load(path, GRAPH)
        except GraphError as error:
            assert str(error).startswith(str(path)) and '\n' not in str(error) and len(str(error)) < 500
            refused += 1
            continue
        fold.check(GRAPH, found)
        given = json.loads(content)
        assert (found.lanes, interval) == (given['lanes'], given['interval_cycles'])
    assert 500 < refused < len(damaged)
