"""How time is cut into the rows of an answer: not at all, by a number of seconds, or by the calendar of a time zone."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from metering.queries.database import Statement

__all__ = ["Buckets", "CalendarBuckets", "CalendarUnit", "OneBucket", "StrideBuckets", "calendar_edges"]

CalendarUnit = Literal["day", "week", "month"]


class Buckets(Protocol):
    """Half-open spans of time, each named by its start."""

    def edges_between(self, low: datetime, high: datetime, *, most: int) -> list[datetime] | None:
        """The starts that lie in the open interval; None when they are more than ``most``, or not known before the question is run."""
        ...

    def start_of(self, moment: str) -> Statement:
        """SQL of the start of the bucket that an SQL expression's time lies in; NULL for all time."""
        ...

    def overlapping(self, start: str, end: str) -> Statement:
        """SQL of a relation (bucket_at, start_at, end_at): the buckets that ``[start, end)`` touches, and what of it lies in each."""
        ...


@dataclass(frozen=True)
class OneBucket:
    """All time is one."""

    def edges_between(self, low: datetime, high: datetime, *, most: int) -> list[datetime] | None:
        return []

    def start_of(self, moment: str) -> Statement:
        return Statement("NULL::timestamptz")

    def overlapping(self, start: str, end: str) -> Statement:
        return Statement(f"SELECT NULL::timestamptz AS bucket_at, {start} AS start_at, {end} AS end_at")


@dataclass(frozen=True)
class StrideBuckets:
    """Of so many seconds each, laid from the anchor; without one, from the earliest matching sample, ``(SELECT at FROM anchor)``."""

    seconds: int
    anchor: datetime | None

    def edges_between(self, low: datetime, high: datetime, *, most: int) -> list[datetime] | None:
        if self.anchor is None:
            return None
        length = timedelta(seconds=self.seconds)
        first = (low - self.anchor) // length + 1
        last = -((self.anchor - high) // length) - 1
        if last - first + 1 > most:
            return None
        return [self.anchor + number * length for number in range(first, last + 1)]

    def start_of(self, moment: str) -> Statement:
        binned = Statement(f"date_bin(make_interval(secs => %s), {moment}, ", (self.seconds,))
        return binned.then("%s)", self.anchor) if self.anchor else binned.then("(SELECT at FROM anchor))")

    def overlapping(self, start: str, end: str) -> Statement:
        return (
            Statement(f"SELECT b AS bucket_at, greatest(b, {start}) AS start_at,")
            .then(f" least(b + make_interval(secs => %s), {end}) AS end_at FROM generate_series(", self.seconds)
            .then_all(self.start_of(start))
            .then(f", {end} - interval '1 microsecond', make_interval(secs => %s)) b", self.seconds)
        )


@dataclass(frozen=True)
class CalendarBuckets:
    """Between these moments, ascending; the first and the last lie outside of what is asked for."""

    edges: tuple[datetime, ...]

    def edges_between(self, low: datetime, high: datetime, *, most: int) -> list[datetime] | None:
        return [edge for edge in self.edges if low < edge < high]

    def start_of(self, moment: str) -> Statement:
        # Looked up once, not for each row.
        edges = "(SELECT edges FROM calendar)"
        return Statement(f"({edges})[width_bucket({moment}, {edges})]")

    def overlapping(self, start: str, end: str) -> Statement:
        return Statement(
            f"SELECT edges[n] AS bucket_at, greatest(edges[n], {start}) AS start_at, least(edges[n + 1], {end}) AS end_at"
            f" FROM calendar, generate_series(width_bucket({start}, edges),"
            f" width_bucket({end} - interval '1 microsecond', edges)) n"
        )

    def end_of(self, start: datetime) -> datetime:
        """Where the bucket that begins there ends."""
        return self.edges[bisect_right(self.edges, start)]


def calendar_edges(unit: CalendarUnit, zone: ZoneInfo, low: datetime, high: datetime) -> tuple[datetime, ...]:
    """Where days, weeks (from Monday) or months begin in the zone: from the last at or before ``low`` to the first at or after ``high``.

    A midnight that the clocks skip is the moment they skip it; of one that comes twice, the first counts. A day that a zone never had
    (it went over the date line) is none.
    """
    day = _begin(unit, low.astimezone(zone).date())
    edges = [_midnight(day, zone)]
    while edges[-1] < high:
        day = _following(unit, day)
        if (edge := _midnight(day, zone)) > edges[-1]:
            edges.append(edge)
    return tuple(edges)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _begin(unit: CalendarUnit, day: date) -> date:
    if unit == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if unit == "week" else day


def _following(unit: CalendarUnit, day: date) -> date:
    if unit == "month":
        return (day + timedelta(days=31)).replace(day=1)
    return day + timedelta(days=7 if unit == "week" else 1)
