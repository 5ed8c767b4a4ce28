"""Alarms in the store, without the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from alarms.models import Alarm, AlarmChange, Schedule

__all__ = ["make_alarm"]


def make_alarm(*, project: str, name: str = "busy", at: datetime | None = None, **fields: Any) -> str:
    """Store an alarm with a row of history; returns its id."""
    at = at or timezone.now()
    rule = {"meter_name": "cpu_util", "threshold": 80.0, "comparison_operator": "gt", "statistic": "avg", "period": 60,
            "evaluation_periods": 1, "query": [], "exclude_outliers": False}  # fmt: skip
    alarm = Alarm.objects.create(
        **{"name": name, "type": "threshold", "rule": rule, "project_id": project, "user_id": "u1", "changed_at": at, "state_at": at,
           "description": name, **fields}
    )  # fmt: skip
    Schedule.objects.create(alarm=alarm, due_at=at)
    AlarmChange.objects.create(
        alarm_id=alarm.id, type="creation", detail={"name": name}, user_id=alarm.user_id, project_id=project, on_behalf_of=project,
        severity=alarm.severity, recorded_at=at,
    )  # fmt: skip
    return str(alarm.id)
