"""Which parts of a window may be answered from days, which from hours, and which from samples only.

A rollup can stand for its samples when it lies in the window and in one bucket as a whole. Whether it is valid at that moment, the
statement finds out by itself: see ``pieces``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .buckets import Buckets

__all__ = ["BEGINNING", "END", "Coverage", "Span", "cover", "samples_only"]

# Stand for a bound that was not given; both lie on a day.
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
END = datetime(9999, 12, 31, tzinfo=UTC)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_MOST_EDGES = 20_000

# Half-open.
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Coverage:
    """Disjoint spans that together are the window; ``reason`` says why there are only samples, where rollups cannot help at all."""

    days: tuple[Span, ...]
    hours: tuple[Span, ...]
    samples: tuple[Span, ...]
    reason: str = ""

    def __str__(self) -> str:
        parts = [f"{name} {_shown(spans)}" for name, spans in vars(self).items() if spans and name != "reason"]
        rest = "" if self.reason or not (self.days or self.hours) else "hours and days being changed from samples"
        return "; ".join(part for part in (*parts, rest, self.reason) if part)


def samples_only(window: Span, *, reason: str) -> Coverage:
    return Coverage((), (), (window,), reason)


def cover(window: Span, buckets: Buckets, *, horizon: datetime) -> Coverage:
    """The coarsest parts that respect the window's ends and the buckets' edges. Past the horizon no rollup can be: there are samples."""
    low, high = window[0], min(window[1], horizon)
    if low >= high:
        return samples_only(window, reason="the window is empty or lies ahead")
    edges = buckets.edges_between(low, high, most=_MOST_EDGES)
    if edges is None:
        return samples_only(window, reason="buckets are too many, or begin at a sample")
    hours = _whole((low, high), edges, _HOUR)
    days = _whole((low, high), edges, _DAY)
    return Coverage(days=tuple(days), hours=tuple(_subtract(hours, days)), samples=tuple(_subtract([window], hours)))


def _whole(window: Span, edges: Iterable[datetime], unit: timedelta) -> list[Span]:
    """The spans of whole units in the window that no edge lies within."""
    low, high = -(-(window[0] - BEGINNING) // unit) * unit + BEGINNING, _floor(window[1], unit)
    if low >= high:
        return []
    cut = sorted({edge - rest for edge in edges if (rest := (edge - BEGINNING) % unit)})
    return _subtract([(low, high)], [(start, start + unit) for start in cut])


def _floor(moment: datetime, unit: timedelta) -> datetime:
    return BEGINNING + (moment - BEGINNING) // unit * unit


def _subtract(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """What is left of the spans; both are ascending and disjoint."""
    left: list[Span] = []
    ahead = list(holes)[::-1]
    for low, high in spans:
        while ahead and ahead[-1][1] <= low:
            ahead.pop()
        while ahead and ahead[-1][0] < high:
            hole_low, hole_high = ahead[-1]
            if low < hole_low:
                left.append((low, hole_low))
            low = hole_high
            if hole_high > high:
                break
            ahead.pop()
        if low < high:
            left.append((low, high))
    return left


def _shown(spans: tuple[Span, ...]) -> str:
    shown = ", ".join(f"{_time(low)}..{_time(high)}" for low, high in spans[:4])
    return shown if len(spans) <= 4 else f"{shown} and {len(spans) - 4} more"


def _time(moment: datetime) -> str:
    if moment in (BEGINNING, END):
        return ""
    return moment.replace(tzinfo=None).isoformat(timespec="auto")
