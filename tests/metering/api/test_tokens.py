"""Tokens and roles: what each may, for how long, and what a refusal says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from metering.api import authentication
from metering.models import ApiToken, Batch, Membership, Role
from tests.support.samples import store

from .conftest import Caller, fault, posted

PATH = "/v2/meters/cpu_util"


def client_of(user, **options) -> Client:
    return Client(headers={"X-Auth-Token": ApiToken.issue(user, **options)})


def post(client, *samples, **headers):
    return client.post(PATH, list(samples) or [posted()], content_type="application/json", headers=headers)


def code(answer) -> str:
    return answer.json()["error_message"]["code"]


def test_an_expired_token_is_refused_and_says_when_it_expired(member):
    now = timezone.now()
    assert client_of(member.user, expires_at=now + timedelta(minutes=1)).get("/v2/meters").status_code == 200
    answer = client_of(member.user, expires_at=now - timedelta(seconds=1)).get("/v2/meters")
    assert answer.status_code == 401
    assert code(answer) == "token_expired"
    assert f"expired at {now - timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}" in fault(answer)
    assert answer.json()["error"]["code"] == 401


def test_revoked_and_unknown_tokens_are_refused_alike(member):
    ApiToken.objects.update(revoked_at=timezone.now())
    refused, unknown = member.get("/v2/meters"), Client(headers={"X-Auth-Token": "never"}).get("/v2/meters")
    assert refused.json() == unknown.json()
    assert code(refused) == "token_unknown"


def test_a_token_that_may_read_posts_nothing(member):
    client = client_of(member.user, scopes=["read", "alarms"])
    assert client.get(PATH).status_code == 200
    answer = post(client)
    assert answer.status_code == 403
    assert code(answer) == "scope_missing"
    assert fault(answer) == (
        "RBAC Authorization Failed: this needs a token with the scope samples; this one has read, alarms"
    )
    assert not Batch.objects.exists()


def test_a_token_that_may_post_reads_nothing(member):
    client = client_of(member.user, scopes=["samples"])
    assert post(client).status_code == 201
    for path in ("meters", "samples", "resources", "meters/cpu_util", "meters/cpu_util/statistics"):
        answer = client.get(f"/v2/{path}")
        assert (answer.status_code, code(answer)) == (403, "scope_missing")
        assert "scope read; this one has samples" in fault(answer)


def test_sessions_may_all_that_their_user_may(member):
    client = Client()
    client.force_login(member.user)
    assert client.get(PATH).status_code == 200
    assert post(client).status_code == 201


def test_a_token_of_some_projects_sees_no_others(db):
    store(project="p1")
    store(project="p2", resource="r2")
    client = client_of(Caller("both", "p1", "p2").user, projects=["p2", "p3"])
    assert [row["project_id"] for row in client.get("/v2/samples").json()] == ["p2"]
    assert client.get("/v2/samples?q.field=project&q.value=p1").status_code == 401
    assert post(client, posted(project_id="p1")).status_code == 400
    assert post(client).json()[0]["project_id"] == "p2"
    assert client_of(Caller("both").user, projects=["p3"]).get("/v2/samples").status_code == 403


def test_an_operators_token_of_some_projects_is_no_operators_token(operator):
    store(project="p1")
    store(project="p2", resource="r2")
    client = client_of(operator.user, projects=["p1"])
    assert [row["project_id"] for row in client.get("/v2/samples").json()] == ["p1"]
    assert post(client, posted(project_id="p2")).status_code == 400
    assert post(client).json()[0]["project_id"] == "p1"


def test_a_reader_sees_a_project_and_posts_nothing_into_it(db):
    reader = Caller("reader", "p1")
    Membership.objects.update(role=Role.READER)
    store(project="p1")
    assert len(reader.rows("/v2/samples")) == 1
    answer = reader.post(PATH, [posted()])
    assert answer.status_code == 403
    assert code(answer) == "role_missing"
    assert fault(answer) == (
        "RBAC Authorization Failed: posting to project p1 needs the role member, and reader is a reader of it"
    )
    assert Batch.objects.count() == 1


def test_one_sample_for_a_project_that_is_only_read_refuses_all(db):
    caller = Caller("mixed", "p1", "p2")
    Membership.objects.filter(project_id="p2").update(role=Role.READER)
    assert caller.post(PATH, [posted(project_id="p1"), posted(project_id="p2")]).status_code == 403
    assert not Batch.objects.exists()
    assert caller.post(PATH, [posted(project_id="p1")]).status_code == 201


def test_the_last_use_of_a_token_is_kept_at_most_once_a_minute(member):
    member.get("/v2/meters")
    first = ApiToken.objects.get().last_used_at
    assert timezone.now() - first < timedelta(minutes=1)
    member.get("/v2/meters")
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    member.get("/v2/meters")
    assert ApiToken.objects.get().last_used_at >= first


def test_a_last_use_that_cannot_be_kept_refuses_nobody(member, monkeypatch):
    class Broken:
        def cursor(self):
            raise DatabaseError("no")

    monkeypatch.setattr(authentication, "connection", Broken())
    assert member.get("/v2/meters").status_code == 200


@pytest.mark.parametrize("secret", ["é" * 40, "x" * 5000, "a b c", "\x7f"])
def test_odd_tokens_are_unknown_tokens(db, secret):
    answer = Client(HTTP_X_AUTH_TOKEN=secret).get("/v2/meters")
    assert (answer.status_code, code(answer)) == (401, "token_unknown")
