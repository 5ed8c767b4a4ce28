"""Whatever is sent: an answer of the API's own, never a 500, and nothing stored that was not posted well."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.samples import make_sample, store_samples

PATHS = ("/", "/v2/meters", "/v2/meters/cpu_util", "/v2/meters/cpu_util/statistics", "/v2/resources", "/v2/samples",
         "/v2/capabilities")  # fmt: skip
NAMES = ("q.field", "q.op", "q.value", "q.type", "limit", "unique", "period", "groupby", "aggregate.func", "aggregate.param",
         "meter_links", "direct", "marker")  # fmt: skip
WORDS = ("timestamp", "search_offset", "metadata.a", "metadata.a[0].b", "user", "project_id", "resource", "message_id", "eq", "gt", "le",
         "integer", "float", "boolean", "datetime", "string", "1", "-1", "None", "True", "1e5", "NaN", "2016-01-05T10:00:00", "max",
         "stddev", "cardinality", "resource_id", "9999-12-31", "0001-01-01", "%s", "'", "\\", "{", "99999999999999999999")  # fmt: skip
texts = st.sampled_from(WORDS) | st.text(max_size=12)
gently = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@gently
@given(path=st.sampled_from(PATHS), pairs=st.lists(st.tuples(st.sampled_from(NAMES), texts), max_size=8))
@example(path="/v2/samples", pairs=[("q.field", "timestamp"), ("q.op", "gt"), ("q.value", "0001-01-01")])
@example(
    path="/v2/samples", pairs=[("q.field", "timestamp"), ("q.op", "le"), ("q.value", "9999-12-31T23:59:59.999999")]
)
def test_no_arguments_make_a_server_error(operator, path, pairs):
    query = urlencode([(name, value.encode("utf-8", "surrogatepass")) for name, value in pairs])
    answer = operator.get(f"{path}?{query}")
    assert answer.status_code in {200, 400}, (query, answer.content)
    json.loads(answer.content)


@gently
@given(
    path=st.sampled_from(PATHS),
    fields=st.lists(
        st.tuples(st.sampled_from(["timestamp", "metadata.a", "resource", "project", "message_id", "search_offset"]),
                  st.sampled_from(["eq", "gt", "lt", "ge", "le"]), texts, st.sampled_from(["", "integer", "float", "datetime", "boolean"])),
        max_size=4,
    ),
)  # fmt: skip
def test_no_condition_makes_a_server_error(operator, path, fields):
    store_samples([make_sample(metadata={"a": [{"b": 1}]})])
    body = json.dumps({"q": [dict(zip(("field", "op", "value", "type"), item, strict=True)) for item in fields]})
    answer = operator.client.generic(
        "GET", path, body.encode("utf-8", "surrogatepass"), content_type="application/json"
    )
    assert answer.status_code in {200, 400}, (body, answer.content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@gently
@given(
    change=st.dictionaries(
        st.sampled_from(["counter_name", "counter_type", "counter_unit", "counter_volume", "resource_id", "user_id", "project_id",
                         "source", "timestamp", "resource_metadata", "recorded_at", "message_id"]),
        json_values, min_size=1, max_size=3,
    )
)  # fmt: skip
def test_no_sample_makes_a_server_error(operator, change):
    sample = {
        "counter_name": "cpu_util",
        "counter_type": "gauge",
        "counter_unit": "%",
        "counter_volume": 1,
        "resource_id": "r1",
    }
    with transaction.atomic():
        answer = operator.post("/v2/meters/cpu_util", json.dumps([{**sample, **change}]))
        transaction.set_rollback(True)
    assert answer.status_code in {201, 202, 400}, (change, answer.content)


@gently
@given(name=st.text(min_size=1, max_size=30), kind=st.sampled_from(["meters", "resources", "samples"]))
def test_no_path_makes_a_server_error(operator, name, kind):
    answer = operator.get(f"/v2/{kind}/{quote(name.encode('utf-8', 'surrogatepass'), safe='')}")
    assert answer.status_code in {200, 400, 404}, (name, answer.content)


filter_words = st.sampled_from(
    ["and", "or", "not", "in", "=", "!=", "<", ">=", "=~", "meter", "volume", "timestamp", "message_id", "user_id", "project",
     "metadata.a", "metadata.a[0].b", "resource_metadata", "recorded_at", "asc", "desc", "(", "a*"]
)  # fmt: skip
query_parts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | filter_words | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(filter_words | texts, inner, max_size=2),
    max_leaves=10,
)


@gently
@given(
    filter=st.none() | query_parts.map(json.dumps) | query_parts,
    orderby=st.none() | query_parts.map(json.dumps) | query_parts,
    limit=st.none() | st.integers() | texts | query_parts,
)
@example(filter='{"=": {"volume": 1e400}}', orderby=None, limit=None)
@example(filter='{"=": {"metadata.a": 1e-300}}', orderby='[{"volume": "asc"}]', limit="1")
@example(filter='{"<": {"timestamp": "0001-01-01"}}', orderby="[]", limit=1)
def test_no_query_makes_a_server_error(operator, filter, orderby, limit):
    body = json.dumps({"filter": filter, "orderby": orderby, "limit": limit})
    # A pattern that the store refuses ends its transaction.
    with transaction.atomic():
        answer = operator.post("/v2/query/samples", body)
        transaction.set_rollback(True)
    assert answer.status_code in {200, 400}, (body, answer.content)
    json.loads(answer.content)


@gently
@given(
    operator_word=st.sampled_from(["=", "!=", "<", ">", "=~", "in"]),
    field=st.sampled_from(["meter", "volume", "timestamp", "recorded_at", "message_id", "message_signature", "resource_metadata", "user",
                           "metadata.a", "metadata.a[0].b", "metadata.%s"]),
    value=texts | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
    | st.lists(texts | st.integers(), max_size=3),
)  # fmt: skip
def test_no_comparison_makes_a_server_error(operator, operator_word, field, value):
    store_samples([make_sample(metadata={"a": [{"b": 1}]})])
    with transaction.atomic():
        body = {"filter": json.dumps({"not": {operator_word: {field: value}}})}
        answer = operator.post("/v2/query/samples", json.dumps(body))
        transaction.set_rollback(True)
    assert answer.status_code in {200, 400}, (body, answer.content)
