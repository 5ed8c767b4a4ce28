from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from alarms.deliveries import enable_action, plan, planning
from alarms.deliveries.planning import body_of
from alarms.models import Alarm, Delivery, DisabledAction, Severity, Silence
from alarms.transitions import Fired
from tests.support.alarms import make_alarm, transit

pytestmark = pytest.mark.django_db
KEYS = ["alarm_name", "alarm_id", "severity", "previous", "current", "reason", "reason_data"]


def test_each_action_of_the_new_state_is_told_once() -> None:
    alarm = make_alarm("https://a.example/1", "https://b.example/2", "log://")
    alarm.actions["ok"] = ["https://c.example/"]
    alarm.save()
    deliveries = transit(alarm, "alarm", reason="because", most_recent=97.5)
    assert [(one.number, one.url, one.receiver) for one in deliveries] == [
        (1, "https://a.example/1", "https://a.example"),
        (2, "https://b.example/2", "https://b.example"),
        (3, "log://", "log"),
    ]
    assert json.loads(deliveries[0].body) == {
        "alarm_name": "cpu high",
        "alarm_id": str(alarm.id),
        "severity": "low",
        "previous": "insufficient data",
        "current": "alarm",
        "reason": "because",
        "reason_data": {"most_recent": 97.5},
    }
    (next_one,) = transit(alarm, "ok")
    assert (next_one.number, next_one.url) == (4, "https://c.example/")
    assert transit(alarm, "insufficient data") == []


@given(
    name=st.text(), reason=st.text(), data=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False))
)
def test_a_body_has_exactly_its_keys_and_is_ascii(name: str, reason: str, data: dict[str, float]) -> None:
    alarm = Alarm(name=name, severity=Severity.CRITICAL, actions={})
    body = body_of(Fired(alarm, "ok", "alarm", reason, data, None))
    assert body.isascii()
    told = json.loads(body)
    assert list(told) == KEYS
    assert (told["alarm_name"], told["reason"], told["reason_data"]) == (name, reason, data)
    assert told["severity"] == "critical"


def test_a_number_that_json_has_none_for_keeps_nothing_from_being_told() -> None:
    (delivery,) = transit(make_alarm("https://a.example/"), most_recent=float("nan"), more=[float("-inf"), 1.5])
    assert json.loads(delivery.body)["reason_data"] == {"most_recent": None, "more": [None, 1.5]}


def test_nothing_is_told_of_a_transition_that_was_rolled_back() -> None:
    alarm = make_alarm("https://a.example/")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        plan([Fired(alarm, "ok", "alarm", "", {}, None)])
        raise ZeroDivisionError
    assert not Delivery.objects.exists()


def test_planning_wakes_after_the_commit_only(monkeypatch, django_capture_on_commit_callbacks) -> None:
    woken: list[int] = []
    monkeypatch.setattr(planning, "wake", lambda: woken.append(Delivery.objects.count()))
    alarm = make_alarm("https://a.example/")
    with django_capture_on_commit_callbacks(execute=True):
        plan([Fired(alarm, "ok", "alarm", "", {}, None)])
        assert woken == []
    assert woken == [1]


def test_many_alarms_are_planned_in_a_handful_of_statements(django_assert_max_num_queries) -> None:
    fired = [Fired(make_alarm(f"https://{number}.example/"), "ok", "alarm", "", {}, None) for number in range(200)]
    with django_assert_max_num_queries(6):
        plan(fired)
    assert Delivery.objects.count() == 200


def test_an_action_that_is_gone_is_not_planned_until_it_is_enabled() -> None:
    alarm = make_alarm("https://a.example/", "https://b.example/")
    other = make_alarm("https://a.example/")
    DisabledAction.objects.create(alarm_id=alarm.id, url="https://a.example/", reason="answered 410 Gone")
    assert [one.url for one in transit(alarm)] == ["https://b.example/"]
    assert len(transit(other)) == 1
    assert enable_action(alarm.id, "https://a.example/")
    assert not enable_action(alarm.id, "https://a.example/")
    assert len(transit(alarm)) == 2


SILENCES = {
    "all": ({}, True),
    "this one": ({"alarm_id": "own"}, True),
    "another": ({"alarm_id": "other"}, False),
    "its name": ({"name": "cpu *"}, True),
    "another name": ({"name": "disk *"}, False),
    "its severity": ({"severity": Severity.LOW}, True),
    "another severity": ({"severity": Severity.CRITICAL}, False),
    "name and severity": ({"name": "cpu*", "severity": Severity.CRITICAL}, False),
    "another project": ({"project_id": "meadow"}, False),
    "over": ({"ends_at": timedelta(seconds=-1)}, False),
    "to come": ({"starts_at": timedelta(seconds=60)}, False),
}


@pytest.mark.parametrize("case", SILENCES)
def test_what_is_silenced_is_recorded_and_not_told(case: str) -> None:
    conditions, is_silenced = SILENCES[case]
    alarm, now = make_alarm("https://a.example/"), timezone.now()
    ids = {"own": alarm.id, "other": make_alarm().id}
    values = {
        "project_id": "orchard",
        "user_id": "lena",
        "starts_at": now + conditions.get("starts_at", timedelta(hours=-1)),
        "ends_at": now + conditions.get("ends_at", timedelta(hours=1)),
        **{name: value for name, value in conditions.items() if name in ("name", "severity", "project_id")},
    }
    Silence.objects.create(**values, alarm_id=ids.get(conditions.get("alarm_id")))
    (delivery,) = transit(alarm)
    assert (delivery.state == "silenced", delivery.ended_at is not None) == (is_silenced, is_silenced)
