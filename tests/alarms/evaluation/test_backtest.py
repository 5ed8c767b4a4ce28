"""What a rule would have done: exactly what it does when time goes by."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alarms.evaluation.backtest import backtest
from alarms.evaluation.cycle import evaluate_due
from alarms.models import AlarmChange, Schedule
from alarms.rules.translations import NotEvaluable
from metering.queries.errors import QueryError
from metering.queries.filters import Scope
from tests.alarms.evaluation.test_cycle import NOON
from tests.alarms.evaluation.test_events import event_rule
from tests.alarms.making import make_alarm, threshold_rule
from tests.support.events import make_event, store_events
from tests.support.samples import make_sample, store_samples

OWN = Scope(("p1",))
END = NOON + timedelta(minutes=90)


@pytest.fixture
def samples(db):
    """An hour and a half of a resource that is up and down, away for a while, and measured now and then twice a minute."""
    chance = random.Random(7)
    moments = [NOON - timedelta(minutes=20) + n * timedelta(seconds=37) for n in range(170)]
    level = 50.0
    found = []
    for at in moments:
        level = min(100.0, max(0.0, level + chance.uniform(-25, 26)))
        if not NOON + timedelta(minutes=40) < at < NOON + timedelta(minutes=50):
            found.append(make_sample(timestamp=at, volume=round(level, 2), resource="r1"))
            found.append(make_sample(timestamp=at, volume=100 - round(level, 2), resource="r2"))
    store_samples(found)


RULES = [
    ("threshold", threshold_rule(threshold=50)),
    ("threshold", threshold_rule(threshold=60, evaluation_periods=3, resource="r1")),
    ("threshold", threshold_rule(threshold=60, period=300, recovery_threshold=40, resource="r1")),
    ("threshold", threshold_rule(threshold=55, pending_seconds=180, resource="r2")),
    (
        "threshold",
        threshold_rule(threshold=3, period=150, statistic="count", evaluation_periods=3, exclude_outliers=True),
    ),
    ("threshold", threshold_rule(threshold=30, statistic="increase", period=120, resource="r1")),
    (
        "composite",
        {
            "or": [
                threshold_rule(threshold=70, evaluation_periods=2, type="threshold", resource="r1"),
                {
                    "and": [
                        threshold_rule(threshold=20, period=120, type="threshold", resource="r1"),
                        threshold_rule(threshold=45, statistic="max", type="threshold", resource="r2"),
                    ]
                },
            ]
        },
    ),
]


@pytest.mark.parametrize(("type_name", "rule"), RULES)
def test_the_past_gives_the_transitions_that_cycles_give(samples, type_name, rule):
    make_alarm(rule, type=type_name)
    for minute in range(90):
        Schedule.objects.update(due_at=NOON)
        evaluate_due(NOON + timedelta(minutes=minute))
    lived = [
        (change.recorded_at, change.detail["state"], change.detail["transition_reason"])
        for change in AlarmChange.objects.order_by("recorded_at")
    ]
    found = backtest(rule, type_name, OWN, NOON, END)
    assert [(one.at, one.current, one.reason) for one in found] == lived
    assert len(found) >= 2


def test_moments_that_share_buckets_are_one_statement(samples):
    with CaptureQueriesContext(connection) as queries:
        backtest(threshold_rule(period=300), "threshold", OWN, NOON, END)
    assert len([query for query in queries if "metering_sample" in query["sql"]]) == 5


def test_a_long_range_is_looked_at_more_seldom(samples):
    with CaptureQueriesContext(connection) as queries:
        found = backtest(threshold_rule(threshold=50, period=86_400), "threshold", OWN, NOON - timedelta(days=40), END)
    assert len([query for query in queries if "metering_sample" in query["sql"]]) <= 60
    assert len(found) >= 1


def test_other_projects_are_not_seen(samples):
    assert backtest(threshold_rule(), "threshold", Scope(("p2",)), NOON, END) == []


def test_time_constraints_hold_in_the_past_too(samples):
    constraint = {"name": "w", "start": "0 13 * * *", "duration": 600, "timezone": ""}
    found = backtest(threshold_rule(threshold=50), "threshold", OWN, NOON, END, time_constraints=[constraint])
    opened = NOON + timedelta(minutes=60)
    assert found
    assert all(opened - timedelta(minutes=1) < one.at <= opened + timedelta(minutes=10) for one in found)


def test_an_event_alarm_would_have_gone_off_with_the_first_hit(db):
    store_events(
        [make_event(id=f"m{n}", at=NOON + n * timedelta(minutes=1), project="p1" if n % 2 else "p2") for n in range(5)]
    )
    (found,) = backtest(event_rule("compute.*"), "event", OWN, NOON, END)
    assert (found.at, found.current) == (NOON + timedelta(minutes=1), "alarm")
    assert backtest(event_rule("compute.*"), "event", OWN, NOON + timedelta(minutes=10), END) == []
    assert backtest(event_rule("image.*"), "event", Scope(None), NOON, END) == []


def test_what_cannot_be_tested_is_said(db):
    with pytest.raises(NotEvaluable):
        backtest({"operator": "and", "alarm_ids": ["a", "b"]}, "combination", OWN, NOON, END)
    broken = threshold_rule(query=[{"field": "metadata.x", "value": "many", "type": "integer"}])
    with pytest.raises(QueryError, match="Unable to convert"):
        backtest(broken, "threshold", OWN, NOON, END)


def test_an_empty_range_has_no_transitions(db):
    assert backtest(threshold_rule(), "threshold", OWN, END, END) == []
    assert backtest(threshold_rule(), "threshold", OWN, END, NOON) == []
