"""From a checked request to rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from django.conf import settings

from metering.queries.database import fetch_all
from metering.queries.errors import TooManyRows
from metering.queries.floors import check_floor
from metering.queries.meters import find_meters

from .buckets import CalendarBuckets
from .request import STANDARD_FUNCTIONS, Aggregate, StatisticsRequest
from .rows import StatisticsRow, clamp_duration
from .statement import FIXED_COLUMNS, Plan, plan, statistics_statement

__all__ = ["compute", "explain"]

_STANDARD = tuple(Aggregate(function) for function in STANDARD_FUNCTIONS)
_RATE_DIGITS = Context(prec=60)


def compute(
    request: StatisticsRequest, *, most: int | None = None, timeout_seconds: float | None = None
) -> list[StatisticsRow]:
    """The rows, by period, then unit and group as they were first stored. No matching sample, no row. One statement.

    An integral also gives a row to a period that has no sample of its own but into which a value is held.
    Raises TooManyRows above ``most`` rows (CELOMETER_STATISTICS_MAX_ROWS unless given), TooExpensive when the store took longer than
    ``timeout_seconds`` (CELOMETER_QUERY_TIMEOUT_SECONDS unless given),
    NoLongerKept when the window begins before the time from which samples are kept.
    """
    check_floor(request.wanted)
    most = settings.CELOMETER_STATISTICS_MAX_ROWS if most is None else most
    planned, rows = _ask(request, limit=most + 1, timeout_seconds=timeout_seconds)
    if len(rows) > most:
        period = request.calendar.unit if request.calendar else request.period_seconds
        raise TooManyRows(
            f"Period {period} over this time range gives more than {most} rows. "
            "Take a longer period, a shorter time range, or fewer groups.",
            value=period,
        )
    keys = [aggregate.key for aggregate in planned.aggregates]
    return [_row(row, planned, keys) for row in rows]


def _ask(
    request: StatisticsRequest, *, limit: int, timeout_seconds: float | None
) -> tuple[Plan, list[tuple[Any, ...]]]:
    """The rows of all meters of the name. Meters are never deleted: when there are the same afterwards, there were no others meanwhile."""
    meters = find_meters(request.wanted.meter)
    while True:
        planned = plan(request, request.aggregates or _STANDARD, meters)
        rows = fetch_all(statistics_statement(planned, limit=limit), timeout_seconds=timeout_seconds) if meters else []
        known, meters = meters, find_meters(request.wanted.meter)
        if meters == known:
            return planned, rows


def explain(request: StatisticsRequest) -> str:
    """For operators: which spans of time are read as days, as hours, as samples, and why."""
    return str(plan(request, request.aggregates or _STANDARD).coverage)


def _row(row: tuple[Any, ...], planned: Plan, keys: list[str]) -> StatisticsRow:
    request = planned.request
    unit, first_at, last_at, bucket_at = row[:FIXED_COLUMNS]
    groups, values = request.groups, row[FIXED_COLUMNS + len(request.groups) :]
    start_at, end_at = _period(planned, bucket_at, first_at, last_at)
    found = dict(zip(keys, values, strict=True))
    if "rate" in found:
        found["rate"] = _per_second(found["rate"], _seconds_within(planned, start_at, end_at))
    duration = None
    if first_at:
        wanted = request.wanted
        duration = clamp_duration(first_at, last_at, lower=wanted.lower_asked, upper=wanted.upper_asked)
    return StatisticsRow(
        unit=unit,
        groups=dict(zip(groups, row[FIXED_COLUMNS:], strict=False)) if groups else {},
        period_start_at=start_at,
        period_end_at=end_at,
        duration=duration,
        values=found,
    )


def _period(
    planned: Plan, bucket_at: datetime | None, first_at: datetime | None, last_at: datetime | None
) -> tuple[datetime, datetime]:
    """The bucket; without one, from the first to the last sample (the window's start, when there is only a held value)."""
    if bucket_at is None:
        low = planned.window[0]
        return first_at or low, last_at or low
    if isinstance(planned.buckets, CalendarBuckets):
        return bucket_at, planned.buckets.end_of(bucket_at)
    return bucket_at, bucket_at + timedelta(seconds=planned.request.period_seconds)


def _seconds_within(planned: Plan, start_at: datetime, end_at: datetime) -> Decimal:
    """How long a row's time is within the bounds that were asked for."""
    lower, upper = planned.request.wanted.lower, planned.request.wanted.upper
    if not planned.request.has_period:
        start_at, end_at = lower.at if lower else start_at, upper.at if upper else end_at
    start_at = max(start_at, lower.at) if lower else start_at
    end_at = min(end_at, upper.at) if upper else end_at
    return Decimal((end_at - start_at) // timedelta(microseconds=1)) / 1_000_000


def _per_second(increase: Decimal | None, seconds: Decimal) -> Decimal | None:
    return _RATE_DIGITS.divide(increase, seconds) if increase is not None and seconds > 0 else None
