"""Partitions by one or more weeks (Monday to Monday, UTC) of samples, events, ledger and rollups, made by housekeeping alone.

A partition is made as a table of its own and then attached: ATTACH waits for nobody who reads or writes the parent, where
CREATE … PARTITION OF would wait behind every open transaction and make later inserts queue. A CHECK that implies the bounds
spares ATTACH its scan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from django.db import connection, transaction

from metering.messages import Kind, batch_id_at
from metering.models import RetentionClass
from metering.retention import floors
from metering.retention.policy import read_policy

from .alterations import LOCK_TIMEOUT, patiently

__all__ = [
    "EVENTS",
    "LEDGER",
    "ROLLUPS",
    "WEEK",
    "Parent",
    "ensure_ahead",
    "ensure_weeks",
    "list_parents",
    "parents_of",
    "samples_parents",
    "week_of",
]

WEEK = timedelta(days=7)
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEEKS_AHEAD = 2


@dataclass(frozen=True)
class Parent:
    """A table partitioned by range: on which column, how a time becomes a bound of it, the floor that it stands under, and how many
    weeks a partition spans.
    """

    table: str
    column: str
    bound: Callable[[datetime], str]
    subject: str
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


LEDGER = (
    Parent("metering_batch", "id", _id_bound, floors.LEDGER),
    Parent("metering_batchbody", "id", _id_bound, floors.BODIES),
)
EVENTS = (
    Parent("metering_event", "generated_at", _time_bound, floors.EVENTS),
    Parent("metering_eventraw", "generated_at", _time_bound, floors.RAW),
)
# Made when there is something to put into them. Rollups are few beside samples: a partition of them spans more.
ROLLUPS = (
    Parent("metering_rolluphour", "time", _time_bound, floors.ROLLUPS, weeks=4),
    Parent("metering_rollupday", "time", _time_bound, floors.ROLLUPS, weeks=52),
)


def samples_parents() -> tuple[Parent, ...]:
    """The table of each class of samples."""
    names = RetentionClass.objects.order_by("id").values_list("name", flat=True)
    return tuple(Parent(_class_table(name), "timestamp", _time_bound, floors.samples_of(name)) for name in names)


def list_parents() -> tuple[Parent, ...]:
    """Every table that is partitioned by time."""
    return (*samples_parents(), *EVENTS, *LEDGER, *ROLLUPS)


def _class_table(class_name: str) -> str:
    return f"metering_sample_{class_name}"


def parents_of(kind: Kind) -> tuple[Parent, ...]:
    """The tables that batches of this kind are written to, beside the ledger."""
    return EVENTS if kind == "events" else samples_parents()


def week_of(moment: datetime) -> datetime:
    """The Monday 00:00 UTC on which the moment's week begins."""
    return _MONDAY + (moment - _MONDAY) // WEEK * WEEK


def ensure_ahead(now: datetime) -> list[str]:
    """Make the partitions of this week and the next two, of all classes of retention.yaml; return the names of those that were made."""
    RetentionClass.objects.bulk_create(
        [RetentionClass(name=rule.name) for rule in read_policy().classes], ignore_conflicts=True
    )
    first = week_of(now)
    return ensure_weeks(first + number * WEEK for number in range(_WEEKS_AHEAD + 1))


def ensure_weeks(weeks: Iterable[datetime], *, parents: Sequence[Parent] | None = None) -> list[str]:
    """Make what is missing of samples, events and ledger (or of the tables named) for these weeks; return the names of those made.

    What lies below its floor is not made again. The caller holds the lock Job.PARTITIONS. One short transaction for each partition.
    """
    _ensure_classes()
    if parents is None:
        parents = (*samples_parents(), *EVENTS, *LEDGER)
    existing = _existing(parents)
    dropped_before = floors.read_floors().by_subject
    missing = {}
    for moment in sorted(set(weeks)):
        for parent in parents:
            start = parent.start_of(moment)
            name = f"{parent.table}_{start:%Y%m%d}"
            floor = dropped_before.get(parent.subject)
            is_dropped = floor is not None and start + parent.span <= floor
            if name not in existing and not is_dropped:
                missing[name] = parent, start
    for name, (parent, start) in missing.items():
        patiently(partial(_make, parent, name, start))
    return list(missing)


def _existing(parents: Sequence[Parent]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
            " JOIN pg_class parent ON parent.oid = inhparent WHERE parent.relname = ANY(%s)",
            [[parent.table for parent in parents]],
        )
        return {name for (name,) in cursor.fetchall()}


def _ensure_classes() -> None:
    """Make the tables of classes that have none yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, name FROM metering_retentionclass WHERE to_regclass('metering_sample_' || name) IS NULL"
        )
        missing = cursor.fetchall()
    for class_id, class_name in missing:
        patiently(partial(_make_class, class_id, _class_table(class_name)))


def _make_class(class_id: int, table: str) -> None:
    # Class names were checked where retention.yaml was read.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute(
            f"CREATE TABLE {table} (LIKE metering_sample INCLUDING DEFAULTS INCLUDING INDEXES) PARTITION BY RANGE (timestamp)"
        )
        cursor.execute(f"ALTER TABLE metering_sample ATTACH PARTITION {table} FOR VALUES IN ({int(class_id)})")


def _make(parent: Parent, name: str, start: datetime) -> None:
    # Names and bounds are made above from a fixed table and a date: nothing of a user's stands in this SQL.
    low, high = parent.bound(start), parent.bound(start + parent.span)
    check = f"{name}_bounds"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute(
            f"CREATE TABLE {name} (LIKE {parent.table} INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING STORAGE)"
        )
        cursor.execute(
            f"ALTER TABLE {name} ADD CONSTRAINT {check} CHECK ({parent.column} >= '{low}' AND {parent.column} < '{high}')"
        )
        cursor.execute(f"ALTER TABLE {parent.table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')")
        cursor.execute(f"ALTER TABLE {name} DROP CONSTRAINT {check}")
