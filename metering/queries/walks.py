"""Samples in the order of time, found by index: as few are read as the answer needs, or some times that."""

from __future__ import annotations

from collections.abc import Iterable
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

    ``series`` are on ``m`` and ``r`` alone, ``window`` on the times of ``s``, ``states`` on ``st`` alone, ``samples`` on ``s`` and on those
    of ``tables``: ``m``, ``r``, ``st``. ``is_narrow``: the conditions on series leave out many of them, so that samples may be looked
    for series by series; ``is_pinned``: they leave next to none.
    """

    series: Statement
    window: Statement
    states: Statement
    samples: Statement
    tables: frozenset[str]
    is_narrow: bool
    is_pinned: bool


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
# Metadata is looked at once for each state, not for each sample: where no state matches, no sample is read at all. In IS TRUE the list
# is hashed, whatever the planner expects.
_STATES = "states AS MATERIALIZED (SELECT st.id FROM metering_resourcestate st WHERE true{conditions})"
_OF_STATES = " AND EXISTS (SELECT FROM states) AND (s.state_id IN (SELECT id FROM states)) IS TRUE"
# So many of the first samples are gone through, whosever they are, before any other way is taken.
_FIRST_LOOK = 5_000
_LOOK_FACTOR = 50

_MERGED_SERIES = f"""size AS (
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
)"""


class _Way(NamedTuple):
    """A way to the samples: what stands in WITH, and the SELECT of whole rows, ordered and limited."""

    tables: tuple[Statement, ...]
    rows: Statement


def walk_samples(selection: Selection, *, order: TimeOrder, after: SamplePosition | None, limit: int) -> Statement:
    """SELECT of ``SAMPLE_COLUMNS`` for the first ``limit`` samples behind ``after``."""
    behind = selection._replace(window=selection.window.then_all(order.after(after)))
    way = _by_series(behind, order, limit) if behind.is_narrow else _by_time(behind, order, limit)
    if not behind.is_pinned and (behind.series.sql or behind.states.sql or behind.samples.sql):
        way = _looking_first(behind, order, limit, otherwise=way)
    tables = list(way.tables)
    if behind.states.sql:
        tables.insert(0, Statement(_STATES.format(conditions=behind.states.sql), behind.states.parameters))
    start = Statement("")
    for table in tables:
        start = start.then(", " if start.sql else "WITH ").then_all(table)
    return start.then(f"{SAMPLE_COLUMNS} FROM (").then_all(way.rows).then(f") s{DIMENSIONS}{order.sql}")


def _looking_first(selection: Selection, order: TimeOrder, limit: int, *, otherwise: _Way) -> _Way:
    """Go through the first samples of all: where matches are common there are enough of them, and the other way is not taken."""
    looked_at = Statement(" (SELECT s.* FROM metering_sample s WHERE true").then_all(selection.window)
    looked_at = looked_at.then(f"{order.sql} LIMIT %s) s", max(_FIRST_LOOK, _LOOK_FACTOR * limit))
    tables = (
        selection.tables | ({"m", "r"} if selection.series.sql else set()) | ({"st"} if selection.states.sql else set())
    )
    near = (
        Statement("near AS MATERIALIZED (SELECT s.* FROM")
        .then_all(looked_at)
        .then(f"{_joins(tables)} WHERE true")
        .then_all(selection.series, selection.states, selection.samples)
        .then(f"{order.sql} LIMIT %s)", limit)
    )
    rows = (
        Statement("SELECT * FROM near WHERE (SELECT count(*) FROM near) >= %s UNION ALL SELECT * FROM (", (limit,))
        .then_all(otherwise.rows)
        .then(") s WHERE (SELECT count(*) FROM near) < %s", limit)
    )
    return _Way((near, *otherwise.tables), rows)


def _by_time(selection: Selection, order: TimeOrder, limit: int) -> _Way:
    """Nothing narrows the series: walk the index on time from its end."""
    rows = Statement(f"SELECT s.* FROM metering_sample s{_joins(selection.tables)} WHERE true").then_all(
        _sample_conditions(selection)
    )
    return _Way((), rows.then(f"{order.sql} LIMIT %s", limit))


def _by_series(selection: Selection, order: TimeOrder, limit: int) -> _Way:
    """Find a time that the first ``limit`` samples cannot lie behind, then merge what lies before it, series by series.

    Each series is asked for its first sample and its ``depth``-th. Of the times of the latter take the (limit / depth)-th:
    that many series have ``depth`` samples each up to it, which is ``limit`` or more. The depth is chosen so that about
    twice ``limit`` samples are looked at, whether few series have many samples or many have few.
    """
    series, conditions = selection.series, _sample_conditions(selection)
    # Meters and resources are at hand where series are gone through, not where samples are.
    times = Statement(
        f"SELECT s.timestamp FROM metering_sample s{_joins(selection.tables & {'st'})}{_OF_SERIES.format(series='x')}"
    ).then_all(conditions)
    samples = Statement(
        f"SELECT s.* FROM metering_sample s{_joins(selection.tables)}{_OF_SERIES.format(series='heads')}"
    ).then_all(conditions)
    heads = _MERGED_SERIES.format(
        series=series.sql,
        times=f"{times.sql} ORDER BY s.timestamp {order.direction}",
        direction=order.direction,
        end="-infinity" if order.newest_first else "infinity",
    )
    merged = (
        Statement("SELECT s.* FROM heads CROSS JOIN LATERAL (")
        .then_all(samples)
        .then(f" AND s.timestamp {order.reach} (SELECT at FROM cutoff){order.sql} LIMIT %s) s", limit)
        .then(f" WHERE heads.nearest_at {order.reach} (SELECT at FROM cutoff){order.sql} LIMIT %s", limit)
    )
    parameters = (2 * limit, *series.parameters, *times.parameters, *times.parameters, *series.parameters, limit)
    return _Way((Statement(heads, parameters),), merged)


def _sample_conditions(selection: Selection) -> Statement:
    states = Statement(_OF_STATES if selection.states.sql else "")
    return selection.window.then_all(states, selection.samples)


def _joins(tables: Iterable[str]) -> str:
    return "".join(_JOINS[table] for table in sorted(tables))
