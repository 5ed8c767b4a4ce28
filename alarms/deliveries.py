"""What has to be told: a row for each message to each action of an alarm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from alarms.models import Delivery, Severity

if TYPE_CHECKING:
    from alarms.transitions import Fired

__all__ = ["plan"]


def plan(fired: Sequence[Fired]) -> None:
    """Put a delivery into the store for each action of the state that each alarm is in now."""
    now = timezone.now()
    number = time_ns()
    Delivery.objects.bulk_create(
        [
            Delivery(
                number=number + place,
                alarm_id=one.alarm.id,
                project_id=one.alarm.project_id,
                change_id=one.change_id,
                url=url,
                body=json.dumps(_body(one)),
                due_at=now,
                made_at=now,
            )
            for place, one in enumerate(fired)
            for url in one.alarm.actions.get(one.current, ())
        ],
        batch_size=5000,
    )


def _body(one: Fired) -> dict[str, Any]:
    return {
        "alarm_name": one.alarm.name,
        "alarm_id": str(one.alarm.id),
        "severity": Severity(one.alarm.severity).label,
        "previous": one.previous,
        "current": one.current,
        "reason": one.reason,
        "reason_data": one.reason_data,
    }
