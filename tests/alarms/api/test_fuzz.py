"""Whatever is sent about alarms: an answer of the API's own, never a 500."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.defined_alarms import make_alarm

from .conftest import definition

PATHS = ("/v2/alarms", "/v2/alarms/{id}", "/v2/alarms/{id}/state", "/v2/alarms/{id}/history", "/v2/quotas")
NAMES = ("q.field", "q.op", "q.value", "q.type", "limit", "marker", "sort", "project_id")
WORDS = ("timestamp", "search_offset", "state", "severity", "alarm_id", "user", "project_id", "meter", "enabled", "all_projects", "gt",
         "name", "type", "ok", "critical", "true", "1", "-1", "1e5", "NaN", "2016-01-05T10:00:00", "9999-12-31", "0001-01-01", "%s", "'",
         "\\", "{", "99999999999999999999", "name:desc", "threshold", "and", "or", "p95")  # fmt: skip
FIELDS = ("name", "type", "description", "enabled", "severity", "state", "repeat_actions", "ok_actions", "alarm_actions",
          "insufficient_data_actions", "time_constraints", "project_id", "user_id", "threshold_rule", "event_rule", "composite_rule",
          "combination_rule", "anomaly_rule", "alarm_id", "timestamp")  # fmt: skip
RULE_FIELDS = ("meter_name", "threshold", "comparison_operator", "statistic", "period", "evaluation_periods", "query", "exclude_outliers",
               "recovery_threshold", "pending_seconds")  # fmt: skip
texts = st.sampled_from(WORDS) | st.text(max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts | st.sampled_from(FIELDS + RULE_FIELDS), inner, max_size=3)
    ),
    max_leaves=8,
)
gently = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@gently
@given(path=st.sampled_from(PATHS), pairs=st.lists(st.tuples(st.sampled_from(NAMES), texts), max_size=8))
@example(path="/v2/alarms", pairs=[("q.field", "timestamp"), ("q.op", "gt"), ("q.value", "0001-01-01")])
@example(path="/v2/alarms", pairs=[("q.field", "timestamp"), ("q.op", "eq"), ("q.value", "9999-12-31")])
def test_no_arguments_make_a_server_error(operator, path, pairs):
    with transaction.atomic():
        asked = path.format(id=make_alarm(project="p1"))
        query = urlencode([(name, value.encode("utf-8", "surrogatepass")) for name, value in pairs])
        answer = operator.get(f"{asked}?{query}")
        transaction.set_rollback(True)
    assert answer.status_code in {200, 400}, (query, answer.content)
    json.loads(answer.content)


@gently
@given(
    fields=st.dictionaries(st.sampled_from(FIELDS), values, max_size=3),
    rule=st.dictionaries(st.sampled_from(RULE_FIELDS), values, max_size=3),
)
def test_no_definition_makes_a_server_error(operator, fields, rule):
    with transaction.atomic():
        path = f"/v2/alarms/{make_alarm(project='p1')}"
        body = json.dumps({**definition(rule=rule), **fields})
        answers = [
            operator.post("/v2/alarms", body),
            operator.client.put(path, body, content_type="application/json"),
            operator.client.put(f"{path}/state", json.dumps(fields), content_type="application/json"),
            operator.post("/v2/quotas", json.dumps({"project_id": fields.get("name"), "quotas": [rule, fields]})),
        ]
        transaction.set_rollback(True)
    for answer in answers:
        assert answer.status_code in {200, 201, 400, 404}, (body, answer.content)
        json.loads(answer.content)


@gently
@given(
    name=st.text(min_size=1, max_size=30), kind=st.sampled_from(["alarms/{}", "alarms/{}/state", "alarms/{}/history"])
)
def test_no_path_makes_a_server_error(operator, name, kind):
    answer = operator.get("/v2/" + kind.format(quote(name.encode("utf-8", "surrogatepass"), safe="")))
    assert answer.status_code in {200, 400, 404}, (name, answer.content)


@gently
@given(
    word=st.sampled_from(["=", "!=", "<", ">", "=~", "in"]),
    field=st.sampled_from(["name", "severity", "timestamp", "alarm_id", "event_id", "detail", "rule", "enabled", "user", "ok_actions",
                           "time_constraints", "on_behalf_of"]),
    value=texts | st.integers() | st.booleans() | st.lists(texts | st.integers(), max_size=3),
    order=values,
    limit=st.none() | values,
)  # fmt: skip
def test_no_complex_query_makes_a_server_error(operator, word, field, value, order, limit):
    body = {"filter": json.dumps({"not": {word: {field: value}}}), "orderby": json.dumps(order), "limit": limit}
    for path in ("/v2/query/alarms", "/v2/query/alarms/history"):
        for asked in (body, {"filter": body["filter"]}):
            # A pattern that the store refuses ends its transaction.
            with transaction.atomic():
                make_alarm(project="p1")
                answer = operator.post(path, json.dumps(asked))
                transaction.set_rollback(True)
            assert answer.status_code in {200, 400}, (asked, answer.content)
            json.loads(answer.content)
