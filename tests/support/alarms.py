"""Alarms that change their state, and what is told of it, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from alarms.deliveries import plan
from alarms.models import Alarm, AlarmChange, Delivery
from alarms.transitions import Fired

__all__ = ["make_alarm", "transit"]


def make_alarm(*urls: str, project_id: str = "orchard", state: str = "alarm", **values: Any) -> Alarm:
    """An alarm that tells these URLs when it gets into the state."""
    return Alarm.objects.create(
        **{
            "name": "cpu high",
            "type": "threshold",
            "rule": {},
            "project_id": project_id,
            "user_id": "lena",
            "actions": {state: list(urls)},
            **values,
        }
    )


def transit(alarm: Alarm, state: str = "alarm", *, reason: str = "Transition to alarm", **data: Any) -> list[Delivery]:
    """Change the alarm's state as an evaluator does: state, history and deliveries in one transaction."""
    with transaction.atomic():
        held = Alarm.objects.select_for_update().get(pk=alarm.pk)
        previous, held.state = held.state, state
        held.save(update_fields=["state"])
        change = AlarmChange.objects.create(
            alarm_id=alarm.id,
            type="state transition",
            detail={"state": state, "transition_reason": reason},
            on_behalf_of=alarm.project_id,
        )
        plan([Fired(held, previous, state, reason, data, change.id)])
    return deliveries_of(change)


def deliveries_of(change: AlarmChange) -> Sequence[Delivery]:
    return list(Delivery.objects.filter(change=change).order_by("number"))
