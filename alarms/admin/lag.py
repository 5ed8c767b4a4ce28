"""Whether evaluators keep up: which alarms are due and have not been looked at."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import Count, Min, QuerySet

from alarms.models import Alarm, Schedule

__all__ = ["Lag", "find_lag", "lag_of", "overdue_alarms", "show_duration"]


class Lag(NamedTuple):
    """``count`` alarms are overdue, the oldest of them by so much."""

    count: int
    longest: timedelta


def overdue_alarms(now: datetime) -> QuerySet[Alarm]:
    """Those that were due a whole cycle ago."""
    return Alarm.objects.filter(enabled=True, schedule__due_at__lt=_limit(now)).exclude(type="event")


def find_lag(now: datetime) -> Lag:
    overdue = Schedule.objects.filter(due_at__lt=_limit(now), alarm__enabled=True).exclude(alarm__type="event")
    found = overdue.aggregate(count=Count("pk"), oldest=Min("due_at"))
    return Lag(found["count"], now - found["oldest"] if found["oldest"] else timedelta())


def lag_of(alarm: Alarm, now: datetime) -> timedelta | None:
    """How long ago it was due; None where it is not, or where no clock evaluates it."""
    schedule = getattr(alarm, "schedule", None)
    if schedule is None or not alarm.enabled or alarm.type == "event" or schedule.due_at >= now:
        return None
    lag: timedelta = now - schedule.due_at
    return lag


def show_duration(length: timedelta) -> str:
    """In the largest two units, such as ``2 h 5 min``."""
    seconds = int(length.total_seconds())
    units = ((seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    first = next((place for place, (number, _) in enumerate(units) if number), 3)
    return " ".join(f"{number} {unit}" for number, unit in units[first : first + 2] if number) or "0 s"


def _limit(now: datetime) -> datetime:
    return now - timedelta(seconds=settings.CELOMETER_EVALUATION_INTERVAL)
