"""Whose an alarm is, who may change it, and what its rule may be about (spec §3.1, §5, §13, §16)."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.test import Client

from alarms.models import Alarm, AlarmChange, AlarmQuota
from metering.models import ApiToken, Membership

from .conftest import Caller, assert_refused, definition, make, put

OWN = {"field": "project_id", "op": "eq", "value": "p1"}


def queried(**fields):
    return make(**fields)["threshold_rule"]["query"]


def test_an_alarm_is_its_callers(member, operator):
    assert [make(member)[name] for name in ("project_id", "user_id")] == ["p1", "member"]
    assert [make(member, project_id="p1", user_id="member")[name] for name in ("project_id", "user_id")] == [
        "p1",
        "member",
    ]
    assert [make(operator, project_id="p7", user_id="u7")[name] for name in ("project_id", "user_id")] == ["p7", "u7"]
    chosen = Caller("operator", **{"X-Project-Id": "p3"})
    assert [make(chosen)[name] for name in ("project_id", "user_id")] == ["p3", "operator"]


def test_nobody_makes_alarms_of_others(member):
    assert_refused(member.post("/v2/alarms", definition(project_id="p2")), 401, "Not Authorized to access project p2")
    assert_refused(member.post("/v2/alarms", definition(user_id="u2")), 401, "Not Authorized to access user u2")
    assert not Alarm.objects.exists()


def test_who_belongs_to_several_projects_names_one(db):
    caller = Caller("both", "p1", "p2")
    assert_refused(caller.post("/v2/alarms", definition()), 400, "Invalid input for field/attribute project_id")
    assert make(caller, project_id="p2")["project_id"] == "p2"
    assert make(Caller("both", **{"X-Project-Id": "p1"}))["project_id"] == "p1"


def test_a_reader_sees_alarms_and_changes_none(member, reader):
    alarm = make(member)
    path = f"/v2/alarms/{alarm['alarm_id']}"
    assert reader.rows("/v2/alarms") == [alarm]
    assert len(reader.rows(f"{path}/history")) == 1
    assert reader.rows(f"{path}/state") == "insufficient data"
    for answer in (
        reader.post("/v2/alarms", definition()),
        put(reader, path, definition()),
        put(reader, f"{path}/state", '"ok"'),
        reader.client.delete(path),
    ):
        assert_refused(answer, 403, "RBAC Authorization Failed")
        assert answer.json()["error_message"]["code"] == "role_missing"
    assert member.rows(path) == alarm


def test_a_token_needs_its_scope(member):
    path = f"/v2/alarms/{make(member)['alarm_id']}"
    token = ApiToken.issue(member.user, scopes=["read", "samples"])
    client = Client(headers={"X-Auth-Token": token})
    assert (
        client.get(path).status_code
        == client.post("/v2/query/alarms", "{}", content_type="application/json").status_code
        == 200
    )
    for answer in (
        client.post("/v2/alarms", definition(), content_type="application/json"),
        client.put(path, definition(), content_type="application/json"),
        client.put(f"{path}/state", '"ok"', content_type="application/json"),
        client.delete(path),
    ):
        assert answer.json()["error_message"]["code"] == "scope_missing"


def test_a_put_takes_nothing_over(member, operator):
    alarm = make(member)
    path = f"/v2/alarms/{alarm['alarm_id']}"
    Caller("colleague", "p1")
    colleague = Caller("colleague")
    for body in (definition(), definition(user_id="colleague", project_id="p2")):
        replaced = put(colleague, path, body).json()
        assert (replaced["project_id"], replaced["user_id"]) == ("p1", "member")
    assert put(operator, path, definition()).json()["user_id"] == "member"
    given = put(operator, path, definition(project_id="p2", user_id="u2")).json()
    assert (given["project_id"], given["user_id"]) == ("p2", "u2")
    assert member.get(path).status_code == 404
    assert member.rows(f"{path}/history")[-1]["type"] == "creation"


def test_a_tenants_rule_says_what_project_it_is_about(member, operator):
    assert queried(caller=member) == [OWN]
    assert queried(caller=member, rule={"query": [OWN]}) == [OWN]
    assert queried(caller=operator, project_id="p1") == [OWN]
    tree = {
        "and": [
            {"type": "threshold", "meter_name": "m", "threshold": 1},
            {"type": "prometheus", "query": "up", "threshold": 1},
        ]
    }
    rule = make(member, type="composite", threshold_rule=None, composite_rule=tree)["composite_rule"]
    assert rule["and"][0]["query"] == [OWN]
    assert rule["and"][1]["query"] == "up"
    # An operator's own are about all.
    alarm = make(operator)
    assert (alarm["project_id"], alarm["threshold_rule"]["query"]) == ("", [])


@pytest.mark.parametrize("field", ["project", "project_id"])
def test_a_tenants_rule_is_about_no_other_project(member, operator, field):
    query = [{"field": field, "op": "eq", "value": "p2"}]
    leaf = {"type": "threshold", "meter_name": "m", "threshold": 1, "query": query}
    for body in (
        definition(rule={"query": query}),
        definition(type="composite", threshold_rule=None, composite_rule={"or": [leaf]}),
    ):
        assert_refused(member.post("/v2/alarms", body), 401, "Not Authorized to access project p2")
        assert_refused(
            operator.post("/v2/alarms", {**body, "project_id": "p1"}), 401, "Not Authorized to access project p2"
        )
    path = f"/v2/alarms/{make(member)['alarm_id']}"
    assert_refused(put(member, path, definition(rule={"query": query})), 401, "Not Authorized to access project p2")
    assert make(operator, rule={"query": query})["threshold_rule"]["query"] == query


def combination(*members, **fields):
    return definition(type="combination", threshold_rule=None, combination_rule={"alarm_ids": list(members)}, **fields)


def test_a_combination_is_of_alarms_of_its_project(member, operator, stranger):
    first, second = (make(member, name=name)["alarm_id"] for name in "ab")
    foreign = make(stranger)["alarm_id"]
    made = member.post("/v2/alarms", combination(first, second.upper(), first)).json()
    assert made["combination_rule"] == {"operator": "and", "alarm_ids": [first, second]}
    assert made["description"] == f"Combined state of alarms {first} and {second}"
    for wrong in (foreign, "00000000-0000-4000-8000-000000000000", "nope"):
        for answer in (member.post("/v2/alarms", combination(first, wrong)),
                       operator.post("/v2/alarms", combination(first, wrong, project_id="p1"))):  # fmt: skip
            assert_refused(answer, 404, f"Alarm {wrong} not found in project p1")
    assert operator.post("/v2/alarms", combination(first, foreign)).status_code == 201


def test_a_combination_is_not_of_itself(member):
    first, second = (make(member, name=name)["alarm_id"] for name in "ab")
    both = member.post("/v2/alarms", combination(first, second)).json()["alarm_id"]
    above = member.post("/v2/alarms", combination(both, first)).json()["alarm_id"]
    text = f"Cannot specify alarm {both} itself in combination rule"
    assert_refused(put(member, f"/v2/alarms/{both}", combination(both, first)), 400, text)
    assert_refused(
        put(member, f"/v2/alarms/{both}", combination(above, first)), 400, f"Cannot specify alarm {both} in combination"
    )
    assert_refused(
        put(member, f"/v2/alarms/{first}", combination(above, second)),
        400,
        f"Cannot specify alarm {first} in combination",
    )
    # Members may go.
    assert member.client.delete(f"/v2/alarms/{second}").status_code == 204
    assert member.rows(f"/v2/alarms/{both}")["combination_rule"]["alarm_ids"] == [first, second]


def limits(caller, query=""):
    return [entry["limit"] for entry in caller.rows(f"/v2/quotas{query}")["quotas"]]


def test_quotas_are_set_by_operators_and_seen_by_their_project(member, operator, stranger, reader):
    assert member.rows("/v2/quotas") == {"project_id": "p1", "quotas": [{"resource": "alarms", "limit": -1}]}
    assert not AlarmQuota.objects.exists()
    body = {"project_id": "p1", "quotas": [{"resource": "alarms", "limit": 2}]}
    answer = operator.post("/v2/quotas", body)
    assert (answer.status_code, answer.json()) == (201, body)
    assert limits(member) == limits(reader, "?project_id=p1") == limits(operator, "?project_id=p1") == [2]
    assert limits(stranger) == [-1]
    for project in ("p1", "nowhere"):
        assert_refused(stranger.get(f"/v2/quotas?project_id={project}"), 403, "RBAC Authorization Failed")
    assert_refused(member.post("/v2/quotas", body), 403, "RBAC Authorization Failed")
    assert_refused(member.client.delete("/v2/quotas/p1"), 403, "RBAC Authorization Failed")
    for _ in range(2):
        assert operator.client.delete("/v2/quotas/p1").status_code == 204
    assert limits(member) == [-1]


@pytest.mark.parametrize("quota", [
    {"resource": "alarms", "limit": -2}, {"resource": "alarms", "limit": "x"}, {"resource": "samples", "limit": 1}, {"limit": 1},
    {"resource": "alarms"}, {"resource": "alarms", "limit": 2**31}, {"resource": "alarms", "limit": 1, "foo": 1}, 5,
])  # fmt: skip
def test_a_bad_quota_is_refused(operator, quota):
    assert_refused(operator.post("/v2/quotas", {"project_id": "p1", "quotas": [quota]}), 400, "")
    assert not AlarmQuota.objects.exists()


def test_a_project_has_no_more_alarms_than_its_quota(member, operator, stranger):
    AlarmQuota.objects.create(project_id="p1", limit=2)
    first = make(member)
    make(operator, project_id="p1")
    assert_refused(member.post("/v2/alarms", definition()), 403, "Alarm quota exceeded for user member on project p1")
    foreign = make(stranger)["alarm_id"]
    assert put(operator, f"/v2/alarms/{foreign}", definition(project_id="p1")).status_code == 403
    assert member.client.delete(f"/v2/alarms/{first['alarm_id']}").status_code == 204
    make(member)
    assert Alarm.objects.filter(project_id="p1").count() == 2
    assert AlarmChange.objects.filter(type="creation").count() == 4


def test_a_user_has_no_more_alarms_than_the_settings_say(db, settings):
    settings.CELOMETER_ALARMS_PER_USER, settings.CELOMETER_ALARMS_PER_PROJECT = 2, 5
    caller = Caller("both", "p1", "p2")
    for project in ("p1", "p2"):
        make(caller, project_id=project)
    answer = caller.post("/v2/alarms", definition(project_id="p1"))
    assert_refused(answer, 403, "Alarm quota exceeded for user both on project p1")
    # One that only moves is not one more.
    path = f"/v2/alarms/{caller.rows('/v2/alarms')[0]['alarm_id']}"
    assert put(Caller("root", operator=True), path, definition(project_id="p3")).status_code == 200
    settings.CELOMETER_ALARMS_PER_USER, settings.CELOMETER_ALARMS_PER_PROJECT = -1, 1
    assert caller.post("/v2/alarms", definition(project_id="p1")).status_code == 403
    # Zero is none at all.
    AlarmQuota.objects.create(project_id="p2", limit=0)
    assert caller.post("/v2/alarms", definition(project_id="p2")).status_code == 403


def test_posts_at_one_time_do_not_pass_a_quota_together(store):
    member = Caller("member", "p1")
    AlarmQuota.objects.create(project_id="p1", limit=3)
    statuses = []

    def post():
        statuses.append(Caller.post(member, "/v2/alarms", definition()).status_code)
        connection.close()

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] * 3 + [403] * 5
    assert Alarm.objects.count() == 3


def test_a_member_of_nothing_is_told_so(db):
    nobody = Caller("nobody")
    assert_refused(nobody.get("/v2/alarms"), 403, "RBAC Authorization Failed")
    Membership.objects.create(user=nobody.user, project_id="p1")
    assert nobody.rows("/v2/alarms") == []
