"""Bad input: each a 4xx that names the value, and nothing is stored (spec §2, §3, §4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alarms.models import Alarm, AlarmChange

from .conftest import assert_refused, definition, make, put

FIELD = "Invalid input for field/attribute"
LEAF = {"type": "threshold", "meter_name": "m", "threshold": 1}
GNOCCHI = {"threshold": 1, "aggregation_method": "mean", "metric": "m", "resource_id": "r", "resource_type": "generic"}


def of_type(type: str, rule: Any, **fields: Any) -> dict[str, Any]:
    return {"name": "busy", "type": type, f"{type}_rule": rule, **fields}


def gnocchi(**fields: Any) -> dict[str, Any]:
    return of_type("gnocchi_resources_threshold", {**GNOCCHI, **fields})


def by_resources(query: Any) -> dict[str, Any]:
    rule = {"threshold": 1, "aggregation_method": "mean", "metric": "m", "resource_type": "generic", "query": query}
    return of_type("gnocchi_aggregation_by_resources_threshold", rule)


def threshold(**rule: Any) -> dict[str, Any]:
    return definition(rule=rule)


def query(**item: Any) -> dict[str, Any]:
    return threshold(query=[{"field": "resource_id", "value": "r1", **item}])


def event(**item: Any) -> dict[str, Any]:
    return of_type("event", {"query": [{"field": "traits.a", "value": "1", **item}]})


def constraint(**fields: Any) -> dict[str, Any]:
    return definition(time_constraints=[{"name": "n", "start": "0 11 * * *", "duration": 60, **fields}])


def action(url: Any) -> dict[str, Any]:
    return definition(alarm_actions=[url])


def nested(depth: int) -> Any:
    return LEAF if depth == 1 else {"and": [nested(depth - 1)]}


BAD: list[tuple[Any, str]] = [
    # The body.
    (None, f"{FIELD} data. Value: 'None'. Mandatory field missing."),
    ([], f"{FIELD} data. Value: '[]'. Wrong type. Expected an object."),
    ("busy", f"{FIELD} data. Value: 'busy'"),
    (definition(foo=1), "Unknown attribute for argument data: foo"),
    (definition(nope_rule={}), "Unknown attribute for argument data: nope_rule"),
    # What every alarm has.
    (definition(name=None), f"{FIELD} name. Value: 'None'. Mandatory field missing."),
    (definition(name=""), f"{FIELD} name. Value: ''"),
    (definition(name="x" * 256), f"{FIELD} name. Value: 'xxx"),
    (definition(name=5), f"{FIELD} name. Value: '5'. Wrong type."),
    (definition(name="a\x00b"), f"{FIELD} data. Value: 'a\\0b'"),
    (definition(type=None), f"{FIELD} type. Value: 'None'. Mandatory field missing."),
    (definition(type="nope"), f"{FIELD} type. Value: 'nope'. Value should be one of: "),
    (definition(type=["threshold"]), f"{FIELD} type. Value: '['threshold']'"),
    (definition(description=5), f"{FIELD} description. Value: '5'"),
    (definition(enabled="perhaps"), f"{FIELD} enabled. Value: 'perhaps'. Value not an unambiguous boolean: perhaps"),
    (definition(enabled=2), f"{FIELD} enabled. Value: '2'. Value not an unambiguous boolean: 2"),
    (definition(repeat_actions=[]), f"{FIELD} repeat_actions. Value: '[]'. Value not an unambiguous boolean"),
    (definition(severity="grave"), f"{FIELD} severity. Value: 'grave'. Value should be one of: low, moderate, critical"),
    ({**definition(), "severity": None}, f"{FIELD} severity. Value: 'None'"),
    (definition(state="broken"), f"{FIELD} state. Value: 'broken'. Value should be one of: ok, alarm, insufficient data"),
    (definition(project_id=5), f"{FIELD} project_id. Value: '5'"),
    # One rule, that of its type.
    ({"name": "n", "type": "threshold"}, "threshold_rule must be set for threshold type alarm"),
    ({"name": "n", "type": "threshold", "threshold_rule": None}, "threshold_rule must be set for threshold type alarm"),
    ({"name": "n", "type": "threshold", "event_rule": {}}, "threshold_rule must be set for threshold type alarm"),
    (definition(event_rule={}), "threshold_rule and event_rule cannot be set at the same time"),
    (definition(threshold_rule=[]), f"{FIELD} threshold_rule. Value: '[]'"),
    # Thresholds.
    (threshold(foo=1), "Unknown attribute for argument data.threshold_rule: foo"),
    (threshold(meter_name=None), f"{FIELD} meter_name. Value: 'None'. Mandatory field missing."),
    (threshold(threshold=None), f"{FIELD} threshold. Value: 'None'. Mandatory field missing."),
    (threshold(threshold="abc"), f"{FIELD} threshold. Value: 'abc'"),
    (threshold(threshold=True), f"{FIELD} threshold. Value: 'True'"),
    (threshold(threshold="NaN"), f"{FIELD} threshold. Value: 'NaN'"),
    (threshold(threshold="1e400"), f"{FIELD} threshold. Value: '1e400'"),
    (threshold(threshold="0.1234567890123456789"), f"{FIELD} threshold. Value: '0.1234567890123456789'"),
    (threshold(comparison_operator="="), f"{FIELD} comparison_operator. Value: '='. Value should be one of: lt"),
    (threshold(statistic="stddev"), f"{FIELD} statistic. Value: 'stddev'. Value should be one of: max"),
    (threshold(statistic="p101"), f"{FIELD} statistic. Value: 'p101'"),
    (threshold(period=0), f"{FIELD} period. Value: '0'. Value should be greater or equal to 1"),
    (threshold(period=-1), f"{FIELD} period. Value: '-1'. Value should be greater or equal to 1"),
    (threshold(period="x"), f"{FIELD} period. Value: 'x'"),
    (threshold(period=1.5), f"{FIELD} period. Value: '1.5'"),
    (threshold(period=10**9), f"{FIELD} period. Value: '1000000000'. Value should be lower or equal to 31536000"),
    (threshold(evaluation_periods=101), f"{FIELD} evaluation_periods. Value: '101'. Value should be lower or equal to 100"),
    (threshold(evaluation_periods=10**4000), f"{FIELD} evaluation_periods. Value: '"),
    (threshold(exclude_outliers="no way"), f"{FIELD} exclude_outliers. Value: 'no way'"),
    (threshold(recovery_threshold=90), f"{FIELD} recovery_threshold. Value: '90.0'. expected at most the threshold, 80.0"),
    (threshold(recovery_threshold=1, comparison_operator="eq"), f"{FIELD} recovery_threshold. Value: '1.0'. expected none with eq"),
    (threshold(pending_seconds=-1), f"{FIELD} pending_seconds. Value: '-1'"),
    (threshold(query={}), f"{FIELD} query. Value: '{{}}'. Wrong type. Expected a list"),
    (threshold(query=["a=b"]), f"{FIELD} query. Value: 'a=b'"),
    (threshold(query=[{"field": "resource_id", "value": "r"}] * 51), f"{FIELD} query. Value: 'a list of 51'"),
    (query(foo=1), "Unknown attribute for argument data.threshold_rule.query: foo"),
    (query(field=None), f"{FIELD} field. Value: 'None'. Mandatory field missing."),
    (query(value=None), f"{FIELD} value. Value: 'None'. Mandatory field missing."),
    (query(value=5), f"{FIELD} value. Value: '5'. Wrong type."),
    (query(field="timestamp"), 'Unknown argument: "timestamp": not valid for this resource'),
    (query(field="colour"), 'Unknown argument: "colour": unrecognized field in query'),
    (query(field="metadata."), 'Unknown argument: "metadata."'),
    (query(op="gt"), f"{FIELD} op. Value: 'gt'. unimplemented operator for resource_id"),
    (query(op="like"), f"{FIELD} op. Value: 'like'"),
    (query(type="colour"), "The data type colour is not supported."),
    (query(field="metadata.a", value="x", type="integer"), "Unable to convert the value x to the expected data type integer."),
    # Combinations.
    (of_type("combination", {}), f"{FIELD} alarm_ids. Value: 'None'. Mandatory field missing."),
    (of_type("combination", {"alarm_ids": []}), f"{FIELD} alarm_ids. Value: '[]'"),
    (of_type("combination", {"alarm_ids": ["a", "a"]}), f"{FIELD} alarm_ids. Value: '['a']'"),
    (of_type("combination", {"alarm_ids": [1, 2]}), f"{FIELD} alarm_ids. Value: '1'"),
    (of_type("combination", {"alarm_ids": "ab"}), f"{FIELD} alarm_ids. Value: 'ab'"),
    (of_type("combination", {"alarm_ids": ["a", "b"], "operator": "xor"}), f"{FIELD} operator. Value: 'xor'"),
    # Composites.
    (of_type("composite", {"xor": [LEAF]}), 'Threshold rules should be combined with "and" or "or"'),
    (of_type("composite", {"type": "threshold"}), 'Threshold rules should be combined with "and" or "or"'),
    (of_type("composite", {}), "type must be set in every rule"),
    (of_type("composite", {"or": [LEAF], "and": [LEAF]}), "type must be set in every rule"),
    (of_type("composite", {"and": []}), "Invalid input composite rule:"),
    (of_type("composite", {"and": LEAF}), "Invalid input composite rule:"),
    (of_type("composite", [LEAF]), "Invalid input composite rule:"),
    (of_type("composite", {"and": ["x"]}), "Invalid input composite rule:"),
    (of_type("composite", {"and": [{"type": "event", "event_type": "x"}]}), "Unsupported sub-rule type :event in composite rule, "),
    (of_type("composite", {"and": [{"type": ["x"], "event_type": "x"}]}), "Unsupported sub-rule type :['x'] in composite rule"),
    (of_type("composite", {"and": [{**LEAF, "threshold": "abc"}]}), f"{FIELD} threshold. Value: 'abc'"),
    (of_type("composite", {"and": [{**LEAF, "foo": 1}]}), "Unknown attribute for argument data.composite_rule: foo"),
    (of_type("composite", {"or": [LEAF] * 65}), f"{FIELD} composite_rule. Value: '65 rules'. expected at most 64"),
    (of_type("composite", nested(10)), f"{FIELD} composite_rule. Value: '9 levels'. expected at most 8"),
    # Events.
    (of_type("event", {"event_type": 5}), f"{FIELD} event_type. Value: '5'"),
    (of_type("event", {"foo": 1}), "Unknown attribute for argument data.event_rule: foo"),
    (event(field="traits a"), f"{FIELD} field. Value: 'traits a'"),
    (event(op="like"), f"{FIELD} op. Value: 'like'"),
    (event(value="x", type="integer"), "Unable to convert the value x to the expected data type integer."),
    (event(value="x", type="float"), "Unable to convert the value x to the expected data type float."),
    (event(value="x", type="boolean"), "Unable to convert the value x to the expected data type boolean."),
    (event(value="x", type="datetime"), "Unable to convert the value x to the expected data type datetime."),
    (event(type="colour"), "The data type colour is not supported."),
    # Gnocchi, Prometheus, load balancers, anomalies.
    (gnocchi(metric=None), f"{FIELD} metric. Value: 'None'. Mandatory field missing."),
    (gnocchi(aggregation_method="nope"), f"{FIELD} aggregation_method. Value: 'nope'"),
    (gnocchi(granularity=0), f"{FIELD} granularity. Value: '0'. Value should be greater or equal to 1"),
    (gnocchi(evaluation_periods=101), f"{FIELD} evaluation_periods. Value: '101'"),
    (gnocchi(metrics=["a"]), "Unknown attribute for argument data.gnocchi_resources_threshold_rule: metrics"),
    (of_type("gnocchi_aggregation_by_metrics_threshold", {"threshold": 1, "aggregation_method": "mean", "metrics": []}),
     f"{FIELD} metrics. Value: '[]'"),
    (of_type("gnocchi_aggregation_by_metrics_threshold", {"threshold": 1, "aggregation_method": "mean", "metrics": [1]}),
     f"{FIELD} metrics. Value: '[1]'"),
    (by_resources("nope"), f"{FIELD} query. Value: 'nope'. expected text that holds JSON"),
    (by_resources({"=": {"a": 1}}), f"{FIELD} query. Value: '{{'=': {{'a': 1}}}}'. Wrong type."),
    (by_resources('{"xor": []}'), f"{FIELD} query. Value: 'xor'"),
    (by_resources('{"and": []}'), f"{FIELD} query. Value:"),
    (of_type("prometheus", {"threshold": 1}), f"{FIELD} query. Value: 'None'. Mandatory field missing."),
    (of_type("loadbalancer_member_health", {"pool_id": "a", "stack_id": "b"}), f"{FIELD} autoscaling_group_id. Value: 'None'"),
    (of_type("anomaly", {"meter_name": "m", "weeks": 0}), f"{FIELD} weeks. Value: '0'"),
    (of_type("anomaly", {"meter_name": "m", "deviations": 0}), f"{FIELD} deviations. Value: '0.0'"),
    (of_type("anomaly", {"statistic": "avg"}), f"{FIELD} meter_name. Value: 'None'. Mandatory field missing."),
    # Time constraints.
    (definition(time_constraints=5), f"{FIELD} time_constraints. Value: '5'"),
    (definition(time_constraints=["x"]), f"{FIELD} time_constraints. Value: 'x'"),
    (constraint(foo=1), "Unknown attribute for argument data.time_constraints: foo"),
    (constraint(name=None), f"{FIELD} name. Value: 'None'. Mandatory field missing."),
    (constraint(start=None), f"{FIELD} start. Value: 'None'. Mandatory field missing."),
    (constraint(start="11:00"), f"{FIELD} start. Value: '11:00'"),
    (constraint(start="61 * * * *"), f"{FIELD} start. Value: '61 * * * *'"),
    (constraint(start="0 0 31 2 *"), f"{FIELD} start. Value: '0 0 31 2 *'"),
    (constraint(start="R R * * *"), f"{FIELD} start. Value: 'R R * * *'"),
    (constraint(duration=-1), f"{FIELD} duration. Value: '-1'. Value should be greater or equal to 0"),
    (constraint(duration="long"), f"{FIELD} duration. Value: 'long'"),
    (constraint(timezone="Moon/Base"), "Timezone Moon/Base is not valid"),
    (constraint(timezone="../etc/passwd"), "Timezone ../etc/passwd is not valid"),
    (definition(time_constraints=[{"name": "n", "start": "@daily", "duration": 1}] * 2),
     "Time constraint names must be unique for a given alarm."),
    # Actions.
    (definition(ok_actions="http://a.example/"), f"{FIELD} ok_actions. Value: 'http://a.example/'. Wrong type."),
    (action(5), f"{FIELD} alarm_actions. Value: '5'"),
    (action(""), "Unsupported action "),
    (action("ftp://a.example/"), "Unsupported action ftp://a.example/"),
    (action("a.example"), "Unsupported action a.example"),
    (action("http://"), "Unable to parse action http://"),
    (action("http://[::1/"), "Unable to parse action http://[::1/"),
    (action("http://a.example:http/"), "Unable to parse action http://a.example:http/"),
    (action("http://a.example/ x"), "Unable to parse action http://a.example/ x"),
    (action("http://a.example/#x"), "Unable to parse action http://a.example/#x: expected at most 2048 characters, all of ASCII"),
    (action("http://me:secret@a.example/"), "Unable to parse action http://me:secret@a.example/: a login in a URL is not taken"),
    (action("http://a.example/\n"), "Unable to parse action http://a.example/"),
    (action("http:a.example"), "Unable to parse action http:a.example"),
    (action("mailto:nobody"), "Unable to parse action mailto:nobody"),
    (action("trust+http://a.example/"), "Unsupported action trust+http://a.example/: there is no Keystone here"),
    (action("http://a.example/" + "x" * 2048), f"{FIELD} alarm_actions. Value: 'http://a.example/xxx"),
    (definition(ok_actions=[f"http://a.example/{n}" for n in range(101)]), "ok_actions count exceeds maximum value 100"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "text"), BAD, ids=lambda value: value[:60] if isinstance(value, str) else "")
def test_a_bad_definition_is_refused_and_changes_nothing(member, body, text):
    sent = b"" if body is None else json.dumps(body)
    assert_refused(member.post("/v2/alarms", sent), 400, text)
    assert not Alarm.objects.exists()
    kept = make(member)
    path = f"/v2/alarms/{kept['alarm_id']}"
    assert_refused(put(member, path, sent), 400, text)
    assert member.rows(path) == kept
    assert AlarmChange.objects.count() == 1


@pytest.mark.parametrize("url", ["log://", "test://", "log:"])
def test_what_happens_on_the_server_itself_is_for_operators(member, operator, url):
    answer = member.post("/v2/alarms", action(url))
    assert_refused(answer, 401, f"You are not authorized to create action: {url}")
    assert make(operator, alarm_actions=[url])["alarm_actions"] == [url]


def test_what_is_no_json_is_told_as_such(member):
    assert_refused(member.post("/v2/alarms", "{"), 400, "Request is not in valid JSON format")
    answer = member.client.post("/v2/alarms", "name=x", content_type="text/plain")
    assert_refused(answer, 415, "Unknown mimetype: text/plain")


def test_text_that_cannot_be_stored_is_refused(member):
    assert_refused(member.post("/v2/alarms", '{"name": "\\ud800"}'), 400, f"{FIELD} data. Value: '")
    deep = '{"composite_rule":' + '{"and":[' * 100 + "]}" * 100 + "}"
    assert_refused(member.post("/v2/alarms", deep), 400, f"{FIELD} data. Value: '…'. it is nested too deeply")


LISTS = [
    ("foo=1", 'Unknown argument: "foo"'),
    ("q.field=foo&q.value=1", 'Unknown argument: "foo": unrecognized field in query'),
    ("q.field=name", "q.field was given 1 times and q.value 0 times"),
    ("q.field=name&q.op=gt&q.value=a", f"{FIELD} op. Value: 'gt'. unimplemented operator for name"),
    ("q.field=timestamp&q.op=ne&q.value=2016-01-01", f"{FIELD} op. Value: 'ne'"),
    ("q.field=timestamp&q.op=ge&q.value=yesterday", f"{FIELD} timestamp. Value: 'yesterday'"),
    ("q.field=severity&q.value=grave", f"{FIELD} severity. Value: 'grave'"),
    ("q.field=name&q.value=a&q.type=colour", "The data type colour is not supported."),
    ("sort=nope", f"{FIELD} sort. Value: 'nope'"),
    ("sort=timestamp:up", f"{FIELD} sort. Value: 'timestamp:up'"),
    ("limit=-1", "Limit must be positive"),
    ("limit=x", f"{FIELD} limit. Value: 'x'. unable to convert to int"),
    ("limit=1001", "Limit must be at most 1000. Value: '1001'"),
    ("marker=nope", f"{FIELD} marker. Value: 'nope'"),
    ("marker=00000000-0000-4000-8000-000000000000", f"{FIELD} marker. Value: '0000"),
]


@pytest.mark.parametrize(("asked", "text"), [
    *LISTS,
    ("q.field=state&q.value=broken", f"{FIELD} state. Value: 'broken'"),
    ("q.field=enabled&q.value=perhaps", f"{FIELD} enabled. Value: 'perhaps'"),
    ("q.field=all_projects&q.value=perhaps", f"{FIELD} all_projects. Value: 'perhaps'"),
])  # fmt: skip
def test_a_bad_question_for_alarms_is_refused(member, asked, text):
    assert_refused(member.get(f"/v2/alarms?{asked}"), 400, text)


@pytest.mark.parametrize(("asked", "text"), [
    *((asked.replace("q.field=name", "q.field=type"), text.replace("for name", "for type")) for asked, text in LISTS),
    ("q.field=alarm_id&q.value=x", 'Unknown argument: "alarm_id"'),
    ("q.field=on_behalf_of&q.value=p1", 'Unknown argument: "on_behalf_of"'),
    ("q.field=timestamp&q.op=eq&q.value=2016-01-01", f"{FIELD} op. Value: 'eq'"),
    ("q.field=search_offset&q.value=5", f"{FIELD} field. Value: 'search_offset'"),
    ("sort=name", f"{FIELD} sort. Value: 'name'"),
])  # fmt: skip
def test_a_bad_question_for_a_history_is_refused(member, asked, text):
    path = f"/v2/alarms/{make(member)['alarm_id']}/history"
    assert_refused(member.get(f"{path}?{asked}"), 400, text)


QUERIES = [
    ({"filter": 5}, f"{FIELD} filter. Value: '5'. Wrong type."),
    ({"foo": 1}, "Unknown attribute for argument body: foo"),
    ({"filter": "nope"}, "Filter expression not valid:"),
    ({"filter": '{"=": {"colour": "x"}}'}, "Filter expression not valid:"),
    ({"filter": '{"and": [{"=": {"type": "x"}}]}'}, "Filter expression not valid:"),
    ({"filter": '{"in": {"type": []}}'}, "Filter expression not valid:"),
    ({"filter": '{"=": {"timestamp": "yesterday"}}'}, "Failed to parse the timestamp value yesterday"),
    ({"filter": '{"=": {"severity": "grave"}}'}, "Filter expression not valid:"),
    ({"filter": '{"=~": {"severity": "low"}}'}, "Filter expression not valid:"),
    ({"filter": '{"<": {"alarm_id": "x"}}'}, "Filter expression not valid:"),
    ({"filter": '{"=~": {"type": "("}}'}, "Filter expression not valid:"),
    ({"filter": '{"=": {"type": 5}}'}, "Filter expression not valid:"),
    ({"orderby": "nope"}, "Order-by expression not valid:"),
    ({"orderby": '[{"colour": "asc"}]'}, "Order-by expression not valid:"),
    ({"orderby": '[{"type": "up"}]'}, "Order-by expression not valid:"),
    ({"limit": 0}, "Limit should be positive"),
    ({"limit": -1}, "Limit should be positive"),
    ({"limit": "x"}, f"{FIELD} limit. Value: 'x'"),
]


@pytest.mark.parametrize(("body", "text"), [
    *QUERIES,
    ({"filter": '{"=": {"enabled": "yes"}}'}, "Filter expression not valid:"),
    ({"orderby": '[{"rule": "asc"}]'}, "Order-by expression not valid: rule has no order"),
])  # fmt: skip
def test_a_bad_complex_query_for_alarms_is_refused(member, body, text):
    assert_refused(member.post("/v2/query/alarms", body), 400, text)


@pytest.mark.parametrize(("body", "text"), QUERIES)
def test_a_bad_complex_query_for_the_history_is_refused(member, body, text):
    assert_refused(member.post("/v2/query/alarms/history", body), 400, text)


def test_every_table_is_as_long_as_it_is_said_to_be():
    assert len(BAD) + len(LISTS) + len(QUERIES) >= 150
