"""``/v2/events`` and ``/v2/event_types``: what happened, as it was signed, found by its traits, and seen by those whose it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.housekeeping.partitions import ensure_weeks
from metering.messages import trait_text
from metering.models import Event, RetentionFloor
from metering.queries.event_filters import OPERATORS
from tests.support.events import make_event, store_event, store_events

from .conftest import Caller, fault

pytestmark = pytest.mark.usefixtures("old_weeks")
CREATED = "compute.instance.create.end"


def q(*items):
    """A query string from (field, op, value[, type])."""
    return "?" + "&".join(
        "&".join(f"q.{part}={text}" for part, text in zip(("field", "op", "value", "type"), item, strict=False))
        for item in items
    )


def ids(caller, query=""):
    return [event["message_id"] for event in caller.rows(f"/v2/events{query}")]


def test_an_event_is_shown_as_it_was_signed(operator):
    raw = b'{"instance_id": "r1",  "state":"active", "n": 1.50, "u": "\\u00e9", "big": 123456789012345678901234567890}'
    store_event(
        id="e4eaaaf2-d142-11e1-b3e4-080027620cdd", at="2016-01-05T05:00:00", raw=raw, project=None, user=None,
        type_=1, memory_mb=512, launched_at=datetime(2014, 1, 1, 5, 0, 0, 5), load=0.1, big=2**53 + 1, ate="x" * 300, whole=5.0,
    )  # fmt: skip
    answer = operator.get("/v2/events")
    assert answer.json() == [
        {
            "message_id": "e4eaaaf2-d142-11e1-b3e4-080027620cdd",
            "event_type": CREATED,
            "generated": "2016-01-05T05:00:00",
            # As they were stored, not by name; values are text; nothing is cut.
            "traits": [
                {"name": "type_", "type": "integer", "value": "1"},
                {"name": "memory_mb", "type": "integer", "value": "512"},
                {"name": "launched_at", "type": "datetime", "value": "2014-01-01T05:00:00.000005"},
                {"name": "load", "type": "float", "value": "0.1"},
                {"name": "big", "type": "integer", "value": "9007199254740993"},
                {"name": "ate", "type": "string", "value": "x" * 300},
                {"name": "whole", "type": "float", "value": "5.0"},
            ],
            "raw": json.loads(raw),
        }
    ]
    # To the byte.
    assert raw in answer.content
    assert answer["Content-Type"] == "application/json"
    one = operator.get("/v2/events/e4eaaaf2-d142-11e1-b3e4-080027620cdd")
    assert one.json() == answer.json()[0]
    assert raw in one.content


def test_without_a_payload_raw_is_an_empty_object(operator):
    event = store_event()
    assert operator.rows(f"/v2/events/{event.id}")["raw"] == {}


def test_events_stand_in_the_order_in_which_they_happened(operator):
    store_events([make_event(id=f"m{n}", at=f"2016-01-05T10:00:0{n}") for n in (3, 1, 2)])
    store_events([make_event(id="late", at="2016-01-05T10:00:01")])
    assert ids(operator) == ["m1", "late", "m2", "m3"]
    assert ids(operator, "?limit=2") == ["m1", "late"]


def test_a_hundred_events_are_shown_unless_more_are_asked_for(operator):
    store_events([make_event() for _ in range(101)])
    assert len(ids(operator)) == 100
    assert len(ids(operator, "?limit=1000")) == 101


def test_events_are_found_by_their_fields(operator):
    store_events(
        [make_event(id=f"m{hour}", at=f"2016-01-05T{hour}:00:00", type=f"type.{hour}") for hour in (10, 11, 12)]
    )
    for query, found in (
        (q(("event_type", "eq", "type.11")), ["m11"]),
        (q(("event_type", "", "type.11")), ["m11"]),
        (q(("event_type", "eq", "nothing")), []),
        (q(("event_type", "eq", "type.10"), ("event_type", "eq", "type.11")), ["m11"]),
        (q(("message_id", "eq", "m12")), ["m12"]),
        (q(("message_id", "eq", "m12"), ("event_type", "eq", "type.11")), []),
        (q(("start_timestamp", "ge", "2016-01-05T11:00:00")), ["m11", "m12"]),
        (q(("end_timestamp", "le", "2016-01-05T11:00:00")), ["m10", "m11"]),
        (
            q(
                ("start_timestamp", "ge", "2016-01-05T12:00:00%2B01:00"),
                ("end_timestamp", "le", "2016-01-05T11:59:59Z"),
            ),
            ["m11"],
        ),
        (q(("start_timestamp", "ge", "")), ["m10", "m11", "m12"]),
    ):
        assert ids(operator, query) == found, query


def test_a_json_body_asks_the_same(operator):
    store_events([make_event(id="a", n=5), make_event(id="b", n=6)])
    body = json.dumps({"q": [{"field": "n", "op": "gt", "value": "5", "type": "integer"}], "limit": 3})
    answer = operator.client.generic("GET", "/v2/events", body, content_type="application/json")
    assert [event["message_id"] for event in answer.json()] == ["b"]


def test_traits_are_compared_by_their_type(operator):
    at = datetime(2016, 1, 1, 12)
    store_events(
        [make_event(id="a", n=5, x=0.5, s="5", d=at), make_event(id="b", n="5", x="0.5", s=5, d="2016-01-01T12:00:00")]
    )
    for query, found in (
        (("n", "eq", "5", "integer"), ["a"]),
        (("n", "eq", "5", "string"), ["b"]),
        (("n", "eq", "5", "float"), []),
        (("n", "eq", "5.0", "float"), []),
        (("x", "eq", "0.50", "float"), ["a"]),
        (("x", "eq", "0.5", "string"), ["b"]),
        (("s", "gt", "4", "integer"), ["b"]),
        (("s", "gt", "4", "string"), ["a"]),
        (("d", "eq", "2016-01-01T13:00:00%2B01:00", "datetime"), ["a"]),
        (("d", "le", "2016-01-01T12:00", "datetime"), ["a"]),
        (("d", "lt", "2016-01-01T12:00", "datetime"), []),
        # Without a type a value is whatever it can be read as.
        (("n", "eq", "5"), ["a", "b"]),
        (("n", "eq", "5", ""), ["a", "b"]),
        (("x", "ge", "0.5"), ["a", "b"]),
        (("d", "eq", "2016-01-01T12:00:00"), ["a", "b"]),
        (("n", "ne", "5"), []),
        (("nobody", "ne", "5"), []),
    ):
        assert ids(operator, q(query)) == found, query


@pytest.mark.parametrize(
    ("value", "found"), [("9007199254740993", ["b"]), ("9007199254740992", ["a"]), ("9007199254740994", [])]
)
def test_integers_beyond_doubles_are_told_apart(operator, value, found):
    store_events([make_event(id="a", n=2**53), make_event(id="b", n=2**53 + 1)])
    assert ids(operator, q(("n", "eq", value, "integer"))) == found
    assert ids(operator, q(("n", "eq", value))) == found
    assert ids(operator, q(("n", "ge", value, "integer"), ("n", "le", value, "integer"))) == found


def test_all_items_must_hold_also_of_one_trait(operator):
    store_events([make_event(id=f"m{n}", n=n, even=str(n % 2 == 0)) for n in range(6)])
    assert ids(operator, q(("n", "ge", "2", "integer"), ("n", "lt", "5", "integer"))) == ["m2", "m3", "m4"]
    assert ids(operator, q(("n", "ge", "2", "integer"), ("even", "eq", "True"))) == ["m2", "m4"]


names_of_traits = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=8)
comparable = {
    "string": st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=4),
    "integer": st.integers(-3, 3) | st.integers(2**53 - 1, 2**53 + 1) | st.integers(-(10**30), 10**30),
    "float": st.floats(-2, 2) | st.floats(allow_nan=False, allow_infinity=False),
    "datetime": st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(sorted(comparable)), op=st.sampled_from(OPERATORS), name=names_of_traits)
def test_every_operator_finds_what_python_s_finds(operator, data, kind, op, name):
    values = data.draw(st.lists(comparable[kind], min_size=1, max_size=5))
    asked = data.draw(st.sampled_from(values) | comparable[kind])
    if kind == "float":
        values, asked = [value or 0.0 for value in values], asked or 0.0
    Event.objects.all().delete()
    store_events([make_event(id=str(number), **{name: value}) for number, value in enumerate(values)])
    body = {"q": [{"field": name, "op": op, "value": trait_text(kind, asked), "type": kind}]}
    if name in {"event_type", "message_id", "start_timestamp", "end_timestamp", "timestamp", "generated"}:
        return
    answer = operator.client.generic("GET", "/v2/events", json.dumps(body), content_type="application/json")
    assert answer.status_code == 200, answer.content
    sort = (lambda value: value.encode("utf-16-be")) if kind == "string" else (lambda value: value)
    expected = [str(number) for number, value in enumerate(values) if getattr(sort(value), f"__{op}__")(sort(asked))]
    assert [event["message_id"] for event in answer.json()] == expected


# --- who sees what ---


def test_members_see_their_own_events_of_their_projects_and_operators_all(operator, member):
    store_events(
        [
            make_event(id="own"),
            make_event(id="of another user", user="u2"),
            make_event(id="of another project", project="p2"),
            make_event(id="of no project", project=None),
            make_event(id="of no user", user=None),
            make_event(id="of nobody", project=None, user=None),
        ]
    )
    assert len(ids(operator)) == 6
    assert ids(member) == ["own"]
    assert member.get("/v2/events/own").status_code == 200
    for message_id in ("of another user", "of another project", "of no project", "of no user", "of nobody"):
        answer = member.get(f"/v2/events/{message_id}")
        assert (answer.status_code, fault(answer)) == (404, f"Event {message_id} Not Found")
        assert ids(member, q(("message_id", "eq", message_id))) == []
    assert ids(member, q(("project_id", "eq", "p2"))) == []
    assert ids(member, q(("project_id", "ne", "p1"))) == []


def test_a_header_narrows_events_to_one_project(db):
    both = Caller("member", "p1", "p2")
    store_events([make_event(id="one"), make_event(id="two", project="p2")])
    assert ids(both) == ["one", "two"]
    answer = both.get("/v2/events", headers={"X-Project-Id": "p2"})
    assert [event["message_id"] for event in answer.json()] == ["two"]


def test_a_trait_that_is_no_text_makes_nobody_an_owner(operator):
    caller = Caller("5", "p1")
    store_event(id="a", user=None, user_id=5)
    assert ids(caller) == []
    assert ids(operator) == ["a"]


@pytest.mark.parametrize(
    "path", ["/v2/event_types", f"/v2/event_types/{CREATED}/traits", f"/v2/event_types/{CREATED}/traits/n"]
)
def test_types_and_traits_are_for_operators(member, path):
    store_event(n=5)
    answer = member.get(path + "?limit=0")
    assert (answer.status_code, fault(answer)) == (401, "Not Authorized to access project p1")
    assert "only operators" in answer.json()["error_message"]["detail"]
    assert Client().get(path).status_code == 401


# --- types and traits ---


def test_event_types_are_listed_by_name(operator):
    assert operator.rows("/v2/event_types") == []
    store_events([make_event(type=name) for name in ("image.update", CREATED, "image.update", "Zebra")])
    assert operator.rows("/v2/event_types") == ["Zebra", CREATED, "image.update"]
    assert operator.rows("/v2/event_types/?limit=1") == ["Zebra"]
    Event.objects.filter(event_type__name="Zebra").delete()
    assert operator.rows("/v2/event_types") == [CREATED, "image.update"]


def test_traits_of_a_type_are_listed_strings_first(operator):
    at = datetime(2014, 1, 1, 5, 0, 0, 5)
    store_events(
        [
            make_event(project=None, user=None, d=at, f=0.5, i=1, s="x", a="y"),
            make_event(type="other", project=None, user=None, z=1),
        ]
    )
    store_events([make_event(project=None, user=None, i="text")])
    assert operator.rows(f"/v2/event_types/{CREATED}/traits") == [
        {"name": "a", "type": "string"},
        {"name": "i", "type": "string"},
        {"name": "s", "type": "string"},
        {"name": "i", "type": "integer"},
        {"name": "f", "type": "float"},
        {"name": "d", "type": "datetime"},
    ]
    assert operator.rows("/v2/event_types/nothing/traits") == []
    assert operator.rows(f"/v2/event_types/{CREATED}/traits/d/") == [
        {"name": "d", "type": "datetime", "value": "2014-01-01T05:00:00.000005"}
    ]
    assert [trait["value"] for trait in operator.rows(f"/v2/event_types/{CREATED}/traits/i")] == ["1", "text"]
    for path in (
        f"{CREATED}/traits/z",
        f"{CREATED}/traits/nothing",
        "nothing/traits/i",
        f"{CREATED}/traits/%22)%20or%20%22",
    ):
        assert operator.rows(f"/v2/event_types/{path}") == []


def test_a_single_event_type_has_no_page(operator):
    store_event()
    answer = operator.get(f"/v2/event_types/{CREATED}")
    assert answer.status_code == 404
    assert fault(answer)


# --- bounds ---


@pytest.mark.parametrize("fields", [{"raw": {"x": "y" * 400}}, {"x": "y" * 400}])
def test_an_answer_is_bounded_by_its_size(operator, settings, fields):
    settings.CELOMETER_API_MAX_EVENT_BYTES = 1200
    store_events([make_event(**fields) for _ in range(3)])
    assert len(operator.rows("/v2/events?limit=2")) == 2
    answer = operator.get("/v2/events")
    assert answer.status_code == 400
    assert fault(answer) == "These 3 events come to more than 1200 bytes: ask with a lower limit."


def test_an_answer_takes_one_statement_beside_authentication(operator, django_assert_num_queries):
    # What is counted of a caller, and when a token was last used, is written with the first request of a minute.
    operator.get("/v2/meters")
    event = store_event(n=5)
    for path in ("/v2/events" + q(("n", "gt", "4", "integer")), f"/v2/events/{event.id}", "/v2/event_types",
                 f"/v2/event_types/{CREATED}/traits", f"/v2/event_types/{CREATED}/traits/n"):  # fmt: skip
        with django_assert_num_queries(2):
            assert operator.get(path).status_code == 200


def test_a_question_that_begins_below_the_floor_is_told_from_when_on_events_are_kept(operator):
    RetentionFloor.objects.create(subject="events", floor_at=datetime(2016, 1, 4, tzinfo=UTC))
    for field, op in (("start_timestamp", "ge"), ("end_timestamp", "le")):
        answer = operator.get("/v2/events" + q((field, op, "2016-01-03")))
        assert answer.status_code == 410
        assert "kept from 2016-01-04" in fault(answer)
        assert operator.get("/v2/events" + q((field, op, "2016-01-04"))).status_code == 200
    assert operator.get("/v2/events").status_code == 200


def test_an_event_is_found_by_its_id_among_many_weeks(operator):
    ensure_weeks({timezone.now() - timedelta(days=7 * number) for number in range(20)})
    events = [make_event(at=timezone.now() - timedelta(days=7 * number)) for number in range(20)]
    store_events(events)
    assert operator.get(f"/v2/events/{events[13].id}").json()["message_id"] == events[13].id
    assert ids(operator) == [event.id for event in reversed(events)]
