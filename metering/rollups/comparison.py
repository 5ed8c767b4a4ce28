"""Whether stored rollups still are what they were made from: the same SQL again, compared row by row in one snapshot."""

from __future__ import annotations

from datetime import datetime, timedelta

from .recompute import COLUMNS, DAY_ROWS, HOUR_ROWS, snapshot, still_kept

__all__ = ["wrong_day_rollups", "wrong_hour_rollups"]

# Those that nothing marks as changed: rollups of the others do not count, and may differ. Below a floor rollups are left as they were.
_UNMARKED = f"""
SELECT m.id FROM metering_meter m WHERE {still_kept("m.id", "%(start)s")}
  AND NOT EXISTS (SELECT FROM metering_rollupmark k WHERE k.meter_id = m.id AND k.hour >= %(start)s AND k.hour < %(end)s)
  AND NOT EXISTS (SELECT FROM metering_rollupdaymark d WHERE d.meter_id = m.id AND d.day = %(day)s)
"""


def wrong_hour_rollups(hour: datetime) -> list[tuple[str, str]]:
    """Meter and resource of each series of which the hour's rollups are not what its samples give."""
    return _compare("metering_rolluphour", HOUR_ROWS, hour, timedelta(hours=1))


def wrong_day_rollups(day: datetime) -> list[tuple[str, str]]:
    """The same for a day and its hours."""
    return _compare("metering_rollupday", DAY_ROWS, day, timedelta(days=1))


def _compare(table: str, rows: str, start: datetime, length: timedelta) -> list[tuple[str, str]]:
    # The mark of a day says nothing of its hours.
    day = start if length == timedelta(days=1) else None
    span = {"start": start, "end": start + length, "day": day}
    with snapshot() as cursor:
        cursor.execute(_UNMARKED, span)
        span["meters"] = [meter for (meter,) in cursor.fetchall()]
        cursor.execute(
            f"""WITH fresh AS ({rows}),
                 kept AS (SELECT {COLUMNS} FROM {table} WHERE time = %(start)s AND meter_id = ANY(%(meters)s)),
                 wrong AS ((TABLE fresh EXCEPT ALL TABLE kept) UNION ALL (TABLE kept EXCEPT ALL TABLE fresh))
                SELECT DISTINCT m.name, r.resource_id FROM wrong w
                JOIN metering_meter m ON m.id = w.meter_id JOIN metering_resource r ON r.id = w.resource_id ORDER BY 1, 2""",
            span,
        )
        return cursor.fetchall()
