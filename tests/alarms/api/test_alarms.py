"""Making, showing, replacing and removing alarms (spec §2, §4)."""

from __future__ import annotations

import re

import pytest

from alarms.models import Alarm, AlarmChange, Schedule

from .conftest import assert_refused, definition, make, put

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def test_an_alarm_is_answered_with_everything_filled_in(member):
    answer = member.post("/v2/alarms", definition())
    assert answer.status_code == 201
    alarm = answer.json()
    assert answer["Location"] == f"http://testserver/v2/alarms/{alarm['alarm_id']}"
    assert re.fullmatch(UUID, alarm.pop("alarm_id"))
    times = alarm.pop("timestamp"), alarm.pop("state_timestamp")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+", times[0])
    assert alarm == {
        "name": "busy",
        "description": "Alarm when cpu_util is gt a avg of 80.0 over 60 seconds",
        "type": "threshold",
        "threshold_rule": {
            "meter_name": "cpu_util",
            "threshold": 80.0,
            "comparison_operator": "gt",
            "statistic": "avg",
            "period": 60,
            "evaluation_periods": 1,
            "query": [{"field": "project_id", "op": "eq", "value": "p1"}],
            "exclude_outliers": False,
        },
        "enabled": True,
        "severity": "low",
        "project_id": "p1",
        "user_id": "member",
        "ok_actions": [],
        "alarm_actions": [],
        "insufficient_data_actions": [],
        "repeat_actions": False,
        "time_constraints": [],
        "state": "insufficient data",
        "state_reason": "Not evaluated yet",
    }


def test_it_is_shown_and_listed_as_it_was_answered(member):
    alarm = make(member)
    assert member.rows(f"/v2/alarms/{alarm['alarm_id']}") == alarm
    assert member.rows(f"/v2/alarms/{alarm['alarm_id']}/") == alarm
    assert member.rows("/v2/alarms") == [alarm]
    assert member.rows(f"/v2/alarms/{alarm['alarm_id']}/state") == "insufficient data"


def test_what_the_server_makes_is_taken_back_and_left_alone(member):
    alarm = make(member)
    path = f"/v2/alarms/{alarm['alarm_id']}"
    answer = put(
        member, path, {**alarm, "timestamp": "x", "state_reason": 5, "alarm_id": None, "evaluate_timestamp": "y"}
    )
    assert answer.status_code == 200
    assert {**answer.json(), "timestamp": alarm["timestamp"]} == alarm


def test_put_replaces_and_what_is_left_out_falls_back_to_its_default(member):
    alarm = make(
        member, severity="critical", state="ok", enabled=False, alarm_actions=["http://a.example/"], description="d"
    )
    path = f"/v2/alarms/{alarm['alarm_id']}"
    replaced = put(member, path, definition(name="new")).json()
    assert (replaced["severity"], replaced["enabled"], replaced["alarm_actions"]) == ("low", True, [])
    assert (replaced["state"], replaced["state_reason"]) == ("insufficient data", "Manually set via API")
    assert replaced["description"].startswith("Alarm when cpu_util")
    assert replaced["timestamp"] > alarm["timestamp"]
    assert member.rows(path) == replaced


def test_a_state_is_set_by_hand_without_moving_the_definition(member):
    alarm = make(member)
    path = f"/v2/alarms/{alarm['alarm_id']}"
    answer = put(member, f"{path}/state", '"alarm"')
    assert (answer.status_code, answer.content) == (200, b'"alarm"')
    now = member.rows(path)
    assert (now["state"], now["state_reason"]) == ("alarm", "Manually set via API")
    assert now["timestamp"] == alarm["timestamp"]
    assert now["state_timestamp"] > alarm["state_timestamp"]


@pytest.mark.parametrize("body", ['"nope"', "{}", "null", '["ok"]', "5"])
def test_a_state_that_there_is_not_is_refused(member, body):
    path = f"/v2/alarms/{make(member)['alarm_id']}/state"
    answer = put(member, path, body)
    assert_refused(answer, 400, "Invalid input for field/attribute state")
    assert "state invalid" in answer.json()["error_message"]["faultstring"]
    assert member.rows(path) == "insufficient data"


def test_a_removed_alarm_is_gone(member):
    path = f"/v2/alarms/{make(member)['alarm_id']}"
    answer = member.client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    for gone in (
        member.get(path),
        member.client.delete(path),
        put(member, path, definition()),
        member.get(f"{path}/state"),
    ):
        assert_refused(gone, 404, f"Alarm {path.rpartition('/')[2]} not found")
    assert member.rows("/v2/alarms") == []
    assert not Schedule.objects.exists()


def test_methods_that_there_are_not_are_named(member):
    for method in ("put", "delete"):
        answer = getattr(member.client, method)("/v2/alarms")
        assert (answer.status_code, answer["Allow"]) == (405, "GET, POST")


def test_each_change_raises_the_version_and_is_due_at_once(member):
    alarm = make(member)
    path = f"/v2/alarms/{alarm['alarm_id']}"
    stored = Alarm.objects.get()
    assert (stored.version, stored.schedule.due_at) == (1, stored.changed_at)
    put(member, path, definition(name="new"))
    stored = Alarm.objects.get()
    assert (stored.version, stored.schedule.due_at) == (2, stored.changed_at)
    put(member, f"{path}/state", '"ok"')
    assert Alarm.objects.get().version == 3
    assert AlarmChange.objects.count() == 3
