"""Making one hour from its samples, or one day from its hours, anew.

Whoever calls this holds the lock of that hour or day: two sessions at one would both insert. Each is one REPEATABLE READ transaction
whose first statement takes the marks away: its snapshot holds the samples of exactly the marks that it deletes. A batch committed later
leaves its own mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from .arithmetic import HOLD_SECONDS

__all__ = ["COLUMNS", "DAY_ROWS", "HOUR_ROWS", "mark_all", "recompute_day", "recompute_hour", "snapshot", "still_kept"]

COLUMNS = """time, meter_id, resource_id, dimension_set_id, sample_count, opens, closes, first_at, first_id, first_volume,
    last_at, last_id, last_volume, volume_sum, volume_square_sum, volume_min, volume_max, increase, integral"""


def still_kept(meter: str, moment: str) -> str:
    """SQL of whether a meter's samples of a time are still kept: below the floor they go or have gone, and what they came to is left."""
    return f"""NOT EXISTS (
    SELECT FROM metering_retentionfloor f JOIN metering_retentionclass c ON f.subject = 'samples.' || c.name
    JOIN metering_meter m ON m.retention_class = c.id WHERE m.id = {meter} AND f.floor_at > {moment})"""


# A step belongs to its later sample, a held value to the sample that holds it. Within an hour no value is held for too long.
HOUR_ROWS = """
WITH step AS (
    SELECT s.meter_id, s.resource_id, st.dimension_set_id, s.timestamp, s.id, s.volume,
           lag(s.volume) OVER chain AS previous, lead(s.timestamp) OVER chain AS next_at
    FROM metering_sample s
    JOIN metering_resource r ON r.id = s.resource_id
    JOIN metering_resourcestate st ON st.id = s.state_id
    WHERE s.timestamp >= %(start)s AND s.timestamp < %(end)s AND s.meter_id = ANY(%(meters)s)
    WINDOW chain AS (PARTITION BY s.meter_id, r.chain_id ORDER BY s.timestamp, s.id)
)
SELECT %(start)s, meter_id, resource_id, dimension_set_id, count(*), bool_or(previous IS NULL), bool_or(next_at IS NULL),
       min(timestamp), (array_agg(id ORDER BY timestamp, id))[1], (array_agg(volume ORDER BY timestamp, id))[1],
       max(timestamp), (array_agg(id ORDER BY timestamp, id))[count(*)], (array_agg(volume ORDER BY timestamp, id))[count(*)],
       sum(volume), sum(volume * volume), min(volume), max(volume),
       sum(CASE WHEN previous IS NULL THEN 0 WHEN volume < previous THEN volume ELSE volume - previous END),
       sum(CASE WHEN next_at IS NULL THEN 0 ELSE volume * extract(epoch FROM next_at - timestamp) END)
FROM step GROUP BY meter_id, resource_id, dimension_set_id
"""

# A chain goes from hour to hour by the rows that open or close it, the opening one first: its lag is the row that closed the hour before.
# Rows in between (of another owner or dimension set) have no part in that and are windowed for themselves.
DAY_ROWS = f"""
WITH step AS (
    SELECT h.*, lag(h.last_volume) OVER chain AS previous, lead(h.first_at) OVER chain AS next_at,
           row_number() OVER chain = 1 AS is_first, lead(h.time) OVER chain IS NULL AS is_last
    FROM metering_rolluphour h JOIN metering_resource r ON r.id = h.resource_id
    WHERE h.time >= %(start)s AND h.time < %(end)s AND h.meter_id = ANY(%(meters)s)
    WINDOW chain AS (PARTITION BY h.meter_id, r.chain_id, h.opens OR h.closes ORDER BY h.time, h.closes)
)
SELECT %(start)s, meter_id, resource_id, dimension_set_id, sum(sample_count), bool_or(opens AND is_first), bool_or(closes AND is_last),
       min(first_at), (array_agg(first_id ORDER BY time))[1], (array_agg(first_volume ORDER BY time))[1],
       max(last_at), (array_agg(last_id ORDER BY time))[count(*)], (array_agg(last_volume ORDER BY time))[count(*)],
       sum(volume_sum), sum(volume_square_sum), min(volume_min), max(volume_max),
       sum(increase + CASE WHEN NOT opens OR previous IS NULL THEN 0
                           WHEN first_volume < previous THEN first_volume ELSE first_volume - previous END),
       sum(integral + CASE WHEN NOT closes OR next_at IS NULL THEN 0
                           ELSE last_volume * least(extract(epoch FROM next_at - last_at), {HOLD_SECONDS}) END)
FROM step GROUP BY meter_id, resource_id, dimension_set_id
"""


def recompute_hour(hour: datetime, meters: Sequence[int]) -> bool:
    """Replace the rollups of these meters, as far as the hour is marked for them. False when it was not."""
    with snapshot() as cursor:
        cursor.execute(
            "WITH gone AS (DELETE FROM metering_rollupmark WHERE hour = %s AND meter_id = ANY(%s) RETURNING meter_id, hour)"
            f" SELECT DISTINCT meter_id FROM gone WHERE {still_kept('gone.meter_id', 'gone.hour')}",
            [hour, list(meters)],
        )
        marked = [meter for (meter,) in cursor.fetchall()]
        if not marked:
            return False
        span = {"start": hour, "end": hour + timedelta(hours=1), "meters": marked}
        cursor.execute("DELETE FROM metering_rolluphour WHERE time = %(start)s AND meter_id = ANY(%(meters)s)", span)
        cursor.execute(f"INSERT INTO metering_rolluphour ({COLUMNS}) {HOUR_ROWS}", span)
        cursor.execute(
            "INSERT INTO metering_rollupdaymark (day, meter_id)"
            " SELECT date_trunc('day', %(start)s::timestamptz, 'UTC'), unnest(%(meters)s)",
            span,
        )
    return True


def recompute_day(day: datetime, meters: Sequence[int]) -> bool:
    """The same for a day, whose hours are left alone while one of them is marked."""
    span = {"start": day, "end": day + timedelta(days=1), "meters": list(meters)}
    with snapshot() as cursor:
        cursor.execute(
            """WITH gone AS (
                 DELETE FROM metering_rollupdaymark d WHERE d.day = %(start)s AND d.meter_id = ANY(%(meters)s) AND NOT EXISTS (
                   SELECT FROM metering_rollupmark k
                   WHERE k.meter_id = d.meter_id AND k.hour >= %(start)s AND k.hour < %(end)s)
                 RETURNING d.meter_id)
               SELECT DISTINCT meter_id FROM gone""",
            span,
        )
        span["meters"] = [meter for (meter,) in cursor.fetchall()]
        if not span["meters"]:
            return False
        cursor.execute("DELETE FROM metering_rollupday WHERE time = %(start)s AND meter_id = ANY(%(meters)s)", span)
        cursor.execute(f"INSERT INTO metering_rollupday ({COLUMNS}) {DAY_ROWS}", span)
    return True


def mark_all() -> None:
    """Mark every hour and day that there are rollups of, so that they are made anew, whatever they were made from."""
    marks = {
        "metering_rolluphour": f"metering_rollupmark (batch_id, hour, meter_id) SELECT DISTINCT '{UUID(int=0)}'::uuid,",
        "metering_rollupday": "metering_rollupdaymark (day, meter_id) SELECT DISTINCT",
    }
    with transaction.atomic(), connection.cursor() as cursor:
        for table, marked in marks.items():
            cursor.execute(
                f"INSERT INTO {marked} time, meter_id FROM {table} p WHERE {still_kept('p.meter_id', 'p.time')}"
            )


@contextmanager
def snapshot() -> Iterator[CursorWrapper]:
    """A transaction of its own, all of whose statements see the store at one moment."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield cursor
