"""Callers of the API: an operator, members of one project, of two, of none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from metering.models import ApiToken, Membership
from tests.support.samples import _old_weeks, old_weeks

__all__ = ["_old_weeks", "old_weeks"]


class Caller:
    """Speaks to the API with a token, over the whole stack of middleware."""

    def __init__(self, username: str, *projects: str, operator: bool = False, **headers: str) -> None:
        self.user, _ = get_user_model().objects.get_or_create(username=username, defaults={"is_staff": operator})
        for project in projects:
            Membership.objects.get_or_create(user=self.user, project_id=project)
        self.token = ApiToken.issue(self.user)
        self.client = Client(raise_request_exception=False, headers={"X-Auth-Token": self.token, **headers})

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def rows(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def post(self, path: str, samples: Any, **options: Any) -> Any:
        body = samples if isinstance(samples, str | bytes) else msgspec.json.encode(samples)
        return self.client.post(path, body, content_type="application/json", **options)


@pytest.fixture
def operator(db):
    return Caller("operator", operator=True)


@pytest.fixture
def member(db):
    return Caller("member", "p1")


@pytest.fixture
def stranger(db):
    return Caller("stranger", "p9")


def fault(answer: Any) -> str:
    return answer.json()["error_message"]["faultstring"]


def assert_refused(answer: Any, status: int, text: str) -> None:
    """A bad request is told what is wrong, in the one shape of errors and in few words."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/json"
    assert len(answer.content) < 5000
    message = answer.json()["error_message"]
    assert message["faultstring"].startswith(text), message
    assert (message["faultcode"], message["debuginfo"]) == ("Client", None)
    assert message["code"]


def posted(**fields: Any) -> dict[str, Any]:
    """The body of one sample to post."""
    return {
        "counter_name": "cpu_util",
        "counter_type": "gauge",
        "counter_unit": "%",
        "counter_volume": 12.5,
        "resource_id": "r1",
        **fields,
    }
