"""Silences over the API: what can be made, by whom, and that it keeps alarms quiet."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from alarms.models import Alarm, Silence
from tests.support.alarms import transit
from tests.support.defined_alarms import make_alarm, make_silence

from .conftest import Caller, assert_refused

LATER = "2099-01-01T00:00:00"


def post(caller, **fields):
    return caller.post("/v2/silences", {"ends_at": LATER, **fields})


def test_a_silence_that_is_posted_is_shown_and_keeps_its_alarms_quiet(member, reader):
    id = make_alarm(project="p1", name="disk 1", severity=2, actions={"alarm": ["https://a.example/"]})
    answer = post(member, alarm_id=id, name="disk *", severity="moderate", comment="new disks")
    assert answer.status_code == 201, answer.content
    shown = answer.json()
    assert member.rows("/v2/silences") == reader.rows("/v2/silences") == [shown]
    assert shown.pop("made_at") == shown.pop("starts_at")
    assert shown == {
        "id": str(Silence.objects.get().id), "project_id": "p1", "alarm_id": id, "name": "disk *", "severity": "moderate",
        "ends_at": LATER, "comment": "new disks", "user_id": "member",
    }  # fmt: skip
    (delivery,) = transit(Alarm.objects.get())
    assert delivery.state == "silenced"
    assert member.client.delete(f"/v2/silences/{shown['id']}").status_code == 204
    (delivery,) = transit(Alarm.objects.get())
    assert delivery.state == "waiting"


def test_only_the_end_must_be_said(member):
    shown = post(member).json()
    assert [shown[name] for name in ("alarm_id", "name", "severity", "comment")] == [None, "", None, ""]


@pytest.mark.parametrize(("fields", "named"), [
    ({"ends_at": None}, "ends_at"), ({"ends_at": "soon"}, "ends_at"), ({"ends_at": 5}, "ends_at"), ({"ends_at": "2020-01-01"}, "ends_at"),
    ({"starts_at": LATER}, "ends_at"), ({"starts_at": "x"}, "starts_at"), ({"severity": "grave"}, "severity"),
    ({"severity": 1}, "severity"),
    ({"name": "x" * 256}, "name"), ({"name": 5}, "name"), ({"name": "\x00"}, "data"), ({"comment": "x" * 10_001}, "comment"),
])  # fmt: skip
def test_a_silence_that_cannot_be_is_refused(member, fields, named):
    assert_refused(post(member, **fields), 400, f"Invalid input for field/attribute {named}")
    assert not Silence.objects.exists()


def test_what_is_no_silence_at_all_is_refused(member):
    for body in ("", "5", "[]", '{"ends_at": "2099-01-01", "id": "x"}'):
        assert_refused(member.post("/v2/silences", body), 400, "")
    assert not Silence.objects.exists()


def test_a_silence_is_of_an_alarm_of_its_project(member, operator):
    foreign = make_alarm(project="p9")
    for id in (foreign, "00000000-0000-4000-8000-000000000000", "nope"):
        assert_refused(post(member, alarm_id=id), 404, f"Alarm {id} not found")
        assert_refused(post(operator, alarm_id=id, project_id="p1"), 404, f"Alarm {id} not found")
    assert post(operator, alarm_id=foreign, project_id="p9").status_code == 201


def test_nobody_sees_or_touches_the_silences_of_others(member, reader, stranger, operator):
    id = post(member).json()["id"]
    assert stranger.rows("/v2/silences") == []
    assert_refused(stranger.client.delete(f"/v2/silences/{id}"), 404, f"Silence {id} not found")
    assert_refused(stranger.get(f"/v2/silences?marker={id}"), 400, "Invalid input for field/attribute marker")
    assert_refused(post(stranger, project_id="p1"), 401, "Not Authorized to access project p1")
    for answer in (post(reader), reader.client.delete(f"/v2/silences/{id}")):
        assert_refused(answer, 403, "RBAC Authorization Failed")
        assert answer.json()["error_message"]["code"] == "role_missing"
    assert_refused(member.client.delete("/v2/silences/nope"), 404, "Silence nope not found")
    assert [row["id"] for row in operator.rows("/v2/silences")] == [id]
    assert operator.client.delete(f"/v2/silences/{id}").status_code == 204


def test_who_belongs_to_several_projects_names_one(db):
    caller = Caller("both", "p1", "p2")
    assert_refused(post(caller), 400, "Invalid input for field/attribute project_id")
    assert post(caller, project_id="p2").json()["project_id"] == "p2"


def test_silences_come_by_their_start_page_by_page(member):
    now = timezone.now()
    made = [make_silence(project="p1", starts_at=now + timedelta(minutes=minute)) for minute in (1, 3, 2)]
    first = member.get("/v2/silences?limit=2")
    assert [row["id"] for row in first.json()] == [made[1], made[2]]
    (last,) = member.rows(first["Link"].partition("testserver")[2].partition(">")[0])
    assert last["id"] == made[0]


def test_a_project_has_so_many_silences_that_are_not_over(member):
    now = timezone.now()
    row = {"project_id": "p1", "user_id": "u", "starts_at": now - timedelta(hours=2)}
    Silence.objects.bulk_create(Silence(**row, ends_at=now + timedelta(hours=1)) for _ in range(999))
    Silence.objects.bulk_create(Silence(**row, ends_at=now - timedelta(hours=1)) for _ in range(5))
    assert post(member).status_code == 201
    assert_refused(post(member), 400, "A project has at most 1000 silences")
