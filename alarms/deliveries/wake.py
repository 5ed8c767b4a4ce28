"""Telling the server's own role that there is something to tell."""

from __future__ import annotations

import logging
import time

from celery import current_app

__all__ = ["DELIVER_TASK", "wake"]

logger = logging.getLogger(__name__)

DELIVER_TASK = "alarms.deliver"
_EXPIRES_SECONDS = 10
# A broker that is away is left alone for a while: who has planned something need not wait for it each time.
_PAUSE_AFTER_FAILURE_SECONDS = 30.0
_quiet_until = 0.0


def wake() -> None:
    """Ask for deliveries to be looked at now. Only a wake-up: what it misses, the next tick finds."""
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return
    try:
        current_app.send_task(DELIVER_TASK, queue="alarms", expires=_EXPIRES_SECONDS, ignore_result=True, retry=False)
    except Exception as error:  # whatever the broker's library raises
        _quiet_until = time.monotonic() + _PAUSE_AFTER_FAILURE_SECONDS
        logger.warning("deliveries wait for the next tick: %s: %s", type(error).__name__, error)
