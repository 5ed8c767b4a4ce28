"""Which hours and days are made anew, and when: what a late batch has touched, once the hour or day is over.

The running hour is left alone, it would be made again with every batch: its samples are few, and answers read them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import connection

from metering.collector.availability import waiting_for_store
from metering.rollups.recompute import recompute_day, recompute_hour

from .locks import Job, Part, holding, holding_part
from .partitions import ROLLUPS, ensure_weeks

__all__ = ["Rolled", "keep_rollups"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Short, for what else waits in the queue; the next run goes on.
_SECONDS_PER_RUN = 8.0

_MARKED_HOURS = """
SELECT hour, array_agg(DISTINCT meter_id) FROM metering_rollupmark WHERE hour < %s GROUP BY hour ORDER BY hour DESC
"""
_MARKED_DAYS = """
SELECT day, array_agg(DISTINCT meter_id) FROM metering_rollupdaymark d WHERE day < %s AND NOT EXISTS (
    SELECT FROM metering_rollupmark k WHERE k.meter_id = d.meter_id AND k.hour >= d.day AND k.hour < d.day + interval '24 hours')
GROUP BY day ORDER BY day DESC
"""


class Rolled(NamedTuple):
    """How many hours and days a run made anew, and whether it left some to the next one."""

    hours: int
    days: int
    is_done: bool


class _Size(NamedTuple):
    """One size of rollup: how its marks are found, how long it is, which lock it takes and how it is made."""

    marked: str
    length: timedelta
    part: Part
    recompute: Callable[[datetime, Sequence[int]], bool]


_HOURS = _Size(_MARKED_HOURS, timedelta(hours=1), Part.ROLLUP_HOUR, recompute_hour)
_DAYS = _Size(_MARKED_DAYS, timedelta(days=1), Part.ROLLUP_DAY, recompute_day)


def keep_rollups(now: datetime, *, seconds: float = _SECONDS_PER_RUN) -> Rolled:
    """Make marked hours, then days whose hours are done, the newest first, for about so long. Several may run at once. Raises StoreAway."""
    deadline = time.monotonic() + seconds
    with waiting_for_store():
        hours = [*_recompute_marked(_HOURS, now, deadline)]
        days = [*_recompute_marked(_DAYS, now, deadline)]
    return Rolled(sum(hours), sum(days), is_done=time.monotonic() < deadline)


def _recompute_marked(size: _Size, now: datetime, deadline: float) -> Iterator[bool]:
    """Whether each that was tried was made: another session may have it in hand."""
    running = _EPOCH + (now - _EPOCH) // size.length * size.length
    with connection.cursor() as cursor:
        cursor.execute(size.marked, [running])
        marked = cursor.fetchall()
    if marked and not _make_room([start for start, _ in marked]):
        return
    for start, meters in marked:
        if time.monotonic() > deadline:
            return
        with holding_part(size.part, (start - _EPOCH) // size.length) as mine:
            yield mine and size.recompute(start, meters)


def _make_room(times: Sequence[datetime]) -> bool:
    with holding(Job.PARTITIONS) as mine:
        if mine:
            ensure_weeks(times, parents=ROLLUPS)
        return mine
