"""The door: what files may hold, and what each error names."""

import json
import re

import pytest

from tailor_jax.fields import Fields, FormatError, header, parse_json, read_fields


@pytest.mark.parametrize(
    'text', ['', '{', '{"a": NaN}', '{"a": 1, "a": 2}', '[' * 100_000, '{"a": ' + '9' * 5000 + '}', b'\xff{}']
)
def test_what_is_no_json_is_named(text):
    with pytest.raises(FormatError, match=r'^a\.json is damaged, or no JSON: '):
        parse_json(text, 'a.json')


def test_fields_are_parsed_by_type_and_range():
    given = {
        'bits': 8,
        'slope': 0.5,
        'relu': True,
        'name': 's1',
        'shape': [1, 2],
        'of': ['a'],
        'out': {'bits': 2},
        'rows': [{'x': 1}],
    }
    fields = Fields(given, 'f')
    assert (fields.integer('bits', 1, 64), fields.number('slope', 0, 1), fields.boolean('relu')) == (8, 0.5, True)
    assert (
        fields.text('name', re.compile('[a-z]+[0-9]')) == 's1'
        and fields.integers('shape', 1, 9, 2) == (1, 2)
        and fields.texts('of') == ('a',)
    )
    out, (row,) = fields.object('out'), fields.objects('rows')
    assert (
        out.integer('bits', 1, 64) == 2
        and row.integer('x', 0, 1) == 1
        and fields.integer('missing', 0, 1, default=7) == 7
    )
    for each in (fields, out, row):
        each.end()


@pytest.mark.parametrize(
    'value, take, message',
    [
        (True, lambda f: f.integer('x', 0, 9), r"f: 'x' is True; expected an integer of 0..9"),
        (10, lambda f: f.integer('x', 0, 9), r"'x' is 10; expected an integer of 0..9"),
        ('1; system("x")', lambda f: f.integer('x', 0, 9), r'expected an integer'),
        (1e999, lambda f: f.number('x'), r"'x' is inf; expected a finite number"),
        (1, lambda f: f.boolean('x'), r'expected true or false'),
        ('a b', lambda f: f.text('x', re.compile('[a-z]+')), r'expected text like'),
        ('c', lambda f: f.text('x', choices=('a', 'b')), r'expected one of a, b'),
        ([1, 2, 3], lambda f: f.integers('x', 0, 9, 2), r'expected a list of 2 integers of 0..9'),
        ([1, None], lambda f: f.integers('x', 0, 9), r'expected a list of integers of 0..9'),
        ([1], lambda f: f.texts('x'), r'expected a list of texts'),
        ({}, lambda f: f.objects('x'), r'expected a list, got|expected a list'),
        ([], lambda f: f.object('x'), r'f: x: expected an object, got \[\]'),
        (1, lambda f: f.end(), r"f: unknown field 'x'; expected only none"),
        (1, lambda f: f.integer('y', 0, 1), r"f: 'y' is missing"),
        ('v' * 999, lambda f: f.integer('x', 0, 9), r"'x' is 'v{76}\.\.\.; expected"),
    ],
)
def test_an_error_names_place_field_value_and_what_was_expected(value, take, message):
    with pytest.raises(FormatError, match=message):
        take(Fields({'x': value}, 'f'))


def test_a_file_is_of_its_kind_and_version(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps({**header('graph', 1), 'x': 1}))
    assert read_fields(path, 'graph', 1).integer('x', 0, 1) == 1
    for kind, version, message in (
        ('run', 1, "expected a file with format 'tailor_jax.run', got 'tailor_jax.graph'"),
        ('graph', 2, 'reads version 2'),
    ):
        with pytest.raises(FormatError, match=message):
            read_fields(path, kind, version)
    with pytest.raises(FormatError, match=r'is no file'):
        read_fields(tmp_path, 'graph', 1)
    with pytest.raises(FileNotFoundError):
        read_fields(tmp_path / 'none', 'graph', 1)


def test_an_unknown_field_suggests_the_nearest():
    fields = Fields({'bist': 3}, 'f')
    fields.integer('bits', 0, 9, default=0)
    with pytest.raises(FormatError, match=r"unknown field 'bist'; did you mean 'bits'\?"):
        fields.end()


def test_a_name_that_a_file_gives_is_cut_in_messages():
    for text in (f'{{"{"x" * 9999}": 1}}', f'{{"{"x" * 9999}": 1, "{"x" * 9999}": 2}}'):
        with pytest.raises(FormatError) as error:
            Fields(parse_json(text, 'f'), 'f').end()
        assert len(str(error.value)) < 200
