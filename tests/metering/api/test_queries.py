"""``POST /v2/query/samples`` and ``GET /v2/capabilities``: what a program sends and gets, and every refusal in its words."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.api import throttling
from metering.api.v2.capabilities import Capabilities
from metering.messages import sample_id
from metering.statistics import FUNCTIONS, parse_aggregates
from tests.support.samples import at, make_sample, store, store_samples

from .conftest import Caller, assert_refused, fault

PATH = "/v2/query/samples"
START = at("2016-01-05T10:00:00")


def ask(caller, filter=None, orderby=None, limit=None, path=PATH):
    """Post a query; filter and orderby as text, or as what their text is to hold."""
    texts = {name: part if isinstance(part, str) else json.dumps(part) for name, part in (("filter", filter), ("orderby", orderby))
             if part is not None}  # fmt: skip
    return caller.post(path, texts if limit is None else {**texts, "limit": limit})


def found(caller, *args, **options):
    answer = ask(caller, *args, **options)
    assert answer.status_code == 200, answer.content
    return answer.json()


@pytest.fixture
def shop(db):
    """Four samples, minutes apart, of two projects."""
    store_samples(
        [
            make_sample(
                volume=10 * n, resource=f"r{n}", project=f"p{n % 2 + 1}", timestamp=START + timedelta(minutes=n)
            )
            for n in range(4)
        ]
    )


def test_an_empty_object_asks_for_everything_newest_first(operator, shop):
    rows = found(operator)
    assert rows == operator.rows("/v2/samples")
    assert [row["resource_id"] for row in rows] == ["r3", "r2", "r1", "r0"]
    assert operator.post(PATH, {"filter": None, "orderby": None, "limit": None}).json() == rows
    assert operator.post(PATH + "/", {}).json() == rows


def test_the_example_of_the_documentation_is_answered(operator, shop):
    filter_text = '{"and": [{"=": {"meter": "cpu_util"}}, {">": {"volume": 5}}, {"not": {"=": {"resource": "r2"}}}]}'
    orderby = '[{"volume": "ASC"}, {"timestamp": "desc"}]'
    assert [row["volume"] for row in found(operator, filter_text, orderby, 42)] == [10.0, 30.0]


@pytest.mark.parametrize("limit", ["2", 2, "+2", 2.9, " 2 "])
def test_a_limit_may_be_text_or_have_a_fraction(operator, shop, limit):
    assert len(found(operator, limit=limit)) == 2


def test_the_default_limit_holds_for_queries_too(operator, shop, settings):
    settings.CELOMETER_API_DEFAULT_LIMIT = 3
    answer = ask(operator)
    assert len(answer.json()) == 3
    assert 'rel="next"' in answer["Link"]


def test_members_see_their_projects_whatever_they_ask(member, shop):
    for filter in (None, {"or": [{">=": {"volume": 0}}, {"=": {"meter": "x"}}]}, {"not": {"=": {"resource": "r0"}}},
                   {"in": {"project": ["p1"]}}, {"=": {"project_id": "p1"}}):  # fmt: skip
        for orderby in (None, [{"volume": "asc"}], []):
            rows = found(member, filter, orderby)
            assert rows
            assert {row["project_id"] for row in rows} == {"p1"}, filter


@pytest.mark.parametrize("operation", [{"=": {"project": "p2"}}, {"!=": {"project_id": "p2"}}, {"in": {"project": ["p1", "p2"]}},
                                       {"=~": {"project": "p"}}, {"<": {"project_id": "p9"}}])  # fmt: skip
def test_another_project_is_refused_wherever_it_stands_and_by_any_operator(member, operation):
    for filter in (
        operation,
        {"not": operation},
        {"and": [{"=": {"meter": "m"}}, {"or": [operation, {"=": {"meter": "n"}}]}]},
    ):
        answer = ask(member, filter)
        assert answer.status_code == 401
        assert fault(answer).startswith("Not Authorized to access project p")
        assert "valid" in answer.json()["error_message"]["detail"]


def test_checks_of_a_query_stand_in_the_order_that_programs_know(member):
    foreign = {"=": {"project": "p2"}}
    assert fault(ask(member, {"and": [foreign, {"=": {"foo": 1}}]}, "bad", 0)).startswith("Filter expression not valid")
    assert fault(ask(member, foreign, "bad", 0)) == "Not Authorized to access project p2"
    assert fault(ask(member, None, "bad", 0)).startswith("Order-by expression not valid")
    assert fault(ask(member, None, None, 0, path=f"{PATH}?marker=x")) == "Limit must be positive"
    assert fault(ask(member, None, None, 1, path=f"{PATH}?marker=x")).startswith(
        "Invalid input for field/attribute marker"
    )


def test_a_stranger_finds_nothing_by_any_query(stranger):
    result = store(
        resource="secret-r", meter="secret.m", project="secret-p", user="secret-u", metadata={"name": "secret-n"}
    )
    sample = str(sample_id(result.batch_id, 0))
    for filter in (None, {"=": {"resource": "secret-r"}}, {"=~": {"meter": "^secret"}}, {"=": {"metadata.name": "secret-n"}},
                   {"=": {"message_id": sample}}, {"or": [{">": {"volume": -1}}, {"=": {"user": "secret-u"}}]},
                   {"not": {"=": {"volume": 5}}}, {"=~": {"resource_metadata": "secret"}}):  # fmt: skip
        for orderby in (None, [], [{"resource_metadata": "asc"}]):
            assert found(stranger, filter, orderby) == []


def test_a_query_is_one_statement_beside_the_token(member, shop, monkeypatch):
    # The first request of a minute also keeps the token's last use and takes a block of its bound.
    monkeypatch.setattr(throttling, "read_clock", lambda: 1_800_000_000)
    found(member)
    with CaptureQueriesContext(connection) as queries:
        found(member, {"=": {"resource": "r1"}}, [{"volume": "desc"}])
    assert len(queries) == 2, [query["sql"] for query in queries]


BAD_BODIES = [
    ("", 400, 'Missing argument: "body"'),
    ("null", 400, 'Missing argument: "body"'),
    ("[]", 400, "Invalid input for field/attribute body. Value: 'list'. Wrong type."),
    ("5", 400, "Invalid input for field/attribute body. Value: 'int'. Wrong type."),
    ('"x"', 400, "Invalid input for field/attribute body. Value: 'str'. Wrong type."),
    ("{", 400, "Request is not in valid JSON format"),
    (b"\xff\xfe", 400, "Request is not in valid JSON format"),
    ("[" * 100_000, 400, "Request is not in valid JSON format"),
    ('{"limit": 1, "limit": 2}', 400, "Request is not in valid JSON format: key 'limit'"),
    ('{"foo": 1}', 400, "Unknown attribute for argument body: foo"),
    ('{"marker": "x"}', 400, "Unknown attribute for argument body: marker"),
    ('{"\\u0000": 1}', 400, "Unknown attribute for argument body: \\x00"),
    ('{"\\udc00": 1}', 400, "Unknown attribute for argument body: \\udc00"),
    ('{"filter": {"=": {"meter": "x"}}}', 400, "Invalid input for field/attribute filter."),
    ('{"filter": []}', 400, "Invalid input for field/attribute filter. Value: '[]'. Wrong type."),
    ('{"filter": 5}', 400, "Invalid input for field/attribute filter. Value: '5'. Wrong type."),
    ('{"filter": true}', 400, "Invalid input for field/attribute filter. Value: 'True'. Wrong type."),
    ('{"orderby": []}', 400, "Invalid input for field/attribute orderby. Value: '[]'. Wrong type."),
    ('{"orderby": {}}', 400, "Invalid input for field/attribute orderby. Value: '{}'. Wrong type."),
    ('{"filter": ""}', 400, "Filter expression not valid: Expecting value"),
    ('{"filter": "\\u0000"}', 400, "Filter expression not valid: Expecting value"),
    ('{"filter": "\\udc00"}', 400, "Filter expression not valid: Expecting value"),
    ('{"orderby": ""}', 400, "Order-by expression not valid: Expecting value"),
    ('{"orderby": "\\udc00"}', 400, "Order-by expression not valid: Expecting value"),
    *((json.dumps({"limit": limit}), 400, text) for limit, text in (
        (0, "Limit must be positive"),
        (-1, "Limit must be positive"),
        ("-7", "Limit must be positive"),
        (0.5, "Limit must be positive"),
        (10001, "Limit must be at most 10000. Value: '10001'."),
        (10**30, "Limit must be at most 10000."),
        ("9" * 5000, "Invalid input for field/attribute limit."),
        ("seven", "Invalid input for field/attribute limit. Value: 'seven'. unable to convert to int."),
        ("", "Invalid input for field/attribute limit. Value: ''. unable to convert to int."),
        ("1.5", "Invalid input for field/attribute limit. Value: '1.5'. unable to convert to int."),
        ("1\x00", "Invalid input for field/attribute limit."),
        ("\udc00", "Invalid input for field/attribute limit."),
        (True, "Invalid input for field/attribute limit. Value: 'True'."),
        ([1], "Invalid input for field/attribute limit. Value: '[1]'."),
        ({}, "Invalid input for field/attribute limit. Value: '{}'."),
    )),
    ('{"limit": 1e999999999}', 400, "Invalid input for field/attribute limit."),
    ('{"limit": NaN}', 400, "Request is not in valid JSON format: NaN is not a JSON number"),
    *((json.dumps({"filter": json.dumps(tree)}), 400, f"Filter expression not valid: {text}") for tree, text in (
        ({"=": {"counter_flavor": "x"}}, '{"=": {"counter_flavor": "x"}} is not valid under any of the given schemas'),
        ({"=": {"id": "x"}}, '{"=": {"id": "x"}} is not valid under any of the given schemas'),
        ({"=": {"meter": 5}}, '{"=": {"meter": 5}} is not valid under any of the given schemas'),
        ({"=": {"volume": False}}, '{"=": {"volume": false}} is not valid under any of the given schemas'),
        ({"=": {"meter": None}}, '{"=": {"meter": null}} is not valid under any of the given schemas'),
        ({"and": [{"=": {"meter": "x"}}]}, '{"and": [{"=": {"meter": "x"}}]} is not valid under any of the given schemas'),
        ({"xor": []}, '{"xor": []} is not valid under any of the given schemas'),
        ({"in": {"meter": []}}, '{"in": {"meter": []}} is not valid under any of the given schemas'),
        ({"\u00e9" * 9000: {}}, '{"éé'),
        ({"=": {"x" * 9000: "x"}}, '{"=": {"xx'),
        ({"=~": {"meter": "("}}, "invalid regular expression: parentheses () not balanced: ("),
        ({"=~": {"meter": "a{2,1}"}}, "invalid regular expression"),
        ({"=~": {"metadata.a": "[z-a]"}}, "invalid regular expression: invalid character range: [z-a]"),
        ({"=~": {"meter": "(((a{0,255}){0,255}){0,255})"}}, "invalid regular expression: regular expression is too complex: (((a"),
        # PostgreSQL gives up by itself, or we do after half a second: it depends on who is the faster.
        ({"=~": {"metadata.a": "(?:a{1,255}|b{1,255}){1,255}"}}, "regular expression"),
        ({"=~": {"meter": "a" * 300}}, "the regular expression aaa"),
        ({"=": {"metadata.a": [1]}}, '{"=": {"metadata.a": [1]}} is not valid under any of the given schemas'),
    )),
    *((json.dumps({"filter": json.dumps({">": {field: value}})}), 400, f"Failed to parse the timestamp value {value}") for field, value in (
        ("timestamp", "bad"), ("timestamp", ""), ("timestamp", "2013-02-30"), ("recorded_at", "10:00"),
        ("timestamp", "0001-01-01T00:00:00+05:00"),
    )),
    *((json.dumps({"orderby": text}), 400, f"Order-by expression not valid: {expected}") for text, expected in (
        ('[{"counter_name": "up"}]', "'up' does not match '(?i)^asc$|^desc$'"),
        ('[{"counter_name": "asc"}]]', "Extra data: "),
        ('[{"metadata.a": "asc"}]', "Additional properties are not allowed ('metadata.a' was unexpected)"),
        ('[{"nothing": "asc"}]', "Additional properties are not allowed ('nothing' was unexpected)"),
        ('[{"unit": null}]', "null is not of type 'string'"),
        ('["unit"]', '"unit" is not an object'),
        ("5", "5 is not of type 'array'"),
    )),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "text"), BAD_BODIES, ids=[f"{n}-{str(body)[:40]}" for n, (body, _, _) in enumerate(BAD_BODIES)]
)
def test_bad_queries_are_told_what_is_wrong(operator, body, status, text):
    answer = operator.post(PATH, body)
    assert_refused(answer, status, text)


@pytest.mark.parametrize(
    ("path", "options", "status", "text"),
    [
        (f"{PATH}?limit=5", {}, 400, 'Unknown argument: "limit"'),
        (f"{PATH}?filter=x", {}, 400, 'Unknown argument: "filter"'),
        (f"{PATH}?q.field=user&q.value=u", {}, 400, 'Unknown argument: "q.field"'),
        (f"{PATH}?marker=x&marker=y", {}, 400, "Invalid input for field/attribute marker."),
        (PATH, {"content_type": "text/plain"}, 415, "Unknown mimetype: text/plain"),
        (PATH, {"content_type": "application/xml"}, 415, "Unknown mimetype: application/xml"),
        (
            PATH,
            {"content_type": "application/x-www-form-urlencoded"},
            400,
            'Unknown argument: "{}": this looks like JSON',
        ),
        (PATH, {"headers": {"Accept": "application/xml"}}, 406, "Accept: application/xml"),
    ],
)
def test_a_query_stands_in_a_json_body(operator, path, options, status, text):
    answer = operator.client.post(path, b"{}", **{"content_type": "application/json", **options})
    assert (answer.status_code, fault(answer)[: len(text)]) == (status, text)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_of_a_query_are_refused(operator, method):
    answer = operator.client.generic(method, PATH)
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert operator.get("/v2/query").status_code == 404


def test_a_body_larger_than_any_query_is_refused(operator):
    answer = operator.post(PATH, b'{"filter": "' + b" " * 10_000_000 + b'"}')
    assert answer.status_code == 413
    assert ask(operator, limit=1).status_code == 200


def test_the_client_lists_what_this_server_can_do(member):
    answer = member.rows("/v2/capabilities")
    assert answer["storage"] == answer["event_storage"] == {"storage:production_ready": True}
    old = {
        f"{name}:query:{way}"
        for name in ("meters", "resources", "samples", "statistics")
        for way in ("simple", "metadata")
    }
    old |= {
        f"statistics:aggregation:selectable:{name}"
        for name in ("avg", "cardinality", "count", "max", "min", "stddev", "sum")
    }
    old |= {"samples:query:complex", "events:query:simple", "statistics:aggregation:standard", "statistics:groupby"}
    assert old <= {name for name, able in answer["api"].items() if able is True}
    assert member.rows("/v2/capabilities/") == answer


def test_every_function_that_is_announced_can_be_asked_for(member):
    store()
    announced = [name.rpartition(":")[2] for name in member.rows("/v2/capabilities")["api"] if "selectable" in name]
    assert sorted(announced) == sorted(FUNCTIONS)
    parameters = {"cardinality": "resource_id", "percentile": "50"}
    for name in announced:
        assert parse_aggregates([name], [parameters[name]] if name in parameters else [])
        query = f"aggregate.func={name}" + (f"&aggregate.param={parameters[name]}" if name in parameters else "")
        assert member.rows(f"/v2/meters/cpu_util/statistics?{query}"), name


def test_capabilities_are_for_everybody_with_a_token_and_take_no_arguments(db, client):
    assert Caller("lonely").get("/v2/capabilities").status_code == 200
    assert client.get("/v2/capabilities").status_code == 401
    assert fault(Caller("lonely").get("/v2/capabilities?limit=5")) == 'Unknown argument: "limit"'
    answer = Caller("lonely").post("/v2/capabilities", {})
    assert (answer.status_code, answer["Allow"]) == (405, "GET")
    assert Capabilities.summary
