"""What the history keeps of changes made over the API, and for whom (spec §10)."""

from __future__ import annotations

import json
import re

import pytest

from alarms.models import AlarmChange

from .conftest import Caller, assert_refused, definition, make, put


def history(caller, alarm_id, asked=""):
    return caller.rows(f"/v2/alarms/{alarm_id}/history?{asked}")


def details(caller, alarm_id):
    return [(row["type"], json.loads(row["detail"])) for row in history(caller, alarm_id)]


def test_a_creation_keeps_the_whole_alarm(member):
    alarm = make(member, severity="critical")
    (row,) = history(member, alarm["alarm_id"])
    assert re.fullmatch(r"[0-9a-f-]{36}", row.pop("event_id"))
    detail = json.loads(row.pop("detail"))
    assert detail.pop("rule") == alarm.pop("threshold_rule")
    assert detail == alarm
    assert row == {
        "alarm_id": alarm["alarm_id"], "type": "creation", "user_id": "member", "project_id": "p1", "on_behalf_of": "p1",
        "timestamp": alarm["timestamp"],
    }  # fmt: skip
    assert AlarmChange.objects.get().severity == 3


CHANGES = [
    (definition(name="new"), {"name": "new"}),
    (definition(rule={"period": 120}), {"rule", "description"}),
    (definition(severity="critical"), {"severity": "critical"}),
    (definition(state="ok"), {"state": "ok", "state_reason": "Manually set via API"}),
    (definition(enabled=False, repeat_actions=True), {"enabled": False, "repeat_actions": True}),
    (definition(ok_actions=["http://a.example/"]), {"ok_actions": ["http://a.example/"]}),
    (definition(type="event", threshold_rule=None, event_rule={}), {"type", "rule", "description"}),
]


@pytest.mark.parametrize(("body", "changed"), CHANGES)
def test_a_rule_change_keeps_what_changed_alone(member, body, changed):
    alarm = make(member)
    after = put(member, f"/v2/alarms/{alarm['alarm_id']}", body).json()
    (kind, detail), _ = details(member, alarm["alarm_id"])
    assert kind == "rule change"
    if isinstance(changed, set):
        assert set(detail) == changed
        assert detail["rule"] == after[f"{after['type']}_rule"]
    else:
        assert detail == changed
    severity = AlarmChange.objects.get(type="rule change").severity
    assert severity == (3 if "severity" in detail else None)


def test_a_put_that_changes_nothing_leaves_no_row(member):
    alarm = make(member)
    put(member, f"/v2/alarms/{alarm['alarm_id']}", definition())
    assert len(history(member, alarm["alarm_id"])) == 1


def test_a_state_set_by_hand_is_a_transition_also_when_it_was_so_before(member):
    alarm_id = make(member, state="ok")["alarm_id"]
    for state in ("ok", "alarm"):
        put(member, f"/v2/alarms/{alarm_id}/state", json.dumps(state))
    manually = {"state_reason": "Manually set via API"}
    assert details(member, alarm_id)[:2] == [
        ("state transition", {"state": "alarm", **manually}),
        ("state transition", {"state": "ok", **manually}),
    ]
    assert set(AlarmChange.objects.filter(type="state transition").values_list("severity", flat=True)) == {None}


def test_the_history_outlives_its_alarm(member, stranger):
    alarm = make(member)
    path = f"/v2/alarms/{alarm['alarm_id']}"
    member.client.delete(path)
    (kind, detail), (first, _) = details(member, alarm["alarm_id"])
    assert (kind, first) == ("deletion", "creation")
    assert detail["name"] == "busy"
    assert_refused(stranger.get(f"{path}/history"), 404, f"Alarm {alarm['alarm_id']} not found")
    body = {"filter": json.dumps({"=": {"type": "deletion"}})}
    assert len(member.post("/v2/query/alarms/history", body).json()) == 1
    assert stranger.post("/v2/query/alarms/history", body).json() == []


def test_rows_are_for_the_alarms_project_whoever_acted(member, operator):
    alarm_id = make(operator, project_id="p1")["alarm_id"]
    (row,) = history(member, alarm_id)
    assert (row["user_id"], row["project_id"], row["on_behalf_of"]) == ("operator", None, "p1")


def test_a_history_is_filtered(member, operator):
    alarm_id = make(member)["alarm_id"]
    put(operator, f"/v2/alarms/{alarm_id}", definition(severity="critical"))
    put(member, f"/v2/alarms/{alarm_id}/state", '"ok"')
    moment = history(member, alarm_id)[1]["timestamp"]

    def kinds(asked):
        return [row["type"] for row in history(member, alarm_id, asked)]

    everything = ["state transition", "rule change", "creation"]
    assert kinds("") == everything
    assert kinds("q.field=type&q.value=rule change") == ["rule change"]
    assert kinds("q.field=user_id&q.value=member") == ["state transition", "creation"]
    assert kinds("q.field=project&q.value=p1") == ["state transition", "creation"]
    assert kinds("q.field=severity&q.value=critical") == ["rule change"]
    assert kinds(f"q.field=timestamp&q.op=gt&q.value={moment}") == ["state transition"]
    assert kinds(f"q.field=timestamp&q.op=le&q.value={moment}") == ["rule change", "creation"]
    widened = f"q.field=timestamp&q.op=gt&q.value={moment}&q.field=search_offset&q.op=eq&q.value=5"
    assert kinds(widened) == everything
    assert kinds("sort=type&limit=1") == ["creation"]


@pytest.mark.parametrize("name", ["nope", "00000000-0000-4000-8000-000000000000", "%2e%2e"])
def test_an_alarm_that_there_is_not_has_no_history(member, name):
    for path in (f"/v2/alarms/{name}/history", f"/v2/alarms/{name}", f"/v2/alarms/{name}/state"):
        answer = member.get(path)
        assert answer.status_code == 404
        assert answer.json()["error_message"]["faultstring"].endswith("not found")


def test_sessions_and_tokens_are_told_apart_from_nobody(db):
    from django.test import Client

    for method, path in (
        ("get", "/v2/alarms"),
        ("post", "/v2/alarms"),
        ("delete", "/v2/quotas/p1"),
        ("post", "/v2/query/alarms"),
    ):
        assert getattr(Client(), method)(path).status_code == 401
    assert Caller("m", "p1").rows("/v2/alarms") == []
