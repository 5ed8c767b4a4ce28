"""Bad input: each is answered with a 4xx in the one shape, fast, and names what was wrong."""

from __future__ import annotations

import json
import time

import pytest
from django.test import Client

from tests.support.samples import make_sample, store_samples

from .conftest import assert_refused, fault

LISTS = ("/v2/meters", "/v2/meters/cpu_util", "/v2/resources", "/v2/samples")
QUERYABLE = (*LISTS, "/v2/meters/cpu_util/statistics")

BAD = [
    *((f"{path}?limit={value}", 400, text) for path in LISTS for value, text in (
        ("0", "Limit must be positive"),
        ("-5", "Limit must be positive"),
        ("-" + "9" * 4000, "Limit must be positive"),
        ("NaN", "Invalid input for field/attribute limit. Value: 'NaN'. unable to convert to int"),
        ("", "Invalid input for field/attribute limit. Value: ''. unable to convert to int"),
        ("1.5", "Invalid input for field/attribute limit. Value: '1.5'. unable to convert to int"),
        ("seven", "Invalid input for field/attribute limit. Value: 'seven'. unable to convert to int"),
        ("1%00", "Invalid input for field/attribute limit."),
        ("10001", "Limit must be at most 10000. Value: '10001'."),
        ("9" * 5000, "Invalid input for field/attribute limit."),
        ("1&limit=1", "Invalid input for field/attribute limit."),
    )),
    *((f"{path}?{query}", 400, text) for path in QUERYABLE for query, text in (
        ("foo=1", 'Unknown argument: "foo"'),
        ("q.foo=1", 'Unknown argument: "q.foo"'),
        ("q=abc", 'Unknown argument: "q"'),
        ("%ff=1", "Arguments are not UTF-8"),
        ("q.field=a%00b&q.value=1", "Invalid input for field/attribute q.field. Value: 'a\\0b'."),
        ("q.field=resource_id&q.value=%00", "Invalid input for field/attribute q.value."),
        ("q.field=resource_id&q.value=%ff", "Arguments are not UTF-8"),
        ("q.field=resource_id&q.value=%ed%a0%80", "Arguments are not UTF-8"),
        ("q.field=resource_id", "q.field was given 1 times and q.value 0 times"),
        ("q.value=1", "q.field was given 0 times and q.value 1 times"),
        ("q.op=eq", "q.op was given 1 times for 0 fields"),
        ("q.field=F&q.op=gt&q.value=3&q.type=string", "Unknown argument: \"F\": unrecognized field in query: [<Query 'F' gt '3' "),
        ("q.field=project_id&q.op=lt&q.value=p1", "Invalid input for field/attribute op. Value: 'lt'."),
        ("q.field=unique&q.value=1", 'Unknown argument: "unique": unrecognized field'),
        ("q.field=metadata.a&q.value=x&q.type=blob", "The data type blob is not supported."),
        ("q.field=metadata.a&q.value=x&q.type=integer", "Unable to convert the value x to the expected data type integer."),
        ("q.field=metadata.a&q.value=1e999999999&q.type=float", "Unable to convert the value 1e999999999"),
        ("&".join(f"q.field=user&q.value={n}" for n in range(200)), "More than 200 arguments"),
    )),
    *((f"{path}?{query}", 400, text) for path in QUERYABLE[1:] for query, text in (
        ("q.field=timestamp&q.value=2013", "Invalid input for field/attribute op. Value: 'eq'."),
        ("q.field=timestamp&q.op=gt&q.value=garbage", "Invalid input for field/attribute timestamp. Value: 'garbage'. invalid"),
        ("q.field=timestamp&q.op=gt&q.value=2013-01-01T00:00:00+01:00", "Invalid input for field/attribute timestamp."),
        ("q.field=timestamp&q.op=gt&q.value=1357034400", "Invalid input for field/attribute timestamp."),
        ("q.field=timestamp&q.op=gt&q.value=2013&q.field=search_offset&q.op=eq&q.value=abc", "Invalid input for field/attribute"),
        ("q.field=search_offset&q.value=5", "Invalid input for field/attribute field. Value: 'search_offset'."),
    )),
    ("/v2/meters?q.field=timestamp&q.op=gt&q.value=2013", 400, 'Unknown argument: "timestamp": not valid for this resource'),
    ("/v2/resources?meter_links=many", 400, "Invalid input for field/attribute meter_links."),
    ("/v2/resources?q.field=meter&q.value=cpu", 400, 'Unknown argument: "meter"'),
    ("/v2/resources/r1?limit=5", 400, 'Unknown argument: "limit"'),
    ("/v2/samples/x?limit=5", 400, 'Unknown argument: "limit"'),
    ("/v2/samples/davesnothere", 404, "Sample davesnothere Not Found"),
    ("/v2/samples/" + "9" * 3000, 404, "Sample 999"),
    ("/v2/resources/nope", 404, "Resource nope Not Found"),
    ("/v2/resources/a%00b", 400, "The path holds the character NUL"),
    ("/v2/samples/a%00b", 400, "The path holds the character NUL"),
    ("/v2/meters/a%00b", 400, "The path holds the character NUL"),
    ("/v2/meters/a%00b/statistics", 400, "The path holds the character NUL"),
    ("/v2/meters/m?direct=1", 400, 'Unknown argument: "direct"'),
    ("/v2", 404, "Path /v2 Not Found"),
    ("/v2/", 404, "Path /v2/ Not Found"),
    ("/v2/nowhere", 404, "Path /v2/nowhere Not Found"),
    ("/v2/meters.xml", 404, "Path /v2/meters.xml Not Found"),
    ("/v2/meters/x/foo", 404, "Path /v2/meters/x/foo Not Found"),
    ("/nowhere", 404, "Not Found"),
    *((f"/v2/meters/m/statistics?{query}", 400, text) for query, text in (
        ("limit=5", 'Unknown argument: "limit"'),
        ("period=seven", "Invalid input for field/attribute period. Value: 'seven'. unable to convert to int"),
        ("period=-7", "Period must be positive."),
        ("period=1.5", "Invalid input for field/attribute period."),
        ("period=99999999999999", "Invalid period 99999999999999: "),
        ("period=" + "9" * 3000, "Invalid period 999"),
        ("period=1&period=1", "Invalid input for field/attribute period."),
        ("period=day&tz=Mars/Base", "Invalid input for field/attribute tz. Value: 'Mars/Base'. expected the name of a time zone"),
        ("period=day&tz=../UTC", "Invalid input for field/attribute tz."),
        ("period=60&tz=UTC", "Invalid input for field/attribute tz. Value: 'UTC'. expected only with a period of day"),
        ("aggregate.func=percentile", "Bad aggregate: percentile.None"),
        ("aggregate.func=percentile&aggregate.param=101", "Bad aggregate: percentile.101"),
        ("aggregate.func=percentile&aggregate.param=nan", "Bad aggregate: percentile.nan"),
        ("aggregate.func=integral&aggregate.param=year", "Bad aggregate: integral.year"),
        ("groupby=resource_metadata.", "Unknown argument: \"{'resource_metadata.'}\": Invalid groupby fields"),
        ("groupby=house_id", "Unknown argument: \"{'house_id'}\": Invalid groupby fields"),
        ("groupby=", "Unknown argument: \"{''}\": Invalid groupby fields"),
        ("groupby=user", "Unknown argument: \"{'user'}\": Invalid groupby fields"),
        ("groupby=project_id;drop", "Unknown argument: "),
        ("aggregate=max", 'Unknown argument: "aggregate"'),
        ("aggregate.func=mmm", "Invalid aggregation function: mmm"),
        ("aggregate.func=max&aggregate.func=mmm", "Invalid aggregation function: mmm"),
        ("aggregate.func=cardinality", "Bad aggregate: cardinality.None"),
        ("aggregate.func=max&aggregate.func=cardinality&aggregate.param=resource_id", "Bad aggregate: cardinality.None"),
        ("aggregate.func=max&aggregate.param=resource_id", "Bad aggregate: max.resource_id"),
        ("aggregate.param=resource_id", "aggregate.param was given 1 times for 0 functions"),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("path", "status", "text"), BAD, ids=[path[:60] for path, _, _ in BAD])
def test_bad_requests_are_told_what_is_wrong(operator, path, status, text):
    started = time.monotonic()
    answer = operator.get(path)
    assert time.monotonic() - started < 1
    assert_refused(answer, status, text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"[]", "Request must be a JSON dict"),
        (b"1", "Request must be a JSON dict"),
        (b"{", "Request is not in valid JSON format"),
        (b"\xff", "Request is not in valid JSON format"),
        (b"[" * 50_000, "Request is not in valid JSON format"),
        (b'{"foo": 1}', 'Unknown argument: "foo"'),
        (b'{"q.field": "a"}', 'Unknown argument: "q.field"'),
        (b'{"\\u0000": 1}', "Invalid input for field/attribute argument."),
        (b'{"q": 1}', "Invalid input for field/attribute q."),
        (b'{"q": [1]}', "Invalid input for field/attribute q."),
        (b'{"q": [{}]}', "Invalid input for field/attribute field. Value: 'None'. Mandatory field missing."),
        (
            b'{"q": [{"field": "user"}]}',
            "Invalid input for field/attribute value. Value: 'None'. Mandatory field missing.",
        ),
        (b'{"q": [{"field": "user", "value": 3}]}', "Invalid input for field/attribute value. Value: '3'. Wrong type."),
        (b'{"q": [{"field": "user", "value": "3", "x": 1}]}', "Unknown attribute for argument q: 'x'"),
        (b'{"q": [{"field": "user", "value": "\\u0000"}]}', "Invalid input for field/attribute value."),
        (b'{"q": [{"field": "user", "value": "\\udc00"}]}', "Invalid input for field/attribute value."),
        (b'{"limit": "x"}', "Invalid input for field/attribute limit. Value: 'x'. unable to convert to int"),
        (b'{"limit": 1.5}', "Invalid input for field/attribute limit."),
        (b'{"limit": null}', "Invalid input for field/attribute limit."),
        (b'{"limit": {}}', "Invalid input for field/attribute limit."),
        (b'{"limit": [1, 2]}', "Invalid input for field/attribute limit."),
        (b'{"limit": ' + b"9" * 100 + b"}", "Invalid input for field/attribute limit."),
    ],
)
def test_bad_bodies_of_queries_are_told_what_is_wrong(operator, body, text):
    answer = operator.client.generic("GET", "/v2/samples", body, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert fault(answer).startswith(text)


def test_an_argument_in_url_and_body_is_refused(operator):
    answer = operator.client.generic("GET", "/v2/samples?limit=1", b'{"limit": 1}', content_type="application/json")
    assert fault(answer) == "Parameter limit was given several times"
    answer = operator.client.generic(
        "GET", "/v2/samples?q.field=user&q.value=1", b'{"q": []}', content_type="application/json"
    )
    assert fault(answer) == "Parameter q was given several times"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/v2/meters", "GET"), ("DELETE", "/v2/meters", "GET"), ("PUT", "/v2/meters/cpu_util", "GET, POST"),
     ("POST", "/v2/samples", "GET"), ("PATCH", "/v2/resources/r1", "GET"), ("POST", "/v2/meters/x/statistics", "GET")],
)  # fmt: skip
def test_other_methods_are_refused_with_those_that_are_not(operator, method, path, allowed):
    answer = operator.client.generic(method, path)
    assert answer.status_code == 405
    assert answer["Allow"] == allowed
    assert answer.json()["error_message"]["code"] == "method_not_allowed"


def test_head_and_options_are_answered(operator):
    assert operator.client.head("/v2/meters").status_code == 200
    answer = operator.client.options("/v2/meters/cpu_util")
    assert answer.status_code == 200
    assert answer.json()["methods"] == ["GET", "POST"]


@pytest.mark.parametrize(
    ("accept", "status", "content_type"),
    [
        (None, 200, "application/json"),
        ("*/*", 200, "application/json"),
        ("application/json", 200, "application/json"),
        ("application/*", 200, "application/json"),
        ("application/json;charset=utf-8", 200, "application/json"),
        ("text/plain, application/json;q=0.8", 200, "application/json"),
        ("application/json, text/html", 200, "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", 200, "text/html; charset=utf-8"),
        ("text/html", 200, "text/html; charset=utf-8"),
        ("text/html;q=0.5, application/json", 200, "application/json"),
        ("text/plain", 406, "application/json"),
        ("text/plain, application/binary;q=0.8", 406, "application/json"),
        ("application/xml", 406, "application/json"),
        ("application/vnd.openstack.telemetry-v2+json", 406, "application/json"),
        ("application/json;q=0", 406, "application/json"),
        ("*/*, application/json;q=0, text/html;q=0", 406, "application/json"),
        (";;;,,,", 406, "application/json"),
        ("application/json;q=banana", 406, "application/json"),
    ],
)
def test_the_accept_header_chooses(operator, accept, status, content_type):
    answer = operator.get("/v2/meters", headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer["Content-Type"]) == (status, content_type)


@pytest.mark.parametrize(("path", "status"), [("/v2/meters", 401), ("/v2/nowhere", 404)])
def test_a_browser_is_told_of_errors_by_a_page(db, path, status):
    answer = Client(headers={"Accept": "text/html,*/*;q=0.8"}).get(path)
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html")
    assert b"Log in" in answer.content


def test_what_others_sent_is_no_markup_on_a_page(operator):
    store_samples([make_sample(meter="<script>x</script>", resource='"><img src=x>', metadata={"<b>": "<i>"})])
    for path in (
        "/v2/samples",
        "/v2/resources",
        "/v2/meters",
        "/v2/resources/%22%3E%3Cimg%20src=x%3E",
        "/v2/nowhere/%3Cscript%3E",
    ):
        page = operator.get(path, headers={"Accept": "text/html"}).content
        assert b"<script>" not in page, path
        assert b"<img" not in page, path
        assert b"<i>" not in page, path


def test_checks_stand_in_the_order_that_programs_know(operator):
    assert Client().get("/v2/nowhere").status_code == 404
    assert Client().get("/v2/meters?limit=0", headers={"Accept": "text/plain"}).status_code == 401
    assert operator.client.put("/v2/meters?foo=1", headers={"Accept": "text/plain"}).status_code == 405
    assert operator.get("/v2/meters?foo=1", headers={"Accept": "text/plain"}).status_code == 406


def test_a_wrong_host_is_refused_in_the_same_shape(operator):
    answer = operator.get("/v2/meters", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert answer.json()["error_message"]["code"] == "bad_request"


def test_the_largest_query_that_is_admitted_is_answered(operator):
    store_samples([make_sample(metadata={"a": {"b": {"c": number}}}, resource=f"r{number}") for number in range(50)])
    conditions = [{"field": f"metadata.a.b.c.d.e.f.{number}", "value": "1"} for number in range(50)]
    # One whose cost exploded with its conditions would be stopped, with 503.
    for path in QUERYABLE:
        body = json.dumps({"q": conditions}).encode()
        assert operator.client.generic("GET", path, body, content_type="application/json").json() == []
    body = json.dumps({"q": [*conditions, conditions[0]]}).encode()
    answer = operator.client.generic("GET", "/v2/samples", body, content_type="application/json")
    assert "at most 50" in fault(answer)
