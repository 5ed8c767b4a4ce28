"""The simple query language: how items pair, what each field admits, and the exact words of refusals."""

from __future__ import annotations

from datetime import timedelta

import pytest

from metering.queries.errors import QueryError
from metering.queries.filters import SampleFilter
from metering.queries.simple import METER_FIELDS, SAMPLE_FIELDS, QueryItem, build_filter, pair_items
from tests.support.samples import at


def parse(*items, fields=SAMPLE_FIELDS):
    return build_filter([QueryItem(*item) for item in items], fields=fields)


def refusal(*items, fields=SAMPLE_FIELDS):
    with pytest.raises(QueryError) as caught:
        parse(*items, fields=fields)
    return caught.value.text


def test_parts_pair_by_position():
    sent = [
        ("field", "a"),
        ("field", "b"),
        ("op", ""),
        ("op", "gt"),
        ("type", ""),
        ("type", "integer"),
        ("value", "1"),
        ("value", "2"),
    ]
    assert pair_items(sent) == [QueryItem("a", "eq", "1", ""), QueryItem("b", "gt", "2", "integer")]


def test_operators_left_out_of_items_written_together_stay_with_their_item():
    sent = [("field", "event_type"), ("value", "x"), ("field", "timestamp"), ("op", "gt"), ("value", "2013")]
    assert pair_items(sent) == [QueryItem("event_type", "eq", "x"), QueryItem("timestamp", "gt", "2013")]


def test_operators_left_out_of_items_written_apart_belong_to_the_first():
    sent = [("field", "timestamp"), ("field", "user"), ("op", "gt"), ("value", "2013"), ("value", "u1")]
    assert pair_items(sent) == [QueryItem("timestamp", "gt", "2013"), QueryItem("user", "eq", "u1")]


@pytest.mark.parametrize(
    "sent", [[("field", "a")], [("value", "a")], [("field", "a"), ("value", "1"), ("op", "eq"), ("op", "eq")]]
)
def test_parts_that_do_not_pair_are_refused(sent):
    with pytest.raises(QueryError):
        pair_items(sent)


def test_aliases_name_one_field_and_the_last_value_counts():
    wanted = parse(("user", "eq", "u0"), ("user_id", "eq", "u1"), ("project", "eq", "p1"), ("resource_id", "eq", "r1"))
    assert wanted == SampleFilter(user="u1", project="p1", resource="r1")


def test_of_two_lower_bounds_the_last_counts():
    wanted = parse(("timestamp", "gt", "2013"), ("timestamp", "le", "2016"), ("timestamp", "ge", "2014"))
    assert (wanted.lower.at, wanted.lower.inclusive) == (at("2014-01-01"), True)
    assert (wanted.upper.at, wanted.upper.inclusive) == (at("2016-01-01"), True)


def test_search_offset_widens_the_window_but_not_what_was_asked():
    wanted = parse(
        ("timestamp", "ge", "2013-01-01T10:00"), ("search_offset", "eq", "60"), ("timestamp", "lt", "2013-01-01T12:00")
    )
    assert wanted.lower.at == at("2013-01-01T10:00") - timedelta(hours=1)
    assert wanted.upper.at == at("2013-01-01T12:00") + timedelta(hours=1)
    assert (wanted.lower_asked, wanted.upper_asked) == (at("2013-01-01T10:00"), at("2013-01-01T12:00"))


def test_an_empty_time_is_no_bound():
    assert parse(("timestamp", "ge", "")) == SampleFilter()


def test_an_unknown_field_is_refused_with_all_items_and_valid_keys():
    text = refusal(("F", "gt", "3", "string"), ("user", "eq", "u"))
    assert text == (
        "Unknown argument: \"F\": unrecognized field in query: [<Query 'F' gt '3' string>, <Query 'user' eq 'u' Unset>], "
        "valid keys: ['message_id', 'meter', 'project', 'resource', 'search_offset', 'source', 'timestamp', 'user']"
    )


@pytest.mark.parametrize(
    "field",
    [
        "counter_name",
        "volume",
        "id",
        "start_timestamp",
        "end_timestamp",
        "limit",
        "metaquery",
        "metadata",
        "enabled",
        "metadata.",
        "unique",
        "",
    ],
)
def test_fields_of_other_languages_are_unknown(field):
    assert refusal((field, "eq", "x")).startswith(f'Unknown argument: "{field}": unrecognized field in query')


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (
            ("project_id", "lt", "x"),
            "Invalid input for field/attribute op. Value: 'lt'. unimplemented operator for project_id",
        ),
        (
            ("metadata.a", "ne", "x"),
            "Invalid input for field/attribute op. Value: 'ne'. unimplemented operator for metadata.a",
        ),
        (
            ("timestamp", "eq", "2013"),
            "Invalid input for field/attribute op. Value: 'eq'. unimplemented operator for timestamp",
        ),
        (("user", "like", "x"), "Invalid input for field/attribute op. Value: 'like'. unimplemented operator for user"),
        (
            ("timestamp", "gt", "garbage"),
            "Invalid input for field/attribute timestamp. Value: 'garbage'. invalid timestamp format",
        ),
        (
            ("search_offset", "eq", "5"),
            "Invalid input for field/attribute field. Value: 'search_offset'. search_offset cannot be used without timestamp",
        ),
        (("metadata.a", "eq", "a", "integer"), "Unable to convert the value a to the expected data type integer."),
    ],
)
def test_refusals_have_the_words_that_old_programs_know(item, text):
    assert refusal(item) == text


def test_the_second_timestamp_operator_is_checked_too():
    assert "unimplemented operator" in refusal(("timestamp", "gt", "2013"), ("timestamp", "eq", "2013"))


def test_search_offset_must_be_minutes_within_the_calendar():
    assert "unable to convert to int" in refusal(("timestamp", "gt", "2013"), ("search_offset", "eq", "abc"))
    assert "search_offset" in refusal(("timestamp", "gt", "2013"), ("search_offset", "eq", "9" * 15))
    assert "calendar" in refusal(("timestamp", "gt", "2013"), ("search_offset", "eq", "1111111111"))


def test_meters_have_no_timestamp():
    assert (
        refusal(("timestamp", "gt", "2013"), fields=METER_FIELDS)
        == 'Unknown argument: "timestamp": not valid for this resource'
    )
