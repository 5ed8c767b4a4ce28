"""One row of an answer, and what is derived from it alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

__all__ = ["Duration", "StatisticsRow", "clamp_duration"]


class Duration(NamedTuple):
    """From the first to the last sample of a row, within the window that was asked for."""

    start_at: datetime
    end_at: datetime

    @property
    def seconds(self) -> Decimal:
        span = self.end_at - self.start_at
        return Decimal(f"{span.days * 86400 + span.seconds}.{span.microseconds:06}")


class StatisticsRow(NamedTuple):
    """Samples of one unit, group and period, aggregated.

    ``values`` holds a number for each aggregate's key, or None where there is none, as the average of no sample. ``groups`` holds a
    value for each field grouped by. ``duration`` is None when the row's samples lie outside the window that was asked for
    (search_offset can bring them in), or it has none.
    """

    unit: str
    groups: Mapping[str, str | None]
    period_start_at: datetime
    period_end_at: datetime
    duration: Duration | None
    values: Mapping[str, Decimal | int | None]


def clamp_duration(
    first_at: datetime, last_at: datetime, *, lower: datetime | None, upper: datetime | None
) -> Duration | None:
    """The span of samples, cut to the bounds as asked; None when nothing of it is left."""
    start_at = max(first_at, lower) if lower else first_at
    end_at = min(last_at, upper) if upper else last_at
    return Duration(start_at, end_at) if start_at <= end_at else None
