"""Telling the server's own role that there is something to tell."""

from __future__ import annotations

import logging

from celery import current_app

__all__ = ["DELIVER_TASK", "wake"]

logger = logging.getLogger(__name__)

DELIVER_TASK = "alarms.deliver"
_EXPIRES_SECONDS = 10


def wake() -> None:
    """Ask for deliveries to be looked at now. Only a wake-up: what it misses, the next tick finds."""
    try:
        current_app.send_task(DELIVER_TASK, queue="alarms", expires=_EXPIRES_SECONDS, ignore_result=True, retry=False)
    except Exception as error:
        logger.warning("deliveries wait for the next tick: %s: %s", type(error).__name__, error)
