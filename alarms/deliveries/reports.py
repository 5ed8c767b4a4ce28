"""What came of an attempt, and what follows from it."""

from __future__ import annotations

import hmac
import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from alarms.models import Alarm, AlarmChange, Attempt, Delivery, DeliveryState, DisabledAction
from alarms.notifiers.contract import Outcome

from .schedule import next_due_at

__all__ = ["report"]

logger = logging.getLogger(__name__)


def report(delivery_id: UUID, number: int, token: str, outcome: Outcome, now: datetime) -> bool:
    """Take the report on an attempt; False, and nothing is changed, when it is not the one and only report of who was given the attempt.

    A report that comes after its lease still counts: a message that was told is not told again. A late failure changes nothing but the
    record where a newer attempt is under way.
    """
    with transaction.atomic():
        delivery = Delivery.objects.select_for_update().filter(pk=delivery_id).first()
        attempt = Attempt.objects.filter(delivery_id=delivery_id, number=number).first()
        if delivery is None or attempt is None or not hmac.compare_digest(attempt.token.encode(), token.encode()):
            logger.warning("a report on an attempt that was never made: delivery %s, attempt %s", delivery_id, number)
            return False
        if attempt.ended_at is not None:
            return False
        _record(attempt, outcome, now)
        if delivery.ended_at is None:
            _go_on(delivery, outcome, now, is_newest=number == delivery.attempt_count)
    return True


def _record(attempt: Attempt, outcome: Outcome, now: datetime) -> None:
    attempt.ended_at = now
    attempt.status = outcome.status
    attempt.duration_ms = outcome.duration_ms
    attempt.outcome = outcome.text
    attempt.save(update_fields=["ended_at", "status", "duration_ms", "outcome"])


def _go_on(delivery: Delivery, outcome: Outcome, now: datetime, *, is_newest: bool) -> None:
    if outcome.kind == "delivered":
        _end(delivery, DeliveryState.DELIVERED, now)
    elif outcome.kind == "gone":
        _end(delivery, DeliveryState.FAILED, now)
        _disable(delivery, outcome.text, now)
    elif outcome.kind == "impossible":
        _end(delivery, DeliveryState.FAILED, now)
    elif is_newest:
        _try_again(delivery, outcome, now)


def _end(delivery: Delivery, state: DeliveryState, now: datetime) -> None:
    delivery.state = state
    delivery.ended_at = now
    delivery.leased_until = None
    delivery.lost_count = 0
    delivery.save(update_fields=["state", "ended_at", "leased_until", "lost_count", "failure_count"])


def _try_again(delivery: Delivery, outcome: Outcome, now: datetime) -> None:
    delivery.failure_count += 1
    retry_after = outcome.retry_after_seconds
    due_at = next_due_at(
        now,
        failure_count=delivery.failure_count,
        give_up_at=delivery.give_up_at,
        retry_after=None if retry_after is None else timedelta(seconds=retry_after),
    )
    if due_at is None:
        _end(delivery, DeliveryState.FAILED, now)
        return
    delivery.state = DeliveryState.WAITING
    delivery.due_at = due_at
    delivery.leased_until = None
    delivery.lost_count = 0
    delivery.save(update_fields=["state", "due_at", "leased_until", "lost_count", "failure_count"])


def _disable(delivery: Delivery, reason: str, now: datetime) -> None:
    """The receiver is gone: nothing more of this alarm goes there, and its history says why."""
    _, is_new = DisabledAction.objects.get_or_create(
        alarm_id=delivery.alarm_id, url=delivery.url, defaults={"reason": reason, "disabled_at": now}
    )
    Delivery.objects.filter(alarm_id=delivery.alarm_id, url=delivery.url, ended_at=None).update(
        state=DeliveryState.FAILED, ended_at=now, leased_until=None
    )
    if is_new:
        alarm = Alarm.objects.filter(pk=delivery.alarm_id).first()
        AlarmChange.objects.create(
            alarm_id=delivery.alarm_id,
            type="action disabled",
            detail={"url": delivery.url, "reason": reason},
            on_behalf_of=delivery.project_id,
            severity=alarm and alarm.severity,
            recorded_at=now,
        )
