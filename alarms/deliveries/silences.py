"""Which alarms tell nobody just now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import datetime
from fnmatch import fnmatchcase

from alarms.models import Alarm, Silence

__all__ = ["silences_of"]


def silences_of(project_ids: Collection[str], now: datetime) -> Callable[[Alarm], bool]:
    """Whether an alarm of these projects is silenced now, as a function of the alarm; one question to the store."""
    by_project: dict[str, list[Silence]] = defaultdict(list)
    for silence in Silence.objects.filter(project_id__in=project_ids, starts_at__lte=now, ends_at__gt=now):
        by_project[silence.project_id].append(silence)
    return lambda alarm: any(_fits(silence, alarm) for silence in by_project[alarm.project_id])


def _fits(silence: Silence, alarm: Alarm) -> bool:
    return (
        silence.alarm_id in (None, alarm.id)
        and (not silence.name or fnmatchcase(alarm.name, silence.name))
        and silence.severity in (None, alarm.severity)
    )
