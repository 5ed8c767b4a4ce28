"""The doorway of deliveries: the tick and the wake-up on the server's own broker, and the notifiers' reports on the shared one."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import current_app, shared_task
from celery.exceptions import Reject
from django.conf import settings
from django.utils import timezone
from kombu import Connection
from kombu.exceptions import OperationalError

from alarms.notifiers.contract import NOTIFY_TASK, REPORT_TASK, BadReport, Outcome
from metering.collector.availability import waiting_for_store
from metering.collector.errors import StoreAway

from .leases import Leased, lease_due
from .reports import report
from .signing import secrets_of, sign
from .wake import DELIVER_TASK

__all__ = ["deliver", "take_report"]

logger = logging.getLogger(__name__)

_NOTIFIER_QUEUE = "notifier"
# Twice what may be with notifiers at one time.
_MOST_WAITING = 512
# What a notifier has not begun by then it leaves: it would not be done before the lease ends.
_ATTEMPT_SECONDS = 15
_MOST_SECONDS = 5.0
# A broker that neither answers nor refuses holds up nothing else for long: these are Redis's and RabbitMQ's names for one bound.
_BROKER_SECONDS = 3
_BROKER_OPTIONS = dict.fromkeys(("socket_timeout", "read_timeout", "write_timeout"), _BROKER_SECONDS)
_STORE_AWAY_SECONDS = 1.0
# Not after each report: looking takes half of the time at most.
_look_again_at = 0.0


@shared_task(name=DELIVER_TASK, ignore_result=True)
def deliver() -> None:
    """Hand what is due to the notifiers. Bounded: the next tick goes on where this one stops."""
    try:
        _send_due()
    except StoreAway as error:
        logger.warning("deliveries wait for the next tick: %s", error)


@shared_task(name=REPORT_TASK, ignore_result=True)
def take_report(delivery_id: str, number: int, token: str, outcome: dict[str, Any]) -> None:
    """What a notifier says of an attempt. While the store is away the broker has it back; then look for what may follow."""
    try:
        told = UUID(delivery_id), int(number), str(token), Outcome.from_json(outcome)
    except (BadReport, ValueError, TypeError, AttributeError) as error:
        logger.warning("dropped a report: %s", error)
        return
    try:
        with waiting_for_store():
            is_new = report(*told, timezone.now())
        if is_new and time.monotonic() >= _look_again_at:
            _send_due()
    except StoreAway as error:
        logger.warning("a report waits for the store: %s", error)
        time.sleep(_STORE_AWAY_SECONDS)
        raise Reject(str(error), requeue=True) from error


def _send_due() -> None:
    global _look_again_at
    begun = time.monotonic()
    try:
        _send_while_due()
    finally:
        _look_again_at = 2 * time.monotonic() - begun


def _send_while_due() -> None:
    """Only once the broker answers is anything leased: while it is away nothing is, and afterwards everything is due at once."""
    with current_app.connection_for_write(
        settings.CELOMETER_BROKER_URL, connect_timeout=_BROKER_SECONDS, transport_options=_BROKER_OPTIONS
    ) as broker:
        try:
            broker.ensure_connection(max_retries=1, timeout=_BROKER_SECONDS)
            if _waiting_attempts(broker) >= _MOST_WAITING:
                logger.warning("deliveries wait: no notifier takes the attempts that lie on the broker")
                return
            stop_at = time.monotonic() + _MOST_SECONDS
            while time.monotonic() < stop_at:
                with waiting_for_store():
                    leased = lease_due(timezone.now())
                    known = secrets_of({one.project_id for one in leased}) if leased else {}
                if not leased:
                    return
                for one in leased:
                    _send(one, secret=known[one.project_id], broker=broker)
        except (OperationalError, *broker.recoverable_connection_errors) as error:
            logger.warning("deliveries wait: the broker of the notifiers is away: %s", error)


def _waiting_attempts(broker: Connection) -> int:
    """How many attempts nobody has taken from the broker. Without a notifier they would pile up there, lease by lease."""
    with broker.channel() as channel:
        try:
            return int(channel.queue_declare(_NOTIFIER_QUEUE, passive=True).message_count)
        except broker.channel_errors:
            # There is no such queue yet, or, on Redis, nothing in it.
            return 0


def _send(one: Leased, *, secret: str, broker: Connection) -> None:
    """Publish one attempt that has all that it needs. What is not sent is due again when its lease ends."""
    now = timezone.now()
    headers = sign(one.delivery_id, one.body.encode(), secret=secret, now=now)
    headers["x-openstack-request-id"] = f"req-{one.delivery_id}"
    current_app.send_task(
        NOTIFY_TASK,
        args=(str(one.delivery_id), one.number, one.token, one.url, one.body, headers),
        argsrepr="an attempt",
        queue=_NOTIFIER_QUEUE,
        expires=one.leased_until - timedelta(seconds=_ATTEMPT_SECONDS),
        ignore_result=True,
        retry=False,
        connection=broker,
        mandatory=True,
    )
