"""What an alarm's owner can do about a delivery that failed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from alarms.models import Delivery, DeliveryState, DisabledAction

from .schedule import GIVE_UP_AFTER
from .wake import wake

__all__ = ["enable_action", "enable_actions", "send_again"]


def send_again(delivery_id: UUID, now: datetime) -> bool:
    """Tell a delivery that has ended once more, with the same id and body and all its attempts; False while it is still open or unknown.

    A URL that was disabled is enabled by this.
    """
    with transaction.atomic():
        delivery = Delivery.objects.select_for_update().filter(pk=delivery_id, ended_at__isnull=False).first()
        if delivery is None:
            return False
        enable_action(delivery.alarm_id, delivery.url)
        delivery.state = DeliveryState.WAITING
        delivery.ended_at = None
        delivery.failure_count = 0
        delivery.due_at = now
        delivery.give_up_at = now + GIVE_UP_AFTER
        delivery.save(update_fields=["state", "ended_at", "failure_count", "due_at", "give_up_at"])
        transaction.on_commit(wake, robust=True)
    return True


def enable_action(alarm_id: UUID, url: str) -> bool:
    """Let the alarm tell this URL again; False where it was not disabled."""
    return DisabledAction.objects.filter(alarm_id=alarm_id, url=url).delete()[0] > 0


def enable_actions(alarm_id: UUID) -> list[str]:
    """Let the alarm tell all its URLs again; returns those that were disabled."""
    disabled = DisabledAction.objects.filter(alarm_id=alarm_id)
    urls = sorted(disabled.values_list("url", flat=True))
    if urls:
        disabled.filter(url__in=urls).delete()
    return urls
