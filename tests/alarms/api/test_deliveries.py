"""An alarm's owner sees what was told to whom, sends what failed again, and has what receivers verify it with."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from alarms.deliveries.signing import public_key, secret_of
from alarms.models import AlarmChange, Delivery, DisabledAction, WebhookSecret
from metering.models import ApiToken
from tests.support.defined_alarms import make_alarm, make_delivery

from .conftest import Caller, assert_refused, definition, put

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def alarm(db):
    return make_alarm(project="p1")


def deliveries(caller, alarm_id, asked=""):
    return caller.rows(f"/v2/alarms/{alarm_id}/deliveries?{asked}")


def send(caller, alarm_id, delivery_id):
    return caller.post(f"/v2/alarms/{alarm_id}/deliveries/{delivery_id}/send", "")


def test_a_delivery_is_shown_with_its_transition_and_all_its_attempts(member, reader, alarm):
    id = make_delivery(alarm, project="p1", attempts=2)
    (shown,) = deliveries(member, alarm)
    times = [shown.pop(name) for name in ("made_at", "due_at", "ended_at")]
    assert all(times)
    assert all(attempt.pop("begun_at") for attempt in shown["attempts"])
    attempt = {"status": 500, "duration_ms": 83, "outcome": "answered 500"}
    assert shown == {
        "id": id, "url": "https://hooks.example.org/busy", "state": "failed", "transition": str(AlarmChange.objects.get().id),
        "attempts": [{"number": 1, **attempt}, {"number": 2, **attempt}],
    }  # fmt: skip
    assert len(deliveries(reader, alarm)) == 1


def test_nothing_of_an_attempts_token_or_body_is_shown(member, alarm):
    make_delivery(alarm, project="p1", body='{"b": "secret-body"}')
    shown = json.dumps(deliveries(member, alarm))
    assert "token-1" not in shown
    assert "secret-body" not in shown


def test_deliveries_come_newest_first_page_by_page(member, alarm):
    made = [make_delivery(alarm, project="p1") for _ in range(5)]
    path, seen = f"/v2/alarms/{alarm}/deliveries?limit=2", []
    while path:
        answer = member.get(path)
        seen.append([row["id"] for row in answer.json()])
        link = answer.headers.get("Link", "")
        path = link.partition("testserver")[2].partition(">")[0]
    newest = made[::-1]
    assert seen == [newest[:2], newest[2:4], newest[4:]]


def test_a_marker_of_another_alarm_is_refused(member, alarm):
    other = make_delivery(make_alarm(project="p1"), project="p1")
    for marker in (other, UNKNOWN, "x"):
        answer = member.get(f"/v2/alarms/{alarm}/deliveries?marker={marker}")
        assert_refused(answer, 400, "Invalid input for field/attribute marker")


def test_many_deliveries_are_two_statements(member, alarm):
    for _ in range(7):
        make_delivery(alarm, project="p1", attempts=3)
    with CaptureQueriesContext(connection) as asked:
        assert len(deliveries(member, alarm)) == 7
    assert len([query for query in asked if '"alarms_' in query["sql"]]) == 2


def test_deliveries_outlive_their_alarm_and_none_is_an_empty_list(member, stranger, alarm):
    quiet = make_alarm(project="p1")
    assert deliveries(member, quiet) == []
    make_delivery(alarm, project="p1")
    for id in (alarm, quiet):
        member.client.delete(f"/v2/alarms/{id}")
    assert len(deliveries(member, alarm)) == 1
    assert deliveries(member, quiet) == []
    for caller, id in ((member, UNKNOWN), (member, "nope"), (stranger, alarm), (stranger, quiet)):
        assert_refused(caller.get(f"/v2/alarms/{id}/deliveries"), 404, f"Alarm {id} not found")


def test_an_alarm_that_is_given_away_takes_no_delivery_with_it(member, stranger, operator, alarm):
    mine = make_delivery(alarm, project="p1")
    body = {"name": "x", "type": "event", "event_rule": {}, "project_id": "p9"}
    assert operator.client.put(f"/v2/alarms/{alarm}", body, content_type="application/json").status_code == 200
    assert deliveries(stranger, alarm) == []
    assert_refused(send(stranger, alarm, mine), 404, f"Delivery {mine} not found")
    # Sending would enable the action of an alarm that is another's now.
    assert_refused(send(member, alarm, mine), 404, f"Alarm {alarm} not found")
    assert [row["id"] for row in deliveries(member, alarm)] == [mine]


@pytest.mark.parametrize("state", ["failed", "silenced"])
def test_what_failed_or_was_silenced_is_sent_again(member, alarm, state):
    id = make_delivery(alarm, project="p1", state=state)
    url = Delivery.objects.get().url
    DisabledAction.objects.create(alarm_id=alarm, url=url, reason="410")
    answer = send(member, alarm, id)
    assert answer.status_code == 202, answer.content
    shown = answer.json()
    assert (shown["id"], shown["state"], shown["ended_at"], len(shown["attempts"])) == (id, "waiting", None, 1)
    assert deliveries(member, alarm) == [shown]
    assert not DisabledAction.objects.exists()
    # Once is enough.
    assert_refused(send(member, alarm, id), 409, f"Delivery {id} is waiting")


@pytest.mark.parametrize("state", ["waiting", "leased", "delivered"])
def test_nothing_else_is_sent_again(member, alarm, state):
    ending = {} if state == "delivered" else {"ended_at": None}
    id = make_delivery(alarm, project="p1", state=state, **ending)
    before = Delivery.objects.values().get()
    answer = send(member, alarm, id)
    assert_refused(answer, 409, f"Delivery {id} is {state}: only one that failed or was silenced can be sent again")
    assert answer.json()["error_message"]["code"] == "delivery_not_failed"
    assert Delivery.objects.values().get() == before


def test_only_members_of_the_project_send_again(member, reader, stranger, operator, alarm):
    id = make_delivery(alarm, project="p1")
    assert_refused(send(stranger, alarm, id), 404, f"Alarm {alarm} not found")
    assert_refused(send(reader, alarm, id), 403, "RBAC Authorization Failed")
    token = ApiToken.issue(member.user, scopes=["read"])
    answer = Client(headers={"X-Auth-Token": token}).post(f"/v2/alarms/{alarm}/deliveries/{id}/send")
    assert answer.json()["error_message"]["code"] == "scope_missing"
    other = make_alarm(project="p1")
    for alarm_id, delivery_id in ((other, id), (alarm, UNKNOWN), (alarm, "nope")):
        assert_refused(send(member, alarm_id, delivery_id), 404, f"Delivery {delivery_id} not found")
    assert Delivery.objects.get().state == "failed"
    assert send(operator, alarm, id).status_code == 202


def test_a_member_gets_the_keys_of_the_own_project(member, stranger, operator):
    answer = member.get("/v2/alarms/webhook")
    assert answer.json() == {"secret": secret_of("p1"), "public_key": public_key()}
    assert answer["Cache-Control"] == "private, no-store"
    assert member.rows("/v2/alarms/webhook?project_id=p1") == answer.json()
    assert operator.rows("/v2/alarms/webhook?project_id=p1") == answer.json()
    theirs = stranger.rows("/v2/alarms/webhook")
    assert theirs["secret"] == secret_of("p9") != answer.json()["secret"]
    for project in ("p1", "nowhere"):
        answer = stranger.get(f"/v2/alarms/webhook?project_id={project}")
        assert_refused(answer, 403, "RBAC Authorization Failed")
    assert not WebhookSecret.objects.filter(project_id="nowhere").exists()


def test_a_reader_and_a_token_that_only_reads_get_no_secret(member, reader):
    answer = reader.get("/v2/alarms/webhook")
    assert_refused(answer, 403, "RBAC Authorization Failed")
    assert answer.json()["error_message"]["code"] == "role_missing"
    client = Client(headers={"X-Auth-Token": ApiToken.issue(member.user, scopes=["read"])})
    assert client.get("/v2/alarms/webhook").json()["error_message"]["code"] == "scope_missing"
    assert not WebhookSecret.objects.exists()


def test_who_belongs_to_several_projects_says_whose_secret(db):
    caller = Caller("both", "p1", "p2")
    assert_refused(caller.get("/v2/alarms/webhook"), 400, "Invalid input for field/attribute project_id")
    assert caller.rows("/v2/alarms/webhook?project_id=p2")["secret"] == secret_of("p2")
    assert Caller("both", **{"X-Project-Id": "p1"}).rows("/v2/alarms/webhook")["secret"] == secret_of("p1")


@pytest.mark.parametrize("project", ["x" * 256, "%00"])
def test_a_project_that_nothing_can_have_has_no_secret(operator, project):
    answer = operator.get(f"/v2/alarms/webhook?project_id={project}")
    assert_refused(answer, 400, "Invalid input for field/attribute project_id")


def test_a_put_lets_the_alarm_tell_urls_again_that_were_gone(member, reader, alarm):
    other = make_alarm(project="p1")
    for id, name in ((alarm, "b"), (alarm, "a"), (other, "a")):
        DisabledAction.objects.create(alarm_id=id, url=f"https://{name}.example/", reason="answered 410 Gone")
    path = f"/v2/alarms/{alarm}"
    body = definition(name="busy", alarm_actions=["https://a.example/"])
    assert_refused(put(reader, path, body), 403, "RBAC Authorization Failed")
    assert_refused(put(member, path, {**body, "name": ""}), 400, "")
    assert DisabledAction.objects.count() == 3
    for _ in range(2):
        assert put(member, path, body).status_code == 200
    assert list(DisabledAction.objects.values_list("alarm_id", flat=True)) == [UUID(other)]
    (row,) = member.rows(f"{path}/history?q.field=type&q.value=action%20enabled")
    assert json.loads(row["detail"]) == {"urls": ["https://a.example/", "https://b.example/"]}
    assert (row["user_id"], row["on_behalf_of"]) == ("member", "p1")
