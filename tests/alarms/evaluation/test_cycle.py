"""From samples to a state, its history and what is to be told, through the store."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alarms.evaluation.cycle import evaluate_due
from alarms.models import Alarm, AlarmChange, Delivery, Schedule
from tests.alarms.making import make_alarm, threshold_rule
from tests.support.samples import at, make_sample, store_samples

NOON = at("2016-01-05T12:00:00")
LAG = timedelta(seconds=10)


def put(*volumes, until=NOON, step=60, **fields):
    """Samples a minute apart, the last one half a minute before ``until``."""
    count = len(volumes)
    store_samples(
        [
            make_sample(timestamp=until - timedelta(seconds=30 + step * (count - 1 - n)), volume=volume, **fields)
            for n, volume in enumerate(volumes)
            if volume is not None
        ]
    )


def evaluate(now=NOON):
    """At a moment when everything up to it is looked at."""
    return evaluate_due(now + LAG)


def test_an_alarm_goes_to_alarm_and_back_and_tells_so_once(db):
    alarm = make_alarm(threshold_rule(evaluation_periods=3, resource="r1"))
    put(91, 92, 93, resource="r1")
    put(1, 2, 3, resource="r2")
    assert evaluate().fired == 1
    alarm.refresh_from_db()
    assert alarm.state == "alarm"
    assert alarm.state_reason == "Transition to alarm due to 3 samples outside threshold, most recent: 93"
    assert alarm.state_at == NOON + LAG
    later = NOON + timedelta(minutes=4)
    put(10, 20, 30, until=later)
    assert evaluate(later).fired == 1
    assert evaluate(later).alarms == 0
    assert evaluate(later + timedelta(minutes=1)).fired == 0
    states = [(change.type, change.detail["state"]) for change in AlarmChange.objects.order_by("recorded_at")]
    assert states == [("state transition", "alarm"), ("state transition", "ok")]
    told = Delivery.objects.order_by("number").values_list("url", flat=True)
    assert list(told) == ["https://receiver.example/alarm", "https://receiver.example/ok"]


def test_without_samples_an_alarm_has_insufficient_data(db):
    alarm = make_alarm(state="ok")
    evaluate()
    alarm.refresh_from_db()
    assert (alarm.state, alarm.state_reason) == ("insufficient data", "1 datapoints are unknown")


def test_an_alarm_is_due_again_on_the_grid(db):
    alarm = make_alarm()
    evaluate(NOON + timedelta(seconds=17))
    schedule = Schedule.objects.get(alarm=alarm)
    assert schedule.due_at == NOON + timedelta(minutes=1)
    assert schedule.claimed_until is None


@pytest.mark.parametrize("fields", [{"enabled": False}, {"type": "event"}])
def test_disabled_alarms_and_those_of_events_are_not_evaluated(db, fields):
    make_alarm(state="ok", **fields)
    assert evaluate().alarms == 0
    assert Alarm.objects.get().state == "ok"


def test_an_alarm_sees_the_samples_of_its_project_alone_whatever_its_rule_says(db):
    own = make_alarm(threshold_rule())
    other = make_alarm(threshold_rule(query=[{"field": "project_id", "op": "eq", "value": "p2"}]))
    operators = make_alarm(threshold_rule(), project_id="")
    put(99, project="p2", resource="r2")
    evaluate()
    states = [Alarm.objects.get(pk=alarm.pk).state for alarm in (own, other, operators)]
    assert states == ["insufficient data", "insufficient data", "alarm"]
