"""Bad questions about events: each is answered with a 4xx in the one shape, and names what was wrong."""

from __future__ import annotations

import json

import pytest

from tests.support.events import store_event

from .conftest import assert_refused, fault

LISTS = ("/v2/events", "/v2/event_types", "/v2/event_types/x/traits", "/v2/event_types/x/traits/n")
EVENTS_ONLY = "The supported operators are: ('lt', 'le', 'eq', 'ne', 'ge', 'gt')"

BAD = [
    *((f"{path}?limit={value}", 400, text) for path in LISTS for value, text in (
        ("0", "Limit must be positive"),
        ("-5", "Limit must be positive"),
        ("NaN", "Invalid input for field/attribute limit. Value: 'NaN'. unable to convert to int"),
        ("1.5", "Invalid input for field/attribute limit. Value: '1.5'. unable to convert to int"),
        ("10001", "Limit must be at most 10000. Value: '10001'."),
        ("1&limit=1", "Invalid input for field/attribute limit."),
    )),
    *((f"{path}?{query}", 400, text) for path in LISTS for query, text in (
        ("foo=1", 'Unknown argument: "foo"'),
        ("%ff=1", "Arguments are not UTF-8"),
    )),
    *((f"{path}?q.field=n&q.value=1", 400, 'Unknown argument: "q.field"') for path in LISTS[1:]),
    *((f"/v2/events?{query}", 400, text) for query, text in (
        ("unique=1", 'Unknown argument: "unique"'),
        ("q.field=n", "q.field was given 1 times and q.value 0 times"),
        ("q.value=1", "q.field was given 0 times and q.value 1 times"),
        ("q.field=n&q.value=%00", "Invalid input for field/attribute q.value."),
        ("q.field=a%00b&q.value=1", "Invalid input for field/attribute q.field. Value: 'a\\0b'."),
        ("q.field=event_type&q.op=ne&q.value=x", "Operator ne is not supported. Only `eq' operator is available for field event_type"),
        ("q.field=message_id&q.op=gt&q.value=x", "Operator gt is not supported. Only `eq' operator is available for field message_id"),
        ("q.field=start_timestamp&q.value=2013", "Operator eq is not supported. Only `ge' operator is available for field start_timestamp"),
        ("q.field=start_timestamp&q.op=gt&q.value=2013", "Operator gt is not supported. Only `ge' operator"),
        ("q.field=end_timestamp&q.value=2013", "Operator eq is not supported. Only `le' operator is available for field end_timestamp"),
        ("q.field=end_timestamp&q.op=lt&q.value=2013", "Operator lt is not supported. Only `le' operator"),
        ("q.field=n&q.op=whats&q.value=1", f"Operator whats is not supported. {EVENTS_ONLY}"),
        ("q.field=event_type&q.op=whats&q.value=1", f"Operator whats is not supported. {EVENTS_ONLY}"),
        ("q.field=n&q.op=" + "x" * 3000 + "&q.value=1", "Operator xxx"),
        ("q.field=start_timestamp&q.op=ge&q.value=bad", "Invalid input for field/attribute start_timestamp. Value: 'bad'. invalid"),
        ("q.field=end_timestamp&q.op=le&q.value=10:00", "Invalid input for field/attribute end_timestamp. Value: '10:00'. invalid"),
        ("q.field=start_timestamp&q.op=ge&q.value=2013-01-01T00:00:00+01:00", "Invalid input for field/attribute start_timestamp."),
        ("q.field=start_timestamp&q.op=ge&q.value=2013-02-30", "Invalid input for field/attribute start_timestamp."),
        ("q.field=end_timestamp&q.op=le&q.value=0001-01-01T00:00:00%2B23:00", "Invalid input for field/attribute end_timestamp."),
        ("q.field=timestamp&q.op=ge&q.value=2013", 'Unknown argument: "timestamp": ask for start_timestamp (op ge)'),
        ("q.field=generated&q.value=2013", 'Unknown argument: "generated": ask for start_timestamp (op ge)'),
        ("q.field=n&q.value=x&q.type=blob",
         "The data type blob is not supported. The supported data type list is: ['integer', 'float', 'string', 'datetime']"),
        ("q.field=n&q.value=true&q.type=boolean", "The data type boolean is not supported."),
        ("q.field=n&q.value=a&q.type=integer", "Unable to convert the value a to the expected data type integer."),
        ("q.field=n&q.value=1.5&q.type=integer", "Unable to convert the value 1.5 to the expected data type integer."),
        ("q.field=n&q.value=&q.type=integer", "Unable to convert the value  to the expected data type integer."),
        ("q.field=n&q.value=" + "9" * 5000 + "&q.type=integer", "Unable to convert the value 999"),
        ("q.field=n&q.value=nan&q.type=float", "Unable to convert the value nan to the expected data type float."),
        ("q.field=n&q.value=1e999999999&q.type=float", "Unable to convert the value 1e999999999"),
        ("q.field=n&q.value=soon&q.type=datetime", "Unable to convert the value soon to the expected data type datetime."),
        ("&".join(f"q.field=n&q.value={n}" for n in range(200)), "More than 200 arguments"),
    )),
    ("/v2/events/x?limit=5", 400, 'Unknown argument: "limit"'),
    ("/v2/events/nope", 404, "Event nope Not Found"),
    ("/v2/events/" + "9" * 3000, 404, "Event 999"),
    ("/v2/events/a%00b", 400, "The path holds the character NUL"),
    ("/v2/event_types/a%00b/traits", 400, "The path holds the character NUL"),
    ("/v2/event_types/x/traits/a%00b", 400, "The path holds the character NUL"),
    ("/v2/event_types/x", 404, "Path "),
]  # fmt: skip


@pytest.mark.parametrize(("path", "status", "text"), BAD, ids=[path[:70] for path, _, _ in BAD])
def test_bad_requests_are_told_what_is_wrong(operator, path, status, text):
    answer = operator.get(path)
    assert_refused(answer, status, text)


@pytest.mark.parametrize(
    "path", ["/v2/events", "/v2/events/x", "/v2/event_types", "/v2/event_types/x/traits", "/v2/event_types/x/traits/n"]
)
def test_events_cannot_be_made_over_http(operator, path):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = operator.client.generic(method, path, b"{}", content_type="application/json")
        assert (answer.status_code, answer["Allow"]) == (405, "GET")


# Names and values that would break out of JSON, of SQL's path language, or of SQL, were they not quoted.
HOSTILE = [
    '"',
    "\\",
    "'",
    '") or (1 == 1',
    "$.*",
    "{}",
    "%s",
    "%(a)s",
    "\n\t\x01",
    "\U0001f600",
    "a.b[0]",
    "');--",
    "-- ",
    "/*",
    "?",
    "@",
]


@pytest.mark.parametrize("op", ["eq", "ne", "lt", "ge"])
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_names_and_values_of_traits_are_nothing_but_text(operator, text, op):
    event = store_event(**{text: text, "other": text + "z"})
    for kind in ("string", ""):
        body = {
            "q": [
                {"field": text, "op": op, "value": text, "type": kind},
                {"field": "other", "op": "gt", "value": text, "type": kind},
            ]
        }
        answer = operator.client.generic("GET", "/v2/events", json.dumps(body), content_type="application/json")
        assert answer.status_code == 200, answer.content
        assert [row["message_id"] for row in answer.json()] == ([event.id] if op in {"eq", "ge"} else [])


def test_a_value_no_date_can_be_is_text(operator):
    store_event(id="a", n="2013-02-30")
    answer = operator.get("/v2/events?q.field=n&q.value=2013-02-30")
    assert [row["message_id"] for row in answer.json()] == ["a"]


def test_what_others_sent_is_no_markup_on_a_page(operator):
    hostile = "<script>x</script>"
    event = store_event(id=hostile, type=hostile, raw={hostile: hostile}, **{hostile: hostile})
    for path in ("/v2/events", "/v2/events/%3Cscript%3Ex%3C%252Fscript%3E", "/v2/event_types",
                 "/v2/event_types/%3Cscript%3Ex%3C%252Fscript%3E/traits"):  # fmt: skip
        answer = operator.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 200
        assert b"script&gt;x" in answer.content
        assert b"<script>" not in answer.content
    assert fault(operator.get("/v2/events/x")) == "Event x Not Found" and event.id == hostile
