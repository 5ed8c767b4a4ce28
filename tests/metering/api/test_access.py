"""Who may see what: tokens, sessions, operators, members of projects, strangers."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from metering.messages import sample_id
from metering.models import ApiToken
from tests.support.samples import store

from .conftest import Caller, fault, posted


@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "wrong"}, {"Authorization": "Token wrong"}, {"Authorization": "Basic YTpi"},
                                     {"X-Auth-Token": ""}, {"Authorization": "Token"}])  # fmt: skip
def test_without_a_good_token_nothing_is_answered(db, headers):
    answer = Client(headers=headers).get("/v2/meters")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Token")
    body = answer.json()
    assert next(iter(body)) == "error"
    assert body["error"]["code"] == 401
    assert body["error"]["title"] == "Unauthorized"
    assert body["error_message"]["code"] == ("token_unknown" if headers else "not_authenticated")


@pytest.mark.parametrize("form", ["Token {}", "Bearer {}", "token  {}"])
def test_tokens_work_in_the_authorization_header(member, form):
    token = ApiToken.issue(member.user)
    assert Client(headers={"Authorization": form.format(token)}).get("/v2/meters").status_code == 200


def test_revoked_tokens_and_inactive_users_are_refused(member):
    assert member.get("/v2/meters").status_code == 200
    ApiToken.objects.update(revoked_at=timezone.now())
    assert member.get("/v2/meters").status_code == 401
    ApiToken.objects.update(revoked_at=None)
    member.user.is_active = False
    member.user.save()
    assert member.get("/v2/meters").status_code == 401


def test_sessions_see_what_their_user_sees(member):
    store(project="p1")
    store(project="p2", resource="r2")
    client = Client()
    client.force_login(member.user)
    assert [row["resource_id"] for row in client.get("/v2/samples").json()] == ["r1"]


def test_a_session_posts_only_with_its_csrf_token(member):
    client = Client(enforce_csrf_checks=True)
    client.force_login(member.user)
    answer = client.post("/v2/meters/cpu_util", [posted()], content_type="application/json")
    assert answer.status_code == 403
    assert "CSRF" in fault(answer)


def test_a_user_without_projects_is_told_so(db):
    answer = Caller("lonely").get("/v2/meters")
    assert answer.status_code == 403
    assert fault(answer) == "RBAC Authorization Failed"
    assert "no project" in answer.json()["error_message"]["detail"]


def test_operators_see_all_and_members_their_projects(operator, member):
    for project in ("p1", "p2", None):
        store(project=project, resource=f"of {project}")
    assert len(operator.rows("/v2/samples")) == 3
    assert [row["project_id"] for row in member.rows("/v2/samples")] == ["p1"]
    both = Caller("both", "p1", "p2")
    assert {row["project_id"] for row in both.rows("/v2/samples")} == {"p1", "p2"}


def test_a_header_narrows_a_user_to_one_project(db):
    store(project="p1")
    store(project="p2")
    assert [row["project_id"] for row in Caller("both", "p1", "p2", **{"X-Project-Id": "p2"}).rows("/v2/samples")] == [
        "p2"
    ]
    answer = Caller("both", **{"X-Project-Id": "p3"}).get("/v2/samples")
    assert answer.status_code == 403
    assert "p3" in answer.json()["error_message"]["detail"]


@pytest.mark.parametrize("path", ["meters", "meters/cpu_util", "meters/cpu_util/statistics", "resources", "samples"])
@pytest.mark.parametrize("field", ["project", "project_id"])
def test_asking_about_another_project_is_refused_with_the_reason(member, path, field):
    store(project="p2")
    answer = member.get(f"/v2/{path}?q.field={field}&q.value=p1&q.field={field}&q.value=p2")
    assert answer.status_code == 401
    assert fault(answer) == "Not Authorized to access project p2"
    assert "valid" in answer.json()["error_message"]["detail"]
    assert member.get(f"/v2/{path}?q.field={field}&q.value=p1").status_code == 200


def test_the_project_is_checked_before_the_query_and_after_the_limit(member):
    assert member.get("/v2/samples?q.field=project&q.value=p2&q.field=nonsense&q.value=1").status_code == 401
    assert fault(member.get("/v2/samples?limit=0&q.field=project&q.value=p2")) == "Limit must be positive"


def test_ids_of_others_are_not_found(stranger):
    result = store(resource="theirs")
    sample = sample_id(result.batch_id, 0)
    answer = stranger.get(f"/v2/samples/{sample}")
    assert (answer.status_code, fault(answer)) == (404, f"Sample {sample} Not Found")
    answer = stranger.get("/v2/resources/theirs")
    assert (answer.status_code, fault(answer)) == (404, "Resource theirs Not Found")
