"""The evaluators' doorway from the broker: ticks, wake-ups, and what a task has left to the next."""

from __future__ import annotations

import logging

from celery import shared_task
from django.utils import timezone

from metering.collector.availability import waiting_for_store
from metering.collector.errors import StoreAway, StoreRefused

from .cycle import evaluate_due
from .event_cycle import evaluate_events
from .wake import EVALUATE_TASK, EVENTS_TASK, ask_for_more

__all__ = ["evaluate", "look_at_events"]

logger = logging.getLogger(__name__)


@shared_task(name=EVALUATE_TASK, ignore_result=True)
def evaluate() -> None:
    """Alarms that are due. Bounded: where some are left, another task goes on, here or at another evaluator."""
    try:
        with waiting_for_store():
            evaluated = evaluate_due(timezone.now())
    except (StoreAway, StoreRefused) as error:
        logger.warning("alarms wait for the next tick: %s", error)
        return
    if not evaluated.is_done:
        ask_for_more(EVALUATE_TASK)


@shared_task(name=EVENTS_TASK, ignore_result=True)
def look_at_events() -> None:
    """Events that have come."""
    try:
        with waiting_for_store():
            is_done = evaluate_events(timezone.now())
    except (StoreAway, StoreRefused) as error:
        logger.warning("event alarms wait for the next tick: %s", error)
        return
    if not is_done:
        ask_for_more(EVENTS_TASK)
