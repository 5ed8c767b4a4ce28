"""What decisions change, in one transaction: state, history, and what has to be told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from psycopg2.extras import execute_values

from alarms import deliveries
from alarms.models import Alarm, AlarmChange
from alarms.rules.decision import Decision
from alarms.transitions import Fired

__all__ = ["Decided", "lock", "write"]

# Only what was decided about: an alarm that was edited, deleted, disabled or set to another state meanwhile is not touched.
_UPDATE = """
UPDATE alarms_alarm a SET
    state = d.state, memory = d.memory::jsonb,
    state_reason = CASE WHEN d.state <> d.previous THEN d.reason ELSE a.state_reason END,
    state_at = CASE WHEN d.state <> d.previous THEN d.now ELSE a.state_at END
FROM (VALUES %s) AS d (id, version, previous, state, reason, memory, now)
WHERE a.id = d.id AND a.version = d.version AND a.state = d.previous AND a.enabled
RETURNING a.id
"""
_TYPES = "(%s::uuid, %s::int, %s, %s, %s, %s, %s::timestamptz)"
_PAGE = 20_000


class Decided(NamedTuple):
    """A decision about an alarm as it was read."""

    alarm: Alarm
    decision: Decision


def lock(decided: Sequence[Decided]) -> None:
    """Take hold of the alarms that ``write`` is going to change, in the order in which everybody takes them. In a transaction."""
    ids = [alarm.id for alarm, decision in decided if _Chain(alarm, [decision]).changes_something()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM alarms_alarm WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [ids])


def write(decided: Sequence[Decided], *, now: datetime, records_repeats: bool = False) -> list[Fired]:
    """Write what the decisions change, and plan what they tell; what fired. In a transaction, the caller's where there is one.

    The caller has locked the alarms. Several decisions about one follow one another. Those about an alarm that is not any more what it
    was change nothing and tell nothing. ``records_repeats``: also what fires without a change stands in the history.
    """
    chains: dict[UUID, _Chain] = {}
    for alarm, decision in decided:
        chains.setdefault(alarm.id, _Chain(alarm, [])).decisions.append(decision)
    moving = [chain for chain in chains.values() if chain.changes_something()]
    if not moving:
        return []
    with transaction.atomic():
        written = _update(moving, now)
        fired = [one for chain in moving if chain.alarm.id in written for one in chain.fired()]
        fired = _record(fired, now, with_repeats=records_repeats)
        if fired:
            deliveries.plan(fired)
    return fired


class _Chain(NamedTuple):
    """Decisions about one alarm, one after the other; mostly it is one."""

    alarm: Alarm
    decisions: list[Decision]

    def changes_something(self) -> bool:
        alarm, last = self.alarm, self.decisions[-1]
        is_other = last.state != alarm.state or last.memory != alarm.memory
        return is_other or any(decision.fires for decision in self.decisions)

    def fired(self) -> list[Fired]:
        found, state = [], self.alarm.state
        for decision in self.decisions:
            if decision.fires:
                found.append(Fired(self.alarm, state, decision.state, decision.reason, decision.reason_data, None))
            state = decision.state
        return found

    def row(self, now: datetime) -> tuple[Any, ...]:
        """Of the update; the reason is that of the last change."""
        alarm, last, state, reason = self.alarm, self.decisions[-1], self.alarm.state, ""
        for decision in self.decisions:
            if decision.state != state:
                state, reason = decision.state, decision.reason
        memory = json.dumps(last.memory)
        return alarm.id, alarm.version, alarm.state, last.state, reason, memory, now


def _update(chains: Iterable[_Chain], now: datetime) -> set[UUID]:
    rows = [chain.row(now) for chain in chains]
    with connection.cursor() as cursor:
        found = execute_values(cursor.cursor, _UPDATE, rows, template=_TYPES, page_size=_PAGE, fetch=True)
    return {alarm_id for (alarm_id,) in found}


def _record(fired: Sequence[Fired], now: datetime, *, with_repeats: bool) -> list[Fired]:
    """Each with its row of history, where it has one."""
    changes = [
        AlarmChange(
            alarm_id=one.alarm.id,
            type="state transition",
            detail={"state": one.current, "transition_reason": one.reason},
            on_behalf_of=one.alarm.project_id,
            severity=one.alarm.severity,
            recorded_at=now,
        )
        if with_repeats or one.current != one.previous
        else None
        for one in fired
    ]
    AlarmChange.objects.bulk_create([change for change in changes if change], batch_size=5000)
    return [one._replace(change_id=change.id) if change else one for one, change in zip(fired, changes, strict=True)]
