"""Partitions by one or more weeks (Monday to Monday, UTC), made by housekeeping alone.

A partition is made as a table of its own and then attached: ATTACH waits for nobody who reads or writes the parent, where
CREATE … PARTITION OF would wait behind every open transaction and make later inserts queue. A CHECK that implies the bounds
spares ATTACH its scan.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import OperationalError, connection, transaction

from metering.messages import batch_id_at

__all__ = ["LEDGER", "ROLLUPS", "SAMPLES", "WEEK", "ensure_ahead", "ensure_weeks", "week_of"]

WEEK = timedelta(days=7)
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEEKS_AHEAD = 2
_LOCK_TIMEOUT = "2s"
_ATTEMPTS = 5


@dataclass(frozen=True)
class _Parent:
    """A table partitioned by range: on which column, how a time becomes a bound of it, how many weeks a partition spans."""

    table: str
    column: str
    bound: Callable[[datetime], str]
    weeks: int = 1

    @property
    def span(self) -> timedelta:
        return self.weeks * WEEK

    def start_of(self, moment: datetime) -> datetime:
        """When the partition that the moment falls in begins."""
        return _MONDAY + (moment - _MONDAY) // self.span * self.span


def _time_bound(moment: datetime) -> str:
    return moment.isoformat()


def _id_bound(moment: datetime) -> str:
    return str(batch_id_at((moment - _EPOCH) // timedelta(microseconds=1)))


SAMPLES = (_Parent("metering_sample_standard", "timestamp", _time_bound),)
LEDGER = (_Parent("metering_batch", "id", _id_bound), _Parent("metering_batchbody", "id", _id_bound))
_PARENTS = (*SAMPLES, *LEDGER)
# Made when there is something to put into them. Rollups are few beside samples: a partition of them spans more.
ROLLUPS = (
    _Parent("metering_rolluphour", "time", _time_bound, weeks=4),
    _Parent("metering_rollupday", "time", _time_bound, weeks=52),
)


def week_of(moment: datetime) -> datetime:
    """The Monday 00:00 UTC on which the moment's week begins."""
    return _MONDAY + (moment - _MONDAY) // WEEK * WEEK


def ensure_ahead(now: datetime) -> list[str]:
    """Make the partitions of this week and the next two; return the names of those that were made."""
    first = week_of(now)
    return ensure_weeks(first + number * WEEK for number in range(_WEEKS_AHEAD + 1))


def ensure_weeks(weeks: Iterable[datetime], *, parents: Sequence[_Parent] = _PARENTS) -> list[str]:
    """Make what is missing of the partitioned tables for these weeks; return the names of those that were made.

    The caller holds the lock Job.PARTITIONS. One short transaction for each partition.
    """
    existing = _existing(parents)
    missing = {}
    for moment in sorted(set(weeks)):
        for parent in parents:
            start = parent.start_of(moment)
            name = f"{parent.table}_{start:%Y%m%d}"
            if name not in existing:
                missing[name] = parent, start
    for name, (parent, start) in missing.items():
        _make_patiently(parent, name, start)
    return list(missing)


def _existing(parents: Sequence[_Parent]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
            " JOIN pg_class parent ON parent.oid = inhparent WHERE parent.relname = ANY(%s)",
            [[parent.table for parent in parents]],
        )
        return {name for (name,) in cursor.fetchall()}


def _make_patiently(parent: _Parent, name: str, start: datetime) -> None:
    """A lock is waited for briefly and asked for again: whoever waits for it makes others wait, too."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _make(parent, name, start)
            return
        except OperationalError as error:
            if getattr(error.__cause__, "pgcode", None) != "55P03" or attempt == _ATTEMPTS:
                raise
            time.sleep(0.1 * attempt)


def _make(parent: _Parent, name: str, start: datetime) -> None:
    # Names and bounds are made above from a fixed table and a date: nothing of a user's stands in this SQL.
    low, high = parent.bound(start), parent.bound(start + parent.span)
    check = f"{name}_bounds"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        cursor.execute(
            f"CREATE TABLE {name} (LIKE {parent.table} INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING STORAGE)"
        )
        cursor.execute(
            f"ALTER TABLE {name} ADD CONSTRAINT {check} CHECK ({parent.column} >= '{low}' AND {parent.column} < '{high}')"
        )
        cursor.execute(f"ALTER TABLE {parent.table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')")
        cursor.execute(f"ALTER TABLE {name} DROP CONSTRAINT {check}")
