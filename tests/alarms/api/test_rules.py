"""Rules are filled in as the spec's tables say, keep what they are given, and parse again to themselves (spec §3)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.rules import threshold
from alarms.rules.composite import find_leaves
from alarms.rules.contract import BadRule, RuleType
from alarms.rules.registry import rule_types

from .conftest import make

LEAF = {"type": "threshold", "meter_name": "m", "threshold": "1"}
WHOLE_LEAF = {
    "type": "threshold", "meter_name": "m", "threshold": 1.0, "comparison_operator": "eq", "statistic": "avg", "period": 60,
    "evaluation_periods": 1, "query": [{"field": "project_id", "op": "eq", "value": "p1"}], "exclude_outliers": False,
}  # fmt: skip
GNOCCHI = {"threshold": 5, "aggregation_method": "rate:mean"}
WHOLE_GNOCCHI = {"threshold": 5.0, "aggregation_method": "rate:mean", "comparison_operator": "eq", "granularity": 60,
                 "evaluation_periods": 1}  # fmt: skip
QUERY = '{"and": [{"=": {"ended_at": null}}, {"not": {"like": {"name": "x%"}}}]}'

# Type, what is sent, what becomes of it, what describes it.
RULES = [
    ("threshold", {"meter_name": "m", "threshold": "1"}, {name: value for name, value in WHOLE_LEAF.items() if name != "type"},
     "Alarm when m is eq a avg of 1.0 over 60 seconds"),
    ("composite", LEAF, WHOLE_LEAF, "composite alarm rule"),
    ("composite", {"and": [LEAF, {"or": [LEAF]}]}, {"and": [WHOLE_LEAF, {"or": [WHOLE_LEAF]}]}, "composite alarm rule"),
    ("event", {}, {"event_type": "*", "query": []}, "Alarm when * event occurred."),
    ("event", {"event_type": ""}, {"event_type": "*", "query": []}, "Alarm when * event occurred."),
    ("event", {"event_type": "a.*", "query": [{"field": "traits.a", "value": "1"}, {"field": "traits.b", "op": "gt", "value": "2016-01-05",
                                                                                    "type": "datetime"}]},
     {"event_type": "a.*", "query": [{"field": "traits.a", "op": "eq", "value": "1", "type": ""},
                                     {"field": "traits.b", "op": "gt", "value": "2016-01-05", "type": "datetime"}]},
     "Alarm when a.* event occurred."),
    ("gnocchi_resources_threshold", {**GNOCCHI, "metric": "m", "resource_id": "r", "resource_type": "generic"},
     {**WHOLE_GNOCCHI, "metric": "m", "resource_id": "r", "resource_type": "generic"}, "gnocchi_resources_threshold alarm rule"),
    ("gnocchi_aggregation_by_metrics_threshold", {**GNOCCHI, "metrics": ["a", "b"]}, {**WHOLE_GNOCCHI, "metrics": ["a", "b"]},
     "gnocchi_aggregation_by_metrics_threshold alarm rule"),
    ("gnocchi_aggregation_by_resources_threshold", {**GNOCCHI, "metric": "m", "query": QUERY, "resource_type": "instance"},
     {**WHOLE_GNOCCHI, "metric": "m", "query": QUERY, "resource_type": "instance"},
     "gnocchi_aggregation_by_resources_threshold alarm rule"),
    ("prometheus", {"query": "up", "threshold": 1}, {"query": "up", "threshold": 1.0, "comparison_operator": "eq"},
     "prometheus alarm rule"),
    ("loadbalancer_member_health", {"pool_id": "a", "stack_id": "b", "autoscaling_group_id": "c"},
     {"pool_id": "a", "stack_id": "b", "autoscaling_group_id": "c"}, "loadbalancer_member_health alarm rule"),
    ("anomaly", {"meter_name": "m"},
     {"meter_name": "m", "statistic": "avg", "period": 3600, "query": [{"field": "project_id", "op": "eq", "value": "p1"}], "weeks": 4,
      "deviations": 3.0}, "Alarm when a avg of m over 3600 seconds is 3.0 deviations away from that of the past 4 weeks"),
]  # fmt: skip


@pytest.mark.parametrize(("type", "sent", "whole", "description"), RULES)
def test_a_rule_is_filled_in_and_described(member, type, sent, whole, description):
    alarm = make(member, type=type, **{"threshold_rule": None, f"{type}_rule": sent})
    assert alarm[f"{type}_rule"] == whole
    assert alarm["description"] == description
    assert [name for name in alarm if name.endswith("_rule")] == [f"{type}_rule"]
    assert rule_types()[type].parse(whole, "data") == whole


@pytest.mark.parametrize(
    "statistic", ["max", "min", "avg", "sum", "count", "increase", "rate", "median", "p95", "p99.9", "p100"]
)
def test_thresholds_know_these_statistics(member, statistic):
    assert make(member, rule={"statistic": statistic})["threshold_rule"]["statistic"] == statistic


@pytest.mark.parametrize("operator", ["lt", "le", "eq", "ne", "ge", "gt"])
def test_thresholds_know_these_comparisons(member, operator):
    assert make(member, rule={"comparison_operator": operator})["threshold_rule"]["comparison_operator"] == operator


def test_what_ceilometer_has_not_is_left_out_unless_it_is_asked_for(member):
    plain = make(member, rule={"pending_seconds": 0, "recovery_threshold": None})["threshold_rule"]
    assert not {"pending_seconds", "recovery_threshold"} & set(plain)
    rule = make(member, rule={"pending_seconds": 300, "recovery_threshold": 70})["threshold_rule"]
    assert (rule["pending_seconds"], rule["recovery_threshold"]) == (300, 70.0)


@pytest.mark.parametrize(
    ("item", "kept"),
    [
        ({"field": "metadata.a", "value": "b"}, {"field": "metadata.a", "op": "eq", "value": "b"}),
        ({"field": "resource", "op": "", "value": "b", "type": ""}, {"field": "resource", "op": "eq", "value": "b", "type": ""}),
        ({"field": "user_id", "op": "eq", "value": "", "type": None}, {"field": "user_id", "op": "eq", "value": ""}),
        ({"field": "resource_metadata.a", "value": " 5 ", "type": "integer"},
         {"field": "resource_metadata.a", "op": "eq", "value": " 5 ", "type": "integer"}),
        ({"field": "metadata.a", "value": "Yes", "type": "boolean"},
         {"field": "metadata.a", "op": "eq", "value": "Yes", "type": "boolean"}),
    ],
)  # fmt: skip
def test_conditions_are_kept_as_they_are_sent(member, item, kept):
    assert make(member, rule={"query": [item]})["threshold_rule"]["query"][0] == kept


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_a_threshold_is_exactly_what_was_sent(number):
    for written in (number, repr(number)):
        rule = threshold.parse({"meter_name": "m", "threshold": written})
        assert rule["threshold"] == number
        assert json.loads(json.dumps(rule)) == rule


words = st.sampled_from(
    ["and", "or", "type", "threshold", "event", "meter_name", "m", "query", "field", "value", "alarm_ids"]
)
bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(type=st.sampled_from(sorted(rule_types())), body=bodies)
def test_whatever_is_sent_is_a_rule_that_parses_to_itself_or_is_refused(type, body):
    try:
        rule = rule_types()[type].parse(body, f"data.{type}_rule")
    except BadRule as error:
        assert error.text
        return
    assert rule_types()[type].parse(rule, "data") == rule
    assert rule_types()[type].describe(rule)


def test_leaves_are_found_depth_first():
    tree = rule_types()["composite"].parse(
        {"or": [{**LEAF, "meter_name": "a"}, {"and": [{**LEAF, "meter_name": "b"}, {**LEAF, "meter_name": "c"}]}]},
        "data",
    )
    assert [leaf["meter_name"] for leaf in find_leaves(tree)] == ["a", "b", "c"]


def test_every_type_is_of_its_name():
    for name, found in rule_types().items():
        assert isinstance(found, RuleType)
        assert found.name == name
