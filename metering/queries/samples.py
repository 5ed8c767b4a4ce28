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


def list_samples(wanted: SampleFilter, *, scope: Scope, limit: int) -> list[SampleRow]:
    """The newest matching samples, at most ``limit``; equal times in the order in which they were stored."""
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
    """Find the series with the newest samples first, then merge only those.

    Whatever is among the ``limit`` newest samples belongs to one of the ``limit`` series whose newest sample is newest; and when there
    are that many, nothing older than the oldest of these newest samples can be among them.
    """
    heads = (
        Statement(f"WITH heads AS (SELECT x.meter_id, x.resource_id, s.timestamp FROM{SERIES} CROSS JOIN LATERAL (")
        .then_all(series_samples("s.timestamp, s.id", wanted))
        .then(f"{NEWEST_FIRST} LIMIT 1) s WHERE true")
        .then_all(owner_conditions(wanted, scope), meter_conditions(wanted))
        .then(f"{NEWEST_FIRST} LIMIT %s)", limit)
    )
    merged = (
        Statement(" (SELECT s.* FROM heads CROSS JOIN LATERAL (")
        .then_all(series_samples("s.*", wanted, series="heads"))
        .then(
            " AND s.timestamp >= (SELECT CASE WHEN count(*) < %s THEN '-infinity' ELSE min(heads.timestamp) END FROM heads)"
            f"{NEWEST_FIRST} LIMIT %s) s{NEWEST_FIRST} LIMIT %s) s",
            limit,
            limit,
            limit,
        )
    )
    return heads.then(_COLUMNS).then_all(merged).then(_DIMENSIONS + NEWEST_FIRST)


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
