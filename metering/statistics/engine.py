"""From a checked request to rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings

from metering.queries.database import fetch_all
from metering.queries.errors import TooManyRows
from metering.queries.floors import check_floor

from .request import STANDARD_FUNCTIONS, Aggregate, StatisticsRequest
from .rows import StatisticsRow, clamp_duration
from .samples import FIXED_COLUMNS, samples_statement

__all__ = ["compute"]

_STANDARD = tuple(Aggregate(function) for function in STANDARD_FUNCTIONS)


def compute(request: StatisticsRequest) -> list[StatisticsRow]:
    """The rows, by period, then unit and group as they were first stored. No matching sample, no row. One statement.

    Raises TooManyRows above CELOMETER_STATISTICS_MAX_ROWS, TooExpensive when the store took too long, NoLongerKept
    when the window begins before the time from which samples are kept.
    """
    check_floor(request.wanted)
    aggregates = request.aggregates or _STANDARD
    most = settings.CELOMETER_STATISTICS_MAX_ROWS
    rows = fetch_all(samples_statement(request, aggregates=aggregates, limit=most + 1))
    if len(rows) > most:
        raise TooManyRows(
            f"Period {request.period_seconds} over this time range gives more than {most} rows. "
            "Take a longer period, a shorter time range, or fewer groups.",
            value=request.period_seconds,
        )
    return [_row(row, request=request, aggregates=aggregates) for row in rows]


def _row(row: tuple[Any, ...], *, request: StatisticsRequest, aggregates: tuple[Aggregate, ...]) -> StatisticsRow:
    unit, first_at, last_at, bucket_at = row[:FIXED_COLUMNS]
    groups = row[FIXED_COLUMNS : FIXED_COLUMNS + len(request.groups)]
    values = row[FIXED_COLUMNS + len(request.groups) :]
    wanted = request.wanted
    return StatisticsRow(
        unit=unit,
        groups=dict(zip(request.groups, groups, strict=True)),
        period_start_at=bucket_at or first_at,
        period_end_at=bucket_at + timedelta(seconds=request.period_seconds) if bucket_at else last_at,
        duration=clamp_duration(first_at, last_at, lower=wanted.lower_asked, upper=wanted.upper_asked),
        values={aggregate.key: value for aggregate, value in zip(aggregates, values, strict=True)},
    )
