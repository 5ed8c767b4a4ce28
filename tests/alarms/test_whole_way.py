"""From a definition over the API to what is told: every type of rule as the API stores it is one that evaluators understand."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from alarms.evaluation.cycle import evaluate_due
from alarms.evaluation.event_cycle import evaluate_events
from alarms.models import Alarm, Delivery, Schedule
from alarms.rules.contract import RuleType
from alarms.rules.decision import Decision
from alarms.rules.registry import rule_types
from alarms.rules.series import Reading
from alarms.rules.windows import Window
from tests.alarms.api.conftest import Caller, make, member, operator, put
from tests.alarms.evaluation.test_cycle import LAG, NOON
from tests.support.events import store_event
from tests.support.samples import make_sample, store_samples

__all__ = ["Caller", "member", "operator", "put"]

URL = "https://receiver.example/hook"
THRESHOLD = {"meter_name": "cpu_util", "threshold": 80, "comparison_operator": "gt"}
GNOCCHI = {"threshold": 80, "comparison_operator": "gt", "aggregation_method": "mean"}
RULES = [
    ("threshold", THRESHOLD | {"query": [{"field": "resource_id", "value": "r1"}]}),
    ("threshold", THRESHOLD | {"statistic": "p95", "recovery_threshold": 70}),
    ("composite", {"or": [{"type": "threshold", **THRESHOLD}, {"type": "threshold", **THRESHOLD, "threshold": 99}]}),
    ("gnocchi_resources_threshold", GNOCCHI | {"metric": "cpu_util", "resource_id": "r1", "resource_type": "instance"}),
    ("gnocchi_aggregation_by_metrics_threshold", GNOCCHI | {"metrics": ["cpu_util"]}),
    (
        "gnocchi_aggregation_by_resources_threshold",
        GNOCCHI | {"metric": "cpu_util", "query": '{"=": {"id": "r1"}}', "resource_type": "instance"},
    ),
]


def sample(volume, at, **fields):
    store_samples(
        [make_sample(timestamp=at - timedelta(seconds=20), volume=volume, resource="r1", project="p1", **fields)]
    )


def evaluate(at):
    Schedule.objects.update(due_at=at)
    return evaluate_due(at + LAG)


@pytest.mark.parametrize(("type_name", "rule"), RULES)
def test_an_alarm_goes_to_alarm_and_back_and_each_is_told_once(member, type_name, rule):
    body = {
        "type": type_name,
        "threshold_rule": None,
        f"{type_name}_rule": rule,
        "alarm_actions": [URL],
        "ok_actions": [URL],
    }
    answer = member.post("/v2/alarms", {"name": "busy"} | {k: v for k, v in body.items() if v is not None})
    assert answer.status_code == 201, answer.content
    alarm_id = answer.json()["alarm_id"]
    for minute, volume in ((0, 91), (1, 92), (3, 5), (4, 4)):
        at = NOON + timedelta(minutes=minute)
        sample(volume, at)
        evaluate(at)
        evaluate(at)
    bodies = [json.loads(one.body) for one in Delivery.objects.order_by("number")]
    assert [(one["alarm_id"], one["previous"], one["current"]) for one in bodies] == [
        (alarm_id, "insufficient data", "alarm"),
        (alarm_id, "alarm", "ok"),
    ]
    shown = member.get(f"/v2/alarms/{alarm_id}").json()
    assert (shown["state"], shown["state_reason"]) == ("ok", Alarm.objects.get().state_reason)
    history = member.get(f"/v2/alarms/{alarm_id}/history").json()
    # The measurements are of 2016, and so are the transitions.
    assert [one["type"] for one in history] == ["creation", "state transition", "state transition"]


def test_an_event_alarm_and_a_combination_are_told(member):
    evaluate_events(NOON)
    event = make(member, type="event", threshold_rule=None, event_rule={"event_type": "compute.*"}, alarm_actions=[URL])
    busy = make(member)
    both = make(
        member,
        type="combination",
        threshold_rule=None,
        combination_rule={"alarm_ids": [event["alarm_id"], busy["alarm_id"]]},
        alarm_actions=[URL],
    )
    store_event(project="p1")
    sample(91, NOON)
    evaluate_events(NOON)
    evaluate(NOON)
    assert [json.loads(one.body)["alarm_id"] for one in Delivery.objects.order_by("made_at")] == [
        event["alarm_id"],
        both["alarm_id"],
    ]


class Moon:
    """A type from elsewhere: alarm when the meter ``moon`` is there at all."""

    def readings(self, rule, end_at):
        return [Reading("moon", "count", (), Window(end_at, 60, 1))]

    def decide(self, situation, series):
        state = "alarm" if series and series[0] else "ok"
        return Decision(state, f"the {situation.rule['side']} side", {"type": "moon"}, state != situation.state)


def test_a_type_from_elsewhere_is_evaluated_as_it_says(member, monkeypatch):
    kind = RuleType("moon", lambda body, path: dict(body), lambda rule: "moon", evaluation=Moon())
    monkeypatch.setitem(rule_types(), "moon", kind)
    make(member, type="moon", threshold_rule=None, moon_rule={"side": "dark"}, alarm_actions=[URL])
    sample(1, NOON, meter="moon")
    evaluate(NOON)
    assert json.loads(Delivery.objects.get().body)["reason"] == "the dark side"
