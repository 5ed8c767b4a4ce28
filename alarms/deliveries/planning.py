"""What has to be told, written in the transaction of what happened."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from alarms.models import Alarm, Delivery, DeliveryState, DisabledAction, Severity
from alarms.notifiers.urls import receiver_of
from alarms.transitions import Fired

from .schedule import GIVE_UP_AFTER
from .silences import silences_of
from .wake import wake

__all__ = ["body_of", "plan"]


def plan(fired: Sequence[Fired]) -> None:
    """Add one delivery for each action of each alarm's new state, in the caller's transaction; after its commit they are on their way.

    The caller holds the rows of these alarms (it has just updated them), so that an alarm's deliveries are numbered in the order of what
    happened. Actions that are disabled get none; those of silenced alarms are recorded as silenced.
    """
    telling = [one for one in fired if one.alarm.actions.get(one.current)]
    if not telling:
        return
    now = timezone.now()
    alarm_ids = {one.alarm.id for one in telling}
    numbers = _last_numbers(alarm_ids)
    disabled = set(DisabledAction.objects.filter(alarm_id__in=alarm_ids).values_list("alarm_id", "url"))
    is_silenced = silences_of({one.alarm.project_id for one in telling}, now)
    deliveries = []
    for one in telling:
        body = body_of(one)
        silenced = is_silenced(one.alarm)
        for url in one.alarm.actions[one.current]:
            if (one.alarm.id, url) not in disabled:
                numbers[one.alarm.id] += 1
                deliveries.append(_delivery(one, url, body, number=numbers[one.alarm.id], now=now, silenced=silenced))
    Delivery.objects.bulk_create(deliveries, batch_size=1000)
    if any(delivery.ended_at is None for delivery in deliveries):
        transaction.on_commit(wake, robust=True)


def body_of(fired: Fired) -> str:
    """What a receiver gets: exactly the keys that OpenStack's alarms have always sent, as ASCII.

    A number that JSON has none for (NaN, an infinity) is null: it must not keep the transition from being written.
    """
    alarm = fired.alarm
    told = {
        "alarm_name": alarm.name,
        "alarm_id": str(alarm.id),
        "severity": Severity(alarm.severity).label,
        "previous": fired.previous,
        "current": fired.current,
        "reason": fired.reason,
        "reason_data": fired.reason_data,
    }
    try:
        return json.dumps(told, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(told), parse_constant=lambda _: None))


def _last_numbers(alarm_ids: set[UUID]) -> Counter[UUID]:
    rows = Delivery.objects.filter(alarm_id__in=alarm_ids).order_by().values("alarm_id").annotate(last=Max("number"))
    return Counter({row["alarm_id"]: row["last"] for row in rows})


def _delivery(fired: Fired, url: str, body: str, *, number: int, now: datetime, silenced: bool) -> Delivery:
    alarm: Alarm = fired.alarm
    ending: Mapping[str, Any] = {"state": DeliveryState.SILENCED, "ended_at": now} if silenced else {}
    return Delivery(
        number=number,
        alarm_id=alarm.id,
        project_id=alarm.project_id,
        change_id=fired.change_id,
        url=url,
        receiver=receiver_of(url),
        body=body,
        due_at=now,
        give_up_at=now + GIVE_UP_AFTER,
        made_at=now,
        **ending,
    )
