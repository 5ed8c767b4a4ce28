"""The complex query language: what a filter and an order may say, and the exact words of refusals."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from metering.queries.complex import (
    Comparison,
    Junction,
    Negation,
    OrderKey,
    find_comparisons,
    named_projects,
    parse_filter,
    parse_order,
)
from metering.queries.errors import QueryError
from tests.support.samples import at


def parse(tree):
    return parse_filter(json.dumps(tree))


def refusal(tree):
    with pytest.raises(QueryError) as caught:
        parse_filter(tree if isinstance(tree, str) else json.dumps(tree))
    return caught.value.text


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"=": {"meter": "cpu"}}, Comparison("meter", "=", ("cpu",))),
        ({"=": {"counter_name": "cpu"}}, Comparison("meter", "=", ("cpu",))),
        ({"!=": {"counter_type": "gauge"}}, Comparison("type", "!=", ("gauge",))),
        ({"<": {"counter_unit": "B"}}, Comparison("unit", "<", ("B",))),
        ({"=<": {"counter_volume": 1.50}}, Comparison("volume", "<=", (Decimal("1.5"),))),
        ({"=>": {"volume": "0.5"}}, Comparison("volume", ">=", (Decimal("0.5"),))),
        ({"=~": {"resource_id": "^a"}}, Comparison("resource", "=~", ("^a",))),
        ({"IN": {"user_id": ["a", "b"]}}, Comparison("user", "in", ("a", "b"))),
        ({"=": {"project_id": "p"}}, Comparison("project", "=", ("p",))),
        ({"=": {"source": "s"}}, Comparison("source", "=", ("s",))),
        ({">": {"timestamp": "2013-01-01T10:00:00+01:00"}}, Comparison("timestamp", ">", (at("2013-01-01T09:00:00"),))),
        ({">": {"recorded_at": "2013"}}, Comparison("recorded_at", ">", (at("2013-01-01"),))),
        ({"=": {"metadata.a.b": True}}, Comparison("metadata.a.b", "=", (True,))),
        ({"=": {"metadata.a.b": 5}}, Comparison("metadata.a.b", "=", (Decimal(5),))),
        ({"in": {"metadata.a": ["5", 5]}}, Comparison("metadata.a", "in", ("5", Decimal(5)))),
        (
            {"AND": [{"=": {"type": "a"}}, {"Not": {"Or": [{"=": {"unit": "b"}}, {"=": {"unit": "c"}}]}}]},
            Junction(
                "and",
                (
                    Comparison("type", "=", ("a",)),
                    Negation(Junction("or", (Comparison("unit", "=", ("b",)), Comparison("unit", "=", ("c",))))),
                ),
            ),
        ),
    ],
)
def test_expressions_are_read_with_aliases_synonyms_and_types(tree, expected):
    assert parse(tree) == expected


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        ({"=": {"id": "x"}}, "id is no field"),
        ({"=": {"resource_metadata.a": "x"}}, "resource_metadata.a is no field"),
        ({"=": {"metadata.": "x"}}, "metadata. is no field"),
        ({"=": {"Meter": "x"}}, "Meter is no field"),
        ({"=": {"meter": "x", "unit": "y"}}, "expected an object with one field for ="),
        ({"=": {}}, "expected an object with one field for ="),
        ({"=": "x"}, "expected an object with one field for ="),
        ({"like": {"meter": "x"}}, "expected an operator"),
        ({}, "expected an object with one key"),
        ([], "expected an object with one key"),
        ("x", "expected an object with one key"),
        ({"=": {"meter": "x"}, "!=": {"meter": "y"}}, "expected an object with one key"),
        ({"and": [{"=": {"meter": "x"}}]}, "expected a list of two or more expressions for and"),
        ({"or": []}, "expected a list of two or more expressions for or"),
        ({"or": {"=": {"meter": "x"}}}, "expected a list of two or more expressions for or"),
        ({"not": [{"=": {"meter": "x"}}]}, "expected an object with one key"),
        ({"=": {"meter": None}}, "meter is compared with text"),
        ({"=": {"meter": 5}}, "meter is compared with text"),
        ({"=": {"user_id": True}}, "user is compared with text"),
        ({"=": {"meter": ["x"]}}, "meter is compared with text"),
        ({"=": {"volume": True}}, "volume is compared with a number"),
        ({"=": {"volume": "much"}}, "volume is compared with a number"),
        ({"=": {"volume": "NaN"}}, "volume is compared with a number"),
        ({"=": {"volume": None}}, "volume is compared with a number"),
        ({"=": {"metadata.a": None}}, "metadata.a is compared with text, a number, true or false"),
        ({"=": {"metadata.a": {}}}, "metadata.a is compared with text, a number, true or false"),
        ({"=": {"timestamp": 1357034400}}, "timestamp is compared with a time"),
        ({"=": {"message_id": 5}}, "message_id is compared with a message's id"),
        ({"in": {"timestamp": ["2013"]}}, "in is not for timestamp"),
        ({"in": {"meter": []}}, "expected a list of at least one value for in"),
        ({"in": {"meter": "x"}}, "expected a list of at least one value for in"),
        ({"in": {"metadata.a": [True]}}, "expected texts or numbers for in"),
        ({"in": {"meter": ["x", 1]}}, "meter is compared with text"),
        ({"=~": {"volume": "1"}}, "=~ compares text with a regular expression"),
        ({"=~": {"timestamp": "2013"}}, "=~ compares text with a regular expression"),
        ({"=~": {"metadata.a": 5}}, "=~ compares text with a regular expression"),
    ],
)
def test_what_is_no_expression_is_refused_in_the_words_of_the_schema_checker(tree, reason):
    text = refusal(json.dumps(tree))
    assert text.startswith("Filter expression not valid: "), text
    assert f"is not valid under any of the given schemas: {reason}" in text


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("", "Filter expression not valid: Expecting value: line 1 column 1 (char 0)"),
        ("bad", "Filter expression not valid: Expecting value"),
        ('{"=": {"meter": "a"}}}', "Filter expression not valid: Extra data: line 1 column 22 (char 21)"),
        ('{"=": {"meter": "a", "meter": "b"}}', "Filter expression not valid: key 'meter'"),
        ('{"=": {"volume": NaN}}', "Filter expression not valid: NaN is not a JSON number"),
        ('{"=": {"volume": 1e999999999}}', "Filter expression not valid: "),
        ('{"=": {"volume": ' + "9" * 3000 + "}}", "Filter expression not valid: "),
        ('{"=": {"volume": ' + "9" * 30_000 + "}}", "Filter expression not valid: "),
        ('{"=": {"meter": "a\\u0000"}}', "Invalid input for field/attribute filter. Value: 'a\\0'."),
        ('{"=": {"metadata.a\\u0000": "a"}}', "Invalid input for field/attribute filter."),
        ('{"=": {"meter": "\\udc00"}}', "Invalid input for field/attribute filter."),
        ('{"\\udc00": 1}', "Invalid input for field/attribute filter."),
        ('{"=": {"timestamp": "bad"}}', "Failed to parse the timestamp value bad"),
        ("[" * 60_000, "Filter expression not valid: it is nested too deeply"),
        ("[" * 100 + "]" * 100, "Filter expression not valid: it is nested too deeply"),
        ('{"not": ' * 17 + '{"=": {"meter": "a"}}' + "}" * 17, "Filter expression not valid: it is nested too deeply"),
        (json.dumps({"or": [{"=": {"meter": "a"}}] * 51}), "Filter expression not valid: it has 51 comparisons"),
        (json.dumps({"in": {"meter": ["a"] * 501}}), "Filter expression not valid: in has a list of 501 values"),
        (json.dumps({"=~": {"meter": "a" * 201}}), "Filter expression not valid: the regular expression aaa"),
        (json.dumps({"=": {"meter": "a" * 70_000}}), "Filter expression not valid: it has 700"),
    ],
)
def test_filters_beyond_json_and_bounds_are_refused(text, start):
    found = refusal(text)
    assert found.startswith(start), found
    assert len(found) < 1000


def test_the_largest_filter_that_is_admitted_is_read():
    deepest = '{"not": ' * 15 + '{"=": {"meter": "a"}}' + "}" * 15
    assert parse_filter(deepest)
    widest = {"or": [{"in": {"meter": ["a"] * 500}}, *[{"=~": {"meter": "a" * 200}}] * 49]}
    assert len(list(find_comparisons(parse(widest)))) == 50


def test_every_project_that_is_named_is_known_whatever_the_operator():
    tree = {"or": [{"!=": {"project": "p1"}}, {"not": {"in": {"project_id": ["p2", "p3"]}}}, {"=": {"user": "u"}}]}
    assert named_projects(parse(tree)) == ["p1", "p2", "p3"]


def test_an_order_is_read_in_any_case_and_the_first_of_a_field_counts():
    assert parse_order('[{"volume": "ASC"}, {"timestamp": "DeSc"}, {"counter_volume": "desc"}]') == (
        OrderKey("volume", descending=False),
        OrderKey("timestamp", descending=True),
    )
    assert parse_order("[]") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"project_id": "wrong"}]', "Order-by expression not valid: 'wrong' does not match '(?i)^asc$|^desc$'"),
        ('[{"project_id": "asc\\n"}]', "does not match '(?i)^asc$|^desc$'"),
        ('[{"project_id": "asc"}]]', "Order-by expression not valid: Extra data: line 1 column 24 (char 23)"),
        ("", "Order-by expression not valid: Expecting value"),
        ('{"project_id": "asc"}', "Order-by expression not valid: "),
        ("[1]", "Order-by expression not valid: 1 is not an object"),
        ('[{"unit": "asc", "type": "asc"}]', "is not an object with one field and its direction"),
        ('[{"metadata.a": "asc"}]', "Additional properties are not allowed ('metadata.a' was unexpected)"),
        ('[{"id": "asc"}]', "Additional properties are not allowed ('id' was unexpected)"),
        ('[{"unit": 1}]', "1 is not of type 'string'"),
        ('[{"unit": "\\u0000"}]', "Invalid input for field/attribute orderby."),
        ("[" * 60_000, "Order-by expression not valid: it is nested too deeply"),
        (json.dumps([{"unit": "asc"}] * 10_000), "Order-by expression not valid: it has"),
    ],
)
def test_what_is_no_order_is_refused(text, expected):
    with pytest.raises(QueryError) as caught:
        parse_order(text)
    assert expected in caught.value.text
