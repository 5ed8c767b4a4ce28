"""What the API takes, the evaluator can decide about: from a POST to a state, for every type and statistic."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from alarms.evaluation.cycle import evaluate_due
from alarms.rules.threshold import STATISTICS
from tests.support.samples import make_sample, store_samples

from .conftest import make, put

BELOW = {"threshold": "1e12", "comparison_operator": "lt"}
SERIES = {"meter_name": "cpu_util", "period": 300, **BELOW}
GNOCCHI = {"granularity": "300", "evaluation_periods": 1, **BELOW}
OF_RESOURCE = {**GNOCCHI, "metric": "cpu_util", "resource_id": "r1", "resource_type": "generic"}
TREE = '{"and": [{"=": {"project_id": "p1"}}, {"=": {"id": "r1"}}]}'


@pytest.fixture
def measured(db):
    """Ten minutes of two resources of p1, and of one of another's."""
    now = timezone.now()
    store_samples(
        [
            make_sample(timestamp=now - timedelta(seconds=15 + 30 * n), volume=n, resource=resource, project=project)
            for n in range(20) for resource, project in (("r1", "p1"), ("r2", "p1"), ("r9", "p9"))
        ]
    )  # fmt: skip


def state_of(caller, alarm):
    return caller.rows(f"/v2/alarms/{alarm['alarm_id']}/state")


@pytest.fixture
def evaluate(caplog):
    def run() -> None:
        evaluate_due(timezone.now())
        assert [
            record.getMessage()
            for record in caplog.records
            if record.levelno >= logging.WARNING and "alarms" in record.name
        ] == []

    return run


@pytest.mark.parametrize("statistic", [*STATISTICS, "p0", "p95", "p99.9", "p100"])
def test_every_statistic_is_computed(member, measured, evaluate, statistic):
    alarm = make(member, rule={**SERIES, "statistic": statistic})
    evaluate()
    assert state_of(member, alarm) == "alarm"


@pytest.mark.parametrize(("type", "rule"), [
    ("threshold", {**SERIES, "query": [{"field": "resource", "value": "r1"}, {"field": "source", "value": "openstack", "type": "string"}]}),
    ("threshold", {**SERIES, "recovery_threshold": "2e12", "exclude_outliers": True}),
    ("composite", {"or": [{"type": "threshold", **SERIES}, {"and": [{"type": "gnocchi_resources_threshold", "aggregation_method": "mean",
                                                                     **OF_RESOURCE}]}]}),
    ("gnocchi_aggregation_by_metrics_threshold", {**GNOCCHI, "metrics": ["cpu_util"], "aggregation_method": "max"}),
    ("gnocchi_aggregation_by_resources_threshold",
     {**GNOCCHI, "metric": "cpu_util", "query": TREE, "resource_type": "instance", "aggregation_method": "mean"}),
    *(("gnocchi_resources_threshold", {**OF_RESOURCE, "aggregation_method": method})
      for method in ("mean", "min", "max", "sum", "count", "std", "median", "first", "last", "95pct", "rate:mean", "rate:last")),
])  # fmt: skip
def test_every_type_on_samples_is_evaluated(member, measured, evaluate, type, rule):
    alarm = make(member, type=type, **{"threshold_rule": None, f"{type}_rule": rule})
    evaluate()
    assert state_of(member, alarm) == "alarm"


def test_what_cannot_be_evaluated_says_so_and_stops_nothing(member, measured, evaluate):
    nowhere = [
        make(member, type="prometheus", threshold_rule=None, prometheus_rule={"query": "up", "threshold": 1}),
        make(member, type="gnocchi_resources_threshold", threshold_rule=None,
             gnocchi_resources_threshold_rule={**OF_RESOURCE, "aggregation_method": "nunique"}),
        make(member, type="anomaly", threshold_rule=None, anomaly_rule={"meter_name": "cpu_util"}),
    ]  # fmt: skip
    alarm = make(member, rule=SERIES)
    evaluate()
    assert state_of(member, alarm) == "alarm"
    assert {state_of(member, other) for other in nowhere} == {"insufficient data"}


def test_a_combination_follows_its_members(member, measured, evaluate):
    first, second = (make(member, name=name, state="ok", rule=SERIES)["alarm_id"] for name in "ab")
    combined = make(member, type="combination", threshold_rule=None, combination_rule={"alarm_ids": [first, second]})
    evaluate()
    assert state_of(member, combined) == "alarm"


def test_a_changed_alarm_is_evaluated_at_once_and_its_history_tells_of_both(member, measured, evaluate):
    alarm = make(member, rule=SERIES)
    path = f"/v2/alarms/{alarm['alarm_id']}"
    evaluate()
    put(member, path, {**member.rows(path), "threshold_rule": {**SERIES, "comparison_operator": "gt"}})
    evaluate()
    rows = member.rows(f"{path}/history")
    assert [row["type"] for row in rows] == ["state transition", "rule change", "state transition", "creation"]
    assert member.rows(path)["state"] == "ok"
    assert [row["user_id"] for row in rows] == [None, "member", None, "member"]


def test_an_alarm_that_is_off_is_left_alone(member, measured, evaluate):
    alarm = make(member, rule=SERIES, enabled=False)
    evaluate()
    assert state_of(member, alarm) == "insufficient data"
