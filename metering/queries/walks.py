"""Samples in the order of time, found by index: as few are read as the answer needs, or some times that."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from .conditions import BATCH_ID, SERIES
from .database import Statement

__all__ = ["DIMENSIONS", "SAMPLE_COLUMNS", "SamplePosition", "Selection", "TimeOrder", "walk_samples"]


class SamplePosition(NamedTuple):
    """Where a sample stands in the order of time. Ids tell apart what has one time."""

    timestamp: datetime
    id: UUID


class TimeOrder(NamedTuple):
    """Newest or oldest first; equal times in storage order (ids grow with the batch and the position in it)."""

    newest_first: bool = True

    @property
    def sql(self) -> str:
        return f" ORDER BY s.timestamp {self.direction}, s.id"

    @property
    def direction(self) -> str:
        return "DESC" if self.newest_first else "ASC"

    @property
    def sign(self) -> str:
        """How a later place's time compares with an earlier one's."""
        return "<" if self.newest_first else ">"

    @property
    def reach(self) -> str:
        """How the times of all that is not behind a place compare with its time."""
        return ">=" if self.newest_first else "<="

    def after(self, position: SamplePosition | None) -> Statement:
        """What stands behind the position, as a condition on ``s``. The first half of it is what an index on time can use."""
        if position is None:
            return Statement("")
        at, sample = position
        return Statement(
            f" AND s.timestamp {self.sign}= %s AND (s.timestamp {self.sign} %s OR s.id > %s)", (at, at, sample)
        )


class Selection(NamedTuple):
    """Which samples, by conditions that begin with `` AND``.

    ``series`` are on ``m`` and ``r`` alone, ``samples`` on ``s`` and on those of ``tables``: ``st``, ``m``, ``r``. ``is_narrow``: the
    conditions on series leave out most of them, so that samples are better looked for series by series.
    """

    series: Statement
    samples: Statement
    tables: frozenset[str]
    is_narrow: bool


SAMPLE_COLUMNS = f"""
SELECT s.id, m.name, m.type, m.unit, s.volume, r.resource_id, r.source, r.project_id, r.user_id, s.timestamp,
       (SELECT b.recorded_at FROM metering_batch b WHERE b.id = {BATCH_ID}), st.metadata
"""
DIMENSIONS = """
JOIN metering_meter m ON m.id = s.meter_id
JOIN metering_resource r ON r.id = s.resource_id
JOIN metering_resourcestate st ON st.id = s.state_id
WHERE true"""
_JOINS = {
    "st": " JOIN metering_resourcestate st ON st.id = s.state_id",
    "m": " JOIN metering_meter m ON m.id = s.meter_id",
    "r": " JOIN metering_resource r ON r.id = s.resource_id",
}
_OF_SERIES = " WHERE s.meter_id = {series}.meter_id AND s.resource_id = {series}.resource_id"

_MERGED_SERIES = f"""
WITH size AS (
    SELECT greatest(1, ceil(%s::float / greatest(count(*), 1)))::int AS depth FROM{SERIES} WHERE true{{series}}
), heads AS MATERIALIZED (
    SELECT x.meter_id, x.resource_id, nearest.timestamp AS nearest_at, deep.timestamp AS deep_at
    FROM{SERIES}
    CROSS JOIN LATERAL ({{times}} LIMIT 1) nearest
    LEFT JOIN LATERAL ({{times}} OFFSET (SELECT depth - 1 FROM size) LIMIT 1) deep ON true
    WHERE true{{series}}
), cutoff AS MATERIALIZED (
    SELECT coalesce((
        SELECT deep_at FROM heads WHERE deep_at IS NOT NULL
        ORDER BY deep_at {{direction}} OFFSET (SELECT (%s + depth - 1) / depth - 1 FROM size) LIMIT 1
    ), '{{end}}') AS at
){SAMPLE_COLUMNS} FROM (
    SELECT s.* FROM heads
    CROSS JOIN LATERAL ({{samples}} LIMIT %s) s
    WHERE heads.nearest_at {{reach}} (SELECT at FROM cutoff){{order}} LIMIT %s
) s{DIMENSIONS}{{order}}"""


def walk_samples(selection: Selection, *, order: TimeOrder, after: SamplePosition | None, limit: int) -> Statement:
    """SELECT of ``SAMPLE_COLUMNS`` for the first ``limit`` samples behind ``after``."""
    behind = selection._replace(samples=selection.samples.then_all(order.after(after)))
    return _by_series(behind, order, limit) if behind.is_narrow else _by_time(behind, order, limit)


def _by_time(selection: Selection, order: TimeOrder, limit: int) -> Statement:
    """Nothing narrows the series: walk the index on time from its end."""
    joins = "".join(_JOINS[table] for table in sorted(selection.tables))
    nearest = Statement(f" (SELECT s.* FROM metering_sample s{joins} WHERE true").then_all(selection.samples)
    return (Statement(f"{SAMPLE_COLUMNS} FROM").then_all(nearest).then(f"{order.sql} LIMIT %s) s", limit)).then(
        DIMENSIONS + order.sql
    )


def _by_series(selection: Selection, order: TimeOrder, limit: int) -> Statement:
    """Find a time that the first ``limit`` samples cannot lie behind, then merge what lies before it, series by series.

    Each series is asked for its first sample and its ``depth``-th. Of the times of the latter take the (limit / depth)-th:
    that many series have ``depth`` samples each up to it, which is ``limit`` or more. The depth is chosen so that about
    twice ``limit`` samples are looked at, whether few series have many samples or many have few.
    """
    state = _JOINS["st"] if "st" in selection.tables else ""
    times = Statement(f"SELECT s.timestamp FROM metering_sample s{state}{_OF_SERIES.format(series='x')}").then_all(
        selection.samples
    )
    # Meters and resources are at hand where series are gone through, not where samples are.
    joins = "".join(_JOINS[table] for table in sorted(selection.tables))
    samples = Statement(f"SELECT s.* FROM metering_sample s{joins}{_OF_SERIES.format(series='heads')}").then_all(
        selection.samples
    )
    sql = _MERGED_SERIES.format(
        series=selection.series.sql,
        times=f"{times.sql} ORDER BY s.timestamp {order.direction}",
        samples=f"{samples.sql} AND s.timestamp {order.reach} (SELECT at FROM cutoff){order.sql}",
        direction=order.direction,
        end="-infinity" if order.newest_first else "infinity",
        reach=order.reach,
        order=order.sql,
    )
    parameters = (
        *(2 * limit, *selection.series.parameters),
        *(*times.parameters, *times.parameters, *selection.series.parameters),
        limit,
        *(*samples.parameters, limit, limit),
    )
    return Statement(sql, parameters)
