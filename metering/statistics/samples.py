"""Statistics straight from samples, in one statement: the path that is always right.

Read by index (meter_id, resource_id, timestamp) or (timestamp), as the planner sees fit. Sums, minima and maxima are exact decimals.
"""

from __future__ import annotations

from metering.queries.conditions import (
    SERIES,
    meter_conditions,
    owner_conditions,
    sample_conditions,
    sample_source,
    series_samples,
    state_conditions,
)
from metering.queries.database import Statement

from .request import Aggregate, StatisticsRequest

__all__ = ["FIXED_COLUMNS", "samples_statement"]

# PostgreSQL divides to 16 significant digits, which a large sum uses up before the point: the zeros ask for 20 after it.
_AVERAGE = "(sum(s.volume) + 0.00000000000000000000) / count(*)"
_FUNCTIONS = {
    "count": "count(*)",
    "min": "min(s.volume)",
    "max": "max(s.volume)",
    "sum": "sum(s.volume)",
    "avg": _AVERAGE,
    "stddev": "stddev_pop(s.volume)",
}
# Columns before those of groups and aggregates: unit, first and last time, start of the bucket.
FIXED_COLUMNS = 4


def samples_statement(request: StatisticsRequest, *, aggregates: tuple[Aggregate, ...], limit: int) -> Statement:
    """Rows of unit, first time, last time, bucket start (null without period), each group, each aggregate.

    Ordered by bucket, then by which group's resources were stored first.
    """
    bucket = _bucket(request)
    groups = [f"r.{name}" for name in request.groups]
    columns = ["m.unit", "min(s.timestamp)", "max(s.timestamp)", "", *groups, *map(_sql_of, aggregates)]
    start, end = columns[: FIXED_COLUMNS - 1], columns[FIXED_COLUMNS:]
    # The bucket, the unit and the groups are named by position, because the bucket's expression has parameters.
    group_by = ", ".join(["1", str(FIXED_COLUMNS), *(str(FIXED_COLUMNS + 1 + n) for n in range(len(groups)))])
    select = Statement(f"SELECT {', '.join(start)}, ").then_all(bucket)
    return (
        _anchor(request)
        .then_all(select)
        .then("".join(f", {column}" for column in end))
        .then_all(_matching(request))
        .then(f" GROUP BY {group_by} ORDER BY {FIXED_COLUMNS}, min(s.resource_id), 1 LIMIT %s", limit)
    )


def _sql_of(aggregate: Aggregate) -> str:
    if aggregate.parameter is None:
        return _FUNCTIONS[aggregate.function]
    return f"count(DISTINCT r.{aggregate.parameter})"


def _matching(request: StatisticsRequest) -> Statement:
    source = f" FROM{sample_source(request.wanted)} JOIN metering_meter m ON m.id = s.meter_id"
    return Statement(f"{source} JOIN metering_resource r ON r.id = s.resource_id WHERE true").then_all(
        meter_conditions(request.wanted),
        owner_conditions(request.wanted, request.scope),
        sample_conditions(request.wanted),
        state_conditions(request.wanted),
    )


def _bucket(request: StatisticsRequest) -> Statement:
    """Buckets are half-open and laid from the anchor: the lower bound, or else the earliest matching sample."""
    if not request.period_seconds:
        return Statement("NULL::timestamptz")
    stride = Statement("date_bin(make_interval(secs => %s), s.timestamp, ", (request.period_seconds,))
    if request.wanted.lower:
        return stride.then("%s)", request.wanted.lower.at)
    return stride.then("(SELECT at FROM anchor))")


def _anchor(request: StatisticsRequest) -> Statement:
    """The earliest matching sample, from the head of each series in the index; nothing where it is not needed."""
    if not request.period_seconds or request.wanted.lower:
        return Statement("")
    return (
        Statement(f"WITH anchor AS MATERIALIZED (SELECT min(first.timestamp) AS at FROM{SERIES} CROSS JOIN LATERAL (")
        .then_all(series_samples("s.timestamp", request.wanted))
        .then(" ORDER BY s.timestamp LIMIT 1) first WHERE true")
        .then_all(meter_conditions(request.wanted), owner_conditions(request.wanted, request.scope))
        .then(") ")
    )
