"""Whether a value is usual for its time of the week: against the same buckets of past weeks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .outcomes import Outcome, decimal_of, judge
from .windows import Bucket, Window, window_of

__all__ = ["anomaly_windows", "judge_anomaly"]

WEEK = timedelta(days=7)
# One past value has no deviation to compare with.
_FEWEST_PAST = 2


def anomaly_windows(rule: Mapping[str, Any], end_at: datetime) -> list[Window]:
    """The window to judge, then the same of each past week."""
    window = window_of(rule, end_at)
    return [window._replace(end_at=end_at - weeks * WEEK) for weeks in range(rule["weeks"] + 1)]


def judge_anomaly(rule: Mapping[str, Any], series: Sequence[Sequence[Bucket]]) -> Outcome:
    """A value is outside when it lies more than ``deviations`` population deviations from the mean of its past, exactly.

    A value of whose past fewer than two buckets have samples is unknown.
    """
    past: dict[datetime, list[Decimal]] = defaultdict(list)
    for weeks, buckets in enumerate(series[1:], 1):
        for bucket in buckets:
            past[bucket.start_at + weeks * WEEK].append(bucket.value)
    needed = rule.get("evaluation_periods", 1)
    known = [bucket for bucket in series[0] if len(past[bucket.start_at]) >= _FEWEST_PAST][-needed:]
    deviations = Fraction(decimal_of(rule["deviations"]))
    outside = [_is_outside(bucket.value, past[bucket.start_at], deviations) for bucket in known]
    return judge(outside, needed, known[-1].value if known else None)


def _is_outside(value: Decimal, past: Sequence[Decimal], deviations: Fraction) -> bool:
    count = len(past)
    whole = sum(map(Fraction, past))
    # Both sides of |value - mean| > deviations times σ, times the number, squared: there is no root to round.
    distance = count * Fraction(value) - whole
    spread = count * sum(Fraction(one) ** 2 for one in past) - whole**2
    return distance**2 > deviations**2 * spread
