"""Rules of Gnocchi's types, and statistics of statistics."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.rules.alarm_types import Situation, find_type
from alarms.rules.decision import ALARM, INSUFFICIENT, OK
from alarms.rules.reductions import reduce_values
from alarms.rules.series import readings_of
from alarms.rules.translations import NotEvaluable
from tests.alarms.making import threshold_rule
from tests.alarms.rules.test_outcomes import NOON, buckets

COMMON = {
    "aggregation_method": "mean",
    "granularity": 300,
    "evaluation_periods": 2,
    "threshold": 80.0,
    "comparison_operator": "gt",
}


def by_resources(tree, **changes):
    rule = COMMON | {"metric": "cpu_util", "query": json.dumps(tree), "resource_type": "instance"} | changes
    return readings_of("gnocchi_aggregation_by_resources_threshold", rule, NOON)


def test_a_rule_on_one_resource_reads_its_meter():
    rule = COMMON | {"metric": "cpu_util", "resource_id": "r1", "resource_type": "instance"}
    (reading,) = readings_of("gnocchi_resources_threshold", rule, NOON)
    assert (reading.meter_name, reading.statistic, reading.across) == ("cpu_util", "avg", False)
    assert reading.query == [{"field": "resource_id", "op": "eq", "value": "r1"}]
    assert (reading.window.period_seconds, reading.window.bucket_count) == (300, 3)


def test_a_rule_on_resources_reads_each_of_them():
    (reading,) = by_resources({"and": [{"=": {"server_group": "g1"}}, {"=": {"flavor": 5}}, {"eq": {"id": "r1"}}]})
    assert reading.across
    assert [(item["field"], item["value"]) for item in reading.query] == [
        ("metadata.user_metadata.server_group", "g1"),
        ("metadata.flavor", "5"),
        ("resource_id", "r1"),
    ]


def test_a_rule_on_metrics_reads_a_series_for_each_and_joins_them():
    rule = COMMON | {"metrics": ["cpu_util", "cpu_steal"]}
    name = "gnocchi_aggregation_by_metrics_threshold"
    assert [reading.meter_name for reading in readings_of(name, rule, NOON)] == ["cpu_util", "cpu_steal"]
    situation = Situation(rule, OK, {}, False, NOON)
    assert find_type(name).decide(situation, [buckets([100, 100]), buckets([70, 70])]).state == ALARM
    assert find_type(name).decide(situation, [buckets([100, 100]), buckets([60, 60])]).state == OK


@pytest.mark.parametrize(
    ("method", "statistic"),
    [("mean", "avg"), ("95pct", "p95"), ("rate:mean", "increase"), ("std", "stddev"), ("median", "median")],
)
def test_methods_are_statistics(method, statistic):
    (reading,) = by_resources({"=": {"id": "r1"}}, aggregation_method=method)
    assert reading.statistic == statistic


@pytest.mark.parametrize(
    ("tree", "changes"),
    [
        ({"or": [{"=": {"id": "r1"}}]}, {}),
        ({"not": {"=": {"id": "r1"}}}, {}),
        ({"=": {"id": "r1"}}, {"aggregation_method": "nunique"}),
    ],
)
def test_what_statistics_have_no_word_for_is_said(tree, changes):
    with pytest.raises(NotEvaluable, match="not evaluated here"):
        by_resources(tree, **changes)


def test_a_leaf_that_cannot_be_evaluated_is_unknown():
    tree = {"or": [threshold_rule(type="threshold"), {"type": "prometheus", "query": "up", "threshold": 1}]}
    composite = find_type("composite")
    assert len(composite.readings(tree, NOON)) == 1
    assert composite.decide(Situation(tree, OK, {}, False, NOON), [buckets([91])]).state == ALARM
    assert composite.decide(Situation(tree, OK, {}, False, NOON), [buckets([1])]).state == INSUFFICIENT


values = st.lists(st.integers(-1000, 1000).map(Decimal), min_size=1, max_size=9)


@given(found=values)
def test_reductions_are_what_they_are_called(found):
    assert reduce_values("sum", found) == reduce_values("count", found) == sum(found)
    assert reduce_values("avg", found) * len(found) == pytest.approx(sum(found), abs=Decimal("1e-50"))
    assert reduce_values("min", found) <= reduce_values("median", found) <= reduce_values("max", found)
    assert reduce_values("p100", found) == max(found)
    assert reduce_values("median", found) == reduce_values("p50", found)
    assert reduce_values("stddev", [found[0]] * 3) == 0
