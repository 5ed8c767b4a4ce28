"""Samples as lists and one by one, newest first, in one statement each."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from metering.messages import batch_of

from .conditions import (
    NEWEST_FIRST,
    SERIES,
    meter_conditions,
    owner_conditions,
    parse_sample_id,
    sample_conditions,
    sample_source,
    series_samples,
    state_conditions,
)
from .database import Statement, fetch_all
from .filters import SampleFilter, Scope
from .floors import check_floor
from .metadata import flatten

__all__ = ["SampleRow", "find_sample", "list_samples"]


class SampleRow(NamedTuple):
    """A sample with everything that it refers to. ``metadata`` is flat (see ``metadata.flatten``)."""

    id: UUID
    meter: str
    type: str
    unit: str
    volume: Decimal
    resource_id: str
    source: str
    project_id: str | None
    user_id: str | None
    timestamp: datetime
    recorded_at: datetime | None
    metadata: dict[str, str]


# The batch's id is the sample's with zeros in its low 20 bits, its last five digits.
_COLUMNS = """
SELECT s.id, m.name, m.type, m.unit, s.volume, r.resource_id, r.source, r.project_id, r.user_id, s.timestamp,
       (SELECT b.recorded_at FROM metering_batch b WHERE b.id = (left(s.id::text, 31) || '00000')::uuid), st.metadata
FROM"""
_DIMENSIONS = """
JOIN metering_meter m ON m.id = s.meter_id
JOIN metering_resource r ON r.id = s.resource_id
JOIN metering_resourcestate st ON st.id = s.state_id
WHERE true"""

_MERGED_SERIES = f"""
WITH size AS (
    SELECT greatest(1, ceil(%s::float / greatest(count(*), 1)))::int AS depth FROM{SERIES} WHERE true{{series}}
), heads AS MATERIALIZED (
    SELECT x.meter_id, x.resource_id, newest.timestamp AS newest_at, deep.timestamp AS deep_at
    FROM{SERIES}
    CROSS JOIN LATERAL ({{times}} ORDER BY s.timestamp DESC LIMIT 1) newest
    LEFT JOIN LATERAL ({{times}} ORDER BY s.timestamp DESC OFFSET (SELECT depth - 1 FROM size) LIMIT 1) deep ON true
    WHERE true{{series}}
), cutoff AS MATERIALIZED (
    SELECT coalesce((
        SELECT deep_at FROM heads WHERE deep_at IS NOT NULL
        ORDER BY deep_at DESC OFFSET (SELECT (%s + depth - 1) / depth - 1 FROM size) LIMIT 1
    ), '-infinity') AS at
){_COLUMNS} (
    SELECT s.* FROM heads
    CROSS JOIN LATERAL ({{samples}} AND s.timestamp >= (SELECT at FROM cutoff){NEWEST_FIRST} LIMIT %s) s
    WHERE heads.newest_at >= (SELECT at FROM cutoff){NEWEST_FIRST} LIMIT %s
) s{_DIMENSIONS}{NEWEST_FIRST}"""


def list_samples(wanted: SampleFilter, *, scope: Scope, limit: int) -> list[SampleRow]:
    """The newest matching samples, at most ``limit``; equal times in the order in which they were stored.

    Raises NoLongerKept when the window begins before the time from which samples are kept.
    """
    check_floor(wanted)
    if wanted.message_id is not None:
        sample = parse_sample_id(wanted.message_id)
        statement = _by_id(sample, wanted, scope) if sample else None
    elif wanted.names_series() or scope.projects is not None:
        statement = _by_series(wanted, scope, limit)
    else:
        statement = _by_time(wanted, limit)
    return [_row(row) for row in fetch_all(statement)] if statement else []


def find_sample(sample_id: str, *, scope: Scope) -> SampleRow | None:
    """The sample with this id, when the caller may see it."""
    found = list_samples(SampleFilter(message_id=sample_id), scope=scope, limit=1)
    return found[0] if found else None


def _row(row: tuple[Any, ...]) -> SampleRow:
    return SampleRow(*row[:-1], metadata=flatten(row[-1]))


def _by_time(wanted: SampleFilter, limit: int) -> Statement:
    """Nothing narrows the series: walk the index on time from its end."""
    newest = Statement(f" (SELECT s.* FROM{sample_source(wanted)} WHERE true").then_all(
        sample_conditions(wanted), state_conditions(wanted)
    )
    newest = newest.then(f"{NEWEST_FIRST} LIMIT %s) s", limit)
    return Statement(_COLUMNS).then_all(newest).then(_DIMENSIONS + NEWEST_FIRST)


def _by_series(wanted: SampleFilter, scope: Scope, limit: int) -> Statement:
    """Find a time that the newest ``limit`` samples cannot lie before, then merge what lies after it, series by series.

    Each series is asked for its newest sample and its ``depth``-th newest. Of the times of the latter take the (limit / depth)-th:
    that many series have ``depth`` samples each at or after it, which is ``limit`` or more. The depth is chosen so that about
    twice ``limit`` samples are looked at, whether few series have many samples or many have few.
    """
    series = Statement("").then_all(owner_conditions(wanted, scope), meter_conditions(wanted))
    times = series_samples("s.timestamp", wanted)
    samples = series_samples("s.*", wanted, series="heads")
    sql = _MERGED_SERIES.format(series=series.sql, times=times.sql, samples=samples.sql)
    parameters = (
        *(2 * limit, *series.parameters),
        *(*times.parameters, *times.parameters, *series.parameters),
        limit,
        *(*samples.parameters, limit, limit),
    )
    return Statement(sql, parameters)


def _by_id(sample: UUID, wanted: SampleFilter, scope: Scope) -> Statement:
    """The ledger says between which times the batch's samples lie: there, and nowhere else, the id is looked for."""
    start = Statement(_COLUMNS).then(
        " metering_batch held JOIN metering_sample s ON s.timestamp BETWEEN held.first_sample_at AND held.last_sample_at"
    )
    return (
        start.then(f"{_DIMENSIONS} AND held.id = %s", batch_of(sample))
        .then_all(owner_conditions(wanted, scope), meter_conditions(wanted))
        .then_all(sample_conditions(wanted), state_conditions(wanted))
    )
