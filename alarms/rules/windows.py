"""Which stretch of time a rule looks at, and how it is cut (spec 6.2)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple

__all__ = ["Bucket", "Window", "window_of"]


class Bucket(NamedTuple):
    """A bucket that has samples: when it begins, the statistic over its samples, and how many they are."""

    start_at: datetime
    value: Decimal
    sample_count: int


_start_of = attrgetter("start_at")


class Window(NamedTuple):
    """So many buckets of a period each, the last of which ends at ``end_at``. A bucket has its start and not its end."""

    end_at: datetime
    period_seconds: int
    bucket_count: int

    @property
    def start_at(self) -> datetime:
        return self.end_at - timedelta(seconds=self.period_seconds * self.bucket_count)

    def within(self, buckets: Sequence[Bucket]) -> list[Bucket]:
        """Those of them that belong to this window. They are in order of time, and stay so."""
        low = bisect_left(buckets, self.start_at, key=_start_of)
        return list(buckets[low : bisect_left(buckets, self.end_at, lo=low, key=_start_of)])


def window_of(rule: Mapping[str, Any], end_at: datetime) -> Window:
    """What a threshold rule looks at, up to ``end_at``: the periods that it needs and one to spare, in which data may be missing.

    With exclude_outliers there are as many to spare as are needed: outliers are told by comparison.
    """
    needed = rule.get("evaluation_periods", 1)
    spare = needed if rule.get("exclude_outliers") else 1
    return Window(end_at, rule["period"], needed + spare)
