"""Callers of the API, as in the tests of metering, and alarms to make."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metering.api.conftest import Caller, assert_refused, fault, member, operator, stranger

__all__ = ["Caller", "assert_refused", "definition", "fault", "make", "member", "operator", "put", "stranger"]


def definition(**fields: Any) -> dict[str, Any]:
    """The body of a threshold alarm; a field that is None is left out."""
    rule = {"meter_name": "cpu_util", "threshold": 80, "comparison_operator": "gt", **fields.pop("rule", {})}
    body = {"name": "busy", "type": "threshold", "threshold_rule": rule, **fields}
    return {name: value for name, value in body.items() if value is not None}


def make(caller: Caller, **fields: Any) -> dict[str, Any]:
    """Make an alarm, and return what was answered."""
    answer = caller.post("/v2/alarms", definition(**fields))
    assert answer.status_code == 201, answer.content
    return answer.json()


def put(caller: Caller, path: str, body: Any) -> Any:
    return caller.client.put(path, body, content_type="application/json")


@pytest.fixture
def reader(db):
    """Somebody who sees the alarms of p1, and changes none."""
    from metering.models import Membership, Role

    caller = Caller("reader")
    Membership.objects.create(user=caller.user, project_id="p1", role=Role.READER)
    return caller
