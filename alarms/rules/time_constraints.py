"""When an alarm may be evaluated: in one of its windows, each of which opens as cron says and lasts so long (spec 2.1, 6.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

__all__ = ["is_open"]

_SECOND = timedelta(seconds=1)
# OpenStack's alarms let a window open up to a minute early, and its last moment belongs to it; both are kept.
_SLACK = timedelta(seconds=60)


def is_open(constraints: Sequence[Mapping[str, Any]], now: datetime) -> bool:
    """Whether one of the windows is open; always where there is none. A start that never comes opens nothing."""
    if not constraints:
        return True
    return any(_is_open(one["start"], int(one["duration"]), one.get("timezone") or "UTC", now) for one in constraints)


# Many alarms have the same window, and all of a cycle ask at one moment.
@lru_cache(maxsize=1024)
def _is_open(start: str, duration_seconds: int, zone: str, now: datetime) -> bool:
    # Starts are whole seconds. The search for the last one leaves out where it begins.
    local = now.astimezone(ZoneInfo(zone)).replace(microsecond=0)
    last_at = _find(start, local + _SECOND, "get_prev")
    if last_at is not None and now <= last_at + timedelta(seconds=duration_seconds):
        return True
    next_at = _find(start, local, "get_next")
    return next_at is not None and next_at - now < _SLACK


def _find(start: str, moment: datetime, way: str) -> datetime | None:
    """In UTC, where a duration is as long as it is, whatever clocks do meanwhile."""
    try:
        found: datetime = getattr(croniter(start, moment), way)(datetime)
    except CroniterBadDateError:
        return None
    return found.astimezone(UTC)
