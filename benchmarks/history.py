"""A store with a past: weeks of samples of many resources, written by SQL in bulk, and the rollups that housekeeping makes of them.

Rows are those that a collector would have written, but for the ledger's headers: nothing here audits them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from benchmarks.fleet import seal_fleet
from metering.collector.dimensions import DimensionIds, Dimensions
from metering.housekeeping.catalogue import list_partitions
from metering.housekeeping.partitions import WEEK, ensure_ahead, ensure_weeks, list_parents, week_of
from metering.housekeeping.rolling import keep_rollups
from metering.messages import Body, PrivateKey, open_body
from metering.models import DimensionSet, Meter, Resource, ResourceState, RollupDayMark, RollupMark, Series

__all__ = ["DENSE", "METERS", "SPARSE", "History", "load_history"]

# Polled twelve times an hour; this one and eight more ten times less often.
DENSE, SPARSE = "cpu", "memory"
_DENSE_SECONDS, _SPARSE_SECONDS = 300, 3000
METERS = 10
# So many polls are written by one statement.
_POLLS = 288
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# A poll of one meter over all resources is a batch: its id is the time in milliseconds, the meter, and zeros for the positions.
_POLL = """
WITH poll AS (
    SELECT at, number,
           lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(%(meter)s), 7, '0') AS head
    FROM (SELECT generate_series(%(first)s, %(last)s) AS number) n
    CROSS JOIN LATERAL (SELECT to_timestamp(number * %(seconds)s::bigint) + interval '1234 microseconds' AS at) t
)"""
# Counters that grow by an uneven step and begin again after a week, each resource at another time.
_SAMPLES = f"""{_POLL}
INSERT INTO metering_sample (timestamp, meter_id, retention_class, resource_id, state_id, id, volume)
SELECT poll.at, %(meter)s, 0, thing.id, thing.state_id, (poll.head || lpad(to_hex(thing.position), 5, '0'))::uuid,
       (poll.number + 37 * thing.position) %% %(reset)s * 29999000777 + thing.id
FROM poll CROSS JOIN unnest(%(resources)s::int[], %(states)s::int[], %(positions)s::int[]) AS thing(id, state_id, position)
"""
_MARKS = f"""{_POLL}
INSERT INTO metering_rollupmark (hour, meter_id, batch_id)
SELECT date_trunc('hour', at, 'UTC'), %(meter)s, (head || '00000')::uuid FROM poll
"""
_LEDGER = f"""{_POLL}
INSERT INTO metering_batch (id, key_id, source, stream, sequence, previous_digest, header_digest, header, signature, due_at, made_at,
                            recorded_at, sample_count, stored_count, first_sample_at, last_sample_at)
SELECT (head || '00000')::uuid, 0, 'compute', gen_random_uuid(), number, '', '', '', '', at, at, at,
       cardinality(%(resources)s), cardinality(%(resources)s), at, at FROM poll
"""


@dataclass(frozen=True)
class History:
    """What was loaded: samples of ten meters of so many resources, from ``start_at`` up to and without ``end_at``."""

    resources: int
    start_at: datetime
    end_at: datetime
    samples: int


def load_history(resources: int, days: int) -> History:
    """Fill a migrated, empty store with so many days up to now, rolled up and vacuumed."""
    end_at = timezone.now().replace(second=0, microsecond=0)
    end_at -= timedelta(minutes=end_at.minute % 5)
    start_at = end_at - timedelta(days=days)
    ensure_ahead(end_at)
    ensure_weeks(week_of(start_at) + number * WEEK for number in range(days // 7 + 2))
    body, ids = _make_dimensions(resources)
    things = {"resources": ids.resources, "states": ids.states, "positions": list(range(resources))}
    samples = 0
    with connection.cursor() as cursor:
        # A store for measuring may be lost with the machine: its commits need not wait for the disk.
        cursor.execute("SET synchronous_commit = off")
        for meter, meter_id in zip(body.meters, ids.meters, strict=True):
            seconds = _DENSE_SECONDS if meter.name == DENSE else _SPARSE_SECONDS
            polls = range(-(-_seconds(start_at) // seconds), -(-_seconds(end_at) // seconds))
            _write(cursor, things | {"meter": meter_id, "seconds": seconds}, polls)
            samples += resources * len(polls)
        keep_rollups(end_at, seconds=3600)
        cursor.execute("RESET synchronous_commit")
    _vacuum()
    return History(resources, start_at, end_at, samples)


def _make_dimensions(resources: int) -> tuple[Body, DimensionIds]:
    """The rows of the small tables, as a collector makes them of a fleet's first batch."""
    (sealed,) = seal_fleet(batches=1, samples_per_batch=resources * METERS, key=PrivateKey.generate(), agent="history")
    body = open_body(sealed)
    return body, Dimensions().resolve(body)


def _write(cursor: CursorWrapper, values: dict[str, Any], polls: range) -> None:
    week = 7 * 86_400
    values["reset"] = week // values["seconds"]
    for first in range(polls.start, polls.stop, _POLLS):
        values |= {"first": first, "last": min(first + _POLLS, polls.stop) - 1}
        for statement in (_SAMPLES, _MARKS, _LEDGER):
            cursor.execute(statement, values)


def _seconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1)


def _vacuum() -> None:
    """What autovacuum does sooner or later, partition by partition: it would do it while we measure."""
    tables = [partition.name for partition in list_partitions(list_parents())]
    small = [
        model._meta.db_table
        for model in (Meter, Resource, ResourceState, DimensionSet, Series, RollupMark, RollupDayMark)
    ]
    with connection.cursor() as cursor:
        for table in (*tables, *small):
            cursor.execute(f"VACUUM (ANALYZE) {table}")
