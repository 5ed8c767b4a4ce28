"""When the scheduler ticks: due times lie on the grid of the interval's multiples, whoever computes them."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from celery.beat import BeatLazyFunc
from celery.schedules import schedstate, schedule
from django.conf import settings

from agents.polling import Source, due_at

__all__ = ["Grid", "housekeeping_schedule", "polling_schedule"]

_HOUSEKEEPING_SECONDS = 60
_ROLLING_SECONDS = 20
_INDEXES_SECONDS = 600
_DELIVERIES_SECONDS = 2
_EVENTS_SECONDS = 5


class Grid(schedule):
    """Due at every multiple of ``seconds`` since 1970, not at multiples since the scheduler's start."""

    def __init__(self, seconds: int, **options: Any) -> None:
        self.interval_seconds = seconds
        super().__init__(run_every=seconds, **options)

    def is_due(self, last_run_at: datetime) -> schedstate:
        now = self.now().timestamp()
        point = now - now % self.interval_seconds
        return schedstate(is_due=last_run_at.timestamp() < point, next=point + self.interval_seconds - now)

    def __reduce__(self) -> tuple[type[Grid], tuple[int]]:
        return type(self), (self.interval_seconds,)


def polling_schedule(sources: list[Source]) -> dict[str, dict[str, Any]]:
    """A tick per source, naming its due time; it expires before the next, so a node that was away does not catch up on old ones."""
    return {
        f"poll {source.name}": {
            "task": "agents.poll",
            "schedule": Grid(source.interval_seconds),
            "args": (source.name, BeatLazyFunc(_due_now, source.interval_seconds)),
            "options": {"queue": source.queue, "expires": source.interval_seconds, "ignore_result": True},
        }
        for source in sources
    }


def _due_now(interval_seconds: int) -> int:
    return due_at(time.time(), interval_seconds=interval_seconds)


def housekeeping_schedule() -> dict[str, dict[str, Any]]:
    """The server side's own clock."""
    return {
        "housekeeping": {
            "task": "metering.housekeep",
            "schedule": Grid(_HOUSEKEEPING_SECONDS),
            "options": {"queue": "store", "expires": _HOUSEKEEPING_SECONDS, "ignore_result": True},
        },
        "rollups": {
            "task": "metering.roll",
            "schedule": Grid(_ROLLING_SECONDS),
            "options": {"queue": "store", "expires": _ROLLING_SECONDS, "ignore_result": True},
        },
        "indexes": {
            "task": "metering.rebuild_indexes",
            "schedule": Grid(_INDEXES_SECONDS),
            "options": {"queue": "store", "expires": _INDEXES_SECONDS, "ignore_result": True},
        },
        "deliveries": {
            "task": "alarms.deliver",
            "schedule": Grid(_DELIVERIES_SECONDS),
            "options": {"queue": "alarms", "expires": _DELIVERIES_SECONDS, "ignore_result": True},
        },
        "alarms": {
            "task": "alarms.evaluate",
            "schedule": Grid(settings.CELOMETER_EVALUATION_INTERVAL),
            "options": {"queue": "alarms", "expires": settings.CELOMETER_EVALUATION_INTERVAL, "ignore_result": True},
        },
        "event alarms": {
            "task": "alarms.evaluate_events",
            "schedule": Grid(_EVENTS_SECONDS),
            "options": {"queue": "alarms", "expires": _EVENTS_SECONDS, "ignore_result": True},
        },
    }
