"""Telling the evaluators that there is something to look at. Only wake-ups: what they miss, the next tick finds."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import current_app

__all__ = ["EVALUATE_TASK", "EVENTS_TASK", "ask_for_more", "wake"]

logger = logging.getLogger(__name__)

EVALUATE_TASK = "alarms.evaluate"
EVENTS_TASK = "alarms.evaluate_events"
_EXPIRES_SECONDS = 10
# Batches that come in quick succession are looked at together, and a broker that is away is left alone for a while.
_PAUSE_SECONDS = 0.25
_PAUSE_AFTER_FAILURE_SECONDS = 30.0
_quiet_until = 0.0


def wake(**_: Any) -> None:
    """Events have come."""
    global _quiet_until
    now = time.monotonic()
    if now < _quiet_until:
        return
    _quiet_until = now + (_PAUSE_SECONDS if _send(EVENTS_TASK) else _PAUSE_AFTER_FAILURE_SECONDS)


def ask_for_more(task: str) -> None:
    """A task has stopped at its bound."""
    _send(task)


def _send(task: str) -> bool:
    try:
        current_app.send_task(task, queue="alarms", expires=_EXPIRES_SECONDS, ignore_result=True, retry=False)
    except Exception as error:  # whatever the broker's library raises
        logger.warning("alarms wait for the next tick: %s: %s", type(error).__name__, error)
        return False
    return True
