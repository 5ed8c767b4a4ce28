"""A back-test by the API says what evaluations did to an alarm with the same rule, over the same samples."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alarms.evaluation.cycle import evaluate_due
from alarms.models import Alarm, AlarmChange, Schedule
from metering.collector import ingestion, posting
from tests.support.events import make_event, store_events
from tests.support.samples import at, make_sample, store_samples

from .conftest import assert_refused, fault, make

NOON = at("2016-01-05T12:00:00")
RANGE = {"start": "2016-01-05T12:00:00", "end": "2016-01-05T12:30:00"}
RULE = {"meter_name": "cpu_util", "threshold": 50, "comparison_operator": "gt"}


def asked(**fields):
    body = {"type": "threshold", "threshold_rule": RULE, **RANGE, **fields}
    return {name: value for name, value in body.items() if value is not None}


def back_tested(caller, **fields):
    answer = caller.post("/v2/alarms/backtest", asked(**fields))
    assert answer.status_code == 200, answer.content
    return answer.json()


single = st.fixed_dictionaries(
    {
        "meter_name": st.just("cpu_util"),
        "threshold": st.integers(20, 80),
        "comparison_operator": st.sampled_from(["gt", "lt", "ge"]),
        "statistic": st.sampled_from(["avg", "max", "count", "sum"]),
        "period": st.sampled_from([45, 60, 120, 300]),
        "evaluation_periods": st.integers(1, 3),
        "exclude_outliers": st.booleans(),
    }
)
leaf = single.map(lambda rule: {**rule, "type": "threshold"})
rules = single.map(lambda rule: ("threshold", rule)) | st.lists(leaf, min_size=2, max_size=3).flatmap(
    lambda leaves: st.sampled_from([("composite", {word: leaves}) for word in ("and", "or")])
)
# Seconds after noon, volume, resource.
points = st.lists(
    st.tuples(st.integers(-900, 1800), st.integers(0, 100), st.sampled_from(["r1", "r2"])), min_size=5, max_size=80
)


@given(rule=rules, points=points)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_its_transitions_are_those_that_cycles_of_evaluation_wrote(member, rule, points):
    type_name, body = rule
    with transaction.atomic():
        store_samples(
            [
                make_sample(timestamp=NOON + timedelta(seconds=seconds), volume=volume, resource=resource)
                for seconds, volume, resource in points
            ]
        )
        fields = {"type": type_name, "threshold_rule": None, f"{type_name}_rule": body}
        Alarm.objects.all().delete()
        alarm = member.post("/v2/alarms", {"name": "lived", "type": type_name, f"{type_name}_rule": body}).json()
        for minute in range(30):
            Schedule.objects.update(due_at=NOON)
            evaluate_due(NOON + timedelta(minutes=minute))
        lived = [
            (f"{change.recorded_at:%Y-%m-%dT%H:%M:%S}", change.detail["state"], change.detail["transition_reason"])
            for change in AlarmChange.objects.filter(alarm_id=alarm["alarm_id"], type="state transition").order_by(
                "recorded_at"
            )
        ]
        found = back_tested(member, **fields)
        transaction.set_rollback(True)
    ingestion.dimensions.clear()
    posting.forget_signer()
    assert found["interval"] == 60
    assert [(one["timestamp"], one["state"], one["reason"]) for one in found["transitions"]] == lived


@pytest.fixture
def samples(db):
    store_samples(
        [make_sample(timestamp=NOON + timedelta(seconds=60 * n - 30), volume=90) for n in range(5)]
        + [make_sample(timestamp=NOON + timedelta(seconds=60 * n), volume=1, project="p9") for n in range(5)]
    )


def test_a_transition_says_when_from_what_to_what_and_why(member, samples):
    first, last = back_tested(member)["transitions"]
    assert first == {
        "timestamp": "2016-01-05T12:00:00",
        "previous": "insufficient data",
        "state": "alarm",
        "reason": "Transition to alarm due to 1 samples outside threshold, most recent: 90",
        "reason_data": {"type": "threshold", "disposition": "outside", "count": 1, "most_recent": 90},
    }
    assert (last["previous"], last["state"]) == ("alarm", "insufficient data")


def test_it_stores_nothing_and_tells_nobody(member, samples):
    back_tested(member)
    assert not (Alarm.objects.exists() or AlarmChange.objects.exists() or Schedule.objects.exists())


def test_a_caller_sees_what_its_alarm_would_see(member, stranger, operator, reader, samples):
    assert [one["state"] for one in back_tested(stranger)["transitions"]] == ["ok", "insufficient data"]
    assert back_tested(reader) == back_tested(member)
    # An operator's alarm that belongs to no project is about all: the average of both.
    assert back_tested(operator)["transitions"] != back_tested(member)["transitions"]
    assert back_tested(operator, project_id="p1") == back_tested(member)


def test_other_projects_are_refused_wherever_they_are_named(member):
    query = [{"field": "project_id", "value": "p9"}]
    for fields in ({"project_id": "p9"}, {"threshold_rule": {**RULE, "query": query}}):
        answer = member.post("/v2/alarms/backtest", asked(**fields))
        assert_refused(answer, 401, "Not Authorized to access project p9")


def test_time_constraints_hold(member, samples):
    never = {"name": "night", "start": "0 23 * * *", "duration": 60}
    assert back_tested(member, time_constraints=[never])["transitions"] == []


def test_what_has_not_come_yet_is_left_out(member, old_weeks):
    assert back_tested(member, start="2999-01-01", end="2999-01-02")["transitions"] == []


def test_an_event_alarm_is_tested_on_stored_events(member):
    store_events([make_event(id="m1", type="image.update", at=NOON + timedelta(minutes=3))])
    found = back_tested(member, type="event", threshold_rule=None, event_rule={"event_type": "image.*"})
    assert found["interval"] is None
    (hit,) = found["transitions"]
    assert (hit["timestamp"], hit["state"], hit["reason_data"]["event"]["message_id"]) == (
        "2016-01-05T12:03:00", "alarm", "m1"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"type": None}, "Invalid input for field/attribute type. Value: 'None'. Mandatory field missing."),
        ({"threshold_rule": None}, "threshold_rule must be set for threshold type alarm"),
        ({"start": None}, "Invalid input for field/attribute start. Value: 'None'. Mandatory field missing."),
        ({"start": "soon"}, "Invalid input for field/attribute start. Value: 'soon'. expected a time as ISO 8601"),
        ({"start": "0001"}, "Invalid input for field/attribute start. Value: '0001'. expected a time after 1970-01-01"),
        ({"end": "2016-01-05T12:00:00"}, "Invalid input for field/attribute end. Value: '2016-01-05T12:00:00'. expected a time after"),
        ({"colour": "red"}, "Unknown attribute for argument data: colour"),
        ({"start": "2015-01-01"}, "The back-test has 532110 evaluations, expected at most 50000"),
        ({"type": "combination", "threshold_rule": None, "combination_rule": {"alarm_ids": ["a", "b"]}}, "The rule cannot be tested"),
    ],
)  # fmt: skip
def test_what_cannot_be_tested_is_said(member, fields, text):
    answer = member.post("/v2/alarms/backtest", asked(**fields))
    assert answer.status_code == 400
    assert fault(answer).startswith(text)


def test_a_rule_that_is_evaluated_here_by_nobody_is_said(member):
    rule = {"metric": "cpu", "threshold": 1, "resource_id": "r1", "resource_type": "instance", "comparison_operator": "gt",
            "aggregation_method": "rate:count", "granularity": 60, "evaluation_periods": 1}  # fmt: skip
    fields = {"type": "gnocchi_resources_threshold", "gnocchi_resources_threshold_rule": rule, "threshold_rule": None}
    answer = member.post("/v2/alarms/backtest", asked(**fields))
    assert_refused(answer, 400, "The rule cannot be tested: the aggregation method rate:count")


@pytest.mark.parametrize("rule", [{"period": 3600}, {"period": 86_400}, {"period": 604_800}])
def test_long_periods_are_looked_at_more_seldom_and_none_is_passed_over(member, rule):
    found = back_tested(member, threshold_rule={**RULE, **rule})
    assert 60 <= found["interval"] <= rule["period"]


def test_periods_that_have_nothing_in_common_are_tested_one_by_one(member):
    leaves = [{**RULE, "type": "threshold", "period": period} for period in (60, 86_400)]
    fields = {"type": "composite", "threshold_rule": None, "composite_rule": {"or": leaves}}
    assert "test them one by one" in fault(member.post("/v2/alarms/backtest", asked(**fields)))


def test_its_path_is_no_alarms(member):
    make(member)
    assert member.get("/v2/alarms/backtest").status_code == 405
