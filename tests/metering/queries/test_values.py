"""Texts of a request as typed values."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from metering.queries.errors import InvalidInput, QueryError
from metering.queries.filters import metadata_paths
from metering.queries.metadata import flatten
from metering.queries.values import metadata_candidates, parse_integer, parse_timestamp


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2013", (2013, 1, 1)),
        ("2013-02", (2013, 2, 1)),
        ("20130203", (2013, 2, 3)),
        ("2013-02-03", (2013, 2, 3)),
        ("2013-02-03T10", (2013, 2, 3, 10)),
        ("2013-02-03T10:20", (2013, 2, 3, 10, 20)),
        ("2013-02-03 10:20:30", (2013, 2, 3, 10, 20, 30)),
        ("2013-02-03T10:20:30Z", (2013, 2, 3, 10, 20, 30)),
        ("2013-02-03T10:20:30.123456", (2013, 2, 3, 10, 20, 30, 123456)),
        ("2013-02-03T10:20:30,5", (2013, 2, 3, 10, 20, 30, 500000)),
        ("2013-02-03T10:20:30+01:00", (2013, 2, 3, 9, 20, 30)),
        ("2013-02-03T10:20:30-0130", (2013, 2, 3, 11, 50, 30)),
        ("2013-02-03T00:00:00+05", (2013, 2, 2, 19)),
    ],
)
def test_iso_times_are_read_and_their_offset_is_applied(text, expected):
    assert parse_timestamp(text) == datetime(*expected, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "1357034400", "10:00", "01/02/2013", "2013-W01-1", "garbage", "2013-13-01", "2013-02-30", "2013-02-03T25:00",
        "2013-02-03T10:20:30 01:00", "2013-02T10:00", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00",
        "2013-02-03T10:00:00+99:99", "２０１３", "2013-01-01\n", "-2013", "2013-02-03T10:20:30+01:75",
    ],
)  # fmt: skip
def test_other_times_are_refused_by_name(text):
    with pytest.raises(InvalidInput, match="invalid timestamp format"):
        parse_timestamp(text)


def test_integers_are_what_python_reads():
    assert parse_integer("limit", " 7 ") == 7
    with pytest.raises(InvalidInput) as caught:
        parse_integer("limit", "NaN")
    assert caught.value.text == (
        "Invalid input for field/attribute limit. Value: 'NaN'. unable to convert to int. "
        "Error: invalid literal for int() with base 10: 'NaN'"
    )
    with pytest.raises(InvalidInput, match="too many digits"):
        parse_integer("limit", "9" * 5000)


@pytest.mark.parametrize(
    ("value", "type_name", "expected"),
    [
        ("5", None, {"5", '"5"'}),
        ("0.75", "", {"0.75", '"0.75"'}),
        ("1e3", None, {"1000", '"1e3"'}),
        ("True", None, {"true", '"True"'}),
        ("true", None, {'"true"'}),
        ("None", None, {"null", '"None"'}),
        ("'x'", None, {'"x"', "\"'x'\""}),
        ("text", None, {'"text"'}),
        ("[1]", None, {'"[1]"'}),
        ("5", "string", {'"5"'}),
        ("5", "integer", {"5"}),
        ("5", "float", {"5"}),
        ("9007199254740993", "integer", {"9007199254740993"}),
        ("yes", "boolean", {"true"}),
        ("0", "boolean", {"false"}),
    ],
)
def test_metadata_values_are_typed_or_guessed(value, type_name, expected):
    assert set(metadata_candidates(value, type_name)) == expected


def test_a_metadata_time_matches_the_usual_ways_to_write_it():
    forms = {json.loads(form) for form in metadata_candidates("2013-01-01T11:00:00+01:00", "datetime")}
    assert {"2013-01-01T10:00:00", "2013-01-01 10:00:00", "2013-01-01T10:00:00Z", "2013-01-01T11:00:00+01:00"} <= forms


@pytest.mark.parametrize(
    ("value", "type_name"),
    [("a", "integer"), ("1.5", "integer"), ("nan", "float"), ("inf", "float"), ("1e999999999", "float"), ("maybe", "boolean"),
     ("garbage", "datetime"), ("9" * 1000, "integer")],
)  # fmt: skip
def test_metadata_values_of_another_type_are_refused(value, type_name):
    with pytest.raises(QueryError, match=f"to the expected data type {type_name}"):
        metadata_candidates(value, type_name)


def test_an_unknown_metadata_type_is_named():
    with pytest.raises(QueryError) as caught:
        metadata_candidates("x", "blob")
    assert caught.value.text == (
        "The data type blob is not supported. The supported data type list is: "
        "['integer', 'float', 'string', 'boolean', 'datetime']"
    )


def test_metadata_is_printed_flat_as_text():
    stored = json.dumps(
        {"a": {"b": {"c": 1}}, "properties": {"prop.3": {"$s.2": "v"}}, "t": True, "n": None, "f": 0.58, "l": ["returned", 1.5],
         "empty": {}}
    )  # fmt: skip
    assert flatten(stored) == {
        "a.b:c": "1", "properties.prop:3:$s:2": "v", "t": "True", "n": "None", "f": "0.58", "l": "['returned', 1.5]"
    }  # fmt: skip


def test_numbers_in_metadata_keep_all_digits():
    assert flatten('{"n": 123456789012345678901234567890.000000000000000001}') == {
        "n": "123456789012345678901234567890.000000000000000001"
    }


def test_metadata_nested_beyond_reason_is_still_answered():
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    assert "too deeply" in str(flatten(deep))


def test_a_metadata_key_is_looked_for_wherever_it_may_be_stored():
    assert set(metadata_paths("a.b")) == {("a", "b"), ("a.b",)}
    assert ("a", "b", "c") in metadata_paths("a.b:c")
    assert ("a", "b.c") in metadata_paths("a.b:c")
    assert ("a", "b:c") in metadata_paths("a.b:c")
    assert metadata_paths("l[0].x") == (("l", "0", "x"), ("l[0].x",))


def test_a_key_of_very_many_parts_has_few_places():
    assert len(metadata_paths(".".join("abcdefghijklmnop"))) == 2
