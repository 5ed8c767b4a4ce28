"""What decisions change, in one transaction: state, history, and what has to be told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from psycopg2.extras import execute_values

from alarms import deliveries
from alarms.models import Alarm, AlarmChange
from alarms.rules.decision import Decision

__all__ = ["Decided", "Fired", "memory_of", "write"]

# Only what was decided about: an alarm that was edited, deleted, disabled or set to another state meanwhile is not touched.
_UPDATE = """
UPDATE alarms_alarm a SET
    state = d.state, memory = d.memory::jsonb,
    state_reason = CASE WHEN d.state <> d.previous THEN d.reason ELSE a.state_reason END,
    state_at = CASE WHEN d.state <> d.previous THEN d.now ELSE a.state_at END
FROM (
    SELECT d.* FROM (VALUES %s) AS d (id, version, previous, state, reason, memory, now)
    JOIN alarms_alarm locked ON locked.id = d.id ORDER BY d.id FOR UPDATE OF locked
) d
WHERE a.id = d.id AND a.version = d.version AND a.state = d.previous AND a.enabled
RETURNING a.id
"""
_TYPES = "(%s::uuid, %s::int, %s, %s, %s, %s, %s::timestamptz)"
_PAGE = 20_000


class Decided(NamedTuple):
    """A decision about an alarm as it was read."""

    alarm: Alarm
    decision: Decision


class Fired(NamedTuple):
    """Something to tell: ``change_id`` is the row of history that it stands in, None where it stands in none."""

    alarm: Alarm
    previous: str
    current: str
    reason: str
    reason_data: dict[str, Any]
    change_id: UUID | None


def memory_of(alarm: Alarm) -> dict[str, Any]:
    """What the last decision left; nothing where it was about another definition."""
    return alarm.memory if alarm.memory.get("version") == alarm.version else {}


def write(decided: Sequence[Decided], *, now: datetime, records_repeats: bool = False) -> list[Fired]:
    """Write what the decisions change, and plan what they tell; what fired. In a transaction, the caller's where there is one.

    A decision about an alarm that is not any more what it was changes nothing and tells nothing. ``records_repeats``: also what fires
    without a change stands in the history.
    """
    moving = [
        (alarm, decision)
        for alarm, decision in decided
        if decision.fires or decision.state != alarm.state or _stored_memory(alarm, decision) != alarm.memory
    ]
    if not moving:
        return []
    with transaction.atomic():
        written = _update(moving, now)
        fired = [
            Fired(alarm, alarm.state, decision.state, decision.reason, decision.reason_data, None)
            for alarm, decision in moving
            if decision.fires and alarm.id in written
        ]
        fired = _record(fired, now, with_repeats=records_repeats)
        if fired:
            deliveries.plan(fired)
    return fired


def _stored_memory(alarm: Alarm, decision: Decision) -> dict[str, Any]:
    return {"version": alarm.version, **decision.memory} if decision.memory else {}


def _update(moving: Iterable[tuple[Alarm, Decision]], now: datetime) -> set[UUID]:
    rows = [
        (
            alarm.id,
            alarm.version,
            alarm.state,
            decision.state,
            decision.reason,
            json.dumps(_stored_memory(alarm, decision)),
            now,
        )
        for alarm, decision in moving
    ]
    with connection.cursor() as cursor:
        found = execute_values(cursor.cursor, _UPDATE, rows, template=_TYPES, page_size=_PAGE, fetch=True)
    return {alarm_id for (alarm_id,) in found}


def _record(fired: Sequence[Fired], now: datetime, *, with_repeats: bool) -> list[Fired]:
    """Each with its row of history."""
    changes: Mapping[UUID, AlarmChange] = {
        one.alarm.id: AlarmChange(
            alarm_id=one.alarm.id,
            type="state transition",
            detail={"state": one.current, "transition_reason": one.reason},
            on_behalf_of=one.alarm.project_id,
            severity=one.alarm.severity,
            recorded_at=now,
        )
        for one in fired
        if with_repeats or one.current != one.previous
    }
    AlarmChange.objects.bulk_create(changes.values(), batch_size=5000)
    return [one._replace(change_id=changes[one.alarm.id].id) if one.alarm.id in changes else one for one in fired]
