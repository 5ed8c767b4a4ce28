"""The notifiers' doorway from the broker.

An attempt is acknowledged when it has begun. That is safe here and nowhere else: the store's lease makes sure that an attempt which nobody
reports on is made again, and a second delivery by the broker would only tell the receiver twice.
"""

from __future__ import annotations

import logging
import time

from celery import current_app, shared_task

from .attempts import Attempts
from .contract import NOTIFY_TASK, REPORT_TASK, Message, Outcome

__all__ = ["finish", "notify"]

logger = logging.getLogger(__name__)

_REPORT_QUEUE = "reports"
_TRIES = 5
_PAUSE_SECONDS = 1.0
_attempts: list[Attempts] = []


@shared_task(name=NOTIFY_TASK, ignore_result=True)
def notify(delivery_id: str, number: int, token: str, url: str, body: str, headers: dict[str, str]) -> None:
    """Make one attempt of a delivery and report on it. Waits only for a place."""
    message = Message(str(url), str(body).encode(), {str(name): str(value) for name, value in headers.items()})
    if not _attempts:
        _attempts.append(Attempts())
    _attempts[0].start(message, lambda outcome: _report(str(delivery_id), int(number), str(token), outcome))


def finish() -> None:
    """Wait for the attempts that were begun, and their reports."""
    while _attempts:
        _attempts.pop().finish()


def _report(delivery_id: str, number: int, token: str, outcome: Outcome) -> None:
    """Send what came of it; while the broker is away a few times. What is not reported is told again when the lease ends."""
    for remaining in reversed(range(_TRIES)):
        try:
            current_app.send_task(
                REPORT_TASK,
                args=(delivery_id, number, token, outcome._asdict()),
                argsrepr="a report",
                queue=_REPORT_QUEUE,
                ignore_result=True,
                retry=False,
                mandatory=True,
            )
            return
        except Exception as error:
            logger.warning("attempt %s of delivery %s is not reported: %s", number, delivery_id, error)
            if remaining:
                time.sleep(_PAUSE_SECONDS)
