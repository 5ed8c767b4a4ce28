"""Making, showing, replacing and removing alarms (spec §2, §4)."""

from __future__ import annotations

import json
import re
import threading

import pytest
from django.db import connection

from alarms.models import Alarm, AlarmChange, Schedule

from .conftest import Caller, assert_refused, definition, make, put

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


def test_changes_at_one_time_are_one_after_the_other(store):
    member = Caller("member", "p1")
    path = f"/v2/alarms/{make(member, name='0')['alarm_id']}"

    def change(number: int) -> None:
        put(Caller("member"), path, definition(name=str(number)))
        connection.close()

    threads = [threading.Thread(target=change, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [json.loads(row["detail"])["name"] for row in member.rows(f"{path}/history")]
    assert sorted(names) == list("0123456")
    assert Alarm.objects.get().version == 7
    assert member.rows(path)["name"] == names[0]


def test_a_page_of_alarms_leads_to_each_of_them(member):
    alarm = make(member, alarm_actions=["http://a.example/"])
    page = member.client.get("/v2/alarms", headers={"Accept": "text/html"}).content.decode()
    assert f'<a href="http://testserver/v2/alarms/{alarm["alarm_id"]}">busy</a>' in page
    assert "<th>state</th><th>severity</th><th>enabled</th>" in page


FIELDS = [
    ({"enabled": "no"}, {"enabled": False}),
    ({"enabled": 0, "repeat_actions": "Yes"}, {"enabled": False, "repeat_actions": True}),
    ({"description": ""}, {"description": "Alarm when cpu_util is gt a avg of 80.0 over 60 seconds"}),
    ({"description": "mine"}, {"description": "mine"}),
    ({"state": "alarm"}, {"state": "alarm", "state_reason": "Not evaluated yet"}),
    ({"severity": "moderate"}, {"severity": "moderate"}),
    ({"ok_actions": ["http://b.example/", "https://a.example/", "http://b.example/"]},
     {"ok_actions": ["http://b.example/", "https://a.example/"]}),
    ({"alarm_actions": ["mailto:a@b.example", "HTTP://A.example:8080/x?y=z", "http://[2001:db8::1]/"]},
     {"alarm_actions": ["mailto:a@b.example", "HTTP://A.example:8080/x?y=z", "http://[2001:db8::1]/"]}),
    ({"name": "x" * 255}, {"name": "x" * 255}),
    ({"alarm_id": "00000000-0000-4000-8000-000000000000", "user_id": "member"}, {"user_id": "member"}),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "stored"), FIELDS)
def test_fields_are_kept_as_they_are_meant(member, sent, stored):
    alarm = make(member, **sent)
    assert {name: alarm[name] for name in stored} == stored
    assert alarm["alarm_id"] != "00000000-0000-4000-8000-000000000000"
    assert member.rows(f"/v2/alarms/{alarm['alarm_id']}") == alarm


def test_null_is_as_good_as_nothing(member):
    names = (
        "ok_actions",
        "alarm_actions",
        "insufficient_data_actions",
        "time_constraints",
        "project_id",
        "user_id",
        "description",
    )
    answer = member.post("/v2/alarms", {**definition(), **dict.fromkeys(names)})
    plain = make(member)
    assert {name: answer.json()[name] for name in names} == {name: plain[name] for name in names}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"start": "@daily"}, {"description": "Time constraint at @daily lasting for 60 seconds", "timezone": ""}),
        ({"start": "*/5 8-17 * * mon-fri", "timezone": "Europe/Ljubljana"}, {"timezone": "Europe/Ljubljana"}),
        ({"start": "0 11 * * * 30"}, {}),
        ({"start": "0 11 * * * 30 2030-2040"}, {}),
        ({"start": "0 0 29 2 *", "description": "leap", "timezone": None}, {"description": "leap", "timezone": ""}),
        ({"start": "0 11 * * *", "duration": "300"}, {"duration": 300}),
        ({"start": "0 11 * * *", "duration": 0}, {"duration": 0}),
    ],
)
def test_time_constraints_are_filled_in(member, sent, kept):
    (stored,) = make(member, time_constraints=[{"name": "n", "duration": 60, **sent}])["time_constraints"]
    assert set(stored) == {"name", "description", "start", "duration", "timezone"}
    assert {name: stored[name] for name in ("start", *kept)} == {"start": sent["start"], **kept}


def test_two_alarms_may_have_one_name(member):
    assert make(member)["alarm_id"] != make(member)["alarm_id"]


def test_what_the_evaluator_remembers_is_forgotten_with_its_rule(member):
    path = f"/v2/alarms/{make(member)['alarm_id']}"
    Alarm.objects.update(memory={"pending_since": "x"})
    put(member, path, definition(name="new", state="ok"))
    put(member, f"{path}/state", '"alarm"')
    assert Alarm.objects.get().memory == {"pending_since": "x"}
    put(member, path, definition(rule={"period": 120}))
    assert Alarm.objects.get().memory == {}


def test_the_answer_names_the_host_that_was_asked(member):
    answer = member.client.post(
        "/v2/alarms",
        definition(),
        content_type="application/json",
        headers={"X-Forwarded-Host": "localhost", "X-Forwarded-Proto": "https"},
    )
    assert answer["Location"].startswith("https://localhost/v2/alarms/")


def test_aodhs_health_check_answers(db):
    from django.test import Client

    assert Client().get("/healthcheck").status_code == 200


def test_evaluations_are_not_counted_and_that_is_said(member):
    for path in ("/v2/metrics", "/v2/metrics?all_projects=true"):
        assert_refused(member.get(path), 403, "RBAC Authorization Failed: evaluations are not counted here")
