"""Alarms in the store, without the API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from alarms.models import Alarm, AlarmChange, Attempt, Delivery, DeliveryState, Schedule, Silence

__all__ = ["make_alarm", "make_delivery", "make_silence"]


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


def make_delivery(alarm_id: str, *, project: str, attempts: int = 1, **fields: Any) -> str:
    """Store one that failed after so many attempts; returns its id."""
    now = timezone.now()
    delivery = Delivery.objects.create(
        **{
            "alarm_id": alarm_id, "project_id": project, "number": Delivery.objects.filter(alarm_id=alarm_id).count() + 1,
            "change": AlarmChange.objects.filter(alarm_id=alarm_id).first(), "url": "https://hooks.example.org/busy",
            "receiver": "https://hooks.example.org", "body": "{}", "state": DeliveryState.FAILED, "attempt_count": attempts,
            "failure_count": attempts, "due_at": now, "ended_at": now, "give_up_at": now + timedelta(hours=30), **fields,
        }
    )  # fmt: skip
    for number in range(1, attempts + 1):
        Attempt.objects.create(
            delivery=delivery, number=number, token=f"token-{number}", begun_at=now, ended_at=now, status=500, duration_ms=83,
            outcome="answered 500",
        )  # fmt: skip
    return str(delivery.id)


def make_silence(*, project: str, **fields: Any) -> str:
    """Store one from now on for an hour; returns its id."""
    now = timezone.now()
    times = {"starts_at": now, "ends_at": now + timedelta(hours=1)}
    return str(Silence.objects.create(**{"project_id": project, "user_id": "u1", **times, **fields}).id)
