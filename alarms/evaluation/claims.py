"""Which alarms an evaluator may decide about, for a while: those that are due and that no other has claimed.

A claim ends by itself, so an evaluator that dies delays its alarms by one cycle at most. Its end is also its proof: only who still holds
the claim may write (``writing``), however late an evaluator wakes up.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from alarms.models import Alarm

__all__ = ["CLAIM_SECONDS", "Claim", "claim_due", "give_back", "next_due_at", "put_off", "schedule_missing"]

# Longer than any batch may take; an evaluator that died is missed by then.
CLAIM_SECONDS = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MISSING = """
INSERT INTO alarms_schedule (alarm_id, due_at)
SELECT a.id, %s FROM alarms_alarm a
WHERE a.enabled AND a.type <> 'event' AND NOT EXISTS (SELECT FROM alarms_schedule s WHERE s.alarm_id = a.id)
ON CONFLICT DO NOTHING
"""
_CLAIM = """
UPDATE alarms_schedule s SET claimed_until = %s
FROM (
    SELECT s.alarm_id FROM alarms_schedule s JOIN alarms_alarm a ON a.id = s.alarm_id
    WHERE s.due_at <= %s AND (s.claimed_until IS NULL OR s.claimed_until <= %s) AND a.enabled AND a.type <> 'event'
    ORDER BY s.due_at, a.type = 'combination', s.alarm_id LIMIT %s FOR UPDATE OF s SKIP LOCKED
) due WHERE s.alarm_id = due.alarm_id RETURNING s.alarm_id
"""
_PUT_OFF = """
UPDATE alarms_schedule SET due_at = %s, claimed_until = NULL, evaluated_at = %s
WHERE claimed_until = %s AND alarm_id IN (
    SELECT alarm_id FROM alarms_schedule WHERE alarm_id = ANY(%s) ORDER BY alarm_id FOR UPDATE)
RETURNING alarm_id
"""
_GIVE_BACK = """
UPDATE alarms_schedule SET claimed_until = NULL WHERE claimed_until = %s AND alarm_id IN (
    SELECT alarm_id FROM alarms_schedule WHERE alarm_id = ANY(%s) ORDER BY alarm_id FOR UPDATE)
"""


class Claim(NamedTuple):
    """Alarms that this evaluator alone decides about ``until`` then."""

    alarms: list[Alarm]
    until: datetime


def schedule_missing(now: datetime) -> None:
    """Alarms that have never been scheduled are due now."""
    with connection.cursor() as cursor:
        cursor.execute(_MISSING, [now])


def claim_due(now: datetime, *, most: int) -> Claim:
    """Claim so many of the alarms that are due, those that have waited longest first. Committed when this returns."""
    until = now + timedelta(seconds=CLAIM_SECONDS)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, [until, now, now, most])
        claimed = [alarm_id for (alarm_id,) in cursor.fetchall()]
    # Read after the claim: of an alarm that was edited before, this is the edited one.
    return Claim(list(Alarm.objects.filter(id__in=claimed).order_by()), until)


def put_off(alarm_ids: Iterable[UUID], claim_until: datetime, *, now: datetime) -> set[UUID]:
    """Give the alarms back until the next cycle; those of them that were still claimed by this claim. In the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_PUT_OFF, [next_due_at(now), now, claim_until, list(alarm_ids)])
        return {alarm_id for (alarm_id,) in cursor.fetchall()}


def give_back(alarm_ids: Iterable[UUID], claim_until: datetime) -> None:
    """End the claim on alarms that stay due: whoever claims next has them."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, [claim_until, list(alarm_ids)])


def next_due_at(now: datetime) -> datetime:
    """The next point of the grid of cycles."""
    length = timedelta(seconds=settings.CELOMETER_EVALUATION_INTERVAL)
    return _EPOCH + ((now - _EPOCH) // length + 1) * length
